#!/bin/sh
# as_code: steps that were printed as C give the saved state of those that are walked, bit for bit;
# it is the C that runs; and only with the programs that it was printed from.
. "$(dirname "$0")/common.sh"
make_corpus
make_job 2 '"zb1p"'
"$PIPEWRIGHT" data job.lua >/dev/null
expect 0 "$PIPEWRIGHT" build job.lua --steps 4 --as-code -o coded
expect 0 "$PIPEWRIGHT" build job.lua --steps 6 -o walked
expect 0 "$PIPEWRIGHT" verify coded --job job.lua
expect 1 "$PIPEWRIGHT" diff walked coded
says "as_code: false -> true"
[ "$(ls coded/code/step_*.c | wc -l)" -eq 4 ] || fail "not a file a step"

# train TRAINER: four steps; the hashes of weights and moments are in `state`
train() {
    rm -rf run
    expect 0 "$1/train" --data job.data/tokens --out run --steps 4
    state=$(cd run/states/step-4 && sha256sum ./*.safetensors)
    events=$(grep -c '"cat":"step"' run/trace.json)
}
train walked
walked=$state walked_events=$events
train coded
[ "$state" = "$walked" ] || fail "another state: $state, walked: $walked"
[ "$events" = "$walked_events" ] || fail "$events events in the trace, walked: $walked_events"

# Programs of more steps, and of another policy.
cp coded/programs.pw kept
cp walked/programs.pw coded/programs.pw
expect 2 coded/train --data job.data/tokens --out more --steps 6
says "holds the code of steps 0 to 3"
expect 0 "$PIPEWRIGHT" build job.lua --steps 4 --no-compile -o other --set policy=gpipe
cp other/programs.pw coded/programs.pw
expect 2 coded/train --data job.data/tokens --out strange --steps 4
says "printed from another program"
cp kept coded/programs.pw

# Without its last update the third step leaves other weights.
last=$(grep -n 'CALL([0-9]*, adamw' coded/code/step_2.c | tail -n 1 | cut -d: -f1)
sed -i "${last},/;\$/d" coded/code/step_2.c
expect 0 coded/build --quiet
train coded
[ "$state" != "$walked" ] || fail "the state does not depend on the code"

expect 2 "$PIPEWRIGHT" build job.lua --as-code -o long --set train.steps=65
says "--as-code: found 65 steps, expected at most 64"
echo "4 steps as code: the state of those that are walked"
