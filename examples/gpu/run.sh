#!/bin/sh
# Compiles echo.rnn for the CPU and for NVIDIA GPUs, and runs both: run.sh [T B H]. Needs no CUDA to be built; without a GPU its exit code is 3.
#   RNNC: the compiler (rnnc); OUT: where to put things (./build)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$here/build}
mkdir -p "$out"
"${RNNC:-rnnc}" build "$here/echo.rnn" --entry echo --target=cuda -o "$out/echo"
"${RNNC:-rnnc}" build "$here/echo.rnn" --entry echo --prefix=echo_cpu -o "$out/echo_cpu"
${CC:-cc} -std=c17 -O2 -Wall -Wextra -Wpedantic -I"$out" -I"$here" "$here/main.c" "$here/device.c" "$out/echo.c" "$out/echo_cpu.o" -ldl -lm -o "$out/gpu"
exec "$out/gpu" "$@"
