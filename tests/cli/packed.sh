# Sequences end to end: `offsets` in files, what is wrong with them, and in a C program.
. "$SRC/tests/lib.sh"

cat > sum.rnn <<'END'
cell sum over t (x: int) -> y {
  state y: int
  y = y[t-1] + x
}
cell ahead over t (x: int) -> y {
  state y: int
  y = 2 * y[t-1] + x[t+1]
}
cell back over t (x: int) -> y {
  state y: int
  y = y[t+1] + x[t-1]
}
END
ints '6,' 1 2 3 4 5 6 > x.npy
ints '5,' 0 0 2 2 6 > offsets.npy
ints '4,' 10 20 30 40 > y0.npy
# same FILE VALUE...: the file ends with these numbers
same() {
  file=$1
  shift
  [ "$(tail -c $((4 * $#)) "$file" | od -An -td4 -v | xargs)" = "$*" ]
}
run() {
  out=$1 entry=$2
  shift 2
  "$RNNC" run sum.rnn --entry="$entry" -i x.npy -i offsets.npy "$@" -o "$out" 2> note.txt
}
for on in cpu reference; do
  run y.npy sum --on=$on -i y0.npy
  check "$on: sums of [1 2] and [3 4 5 6], from 20 and 40" same y.npy 21 23 43 47 52 58
  run y.npy ahead --on=$on
  check "$on: nothing is read ahead of a sequence's end" same y.npy 2 4 4 13 32 64
  run y.npy back --on=$on
  check "$on: nor before its begin" same y.npy 1 1 12 12 9 5
  run y.npz sum --on=$on -i y0.npy
  unzip -p y.npz yT.npy > yT.npy
  check "$on: an empty sequence ends as it starts" same yT.npy 10 23 30 58
done
ints '4,' 0 2 1 3 > lengths.npy
refuses "a length beyond its sequence" 1 "array .lengths.: element 2 is 1, outside 0\.\.0" "$RNNC" run sum.rnn --entry=sum -i x.npy -i offsets.npy -i lengths.npy
ints '4,' 0 1 0 3 > lengths.npy
run y.npy sum -i lengths.npy
check "lengths are within the sequence" same y.npy 1 0 3 7 12 0

wrong() {
  ints "$3" $4 > offsets.npy
  for on in cpu reference; do
    refuses "$on: $1" 1 "$2" "$RNNC" run sum.rnn --entry=sum --on=$on -i x.npy -i offsets.npy
  done
}
wrong "offsets that decrease" "array .offsets.: element 2 is 3, but offsets do not decrease" '4,' '0 4 3 6'
wrong "offsets that begin elsewhere" "array .offsets.: element 0 is 1, but the first sequence begins at 0" '3,' '1 2 6'
wrong "offsets below 0" "array .offsets.: element 1 is -1, but offsets do not decrease" '3,' '0 -1 6'
wrong "offsets that end before the end" "array .offsets.: the last element is 5, but all sequences together have T = 6 places .from .x., axis 0" '3,' '0 2 5'
wrong "offsets that end behind it" "the last element is 7" '3,' '0 2 7'
wrong "no offset at all" "array .offsets. is int32\[0\], but int\[B \+ 1\] is expected" '0,' ''
wrong "a table of offsets" "array .offsets. is int32\[1, 2\], but int\[B \+ 1\] is expected" '1, 2' '0 6'
wide() {
  npy '<i8' '3,' 8 > offsets.npy
  printf "$1" >> offsets.npy
  printf '\006\000\000\000\000\000\000\000' >> offsets.npy
  refuses "$2" 1 "array .offsets.: element 1 is $3" "$RNNC" run sum.rnn --entry=sum -i x.npy -i offsets.npy
  check "and nothing is said of arrays that depend on them" sh -c '[ "$(grep -c error: last.err)" = 1 ]'
}
wide '\000\000\000\200\000\000\000\000' "an offset of 33 bits" "2147483648, but 32 bits must do"
wide '\377\377\377\377\377\377\377\177' "the largest" "9223372036854775808, but 32 bits must do"
wide '\000\000\000\000\000\000\000\200' "the least" "-9223372036854775808, but offsets do not decrease"
ints '3,' 0 2 6 > offsets.npy
refuses "another B" 1 "array .offsets. is int32\[3\], but int\[B \+ 1\] is expected with B = 3 .from -D" "$RNNC" run sum.rnn --entry=sum -i x.npy -i offsets.npy -D B=3
refuses "as many start values as sequences" 1 "array .y0. is int32\[4\], but int\[B\] with B = 2 .from .offsets., one less than it has. is expected" \
  "$RNNC" run sum.rnn --entry=sum -i x.npy -i y0.npy -i offsets.npy
