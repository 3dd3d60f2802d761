# --form with what is no form, and with a form that a recurrence does not have.
. "$SRC/tests/lib.sh"
gla=$SRC/stdlib/gla.rnn

# writes_nothing TEXT: the command before left no file
writes_nothing() {
  if [ -e out.o ] || [ -e out.h ] || [ -e out.json ] || [ -e out.npz ]; then
    echo "FAIL: $1 wrote a file"
    failures=$((failures + 1))
    rm -f out.*
  fi
}

for form in chunk chunk: chunk:0 chunk:x chunk:-1 chunk:+8 chunk:4x chunk:4097 chunk:99999999999999999999 chunk:1.5 'chunk:8 ' \
  scan: scan:0 scan:x scan:16x scan:4097 foo '' sequential:1 Scan; do
  refuses "build --form='$form'" 2 "rnnc: error: --form is sequential, chunk:N, scan, scan:N, newton, newton:N, convolution, convolution:N, cascade, wavefront, block or block:N" "$RNNC" build "$gla" --form="$form" -o out
  writes_nothing "build --form='$form'"
  refuses "run --form='$form'" 2 "rnnc: error: --form is " "$RNNC" run "$gla" --form="$form" -i "$SRC/stdlib/gla.npz" -o out.npz
  writes_nothing "run --form='$form'"
done
refuses "explain --form=chunk:0" 2 "rnnc: error: --form is " "$RNNC" explain "$gla" --form=chunk:0
refuses "test --form=chunk:0" 2 "rnnc: error: --form is " "$RNNC" test "$gla" --form=chunk:0

cat > shapes.rnn <<'END'
cell nonlinear[H] over t (x: real[H]) -> h {
  state h: real[H]
  let y = tanh(h[t-1])
  h = y + x
}
cell dense[H] over t (x: real[H]) -> h {
  param A: real[H, H]
  state h: real[H]
  h = A @ h[t-1] + x
}
cell wide[H, K, L] over t (x: real[H, K, L]) -> h {
  param A: real[H, K, L, H, K, L]
  state h: real[H, K, L]
  h[i, j, k] = sum(a in H, b in K, c in L: A[i, j, k, a, b, c] * h[t-1][a, b, c]) + x[i, j, k]
}
cell pair[H] over t (x: real[H]) -> p {
  state p: real[H], q: real
  p = 0.5 * p[t-1] + q[t-1]
  q = 0.5 * q[t-1] - sum(p[t-1]) + x[0]
}
cell vector[H] over t (x: real[H]) -> h {
  state h: real[H]
  h = 0.5 * h[t-1] + x
}
cell no_state[H] over t (x: real[H]) -> y {
  let y = x * x
}
cell counted[H] over t (x: real[H]) -> h {
  state h: real[H]
  state n: int
  n = n[t-1] + where(x[0] > 0, 1, 0)
  h = tanh(h[t-1] + real(n[t-1]) * x)
}
cell whole_state[K, V] over t (k: real[K], v: real[V]) -> S {
  state S: real[K, V]
  S = 0.5 * S[t-1] + outer(k, v)
}
END

# lacks FILE ENTRY FORM REASON: build and explain refuse with the form, the reason's id and its line; nothing is written
lacks() {
  refuses "build: $2 has no $3" 1 ".$2. has no form $3: $4" "$RNNC" build "$1" --entry="$2" --form="$3" -o out
  writes_nothing "build $2 --form=$3"
  refuses "explain: $2 has no $3" 1 ".$2. has no form $3: $4" "$RNNC" explain "$1" --entry="$2" --form="$3"
}
lacks shapes.rnn nonlinear scan:4 "the step is not affine in the state \[F05\], line 3"
lacks shapes.rnn nonlinear chunk:8 "the step is not affine in the state \[F05\], line 3"
lacks shapes.rnn wide scan:16 "its arrays would have too many axes \[F04\]"
lacks shapes.rnn dense convolution:16 "composing steps would multiply matrices \[F08\], line [0-9]+"
lacks shapes.rnn pair chunk:4 "several states of different shapes need each other \[F07\], line [0-9]+"
lacks shapes.rnn vector chunk:4 ".* \[F10\], line [0-9]+"
lacks shapes.rnn no_state scan:16 ".* \[F0[12]\]"
lacks shapes.rnn whole_state chunk:2 "the state itself is wanted at every place \[F15\], line [0-9]+"

lacks shapes.rnn no_state newton:64 ".* \[F0[12]\]"
lacks shapes.rnn counted newton:8 "a state is not of real numbers \[F20\], line [0-9]+"

