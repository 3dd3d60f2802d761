# tests/ptx/every, which takes an hour for the whole standard library: here one file. RNNC_ALL=1: all of it, and an LSTM of 1024 places in bf16.
. "$SRC/tests/lib.sh"
export BUILD RNNC
every=$SRC/tests/ptx/every
archs=
command -v ptxas >/dev/null && archs=75
check "a cell in all its forms" sh "$every" --archs "$archs" "$SRC/stdlib/gilr.rnn"
cp last.out table
check "a form that there is" grep -qE '^passed +gilr +scan:3 +evaluator' table
check "one that there is not" grep -qE '^refused +gilr +wavefront +evaluator .*it runs over no grid' table
[ -z "$archs" ] || check "assembled" grep -qE '^passed +gilr +scan:3 +sm_75' table
check "how many" grep -qE '^[0-9]+ passed, 0 failed, [0-9]+ refused$' table
check "a failure is one" sh -c '! STUB_FAIL="cuLaunchKernel 60 719" sh "$1" --forms scan:3 --archs "" "$SRC/stdlib/gilr.rnn" >table && grep -qE "^failed +gilr +scan:3 +evaluator .*LAUNCH_FAILED" table' sh "$every"
mkdir bin && printf '#!/bin/sh\necho "ptxas error: no"\nexit 1\n' >bin/ptxas && chmod +x bin/ptxas
check "what ptxas refuses is one" sh -c '! PATH=$PWD/bin:$PATH sh "$1" --forms scan:3 --archs 90 "$SRC/stdlib/gilr.rnn" >table && grep -qE "^failed +gilr +scan:3 +sm_90 .*ptxas error: no" table' sh "$every"
if [ "${RNNC_ALL-}" ]; then
  sh "$every" --archs "${archs:+75 80 86 89 90}" || { failures=1; cat every.log; }
  check "an LSTM of 1024 places" "$BUILD/tests/unit/test_narrow" --filter 'narrow/an_lstm_on_a_gpu*'
fi
finish
