# test: sizes that must be known, instability in single precision, the order of what is printed; explain where nothing recurs.
. "$SRC/tests/lib.sh"

cat > stack.rnn <<'END'
import "lstm.rnn"
model stack[N, E](x: real[T, E]) -> a: real[T, E] {
  use layer[N] = lstm[E, E]
  for l in N {
    state a: real[T, E] = x
    a = a[l-1] + scan(layer[l], a[l-1])
  }
}
END
check "a size that is not known is no failure" sh -c '"$RNNC" test stack.rnn > said.txt'
check "one line says which" grep -q "^skip  stack: the size of N must be known" said.txt
check "and nothing else" grep -q "^0 passed, 0 failed, 1 skipped" said.txt
check "-D reaches the free tests" sh -c '"$RNNC" test stack.rnn -D N=2 --precision=f64 > said.txt'
check "and they run" grep -q "pass  stack: gradients agree" said.txt

# With an axis of two elements layer_norm is nearly a jump, and its gradient a difference of almost equal values.
cat > ln.rnn <<'END'
cell ln[D, H] over t (x: real[D]) -> h {
  param W: real[H, D]
  param U: real[H, H]
  param b: real[H]
  state h: real[H]
  h = tanh(layer_norm(W @ x + U @ h[t-1] + b, 1e-5))
}
END
for seed in 1 2 3 4 5 6 7 8 9 10; do
  check "layer_norm with seed $seed" "$RNNC" test ln.rnn --seed=$seed --precision=f32
done

cat > length.rnn <<'END'
import "gru.rnn"
model scanned[D, H](x: real[T, D], n: int) -> y: real[T, H] {
  use g = gru[D, H]
  let y = scan(g, x, length = n)
}
model added[D](x: real[T, D], n: int) -> y: real[T, D] {
  use g = gru[D, D]
  let y = x + scan(g, x, length = n)
}
model copied[N](x: int[T], n: int) -> y: real[T, N] {     # says itself what it reads: x is read everywhere
  use c = copy[N]
  let live[i in T] = i < n
  let y = scan(c, x, live)
}
cell copy[N] over t (x: int, live: bool) -> h {
  param E: real[N, 4]
  state h: real[N]
  h[i] = where(live, E[i, x], h[t-1][i])
}
END
check "lengths of models" sh -c '"$RNNC" test length.rnn --cpu=baseline > said.txt'
check "what lies beyond them" grep -q "pass  scanned: what lies beyond" said.txt
check "but not what is read elsewhere" sh -c '! grep -qE "(added|copied): what lies beyond" said.txt'

# A staircase so fine that differences see a slope, which its derivative does not have: a failure, whatever stands beside it.
cat > beside.rnn <<'END'
fn doubled(u: real) = u derivative u: 2
cell stairs over t (x: real) -> y {
  state y: real
  y = 0.5 * y[t-1] + floor(x * 68719476736) / 68719476736 + softplus(x)
}
cell stopped over t (x: real) -> y {
  state y: real
  y = 0.5 * y[t-1] + x * stop(x)
}
cell chosen over t (x: real) -> y {
  state y: real
  y = 0.5 * y[t-1] + doubled(x)
}
cell passed over t (x: real) -> y {
  state y: real
  y = 0.5 * y[t-1] + straight(x, x * x)
}
END
"$RNNC" test beside.rnn > said.txt
check "what is chosen elsewhere excuses nothing" grep -qE "^FAIL +stairs: the gradient by .x. is" said.txt
for name in stopped chosen passed; do
  check "$name: what is chosen is told, and no failure" grep -qE "^pass +$name: the chosen derivative by .x. is .* away from differences" said.txt
done
check "nothing else fails" grep -q ", 1 failed, 0 skipped" said.txt

cat > bad.rnn <<'END'
cell bad[H] over t (x: real[H]) -> h {
  state h: real[H]
  h = h[t-1] + nothing
}
END
check "errors begin on a line of their own" sh -c '! "$RNNC" test bad.rnn > all.txt 2>&1 && grep -q "^bad.rnn:3:" all.txt && head -n 1 all.txt | grep -q "^# bad.rnn$"'

