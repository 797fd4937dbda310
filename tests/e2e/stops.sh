#!/bin/sh
# stops: what ends a run before its time, and what a run refuses to go on from: signals, a full disk,
# another job, other data; a changed policy is noted; a folder that is a file.
. "$(dirname "$0")/common.sh"
make_corpus
make_job 2 '"gpipe"'

# Tokens that find no room on the disk: none are left, and none are taken for a token set.
mkdir full
cp -r corpus job.lua full
expect 1 sh -c "trap '' XFSZ; ulimit -f 8; cd full && exec '$PIPEWRIGHT' data job.lua"
says "job.data/tokens.bin: cannot be written: "
[ -z "$(ls full/job.data)" ] || fail "leftovers: $(ls full/job.data)"
expect 2 "$PIPEWRIGHT" plan full/job.lua
says "its documents are not tokens yet"

"$PIPEWRIGHT" data job.lua
run="$PIPEWRIGHT run job.lua --out run"
expect 0 $run --steps 5

# A full disk: the error says what is needed and free; the older state stays, and the run goes on.
expect 0 "$PIPEWRIGHT" build job.lua --steps 12 --no-compile -o stored
train="run/trainer/train --data job.data/tokens --out run --programs stored/programs.pw"
expect 1 env LD_PRELOAD="$INTERPOSE" PW_TEST_FULL=100000 $train --steps 10
says "the disk is full"
expect 0 run/trainer/train --where --out run
says 5

