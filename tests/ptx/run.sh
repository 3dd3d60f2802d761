# run, test and bench on a GPU, and without one. The driver is the tests' own, which runs the PTX.
. "$SRC/tests/lib.sh"
ours=$BUILD/tests/driver
gpu() { env LD_LIBRARY_PATH="$ours" "$@"; }
broken() {
  fail=$1
  shift
  env LD_LIBRARY_PATH="$ours" STUB_FAIL="$fail" "$@"
}

cat >count.rnn <<'END'
cell count over t (x: int, k: int) -> y {
  param W: real[3, 2]
  state n: int, y: real[2]
  n = n[t-1] + x
  y = y[t-1] + W[k, :] + real(n)
}
END
ints '4, 2' 1 2 3 4 5 6 7 8 >x.npy
ints '4, 2' 0 1 2 0 1 2 0 1 >k.npy
npy '<f4' '3, 2' 24 >W.npy
run="$RNNC run count.rnn -i x.npy -i k.npy -i W.npy"
gru=$SRC/stdlib/gru.rnn
call="$RNNC run $gru --entry=gru -i $SRC/stdlib/gru.npz --grad --target=cuda"

# ---- no GPU: an exit code of its own ----
mkdir -p none packed outside
echo "no library" >none/libcuda.so.1
for verb in "run $gru --entry=gru" "test $gru" "bench $gru"; do
  refuses "${verb%% *} without a driver" 3 'there is no GPU to run on: dlopen: the CUDA driver cannot be loaded' \
    env LD_LIBRARY_PATH="$PWD/none" "$RNNC" $verb --target=cuda
done
refuses "no device" 3 'no GPU to run on: cuInit: CUDA_ERROR_NO_DEVICE' broken "cuInit 0 100" "$RNNC" test "$gru" --target=cuda
refuses "no context" 3 'cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY' broken "cuDevicePrimaryCtxRetain 0 2" "$RNNC" test "$gru" --target=cuda
refuses "too old a device" 3 'is older than sm_75' env STUB_ARCH=7.0 LD_LIBRARY_PATH="$ours" "$RNNC" test "$gru" --target=cuda

check "targets says that there is none" sh -c 'LD_LIBRARY_PATH=$PWD/none "$RNNC" targets | grep -q "^cuda not on this machine: dlopen"'
check "or which" sh -c "STUB_ARCH=8.9 LD_LIBRARY_PATH='$ours' '$RNNC' targets | grep -q '^cuda on this machine: no GPU.*, sm_89'"

# ---- what makes no sense ----
refuses "PTX does not run" 2 '\-\-target=ptx is of build' "$RNNC" run "$gru" --entry=gru --target=ptx
refuses "a level of the CPU" 2 '\-\-cpu means nothing with --target=cuda' "$RNNC" test "$gru" --target=cuda --cpu=avx2
refuses "an architecture of the CPU" 2 '\-\-arch means nothing with --target=cpu' "$RNNC" test "$gru" --arch=sm_80
refuses "the evaluator on a GPU" 2 'on=reference means nothing with --target=cuda' "$RNNC" run "$gru" --entry=gru --on=reference --target=cuda
refuses "tune measures the CPU" 2 'target' "$RNNC" tune "$gru" --target=cuda

# ---- run ----
check "run" gpu $run --target=cuda --grad -o gpu.npz
check "whole numbers: what the CPU gives" sh -c "$run --grad -o cpu.npz && cmp gpu.npz cpu.npz"
check "in double precision" sh -c "LD_LIBRARY_PATH='$ours' $run --target=cuda --precision=f64 -o gpu.npz && $run --precision=f64 -o cpu.npz && cmp gpu.npz cpu.npz"
for n in x k; do ints '5' 1 0 2 1 0 >packed/$n.npy; done
ints '4' 0 2 2 5 >packed/offsets.npy
packed="$RNNC run count.rnn -i packed/x.npy -i packed/k.npy -i packed/offsets.npy -i W.npy --grad"
check "sequences end to end" sh -c "LD_LIBRARY_PATH='$ours' $packed --target=cuda -o gpu.npz && $packed -o cpu.npz && cmp gpu.npz cpu.npz"
ints '4, 2' 0 1 2 0 1 3 0 1 >outside/k.npy
refuses "an index outside, by name" 1 'count: .*index 3 is outside 0..2, the range of axis 0 of .W., in sequence 1' \
  gpu "$RNNC" run count.rnn -i x.npy -i W.npy -i outside/k.npy --target=cuda
refuses "kernels for a newer GPU" 1 'cuDeviceGetAttribute: the device is older than the architecture' gpu $call --arch=sm_90
check "kernels for one GPU" env STUB_ARCH=9.0 LD_LIBRARY_PATH="$ours" $call --arch=sm_90a --products=bf16
refuses "and not for a later one" 1 'cuDeviceGetAttribute: the device is of a later generation than the code of the kernels' env STUB_ARCH=10.0 LD_LIBRARY_PATH="$ours" $call --arch=sm_90a
check "kernels for an older GPU" gpu $call --arch=sm_75
check "the GPU's own architecture" sh -c "STUB_ARCH=9.0 LD_LIBRARY_PATH='$ours' '$RNNC' bench '$gru' --entry=gru --sizes T=2 --target=cuda | grep -q 'f32 sm_90, no GPU'"

