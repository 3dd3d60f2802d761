#!/bin/sh
# Compiles the model of arrows.rnn, links it with the C files and runs that. RNNC: the compiler (rnnc); OUT: where to put things (./build).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$here/build}
mkdir -p "$out"
"${RNNC:-rnnc}" build "$here/arrows.rnn" --entry arrows -D D=36 -D E=48 -D N=4 -D M=8 -D F=96 -o "$out/arrows"
${CC:-cc} -std=c17 -O2 -fopenmp -Wall -Wextra -Wpedantic -Wshadow -Wconversion -I"$out" "$here"/arrows.c "$here"/draw.c "$here"/picture.c "$out/arrows.o" -lm \
  -o "$out/arrows"
"$out/arrows" --picture "$out/arrows.svg" "$@"