# Another seed is refused before anything is changed; another policy, or learning rate, is noted. The
# trainer alone says the same.
before=$(sha256sum <run/trainer/manifest.json)
expect 2 $run --set train.seed=4
says "run/states/step-5 was saved by another job: train.seed: 3 before, 4 now; "
[ "$before" = "$(sha256sum <run/trainer/manifest.json)" ] || fail "the trainer of the run was replaced"
make_job 2 '"seq1f1b", slices = 2'
sed -i 's/1e-3/5e-4/' job.lua
expect 0 $run --steps 6
said=$(grep "since the state was saved, the trainer changed: " run/log.txt)
says '; train.optimizer.lr: 0.001 before, 0.0005 now; '
says '; policy.name: "gpipe" before, "seq1f1b" now; policy.options.slices: nothing before, 2 now; '
cp -r run moved
sed -i '/"job_hash"/s/: "./: "x/; s/"data.context": "128"/"data.context": "64"/' moved/states/*/manifest.json
expect 2 $train --out moved
says "moved/states/step-6 was saved by another job: data.context: 64 before, 128 now; "
rm -rf moved

# Plans of step 6 alone: nothing is changed where others are missing.
"$PIPEWRIGHT" plan job.lua --step 6 --json >plans.json
before=$(sha256sum <run/trainer/manifest.json)
expect 2 $run --steps 9 --from plans.json
says "plans.json: found plans of 1 of the steps 6 to 8, expected 3, one of each"
[ "$before" = "$(sha256sum <run/trainer/manifest.json)" ] || fail "the trainer of the run was replaced"

# Other data.
mkdir other
cp -r corpus job.lua other
echo "one more document" >other/corpus/more.txt
(cd other && "$PIPEWRIGHT" data job.lua) >/dev/null
expect 2 $train --data other/job.data/tokens
says "another token set"

# Tokens changed in place, of the same lengths: whoever uses them says so, and only `verify` finds
# what keeps size and time too.
expect 0 "$PIPEWRIGHT" verify run
cp -p job.data/tokens.bin kept.bin
flip job.data/tokens.bin
expect 2 $run --steps 7
says "changed since \`pipewright data\` made it"
expect 2 $train --steps 7
says "another token set"
expect 2 run/trainer/train --evaluate --out run
says "another token set"
touch -r kept.bin job.data/tokens.bin
expect 2 "$PIPEWRIGHT" verify run
says "the programs were made for another token set"
mv kept.bin job.data/tokens.bin
expect 0 "$PIPEWRIGHT" verify run
newest=run/states/$(cat run/states/latest)
says "$newest: every file is as its manifest says"
cp -p "$newest/moment2.safetensors" kept
rm run/states/latest # it is for people
flip "$newest/moment2.safetensors"
expect 2 "$PIPEWRIGHT" verify run
says "$newest: damaged: $newest/moment2.safetensors: found "
says "states/step-5: every file is as its manifest says"
mv kept "$newest/moment2.safetensors"
(mkdir run/states/step-1 && sleep 0.5 && rmdir run/states/step-1) & # as a run that saves
expect 0 "$PIPEWRIGHT" verify run
says "$newest: every file is as its manifest says"
wait
for change in 's/"bytes": /&1/' s/state-1/state-2/ 's/"step": /&1/' s/moment1/moment2/ \
    's/"fields": {/"fields": [], "x": {/'; do
    cp -p "$newest/manifest.json" kept
    sed "$change" kept >"$newest/manifest.json"
    expect 2 "$PIPEWRIGHT" verify run
    says "$newest: damaged: $newest/"
    mv kept "$newest/manifest.json"
done

# A token set of somebody else's: its hash is kept beside it. Built from the .idx alone, the states
# remember on what they were trained.
mkdir foreign
cp job.data/tokens.idx foreign
sed 's/"bytes"/257/; s/text { files = "corpus"/token_set { prefix = "foreign\/tokens"/' job.lua >foreign.lua
expect 0 "$PIPEWRIGHT" build foreign.lua --steps 4 -o foreign/trainer
[ ! -e foreign/tokens.json ] || fail "there was nothing to hash"
cp job.data/tokens.bin foreign
expect 0 foreign/trainer/train --data foreign/tokens --out foreign/run --steps 2

# More steps than there are programs: refused before the first. Of steps that only the job asks for,
# those that were built are enough.
for train_few in foreign/trainer/train "$PIPEWRIGHT run foreign/trainer"; do
    expect 2 $train_few --data foreign/tokens --out foreign/few --steps 5
    says "--steps: found 5, expected at most 4: "
    [ ! -e foreign/few ] || fail "it began: $(ls foreign/few)"
done
expect 0 foreign/trainer/train --data foreign/tokens --out foreign/few
says "the programs end with step 4 of 40"

expect 0 "$PIPEWRIGHT" data foreign.lua
grep -q "$(sha256sum <job.data/tokens.bin | cut -d ' ' -f 1)" foreign/tokens.json || fail "no hash"
flip foreign/tokens.bin
expect 2 foreign/trainer/train --data foreign/tokens --out foreign/run
says "was trained on other tokens"
expect 0 "$PIPEWRIGHT" build foreign.lua --steps 4 --no-compile -o foreign/again
grep -q "$(sha256sum <foreign/tokens.bin | cut -d ' ' -f 1)" foreign/again/manifest.json || fail "no hash"

# A trainer for another kind of processor: its bits are others, so it has to be asked for.
mkdir plain
cp -r run/trainer run/states plain
(
    cd plain/trainer
    cc=$(./build --flags | sed 's/-march=native //')
    $cc -c runtime/saved_state.c -o objects/runtime.saved_state.o
    $cc objects/*.o -o train -lm
)
other="plain/trainer/train --data job.data/tokens --out plain --programs stored/programs.pw --steps 8"
expect 2 $other
says "and would give other bits; --accept-toolchain goes on all the same"
expect 2 plain/trainer/train --where --out plain
expect 0 $other --accept-toolchain
grep -q "was written by another toolchain (.*), accepted" plain/log.txt || fail "$(cat plain/log.txt)"

# A folder for the run is made with those that it lies in; a plain file is no folder.
expect 0 $train --steps 1 --out in/a/folder
expect 2 $train --out job.lua
says "a plain file stands where a folder is needed"
expect 2 $train --out job.lua/run
expect 2 run/trainer/train --where --out job.lua
expect 2 "$PIPEWRIGHT" run job.lua --out job.lua
expect 2 "$PIPEWRIGHT" run job.lua --out job.lua/run
expect 2 "$PIPEWRIGHT" evaluate job.lua
expect 2 "$PIPEWRIGHT" export job.lua -o hf
expect 2 "$PIPEWRIGHT" build job.lua -o corpus/d00.txt

# Nobody has to read the progress: neither trainer nor planner ends where its reader has gone.
{
    status=0
    $run --steps 20 || status=$?
    echo $status >unread
} | :
[ "$(cat unread)" = 0 ] || fail "its reader had gone, and it ended with $(cat unread)"
expect 0 run/trainer/train --where --out run
says 20

# A signal to the tool, as Ctrl-C and `kill` send it: the trainer saves, both end with 0.
for name in INT TERM; do
    rm -rf run/metrics.jsonl
    $run --steps 100000 >signal.txt 2>&1 &
    tool=$!
    until grep -q '"step"' run/metrics.jsonl 2>/dev/null; do
        kill -0 $tool || fail "$(cat signal.txt)"
        sleep 0.05
    done
    kill -$name $tool
    status=0
    wait $tool || status=$?
    [ $status -eq 0 ] || fail "SIG$name: ended with $status: $(cat signal.txt)"
    grep -q "stopped by signal" signal.txt || fail "SIG$name: $(cat signal.txt)"
done
echo "signals, full disks, other seeds and data, too little memory: as promised"
