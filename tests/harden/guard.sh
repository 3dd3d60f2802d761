# Every array, and the workspace, at a page that may not be touched.
. "$SRC/tests/harden/lib"
mkdir before writes
program guard "$HARDEN/call.c"
"$CC" -shared -fPIC -I. -o overrun.so "$HARDEN/overrun.c" || exit 1
"$CC" -shared -fPIC -DBEFORE -I. -o before/overrun.so "$HARDEN/overrun.c" || exit 1
"$CC" -shared -fPIC -DWRITES -I. -o writes/overrun.so "$HARDEN/overrun.c" || exit 1
refuses "an element too far is seen" 1 'arrays end: signal 11, touches inputs.x at byte (.*) of' ./guard ./overrun.so
refuses "an element too early is seen" 1 'arrays begin: signal 11, touches inputs.x at byte -4 of' ./guard before/overrun.so
refuses "a write to an input is seen" 1 'signal 11, touches inputs.x at byte 0 of' ./guard writes/overrun.so
for level in $(levels); do
  for precision in f32 f64; do
    objects $precision "$level"
    check "$precision $level" ./guard ./*.$precision."$level".so
  done
done
# arrays of 16 bits: lane by lane and by vectors, with copies for products and sums and without
mkdir narrow
for level in $(levels); do
  (cd narrow && entries | grep -E ' (lookup|lstm)$' | while read -r file entry; do
    object "$file" "$entry" bf16 "$level" && object "$file" "$entry" f16 "$level" || echo "$entry" >>../broken
  done)
done
check "bf16 and f16" ./guard narrow/*.so
mkdir forms
for precision in f32 f64; do
  (cd forms && formed | while read -r file entry form; do object "$file" "$entry" $precision "$level" --form="$form" || echo "$entry" >>../broken; done)
  check "other forms, $precision $level" ./guard forms/*.$precision."$level".so
done
check "every object builds" test ! -e broken
finish
