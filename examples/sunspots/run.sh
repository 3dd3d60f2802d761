#!/bin/sh
# Compiles sunspot.rnn, links it with main.c and runs that. RNNC: the compiler (rnnc); OUT: where to put things (./build).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$here/build}
mkdir -p "$out"
"${RNNC:-rnnc}" build "$here/sunspot.rnn" --entry sunspot -D H=16 -o "$out/sunspot"
${CC:-cc} -std=c17 -O2 -Wall -Wextra -Wpedantic -I"$out" "$here/main.c" "$out/sunspot.o" -lm -o "$out/sunspots"
"$out/sunspots" --data "$here/sunspots.csv" --picture "$out/forecast.svg" "$@"
