# tests/golden/<pass>/NAME.rnn with `# run: FLAGS`: `rnnc build` with those flags must print NAME.rec (or NAME.kern).
# `# count rec: matmul 2` is checked too: how often that word stands as an operation in the output.
# GOLDEN_UPDATE=1 writes the expected files anew.
. "$SRC/tests/lib.sh"
for file in "$SRC"/tests/golden/*/*.rnn; do
  [ -e "$file" ] || skip "there are no golden files"
  name=${file#"$SRC"/tests/golden/}
  flags=$(sed -nE 's/^# run: *//p' "$file")
  [ -n "$flags" ] || { echo "FAIL: $name has no '# run:' line"; failures=$((failures + 1)); continue; }
  expected=${file%.rnn}.rec
  case "$flags" in *kern*) expected=${file%.rnn}.kern ;; esac
  if ! "$RNNC" build "$file" $flags >out.txt 2>err.txt; then
    echo "FAIL: $name does not compile"; cat err.txt; failures=$((failures + 1)); continue
  fi
  [ -z "${GOLDEN_UPDATE:-}" ] || cp out.txt "$expected"
  if [ -e "$expected" ] && ! diff -u "$expected" out.txt; then
    echo "FAIL: $name differs"; failures=$((failures + 1)); continue
  fi
  sed -nE 's/^# count [a-z]+: *//p' "$file" | tr ',' '\n' | while read -r word number; do
    got=$(grep -cE "(^|[ =])$word( |\(|$)" out.txt)
    [ "$got" = "$number" ] || echo "$word: $got, expected $number"
  done >counts.txt
  if [ -s counts.txt ]; then
    echo "FAIL: $name"; cat counts.txt; failures=$((failures + 1))
  else
    echo "pass: $name"
  fi
done
finish