# ---- how long ----
# Sums over few elements are added up from as many threads, not from all of the block.
delta="$RNNC run $SRC/stdlib/gated_deltanet.rnn --entry=gated_deltanet -i $SRC/stdlib/gated_deltanet.npz --grad --target=cuda -o y.npz"
check "sums of few" env STUB_MOST=5000000 LD_LIBRARY_PATH="$ours" $delta
refuses "no time for it" 1 'gated_deltanet: cuCtxSynchronize: CUDA_ERROR_LAUNCH_TIMEOUT' env STUB_MOST=500000 LD_LIBRARY_PATH="$ours" $delta

# ---- what stays in a block ----
# Weights, where they fit, over four steps or more. Results are the same, bit by bit.
says() { env STUB_SAYS=1 LD_LIBRARY_PATH="$ours" "$@" 2>said; }
heads="$RNNC run $SRC/stdlib/lstm_heads.rnn --entry=lstm_heads --target=cuda"
reference="$heads -i $SRC/stdlib/lstm_heads.npz --grad"
check "what is kept" says $reference -o kept.npz
check "forward and backward" sh -c '[ "$(grep -c "launched: .*_kept" said)" = 2 ]'
check "both heads in one block, as they are small" grep -q '_kept, 3 blocks of 32' said
check "where it does not fit" says env STUB_SHARED=64 $reference -o plain.npz
check "nothing is" sh -c '! grep -q _kept said'
check "the same results" cmp kept.npz plain.npz
npy '<f4' '4, 2, 4, 4' 512 >R.npy && npy '<f4' '4, 2, 4' 128 >b.npy
for t in 3 4; do
  npy '<f4' "$t, 1, 4, 2, 4" $((128 * t)) >x.npy
  check "$t steps" says $heads -i x.npy -i R.npy -i b.npy -o y.npz
  check "three are not worth it" sh -c "[ $t = 3 ] || grep -q _kept said; [ $t = 4 ] || ! grep -q _kept said"
done
refuses "shared memory that is refused" 1 'gru: cuFuncSetAttribute: CUDA_ERROR_INVALID_VALUE' broken "cuFuncSetAttribute 0 1" $call
lstm="$RNNC run $SRC/stdlib/lstm.rnn --entry=lstm -i $SRC/stdlib/lstm.npz --grad --target=cuda -o y.npz"
check "in clusters" says env STUB_ARCH=9.0 STUB_SHARED=500 $lstm
check "as large as it takes" grep -q '_team, 12 blocks of 32 threads, 496 bytes, clusters of 4' said
check "with products of tiles" says env STUB_ARCH=9.0 STUB_SHARED=500 $lstm --products=bf16
check "in clusters, too" sh -c '[ "$(grep -c "_team, .* clusters of " said)" = 2 ]'
check "none" sh -c "LD_LIBRARY_PATH='$ours' STUB_ARCH=9.0 STUB_SHARED=64 ${lstm% *} one.npz --products=bf16"
check "the same bits" cmp one.npz y.npz
refuses "a cluster that does not start" 1 'lstm: cuLaunchKernelEx: CUDA_ERROR_OUT_OF_MEMORY' broken "cuLaunchKernelEx 0 2" env STUB_ARCH=9.0 STUB_SHARED=500 $lstm

# ---- in blocks that wait for each other without being a cluster: where there are none, or they are too small ----
export STUB_ARCH=8.9 STUB_SHARED=500
meets() { says "$@" && [ "$(grep -c '_team, .*, cooperative' said)" = "$blocks" ]; }
plain() { says "$@" && ! grep -qE "_kept|_team" said && grep -q 'lstm_forward_6, ' said; }
blocks=2
check "with products of tiles, on a GPU without clusters" meets $lstm --products=bf16
check "the same bits as without teams" cmp one.npz y.npz
check "none" plain env STUB_SHARED=64 ${lstm% *} one.npz
check "real factors" meets $lstm
check "blocks of the batch are as many as run at a time" grep -q 'lstm_forward_6_team, 8 blocks of 32 threads' said
check "the same bits" cmp one.npz y.npz
check "room for one team" meets env STUB_PROCESSORS=5 $lstm
check "has all of the batch" grep -q 'lstm_forward_6_team, 4 blocks of 32 threads' said
check "the same bits" cmp one.npz y.npz
check "room for none" plain env STUB_PROCESSORS=1 $lstm
check "a GPU that does not do that" plain env STUB_COOPERATIVE=0 $lstm
check "others have the room" sh -c "STUB_SAYS=1 STUB_FAIL='cuLaunchCooperativeKernel 0 720' LD_LIBRARY_PATH='$ours' $lstm 2>said && ! grep -q _team said && grep -q 'lstm_forward_6, ' said"
check "the same bits" cmp one.npz y.npz
refuses "blocks that do not start" 1 'lstm: cuLaunchCooperativeKernel: CUDA_ERROR_OUT_OF_MEMORY' broken "cuLaunchCooperativeKernel 1 2" $lstm
npy '<f4' '5, 3, 2' 120 >x.npy
wide="$RNNC run $SRC/stdlib/lstm.rnn --entry=lstm --seed=3 -i x.npy --target=cuda"
for size in "-i h0.npy" "-D H=23"; do
  npy '<f4' '3, 23' 276 >h0.npy
  check "23 units, in one block" plain env STUB_SHARED=64 $wide $size -o one.npz
  blocks=1
  check "in many, $size" meets env STUB_ARCH=9.0 STUB_SHARED=700 STUB_PROCESSORS=23 $wide $size -o y.npz
  check "more than a cluster has" grep -q 'lstm_forward_6_team, 23 blocks of ' said
  check "the same bits" cmp one.npz y.npz
