# Random small cells through every free test. FUZZ_SEED and FUZZ_CELLS choose others, and more; a cell that fails is printed.
. "$SRC/tests/harden/lib"
seed=${FUZZ_SEED:-2} cells=${FUZZ_CELLS:-12}
"$CC" -std=c17 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -o make_cells "$HARDEN/make_cells.c" || exit 1
./make_cells "$seed" "$cells" >cells.rnn
./make_cells "$seed" "$cells" | cmp - cells.rnn || exit 1
"$RNNC" test cells.rnn >out.txt 2>err.txt || failures=1
sed -n 's/^FAIL  \([^:]*\):.*/\1/p' out.txt | sort -u | while read -r cell; do
  grep "^FAIL  $cell:" out.txt
  awk -v head="cell $cell[" 'index($0, head) == 1, /^}/' cells.rnn
done
cat err.txt
check "every cell was tested" test "$(grep -c 'and the evaluator\|agrees with the evaluator' out.txt)" -ge "$cells"
finish
