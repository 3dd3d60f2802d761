# bench: what it prints, as a table and as JSON, and what it makes of older measurements. Nothing here depends on how long anything takes.
. "$SRC/tests/lib.sh"
{
  grep -v '^test' "$SRC/stdlib/gla.rnn"
  cat <<'END'
cell curved[H] over t (x: real[H]) -> h {
  param a: real[H] ~ uniform(1)
  state h: real[H]
  h = tanh(x + a * h[t-1])
}
END
} > m.rnn
sizes=T=130,N=1,K=4,V=4,H=5
check "bench" sh -c '"$RNNC" bench m.rnn --cpu=baseline --sizes '$sizes' > table.txt 2> said.txt'
check "nothing but the table is said" sh -c '[ ! -s said.txt ]'
row='^  %s +[0-9.]+ +[0-9.]+ % +[0-9.]+ +[0-9.]+ % +[0-9.]+ % +[0-9.]+ +[0-9.]+ % +[0-9.]+ +[0-9.]+ % +[0-9.]+ %$'
for form in sequential scan:16 chunk:16 chunk:64 newton:64; do
  check "$form is in the table" grep -qE "$(echo "$row" | sed "s/%s/$form/")" table.txt
done
check "the sequential form is the measure" sh -c '[ "$(grep -cE "^  sequential +[0-9.]+ +[0-9.]+ % +1\.00 " table.txt)" = 2 ]'
check "newton beside other parallel forms" sh -c '[ "$(grep -cE "^  newton:64  " table.txt)" = 2 ]'
check "a form that does not exist, once, with its reason" sh -c '[ "$(grep -c "^  chunk  *no: the step is not affine.*F05.*line" table.txt)" = 1 ]'
check "where forms cross" grep -qE "^  newton:64 against sequential: forward (slower up to|faster from) T = [0-9]+, training (slower up to|faster from) T = [0-9]+$" table.txt
check "sizes and machine" grep -qE "^curved: T=130,B=1,H=5, f32 baseline, .+$" table.txt
# 130 * 5 * (product, sum, tanh); 4 bytes each for x, a, h and hT; in training also for d_h and d_hT, and the gradients of x, a and h0
check "operations and bytes by hand" grep -qE "a call is 0\.00195 MFLOP and 0\.00524 MB forward, .* MFLOP and 0\.0105 MB in training" table.txt

# ---- JSON ----
check "JSON" sh -c '"$RNNC" bench m.rnn --cpu=baseline --sizes '$sizes' --json > old.json 2> said.txt && [ ! -s said.txt ]'
for key in rnnc_bench machine peak flops bandwidth entries entry sizes with work bytes forms form forward training median spread times memory points places faster_from lacks; do
  check "has $key" grep -q "\"$key\":" old.json
done
check "two entries" sh -c '[ "$(grep -c "\"entry\":" old.json)" = 2 ]'
check "a point for a 64th, a 16th, a quarter and all places" sh -c '[ "$(grep -cE "\"places\": (2|8|32|130),?$" old.json)" = "$(grep -c "\"places\":" old.json)" ] && grep -q "\"places\": 2,*$" old.json'
check "no old measurements, no ratios" sh -c '! grep -q against_old old.json'

# ---- older measurements ----
check "beside older ones" sh -c '"$RNNC" bench m.rnn --entry=curved --cpu=baseline --sizes T=130,H=5 --compare old.json > table.txt'
check "ratios of both passes" grep -qE "^  sequential .* % +[0-9.]+  [0-9.]+$" table.txt
check "in JSON" sh -c '"$RNNC" bench m.rnn --entry=curved --cpu=baseline --sizes T=130,H=5 --compare old.json --json | grep -qE "\"against_old\": [0-9.e-]+$"'
check "other sizes are not compared" sh -c '"$RNNC" bench m.rnn --entry=curved --cpu=baseline --sizes T=5,H=2 --compare old.json | grep -qE "^  sequential .* %  -  -$"'
check "nor another precision" sh -c '"$RNNC" bench m.rnn --entry=curved --cpu=baseline --precision=f64 --sizes T=130,H=5 --compare old.json | grep -qE "^  sequential .* %  -  -$"'
sed 's/"median": [0-9.e-]*/"median": 1e9/' old.json > slow.json
check "slower than before is no error, nor is faster" sh -c '"$RNNC" bench m.rnn --entry=curved --cpu=baseline --sizes T=130,H=5 --compare slow.json | grep -qE "^  sequential .* %  0\.00  0\.00$"'

