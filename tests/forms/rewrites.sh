# What a step is depends neither on names nor on order nor on the way it is written: no cell is known by a pattern of its text.
. "$SRC/tests/lib.sh"

# stages_and_forms FILE: of every entry, without lines of the source
stages_and_forms() {
  "$RNNC" explain "$1" | awk '/^(cell|model) / { print; on = 0 } /^  [a-z]/ { on = $1 == "stages" || $1 == "forms" } on' |
    sed -E 's/, line [0-9]+( of [^ ]+)?$//'
}

# ---- rewrites/NAME.rnn: all cells of a file are one recurrence, written in several ways ----

# all_alike FILE: what stands under each cell is the same. What a transposed state takes may differ: it lies in memory the other
# way round, and which form is the fastest depends on that.
all_alike() {
  stages_and_forms "$1" | sed -E '/^cell transposed/,/^ *taken:/{/^ *taken:/d;}' >said.txt
  awk '
    /^cell / { if (NR > 1) end(); name = $2; text = ""; next }
    / taken: / && !taken { taken = $0 "\n" }
    { text = text $0 "\n" }
    END { end(); exit bad || cells < 2 }
    function end() {
      if (name ~ /^transposed/) text = text taken
      if (!cells++) first = text
      else if (text != first) { print name " is\n" text "not\n" first; bad = 1 }
    }' said.txt
}
for file in "$SRC"/tests/forms/rewrites/*.rnn; do
  check "$(basename "$file" .rnn): all ways give one class" all_alike "$file"
done

# ---- cells of the library under other names, and in another order ----

# The names that a file declares: dimensions, inputs, states, parameters, functions, lets, and their indices.
declared() {
  sed -E 's/#.*//' "$1" | awk '
    function names(text) {
      while (match(text, /[A-Za-z_][A-Za-z_0-9]*/)) {
        print substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
      }
    }
    match($0, /^(cell|fn) [^(]*/) { head = substr($0, 1, RLENGTH); sub(/^(cell|fn)/, "", head); sub(/ over /, " ", head); sub(/ in dag/, "", head); sub(/, edges /, " ", head); names(head) }
    match($0, /^ *let [^=]*/) { head = substr($0, 1, RLENGTH); sub(/let/, "", head); gsub(/ in ((pred|into)\()?/, " ", head); names(head) }
    { text = $0
      while (match(text, /[A-Za-z_][A-Za-z_0-9]*:/)) {
        print substr(text, RSTART, RLENGTH - 1)
        text = substr(text, RSTART + RLENGTH)
      } }' | grep -vx t | sort -u
}

# renaming FILE: a script for sed that gives every declared name another one
renaming() {
  declared "$1" | awk '{ printf "s/\\b%s\\b/%s%d/g\n", $1, substr("zyxwvuts", NR % 8 + 1, 1), NR }'
}

# Statements of a cell, loops as a whole, from the last to the first; parameters and states stay in front.
reordered() {
  awk '
    /^cell / { inside = 1 }
    inside && /^(    |  })/ && n { line[n] = line[n] "\n" $0; next }
    inside && /^  (let |for |[A-Za-z_][A-Za-z_0-9]*(\[[^]]*\])? = )/ { line[++n] = $0; next }
    inside && /^}/ { while (n) print line[n--]; inside = 0 }
    { print }' "$1"
}

for file in "$SRC"/stdlib/*.rnn "$SRC"/tests/cells/affine_*.rnn "$SRC"/tests/cells/semiring_*.rnn "$SRC"/tests/cells/not_affine.rnn; do
  name=$(basename "$file" .rnn)
  grep -q '^cell ' "$file" && ! grep -qE '^(model|import) ' "$file" || continue
  grep -v '^test ' "$file" >plain.rnn
  renaming plain.rnn >names.sed
  [ -s names.sed ] || { echo "FAIL: $name declares nothing"; failures=$((failures + 1)); }
  sed -E -f names.sed plain.rnn >renamed.rnn
  reordered plain.rnn >reordered.rnn
  stages_and_forms plain.rnn >plain.txt
  [ -s plain.txt ] || { echo "FAIL: nothing is said of $name"; failures=$((failures + 1)); }
  sed -E -f names.sed plain.txt >plain.renamed.txt
  stages_and_forms renamed.rnn | sed -E -f names.sed >renamed.txt
  check "$name under other names" cmp plain.renamed.txt renamed.txt
  stages_and_forms reordered.rnn >reordered.txt
  check "$name in another order" cmp plain.txt reordered.txt
done
finish
