# A `let` over what leads to a node is made once at each place where it is read: here there are 2^60 ways to the first.
. "$SRC/tests/lib.sh"
awk 'BEGIN {
  print "cell twice[D] over v in dag (x: real[D]) -> h {\n  state h: real[D] = 0.5\n  let s0[u in pred(v)] = h[u] + 1"
  for (i = 1; i <= 60; i++) printf "  let s%d[u in pred(v)] = max(s%d[u], 0.5 * s%d[u])\n", i, i - 1, i - 1
  print "  h = tanh(x + sum(u in pred(v): s60[u]))\n}"
}' >twice.rnn
check "each value is made once" timeout 60 "$RNNC" build twice.rnn --emit=rec -o twice.rec
check "at the edges" sh -c 'test "$(grep -c "real\[slots + olds, B, D\] = max(" twice.rec)" -eq 60'
finish
