#!/bin/sh
# empty_root: an artifact in a root that holds a C compiler, its headers and libraries, sh and what
# trainer/build calls, and nothing else: no Pipewright, no Lua, no /proc. It is built and trains there,
# to the weights that it has outside. Needs root (chroot) and gcc; else it is skipped (77).
. "$(dirname "$0")/common.sh"
[ -z "$SANITIZERS" ] || skip "a sanitizer's libraries are not in the root"
[ "$(id -u)" = 0 ] || skip "only root can change its root"
compiler=$(cc -print-prog-name=cc1)
[ -x "$compiler" ] || skip "cc is not gcc: which files it needs is not known"
make_corpus
make_job 2 '"seq1f1b", slices = 3'
"$PIPEWRIGHT" data job.lua
expect 0 "$PIPEWRIGHT" build job.lua --no-compile -o trainer
mkdir -p root/tmp root/job root/dev
: >root/dev/null # a plain file: sh wants to read it, and a device is not always allowed
for folder in bin lib lib64; do # they may be links into /usr
    [ ! -L /$folder ] || { mkdir -p root/usr/$folder && ln -s usr/$folder root/$folder; }
done
cp -r trainer job.data root/job
expect 0 trainer/build
expect 0 trainer/train --data job.data/tokens --out run

# give FILE...: copies under the same path, links as what they lead to
give() {
    for file; do
        case $file in
            /*) cp --parents -Lf "$(realpath -s "$file")" root ;;
        esac
    done
}

# programs FILE...: with the shared libraries that they load
programs() {
    give "$@"
    # shellcheck disable=SC2046
    give $(ldd "$@" | grep -o '/[^ :]*\.so[^ :]*')
}

programs /bin/sh
for name in dirname mkdir cmp rm mv ls head tr grep cc; do
    programs "$(command -v $name)"
done
programs "$compiler" "$(command -v as)" "$(command -v ld)" "$(cc -print-prog-name=collect2)" \
    "$(cc -print-file-name=liblto_plugin.so)"
for name in crt1.o Scrt1.o crti.o crtn.o crtbegin.o crtbeginS.o crtend.o crtendS.o libgcc.a libgcc_s.so \
    libgcc_s.so.1 libc.so libc.so.6 libc_nonshared.a libm.so libm.so.6 libmvec.so.1 libpthread.a \
    libpthread.so libpthread.so.0; do
    give "$(cc -print-file-name=$name)" # only the name where there is no such file
done
# The headers that its sources include, and no others.
(
    cd trainer
    # shellcheck disable=SC2046
    $(./build --flags) -include code/shapes.h -M main.c code/*.c templates/cpu/*.c runtime/*.c \
        runtime/transports/threads.c runtime/transports/transport.c
) | tr ' \\' '\n\n' | grep '^/' | sort -u >headers.txt
# shellcheck disable=SC2046
give $(cat headers.txt)

inside="cd /job && trainer/build && trainer/train --data job.data/tokens --out run"
expect 0 chroot root /bin/sh -c "$inside"
expect 0 "$PIPEWRIGHT" verify root/job/trainer
cmp run/states/step-40/master.safetensors root/job/run/states/step-40/master.safetensors ||
    fail "other weights than outside"
echo "built and trained in a root of $(find root -type f ! -path 'root/job/*' | wc -l) files: the" \
    "weights that it has outside"
