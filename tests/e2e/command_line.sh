#!/bin/sh
# command_line: every command as a person types it: its help, its options, what it says of wrong ones;
# from `init` to a trained run, and what is done with one.
. "$(dirname "$0")/common.sh"
make_corpus
commands="init data stats plan tune build run report generate evaluate export prove verify diff show
    doctor"

expect 2 "$PIPEWRIGHT"
says "usage: pipewright COMMAND"
expect 0 "$PIPEWRIGHT" --help
expect 2 "$PIPEWRIGHT" paln
says 'did you mean "plan"?'
for command in $commands; do
    expect 0 "$PIPEWRIGHT" --help
    says "  $command "
    expect 0 "$PIPEWRIGHT" help $command
    says "usage: pipewright $command"
    expect 0 "$PIPEWRIGHT" $command --help
    option=$(sed -n 's/^  --\([a-z-]*\).*/\1/p' said.txt | head -n 1)
    expect 2 "$PIPEWRIGHT" $command --${option}x
    says "pipewright $command: --${option}x is no option of it (did you mean --$option?)"
    [ $command = doctor ] || { expect 2 "$PIPEWRIGHT" $command && says "usage: pipewright $command"; }
done
expect 2 "$PIPEWRIGHT" plan job.lua --step
says "--step lacks its value"
expect 2 "$PIPEWRIGHT" plan job.lua --step -1
says 'found "-1", expected a whole number of at least 0'
expect 2 "$PIPEWRIGHT" plan job.lua more
says 'pipewright plan: found "more", expected nothing behind JOB; usage: pipewright plan JOB;'
expect 2 "$PIPEWRIGHT" doctor more
says 'pipewright doctor: found "more", expected nothing behind doctor; usage: pipewright doctor;'

# A starter job out of what there is.
expect 2 "$PIPEWRIGHT" init job.txt --data corpus
says "expected a name ending in .lua"
expect 2 "$PIPEWRIGHT" init job.lua --data corpus --cluster gpu:1
says "expected cpu:N"
for ranks in 13 999999 99999999999999999999; do
    expect 2 "$PIPEWRIGHT" init job.lua --data corpus --cluster cpu:$ranks
    says "--cluster: found \"cpu:$ranks\", expected cpu:N, such as cpu:2, with at most 12 ranks"
done
expect 2 "$PIPEWRIGHT" init job.lua --data nowhere
says "--data: nowhere"
expect 2 "$PIPEWRIGHT" init job.lua --data corpus --context 4X
says "--context"
expect 0 "$PIPEWRIGHT" init job.lua --data corpus --context 128 --cluster cpu:1
says "next: pipewright data job.lua"
grep -q lua/meta .luarc.json || fail "no .luarc.json"
expect 2 "$PIPEWRIGHT" init job.lua --data corpus
says "--force"
expect 0 "$PIPEWRIGHT" init job.lua --data corpus --context 128 --cluster cpu:1 --force
expect 2 "$PIPEWRIGHT" plan job.lua
says "run \`pipewright data job.lua\`"
small="--set model.layers=2 --set model.hidden=32 --set model.ffn=48 --set train.batch.count=1K"
expect 0 "$PIPEWRIGHT" data job.lua
says "data hash: $(sha256sum <job.data/tokens.bin | cut -d ' ' -f 1)"
expect 0 "$PIPEWRIGHT" data job.lua
says "there already"
printf '{"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "vocab_size": 257,
    "num_hidden_layers": 2, "model_type": "llama"}' >config.json
expect 0 "$PIPEWRIGHT" init set.lua --model config.json --data job.data/tokens.idx --context 128
says "next: pipewright plan set.lua"
expect 0 "$PIPEWRIGHT" plan set.lua --set train.batch.count=1K

# What can be seen before training.
expect 0 "$PIPEWRIGHT" stats job.lua --bigram -o lengths.json --svg lengths.svg
says "bigram entropy"
says "held out ("
expect 0 "$PIPEWRIGHT" stats lengths.json
expect 0 "$PIPEWRIGHT" stats job.data/tokens.idx
says "40 documents"
for form in job lengths model layout codelets cost batch plan program; do
    expect 0 "$PIPEWRIGHT" show job.lua --form $form $small
done
# A program after each of its passes, read back and printed again.
for pass in expand communicate overlap allocate prove simulate; do
    "$PIPEWRIGHT" show job.lua --form program --after $pass $small >$pass.txt
    "$PIPEWRIGHT" show job.lua --form program --from $pass.txt $small >again.txt
    cmp $pass.txt again.txt || fail "a program after $pass does not read back"
