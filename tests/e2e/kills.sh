#!/bin/sh
# kills: a trainer is killed (kill -9) again and again, at random moments, inside a save and inside a
# resume; it loses nothing that was saved, and ends with the weights of an undisturbed run.
#   kills.sh AT_RANDOM IN_SAVES IN_RESUMES SEED
. "$(dirname "$0")/common.sh"
at_random=$1 in_saves=$2 in_resumes=$3 random_state=$4
kills=0 runs=0 farthest=0 killed_random=0 killed_save=0 killed_resume=0

make_corpus
make_job 2 '"seq1f1b", slices = 3'
"$PIPEWRIGHT" data job.lua
"$PIPEWRIGHT" build job.lua -o trainer
train="trainer/train --data job.data/tokens --out run"
expect 0 trainer/train --data job.data/tokens --out undisturbed
undisturbed=$(weights_hash undisturbed)

# After a kill: the newest state that holds is at least as new as it was.
look() {
    expect 0 trainer/train --where --out run
    reached=$(tail -n 1 said.txt)
    [ "$reached" -ge "$farthest" ] || fail "after a kill the run is at $reached; it was at $farthest"
    farthest=$reached
    kills=$((kills + 1))
}

# One start of the trainer: `ended` is 137 where it was killed, 0 where it came to its end.
start() {
    ended=0
    case $1 in
        random) # from its first moments on
            random 300
            timeout -s KILL "0.$(printf %03d $((picked + 20)))" $train >log.txt 2>&1 || ended=$?
            ;;
        save) # some 45 operations a save
            random 120
            LD_PRELOAD=$INTERPOSE PW_TEST_KILL=save:$((picked + 1)) $train >log.txt 2>&1 || ended=$?
            ;;
        resume) # seven files are read
            random 7
            LD_PRELOAD=$INTERPOSE PW_TEST_KILL=resume:$((picked + 1)) $train >log.txt 2>&1 ||
                ended=$?
            ;;
    esac
    [ $ended -eq 0 ] || [ $ended -eq 137 ] || fail "ended with $ended: $(cat log.txt)"
}

finished() {
    [ "$(weights_hash run)" = "$undisturbed" ] || fail "other weights after $kills kills"
    [ -z "$(ls run/states | grep 'step.*tmp')" ] || fail "leftovers: $(ls run/states)"
    runs=$((runs + 1)) farthest=0
    rm -rf run
}

# The kinds in an order that the seed decides.
order() {
    for kind in random:$1 save:$2 resume:$3; do
        i=0
        while [ $i -lt "${kind#*:}" ]; do
            random 32768
            echo "$picked ${kind%:*}"
            i=$((i + 1))
        done
    done | sort -n | cut -d ' ' -f 2
}

for what in $(order "$at_random" "$in_saves" "$in_resumes"); do
    while :; do
        now=$what
        [ "$what" != resume ] || [ "$farthest" -gt 0 ] || now=save # there must be a state first
        start $now
        if [ $ended -eq 0 ]; then
            finished
            continue
        fi
        look
        eval "killed_$now=\$((killed_$now + 1))"
        [ "$now" != "$what" ] || break
    done
done
expect 0 $train
finished
echo "$kills kills ($killed_random at random, $killed_save in saves, $killed_resume in resumes)," \
    "$runs runs to the end: the weights of an undisturbed run each time"
