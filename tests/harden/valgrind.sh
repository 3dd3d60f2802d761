# Small sizes under valgrind, which sees every access beside an array and every use of what was never set. It has no AVX-512.
. "$SRC/tests/harden/lib"
command -v valgrind >/dev/null 2>&1 || skip "valgrind is not installed"
program plain "$HARDEN/call.c"
watched() {
  valgrind --quiet --error-exitcode=9 "$@"
}
"$CC" -shared -fPIC -I. -o overrun.so "$HARDEN/overrun.c" || exit 1
refuses "an element too far is seen" 9 'Invalid read of size 4' watched ./plain ./overrun.so
rm overrun.so
for level in baseline avx2; do
  levels | grep -qx $level || continue
  for precision in f32 f64; do
    objects $precision $level
    check "$precision $level" watched ./plain ./*.$precision.$level.so
  done
done
finish
