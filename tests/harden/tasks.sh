# Results do not depend on the caller's threads, at the first and the last level (how work is cut is decided before levels are); in
# double precision at the last.
. "$SRC/tests/harden/lib"
program tasks "$HARDEN/call.c"

# threads PRECISION LEVEL
threads() {
  objects "$1" "$2"
  check "$1 $2" ./tasks ./*."$1.$2".so
}
for level in $(levels | sed -n '1p;$p' | uniq); do
  threads f32 "$level"
done
threads f64 "$level"
mkdir forms
(cd forms && formed | while read -r file entry form; do object "$file" "$entry" f32 "$level" --form="$form" || echo "$entry" >>../broken; done)
check "other forms, f32 $level" ./tasks forms/*.so
check "every object builds" test ! -e broken
finish
