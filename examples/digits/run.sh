#!/bin/sh
# Compiles both models of digits.rnn, links them with the C files and runs that. RNNC: the compiler (rnnc); OUT: where to put things (./build).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$here/build}
mkdir -p "$out"
"${RNNC:-rnnc}" build "$here/digits.rnn" --entry digit_mdlstm -D D=1 -D H=32 -D K=10 -o "$out/digit_mdlstm"
"${RNNC:-rnnc}" build "$here/digits.rnn" --entry digit_plstm -D D=1 -D E=32 -D N=4 -D M=8 -D K=10 -o "$out/digit_plstm"
${CC:-cc} -std=c17 -O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -I"$out" "$here"/digits.c "$here"/images.c "$here"/classifier.c "$here"/picture.c \
  "$out/digit_mdlstm.o" "$out/digit_plstm.o" -lm -o "$out/digits"
"$out/digits" --data "$here/digits.csv" --picture "$out/digits.svg" "$@"
