#!/bin/sh
# memory: what `plan` predicts is what a trainer takes: for each policy, on each number of ranks, the
# arena is used up to the byte and first at the instruction that the plan names; from the second step
# on nothing is allocated; the process takes little beside its arenas. And of too little memory
# `plan` says what is missing, where, and what to change: the capacity that it names is the least.
#   memory.sh "RANKS..." "POLICIES..."
. "$(dirname "$0")/common.sh"
[ -z "$SANITIZERS" ] || skip "a sanitizer takes memory, and the allocator's place"
make_corpus

# planned STEP: predicted.peak_bytes, a number for each rank
planned() {
    "$PIPEWRIGHT" plan job.lua --step "$1" --json | tr -d ' \n' |
        sed 's/.*"peak_bytes":\[\([0-9,]*\)\].*/\1/' | tr , ' '
}

# Each rank's line of the watermark: "used PEAK at INSTRUCTION; the program says PEAK at INSTRUCTION"
check_watermarks() {
    sed -n 's/^step \([0-9]*\), rank \([0-9]*\): arena used up to \([0-9]*\) at instruction \([0-9]*\); the program says \([0-9]*\) at \([0-9]*\)$/\1 \2 \3 \4 \5 \6/p' \
        said.txt >marks.txt
    [ "$(wc -l <marks.txt)" -eq $(($1 * 3)) ] || fail "watermarks: $(cat said.txt)"
    for step in 0 1 2; do
        bytes=$(planned $step)
        text=$("$PIPEWRIGHT" plan job.lua --step $step)
        while read -r at rank used when promised promised_when; do
            [ "$at" -eq $step ] || continue
            # shellcheck disable=SC2086
            predicted=$(echo $bytes | cut -d ' ' -f $((rank + 1)))
            [ "$used" -eq "$promised" ] && [ "$used" -eq "$predicted" ] && [ "$when" -eq "$promised_when" ] ||
                fail "$policy, $1 ranks, step $at, rank $rank: $used at $when; program $promised at $promised_when; plan $predicted"
            case $text in
                *"reached at instruction $when "*) ;;
                *) fail "$policy: the plan names another instruction than $when: $text" ;;
            esac
        done <marks.txt
    done
}

# What was ever resident, less the largest arenas and the mapped files: at most 64 MiB.
check_resident() {
    arenas=$(sed -n 's/.*"peak_bytes": \([0-9]*\).*/\1/p' run/metrics.jsonl | sort -n | tail -n 1)
    mapped=$(cat job.data/tokens.idx job.data/tokens.bin programs.pw | wc -c)
    beside=$(($(tail -n 1 calls.txt) - arenas - mapped))
    [ $beside -le $((64 << 20)) ] || fail "$policy, $1 ranks: $beside bytes beside the arenas"
    [ $beside -le $most_beside ] || most_beside=$beside
}

# The trace's curve of bytes in use: it moves, and stays within the arena.
check_trace() {
    sed -n 's/.*"name":"arena live bytes".*"bytes":\([0-9]*\).*/\1/p' run/trace.json | sort -nu >live.txt
    most=$(tail -n 1 live.txt)
    [ "$(wc -l <live.txt)" -gt 10 ] && [ "$most" -le "$arenas" ] && [ $((most * 2)) -gt "$arenas" ] ||
        fail "$policy, $1 ranks: $(wc -l <live.txt) numbers of live bytes, up to $most of $arenas"
}

check_allocations() {
    [ "$(wc -l <calls.txt)" -eq 13 ] || fail "steps were not counted: $(cat calls.txt)"
    [ "$(sed -n 2p calls.txt)" -eq "$(sed -n 12p calls.txt)" ] ||
        fail "$policy, $1 ranks: calls of the allocator after each step: $(tr '\n' ' ' <calls.txt)"
}

# A wider model than the rest of this runs: 1 MiB is the least that a job may say.
wider="--set model.hidden=96 --set model.ffn=160 --set train.batch=tokens(2048) --set train.steps=6"

# The capacity that was named for so many steps
named() {
    sed -n "s/^  cluster.memory = \([0-9]*\) *the least that does for all $1 and evaluation\$/\1/p" said.txt
}

# shellcheck disable=SC2086
check_least() {
    expect 2 "$PIPEWRIGHT" plan job.lua $wider --set cluster.memory="1 MiB"
    says "bytes are missing. Most is in use at instruction"
    least=$(named "6 steps")
    expect 0 "$PIPEWRIGHT" build job.lua $wider --set cluster.memory="$least" --steps 6 --no-compile -o least
    expect 2 "$PIPEWRIGHT" build job.lua $wider --set cluster.memory=$((least - 1)) --steps 6 --no-compile -o least
}

