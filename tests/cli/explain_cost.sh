# explain: depth and work of each form are what counting by hand gives; the forms that are not there are not listed.
. "$SRC/tests/lib.sh"
# costs FILE FLAGS...: what explain says of them
costs() {
  "$RNNC" explain "$@" | awk '/^  [a-z]/ { on = $1 == "cost"; sub("cost", "    ") } on { sub("^ *", ""); print }'
}
# says TEXT PATTERN: in costs.txt
says() {
  check "$1" grep -qE -e "$2" costs.txt
}
costs "$SRC/stdlib/elman.rnn" --entry=elman > costs.txt
# two products, the bias, the sum and tanh; backward two products for each, and both of tanh's, and three of sums over places
says "elman step by step" '^sequential: forward depth T, work 2\*B\*T\*D\*H \+ 2\*B\*T\*H\*H \+ 3\*B\*T\*H; backward depth T, work 4\*B\*T\*D\*H \+ 4\*B\*T\*H\*H \+ '
says "iterations with what stays in place" '^newton:64: forward depth T\*iterations, work 2\*B\*T\*D\*H \+ 2\*B\*T\*H\*H\*iterations \+ 4\*B\*T\*H\*H .*; a tree over each window: forward depth T/64 \* 12\*iterations$'
check "nothing but what it has" sh -c '[ "$(cut -d: -f1 costs.txt | tr "\n" " ")" = "sequential newton " ]'
costs "$SRC/stdlib/elman.rnn" --entry=elman -D H=8 > costs.txt
says "elements that mix have no tree" '^newton:64: forward depth T\*iterations, work [^;]*; backward depth T, work [^;]*$'
cat > sum.rnn <<'END'
cell decayed[H] over t (x: real[H], a: real[H]) -> h {
  state h: real[H]
  h = a * h[t-1] + x
}
END
costs sum.rnn > costs.txt
says "a product and a sum" '^sequential: forward depth T, work 2\*B\*T\*H; backward depth T, work [0-9]+\*B\*T\*H$'
says "pieces side by side: two walks of T / 16 and one of 16" '^scan:16: forward depth T/8 \+ 16, .*backward depth T/8 \+ 16, .*; a tree over all places: forward depth 2\*log2\(T\)$'
says "newton's windows" '^newton:64: .*; a tree over each window: forward depth T/64 \* 12\*\(iterations \+ 1\)$'
costs sum.rnn --form=newton:8 > costs.txt
says "the form that is asked for, beside the others" '^newton:8: .*; a tree over each window: forward depth T/8 \* 6\*\(iterations \+ 1\)$'
check "once each" sh -c '[ "$(grep -c . costs.txt)" = 4 ]'
costs sum.rnn --form=scan:16 > costs.txt
check "not twice" sh -c '[ "$(grep -c "^scan:16" costs.txt)" = 1 ]'
costs sum.rnn -D H=3 > costs.txt
says "a bound size" '^sequential: forward depth T, work 6\*B\*T;'
sed 's/derivative = block/derivative = exact/' "$SRC/tests/cells/newton_pieces.rnn" > exact.rnn
costs exact.rnn --entry=mixed > costs.txt
says "whole derivatives in pieces are matrices that are multiplied" '^newton:8: forward depth [^;]*, work 2\*B\*T\*H\*H\*H\*iterations \+ '
cat > dense.rnn <<'END'
cell dense[H] over t (x: real[H]) -> h {
  param A: real[H, H]
  state h: real[H]
  h = A @ h[t-1] + x
}
END
costs dense.rnn > costs.txt
says "a matrix times a vector" '^sequential: forward depth T, work 2\*B\*T\*H\*H \+ B\*T\*H; '
says "matrices times matrices, and both walks of the vector" '^scan:16: forward depth T/8 \+ 16, work 2\*B\*T\*H\*H\*H \+ '
says "newton's adjoint composes none" '^newton:64: .*; backward depth T, work [^;]*$'
costs "$SRC/stdlib/hmm.rnn" --entry=hmm_forward > costs.txt
says "sums under logarithms, and their adjoint" '^scan:16: forward depth .*; backward depth T/8 \+ 16, work 2\*B\*T\*N\*N\*N \+ '
cat > both.rnn <<'END'
import "sum.rnn"
model both[H](x: real[T, H], a: real[T, H]) -> y: real[T, H] {
  use f = decayed[H], g = decayed[H]
  let y = scan(f, x, a) + scan(g, x, a, reverse)
}
model stacked[H](x: real[T, H], a: real[T, H]) -> y: real[T, H] {
  use f = decayed[H], g = decayed[H]
  let y = scan(g, scan(f, x, a), a)
}
END
costs both.rnn --entry=both > costs.txt
says "both directions at once" '^sequential: forward depth T, work 5\*B\*T\*H;'
costs both.rnn --entry=stacked > costs.txt
says "one layer after the other" '^sequential: forward depth 2\*T, work 4\*B\*T\*H;'
cat > grid.rnn <<'END'
cell grid[H] over (r, s) (x: real[H]) -> h {
  state h: real[H]
  h = tanh(h[r-1, s] + h[r, s-1] + x)
}
END
costs grid.rnn > costs.txt
says "a grid place by place" '^sequential: forward depth R\*S, '
says "in waves" '^wavefront: forward depth R \+ S, '
costs "$SRC/stdlib/mamba2.rnn" --entry=mamba2 > costs.txt
says "chunks" '^chunk:16: forward depth T/16 \+ 16, '
cat > none.rnn <<'END'
model none[H](x: real[T, H]) -> y: real[T, H] {
  let y = 2 * x + 1
}
END
costs none.rnn > costs.txt
check "no recurrence" sh -c '[ "$(cat costs.txt)" = "sequential: forward depth 0, work 2*B*T*H; backward depth 0, work B*T*H" ]'
finish