done
check "eight are a cluster" sh -c "STUB_SAYS=1 STUB_ARCH=9.0 STUB_SHARED=1500 LD_LIBRARY_PATH='$ours' $wide -D H=23 -o y.npz 2>said && grep -q '_team, .* clusters of 8' said"
mkdir old older
old() { "$CC" -std=gnu99 -O1 -ffp-contract=off -shared -fPIC -DSTUB_IS_OLD=$1 "$SRC/tests/ptx/driver.c" "$SRC/tests/ptx/interpret.c" "$SRC/tests/ptx/weak.c" -o $2/libcuda.so.1 -lm; }
check "a driver before CUDA 11.8" old 1 old
check "starts no clusters" sh -c "STUB_SAYS=1 STUB_ARCH=9.0 LD_LIBRARY_PATH=$PWD/old $lstm 2>said && grep -q '_team, .*, cooperative' said && ! grep -q 'clusters of [1-9]' said"
check "one before CUDA 9" old 9 older
check "no teams at all" sh -c "STUB_SAYS=1 STUB_ARCH=9.0 LD_LIBRARY_PATH=$PWD/older $lstm 2>said && grep -q 'launched: lstm_forward_6,' said && ! grep -q _team said"
unset STUB_ARCH STUB_SHARED
for p in bf16 f16; do
  check "$p, tiles" says "$RNNC" run "$gru" --entry=gru -i "$SRC/stdlib/gru.npz" --target=cuda --products=$p -o kept.npz
  check "some kept" grep -q _kept said
  check "$p, elsewhere" says env STUB_SHARED=64 "$RNNC" run "$gru" --entry=gru -i "$SRC/stdlib/gru.npz" --target=cuda --products=$p -o plain.npz
  check "the same tiles" cmp kept.npz plain.npz
done

# ---- what fails on the way ----
fails() { refuses "$1 fails" 1 "gru: $1: CUDA_ERROR_$3" broken "$1 $2" $call; }
fails cuMemAlloc_v2 "0 2" OUT_OF_MEMORY
fails cuMemAlloc_v2 "7 2" OUT_OF_MEMORY
fails cuMemcpyHtoD_v2 "2 1" INVALID_VALUE
fails cuModuleLoadData "0 218" INVALID_PTX
fails cuModuleGetFunction "3 500" NOT_FOUND
fails cuMemsetD8Async "0 1" INVALID_VALUE
fails cuMemsetD2D32Async "0 1" INVALID_VALUE
fails cuLaunchKernel "2 1" INVALID_VALUE
fails cuCtxSynchronize "1 719" LAUNCH_FAILED
fails cuMemcpyDtoH_v2 "1 719" LAUNCH_FAILED
check "a failure in test is one" sh -c "! STUB_FAIL='cuLaunchKernel 60 719' LD_LIBRARY_PATH='$ours' '$RNNC' test '$gru' --target=cuda >out && grep -q 'FAIL  gru: .*cuLaunchKernel: CUDA_ERROR_LAUNCH_FAILED' out"

# ---- bench ----
check "bench" gpu "$RNNC" bench "$gru" --entry=gru --sizes T=4,B=2 --target=cuda
for n in 0 60 200; do
  refuses "launch $n of bench fails" 1 'gru: .*cuLaunchKernel: CUDA_ERROR_LAUNCH_FAILED' \
    broken "cuLaunchKernel $n 719" "$RNNC" bench "$gru" --entry=gru --sizes T=2,B=1 --target=cuda
done
check "rounded factors are said" sh -c "LD_LIBRARY_PATH='$ours' '$RNNC' bench '$gru' --entry=gru --sizes T=2 --target=cuda --products=tf32 | grep -q 'f32 sm_80 products tf32, no GPU'"
check "and run" gpu $call --products=bf16
check "as JSON, against old ones" sh -c "export LD_LIBRARY_PATH='$ours'; '$RNNC' bench '$gru' --entry=gru --sizes T=4 --target=cuda --json >old.json && grep -q '\"with\": \"f32 sm_80\"' old.json &&
  '$RNNC' bench '$gru' --entry=gru --sizes T=4 --target=cuda --compare old.json | grep -q 'against the old'"
finish
