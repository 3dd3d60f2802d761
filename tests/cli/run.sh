# run on what compiled code and its caller can get wrong: indices, sizes, gradients that do not exist.
. "$SRC/tests/lib.sh"

cat > count.rnn <<'END'
cell count over t (x: int) -> y {
  state y: int
  y = y[t-1] + x
}
END
npy '<i4' '3, 2' 24 > x.npy
for on in cpu reference; do
  check "$on: no gradients are no error" sh -c '"$RNNC" run count.rnn --on=$0 -i x.npy --grad -o $0.npz 2> note.txt' $on
  check "$on: but a note" grep -q "note: count has no gradients" note.txt
done
check "the same results" cmp cpu.npz reference.npz

cat > pick.rnn <<'END'
cell pick over t (k: int) -> y {
  param W: real[3, 2]
  state y: real[2]
  y = y[t-1] + W[k, :]
}
cell plain over t (k: int) -> y {
  param W: real[3, 2]
  state y: real[2]
  y = y[t-1] + W[k, 0]
}
END
npy '<f4' '3, 2' 24 > W.npy
npy '<i8' '2, 2' 24 > k.npy
printf '\003\000\000\000\000\000\000\000' >> k.npy
for on in cpu reference; do
  refuses "$on: an index outside" 1 "pick: .*index 3 is outside 0..2, the range of axis 0 of .W., in sequence 1" \
    "$RNNC" run pick.rnn --on=$on -i k.npy -i W.npy
done
npy '<f4' '3, 5' 60 > y0.npy
refuses "who says how large B is" 1 "B = 2 \(from .k., axis 1\)" "$RNNC" run pick.rnn -i k.npy -i W.npy -i y0.npy
refuses "-D says so" 1 "B = 3 \(from -D\)" "$RNNC" run pick.rnn -i k.npy -i W.npy -D B=3
cp pick.rnn two.rnn
npz=$SRC/stdlib/para_gru.npz
check "a trace" sh -c '"$RNNC" run "$SRC/stdlib/pararnn.rnn" --entry=para_gru --form=newton:5 -i "$0" -o h.npz --trace=t.json 2> note.txt' "$npz"
check "has a status and a row for each sequence" sh -c 'test "$(grep -cE "\"status\": \"converged\", \"iterations\": \[([0-9]+(, )?){7}\], \"residual\": \[([0-9.e-]+(, )?){7}\], \"error\": \[([0-9.e-]+(, )?){7}\], \"clamps\": \[([0-9]+(, )?){7}\]" t.json)" -eq 3'
check "or a picture" sh -c '"$RNNC" run "$SRC/stdlib/pararnn.rnn" --entry=para_gru --form=newton:5 -i "$0" --trace=t.svg 2> note.txt >shapes.txt && test "$(grep -c "<rect" t.svg)" -eq 21' "$npz"
refuses "no trace of the sequential form" 1 "trace is for the form newton" "$RNNC" run "$SRC/stdlib/pararnn.rnn" --entry=para_gru -i "$npz" -o no.npz --trace=no.json
check "nothing is written" test ! -e no.npz -a ! -e no.json
# A .npy file holds one array: the output, if there is one.
check "npy out, without the final state" sh -c '"$RNNC" run count.rnn -i x.npy -o y.npy 2> note.txt && [ -s y.npy ]'
check "which is said in one line" sh -c '[ "$(cat note.txt)" = "rnnc: note: final states are left out: a .npy file holds one array, \`y\`" ]'
check "and it can be read back" sh -c 'mv y.npy x.npy; "$RNNC" run count.rnn -i x.npy 2>&1 | grep -q "^y: int32\[3, 2\]"'
printf 'model double(x: real[T]) -> y: real[T] {\n  let y = 2 * x\n}\n' > double.rnn
check "npy out of what has no states" sh -c '"$RNNC" run double.rnn -i x.npy -o y.npy 2> note.txt && [ -s y.npy ] && [ ! -s note.txt ]'
printf 'cell both over t (x: real) -> y, z {\n  state y: real\n  y = y[t-1] + x\n  let z = 2 * y\n}\n' > both.rnn
refuses "npy out of two outputs" 1 "no.npy: a .npy file holds one array, and there are 3 .y, z, yT.; write .npz" "$RNNC" run both.rnn -i x.npy -o no.npy
refuses "npy out of gradients" 1 "there are 2 .y, d_x.; write .npz" "$RNNC" run double.rnn -i x.npy -o no.npy --grad
check "of which nothing is written" test ! -e no.npy
printf 'cell wide[K] over t (x: real) -> h, z {\n  state h: real\n  h = h[t-1] + x\n  let z[i in K] = i + h\n}\n' > wide.rnn
refuses "an output that is too large" 1 "array .z. would be too large" "$RNNC" run wide.rnn -i x.npy -D K=5000000000000
refuses "several entries, none named as the file" 1 "several cells and models \(pick, plain\)" "$RNNC" run two.rnn -i k.npy -i W.npy
finish
