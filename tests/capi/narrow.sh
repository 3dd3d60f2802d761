# Arrays of 16 bits in C: headers under every standard, two precisions in one program, and the numbers: what is stored is what an
# object for float gives for the same arguments, rounded; states and gradients of parameters are float, and the same.
. "$SRC/tests/lib.sh"
for precision in f32 bf16 f16; do
  "$RNNC" build "$SRC/stdlib/lstm.rnn" --entry lstm --precision=$precision --prefix lstm_$precision -o $precision.o || exit 1
done
check "the object says so" sh -c 'grep -q "\"precision\": \"bf16\"" bf16.json && grep -q "\"type\": \"rnn_bf16\"" bf16.json && grep -q "\"type\": \"rnn_f16\"" f16.json'
check "nothing is asked of a library but memory" sh -c '! nm -u bf16.o f16.o | grep " U " | grep -vE "mem(cpy|move|set)$"'
check "a header without it says nothing of it" sh -c '! grep -q 16 f32.h || ! grep -qE "rnn_b?f16" f32.h'

cat >program.c <<'E2'
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bf16.h"
#include "f16.h"
#include "f32.h"

enum { T = 7, B = 3, D = 5, H = 11 };

/* Without the compiler's own: by the formats. */
static float wide(uint16_t v, int fraction, int bias)
{
    int exponent = (v & 0x7fff) >> fraction, part = v & ((1 << fraction) - 1);
    float x = ldexpf((float)(exponent ? part + (1 << fraction) : part), (exponent ? exponent : 1) - bias - fraction);
    return v & 0x8000 ? -x : x;
}

/* The same exponent as 1/4 at most, so a number that all three hold. */
static uint16_t drawn(int i, int fraction, int bias)
{
    return (uint16_t)((i % 3 ? 0x8000 : 0) | (bias - 2 - i % 4) << fraction | (i * 37 % 128) << (fraction - 7));
}

static int far(const char *what, double a, double b, double bound)
{
    if (fabs(a - b) <= bound * (fabs(b) > 0.01 ? fabs(b) : 0.01))
        return 0;
    return printf("%s is %g, not %g\n", what, a, b), 1;
}

#define ARRAYS(X) \
    static float W_##X[4 * H * D], U_##X[4 * H * H], b_##X[4 * H], hT_##X[B * H], h0_##X[B * H];
ARRAYS(f32) ARRAYS(bf16) ARRAYS(f16)
static float W[4 * H * D], U[4 * H * H], b[4 * H], x[T * B * D], h[T * B * H], d_h[T * B * H], d_x[T * B * D];

