# The free tests on the cells that only the tests of this folder run, and on those that once showed a fault.
. "$SRC/tests/harden/lib"
"$RNNC" test "$HARDEN"/cells/*.rnn >out.txt 2>&1
code=$?
grep -vE '^(pass|note|#)' out.txt
exit $code
