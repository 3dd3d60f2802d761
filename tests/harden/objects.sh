# What the tests of this folder run, built once for all of them: shared objects, at every level and in both precisions.
. "$SRC/tests/harden/lib"
mkdir objects
(cd objects && for level in $(levels) all; do
  for precision in f32 f64; do
    entries | while read -r file entry; do
      object "$file" "$entry" $precision "$level" || echo "$entry" >>../broken
    done
  done
done)
check "every object builds" test ! -e broken
rm -rf "$OBJECTS"
mv objects "$OBJECTS"
finish
