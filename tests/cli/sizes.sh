# A slice or an element of an axis whose size is open: what does not fit is refused before anything is read or written.
. "$SRC/tests/lib.sh"
cat > oob.rnn <<'END'
cell oob[H] over t (x: real[H]) -> h {
  param w: real[H] ~ constant(1)
  state h: real
  h = x[5] + w[H - 4] + 0 * h[t-1] + sum(x[0:4])
}
END
cat > oob.c <<'END'
#include "oob.h"
#include <stdio.h>
#include <stdlib.h>

/* The status that every function gives for this size; -1 when they do not agree. */
static int status(int64_t H)
{
    float x[8] = {0}, w[8] = {0}, h[1], dx[8], dw[8] = {0}, carry[1] = {0};
    oob_sizes s = {.T = 1, .B = 1, .H = H};
    oob_params p = {.w = w};
    oob_inputs in = {.x = x};
    oob_outputs out = {.h = h};
    oob_cotangents ct = {.d_h = h};
    oob_grads g = {.w = dw};
    oob_input_grads ig = {.x = dx};
    oob_carry c = {.h = carry};
    static char work[1 << 16];
    rnn_call call = {.workspace = work, .bytes = sizeof work, .passes = RNN_TRAIN};
    int got = oob_forward(&s, &p, &in, &out, &call);
    if ((oob_workspace(&s, RNN_TRAIN) == SIZE_MAX) != (got == RNN_SIZE) || oob_backward(&s, &p, &in, &ct, &g, &ig, &call) != (rnn_status)got)
        return -1;
    call.passes = RNN_FORWARD;
    if (oob_chunk(&s, &p, &in, &out, &c, &call) != (rnn_status)got || oob_step(&s, &p, &in, &out, &c, &call) != (rnn_status)got)
        return -1;
    return got;
}

int main(void)
{
    for (int64_t H = 0; H < 8; H++)
        if (status(H) != (H < 6 ? RNN_SIZE : RNN_OK)) {
            printf("H = %d: %d\n", (int)H, status(H));
            return 1;
        }
    return 0;
}
END
check "an open size builds" "$RNNC" build oob.rnn --entry oob -o oob.o
check "the program builds" "$CC" -std=c99 -o oob oob.c oob.o
check "too small a size is a status of every function" ./oob
refuses "a bound size is refused with its place" 1 "E0214" "$RNNC" build oob.rnn --entry oob -D H=5 -o no.o
cat > wide.rnn <<'R'
cell wide[H] over t (x: real[H]) -> h {
  param W: real[H * H * H, H]
  state h: real
  h = h[t-1] + sum(W) + sum(x)
}
cell few[H] over t (x: real[H - 5]) -> h {
  state h: real
  h = h[t-1] + sum(x)
}
R
check "sizes that may fit" "$RNNC" check wide.rnn
refuses "a size that -D makes too large" 1 "^wide.rnn:2:17: error: .*E0224" "$RNNC" check wide.rnn --entry wide -D H=4294967296
refuses "an array that -D makes too large" 1 "^wide.rnn:2:12: error: real\[1000000000000000, 100000\] .*E0224" "$RNNC" check wide.rnn --entry wide -D H=100000
refuses "a size that -D makes negative" 1 "^wide.rnn:6:29: error: this size is -2, .*E0224" "$RNNC" build wide.rnn --entry few -D H=3 -o no.o
check "and 0 is a size" "$RNNC" check wide.rnn --entry few -D H=5
check "the text of rec keeps what is needed" sh -c '"$RNNC" build oob.rnn --entry oob --emit=rec -o - | grep -q "^need H - 6"'
printf 'model last[D](x: real[T, D]) -> y: real[D] { let y = x[T - 1] }\n' > last.rnn
check "the last place of a sequence" "$RNNC" test last.rnn
finish
