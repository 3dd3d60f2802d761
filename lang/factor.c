#include "lang/factor.h"

static const struct { const char *text; Narrow narrow; double unit; } row[FACTOR_COUNT] = {
    [FACTOR_REAL] = {"f32", NARROW_NONE, 0}, [FACTOR_BF16] = {"bf16", NARROW_BF16, 0x1p-8},
    [FACTOR_F16] = {"f16", NARROW_F16, 0x1p-11}, [FACTOR_TF32] = {"tf32", NARROW_NONE, 0x1p-11}};

const char *factor_text(FactorType f)
{
    return row[f].text;
}

FactorType factor_of_text(Str text)
{
    FactorType f = FACTOR_REAL;
    while (f < FACTOR_COUNT && !str_is(text, row[f].text))
        f++;
    return f;
}

FactorType factor_of_narrow(Narrow n)
{
    return n == NARROW_BF16 ? FACTOR_BF16 : n == NARROW_F16 ? FACTOR_F16 : FACTOR_REAL;
}

double factor_unit(FactorType f)
{
    return row[f].unit;
}

/* Half of the last place that stays is added; what then is beyond the largest number is infinite. */
static double tf32_round(double x)
{
    enum { DROP = 13 };
    float single = (float)x;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    if ((bits & 0x7f800000) == 0x7f800000)
        return (double)single;
    bits = (bits + (1u << (DROP - 1))) & ~((1u << DROP) - 1);
    memcpy(&single, &bits, sizeof single);
    return (double)single;
}

double factor_round(FactorType f, double x)
{
    return f == FACTOR_TF32 ? tf32_round(x) : narrow_round(row[f].narrow, x);
}
