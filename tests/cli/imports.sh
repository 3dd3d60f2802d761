# What a name means where files import each other.
. "$SRC/tests/lib.sh"
cat > a.rnn <<'R'
fn f(u: real) = u
fn twice(u: real) = f(u) + f(u)
cell k[H] over t (x: real[H]) -> h {
  state h: real[H]
  h = f(x) + h[t-1]
}
R
sed 's/= u$/= 3 * u/' a.rnn > b.rnn
cat > c.rnn <<'R'
import "a.rnn"
fn g(u: real) = twice(u)
R
cat > both.rnn <<'R'
import "a.rnn"
import "b.rnn"
cell here[H] over t (x: real[H]) -> h {
  state h: real[H]
  h = f(x) + sum(i: twice(x[i])) + h[t-1]
}
model m[H](x: real[T, H]) -> y: real[T, H] {
  use p = k[H]
  let y = scan(p, x)
}
R
refuses "a function of two imports" 1 "^both.rnn:5:7: error: two imports bring a .f., from a.rnn:1 and from b.rnn:1 .E0225" "$RNNC" check both.rnn
refuses "a second one" 1 "^both.rnn:5:21: error: .*.twice., from a.rnn:2 and from b.rnn:2" "$RNNC" check both.rnn
refuses "a cell of two imports" 1 "^both.rnn:8:11: error: .*.k., from a.rnn:3 and from b.rnn:3" "$RNNC" check both.rnn
sed 's/import "b.rnn"/&\nfn f(u: real) = u\nfn twice(u: real) = u/; /^model/,$d' both.rnn > own.rnn
check "what the file defines itself goes before imports" "$RNNC" check own.rnn
printf 'import "a.rnn"\nimport "b.rnn"\ncell s over t (x: real) -> h {\n  state h: real\n  h = x + h[t-1]\n}\n' > unused.rnn
check "two of one name that nothing uses" "$RNNC" check unused.rnn

cat > way.rnn <<'R'
import "a.rnn"
import "c.rnn"
import "b.rnn" as l
fn elu(u: real, alpha: real) = 10 * u
model way(x: real) -> one: real, two: real, three: real, six: real, ten: real, prelude: real {
  let one = f(x)
  let two = g(x)
  let three = l.f(x)
  let six = l.twice(x)
  let ten = elu(x, 1)
  let prelude = selu(x)
}
R
cat > plain.rnn <<'R'
model way(x: real) -> one: real, two: real, three: real, six: real, ten: real, prelude: real {
  let one = x
  let two = x + x
  let three = 3 * x
  let six = 3 * x + 3 * x
  let ten = 10 * x
  let prelude = selu(x)
}
R
check "each file's functions call its own" sh -c 'for f in way plain; do "$RNNC" build $f.rnn --entry way --emit=rec -o $f.rec || exit 1; done; diff way.rec plain.rec'
cat > turn.rnn <<'R'
import "back.rnn"
cell turn[H] over t (x: real[H]) -> h {
  state h: real[H]
  h = x + h[t-1]
}
R
cat > back.rnn <<'R'
import "turn.rnn"
model back[H](x: real[T, H]) -> y: real[T, H] {
  use p = turn[H]
  let y = scan(p, x)
}
R
check "files that import each other" "$RNNC" check turn.rnn back.rnn
printf 'fn f(u: real) = u\nfn f(u: real) = u\n' > twice.rnn
printf 'import "twice.rnn"\n' > of_twice.rnn
refuses "a name that an import defines twice" 1 "^twice.rnn:2:4: error: .*E0202" "$RNNC" check of_twice.rnn
finish
