# Matrix states whose rows take several vectors at once, single ones, and a rest under a mask.
. "$SRC/tests/lib.sh"
for cell in decay delta two_deltas; do
  check "$cell" "$RNNC" test -D K=21 -D V=151 --entry=$cell "$SRC/tests/cells/matrix_states.rnn"
done
finish
