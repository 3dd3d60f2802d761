# golden/explain/NAME.txt: what `rnnc explain` says of the stages and forms of the cells and models of a file in stdlib/ or
# cells/. GOLDEN_UPDATE=1 writes the expected files anew.
. "$SRC/tests/lib.sh"
golden=$SRC/tests/golden/explain

# The headings and items of grids, stages and forms, with the entry they belong to.
stages_and_forms() {
  awk '/^(cell|model) / { print; on = 0 } /^  [a-z]/ { on = $1 == "grid" || $1 == "graph" || $1 == "stages" || $1 == "forms" } on'
}

for file in "$SRC"/stdlib/*.rnn "$SRC"/tests/cells/*.rnn; do
  name=$(basename "$file" .rnn)
  expected=$golden/$name.txt
  if ! "$RNNC" explain "$file" >all.txt 2>err.txt; then
    echo "FAIL: explain $name"; cat err.txt; failures=$((failures + 1)); continue
  fi
  stages_and_forms <all.txt >out.txt
  [ -s out.txt ] || continue # only functions
  [ -z "${GOLDEN_UPDATE:-}" ] || cp out.txt "$expected"
  check "$name" diff -u "$expected" out.txt
done
for expected in "$golden"/*.txt; do
  name=$(basename "$expected" .txt)
  check "$name is still there" test -e "$SRC/stdlib/$name.rnn" -o -e "$SRC/tests/cells/$name.rnn"
done
finish
