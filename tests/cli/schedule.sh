# The form that a file's schedule says is the one that is built, run, tested and explained; --form goes before it.
. "$SRC/tests/lib.sh"
{
  grep -v '^test' "$SRC/stdlib/gla.rnn"
  cat <<'END'
cell curved[H] over t (x: real[H]) -> h {
  state h: real[H]
  h = tanh(x + h[t-1])
}
END
} > plain.rnn
line=$(($(wc -l < plain.rnn) + 1))

# says FILE SCHEDULE: plain.rnn with that schedule
says() {
  { cat plain.rnn; echo "$2"; } > "$1"
}
says chunked.rnn 'schedule gla { forward chunk(4) }'
says stepwise.rnn 'schedule gla { forward sequential }'
says scanned.rnn 'schedule gla { forward scan(4) }'
says scan16.rnn 'schedule gla { forward scan }'
says lacking.rnn 'schedule curved { forward chunk(4) }'

# rec FILE FLAGS...: the program that build makes
rec() {
  "$RNNC" build --entry=gla --emit=rec "$@"
}
rec plain.rnn --form=chunk:4 > chunk.rec
rec plain.rnn --form=sequential > sequential.rec
rec plain.rnn --form=scan:4 > scan.rec
check "forms differ" sh -c '! cmp -s chunk.rec sequential.rec && ! cmp -s scan.rec sequential.rec && ! cmp -s scan.rec chunk.rec'
rec chunked.rnn > said.rec
check "chunk(N) is chunk:N" cmp said.rec chunk.rec
rec stepwise.rnn > said.rec
check "the sequential form can be said" cmp said.rec sequential.rec
rec scanned.rnn > said.rec
check "scan(N) is scan:N" cmp said.rec scan.rec
rec scan16.rnn > said.rec
rec plain.rnn --form=scan > scan.rec
check "scan alone has its own size" cmp said.rec scan.rec
rec chunked.rnn --form=sequential > said.rec
check "--form goes before the schedule" cmp said.rec sequential.rec

export line
check "explain says the form and its origin" sh -c '"$RNNC" explain chunked.rnn --entry=gla | grep -q "taken: chunk:4, from the schedule in line $line$"'
check "explain says that the command line goes before" sh -c '"$RNNC" explain chunked.rnn --entry=gla --form=scan:8 | grep -q "taken: scan:8, from --form$"'
check "explain names no origin where nobody says a form" sh -c '! "$RNNC" explain plain.rnn | grep -q "taken:.*from"'
check "the tests take it" sh -c '"$RNNC" test chunked.rnn --entry=gla --precision=f64 --cpu=baseline | grep -q "gla: step and chunks equal forward$"'
check "and --form" sh -c '"$RNNC" test chunked.rnn --entry=gla --precision=f64 --cpu=baseline --form=sequential | grep -q "gla: step and chunks equal forward bit for bit$"'
for way in "plain.rnn --form=chunk:4" chunked.rnn "chunked.rnn --form=sequential"; do
  "$RNNC" run $way --entry=gla -i "$SRC/stdlib/gla.npz" -o out.npz > /dev/null 2>&1 && cksum < out.npz
done > sums.txt
check "run takes it" sh -c '[ "$(wc -l < sums.txt)" = 3 ] && [ "$(sed -n 1p sums.txt)" = "$(sed -n 2p sums.txt)" ] && [ "$(sed -n 3p sums.txt)" != "$(sed -n 2p sums.txt)" ]'

# solved LIMITS FLAGS...: a cell whose elements mix, in windows of 8
solved() {
  { printf 'cell mixed[H] over t (x: real[H]) -> h {\n  param U: real[H, H]\n  state h: real[H]\n  h = tanh(x + U @ h[t-1])\n}\n'
    echo "schedule mixed { forward newton(8$1) }"; } > mixed.rnn
  shift
  "$RNNC" build mixed.rnn --entry=mixed --emit=rec "$@"
}
solved "" > own.rec
solved ", derivative = block" > block.rec
solved ", derivative = exact" > exact.rec
solved ", derivative = exact, damping = 0.5" > damped.rec
check "products of unknown size are dear" cmp own.rec block.rec
check "the whole derivative can be said, and damping" sh -c '! cmp -s own.rec exact.rec && ! cmp -s exact.rec damped.rec'
solved "" -D H=8 > own.rec
solved ", derivative = exact" -D H=8 > exact.rec
check "small products are not dear" cmp own.rec exact.rec
solved "" -D H=9 > own.rec
solved ", derivative = exact" -D H=9 > exact.rec
check "larger ones are" sh -c '! cmp -s own.rec exact.rec'
solved ", derivative = exact" > /dev/null
solved ", pieces = 4" > pieces.rec
solved ", derivative = block, pieces = 4" > block.rec
check "in pieces the derivative stays in place" cmp pieces.rec block.rec
check "and so do they" sh -c '! cmp -s own.rec pieces.rec'
sed -i 's/newton(8, .*)/newton(64, pieces = 8)/' mixed.rnn
check "which is not as deep" sh -c '"$RNNC" explain mixed.rnn | grep -qF "newton:64: forward depth 3*T*iterations/8,"'
solved ", derivative = exact" > /dev/null
check "explain says what is taken" sh -c '"$RNNC" explain mixed.rnn | grep -q "newton: yes, .*; iterates with the whole derivative, place by place"'
solved "" > /dev/null
check "and why" sh -c '"$RNNC" explain mixed.rnn | grep -q "own place: all of it would be made at one place after the other"'

for verb in check explain test; do
  refuses "$verb of a form that does not exist" 1 "lacking.rnn:$line:27: error: .curved. has no form chunk:4: .*E0222" "$RNNC" $verb lacking.rnn
done
refuses "build of a form that does not exist" 1 "lacking.rnn:$line:27: error: .curved. has no form chunk:4: .*E0222" \
  "$RNNC" build lacking.rnn --entry=curved -o no.o
check "nothing is written" sh -c '[ ! -e no.o ]'
check "another form on the command line" "$RNNC" build lacking.rnn --entry=curved --form=sequential -o yes.o
check "another entry" "$RNNC" build lacking.rnn --entry=gla -o yes.o
check "in JSON" sh -c '! "$RNNC" check lacking.rnn --diagnostics=json > e.json && grep -q E0222 e.json && grep -q "because of this" e.json'
refuses "a form that is none" 2 "form is sequential, chunk:N, scan, scan:N, newton, newton:N, convolution, convolution:N, cascade, wavefront, block or block:N, with N from 1 to 4096, not .chunk:0." "$RNNC" build plain.rnn --form=chunk:0
refuses "a form without its size" 2 "not .chunk." "$RNNC" build plain.rnn --form=chunk
refuses "a size that is too large" 2 "not .scan:4097." "$RNNC" build plain.rnn --form=scan:4097
refuses "a form that has no size" 2 "not .sequential:2." "$RNNC" build plain.rnn --form=sequential:2
finish
