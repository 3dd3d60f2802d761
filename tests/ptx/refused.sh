# What does not become kernels is refused by its name and line, and leaves no file; options of the other target, too.
. "$SRC/tests/lib.sh"
refused=$SRC/tests/ptx/refused.rnn
diagonal=$SRC/tests/ptx/diagonal.rnn

refuses "a matrix product" 1 '`gru` cannot be built for ptx yet: its forward function has a matrix product \(K_GEMM\), line [0-9]' \
  "$RNNC" build "$SRC/stdlib/gru.rnn" --target=ptx -o x
refuses "a block diagonal one" 1 'K_GEMM' "$RNNC" build "$SRC/stdlib/rglru.rnn" --target=ptx -o x
refuses "a checked index" 1 '`neighbours` cannot .*an index that must be checked when it runs \(K_CHECK\), line [0-9]' \
  "$RNNC" build "$refused" --entry=neighbours --target=ptx -o x
refuses "a state that another one needs" 1 '`flipped` cannot .*a serial loop whose threads would share memory' \
  "$RNNC" build "$refused" --entry=flipped --target=ptx -o x
refuses "a sum over states in each step" 1 '`everyone` cannot .*different parallel loops inside one serial loop' \
  "$RNNC" build "$refused" --entry=everyone --target=ptx -o x
check "nothing was written" sh -c '! ls x.* 2>/dev/null'
refuses "an architecture that there is not" 2 'takes sm_75' "$RNNC" build "$diagonal" --target=ptx --arch=sm_70
refuses "--arch on the CPU" 2 '\-\-arch means nothing with --target=cpu' "$RNNC" build "$diagonal" --arch=sm_80 -o x
refuses "--cpu on the GPU" 2 '\-\-cpu means nothing with --target=ptx' "$RNNC" build "$diagonal" --target=ptx --cpu=avx2 -o x
refuses "another target's stage" 2 '\-\-emit=s is of --target=cpu' "$RNNC" build "$diagonal" --target=ptx --emit=s
check "earlier stages are the same, but for a CPU's tasks" sh -c '"$RNNC" build "$1" --target=ptx --stop-after=kern.vectorize -o a &&
  "$RNNC" build "$1" --stop-after=kern.vectorize -o b && cmp a b' sh "$diagonal"
check "kern as input" sh -c '"$RNNC" build "$1" --target=ptx -o a && "$RNNC" build "$1" --target=ptx --emit=kern -o d.kern &&
  "$RNNC" build -x kern d.kern --target=ptx -o b && cmp a.ptx b.ptx' sh "$diagonal"
check "files are named as the input, with dependencies" sh -c '"$RNNC" build "$1" --target=ptx -MD && [ -s diagonal.ptx ] && [ -s diagonal.json ] &&
  grep -q "^diagonal.ptx: " diagonal.d' sh "$diagonal"
check "NAME.ptx is NAME" sh -c '"$RNNC" build "$1" --target=ptx -o y.ptx && [ -s y.ptx ] && [ -s y.json ]' sh "$diagonal"
check "a backward function that is refused is so in the manifest" sh -c '
  "$RNNC" build "$SRC/tests/ptx/gates.rnn" --target=ptx -o g && grep -q "\"backward\": {\"refused\": \"a sum" g.json && ! grep -q backward g.ptx'
check "every architecture that targets name" sh -c '"$RNNC" targets | grep "^ptx" >list && [ -s list ] &&
  while read -r _ arch _; do "$RNNC" build "$1" --target=ptx --arch="$arch" -o a || exit 1; done <list' sh "$diagonal"
finish
