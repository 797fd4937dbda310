#!/bin/sh
# bad_input: files and jobs as they should not be, given to the tool: each is refused with status 2,
# its name, what was found and what to do. Broken jobs are in the .lua files beside this one; where
# the rest of the cases are that need more than a file stands in README.
. "$(dirname "$0")/../e2e/common.sh"

# Documents: none, empty ones, what is no text, one that changes.
mkdir corpus
make_job 1 '"gpipe"'
data="$PIPEWRIGHT data job.lua"
sed 's/"corpus"/"nowhere"/' job.lua >missing.lua
expect 2 "$PIPEWRIGHT" data missing.lua
says "missing.lua:3: data.files: nowhere: there is no such file or folder"
expect 2 $data --set data.files=nowhere
says "--set: data.files: nowhere: there is no such file or folder"
expect 2 $data
says "job.lua:3: data.files: corpus: there is no file in it"
: >corpus/empty
expect 2 $data
says "no document in 1 file (1 empty, 0 not UTF-8 text)"
printf 'caf\351' >corpus/latin
expect 2 $data
says "no document in 2 files (1 empty, 1 not UTF-8 text)"
printf 'right' >corpus/utf8
expect 0 $data
says "1 file left out, not UTF-8 text; the first: corpus/latin: byte 3"
expect 2 "$PIPEWRIGHT" run job.lua # its only document is held out
says "no document is left to train on"
sed 's/text { files = "corpus"/jsonl { files = "lines.jsonl"/' job.lua >lines.lua
printf '{"text": "a"}\n{"text": "b"\n' >lines.jsonl
expect 2 "$PIPEWRIGHT" data lines.lua
says "lines.jsonl:2: not JSON"
printf '{"text": "caf\351"}\n' >lines.jsonl
expect 2 "$PIPEWRIGHT" data lines.lua
says "lines.jsonl:1: not JSON"
# One that grows while those before it are read.
head -c 30000000 /dev/zero | tr '\0' a >corpus/a
printf 'a' >corpus/grows
while [ ! -e stop ]; do printf b >>corpus/grows; done &
writer=$!
status=0
$data >said.txt 2>&1 || status=$?
: >stop
wait $writer
said=$(cat said.txt)
[ $status -eq 2 ] || fail "a file that grows is taken: $status: $said"
says "corpus/grows: changed while it was read"

# Token sets: the index cut short at every byte, and with numbers that overflow.
rm -rf corpus
make_corpus
expect 0 $data
cp job.data/tokens.idx whole.idx
for bytes in 0 1 9 17 33 34 100 $(($(wc -c <whole.idx) - 1)); do
    head -c $bytes whole.idx >cut.idx
    expect 2 "$PIPEWRIGHT" stats cut.idx
    says "cut.idx: "
done
# put FILE OFFSET OCTAL...: bytes in place
put() {
    file=$1 offset=$2
    shift 2
    # shellcheck disable=SC2059
    printf "$(printf '\\%s' "$@")" | dd of="$file" bs=1 seek="$offset" conv=notrunc 2>/dev/null
}
for lie in "17 7" "18 377 377 377 377 377 377 377 177" "18 0 0 0 0 0 0 0 100" "26 0 0 0 0 0 0 0 40" \
    "34 377 377 377 377" "194 377 377 377 377 377 377 377 177"; do
    cp whole.idx lies.idx
    # shellcheck disable=SC2086
    put lies.idx $lie
    expect 2 "$PIPEWRIGHT" stats lies.idx
    says "lies.idx: "
done
sed 's/"bytes"/257/; s/text { files = "corpus"/token_set { prefix = "set"/' job.lua >set.lua
expect 2 "$PIPEWRIGHT" plan set.lua
says "set.lua:3: data.prefix: set.idx: cannot be read"
sed 's/token_set { prefix = "set"/lengths { path = "set.json"/' set.lua >lengths.lua
expect 2 "$PIPEWRIGHT" plan lengths.lua
says "lengths.lua:3: data.path: set.json: cannot be read"
expect 2 "$PIPEWRIGHT" data lengths.lua
says "lengths.lua:3: data.path: set.json holds lengths alone"
cp whole.idx set.idx
expect 0 "$PIPEWRIGHT" plan set.lua # an index is enough
head -c 1000 job.data/tokens.bin >set.bin
expect 2 "$PIPEWRIGHT" plan set.lua
says "the .bin has 1000"
cp job.data/tokens.bin set.bin
put set.bin 1001 7
expect 2 "$PIPEWRIGHT" data set.lua
says "outside the model's vocabulary of 257"

# A policy that is not there.
sed 's/"gpipe"/"mine.lua"/' job.lua >policy.lua
cp -r job.data policy.data
expect 2 "$PIPEWRIGHT" plan policy.lua
says "policy.lua:6: policy: found \"mine.lua\", expected the name of a policy, or a file"
says "there is no file mine.lua"
expect 2 "$PIPEWRIGHT" plan job.lua --policy gpipe.lua
says "--policy: policy: found \"gpipe.lua\""
says "a policy that is shipped is named without .lua: \"gpipe\""

# A document longer than memory allows: how much is missing, where, and what would do, which does.
awk 'BEGIN { for (i = 0; i < 10000; i++) printf "word %d\n", i }' >corpus/long.txt
sed 's/context = 128/context = "128K"/; s/tokens(1024)/tokens "128K"/; s/64 MiB/16 MiB/' job.lua >long.lua
cp -r corpus long
expect 0 "$PIPEWRIGHT" data long.lua
expect 2 "$PIPEWRIGHT" plan long.lua --policy seq1f1b
says "bytes are missing"
says "Each of these was tried, and does:"
enough=$(sed -n 's/^  cluster.memory = \([0-9]*\) .*/\1/p' said.txt)
expect 0 "$PIPEWRIGHT" plan long.lua --policy seq1f1b --set cluster.memory="$enough"
sed 's/"split"/"error"/; s/context = "128K"/context = "1K"/' long.lua >refuse.lua
cp -r long.data refuse.data
expect 2 "$PIPEWRIGHT" plan refuse.lua
says 'more than the context of 1024, and the job'\''s data says long = "error"'

# Too little memory: what would do is tried, such as half the context, by which one sequence of an
# odd context becomes three.
rm -rf corpus job.data
make_corpus
make_job 2 '"gpipe"' "1 MiB"
expect 0 $data
expect 2 "$PIPEWRIGHT" plan job.lua --set data.context=33 --set "train.batch=sequences(200)" \
    --set model.layers=2 --set model.hidden=96 --set model.ffn=160
says "data.context = 16 ("
echo "documents, token sets, a document too long, too little memory: refused by name"
