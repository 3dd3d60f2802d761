#!/bin/sh
# Trains a character model on a text (default: Debian's licence texts joined) and writes a sample of its own.
#   run.sh [--short] [--minutes N] [--text FILE]        RNNC: the compiler (rnnc); OUT: where to put things (./build)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$here/build}
mkdir -p "$out"
find /usr/share/common-licenses -type f 2>/dev/null | LC_ALL=C sort | xargs -r cat > "$out/licences.txt"
"${RNNC:-rnnc}" build "$here/charlm.rnn" --entry charlm -D E=32 -D H=128 -o "$out/charlm"
${CC:-cc} -std=c17 -O2 -Wall -Wextra -Wpedantic -I"$out" "$here"/main.c "$here"/text.c "$here"/ngram.c "$out/charlm.o" -lm -o "$out/charlm_train"
"$out/charlm_train" --text "$out/licences.txt" "$@"