# Reference values with a NaN, where the cell gives 0.
cat > make.rnn <<'END'
model make(u: real[T]) -> x: real[T], h: real[T] {
  let x = u
  let h[t] = where(t == 2, log(u[t] - 1), u[t])
}
END
cat > nan.rnn <<'END'
cell nan over t (x: real) -> h {
  state h: real
  h = x + h[t-1]
}
test nan { data "nan.npz" }
END
npy '<f8' '4, 1' 32 > u.npy
check "an array with a NaN" "$RNNC" run make.rnn --on=reference -i u.npy -o nan.npz
"$RNNC" test nan.rnn > said.txt
check "a NaN is told as one" grep -qE "^FAIL +nan: .*.h. element 2 is 0, not -?nan" said.txt

cat > flat.rnn <<'END'
model flat[D](x: real[T, D]) -> y: real[T, D], s: real[D], r: real[T] {
  let y = x * x
  let s = sum(t: x[t])
  let r[t] = sum(u: x[u, 0]) + x[t, 0]
}
END
check "explain where nothing recurs" sh -c '"$RNNC" explain flat.rnn > said.txt'
check "its backward function is not nothing" grep -qE "backward +no recurrence; [0-9]+ elementwise functions" said.txt
check "each output that does not stream has its reason" sh -c 'grep -qE "none for .s.: .+" said.txt && grep -qE "none for .r.: .+" said.txt'

cat > thousand.rnn <<'END'
model thousand(x: real[T]) -> y: real {
  let y = x[1000]
}
END
check "lengths that no draw has" sh -c '"$RNNC" test thousand.rnn --cpu=baseline > said.txt'
check "packed sequences that are never compared" grep -q "^skip  thousand: packed sequences: no sizes were found that fit each other" said.txt

# A call of `chunk` is shorter than the sequence, so what the length says would be another thing in it.
cat > length_of.rnn <<'END'
model from_table[P](x: real[T]) -> y: real[T] {
  param e: real[P] ~ uniform(1)
  let y = x + e[0:T]
}
model one_of_table[P](x: real[T]) -> y: real[T] {
  param e: real[P] ~ uniform(1)
  let y = x + e[P-T]
}
model part_of_row[D, P](x: real[T, D]) -> y: real[T, D] {
  param e: real[D, P] ~ uniform(1)
  let s = sum(e[:, 0:T])
  let y = x + s
}
model by_length(x: real[T]) -> y: real[T] {
  let y = x / T
}
model half_of_table[N = (T - 1) / 2](x: real[T], e: real[7]) -> y: real[T] {
  let s = sum(e[0:N])
  let y = x + s
}
model from_fixed(x: real[T], e: real[7]) -> y: real[T] {
  let s = sum(e[0:3])
  let y = x + s
}
END
check "what depends on the length" sh -c '"$RNNC" test length_of.rnn --cpu=baseline > said.txt'
for model in from_table one_of_table part_of_row by_length half_of_table; do
  check "$model has no chunk" grep -q "^skip  $model: step and chunk do not exist: it depends on the length of the sequence" said.txt
done
check "a slice of one size does" grep -q "^pass  from_fixed: step and chunks equal forward" said.txt

# operators that are declared associative
cat > operators.rnn <<'END'
associative fn plus(a: real, b: real) = a + b
associative fn halves(a: real, b: real) = 0.5 * (a + b)
associative fn second[K](a: real[K], m: int, b: real[K], m2: int) -> v, w {
  let v = a + b * real(1 + m2)
  let w = m + m2
}
associative fn never(a: real, b: real) = log(-1 - abs(a) - abs(b))
END
check "operators that are not associative fail" sh -c '! "$RNNC" test operators.rnn > said.txt'
check "one that is" grep -q "^pass  plus: is associative in 64 draws, to " said.txt
check "one that is not, with its draw" grep -q "^FAIL  halves: is not associative: .halves. of ((a, b), c) and of (a, (b, c)) differ by .* in draw 1; operands .*, .*, " said.txt
check "which result, with the sizes" grep -q "^FAIL  second: is not associative: .v. of .* in draw 1, K = " said.txt
check "one that no draw tells of" grep -q "^FAIL  never: no draw shows whether it is associative: .* (64 draws rejected)" said.txt
check "all are counted" grep -q "^1 passed, 3 failed, 0 skipped" said.txt
check "one alone" "$RNNC" test operators.rnn --entry plus
finish
