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
finish