cat > kernels.rnn <<'END'
cell gated[H, N] over t (u: real[H], g: real[H]) -> y {
  state x: real[H, N]
  x[h, n] = g[h] * x[t-1][h, n] + u[h]
  let y[h] = sum(n: x[h, n])
}
cell two[H, N] over t (u: real[H]) -> y {
  state x: real[H, N], z: real[H, N]
  x[h, n] = 0.5 * x[t-1][h, n] + u[h]
  z[h, n] = 0.5 * z[t-1][h, n] + x[h, n]
  let y[h] = sum(n: z[h, n])
}
cell wide[H, N] over t (u: real[H, N]) -> y {
  param a: real[H, N]
  state x: real[H, N]
  x = a * x[t-1] + u
  let y[h] = sum(n: x[h, n])
}
cell mixed[H, N] over t (u: real[H]) -> y {
  param C: real[H, H, N]
  state x: real[H, N]
  x[h, n] = 0.5 * x[t-1][h, n] + u[h]
  let y[g] = sum(h, n: C[g, h, n] * x[h, n])
}
cell sometimes[H, N] over t (u: real[H]) -> y {
  state x: real[H, N]
  x[h, n] = where(u[0] > 0, 0.5 * x[t-1][h, n] + u[h], x[t-1][h, n])
  let y[h] = sum(n: x[h, n])
}
END
lacks kernels.rnn gated convolution:8 ".* \[F21\], line 3"
lacks kernels.rnn two convolution:64 "several states follow each other \[F22\]"
lacks kernels.rnn sometimes convolution:64 ".* \[F23\], line [0-9]+"
lacks kernels.rnn wide convolution:64 ".* \[F24\], line [0-9]+"
lacks kernels.rnn mixed convolution:64 ".* \[F1[78]\], line [0-9]+"
lacks shapes.rnn nonlinear convolution:64 "the step is not affine in the state \[F05\], line 3"
lacks shapes.rnn vector convolution:64 "the state itself is wanted at every place \[F15\]"

# Blocks of a grid.
cat >blocks.rnn <<'END'
cell further[D] over (r, s) (x: real[D]) -> h {
  state h: real[D]
  h = 0.5 * h[r-2, s] + 0.5 * h[r, s-1] + x
}
cell mixing[D] over (r, s) (x: real[D]) -> h {
  param A: real[D, D]
  state h: real[D]
  h = A @ h[r-1, s] + 0.5 * h[r, s-1] + x
}
cell shapes[D] over (r, s) (x: real[D]) -> h {
  state h: real[D], g: real
  h = 0.5 * h[r-1, s] + g[r, s-1] + x
  g = 0.5 * g[r, s-1] + x[0]
}
cell curved[D] over (r, s) (x: real[D]) -> h {
  state h: real[D]
  h = h[r-1, s] * h[r, s-1] + x
}
cell deep[A, C, D, E] over (r, s) (x: real[A, C, D, E]) -> h {
  state h: real[A, C, D, E]
  h = 0.5 * h[r-1, s] + 0.25 * h[r, s-1] + x
}
END
lacks blocks.rnn further block:4 "its grid has no blocks with two borders.* \[F30\], line 3"
lacks blocks.rnn mixing block:4 "composing steps would multiply matrices \[F08\], line 8"
lacks blocks.rnn shapes block:4 "several states of different shapes need each other \[F07\], line 1[23]"
lacks blocks.rnn curved block:4 "the step is not affine in the state \[F05\], line 17"
lacks blocks.rnn deep block:4 "its arrays would have too many axes \[F04\], line 19"

refuses "a graph" 1 ".dag_rnn. has no form scan:16: it runs over a graph.* \[F27\]" "$RNNC" build "$SRC/stdlib/dag_rnn.rnn" --entry=dag_rnn --form=scan -o out
# Data for each, from the standard library.
for run in lstm:chunk:8:F05 lstm:scan:3:F05 elman:chunk:4:F05 mamba:chunk:16:F10; do
  entry=${run%%:*} id=${run##*:} form=${run#*:} form=${form%:*}
  refuses "run: $entry has no $form" 1 ".$entry. has no form $form: .*\[$id\], line [0-9]+" \
    "$RNNC" run "$SRC/stdlib/$entry.rnn" --entry=$entry --form=$form -i "$SRC/stdlib/$entry.npz" -o out.npz
  writes_nothing "run $entry --form=$form"
done

# The reference lists every reason as it is said.
sed -nE 's/^WHY\([A-Z_]+, "(F[0-9]+)", "(.*)"\)$/| \1 | \2 |/p' "$SRC/ir/rec/why.def" >reasons.txt
check "there are reasons" test -s reasons.txt
while read -r row; do
  check "reference: $row" grep -qF -- "$row" "$SRC/lang/reference.md"
done <reasons.txt

check "every recurrence has the sequential form" "$RNNC" build shapes.rnn --entry=nonlinear --form=sequential -o out
check "test goes on where the form is missing" sh -c '"$RNNC" test shapes.rnn --form=scan --cpu=baseline >said.txt'
check "says why" grep -qE "^skip  nonlinear: the form scan does not exist: .*\[F05\], line 3" said.txt
check "and tests what has it" grep -q "^pass  vector: gradients agree" said.txt
finish
