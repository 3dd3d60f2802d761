# The workspace that explain says is the one that the generated function asks for: at least that, and at most 63 bytes more for
# each array.
. "$SRC/tests/lib.sh"

# formula LINE: line 1 (forward alone) or 2 (training) of explain's workspace, as C: max is a macro, chunks.16 a variable
formula() {
  sed -n '/^  workspace/,$p' said | sed -n "$1p" | sed 's/^  workspace//; s/ bytes.*//; s/\([a-z]\)\.\([0-9]\)/\1_\2/g'
}
# derived LINE: the sizes that it names and explain defines, as C
derived() {
  case $1 in 1) not=training ;; *) not="forward alone" ;; esac
  sed -n '/^  workspace/,$p' said | grep -v ", $not\$" | sed 's/\([a-z]\)\.\([0-9]\)/\1_\2/g' |
    sed -n 's/^ *\([a-z_0-9]*\): \(.*\), rounded down.*$/long \1 = \2; (void)\1;/p; s/^ *\([a-z_0-9]*\): 1 where \(.*\), else 0$/long \1 = \2; (void)\1;/p'
}
arrays() { sed -n '/^  workspace/,$p' said | sed -n "$1p" | sed 's/.*each of \([0-9]*\) arrays.*/\1/'; }

# compare FILE ENTRY NAMES OPTION...: the sizes' names, which are not bound
compare() {
  file=$1 entry=$2 names=$3
  shift 3
  "$RNNC" explain "$SRC/stdlib/$file.rnn" --entry="$entry" "$@" >said && "$RNNC" build "$SRC/stdlib/$file.rnn" --entry="$entry" "$@" --cpu=baseline -o cell.o || return 1
  {
    echo '#include <stdio.h>'
    echo '#include "cell.h"'
    echo 'static long largest(const long *x, size_t n) { return n == 1 ? x[0] : x[0] > largest(x + 1, n - 1) ? x[0] : largest(x + 1, n - 1); }'
    echo '#define max(...) largest((long[]){__VA_ARGS__}, sizeof (long[]){__VA_ARGS__} / sizeof(long))'
    echo "static int check(long first, long more) {"
    i=0
    for name in $names; do echo "long $name = first + $((i * 3)) % 7 * more;"; i=$((i + 1)); done
    echo "${entry}_sizes s = {"
    for name in $names; do echo ".$name = $name,"; done
    echo "};"
    for passes in "FORWARD 1" ${training:+"TRAIN 2"}; do
      line=${passes#* }
      echo "{ $(derived "$line") long least = $(formula "$line"), got = (long)${entry}_workspace(&s, RNN_${passes% *});"
      echo "  if (got < least) puts(\"too little\"); if (got < least || got > least + 63 * $(arrays "$line")) return 1; }"
    done
    echo "return 0; } int main(void) { return check(1, 0) || check(5, 3) || check(33, 10) || check(64, 32) || check(160, 20); }"
  } >cell.c
  "$CC" cell.c cell.o -o cell && ./cell
}

training=yes
check "gru" compare gru gru "T B D H"
check "lstm with sizes" compare lstm lstm "T B" -D H=24 -D D=8
check "two layers" compare stacked lstm2 "T B D H"
check "chunks in training only" compare gla gla "T B N K V"
check "chunks of places" compare gla gla "T B N K V" --form=chunk:8
check "a scan" compare lru lru "T B H P" --form=scan
check "Newton's method" compare indrnn indrnn "T B D H" --form=newton:16
check "a grid" compare mdlstm mdlstm "R S B D H"
check "waves of a grid" compare mdlstm mdlstm "R S B D H" --form=wavefront
check "a graph" compare tree_lstm tree_lstm "nodes blocks width slots olds known B D H"
training=
check "an int cell" compare hmm viterbi "T B N M"
finish
