# The same cell under other names, with its `let`s and equations in another order, is the same machine code.
. "$SRC/tests/harden/lib"
command -v objcopy >/dev/null 2>&1 || skip "objcopy is not installed"

# code BASE: machine code and constants; names, text for rnn_info and relocations are left out
code() {
  for section in $(readelf -SW "$1.o" | sed -n 's/.* \(\.text[^ ]*\|\.rodata[^ ]*\) .*/\1/p'); do
    case $section in .rodata.str* | .rela*) continue ;; esac
    objcopy -O binary -j "$section" "$1.o" "$1.part" && echo "$section" && od -An -tx1 -v "$1.part"
  done >"$1.code"
  test "$(wc -c <"$1.code")" -gt 1000
}

same() {
  object "$1" "$2" "$5" all && object "$3" "$4" "$5" all && code "$2.$5.all" && code "$4.$5.all" &&
    cmp "$2.$5.all.code" "$4.$5.all.code"
}

different() {
  ! same "$@" && test -s "$2.$5.all.code" && test -s "$4.$5.all.code"
}

for precision in f32 f64; do
  check "lstm $precision" same "$SRC/stdlib/lstm.rnn" lstm "$HARDEN/cells/renamed.rnn" memory $precision
  check "gru $precision" same "$SRC/stdlib/gru.rnn" gru "$HARDEN/cells/renamed.rnn" gates $precision
  check "offsets $precision" same "$SRC/tests/cells/offsets.rnn" back "$HARDEN/cells/renamed.rnn" behind $precision
  check "einsum $precision" same "$SRC/tests/cells/einsum.rnn" indexed "$HARDEN/cells/renamed.rnn" lettered $precision
  check "another cell is other code, $precision" different "$SRC/stdlib/gru.rnn" gru "$SRC/stdlib/gru.rnn" gru_take $precision
done
finish
