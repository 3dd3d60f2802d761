# Every tests/errors/*.rnn: `# error: E0203` on a line means that exactly this error, and no other, is reported there, in the order of lines.
. "$SRC/tests/lib.sh"
n=0
for file in "$SRC"/tests/errors/*.rnn; do
  [ -e "$file" ] || skip "there are no files in tests/errors"
  "$RNNC" check "$file" --diagnostics=text >out.txt 2>&1
  code=$?
  grep -nE '# error: E[0-9]+' "$file" | sed -E 's/^([0-9]+):.*# error: (E[0-9]+).*/\1 \2/' | uniq >expected
  sed -nE 's/^.*\.rnn:([0-9]+):[0-9]+: error: .*\[(E[0-9]+)\]$/\1 \2/p' out.txt | uniq >found
  if cmp -s expected found && { [ ! -s expected ] || [ "$code" = 1 ]; }; then
    echo "pass: $(basename "$file")"
  else
    echo "FAIL: $(basename "$file") (exit code $code): expected and found errors, by line"
    diff expected found
    failures=$((failures + 1))
  fi
  n=$((n + 1))
done
finish