ints '3, 2' 1 2 3 4 5 6 > x.npy
refuses "places have no axis B" 1 "array .x. is int32\[3, 2\], but int\[T\] is expected" "$RNNC" run sum.rnn --entry=sum -i x.npy -i offsets.npy

# Sizes that depend on the length hold for each sequence, whatever all together are.
cat > place.rnn <<'END'
model place[P](x: int[T], e: int[P]) -> y: int[T] {
  let y = x + e[0:T]
}
model third(x: int[T]) -> y: int {
  let y = x[2]
}
model half[P = (T - 1) / 2](x: int[T], e: int[3]) -> y: int[T] {
  let s = sum(e[0:P])
  let y = x + s
}
END
ints '2, 4' 10 20 30 40 50 60 70 80 > e.npy
ints '6,' 1 2 3 4 5 6 > x.npy
ints '3,' 0 2 6 > offsets.npy
for on in cpu reference; do
  "$RNNC" run place.rnn --entry=place --on=$on -i x.npy -i e.npy -i offsets.npy -o y.npy
  check "$on: as many places as the longest needs" same y.npy 11 22 53 64 75 86
  refuses "$on: an element that one sequence does not have" 1 "a slice or an element is outside its axis: T - 3 is negative, in sequence 0" \
    "$RNNC" run place.rnn --entry=third --on=$on -i x.npy -i offsets.npy
done
ints '3,' 0 1 6 > offsets.npy
ints '2, 3' 10 20 30 40 50 60 > e.npy
for on in cpu reference; do
  "$RNNC" run place.rnn --entry=half --on=$on -i x.npy -i e.npy -i offsets.npy -o y.npy
  check "$on: what divides the length of each, but not of all" same y.npy 1 92 93 94 95 96
done
ints '3,' 0 2 6 > offsets.npy
refuses "what does not divide the length of each" 1 "P = .*T - 1.* / 2 must divide exactly, in sequence 0" \
  "$RNNC" run place.rnn --entry=half -i x.npy -i e.npy -i offsets.npy
ints '2, 3' 10 20 30 40 50 60 > e.npy
refuses "fewer places than the longest needs" 1 "outside its axis: -T . P is negative, in sequence 1" \
  "$RNNC" run place.rnn --entry=place -i x.npy -i e.npy -i offsets.npy
check "the tests of a model that depends on the place" sh -c '"$RNNC" test place.rnn --entry=place --cpu=baseline > said.txt'
check "some of them packed" grep -q "pass  place: a sequence of a packed batch is, bit for bit, the sequence alone" said.txt
cat > place.c <<'END'
#include "place.h"
#include <stdlib.h>
int main(void)
{
    int32_t x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {0}, e[8] = {10, 20, 30, 40, 50, 60, 70, 80}, offsets[3] = {0, 2, 6};
    place_sizes sizes = {0};
    place_inputs inputs = {0};
    place_outputs outputs = {0};
    rnn_call call = {0};
    sizes.T = 6, sizes.B = 2, sizes.P = 4;
    inputs.x = x, inputs.e = e, inputs.offsets = offsets;
    outputs.y = y;
    call.bytes = place_packed_workspace(&sizes, offsets, RNN_FORWARD);
    if (call.bytes == SIZE_MAX)
        return 1;
    call.workspace = malloc(call.bytes);
    call.passes = RNN_FORWARD;
    if (place_forward(&sizes, NULL, &inputs, &outputs, &call) != RNN_OK || y[1] != 22 || y[2] != 53 || y[5] != 86)
        return 2;
    sizes.P = 3, y[0] = 0;
    if (place_forward(&sizes, NULL, &inputs, &outputs, &call) != RNN_SIZE || y[0] || place_packed_workspace(&sizes, offsets, RNN_FORWARD) != SIZE_MAX)
        return 3;
    inputs.offsets = NULL, sizes.P = 4;
    if (place_forward(&sizes, NULL, &inputs, &outputs, &call) != RNN_SIZE)
        return 4;
    free(call.workspace);
    return 0;
}
END
"$RNNC" build place.rnn --entry=place -o place.o
check "in C: a sequence that is too long stops all, and before the first" sh -c '"$CC" -std=c99 -Wall -Wextra -Wpedantic -Werror place.c place.o -o place && ./place'

