# run --check: where the first value came up that is not finite.
. "$SRC/tests/lib.sh"

cat > cells.rnn <<'END'
cell grow over t (x: real) -> y {        # the output hides that the state runs away
  state h: real, other: real
  h = 1e30 * h[t-1] + x
  other = 0.5 * other[t-1] + h
  let y = tanh(other)
}
cell best over t (x: real) -> y {        # begins at minus infinity, as is meant
  state m: real = -inf, n: real
  m = max(m[t-1], x)
  n = 0.5 * n[t-1] + exp(x - m)
  let y = n
}
cell rounds over t (x: real) -> y {
  state h: real
  for j in 3 {
    state p: real = h[t-1]
    p = p[j-1] + where(j == 1, 1 / x - 1 / x, 0)
  }
  h = 0.5 * p
  let y = real(0)
}
cell choice over t (x: real) -> y {      # what is not chosen may be anything
  state y: real
  let a = log(x)
  y = y[t-1] + where(x > 0, a, 0)
}
cell steep over t (x: real) -> h {
  state h: real
  h = 0.5 * h[t-1] + sqrt(x)
}
cell grid over (r, s) (x: real) -> h {
  state h: real
  h = h[r-1, s] + h[r, s-1] + log(x)
}
cell graph over v in dag (x: real) -> h {
  state h: real
  h = log(x) + sum(k in pred(v): h[k])
}
model two(x: real[T]) -> y: real[T] {
  use low = grow, up = rounds
  let y = scan(up, scan(low, x))
}
model plain(x: real[T]) -> y: real[T] {
  let y = log(x)
}
END
run="$RNNC run cells.rnn -i x.npy --check"
nowhere() { printf '\000\000\300\177'; } # nan

ints '4, 2' 0 1 0 0 0 0 0 0 > x.npy
check "all is finite" $run --entry=best
for on in cpu reference; do
  refuses "$on: a state that is no output" 1 "error: rounds: .p. is nan in round 1 of step 0 of sequence 0$" $run --entry=rounds --on=$on
done
refuses "in single precision" 1 "error: grow: .h. is inf at step 2 of sequence 1$" $run --entry=grow
check "in double precision all is finite" $run --entry=grow --precision=f64
refuses "an instance of a model" 1 "error: two: .low.h. is inf at step 2 of sequence 1" $run --entry=two
ints '4, 2' 1 1 1 1 1 1 0 1 > x.npy
refuses "a place outside of cells" 1 "error: plain: .y. is -inf at step 3 of sequence 0$" $run --entry=plain
refuses "a cell in a model" 1 "error: two: .up.p. is nan in round 1 of step" sh -c 'sed "s/scan(low, x)/0 * x/" cells.rnn > two.rnn; "$RNNC" run two.rnn --entry=two -i x.npy --check'
refuses "an output of a cell in a model" 1 "error: two: .y. is -inf at step 3 of sequence 0$" sh -c 'sed "s/real(0)/log(x)/; s/1 . x - 1 . x/0/; s/scan(low, x)/x/" cells.rnn > two.rnn; "$RNNC" run two.rnn --entry=two -i x.npy --check'
check "what is not chosen" $run --entry=choice
refuses "forward first" 1 "error: rounds: .p. is nan in round 1 of step 3 of sequence 0$" $run --entry=rounds --grad
ints '4, 2' 1 1 1 1 1 1 1 1 > d_h.npy
refuses "a gradient" 1 "error: steep: .d_x. is inf at step 3 of sequence 0$" $run --entry=steep --grad -i d_h.npy
ints '4, 2' 1 1 1 1 1 1 1 0 > x.npy
ints '2,' 4 3 > lengths.npy
check "beyond a sequence" $run --entry=rounds -i lengths.npy
refuses "not beyond it" 1 "of step 3 of sequence 1$" $run --entry=rounds

{ npy '<f4' '4, 2' 20; nowhere; npy '<f4' '' 8 | tail -c 8; } > x.npy
refuses "an input" 1 "note: .x. has nan at step 2 of sequence 1$" $run --entry=best
check "and what it does" grep -q "error: best: .[mn]. is nan at step 2 of sequence 1$" last.err
{ npy '<f4' '4, 2' 28; nowhere; } > x.npy
check "an input beyond a sequence" $run --entry=best -i lengths.npy
ints '4, 2' 0 0 0 0 0 0 0 0 > x.npy
{ npy '<f4' '2,' 4; nowhere; } > h0.npy
refuses "a start value" 1 "note: .h0. has nan in sequence 1$" $run --entry=steep -i h0.npy
ints '2, 3, 2' 1 1 1 1 1 1 1 1 1 0 1 1 > x.npy
refuses "a grid" 1 "error: grid: .h. is -inf at place \[1, 1\] of sequence 1$" $run --entry=grid
ints '4, 1' 1 1 0 1 > x.npy
ints '2, 2' 2 1 1 0 > edges.npy
refuses "a graph" 1 "error: graph: .h. is -inf at node 2 of sequence 0$" $run --entry=graph -i edges.npy
finish
