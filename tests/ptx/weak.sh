# Kernels whose threads tell each other something: every barrier, acquire and release in them is needed. The tests' driver takes one away at a
# time; its memory is as weak as PTX allows (weak.h), so results must be wrong.
. "$SRC/tests/lib.sh"
test="$RNNC test --target=cuda --precision=f32 --form=scan:3 $SRC/tests/ptx/diagonal.rnn"
emulated() { env STUB_MOST=20000000 LD_LIBRARY_PATH="$BUILD/tests/driver" "$@" >told 2>said; }
check "with all of them" emulated $test
n=0
while emulated env STUB_WITHOUT=$n $test; ! grep -q '^without: nothing' said; do
  what=$(sed -n 's/^without: \([a-z.]*\).*/\1/p' said | head -n 1)
  check "number $n, $what, is missed" grep -q '^FAIL' told
  n=$((n + 1))
done
check "forward and backward have five each" [ $n = 10 ]
check "and nothing else was taken" sh -c '! grep -q "^FAIL" told'

# Blocks of a cluster: each barrier of theirs is needed, and what it releases. Other kernels, which do the same elsewhere, are not launched here.
run="env STUB_ARCH=9.0 STUB_SHARED=500 $RNNC run $SRC/stdlib/lstm.rnn --entry=lstm -i $SRC/stdlib/lstm.npz --grad --target=cuda"
check "in clusters" emulated env STUB_SAYS=1 $run -o right.npz
check "forward and backward" sh -c '[ "$(grep -c "_team, .* clusters of 4" said)" = 2 ]'
check "what one block gives" sh -c "LD_LIBRARY_PATH=$BUILD/tests/driver env STUB_ARCH=9.0 STUB_SHARED=64 $RNNC run $SRC/stdlib/lstm.rnn --entry=lstm -i $SRC/stdlib/lstm.npz --grad --target=cuda -o one.npz && cmp one.npz right.npz"
n=0 barriers=0
while emulated env STUB_WITHOUT=$n $run -o y.npz; ! grep -q '^without: nothing' said; do
  what=$(sed -n 's/^without: \([a-z.]*\).*/\1/p' said | head -n 1)
  n=$((n + 1))
  [ "$what" != bar.sync ] || continue
  barriers=$((barriers + 1))
  check "$what, number $n, is missed" sh -c '! cmp -s y.npz right.npz'
  rm -f y.npz
done
check "two barriers a step forward, one backward" [ $barriers = 6 ]
finish
