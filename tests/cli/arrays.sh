# Array files: every format, and everything that can be wrong with them.
. "$SRC/tests/lib.sh"
cp "$SRC/stdlib/lstm.rnn" "$SRC/stdlib/lstm.npz" .
run="$RNNC run lstm.rnn --on=reference"

check "npz in and out" $run -i lstm.npz -o out.npz
check "npz to safetensors" $run -i lstm.npz -o out.safetensors --grad
check "the same bytes again" sh -c "cp out.npz first.npz; $run -i lstm.npz -o out.npz && cmp out.npz first.npz"
check "shapes are printed without --output" sh -c "$run -i lstm.npz | grep -q '^h: float64\\[23, 3, 8\\]'"
check "what nothing asks for is named" sh -c "$run -i lstm.npz 2>&1 | grep -q 'nothing asks for array .grad_x'"
check "all is finite" $run -i lstm.npz --check

head -c 1000 lstm.npz > short.npz
refuses "truncated archive" 1 "short.npz: not a readable" $run -i short.npz
head -c 20000 lstm.npz > damaged.npz; tail -c +20031 lstm.npz >> damaged.npz
refuses "damaged archive" 1 "damaged.npz: " $run -i damaged.npz
refuses "missing file" 1 "none.npz: No such file" $run -i none.npz
refuses "unknown format" 1 "end in .npz" $run -i lstm.rnn
refuses "unknown output format" 1 "end in .npz" $run -i lstm.npz -o out.csv
[ ! -e out.csv ] || { echo "FAIL: out.csv was written"; failures=$((failures + 1)); }
refuses "nothing given" 1 "array .x. \(input real\[T, B, D\]\) is missing" $run
refuses "a second copy of an array" 1 "there twice" $run -i lstm.npz -i lstm.npz
[ ! -e /dev/full ] || { ln -s /dev/full full.npz; refuses "full disk" 1 "No space left" $run -i lstm.npz -o full.npz; }
[ ! -e full.npz ] || [ -c full.npz ] || { echo "FAIL: the device was replaced"; failures=$((failures + 1)); }

