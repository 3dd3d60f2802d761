# The example of a GPU: built without CUDA; run by the tests' driver, and without any.
. "$SRC/tests/lib.sh"
OUT=$PWD
export OUT
mkdir none && echo "no library" >none/libcuda.so.1
refuses "without a GPU" 3 'there is no GPU to run on \(libcuda.so.1\)' env LD_LIBRARY_PATH="$PWD/none" sh "$SRC/examples/gpu/run.sh"
check "with the tests' driver" env LD_LIBRARY_PATH="$BUILD/tests/driver" sh "$SRC/examples/gpu/run.sh" 17 3 5
check "one place, one sequence" env LD_LIBRARY_PATH="$BUILD/tests/driver" ./gpu 1 1 1
fails() { refuses "$1" 1 "gpu: $2" env LD_LIBRARY_PATH="$BUILD/tests/driver" STUB_FAIL="$1" ./gpu 5 2 4; }
fails "cuMemAlloc_v2 3 2" "cuMemAlloc: failed"
fails "cuModuleLoadData 0 218" "cuModuleLoadData: CUDA_ERROR_INVALID_PTX"
fails "cuLaunchKernel 3 719" "cuLaunchKernel: CUDA_ERROR_LAUNCH_FAILED"
fails "cuCtxSynchronize 0 719" "cuCtxSynchronize: failed"
fails "cuMemcpyDtoH_v2 1 719" "cuMemcpyDtoH: failed"
check "results that differ are told" sh -c 'sed "s/outputs < 2e-5/outputs < -1/" "$SRC/examples/gpu/main.c" >main.c && "$CC" -std=c17 -I. -I"$SRC/examples/gpu" main.c "$SRC/examples/gpu/device.c" echo.c echo_cpu.o -ldl -lm -o other &&
  ! LD_LIBRARY_PATH="$BUILD/tests/driver" ./other 3 1 2'
finish
