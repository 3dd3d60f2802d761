# NaN beyond a sequence's length, in branches not taken, and calls over nothing.
. "$SRC/tests/harden/lib"
program nan "$HARDEN/call.c" -lm
mkdir safe
for level in $(levels); do
  for precision in f32 f64; do
    objects $precision "$level"
    object "$HARDEN/cells/safe.rnn" safe $precision "$level" && mv safe.$precision.* safe || echo safe >>broken
    check "$precision $level: nothing beyond a length, no places, no sequences" ./nan ./*.$precision."$level".so
    check "$precision $level: branches not taken" ./nan --finite safe/*.$precision."$level".so
  done
done
check "every object builds" test ! -e broken
finish
