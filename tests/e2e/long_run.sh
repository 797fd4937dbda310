#!/bin/sh
# long_run: thousands of steps beside a planner. What both processes hold in memory, and how many
# files the run has, no longer grows after the first steps. Prints how long ranks waited for a
# program, and what the planner's processor time is to the trainer's.
#   long_run.sh STEPS
. "$(dirname "$0")/common.sh"
[ -r /proc/self/stat ] || skip "no /proc"
steps=$1
make_corpus
save_every=50 evaluate_every=500
make_job 2 '"seq1f1b", slices = 4'
"$PIPEWRIGHT" data job.lua

# kib PID: resident;  ticks PID: of processor time, of children that ended as well
kib() {
    sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB$/\1/p' "/proc/$1/status"
}
ticks() {
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 + $14 + $15 }'
}

"$PIPEWRIGHT" run job.lua --set train.steps="$steps" --out run >said.txt 2>&1 &
tool=$!
# Of the tool's two children the trainer has another name. A line: step, memory and time of both,
# files. One that ends between two looks leaves its line unfinished.
trainer='' planner=''
while kill -0 $tool 2>/dev/null; do
    for child in $(cat "/proc/$tool/task/$tool/children" 2>/dev/null); do
        case $(cat "/proc/$child/comm" 2>/dev/null) in
            train) trainer=$child ;;
            pipewright) planner=$child ;;
        esac
    done
    if [ -n "$trainer" ] && [ -n "$planner" ] && [ -s run/metrics.jsonl ]; then
        echo "$(grep -c '"step"' run/metrics.jsonl) $(kib "$trainer") $(kib "$planner")" \
            "$(ticks "$trainer") $(ticks "$planner") $(find run -type f 2>/dev/null | wc -l)"
    fi
    sleep 0.2
done 2>/dev/null | awk 'NF == 6' >looks.txt
wait $tool || fail "$(cat said.txt)"

# From a twentieth of the steps on to a fifth everything comes to its size; 1 MiB is for a step that
# is larger than all before it.
awk -v steps="$steps" '
    $1 >= steps / 20 && $1 < steps / 5 { early++; for (i = 2; i <= 3; i++) if ($i > base[i]) base[i] = $i
                                         if ($6 > base[6]) base[6] = $6 }
    $1 >= steps / 5 { late++; for (i = 2; i <= 3; i++) if ($i > most[i]) most[i] = $i
                      if ($6 > most[6]) most[6] = $6 }
    { trainer = $4; planner = $5 }
    END {
        printf "trainer %d KiB, then at most %d; planner %d, then %d; files %d, then %d\n",
            base[2], most[2], base[3], most[3], base[6], most[6]
        printf "processor time: planner %.2f s, trainer %.2f s: %.3f of it\n",
            planner / 100, trainer / 100, planner / trainer
        if (early < 3 || late < 3) { print early + 0, "and", late + 0, "looks"; exit 1 }
        for (i = 2; i <= 3; i++) if (most[i] > base[i] + 1024) exit 1
        exit most[6] > base[6]
    }' looks.txt >growth.txt || fail "$(cat growth.txt)"
cat growth.txt
sed -n 's/.*"step_s": \([0-9.e-]*\).*"wait_s": \([0-9.e-]*\).*/\1 \2/p' run/metrics.jsonl |
    awk '{ all += $1 + $2; waited += $2 }
         END { printf "ranks waited for programs %.2f%% of %.1f s, %d steps\n", 100 * waited / all, all, NR }'