# What has more than one time, or has it elsewhere, is not packed, and may call an array as it likes.
cat > others.rnn <<'END'
model two(x: real[T], z: real[S]) -> y: real {
  let y = sum(i: x[i]) + sum(i: z[i])
}
model across[H](x: real[H, T]) -> y: real[H] {
  let y[h] = sum(i: x[h, i])
}
cell grid over (r, s) (offsets: real) -> y {
  state y: real
  y = offsets + y[r-1, s]
}
END
for entry in two across grid; do
  "$RNNC" build others.rnn --entry=$entry -o $entry.o
  check "$entry: no packed batches" sh -c '! grep -q -e packed_workspace -e "int32_t \*offsets" "$0.h"' $entry
done

# What is not finite is named by its sequence.
cat > inverse.rnn <<'END'
cell inverse over t (x: real) -> y {
  state y: real
  y = 1 / x
}
END
npy '<f4' '5,' 0 > x.npy
printf '\000\000\200\077\000\000\200\077\000\000\200\077\000\000\000\000\000\000\200\077' >> x.npy
ints '4,' 0 2 2 5 > offsets.npy
for on in cpu reference; do
  refuses "$on: not finite" 1 "is inf at step 1 of sequence 2" "$RNNC" run inverse.rnn --on=$on --check -i x.npy -i offsets.npy
done

# The sums of two sequences by way of C, with a carry for each.
cat > program.c <<'END'
#include "sum.h"
#include <stdlib.h>
int main(void)
{
    int32_t x[6] = {1, 2, 3, 4, 5, 6}, y[6], yT[2], offsets[3] = {0, 2, 6}, at[2] = {100, 200};
    sum_sizes sizes = {0};
    sum_inputs inputs = {0};
    sum_outputs outputs = {0};
    sum_carry carry = {0};
    rnn_call call = {0};
    sizes.T = 6, sizes.B = 2;
    inputs.x = x, inputs.offsets = offsets;
    outputs.y = y, outputs.yT = yT;
    carry.y = at;
    call.bytes = sum_packed_workspace(&sizes, offsets, RNN_FORWARD);
    call.workspace = malloc(call.bytes);
    call.passes = RNN_FORWARD;
    if (sum_forward(&sizes, NULL, &inputs, &outputs, &call) != RNN_OK || y[1] != 3 || y[2] != 3 || yT[0] != 3 || yT[1] != 18)
        return 1;
    if (sum_chunk(&sizes, NULL, &inputs, &outputs, &carry, &call) != RNN_OK || at[0] != 103 || at[1] != 218 || y[5] != 218)
        return 2;
    if (sum_step(&sizes, NULL, &inputs, &outputs, &carry, &call) != RNN_STREAM)
        return 3;
    offsets[1] = 7;
    if (sum_forward(&sizes, NULL, &inputs, &outputs, &call) != RNN_LENGTH || sum_packed_workspace(&sizes, offsets, RNN_FORWARD) != SIZE_MAX)
        return 4;
    free(call.workspace);
    return 0;
}
END
"$RNNC" build sum.rnn --entry=sum -o sum.o
check "a C program" sh -c '"$CC" -std=c99 -Wall -Wextra -Wpedantic -Werror program.c sum.o -o program && ./program'
check "the manifest has the offsets" grep -q '"name": "offsets", "array": "offsets", "type": "int32_t", "shape": \["B + 1"\], "optional": true' sum.json
finish