# npy_of HEADER BYTES: a version 1 file with that dictionary and that many zero bytes behind it
npy_of() {
  n=$((${#1} + 1))
  printf '\223NUMPY\001\000'
  printf "$(printf '\\%03o\\%03o' $((n % 256)) $((n / 256)))"
  printf '%s\n' "$1"
  head -c "$2" /dev/zero
}
# npy TYPE SHAPE BYTES: the same with the dictionary that numpy writes
npy() {
  npy_of "{'descr': '$1', 'fortran_order': False, 'shape': ($2), }" "$3"
}
cat > sum.rnn <<'END'
cell total[D] over t (x: real[D]) -> s {
  state s: real[D]
  s = s[t-1] + x
}
cell chosen[D] over t (k: int) -> s {
  state s: real
  s = s[t-1] + where(k == 1, 1, 0)
}
END
cat > pair.rnn <<'END'
cell pair[D] over t (x: complex[D]) -> s {
  state s: complex[D]
  s = s[t-1] + x
}
END
pair="$RNNC run pair.rnn --entry=pair --on=reference"
sum="$RNNC run sum.rnn --entry=total --on=reference"
npy '<f8' '4, 2, 3' 192 > x.npy
check "npy in" $sum -i x.npy
npy_of "{'shape':(4,2,3),'fortran_order':True,'descr':'<f4'}" 96 > x.npy
check "npy with columns first, float32, keys in another order" $sum -i x.npy
npy '<c16' '4, 2, 3' 384 > x.npy
check "a complex array is two" sh -c "$pair -i x.npy | grep -q '^s.im: float64\\[4, 2, 3\\]'"
npy_of "{'descr':'<c8','fortran_order':True,'shape':(4,2,3)}" 192 > x.npy
check "complex64, columns first" $pair -i x.npy
npy '<c16' '4, 2, 3' 383 > x.npy
refuses "truncated complex data" 1 "x.npy: complex128\[4, 2, 3\] takes 384 bytes, but the file has 383" $pair -i x.npy
npy '<c16' '4, 2, 3' 384 > x.npy
refuses "a complex array for real numbers" 1 "array .x. is complex128\[4, 2, 3\], but real elements are expected" $sum -i x.npy
npy '<c16' '2, 3' 96 > s0.npy
npy '<f8' '4, 2, 3' 192 > x.npy
refuses "also where none need be given" 1 "array .s0. is complex128\[2, 3\], but real elements are expected" $sum -i x.npy -i s0.npy
refuses "a real array for complex numbers" 1 "array .x. is float64\[4, 2, 3\], but complex elements are expected" $pair -i x.npy
rm s0.npy
npy '<f8' '0, 2, 3' 0 > x.npy
check "no steps" $sum -i x.npy -o out.npz
npy '<f8' '4, 0, 3' 0 > x.npy
check "no sequences" $sum -i x.npy -o out.npz
npy '<f8' '4, 2, 3' 190 > x.npy
refuses "truncated data" 1 "x.npy: float64\[4, 2, 3\] takes 192 bytes, but the file has 190" $sum -i x.npy
npy '<f8' '4611686018427387904, 4' 8 > x.npy
refuses "a size that overflows" 1 "x.npy: .*overflows" $sum -i x.npy
npy '>f8' '4, 2, 3' 192 > x.npy
refuses "the other byte order" 1 "element type .>f8" $sum -i x.npy
npy "$(printf '<f\377\033[31m\303\244\302\233')" '4, 2, 3' 192 > x.npy
refuses "an element type of other bytes" 1 'element type .<f\\xff\\x1b\[31m'"$(printf '\303\244')"'\\xc2\\x9b. is not read' $sum -i x.npy
npy "$(printf '%02000d' 0)" '4, 2, 3' 192 > x.npy
refuses "a long element type" 1 'element type .0{40}\.\.\.. is not read' $sum -i x.npy
npy '<f8' '4, 6' 192 > x.npy
refuses "wrong rank" 1 "array .x. is float64\[4, 6\], but real\[T, B, D\] is expected" $sum -i x.npy
npy '|b1' '4, 2, 3' 24 > x.npy
refuses "wrong element type" 1 "array .x. is bool\[4, 2, 3\], but real elements" $sum -i x.npy
npy '<i4' '4, 2, 3' 96 > x.npy
check "whole numbers where reals are expected" $sum -i x.npy
# the last element is 2^24 + 1
npy '<i8' '4, 2, 3' 184 > x.npy; printf '\001\000\000\001\000\000\000\000' >> x.npy
check "whole numbers that double precision has" $sum -i x.npy
refuses "a whole number that single precision has not" 1 "array .x.: element \[3, 1, 2\] is 16777217, which is no exact float32" "$RNNC" run sum.rnn --entry=total -i x.npy
# the last element is 2^53 + 1
npy '<i8' '4, 2, 3' 184 > x.npy; printf '\001\000\000\000\000\000\040\000' >> x.npy
refuses "a whole number that double precision has not" 1 "array .x.: element \[3, 1, 2\] is 9007199254740993, which is no exact float64" $sum -i x.npy
npy '<f8' '4, 2, 3' 192 > x.npy
npy '<i8' '4, 2' 56 > resets.npy; printf '\001\000\000\000\000\000\000\000' >> resets.npy
check "0 and 1 where bools are expected" $sum -i x.npy -i resets.npy
npy '<i4' '4, 2' 28 > resets.npy; printf '\002\000\000\000' >> resets.npy
refuses "2 is no bool" 1 "array .resets.: element \[3, 1\] is 2, which is no bool" $sum -i x.npy -i resets.npy
npy_of "{'descr': '<f8', 'shape': (4, 2, 3), }" 192 > x.npy
refuses "bad header" 1 "x.npy: the header" $sum -i x.npy
printf 'hello' > x.npy
refuses "no npy file at all" 1 "x.npy: this is not a .npy file" $sum -i x.npy
npy '<f8' '4, 2, 3' 192 > x.npy
npy '<f8' '2, 5' 80 > s0.npy
refuses "sizes that disagree" 1 "array .s0. is float64\[2, 5\], but real\[B, D\] with B = 2 \(from .x., axis 1\), D = 3 \(from .x., axis 2\) is expected" $sum -i x.npy -i s0.npy
npy '<i4' '2,' 4 > lengths.npy; printf '\011\000\000\000' >> lengths.npy
refuses "a length outside" 1 "array .lengths.: element 1 is 9, outside 0..4" $sum -i x.npy -i lengths.npy
npy '<f8' '4, 2, 3' 184 > x.npy; printf '\000\000\000\000\000\000\370\177' >> x.npy
refuses "NaN is found where it began" 1 "total: .s. is nan at step 3 of sequence 1" $sum -i x.npy --check
npy '<f8' '4, 2' 64 > k.npy
refuses "reals where ints are expected" 1 "array .k. is float64\[4, 2\], but int elements" "$RNNC" run sum.rnn --entry=chosen --on=reference -i k.npy

# safetensors
safe() {
  n=${#1}
  printf "$(printf '\\%03o\\%03o\\000\\000\\000\\000\\000\\000' $((n % 256)) $((n / 256)))"
  printf '%s' "$1"
  head -c "$2" /dev/zero
}
safe '{"x":{"dtype":"F32","shape":[4,2,3],"data_offsets":[0,96]},"__metadata__":{"a":"b"}}' 96 > a.safetensors
check "safetensors in" $sum -i a.safetensors
safe '{"x":{"dtype":"F32","shape":[4,2,3],"data_offsets":[0,96]},"\u001b[31m":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' 96 > a.safetensors
check "a name that is no text" sh -c '"$@" 2>&1 | grep -q "nothing asks for array .\\\\x1b\[31m"' sh $sum -i a.safetensors
safe '{"x":{"dtype":"F32","shape":[4,2,3],"data_offsets":[0,96]}}' 90 > a.safetensors
refuses "truncated safetensors" 1 "a.safetensors: array .x.: its bytes 0 to 96" $sum -i a.safetensors
safe '{"x":{"dtype":"F8_E4M3","shape":[4,2,3],"data_offsets":[0,24]}}' 24 > a.safetensors
refuses "element type of safetensors" 1 "element type .F8_E4M3" $sum -i a.safetensors
for type in F16 BF16; do
  safe '{"x":{"dtype":"'$type'","shape":[4,2,3],"data_offsets":[0,48]}}' 48 > a.safetensors
  check "$type of safetensors" $sum -i a.safetensors
  safe '{"x":{"dtype":"'$type'","shape":[4,2,3],"data_offsets":[0,96]}}' 96 > a.safetensors
  refuses "too many bytes of $type" 1 "does not fit its 96 bytes" $sum -i a.safetensors
done
safe '{"x":{"dtype":"F32","shape":[4,2,4],"data_offsets":[0,96]}}' 96 > a.safetensors
refuses "shape of safetensors" 1 "does not fit its 96 bytes" $sum -i a.safetensors
safe '{"x":{"dtype":"F32","shape":[-4,2,3],"data_offsets":[0,96]}}' 96 > a.safetensors
refuses "negative size" 1 "not a list of sizes" $sum -i a.safetensors
safe '{"x":' 4 > a.safetensors
refuses "bad JSON" 1 "not a JSON object" $sum -i a.safetensors
printf '\377\377\377\377\377\377\377\177{}' > a.safetensors
refuses "a header longer than the file" 1 "ends inside its header" $sum -i a.safetensors
# whole numbers in 16 bits
total="$RNNC run sum.rnn --entry=total"
ints '1, 1, 3' 256 -256 0 >x.npy
check "whole numbers that bf16 holds" $total --precision=bf16 -i x.npy
ints '1, 1, 3' 256 257 0 >x.npy
refuses "and one that it does not" 1 "element .0, 0, 1. is 257, which is no exact bf16" $total --precision=bf16 -i x.npy
check "f16 does" $total --precision=f16 -i x.npy
ints '1, 1, 3' 2048 2049 0 >x.npy
refuses "up to 2048" 1 "is 2049, which is no exact f16" $total --precision=f16 -i x.npy
finish
