# --emit=cubin and fatbin: what ptxas and fatbinary are asked for, and what there is without them. With them, launchers of fat binaries run
# by the tests' driver, which takes what its device can run.
. "$SRC/tests/lib.sh"
gru=$SRC/stdlib/gru.rnn
mkdir none fake
build() { "$RNNC" build "$gru" --entry=gru "$@"; }

# ---- without ----
refuses "no ptxas" 1 '\-\-emit=cubin needs ptxas, .*PTXAS may say where it is' env PATH="$PWD/none" "$RNNC" build "$gru" --entry=gru --target=ptx --emit=cubin -o x
refuses "nor where it is said to be" 1 '`/nowhere/ptxas` cannot be run' env PTXAS=/nowhere/ptxas "$RNNC" build "$gru" --entry=gru --target=cuda --emit=fatbin -o x
refuses "a CPU" 2 '\-\-emit=fatbin is of --target=ptx and cuda' build --emit=fatbin -o x
refuses "several for PTX" 2 'several --arch are of --emit=fatbin' build --target=ptx --arch=sm_75,sm_80 -o x
refuses "several for one machine code" 2 'several --arch are of --emit=fatbin' build --target=ptx --emit=cubin --arch=sm_75,sm_80 -o x
refuses "several where it runs" 2 'several --arch are of --emit=fatbin' "$RNNC" test "$gru" --target=cuda --arch=sm_75,sm_80
refuses "one that there is not" 2 'takes sm_75.*not .sm_80,sm_12' build --target=ptx --emit=fatbin --arch=sm_80,sm_12 -o x
check "nothing was written" sh -c '! ls x.* 2>/dev/null'

# ---- what they are asked for: programs that write it down ----
cat >fake/ptxas <<'END'
#!/bin/sh
arch=$1
case $2 in -lineinfo) lines=$2; shift ;; esac
[ "$2" = -o ] && grep -q '^\.target sm_75' "$4" && echo "code $arch $lines" >"$3"
END
cat >fake/fatbinary <<'END'
#!/bin/sh
out=${3#--create=}
shift 3
for image; do echo "$image" | sed 's/file=.*//'; cat "${image##*file=}"; done >"$out"
END
printf '#!/bin/sh\necho "ptxas fatal: no\nmore" >&2\nexit 1\n' >fake/bad
chmod +x fake/*
export TMPDIR="$PWD/none"
faked() { env PATH="$PWD/fake:$PATH" "$RNNC" build "$gru" --entry=gru "$@"; }
check "machine code" sh -c 'PATH="$PWD/fake:$PATH" "$RNNC" build "$1" --entry=gru --target=ptx --emit=cubin --arch=sm_75 -o k && [ "$(cat k.cubin)" = "code -arch=sm_75 " ] && ls k.* >files &&
  printf "k.cubin\nk.json\n" | cmp - files && grep -q "\"code\": \"cubin\"" k.json' sh "$gru"
check "with lines" sh -c 'PATH="$PWD/fake:$PATH" "$RNNC" build "$1" --entry=gru --target=ptx --emit=cubin --arch=sm_75 -g -o k.cubin && [ "$(cat k.cubin)" = "code -arch=sm_75 -lineinfo" ]' sh "$gru"
check "several, the oldest first, each once, and PTX" faked --target=ptx --emit=fatbin --arch=sm_90,sm_75,sm_90,sm_86 -o f
build --target=ptx --arch=sm_75 -o k || exit 1
check "in this order" sh -c '{ for a in 75 86 90; do echo "--image3=kind=elf,sm=$a,"; echo "code -arch=sm_$a "; done; echo "--image3=kind=ptx,sm=75,"; cat k.ptx; } | cmp - f.fatbin'
refuses "what ptxas refuses" 1 'bad does not take the kernels: ptxas fatal: no$' env PTXAS="$PWD/fake/bad" "$RNNC" build "$gru" --entry=gru --target=ptx --emit=cubin -o x
refuses "what fatbinary refuses" 1 'bad does not take the kernels: ptxas fatal: no$' env PATH="$PWD/fake:$PATH" FATBINARY="$PWD/fake/bad" "$RNNC" build "$gru" --entry=gru --target=ptx --arch=sm_75 --emit=fatbin -o x
check "no file is left" sh -c '! ls x.* none/* 2>/dev/null'
check "dependencies name it" sh -c 'PATH="$PWD/fake:$PATH" "$RNNC" build "$1" --entry=gru --target=ptx --emit=fatbin --arch=sm_75 -MD -o f && grep -q "^f.fatbin: " f.d' sh "$gru"

# ---- the real ones ----
command -v ptxas >/dev/null && command -v fatbinary >/dev/null || { echo "skipped: ptxas and fatbinary are not installed"; finish; }
echo=$SRC/examples/gpu/echo.rnn
# program NAME OPTIONS...: the example, whose launcher is built so; it compares with the CPU
"$RNNC" build "$echo" --entry=echo --prefix=echo_cpu -o echo_cpu || exit 1
program() {
  name=$1
  shift
  "$RNNC" build "$echo" --entry=echo --target=cuda "$@" -o echo && "$CC" -std=c17 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -c echo.c &&
    "$CC" -std=c17 -I. -I"$SRC/examples/gpu" "$SRC/examples/gpu/main.c" "$SRC/examples/gpu/device.c" echo.o echo_cpu.o -ldl -lm -o "$name"
}
# takes PROGRAM ARCH PATTERN: what the driver of such a device loads, and results are right
takes() {
  env STUB_SAYS=1 STUB_ARCH="$2" LD_LIBRARY_PATH="$BUILD/tests/driver" "./$1" 5 2 4 2>said >told || { cat said; return 1; }
  grep -qxE "$3" said || { cat said; return 1; }
}
check "a fat binary, with lines" program fat --emit=fatbin --arch=sm_80,sm_75,sm_90 -g
check "its own machine code: sm_75" takes fat 7.5 'loaded: machine code sm_75'
check "sm_80" takes fat 8.0 'loaded: machine code sm_80'
check "sm_89 takes that of sm_80" takes fat 8.9 'loaded: machine code sm_80'
check "sm_90" takes fat 9.0 'loaded: machine code sm_90'
check "later ones take the PTX" takes fat 12.0 'loaded: PTX sm_75'
check "one generation alone, and PTX of it" program alone --emit=fatbin --arch=sm_90a --precision=f32
check "on it" takes alone 9.0 'loaded: machine code sm_90'
device() { env STUB_SAYS=1 STUB_ARCH="$1" LD_LIBRARY_PATH="$BUILD/tests/driver" "$2" 5 2 4; }
refuses "not on a later one" 1 'of a later generation than the code of the kernels' device 10.0 ./alone
refuses "an older device" 1 'older than the architecture' device 7.0 ./fat
check "machine code" program one --emit=cubin --arch=sm_86
refuses "is loaded as it is" 1 'loaded: machine code sm_86' device 8.9 ./one
refuses "not for an older device" 1 'older than the architecture' device 8.0 ./one
refuses "nor for a later generation" 1 'of a later generation than the code of the kernels' device 9.0 ./one
check "the same bytes again" sh -c 'for i in a b; do "$RNNC" build "$1" --entry=gru --target=ptx --emit=fatbin --arch=sm_80,sm_90 -g -o $i || exit 1; done; cmp a.fatbin b.fatbin' sh "$gru"
finish
