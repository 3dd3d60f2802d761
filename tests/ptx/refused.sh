# What does not become kernels is refused by its name and line, and leaves no file; options of the other target, too.
. "$SRC/tests/lib.sh"
diagonal=$SRC/tests/ptx/diagonal.rnn

check "kern for a CPU" sh -c '"$RNNC" build "$SRC/stdlib/gru.rnn" --emit=kern -o cpu.kern && grep -q "^ *tasks" cpu.kern && grep -q "^ *pack" cpu.kern &&
  grep -v "^ *pack" cpu.kern >strips.kern'
refuses "packed matrices" 1 '`gru` cannot be built for ptx: its forward function has a matrix copied for the products of a CPU \(K_PACK\)' \
  "$RNNC" build -x kern cpu.kern --target=ptx -o x
refuses "strips" 1 '`gru` cannot .* strips for the caches of a CPU \(K_STRIPS\)' "$RNNC" build -x kern strips.kern --target=ptx -o x
cat >backward.kern <<'END'
kern "n"
dim B batch
dim keep keep
dim part.1 part
open B
buf b0 work real B used 3 kept ""
forward {
  fill b0[0] count B = 0
}
backward {
  tasks %0 part.1 < B grain 1 work B least 1 {
    fill b0[0, %0 by 1] count part.1 = 0
  }
}
END
refuses "a launcher without its backward function" 1 '`n` cannot be built for cuda: its backward function has tasks' \
  "$RNNC" build -x kern backward.kern --target=cuda -o x
check "nothing was written" sh -c '! ls x.* 2>/dev/null'
refuses "an architecture that there is not" 2 'takes sm_75' "$RNNC" build "$diagonal" --target=ptx --arch=sm_70
refuses "--arch on the CPU" 2 '\-\-arch means nothing with --target=cpu' "$RNNC" build "$diagonal" --arch=sm_80 -o x
refuses "--cpu on the GPU" 2 '\-\-cpu means nothing with --target=ptx' "$RNNC" build "$diagonal" --target=ptx --cpu=avx2 -o x
refuses "another target's stage" 2 '\-\-emit=s is of --target=cpu' "$RNNC" build "$diagonal" --target=ptx --emit=s
check "earlier stages are the same, up to a CPU's merged loops" sh -c '"$RNNC" build "$1" --target=ptx --stop-after=kern.forward -o a &&
  "$RNNC" build "$1" --stop-after=kern.forward -o b && cmp a b' sh "$diagonal"
check "what is proved of Newton is of the precision that runs" sh -c 'for p in f32 f64; do for t in cpu ptx; do
  "$RNNC" build "$SRC/stdlib/pararnn.rnn" --entry=para_gru --form=newton:4 --precision=$p --target=$t --emit=rec -o $p.$t || exit 1; done; done
  cmp f32.cpu f32.ptx && cmp f64.cpu f64.ptx && ! cmp -s f32.ptx f64.ptx'
check "kern as input" sh -c '"$RNNC" build "$1" --target=ptx -o a && "$RNNC" build "$1" --target=ptx --emit=kern -o d.kern &&
  "$RNNC" build -x kern d.kern --target=ptx -o b && cmp a.ptx b.ptx' sh "$diagonal"
check "kernels without it: the manifest says why" sh -c '"$RNNC" build -x kern backward.kern --target=ptx -o n && grep -q "\"backward\": {\"refused\": \"tasks" n.json'
check "files are named as the input, with dependencies" sh -c '"$RNNC" build "$1" --target=ptx -MD && [ -s diagonal.ptx ] && [ -s diagonal.json ] &&
  grep -q "^diagonal.ptx: " diagonal.d' sh "$diagonal"
check "NAME.ptx is NAME" sh -c '"$RNNC" build "$1" --target=ptx -o y.ptx && [ -s y.ptx ] && [ -s y.json ]' sh "$diagonal"
check "every architecture that targets name" sh -c '"$RNNC" targets | grep "^ptx" >list && [ -s list ] &&
  while read -r _ arch _; do "$RNNC" build "$1" --target=ptx --arch="$arch" -o a || exit 1; done <list' sh "$diagonal"
check "the same for cuda" sh -c '"$RNNC" targets | grep "^cuda sm_" | cut -c6-10 >cuda && cut -c6-10 list | cmp - cuda'
finish
