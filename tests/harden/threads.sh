# The same object from two threads at once, on different data.
. "$SRC/tests/harden/lib"
program threads "$HARDEN/call.c"
objects f32 all
check "two threads at once" ./threads ./*.so
finish
