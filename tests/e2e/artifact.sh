#!/bin/sh
# artifact: one bit changed in any kind of file, the compiled trainer too, is refused; building again elsewhere, later, gives
# the same; verify and diff say so; the same job gives the same plan every time.
#   artifact.sh TIMES
. "$(dirname "$0")/common.sh"
make_corpus
make_job 2 '"seq1f1b", slices = 3'
"$PIPEWRIGHT" data job.lua
expect 0 "$PIPEWRIGHT" build job.lua --steps 3 -o trainer
expect 0 "$PIPEWRIGHT" verify trainer --job job.lua

flipped=0
for file in manifest.json build README main.c code/job.c code/codelets.c code/shapes.h \
    runtime/executor.c runtime/transports/threads.c templates/cpu/matmul.c inputs/job.lua \
    inputs/job.json inputs/policy.lua inputs/lengths.json inputs/cost.json programs.pw evaluate.pw; do
    cp -p "trainer/$file" kept
    flip "trainer/$file"
    expect 2 "$PIPEWRIGHT" run trainer --data job.data/tokens --out refused
    says "trainer/"
    expect 2 "$PIPEWRIGHT" verify trainer
    mv kept "trainer/$file"
    flipped=$((flipped + 1))
done
# The compiled trainer is newer than the manifest; its build noted what it made.
for file in train built; do
    cp -p "trainer/$file" kept
    flip "trainer/$file"
    expect 2 "$PIPEWRIGHT" verify trainer
    says "run the "
    mv kept "trainer/$file"
done
# Each field of that note counts.
for change in s/built-1/built-3/ 's/"bytes": /&1/' s/sha256/sha25v/ 's/"toolchain": "/&g/'; do
    cp -p trainer/built kept
    sed "$change" kept >trainer/built
    cmp -s kept trainer/built && fail "$change changed nothing"
    expect 2 "$PIPEWRIGHT" verify trainer
    says "trainer/built: "
    mv kept trainer/built
done
# A trainer checks its programs itself, where Pipewright is not installed.
cp trainer/programs.pw kept
flip trainer/programs.pw
expect 2 trainer/train --data job.data/tokens --out refused
says "the program is damaged"
mv kept trainer/programs.pw
expect 0 "$PIPEWRIGHT" verify trainer

mkdir -p else/where
cp -r corpus job.lua else/where
(cd else/where && "$PIPEWRIGHT" data job.lua && "$PIPEWRIGHT" build job.lua --steps 3 --no-compile -o here) >/dev/null
cmp trainer/manifest.json else/where/here/manifest.json ||
    fail "$("$PIPEWRIGHT" diff trainer else/where/here)"
expect 0 "$PIPEWRIGHT" diff trainer else/where/here
for _ in once again; do # a slash at the end of a folder's name is nothing
    expect 0 "$PIPEWRIGHT" build job.lua --steps 3 --no-compile -o other/ --set train.optimizer.lr=2e-3
done
expect 1 "$PIPEWRIGHT" diff trainer other
says "job.train.optimizer.lr: 0.001 -> 0.002"
says "2 differences;"
expect 0 "$PIPEWRIGHT" verify other/ --job job.lua
[ -z "$(find . -name '*.tmp.*' -o -name '*.again.*')" ] || fail "leftovers: $(find . -name '*.tmp.*')"
for step in 0 1; do "$PIPEWRIGHT" plan job.lua --step $step --json; done >plans.json
expect 0 "$PIPEWRIGHT" build job.lua --steps 2 --no-compile --from plans.json -o planned
expect 2 "$PIPEWRIGHT" build job.lua --steps 4 --no-compile --from plans.json -o few
says "plans.json: found plans of 2 of the steps 0 to 3, expected 4, one of each"
[ ! -e few ] || fail "it was built"
rm plans.json # the artifact has them
expect 0 "$PIPEWRIGHT" verify planned --job job.lua
sed 's/seed = 3/seed = 4/' job.lua >else/where/job.lua
expect 1 "$PIPEWRIGHT" verify trainer --job else/where/job.lua
says "built again, it differs"

for policy in '"gpipe"' '"seq1f1b", slices = 3'; do
    make_job 2 "$policy"
    first=$("$PIPEWRIGHT" plan job.lua --step 5 --json | sha256sum)
    for _ in $(seq 2 "$1"); do
        [ "$("$PIPEWRIGHT" plan job.lua --step 5 --json | sha256sum)" = "$first" ] ||
            fail "another plan of the same job"
    done
done
echo "$flipped changed files refused; built elsewhere: the same; $1 plans of 2 policies: the same"
