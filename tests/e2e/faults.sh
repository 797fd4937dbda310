#!/bin/sh
# faults: what goes wrong inside a run, and what is left of it: a rank that hangs, numbers that are
# not finite, batches without a target, the processes of a run killed one by one. Each time the last
# saved state stays as it was, and the run goes on from it to the weights of an undisturbed one.
. "$(dirname "$0")/common.sh"
make_corpus
make_job 2 '"seq1f1b", slices = 3'
"$PIPEWRIGHT" data job.lua
expect 0 "$PIPEWRIGHT" run job.lua --out undisturbed
undisturbed=$(weights_hash undisturbed)
expect 0 "$PIPEWRIGHT" build job.lua --no-compile -o trainer
cp -rp undisturbed/trainer/objects undisturbed/trainer/train trainer # compiled once

states_hash() {
    (cd "$1/states" && find . -type f | sort | xargs sha256sum) | sha256sum
}

# ends_undisturbed COMMAND...: it goes on in run/ to the end, with the right weights
ends_undisturbed() {
    expect 0 "$@"
    [ "$(weights_hash run)" = "$undisturbed" ] || fail "$*: other weights"
    rm -rf run
}

# compile FOLDER SOURCE [FLAG]: an artifact whose code is that of trainer/ but for one source
compile() (
    mkdir -p "$1/objects"
    cp trainer/objects/*.o "$1/objects"
    cd "$1"
    cc=$(./build --flags)
    $cc -include code/shapes.h -c "code/$2.c" -o "objects/code.$2.o"
    $cc ${3:-} objects/*.o -o train -lm
)

# A rank that hangs: in this trainer the last stage's head never comes back from its 200th call. The
# watchdog names the rank, its instruction, and whom the other rank waits for.
expect 0 "$PIPEWRIGHT" build job.lua --no-compile -o hanging
cat >hanging/code/hang.c <<'END'
#include <unistd.h>

struct PwCall;
void __real_head_loss_codelet(const struct PwCall *call);
void __wrap_head_loss_codelet(const struct PwCall *call);

void __wrap_head_loss_codelet(const struct PwCall *call)
{
    static int calls;
    while (++calls >= 200)
        pause();
    __real_head_loss_codelet(call);
}
END
compile hanging hang -Wl,--wrap=head_loss_codelet
expect 1 hanging/train --data job.data/tokens --out run --watchdog 3
says "no rank got on for 3."
says "rank 1, instruction "
says ": head_loss, layer 4"
says "rank 0, instruction "
says "from rank 1 (message"
expect 0 trainer/train --where --out run
[ "$(tail -n 1 said.txt)" = 5 ] || fail "it was to hang after step 5 and before step 10: $said"
ends_undisturbed trainer/train --data job.data/tokens --out run

# Numbers that grow until they are none: the step and the rank are named, nothing is saved.
expect 0 trainer/train --data job.data/tokens --out run --steps 5
before=$(states_hash run)
expect 0 "$PIPEWRIGHT" build job.lua --no-compile -o wild --set train.clip=0 \
    --set train.optimizer.lr=1e30
compile wild job
expect 1 wild/train --data job.data/tokens --out run
says "step 6: loss "
says "on rank "
says "no update was made and this state is not saved; the newest saved one is step 5's"
[ "$(states_hash run)" = "$before" ] || fail "the saved states were changed"
grep -q '"step": 6' run/metrics.jsonl && fail "a step without an update has a line of metrics"
ends_undisturbed trainer/train --data job.data/tokens --out run

# A weight that is no number, in a folder to begin from: nothing is ever saved.
expect 0 trainer/train --export hf --out undisturbed
bytes=$(wc -c <hf/model.safetensors)
printf '\000\000\300\177' | dd of=hf/model.safetensors bs=1 seek=$((bytes - 4)) conv=notrunc 2>/dev/null
expect 0 "$PIPEWRIGHT" build job.lua --no-compile -o broken --set train.from=hf
compile broken job
expect 1 broken/train --data job.data/tokens --out run
says "step 0: loss "
says "not finite: model.norm.weight, on rank 1; no update was made"
[ ! -e run/states ] || fail "a state was saved: $(ls run/states)"
rm -rf run

# Prompts that fill the context: no target counts, and no weight changes.
awk 'BEGIN { for (d = 0; d < 40; d++) {
    prompt = "";
    for (i = 0; i < 40; i++) prompt = prompt "what " d " ";
    printf "{\"prompt\": \"%s\", \"completion\": \"nothing\"}\n", prompt } }' >prompts.jsonl
sed 's/text { files = "corpus"/jsonl { files = "prompts.jsonl"/; s/long = "split"/long = "cut"/
    s/held_out = "10%"/held_out = 0/; s/evaluate = { every = 20 }/evaluate = { every = 0 }/' job.lua >prompts.lua
expect 0 "$PIPEWRIGHT" data prompts.lua
expect 0 "$PIPEWRIGHT" build prompts.lua --no-compile --steps 10 -o prompts
compile prompts job
expect 0 prompts/train --data prompts.data/tokens --out run --steps 10
says "step 0: no target of the batch counts: no update"
says "step 9: no target of the batch counts: no update"
cmp run/states/step-5/master.safetensors run/states/step-10/master.safetensors ||
    fail "weights were changed by batches without a target"
rm -rf run

# Held-out documents without a target, too, are nothing that a run ends at. An evaluation that fails
# ends it, and no step is lost: neither one that is due between two saves, nor the last one.
sed 's/held_out = 0/held_out = "10%"/; s/evaluate = { every = 0 }/evaluate = { every = 3 }/' \
    prompts.lua >held_out.lua
expect 0 "$PIPEWRIGHT" data held_out.lua
expect 0 "$PIPEWRIGHT" build held_out.lua --no-compile --steps 10 -o held_out
compile held_out job
expect 0 held_out/train --data held_out.data/tokens --out run --steps 4
says "after step 3: no held-out target counts"
says "after step 4: no held-out target counts"
expect 2 held_out/train --evaluate --out run
says "no target counts in it"
flip held_out/evaluate.pw
expect 2 held_out/train --data held_out.data/tokens --out run --steps 10
expect 0 held_out/train --where --out run
[ "$(tail -n 1 said.txt)" = 6 ] || fail "step 6 was not saved before its evaluation: $said"
rm -rf run
expect 2 held_out/train --data held_out.data/tokens --out run --steps 2
expect 0 held_out/train --where --out run
[ "$(tail -n 1 said.txt)" = 2 ] || fail "the last step was not saved before its evaluation: $said"
rm -rf run

# The processes of `run`: the tool itself, its planner and the trainer are its children.
# start_run: `tool` is its process; the run has made a step
mkdir run
cp -rp undisturbed/trainer run
start_run() {
    rm -f run/metrics.jsonl
    "$PIPEWRIGHT" run job.lua --out run --steps 100000 >killed.txt 2>&1 &
    tool=$!
    until grep -q '"step"' run/metrics.jsonl 2>/dev/null; do
        kill -0 $tool || fail "$(cat killed.txt)"
        sleep 0.05
    done
}

# child NAME: the tool's child of that name
child() {
    for status in /proc/[0-9]*/status; do
        awk -v parent=$tool -v name="$1" '
            $1 == "Name:" { named = $2 == name } $1 == "Pid:" { pid = $2 }
            $1 == "PPid:" && $2 == parent && named { print pid }' "$status" 2>/dev/null || true
    done
}

