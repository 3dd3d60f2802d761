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
# says ENTRY TEXT FILE [FORM]: what it says of an entry, where nobody asks for a form or wave by wave
says() {
  check "$1: $2" sh -c '"$RNNC" explain "$1" --entry="$2" ${4:+--form=$4} | grep -F -e "$3"' sh "$3" "$1" "$2" "${4:-}"
}
plstm=$SRC/stdlib/plstm.rnn rank_one=$SRC/tests/cells/rank_one.rnn
says plstm_grid_p "right, down: of rank one: made of one sum, which is what each place keeps, line 37" "$plstm"
says plstm_grid_p "right, down: of rank one: made of one sum, which is what each place keeps, line 37" "$plstm" wavefront
says plstm_grid "not of rank one: what \`down\` multiplies \`right[r, s-1]\` with is no multiple of what \`right\` does, line 26" "$plstm" wavefront
says one_entry "not of rank one: what \`two\` multiplies \`one[r, s-1]\` with is no multiple of what \`one\` does, line 41" "$rank_one" wavefront
says bound "of rank one, but kept: what else they are made of cannot be made at another place, line 55" "$rank_one" wavefront
says small "of rank one, but kept: to make them where they are read, 2*D + 4 numbers would be moved for each place" "$rank_one" wavefront
says plstm_grid_d "taken: sequential; the cascade takes longer on one core" "$plstm"

# One entry of the pattern changed: it is no cascade, and no sum, any more.
sed 's/  down\[n, i, j\] = transition\[2, n\] \* down/  down[n, i, j] = transition[0, n] * right[r, s-1][n, i, j] + transition[2, n] * down/' "$plstm" >turns.rnn
sed 's/  down\[n, i, j\] = to_down\[n\] \* right/  down[n, i, j] = to_right[n] * right/' "$plstm" >differs.rnn
says plstm_grid_d "cascade: no, its states are no cascade: those that need each other are read along more than one axis, or all along the same one [F26], line 47" turns.rnn
says plstm_grid_p "not of rank one: what \`down\` multiplies \`right[r, s-1]\` with is no multiple of what \`right\` does, line 38" differs.rnn

for expected in "$golden"/*.txt; do
  name=$(basename "$expected" .txt)
  check "$name is still there" test -e "$SRC/stdlib/$name.rnn" -o -e "$SRC/tests/cells/$name.rnn"
done
finish