done
! cmp -s expand.txt communicate.txt || fail "communicate changes nothing"
! cmp -s overlap.txt allocate.txt || fail "allocate changes nothing"
expect 2 "$PIPEWRIGHT" show job.lua --form program --after decide $small
says "--after: found decide"
expect 2 "$PIPEWRIGHT" show job.lua --form plam
says "plan"
expect 2 "$PIPEWRIGHT" plan job.lua $small --step 99999999999999999999
says 'found "99999999999999999999", expected a whole number of at least 0 and below 2^63'
for command in plan "show --form batch"; do
    expect 2 timeout 20 "$PIPEWRIGHT" $command job.lua $small --step 9223372036854775807
    says '--step: found "9223372036854775807", expected a step from 0 to 299: job.lua says train.steps = 300'
done
expect 0 "$PIPEWRIGHT" plan job.lua $small --step 3 --svg plan.svg --times
says "proven: "
expect 0 "$PIPEWRIGHT" plan job.lua $small --json --with-costs
cp said.txt plan.json
expect 0 "$PIPEWRIGHT" plan job.lua $small --from plan.json
expect 2 "$PIPEWRIGHT" plan job.lua --policy nope
says '--policy: policy: found "nope"'
expect 2 "$PIPEWRIGHT" plan job.lua $small --policy seq1f1b --set policy.slice=2
says "did you mean slices?"
expect 2 "$PIPEWRIGHT" plan job.lua --set policy.slices=2.5
says '--set: policy.slices: found "2.5", expected a whole number of at least 1'
sed 's/slices = 4/slices = 0/' job.lua >zero.lua
cp -r job.data zero.data
expect 2 "$PIPEWRIGHT" plan zero.lua
says "zero.lua:$(grep -n 'slices = 0' zero.lua | cut -d : -f 1): policy.slices: found \"0\""
expect 1 env TMPDIR=nowhere "$PIPEWRIGHT" tune job.lua $small -o cost.json
says "nowhere/pipewright-tune-"
expect 0 "$PIPEWRIGHT" doctor --json

# A run, and what is done with it.
expect 0 "$PIPEWRIGHT" run job.lua $small --out run --steps 3
says "3 steps done"
expect 0 "$PIPEWRIGHT" run job.lua $small --out run/ --steps 3
says "has 3 steps of the 3 asked for"
expect 0 "$PIPEWRIGHT" verify run/
says "the token set that the programs were made for"
expect 0 "$PIPEWRIGHT" prove run
says "proven"
# One bit of the ring's count of steps, at byte 70: 2^51 steps.
programs=run/trainer/programs.pw
cp $programs programs.pw
printf '\010' | dd of=$programs bs=1 seek=70 conv=notrunc status=none
expect 2 timeout 60 "$PIPEWRIGHT" prove run
says "the ring's head was changed"
cp programs.pw $programs
expect 2 "$PIPEWRIGHT" prove corpus
says "found no artifact"
expect 0 "$PIPEWRIGHT" diff run run
says "0 differences"
expect 0 "$PIPEWRIGHT" report run
says "loss "
printf '{"step": 4, "lo' >>run/metrics.jsonl
expect 0 "$PIPEWRIGHT" report run
says "the last line is unfinished and left out"
expect 2 "$PIPEWRIGHT" report corpus
says "corpus/metrics.jsonl"
expect 0 "$PIPEWRIGHT" generate run --prompt alpha --tokens 5 --temperature 0
expect 0 "$PIPEWRIGHT" generate run --prompt-tokens "97 98" --tokens 5
[ "$(wc -w <said.txt)" -eq 5 ] || fail "expected five numbers: $said"
expect 2 "$PIPEWRIGHT" generate run --prompt-tokens "97 257"
says 'found "257", expected numbers from 0 to 256'
expect 2 "$PIPEWRIGHT" generate corpus --prompt x
says "found no artifact"
expect 0 "$PIPEWRIGHT" export run/ -o hf/
[ -s hf/model.safetensors ] || fail "nothing was exported"

# Weights to begin from: a folder that does not fit is refused before anything is made.
for command in plan build run; do
    expect 2 "$PIPEWRIGHT" $command job.lua $small --set train.from=nowhere
    says '--set: train.from: found "nowhere", expected a Hugging Face folder'
    says "there is no such folder"
done
sed 's/steps = 300,/steps = 300, from = "hf",/' job.lua >from.lua
cp -r job.data from.data
expect 0 "$PIPEWRIGHT" plan from.lua $small
# A run goes on where that folder has moved, with the copy that its trainer has.
expect 0 "$PIPEWRIGHT" run from.lua $small --out begun --steps 1
mv hf moved
expect 2 "$PIPEWRIGHT" run from.lua $small --out begun --steps 2
says "begun began from is kept in it: --set train.from=$PWD/begun/trainer/first_weights"
expect 0 "$PIPEWRIGHT" run from.lua $small --out begun --steps 2 \
    --set "${said##*--set }"
says "2 steps done"
mv moved hf
# refuses TEXT OPTION...: says it of the job's line
refuses() {
    text=$1
    shift
    expect 2 timeout 60 "$PIPEWRIGHT" plan from.lua $small "$@"
    says "from.lua:$(grep -n 'from = ' from.lua | cut -d : -f 1): train.from: found \"hf\", expected "
    says "$text"
}
refuses "its config.json has num_attention_heads = 4, the job's model 8" \
    --set model.heads=8 --set model.kv_heads=8