# Enough for step 0, too little for a later one: what was trained is saved, and the capacity that is
# then named does for the rest.
# shellcheck disable=SC2086
check_later_step() {
    make_job 2 '"seq1f1b", slices = 4'
    check_least
    expect 2 "$PIPEWRIGHT" plan job.lua $wider --set cluster.memory="1 MiB" --set train.steps=1
    first=$(named "1 step")
    [ "$first" -lt "$least" ] || fail "step 0 needs $first, all need $least"
    rm -rf run
    expect 2 "$PIPEWRIGHT" run job.lua $wider --set cluster.memory="$first" --out run
    says "the planner failed: --set: cluster.memory: step "
    says "which is saved; the same command goes on"
    [ "$(named "6 steps")" -eq "$least" ] || fail "another capacity than $least: $said"
    grep -q "failed: the planner failed: --set: cluster.memory: step " run/log.txt || fail "$(cat run/log.txt)"
    expect 0 "$PIPEWRIGHT" run job.lua $wider --set cluster.memory="$least" --out run
    grep -q "goes on from run/states/step-[1-9]" run/log.txt || fail "began anew: $(cat run/log.txt)"
}

most_beside=0 cases=0
for ranks in $1; do
    rm -rf trainer
    save_every=0 evaluate_every=0 # both allocate, between steps
    make_job "$ranks" '"gpipe"'
    [ -d job.data ] || "$PIPEWRIGHT" data job.lua
    expect 0 "$PIPEWRIGHT" build job.lua --steps 1 -o trainer # the code is the same for all policies
    for policy in $2; do
        make_job "$ranks" "\"$policy\""
        rm -rf other run
        expect 0 "$PIPEWRIGHT" build job.lua --steps 12 --no-compile -o other
        cp other/programs.pw programs.pw
        expect 0 trainer/train --programs programs.pw --data job.data/tokens --out run --steps 3 --watermark
        check_watermarks "$ranks"
        rm -rf run
        expect 0 env LD_PRELOAD="$INTERPOSE" PW_TEST_COUNT="$PWD/calls.txt" \
            trainer/train --programs programs.pw --data job.data/tokens --out run --steps 12
        check_allocations "$ranks"
        check_resident "$ranks"
        check_trace "$ranks"
        check_least
        cases=$((cases + 1))
    done
done
# held_out_loss PROGRAMS: of what `run` trained
held_out_loss() {
    expect 0 run/trainer/train --evaluate --json --out run --data job.data/tokens --evaluation "$1"
    sed -n 's/.*"loss": \([0-9.e+-]*\).*/\1/p' said.txt
}

# What trains in slices is evaluated in slices where chunks of the whole context take too much; the
# loss is the same.
# shellcheck disable=SC2086
check_evaluation() {
    sliced="$wider --set data.context=1024 --set policy.slices=32 --set data.held_out=50%"
    rm -rf run
    expect 0 "$PIPEWRIGHT" run job.lua $sliced --steps 1 --out run
    whole=$(held_out_loss run/trainer/evaluate.pw)
    expect 0 "$PIPEWRIGHT" build job.lua $sliced --set cluster.memory=5000000 --steps 1 --no-compile -o less
    [ "$(wc -c <less/evaluate.pw)" -gt $((2 * $(wc -c <run/trainer/evaluate.pw))) ] || fail "evaluation is not cut"
    awk -v a="$whole" -v b="$(held_out_loss less/evaluate.pw)" \
        'BEGIN { exit !(a > 0 && b > a - 1e-5 && b < a + 1e-5) }' || fail "held-out loss: $whole, in slices $said"
}
# Documents too long for the memory that a run was trained with, in the shortest slices too.
check_other_documents() {
    rm -rf run
    awk 'BEGIN { for (i = 0; i < 10000; i++) printf "word %d\n", i }' >long.txt
    expect 0 "$PIPEWRIGHT" run job.lua --set data.context=64K --set train.batch="sequences(8)" --set policy.slices=64 \
        --set cluster.memory="8 MiB" --steps 1 --out run
    expect 2 "$PIPEWRIGHT" evaluate run --data long.txt
    says "bytes are missing"
    says "trained with cluster.memory = "
    [ -z "$(find run -name 'evaluate.[0-9]*')" ] || fail "something was left in run/"
}

# One document, held out, takes more than any step: `plan` of a step that fits says so, and nothing is
# left of a run that is refused.
check_longest_document() {
    mv long.txt corpus/
    rm -rf job.data refused
    expect 0 "$PIPEWRIGHT" data job.lua
    for command in "plan job.lua" "run job.lua --out refused"; do
        # shellcheck disable=SC2086
        expect 2 "$PIPEWRIGHT" $command --set data.context=128K --set "train.batch=sequences(1)" \
            --set policy.slices=1024 --set data.held_out=50% --set train.steps=2 --set cluster.memory="8 MiB"
        says "cluster.memory: evaluation program 1: rank 0 needs "
        [ -n "$(named "2 steps")" ] || fail "no capacity is named: $said"
    done
    [ ! -e refused ] || fail "left: $(ls refused)"
}
check_later_step
check_evaluation
check_other_documents
check_longest_document
echo "$cases cases: peaks as planned, at the planned instruction; no call of an allocator within" \
    "steps; at most $((most_beside >> 10)) KiB beside the fullest arena; the least capacity is named"
