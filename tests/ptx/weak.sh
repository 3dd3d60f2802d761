# Kernels whose threads tell each other something: every barrier, acquire and release in them is needed. The tests' driver takes one away at a
# time; its memory is as weak as PTX allows (weak.h), so results must be wrong.
. "$SRC/tests/lib.sh"
test="$RNNC test --target=cuda --precision=f32 --form=scan:3 $SRC/tests/ptx/diagonal.rnn"
emulated() { env STUB_MOST=20000000 LD_LIBRARY_PATH="$BUILD/tests/driver" "$@" >told 2>said; }
emulated_loud() { env LD_LIBRARY_PATH="$BUILD/tests/driver" "$@"; }
check "with all of them" emulated $test
n=0
while emulated env STUB_WITHOUT=$n $test; ! grep -q '^without: nothing' said; do
  what=$(sed -n 's/^without: \([a-z.]*\).*/\1/p' said | head -n 1)
  check "number $n, $what, is missed" grep -q '^FAIL' told
  n=$((n + 1))
done
check "forward and backward have five each" [ $n = 10 ]
check "and nothing else was taken" sh -c '! grep -q "^FAIL" told'

# RNNC_ALL=1: the same of every entry of the standard library that looks back, but for barriers, of which unit.test_barriers knows cases that need
# them, and for kernels that are launched only instead of others.
[ "${RNNC_ALL-}" ] && for file in "$SRC"/stdlib/*.rnn; do
  for entry in $(grep -oE '^(cell|model) +[a-z_0-9]+' "$file" | sed 's/.* //'); do
    "$RNNC" build "$file" --entry=$entry --form=scan:3 --target=ptx --arch=sm_80 -o k >/dev/null 2>&1 && grep -q ld.acquire k.ptx || continue
    all="$RNNC test --target=cuda --precision=f32 --form=scan:3 --entry=$entry $file"
    n=0
    while emulated env STUB_WITHOUT=$n $all; ! grep -q '^without: nothing' said; do
      what=$(sed -n 's/^without: \([a-z.]*\).*/\1/p' said | head -n 1)
      grep -qE '^without: bar.sync|_team|_kept' said || check "$entry: number $n, $what, is missed" grep -q '^FAIL' told
      n=$((n + 1))
    done
  done
done

# Blocks of a team: each barrier of theirs is needed, and what it releases and acquires. Kernels that do the same elsewhere are not launched here.
# missed WORDS: takes away what is one of these words, in kernels of teams; in $taken, how often
run="$RNNC run $SRC/stdlib/lstm.rnn --entry=lstm -i $SRC/stdlib/lstm.npz --grad --target=cuda"
missed() {
  n=0 taken=0
  while emulated env STUB_SHARED=500 STUB_WITHOUT_IN=_team STUB_WITHOUT=$n $run -o y.npz; ! grep -q '^without: nothing' said; do
    what=$(sed -n 's/^without: \([a-z.]*\).*/\1/p' said | head -n 1)
    n=$((n + 1))
    echo "$what" | grep -qE "^($1)" || continue
    taken=$((taken + 1))
    check "$what, number $n, is missed" sh -c '! cmp -s y.npz right.npz'
    rm -f y.npz
  done
}
check "what one block gives" emulated env STUB_SHARED=64 $run -o right.npz
export STUB_ARCH=9.0
check "in clusters" emulated env STUB_SAYS=1 STUB_SHARED=500 $run -o y.npz
check "forward and backward" sh -c '[ "$(grep -c "_team, .* clusters of 4" said)" = 2 ] && cmp y.npz right.npz'
missed 'barrier.cluster|arrive'
check "a barrier a step, forward and backward" [ $taken = 4 ]
export STUB_ARCH=8.9
check "at counters" emulated env STUB_SAYS=1 STUB_SHARED=500 $run -o y.npz
check "all at a time" sh -c '[ "$(grep -c "_team, 8 blocks .*, cooperative" said)" = 2 ] && cmp y.npz right.npz'
missed 'bar.sync|red.release|ld.acquire'
check "each is two of the block, and two of the team; one more of the block forward" [ $taken = 9 ]
refuses "blocks that do not run at a time" 1 'cuCtxSynchronize: CUDA_ERROR_LAUNCH_TIMEOUT' emulated_loud env STUB_APART=1 STUB_SHARED=500 $run -o y.npz
finish