# gone PROCESS: it ends soon
gone() {
    for _ in $(seq 200); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.05
    done
    fail "process $1 is still there: $(cat "/proc/$1/status")"
}

# killed VICTIM STATUS: the others end too, with that status of the tool
killed() {
    start_run
    planner=$(child pipewright) trainer=$(child train)
    [ -n "$planner" ] && [ -n "$trainer" ] || fail "children of the tool: $planner, $trainer"
    eval "kill -9 \$$1"
    status=0
    wait $tool || status=$?
    gone "$planner"
    gone "$trainer"
    [ $status -eq "$2" ] || fail "$1 killed: ended with $status: $(cat killed.txt)"
}
killed planner 1
grep -q "the planner failed: it was ended by signal 9" killed.txt || fail "$(cat killed.txt)"
if [ -z "$SANITIZERS" ]; then # the tool's own would have to be loaded first
    expect 1 env LD_PRELOAD="$INTERPOSE" PW_TEST_TOOL=full "$PIPEWRIGHT" build job.lua --no-compile -o full
    says "/programs.pw: cannot be written: the disk is full"
    expect 1 env LD_PRELOAD="$INTERPOSE" PW_TEST_TOOL=exit timeout 60 "$PIPEWRIGHT" run job.lua --out run --steps 100000
    says "the planner failed: it ended with status 1"
fi
killed trainer 137
killed tool 137
grep -q "stopped by signal 15 after step .*; saved" run/log.txt || fail "$(cat run/log.txt)"
expect 0 trainer/train --where --out run
last=$(($(tail -n 1 said.txt) + 3))
[ $last -ge 40 ] || last=40 # so many steps the undisturbed run has already
expect 0 "$PIPEWRIGHT" run job.lua --out run --steps $last
expect 0 "$PIPEWRIGHT" run job.lua --out undisturbed --steps $last
cmp "run/states/step-$last/master.safetensors" "undisturbed/states/step-$last/master.safetensors" ||
    fail "other weights after step $last"
echo "a hang, numbers that are not finite, batches without a target, each process killed: the last" \
    "saved state stays, and the run goes on from it"
