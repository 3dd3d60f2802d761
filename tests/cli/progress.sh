# On a terminal, what takes longer than a second says what it does; the line is gone at the end. A terminal is made by `script`.
. "$SRC/tests/lib.sh"
script -qec true /dev/null >/dev/null 2>&1 </dev/null || skip "there is no script(1)"

# shows TEXT PATTERN COMMAND: what it prints has the pattern in a line that is cleared before anything else is printed
shows() {
  text=$1 pattern=$2
  script -qec "$3" /dev/null </dev/null | tr '\r' '\n' >said
  check "$text" grep -qE "^.\[K$pattern \([0-9]+ s\)$" said
  check "$text: gone at the end" sh -c 'grep "\[K" said | tail -n 1 | grep -q "\[K[^(]*$"'
}

cp "$SRC/stdlib/gru.rnn" .
slow() { printf '(sleep 1.2; cat %s) > %s & ' "$1" "$2"; }
mkfifo pipe.rnn pipe.npy
shows "build" "gru: compiling" "$(slow gru.rnn pipe.rnn) '$RNNC' build pipe.rnn --entry=gru -o gru.o"
check "and builds" test -s gru.o
shows "explain" "gru: (compiling|looking for its forms)" "$(slow gru.rnn pipe.rnn) '$RNNC' explain pipe.rnn"
npy '<f4' '3, 2, 4' 96 > data.npy
cat > sum.rnn <<'END'
cell sum[D] over t (pipe: real[D]) -> s {
  state s: real[D]
  s = s[t-1] + pipe
}
END
shows "run: one call that takes long" "reading pipe.npy" "$(slow data.npy pipe.npy) '$RNNC' run sum.rnn -i pipe.npy"
shows "run: compiling" "sum: (compiling|running)" "$(slow data.npy pipe.npy) '$RNNC' run sum.rnn -i pipe.npy"
shows "run: evaluating" "sum: evaluating" "$(slow data.npy pipe.npy) '$RNNC' run sum.rnn -i pipe.npy --on=reference"
npy '<f4' '1, 100000, 8' 3200000 > data.npy
shows "run: the sequence that is evaluated" "sum: sequence [0-9]+ of 100000, at 0" "$(slow data.npy pipe.npy) '$RNNC' run sum.rnn -i pipe.npy --on=reference"
npy '<f4' '3, 2, 4' 96 > data.npy
check "nothing without a terminal" sh -c "$(slow data.npy pipe.npy)"' "$RNNC" run sum.rnn -i pipe.npy 2>e.txt >o.txt && [ ! -s e.txt ]'
check "nothing of what is done at once" sh -c 'script -qec "\"$RNNC\" build sum.rnn --cpu=baseline -o sum.o" /dev/null </dev/null >said && [ ! -s said ]'
finish
