# Every cell of the standard library becomes PTX, forward and backward, and ptxas takes it. Assembling is what takes long: each
# tenth entry, the architectures taking turns. RNNC_ALL=1: all of them, for all architectures.
. "$SRC/tests/lib.sh"
command -v ptxas >/dev/null || skip "ptxas is not installed"
archs='75 80 86 89 90'

# built FILE ENTRY ARCH BUILD-OPTIONS...: k.ptx, with a backward function where there is one
built() {
  file=$1 entry=$2 arch=$3
  shift 3
  "$RNNC" build "$SRC/stdlib/$file.rnn" --entry="$entry" --target=ptx --arch=sm_"$arch" "$@" -o k >out 2>&1 || { cat out; return 1; }
  ! grep refused k.json && grep -q '\.entry' k.ptx
}

assembled() {
  built "$@" || return 1
  ptxas -arch=sm_"$3" k.ptx -o k.cubin >out 2>&1 || { cat out; return 1; }
}

turn=0
for path in "$SRC"/stdlib/*.rnn; do
  file=$(basename "$path" .rnn)
  for entry in $(grep -oE '^(cell|model|graph|grid) +[a-z_0-9]+' "$path" | sed 's/.* //'); do
    turn=$((turn + 1))
    arch=$(echo $archs | cut -d' ' -f$((turn / 10 % 5 + 1)))
    if [ "${RNNC_ALL-}" ]; then
      for arch in $archs; do check "$entry, sm_$arch" assembled "$file" "$entry" "$arch"; done
    elif [ $((turn % 10)) = 0 ]; then
      check "$entry, sm_$arch" assembled "$file" "$entry" "$arch"
    else
      check "$entry" built "$file" "$entry" "$arch"
    fi
  done
done
check "entries were found" [ "$turn" -gt 100 ]
for arch in $archs; do check "LSTM, sm_$arch" assembled lstm lstm "$arch"; done
check "LSTM, sm_90a" assembled lstm lstm 90a
check "LSTM, double" assembled lstm lstm 80 --precision=f64
check "sums over threads, double" assembled rwkv7 rwkv7 75 --precision=f64
check "GLA in chunks" assembled gla gla 90 --form=chunk:16
check "ParaGRU by Newton's method" assembled pararnn para_gru 75 --form=newton:16
check "LRU as a scan" assembled lru lru 86 --form=scan:16
check "S4D as a convolution" assembled s4d s4d 89 --form=convolution:16
finish
