# tests/bench/gpu: skipped without a GPU; all of it, at small sizes, by the tests' driver.
. "$SRC/tests/lib.sh"
mkdir -p none bin && echo "no library" >none/libcuda.so.1
BENCH_DIR=$PWD
export BENCH_DIR
got=0
LD_LIBRARY_PATH=$PWD/none sh "$SRC/tests/bench/gpu" --quick --out none.md >said || got=$?
check "without a GPU it is skipped" test "$got" = 77
check "and says why" grep -q '^skipped: there is no GPU: dlopen: the CUDA driver cannot be loaded' said
check "no table" test ! -e none.md
check "with one, of sm_90" env STUB_ARCH=9.0 LD_LIBRARY_PATH="$BUILD/tests/driver" sh "$SRC/tests/bench/gpu" --quick --out table.md
check "what was checked" grep -qE '^- .rnnc test --target=cuda. over .*: [0-9]{2,} checks passed, 0 failed' table.md
check "a row" grep -qE '^\| gru \| 4 \| 2 \| D=4,H=4 \| [a-z]+(:[0-9]+)? \| [0-9.]+ \|' table.md
check "of rounded factors" grep -qE '^\| gru --precision=bf16 --products=bf16 \| 4 \| 2 \| D=4,H=4 \| [a-z]+(:[0-9]+)? \| [0-9.]+ \| - \|' table.md
check "by groups of warps" grep -qE '^\| gru --precision=bf16 --products=bf16 --arch=sm_90a \| 4 \| 2 \| D=4,H=4 \| [a-z]+(:[0-9]+)? \| [0-9.]+ \| - \|' table.md
check "another, without a rival" grep -qE '^\| mingru \| 8 \| 2 \| H=4 \| [a-z]+(:[0-9]+)? \| [0-9.]+ \| - \|' table.md
got=0
STUB_FAIL="cuLaunchKernel 9 719" LD_LIBRARY_PATH=$BUILD/tests/driver sh "$SRC/tests/bench/gpu" --quick --out bad.md >said 2>&1 || got=$?
check "a failure is told" test "$got" = 1
check "in the table" grep -qE '[1-9][0-9]* failed' bad.md
printf '#!/bin/sh\nexit 9\n' >bin/compute-sanitizer && chmod +x bin/compute-sanitizer
got=0
PATH=$PWD/bin:$PATH LD_LIBRARY_PATH=$BUILD/tests/driver sh "$SRC/tests/bench/gpu" --quick --out bad.md >said 2>&1 || got=$?
check "what a checker of the toolkit finds" test "$got" = 1
check "by name" grep -q 'racecheck FAILED' bad.md
finish
