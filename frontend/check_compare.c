#include "frontend/check.h"

#include <math.h>

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Infinities and NaN agree with themselves only. */
static double distance(double a, double b)
{
    if (a == b || (isnan(a) && isnan(b)))
        return 0;
    double d = fabs(a - b);
    return isnan(d) ? (double)INFINITY : d;
}

double difference(const double *a, const double *b, int64_t n, double floor)
{
    double largest = floor, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(a[i]))
            largest = larger(largest, fabs(a[i]));
        worst = larger(worst, distance(a[i], b[i]));
    }
    return worst == 0 ? 0 : largest > 0 ? worst / largest : worst;
}

/* The first element of which one of the two is NaN or infinite, and the other something else. */
static Str not_finite(const Frame *expected, const Frame *found, uint32_t out)
{
    const double *a = expected->out[out], *b = found->out[out];
    int64_t i = 0;
    while (!isinf(distance(a[i], b[i])))
        i++;
    return str_fmt(found->arena, "`%.*s` element %lld is %g, not %g", STRF(expected->prog->out.p[out].name), (long long)i, b[i], a[i]);
}

double tolerance_of(Tolerance tol, const RecProg *p, uint32_t out)
{
    const RecOut *o = &p->out.p[out];
    return (rec_is_gradient(o->role) ? tol.gradient : tol.output) + (rec_out_narrows(o, p->arg.p) ? tol.stored : 0);
}

bool results_agree(const Frame *expected, const Frame *found, Tolerance tol, Str *what)
{
    const RecProg *p = expected->prog;
    double worst = 0;
    for (uint32_t i = 0; i < p->out.n; i++) {
        const RecOut *o = &p->out.p[i];
        if (!expected->out[i] || !found->out[i])
            continue;
        double limit = tolerance_of(tol, p, i);
        double d = difference(expected->out[i], found->out[i], frame_count(expected, &o->type, o->batched), tol.floor);
        if (d <= limit || d / limit <= worst)
            continue;
        worst = d / limit;
        *what = isinf(d) ? not_finite(expected, found, i) : str_fmt(found->arena, "`%.*s` differs by %.2g, bound %.2g", STRF(o->name), d, limit);
    }
    return worst == 0;
}

static bool same_bits(const double *a, const double *b, int64_t n, int64_t *where)
{
    for (int64_t i = 0; i < n; i++)
        if (!(a[i] == b[i] && signbit(a[i]) == signbit(b[i])) && !(isnan(a[i]) && isnan(b[i]))) {
            *where = i;
            return false;
        }
    return true;
}

bool results_same(const Frame *a, const Frame *b, Str *what)
{
    const RecProg *p = a->prog;
    for (uint32_t i = 0; i < p->out.n; i++) {
        const RecOut *o = &p->out.p[i];
        int64_t at;
        if (!a->out[i] || !b->out[i] || same_bits(a->out[i], b->out[i], frame_count(a, &o->type, o->batched), &at))
            continue;
        *what = str_fmt(b->arena, "`%.*s` element %lld is %.17g, not %.17g", STRF(o->name), (long long)at, b->out[i][at],
                        a->out[i][at]);
        return false;
    }
    return true;
}

/* The bounds of the project. The floor is for arrays that are nearly zero because terms of size 1 cancel: rounding of
 * those terms alone is 1e-7 in single and 1e-16 in double precision.
 *
 * With arrays of 16 bits everything is computed as in single precision, from arguments that the evaluator is given rounded
 * too. So only one thing is added: what is stored in 16 bits is rounded once more, by narrow_unit of itself at most, and hence of the
 * array's largest element. (Below 2^-14 an f16 is off by 2^-25, which is nothing beside the floor.) States and gradients of
 * parameters are not stored so, and have the bounds of single precision. */
Tolerance precision_tolerance(Precision p)
{
    if (p == PREC_F64)
        return (Tolerance){1e-11, 1e-11, 1e-3, 0};
    return (Tolerance){2e-5, 1e-4, 0.1, precision_narrow(p) ? narrow_unit(precision_narrow(p)) : 0};
}

/* Where factors may be rounded, each is off by a unit of itself at most, and so a product by two units of what its terms are without
 * their signs. Eight units for results are four such products in a row, and there are as many again on the way back. Steps that
 * grow what they are given move further, but then so does the evaluator when it rounds its factors (is_unstable). Factors of 16 bits
 * in the caller's arrays are exact: nothing is added for them. */
Tolerance code_tolerance(const Code *code)
{
    Tolerance tol = precision_tolerance(code->cpu.precision);
    double unit = factor_unit(code->products);
    tol.output += 8 * unit;
    tol.gradient += 16 * unit;
    return tol;
}

/* Numbers that hardly differ are rounded to neighbours, if a tie lies between them: twice as far apart. */
Tolerance tolerance_of_two(const Code *code)
{
    Tolerance tol = code_tolerance(code);
    tol.stored *= 2;
    return tol;
}