#define RUN(X, REAL, W, U, b, x, h, d_h, d_x)                                                                          \
    static int run_##X(const REAL *W, const REAL *U, const REAL *b, const REAL *x, REAL *h, const REAL *d_h, REAL *d_x) \
    {                                                                                                                  \
        lstm_##X##_sizes sizes = {.T = T, .B = B, .D = D, .H = H};                                                     \
        lstm_##X##_params params = {.W = W, .U = U, .b = b};                                                           \
        lstm_##X##_inputs inputs = {.x = x};                                                                           \
        lstm_##X##_outputs outputs = {.h = h, .hT = hT_##X};                                                           \
        lstm_##X##_cotangents cotangents = {.d_h = d_h};                                                               \
        lstm_##X##_grads grads = {.W = W_##X, .U = U_##X, .b = b_##X};                                                 \
        lstm_##X##_input_grads input_grads = {.x = d_x, .h0 = h0_##X};                                                 \
        rnn_call call = {.bytes = lstm_##X##_workspace(&sizes, RNN_TRAIN), .passes = RNN_TRAIN};                       \
        call.workspace = malloc(call.bytes);                                                                           \
        int status = lstm_##X##_forward(&sizes, &params, &inputs, &outputs, &call);                                    \
        status = status ? status                                                                                       \
                        : lstm_##X##_backward(&sizes, &params, &inputs, &cotangents, &grads, &input_grads, &call);     \
        free(call.workspace);                                                                                          \
        return status;                                                                                                 \
    }
RUN(f32, float, W, U, b, x, h, d_h, d_x)
RUN(bf16, rnn_bf16, W, U, b, x, h, d_h, d_x)
RUN(f16, rnn_f16, W, U, b, x, h, d_h, d_x)

static void draw(float *to, uint16_t *narrow, int n, int seed, int fraction, int bias)
{
    for (int i = 0; i < n; i++) {
        narrow[i] = drawn(i * 7 + seed, fraction, bias);
        to[i] = wide(narrow[i], fraction, bias);
    }
}

static int all_far(const char *what, const float *a, const float *b, int n)
{
    int bad = 0;
    for (int i = 0; i < n && !bad; i++)
        bad = far(what, (double)a[i], (double)b[i], 1e-5);
    return bad;
}

static int all_rounded(const char *what, const uint16_t *a, const float *b, int n, int fraction, int bias)
{
    int bad = 0;
    for (int i = 0; i < n && !bad; i++)
        bad = far(what, (double)wide(a[i], fraction, bias), (double)b[i], ldexp(1, -fraction - 1) + 1e-5);
    return bad;
}

#define COMPARE(X, FRACTION, BIAS)                                                                                     \
    static int compare_##X(void)                                                                                       \
    {                                                                                                                  \
        static rnn_##X W2[4 * H * D], U2[4 * H * H], b2[4 * H], x2[T * B * D], h2[T * B * H], d_h2[T * B * H], d_x2[T * B * D]; \
        draw(W, W2, 4 * H * D, 1, FRACTION, BIAS), draw(U, U2, 4 * H * H, 2, FRACTION, BIAS), draw(b, b2, 4 * H, 3, FRACTION, BIAS); \
        draw(x, x2, T * B * D, 4, FRACTION, BIAS), draw(d_h, d_h2, T * B * H, 5, FRACTION, BIAS);                      \
        memset(W_f32, 0, sizeof W_f32), memset(U_f32, 0, sizeof U_f32), memset(b_f32, 0, sizeof b_f32);                \
        if (run_f32(W, U, b, x, h, d_h, d_x) || run_##X(W2, U2, b2, x2, h2, d_h2, d_x2))                               \
            return printf("a status is not RNN_OK\n"), 1;                                                              \
        return all_rounded("h", h2, h, T * B * H, FRACTION, BIAS) + all_rounded("d_x", d_x2, d_x, T * B * D, FRACTION, BIAS) + \
               all_far("hT", hT_##X, hT_f32, B * H) + all_far("d_h0", h0_##X, h0_f32, B * H) +                         \
               all_far("d_W", W_##X, W_f32, 4 * H * D) + all_far("d_U", U_##X, U_f32, 4 * H * H) +                     \
               all_far("d_b", b_##X, b_f32, 4 * H);                                                                    \
    }
COMPARE(bf16, 7, 127)
COMPARE(f16, 10, 15)

int main(void)
{
    return compare_bf16() + compare_f16() || strcmp(lstm_bf16_info()->precision, "bf16") || strcmp(lstm_f16_info()->precision, "f16");
}
E2
check "a program of three precisions" "$CC" -std=c99 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -o program program.c f32.o bf16.o f16.o -lm
check "gives the same numbers, rounded" ./program

printf '#include "bf16.h"\n#include "f16.h"\n#include "f32.h"\nint main(void) { rnn_bf16 a = 1; rnn_f16 b = 1; return a != b; }\n' >all.c
cp all.c all.cc
for std in c99 c11 c17 c2x; do
  check "headers in $std" "$CC" -std=$std -Wall -Wextra -Wpedantic -Werror -c all.c -o all.o
done
for std in c++11 c++14 c++17 c++20; do
  c++ -std=$std -x c++ -E /dev/null >/dev/null 2>&1 || continue
  check "headers in $std" c++ -std=$std -Wall -Wextra -Wpedantic -Werror -c all.cc -o all.o
done

# files: F16 and BF16 of safetensors hold what is computed; .npy holds bf16 as float32
"$RNNC" run "$SRC/stdlib/lstm.rnn" --entry lstm --precision=bf16 -i "$SRC/stdlib/lstm.npz" -o h.safetensors --grad >/dev/null 2>&1 || exit 1
for row in '"h":{"dtype":"BF16"' '"d_x":{"dtype":"BF16"' '"hT":{"dtype":"F32"' '"d_W":{"dtype":"F32"' '"d_h0":{"dtype":"F32"'; do
  check "$row" sh -c 'tr -d " " <h.safetensors | grep -aqF "$1"' sh "$row"
done
check ".npy has no bf16" sh -c '"$RNNC" run "$SRC/stdlib/lstm.rnn" --entry lstm --precision=bf16 -i "$SRC/stdlib/lstm.npz" -o h.npy 2>&1 | grep -q "no bf16"; grep -aq "<f4" h.npy'
check "and has f16" sh -c '"$RNNC" run "$SRC/stdlib/lstm.rnn" --entry lstm --precision=f16 -i "$SRC/stdlib/lstm.npz" -o h.npy 2>/dev/null; grep -aq "<f2" h.npy'
finish
