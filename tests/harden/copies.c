/* copies: one long call, which copies weights for its products, gives the bits of many short ones, which do not. Built
 * with -DCELL=... -DHEADER="..." for a cell of sizes T, B and whatever SIZES sets; its output h is compared, what else
 * it puts out has room in MORE. */
#include HEADER

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(x) JOIN(CELL, x)

enum { T = 701, B = 5 };

static void *room(size_t bytes)
{
    void *p = calloc(bytes / 64 + 1, 64);
    if (!p)
        exit(2);
    return p;
}

static float *drawn(size_t n, unsigned seed)
{
    float *p = room(n * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = (float)((seed = seed * 1664525u + 1013904223u) >> 8) / (1u << 24) - 0.5f;
    return p;
}

static rnn_call call_for(const NAME(sizes) * s)
{
    rnn_call c = {0};
    c.passes = RNN_FORWARD;
    c.bytes = NAME(workspace)(s, RNN_FORWARD);
    c.workspace = room(c.bytes);
    return c;
}

int main(void)
{
    NAME(sizes) s = {.T = T, .B = B, SIZES}, part = s;
    NAME(params) p = PARAMS;
    NAME(inputs) in = {0};
    NAME(outputs) out = {0};
    NAME(carry) carry = CARRY;
    float *x = drawn((size_t)T * B * IN, 1), *whole = room((size_t)T * B * OUT * sizeof *whole),
          *parts = room((size_t)T * B * OUT * sizeof *parts);
    rnn_call c = call_for(&s);
    MORE;
    in.x = x, out.h = whole;
    int status = NAME(forward)(&s, &p, &in, &out, &c);
    part.T = 7;
    rnn_call few = call_for(&part);
    if (few.bytes + COPIED > c.bytes)
        return printf("the long call has no room for a copy: %zu bytes, a short one %zu\n", c.bytes, few.bytes), 1;
    for (int t = 0; t < T && !status; t += 7) {
        part.T = T - t < 7 ? T - t : 7;
        in.x = x + (size_t)t * B * IN, out.h = parts + (size_t)t * B * OUT;
        status = NAME(chunk)(&part, &p, &in, &out, &carry, &few);
    }
    if (status)
        return printf("status %d\n", status), 1;
    if (memcmp(whole, parts, (size_t)T * B * OUT * sizeof *whole))
        return printf("other bits\n"), 1;
    return 0;
}
