#!/bin/sh
# mpi: ranks as processes give the bits of ranks as threads, go on from each other's states, and end
# together.
#   mpi.sh mpich|openmpi RANKS...         RANKS, the variable: tests/threads/ranks.c, compiled
. "$(dirname "$0")/common.sh"
library=$1
shift
[ -z "$SANITIZERS" ] || skip "sanitizers cannot see into MPI's libraries"
case $library in # how each names itself
    mpich) sign=HYDRA ;;
    *) sign="Open MPI" ;;
esac

# Where both are installed, the distribution tells them apart by the names' ends.
for end in ".$library" ""; do
    MPICC=mpicc$end launcher=mpirun$end
    ! command -v "$MPICC" >/dev/null || ! "$launcher" --version 2>&1 | grep -q "$sign" || break
    launcher=
done
[ -n "$launcher" ] || skip "there is no mpicc and mpirun of $library"
export MPICC
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 # a test's machine may have no other user
OMPI_MCA_rmaps_base_oversubscribe=1                       # nor as many cores as ranks
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_rmaps_base_oversubscribe

# losses RUN: loss and norm of every step, and what was held out at the end
losses() {
    sed -n 's/.*"loss": \([^,]*\), "grad_norm": \([^,]*\),.*/\1 \2/p' "$1/metrics.jsonl"
    sed -n 's/.*"evaluated_after": 12, //p' "$1/metrics.jsonl"
}

# once TEXT: the last command said it, once
once() {
    [ "$(grep -c -- "$1" said.txt)" = 1 ] || fail "expected \"$1\" once in: $said"
}

# Rank 1's process of the run that `start` began: its number, or nothing.
other_rank() {
    for process in /proc/[0-9]*; do
        [ "$(cat "$process/comm" 2>/dev/null)" = train ] || continue
        cat "$process/environ" 2>/dev/null | tr '\0' '\n' >environment.txt
        grep -qx "PW_TEST_RUN=$WORK" environment.txt || continue
        ! grep -qE '^(PMI_RANK|OMPI_COMM_WORLD_RANK)=1$' environment.txt || echo "${process#/proc/}"
    done
}

# Thousands of random messages, counted in bytes as in blocks, which else only 2 GiB need.
for counts in "" "-DLARGEST=100 -DBLOCK=64"; do
    "$MPICC" -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Wshadow -Werror $counts -I"$top" \
        -fPIC -shared "$top/runtime/transports/mpi.c" "$top/runtime/failure.c" "$top/runtime/stored_program.c" \
        -o transport_mpi.so
    expect 0 "$launcher" -n 4 "$RANKS" .
    says "0 wrong bytes"
done

# A tied head: the table's weight and gradient travel as well.
make_tied_job() {
    make_job "$@"
    sed 's/vocab = "bytes"/&, tied = true/' job.lua >tied.lua
    mv tied.lua job.lua
}

make_corpus
for ranks in "$@"; do
    make_tied_job "$ranks" '"gpipe"'
    "$PIPEWRIGHT" data job.lua
    rm -rf trainer
    "$PIPEWRIGHT" build job.lua --steps 1 -o trainer
    expect 0 trainer/build --mpi
    for policy in '"gpipe"' '"seq1f1b", slices = 3' '"zb1p"'; do
        rm -rf stored apart together
        make_tied_job "$ranks" "$policy"
        expect 0 "$PIPEWRIGHT" build job.lua --no-compile -o stored
        arguments="--data job.data/tokens --programs stored/programs.pw"
        arguments="$arguments --evaluation stored/evaluate.pw"
        expect 0 trainer/train $arguments --out together --steps 12
        # A run of processes goes on from one of threads, and the other way about.
        expect 0 trainer/train $arguments --out apart --steps 3
        expect 0 "$launcher" -n "$ranks" trainer/train $arguments --out apart --steps 8
        says "$ranks ranks on"
        says "by MPI ("
        expect 0 trainer/train $arguments --out apart --steps 9
        expect 0 "$launcher" -n "$ranks" trainer/train $arguments --out apart --steps 12 \
            --transport mpi
        for file in master moment1 moment2; do
            file=states/step-12/$file.safetensors
            cmp "apart/$file" "together/$file" ||
                fail "$policy, $ranks ranks: another $file than with threads"
        done
        losses together >expected.txt
        losses apart | cmp - expected.txt || fail "$policy, $ranks ranks: other losses"
        grep -q "\"pid\":$((ranks - 1)),\"tid\":0,\"ts\"" apart/trace.json ||
            fail "the trace lacks the last rank"
    done
done

expect 0 trainer/train --evaluate --json --out together --evaluation stored/evaluate.pw
cp said.txt expected.txt
expect 0 "$launcher" -n "$ranks" trainer/train --evaluate --json --out together \
    --evaluation stored/evaluate.pw --transport mpi
cmp said.txt expected.txt

# The library is what the build script made.
expect 0 "$PIPEWRIGHT" verify trainer
cp -r trainer changed
flip changed/transport_mpi.so
expect 2 "$PIPEWRIGHT" verify changed
says "transport_mpi.so: found SHA-256"

# What is wrong is said once, and ends all.
train="trainer/train $arguments --out stopped"
expect 2 "$launcher" -n $((ranks + 1)) $train
once "the job has $ranks ranks, and MPI ("
mkdir other
cp -r corpus job.lua other
echo "one more document" >other/corpus/more.txt
(cd other && "$PIPEWRIGHT" data job.lua) >/dev/null
expect 2 "$launcher" -n "$ranks" $train --data other/job.data/tokens
once "another token set"
expect 2 "$launcher" -n "$ranks" $train --where
once "start the others without mpirun"
expect 1 env LD_PRELOAD="$INTERPOSE" PW_TEST_FULL=100000 "$launcher" -n "$ranks" $train --steps 10
once "the disk is full"

# start: a long run, at work
"$PIPEWRIGHT" build job.lua --no-compile --steps 4000 -o stored >/dev/null 2>&1
start() {
    rm -rf stopped
    PW_TEST_RUN=$WORK PW_WATCHDOG_SECONDS=2 "$launcher" -n "$ranks" $train --steps 4000 \
        >signal.txt 2>&1 &
    launched=$!
    until grep -q '"step": 3' stopped/metrics.jsonl 2>/dev/null; do
        kill -0 $launched || fail "$(cat signal.txt)"
        sleep 0.05
    done
}

# A signal that the launcher passes on: saved, done.
start
kill -USR1 $launched
wait $launched || fail "SIGUSR1: $(cat signal.txt)"
[ "$(grep -c "stopped by signal 10" signal.txt)" = 1 ] || fail "SIGUSR1: $(cat signal.txt)"

# A rank that is killed ends all; one that stands still is noticed. The states hold.
for name in KILL STOP; do
    start
    kill -$name "$(other_rank)"
    status=0
    wait $launched || status=$?
    [ $status -ne 0 ] || fail "SIG$name to a rank: $(cat signal.txt)"
    [ $name = KILL ] || grep -q "no rank got on for" signal.txt || fail "$(cat signal.txt)"
    sleep 0.2
    [ -z "$(other_rank)" ] || fail "SIG$name: a rank is left"
    expect 0 trainer/train --where --out stopped
done
echo "$library, $* ranks: the bits of threads; what ends one rank ends all"
