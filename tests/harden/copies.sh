# A call that copies weights for its products gives the bits of calls that do not.
. "$SRC/tests/harden/lib"

# copies CELL LEVEL IN OUT COPIED SIZES PARAMS CARRY [MORE]: COPIED is how many bytes of weights there are to copy
copies() {
  "$RNNC" build "$SRC/stdlib/$1.rnn" --entry "$1" --cpu "$2" -o "$1.o" &&
    "$CC" -std=c17 -O1 -I. -DHEADER="\"$1.h\"" -DCELL="$1" -DIN="$3" -DOUT="$4" -DCOPIED="$5" -DSIZES="$6" -DPARAMS="{$7}" \
      -DCARRY="{$8}" -DMORE="${9:-(void)0}" -o copies "$HARDEN/copies.c" "$1.o" && ./copies
}
zero() { echo "room(B * $1 * sizeof(float))"; }
for level in $(levels); do
  check "lstm, $level" copies lstm "$level" 37 70 $((4 * 70 * 107 * 4)) .D=37,.H=70 \
    "drawn(4*70*37,2),drawn(4*70*70,3),drawn(4*70,4)" ".h=$(zero 70),.c=$(zero 70)"
  check "gru, $level" copies gru "$level" 20 33 $((3 * 33 * 53 * 4)) .D=20,.H=33 \
    "drawn(3*33*20,2),drawn(3*33*33,3),drawn(3*33,4),drawn(33,5)" ".h=$(zero 33)"
  check "lstm_heads, $level" copies lstm_heads "$level" "4*3*18" "3*18" $((4 * 3 * 18 * 18 * 4)) .N=3,.K=18 \
    "drawn(4*3*18*18,2),drawn(4*3*18,3)" ".h=$(zero 54),.c=$(zero 54)" \
    "out.c=room((size_t)T*B*OUT*sizeof(float))"
done
finish
