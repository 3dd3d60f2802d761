# The same object from two threads at once, on different data.
. "$SRC/tests/harden/lib"
program threads "$HARDEN/call.c"
entries | while read -r file entry; do
  object "$file" "$entry" f32 all || echo "$entry" >>broken
done
check "every object builds" test ! -e broken
check "two threads at once" ./threads ./*.so
finish
