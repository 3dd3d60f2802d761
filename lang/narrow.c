#include "lang/narrow.h"

enum { F16_INFINITE = 0x7c00, F16_QUIET = 0x200, BF16_QUIET = 0x40 };

static const struct { const char *text, *c_type; double unit; } row[NARROW_COUNT] = {
    [NARROW_NONE] = {"", "float", 0x1p-24}, [NARROW_BF16] = {"bf16", "rnn_bf16", 0x1p-8}, [NARROW_F16] = {"f16", "rnn_f16", 0x1p-11}};

const char *narrow_text(Narrow n)
{
    return row[n].text;
}

const char *narrow_c_type(Narrow n)
{
    return row[n].c_type;
}

double narrow_unit(Narrow n)
{
    return row[n].unit;
}

uint32_t narrow_bytes(Narrow n, uint32_t wide)
{
    return n == NARROW_NONE ? wide : (uint32_t)sizeof(uint16_t);
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Half of the last place that stays, less one unit where that place is even: ties go to it. */
static uint32_t rounded(uint32_t bits, uint32_t drop)
{
    return (bits + (1u << (drop - 1)) - 1 + (bits >> drop & 1)) >> drop;
}

static uint16_t bf16_of(uint32_t bits)
{
    bool nan = (bits & 0x7fffffff) > 0x7f800000;
    return (uint16_t)(nan ? bits >> 16 | BF16_QUIET : rounded(bits, 16));
}

/* Below 2^-14 all numbers are as far apart as floats between 1/2 and 1 are: adding 1/2 rounds. */
static uint32_t f16_magnitude(uint32_t a)
{
    if (a > 0x7f800000)
        return F16_INFINITE | F16_QUIET | (a >> 13 & 0x3ff);
    if (a >= 0x47800000)
        return F16_INFINITE;
    return a < 0x38800000 ? bits_of(of_bits(a) + 0.5f) - 0x3f000000 : rounded(a - 0x38000000, 13);
}

static float f16_value(uint32_t h)
{
    uint32_t sign = (h & 0x8000) << 16, a = h & 0x7fff;
    if (a > F16_INFINITE)
        return of_bits(sign | 0x7f800000 | (a | F16_QUIET) << 13);
    if (a == F16_INFINITE)
        return of_bits(sign | 0x7f800000);
    float x = a < 0x400 ? (float)a * 0x1p-24f : of_bits((a << 13) + 0x38000000);
    return of_bits(sign | bits_of(x));
}

uint16_t narrow_of(Narrow n, float x)
{
    uint32_t bits = bits_of(x);
    return n == NARROW_F16 ? (uint16_t)((bits >> 16 & 0x8000) | f16_magnitude(bits & 0x7fffffff)) : bf16_of(bits);
}

float narrow_value(Narrow n, uint16_t bits)
{
    return n == NARROW_F16 ? f16_value(bits) : of_bits((uint32_t)bits << 16);
}

double narrow_round(Narrow n, double x)
{
    return n == NARROW_NONE ? x : (double)narrow_value(n, narrow_of(n, (float)x));
}
