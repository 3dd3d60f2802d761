# Training that keeps the states of every N-th place: said by a schedule or by --store; less memory, the same numbers.
. "$SRC/tests/lib.sh"
grep -v '^test' "$SRC/stdlib/lstm.rnn" > plain.rnn
grep -v '^test' "$SRC/stdlib/gla.rnn" >> plain.rnn
line=$(($(wc -l < plain.rnn) + 1))
{ cat plain.rnn; echo 'schedule lstm { backward store(every = 16) }'; } > said.rnn
{ cat plain.rnn; echo 'schedule gla { forward scan(8); backward store(every = 16) }'; } > wrong.rnn

# rec FILE FLAGS...: the program that build makes of the LSTM
rec() {
  "$RNNC" build --entry=lstm --emit=rec "$@"
}
rec plain.rnn --store=16 > option.rec
rec said.rnn > said.rec
rec plain.rnn > plain.rec
check "store(every = N) is --store=N" cmp said.rec option.rec
check "and changes the program" sh -c '! cmp -s said.rec plain.rec'
rec said.rnn --store=1 > one.rec
check "--store goes before the schedule, and 1 is every place" cmp one.rec plain.rec
rec said.rnn --form=sequential > form.rec
rec plain.rnn --form=sequential > sequential.rec
check "--form replaces what the file says of both" cmp form.rec sequential.rec

export line
check "explain says it and its origin" sh -c '"$RNNC" explain said.rnn --entry=lstm | grep -q "stored: .* every 16 places; .*; from the schedule in line $line$"'
check "or the command line" sh -c '"$RNNC" explain plain.rnn --entry=lstm --store=8 | grep -q "stored: .* every 8 places; .*; from --store$"'
check "what is stored are no chunks" sh -c '"$RNNC" explain said.rnn --entry=lstm | grep -q "taken: sequential$"'
check "nothing is said of it else" sh -c '! "$RNNC" explain plain.rnn | grep -q stored:'

# Bytes that training takes, at D = H = 32, B = 1 and T = 4096.
cat > bytes.c <<'END'
#include "lstm.h"
#include <stdio.h>
int main(void)
{
    lstm_sizes sizes = {.T = 4096, .B = 1, .D = 32, .H = 32};
    printf("%zu\n", lstm_workspace(&sizes, RNN_TRAIN));
    return 0;
}
END
# bytes FLAGS...
bytes() {
  "$RNNC" build plain.rnn --entry=lstm -o lstm.o --cpu=baseline "$@" && $CC bytes.c lstm.o -lm -o bytes && ./bytes
}
all=$(bytes) some=$(bytes --store=64)
export all some
check "a tenth of the memory and a bit ($some of $all bytes)" sh -c '[ "$some" -gt 0 ] && [ $((some * 6)) -lt "$all" ]'

# The same gradients, to rounding: test compares them with the evaluator, run with each other.
for n in 1 5; do
  "$RNNC" run plain.rnn --entry=lstm -i "$SRC/stdlib/lstm.npz" -o "$n.npz" --grad --store=$n > /dev/null 2> err.txt || cat err.txt
done
check "run takes it" sh -c '[ -s 1.npz ] && [ -s 5.npz ] && ! cmp -s 1.npz 5.npz'
check "test takes it" sh -c '"$RNNC" test said.rnn --entry=lstm --precision=f64 --cpu=baseline | grep -q "lstm: step and chunks equal forward$"'

# What was measured without it is not what is taken with it, unless it runs step by step.
cp said.rnn tuned.rnn
for form in scan:8 sequential; do
  echo "lstm $form T=8 f32 avx2, a machine" > tuned.rnn.tune
  check "beside $form in FILE.tune" "$RNNC" check tuned.rnn
done

for verb in check explain test; do
  refuses "$verb where the form has no states to leave out" 1 "wrong.rnn:$line:42: error: .gla. has no states to leave out in the form scan:8: .*F28.*E0222" "$RNNC" $verb wrong.rnn
done
refuses "build, too" 1 "F28.*E0222" "$RNNC" build wrong.rnn --entry=gla -o no.o
refuses "and on the command line" 1 "F28" "$RNNC" build plain.rnn --entry=gla --form=chunk:8 --store=4 -o no.o
check "nothing is written" sh -c '[ ! -e no.o ]'
for n in 0 -1 4097 x 1.5 ""; do
  refuses "--store=$n" 2 "store is a number of places from 1 to 4096, not .$n." "$RNNC" build plain.rnn --entry=gla --store=$n -o no.o
done
check "test leaves out what it does nothing to" sh -c '"$RNNC" test plain.rnn --entry=gla --form=scan --store=4 | grep -q "skip.*nothing to do.*F28"'
finish
