# common: what the scripts beside it share. They get, from meson, PIPEWRIGHT (the tool), INTERPOSE
# (interpose.so), WORK (a folder of their own, which they empty first), CFLAGS (for trainers) and
# SANITIZERS (which are among them, often none).
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
rm -rf "$WORK"
mkdir -p "$WORK"
cd "$WORK"

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

skip() {
    echo "skipped: $*"
    exit 77
}

# expect STATUS COMMAND...: its output, both kinds, is in `said` and in the file said.txt
expect() {
    wanted=$1
    shift
    status=0
    "$@" >said.txt 2>&1 || status=$?
    said=$(cat said.txt)
    [ $status -eq "$wanted" ] || fail "$*: ended with $status, expected $wanted: $said"
}

# says TEXT: the last command said it
says() {
    case $said in
        *"$1"*) ;;
        *) fail "expected \"$1\" in: $said" ;;
    esac
}

# Forty documents of skewed lengths, of words that the number alone decides.
make_corpus() {
    mkdir -p corpus
    awk 'BEGIN {
        n = split("alpha beta gamma delta one two three ship wright pipe loss", word, " ")
        x = 7
        for (d = 0; d < 40; d++) {
            x = (x * 16807) % 2147483647
            length_left = 40 + (x % 7) * (x % 11) * (x % 13)
            file = sprintf("corpus/d%02d.txt", d)
            while (length_left > 0) {
                x = (x * 16807) % 2147483647
                w = word[x % n + 1]
                printf "%s%s", w, (x % 5 ? " " : "\n") > file
                length_left -= length(w) + 1
            }
            close(file)
        }
    }'
}

# make_job RANKS POLICY [MEMORY]: job.lua
save_every=5 evaluate_every=20
make_job() {
    cat >job.lua <<END
return job {
  model   = llama { layers = 4, hidden = 32, heads = 4, kv_heads = 2, ffn = 48, vocab = "bytes" },
  data    = text { files = "corpus", context = 128, long = "split", held_out = "10%" },
  cluster = cpu { ranks = $1, memory = "${3:-64 MiB}" },
  layout  = { stages = $1 },
  policy  = { $2 },
  train   = { batch = tokens(1024), steps = 40, seed = 3, clip = 1.0,
              optimizer = adamw { lr = "1e-3", weight_decay = 0.1 }, curve = constant {},
              save = { every = $save_every, keep = 2 }, evaluate = { every = $evaluate_every } },
}
END
}

# flip FILE: its middle byte's lowest bit
flip() {
    middle=$(($(wc -c <"$1") / 2))
    byte=$(od -An -tu1 -j $middle -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059
    printf "\\$(printf %o $((byte ^ 1)))" |
        dd of="$1" bs=1 seek=$middle count=1 conv=notrunc 2>/dev/null
}

weights_hash() {
    sha256sum <"$1/states/step-40/master.safetensors"
}

# The next number of a sequence that a seed begins: random N
random_state=1
random() {
    random_state=$(((random_state * 1103515245 + 12345) % 2147483648))
    picked=$((random_state / 65536 % $1))
}