# ---- odd ones ----
check "no places, no sequences, no elements" "$RNNC" bench m.rnn --entry=curved --cpu=baseline --sizes T=0,B=0,H=0
check "one place" sh -c '"$RNNC" bench m.rnn --entry=curved --cpu=baseline --sizes T=1,H=1 | grep -q "T = 1"'
cat > tail.rnn <<'END'
cell decayed[H] over t (x: real[H]) -> h {
  param a: real[H] ~ uniform(1)
  state h: real[H]
  h = a * h[t-1] + x
}
model tail[H](x: real[T, H]) -> y: real[H] {
  use f = decayed[H]
  let s = scan(f, x)
  let y = s[9]
}
END
check "fewer places than there can be are left out" sh -c '"$RNNC" bench tail.rnn --entry=tail --cpu=baseline --sizes T=70,H=2 --json > tail.json 2> said.txt && [ ! -s said.txt ]'
check "the others are there" sh -c '[ "$(grep -cE "\"places\": (17|70),?$" tail.json)" = "$(grep -c "\"places\":" tail.json)" ] && grep -q "\"places\": 17,*$" tail.json'
check "and all places are the only ones, where they must be" sh -c '"$RNNC" bench tail.rnn --entry=tail --cpu=baseline --sizes T=10,H=2 | grep -qE "^  scan:16 against sequential: forward (slower up to|faster from) T = 10,"'
refuses "too few at the sizes that are asked for" 1 "tail: a slice or an element is outside its axis: T - 10 is negative" "$RNNC" bench tail.rnn --entry=tail --cpu=baseline --sizes T=9,H=2
cat > plain.rnn <<'END'
model plain[H](x: real[T, H]) -> y: real[T, H] {
  let y = 2 * x + 1
}
END
check "no recurrence" sh -c '"$RNNC" bench plain.rnn --cpu=baseline --sizes T=3,H=2 > t.txt && grep -qE "^  sequential " t.txt && ! grep -q against t.txt'
cat > tree.rnn <<'END'
cell summed[H] over v in dag (x: real[H]) -> h {
  state h: real[H]
  h = tanh(x + sum(u in pred(v): h[u]))
}
END
check "the work on a graph is not counted" sh -c '"$RNNC" bench tree.rnn --cpu=baseline --sizes nodes=5,blocks=2,width=3,slots=4,H=2 > t.txt && ! grep -q MFLOP t.txt &&
  grep -qE "^  sequential +[0-9.]+ +[0-9.]+ % +1\.00 +- +- +[0-9.]+ +[0-9.]+ % +1\.00 +- +-$" t.txt'
check "two files are one document" sh -c '"$RNNC" bench plain.rnn plain.rnn --cpu=baseline --sizes T=3,H=2 --json > two.json && [ "$(grep -c "\"entry\": \"plain\"" two.json)" = 2 ] && "$RNNC" bench plain.rnn --cpu=baseline --sizes T=3,H=2 --compare two.json > t.txt'
check "standard input" sh -c '"$RNNC" bench - --cpu=baseline --sizes T=3,H=2 < plain.rnn > t.txt && grep -q "^plain: " t.txt'

# ---- errors ----
refuses "a size that nothing has" 1 "sizes Q: no such size is open" "$RNNC" bench m.rnn --sizes T=8,Q=2
refuses "arrays that are too large" 1 "curved: .*would be too large" "$RNNC" bench m.rnn --entry=curved --cpu=baseline --sizes T=1000000,B=1000000,H=1000
refuses "an entry that is not there" 1 "m.rnn has no cell or model nobody" "$RNNC" bench m.rnn --entry=nobody
refuses "an option of other verbs" 2 "means nothing to" "$RNNC" bench m.rnn --form=scan
refuses "--json of other verbs" 2 "means nothing to" "$RNNC" tune m.rnn --json
refuses "a file with errors" 1 "bad.rnn:1:1: error" sh -c 'echo "nonsense" > bad.rnn; "$RNNC" bench bad.rnn'
refuses "old measurements that are not there" 1 "missing.json: No such file" "$RNNC" bench plain.rnn --compare missing.json
refuses "that are no JSON" 1 "bad.rnn:1:[0-9]*: " "$RNNC" bench plain.rnn --compare bad.rnn
for text in '[]' '{}' '{"rnnc_bench": 2, "entries": []}' '{"rnnc_bench": 1, "entries": {}}' '{"rnnc_bench": 1, "entries": [{"entry": "plain"}]}' \
  '{"rnnc_bench": 1, "entries": [{"entry": "plain", "sizes": "", "with": "", "forms": [{"form": "sequential", "forward": {"median": "1"}, "training": null}]}]}'; do
  echo "$text" > odd.json
  refuses "that are no measurements: $text" 1 "odd.json is not what .rnnc bench --json. prints" "$RNNC" bench plain.rnn --compare odd.json
done
check "nothing is written" sh -c '[ ! -e m.rnn.tune ]'
finish
