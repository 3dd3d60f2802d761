# ptxas takes every kernel, for every architecture, in both forms and all precisions, and keeps all of it in registers.
. "$SRC/tests/lib.sh"
command -v ptxas >/dev/null || skip "ptxas is not installed"

# assembles FILE ENTRY BUILD-OPTIONS...: for each architecture; on the first failure its reason
assembles() {
  file=$1 entry=$2
  shift 2
  for arch in ${archs:-75 80 86 89 90}; do
    "$RNNC" build "$SRC/$file" --entry="$entry" --target=ptx --arch=sm_$arch "$@" -o k || return 1
    grep -q "^\.target sm_$arch" k.ptx || { echo "not for sm_$arch"; return 1; }
    ptxas -arch=sm_$arch -v k.ptx -o k.cubin >ptxas.out 2>&1 || { cat ptxas.out; return 1; }
    kernels=$(grep -c '\.entry' k.ptx)
    clean=$(grep -c ' 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads' ptxas.out)
    [ "$kernels" -gt 0 ] && [ "$kernels" = "$clean" ] || { echo "memory of threads:"; cat ptxas.out; return 1; }
  done
}

for form in sequential scan:8; do
  check "diagonal, $form" assembles tests/ptx/diagonal.rnn diagonal --form=$form
  check "minGRU, $form" assembles stdlib/mingru.rnn mingru --form=$form
  check "gates of an RG-LRU, $form" assembles tests/ptx/gates.rnn gates --form=$form
  check "RWKV-4, $form" assembles stdlib/rwkv4.rnn rwkv4 --form=$form
done
check "every elementwise function" assembles tests/ptx/functions.rnn functions
check "every elementwise function, double" assembles tests/ptx/functions.rnn functions --precision=f64
for precision in bf16 f16; do
  check "arrays of 16 bits, $precision" assembles tests/cells/handed_on.rnn handed_on --precision=$precision
  check "and an LSTM's, $precision" assembles stdlib/lstm.rnn lstm --precision=$precision
done
check "dozens of nests in a step" assembles stdlib/deltanet.rnn deltanet --form=chunk:16
archs=80
check "products in panels, with heads" assembles stdlib/lstm_heads.rnn lstm_heads
archs=90a
check "products in panels, double" assembles stdlib/gru.rnn gru --precision=f64
check "products of groups" assembles stdlib/lstm_heads.rnn lstm_heads --precision=bf16 --products=bf16
archs=
check "a sequence of cells" assembles stdlib/fsmn.rnn fsmn3
check "an LSTM of teams" assembles stdlib/lstm.rnn lstm
check "of clusters where there are some" sh -c '[ "$(grep -c "barrier.cluster.arrive" k.ptx)" = 2 ] && [ "$(grep -c "barrier.cluster.wait" k.ptx)" = 2 ] && grep -q "^\.version 7\.8" k.ptx'
check "or at counters" sh -c '[ "$(grep -c "red.release.gpu" k.ptx)" = 2 ] && [ "$(grep -c "ld.acquire.gpu" k.ptx)" = 2 ]'
check "and at nothing else elsewhere" sh -c '"$RNNC" build "$SRC/stdlib/lstm.rnn" --target=ptx --arch=sm_89 -o k && ! grep -q cluster k.ptx && grep -q "_team.*\"counters\": true" k.json && [ "$(grep -c "red.release.gpu" k.ptx)" = 2 ]'
check "with tiles" assembles stdlib/lstm_heads.rnn lstm_heads --precision=f16 --products=f16
finish