refuses "set model.tied = false" --set model.tied=true
printf '{"tie_word_embeddings": true}' >hf/config.json # its head is a copy
expect 0 "$PIPEWRIGHT" plan from.lua $small --set model.tied=true
printf '{' >hf/config.json
refuses "hf/config.json:1"
printf '{}' >hf/config.json
refuses "its model.layers.0.mlp.gate_proj.weight has the shape [48,32], the job's model [64,32]" \
    --set model.ffn=64
refuses "it has no tensor model.layers.2.input_layernorm.weight" --set model.layers=3
refuses "it has a tensor model.layers.1." --set model.layers=1
rm hf/config.json
refuses "there is no config.json in it"
printf '{}' >hf/config.json
map='{"weight_map": {"lm_head.weight": "a.safetensors"}}'
echo "$map" >hf/model.safetensors.index.json
refuses "there is no a.safetensors in it"
# Each tensor of the map is in its shard, which is read once.
echo "$map" | sed 's/a\.safe/model.safe/; s/{"lm/{"none.weight": "model.safetensors", "lm/' \
    >hf/model.safetensors.index.json
refuses "its model.safetensors.index.json maps none.weight to model.safetensors, which has no such"
rm hf/model.safetensors.index.json
# Cut short: in the values, in the header; and a pipe, for which nobody waits.
cp hf/model.safetensors whole.safetensors
bytes=$(wc -c <whole.safetensors)
for cut in $((bytes - 1)) 100; do
    head -c $cut whole.safetensors >hf/model.safetensors
    refuses "its model.safetensors has $cut bytes, its header says "
done
{ cat whole.safetensors && printf x; } >hf/model.safetensors
refuses "its model.safetensors has $((bytes + 1)) bytes, its header says $bytes"
sed 's/data_offsets/data_offsetz/' whole.safetensors >hf/model.safetensors
refuses "has no data_offsets [begin, end]"
mkfifo pipe
cp whole.safetensors hf/model.safetensors
mv pipe hf/other.safetensors
expect 0 timeout 60 "$PIPEWRIGHT" build from.lua $small --no-compile --steps 1 -o built
mv hf/other.safetensors pipe
for file in config.json model.safetensors model.safetensors.index.json; do
    [ ! -e hf/$file ] || mv hf/$file kept
    mv pipe hf/$file
    refuses "its $file is not a plain file"
    mv hf/$file pipe
    [ ! -e kept ] || mv kept hf/$file
done
printf 'nothing of the kind' >hf/model.safetensors
refuses "model.safetensors is no safetensors file"
rm hf/model.safetensors
refuses "there is no model.safetensors in it"

# Evaluation: on what was held out, on one text in three clothes, on parts that make a whole.
loss() {
    expect 0 "$PIPEWRIGHT" evaluate run --json "$@"
    sed 's/.*"targets": \([0-9]*\), "loss": \([0-9.e+-]*\).*/\1 \2/' said.txt
}
expect 0 "$PIPEWRIGHT" evaluate run/
says "bits per byte"
[ "$(loss)" = "$(loss --data job.data/tokens)" ] || fail "the run's own token set is another one"
printf 'alpha beta' >one.txt
printf '{"text": "alpha beta"}\n' >one.jsonl
mkdir one
cp one.txt one
[ "$(loss --data one.txt)" = "$(loss --data one.jsonl)" ] || fail "JSONL gives another loss"
[ "$(loss --data one.txt)" = "$(loss --data one/)" ] || fail "a folder gives another loss"
{ loss --data 'corpus/d[01]*.txt' && loss --data 'corpus/d[23]*.txt' && loss --data corpus; } |
    awk '{ n[NR] = $1; s[NR] = $1 * $2 }
        END { d = s[1] + s[2] - s[3]; exit !(n[1] + n[2] == n[3] && d * d < 1e-6 * s[3]) }' ||
    fail "the loss over parts is not that over all"
expect 2 "$PIPEWRIGHT" evaluate run --data nowhere
says "nowhere: there is no such file or folder"
expect 2 "$PIPEWRIGHT" evaluate run --data corpus/d01.txt corpus/d02.txt
says "write a glob in quotes"
[ -z "$(find run -name 'evaluate.[0-9]*')" ] || fail "something was left in run/"

# A vocabulary of numbers: text means nothing to it.
expect 0 "$PIPEWRIGHT" run set.lua --set train.batch.count=1K --out numbers --steps 1
says "1 step done"
expect 2 "$PIPEWRIGHT" generate numbers --prompt alpha
says "give the prompt as numbers"
expect 0 "$PIPEWRIGHT" generate numbers --prompt-tokens 97,98 --tokens 3
expect 2 "$PIPEWRIGHT" evaluate numbers --data corpus
says "name a token set"
echo "$(echo $commands | wc -w) commands: their help, options and mistakes"
