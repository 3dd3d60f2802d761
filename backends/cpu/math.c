/* The elementwise functions, in any number of lanes, as float or double, from one description.
 *
 * exp, log and their kin follow the textbook way (Muller et al., Handbook of Floating-Point Arithmetic, ch. 11; Cody
 * and Waite, Software Manual for the Elementary Functions): reduce the argument exactly, evaluate a minimax polynomial,
 * put the exponent back. Polynomials are our own fits (Remez exchange in 60 digits). With fused
 * multiply-add every level does the same operations, so gives the same bits; the baseline multiplies and adds instead,
 * within the same bounds.
 *
 * Bounds are in cpu_math_bound(); tests/unit/test_math.c measures them over the whole range. */
#include "backends/cpu/math_parts.h"

#include <math.h>

double cpu_math_bound(Fun f, bool f64)
{
    static const struct {
        Fun fun;
        double f32, f64;
    } bound[] = {
        {FUN_EXP, 1.5, 1.5},  {FUN_EXPM1, 2.5, 2.5},   {FUN_LOG, 1.0, 1.0}, {FUN_LOG1P, 1.5, 1.5},
        {FUN_TANH, 3.0, 3.0}, {FUN_SIGMOID, 2.5, 2.5}, {FUN_SIN, 0.6, 1.0}, {FUN_COS, 0.6, 1.0},
        {FUN_ERF, 2.0, 1.5},  {FUN_POW, 0.6, 1.5},
    };
    for (uint32_t i = 0; i < sizeof bound / sizeof *bound; i++)
        if (bound[i].fun == f)
            return f64 ? bound[i].f64 : bound[i].f32;
    return 0.5;
}

/* ---- facts about the two formats ---- */

typedef struct Format {
    uint32_t bits, mantissa; /* of the type; of its fraction */
    int64_t bias;
    double magic;             /* 1.5 * 2^mantissa: adding it rounds to an integer, which then stands in the low bits */
    double ln2_hi, ln2_lo;    /* ln2_hi times any exponent is exact */
    double exp_low, exp_high; /* exp is 0 below, infinite above */
    double expm1_low;         /* expm1 is -1 below */
    double tanh_high;         /* tanh is 1 above */
    double tiny;              /* expm1(x) is x below */
    double smallest, scale;   /* smallest normal number; what lifts subnormals, 2^lift */
    int64_t lift;
    uint32_t nexp, nlog;
    double exp[12]; /* (exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2 */
    double log[12]; /* float: (log(1+f) - f + f^2/2) / f^3; double: (2 atanh(s) - 2s) / s^3 in s^2; sqrt(1/2) <= 1+f <=
                       sqrt(2) */
} Format;

static const Format format[2] = {
    {32,
     23,
     127,
     0x1.8p23,
     0x1.63p-1,
     -0x1.bd0105c610ca8p-13,
     -104,
     89,
     -18,
     9.1,
     0x1p-28,
     0x1p-126,
     0x1p23,
     23,
     5,
     8,
     {0.499999934143987347, 0.16666520107744193, 0.0416683935804712962, 0.00836878048437646583, 0.00138145069864035164},
     {0.333333165683134639, -0.250008160262022857, 0.200023024196828786, -0.166243490337793085, 0.141807063615508783,
      -0.13130451880997031, 0.128858141612716198, -0.0785989405233445388}},
    {64,
     52,
     1023,
     0x1.8p52,
     0x1.62e42fefcp-1,
     -0x1.c610ca86c3899p-37,
     -746,
     710,
     -38,
     19.1,
     0x1p-60,
     0x1p-1022,
     0x1p52,
     52,
     10,
     7,
     {0.500000000000001072, 0.166666666666664102, 0.0416666666665291872, 0.00833333333349563249, 0.00138888889439228695,
      0.000198412695047429497, 0.0000248014927626391141, 2.7557587364355985e-6, 2.76303786583277895e-7,
      2.49999578318397698e-8},
     {0.666666666666673489, 0.399999999994111013, 0.285714287432613723, 0.222221984760968538, 0.181835697346239077,
      0.153139033680527373, 0.147975066133314679}},
};

static const Format *fmt(const CpuGen *g)
{
    return &format[g->f64];
}

/* ---- shorthands ---- */

/* The bound where a is beyond it; NaN stays: both are one instruction. */
static V at_most(const CpuGen *g, V a, double high)
{
    V h = gen_const(g, high);
    return gen_select(g, gen_fcmp(g, LLVMRealOLT, h, a), h, a);
}

static V at_least(const CpuGen *g, V a, double low)
{
    V l = gen_const(g, low);
    return gen_select(g, gen_fcmp(g, LLVMRealOGT, l, a), l, a);
}

/* ---- exp and its kin ---- */

/* x = n ln2 + r with |r| <= ln2/2 (a little more after rounding), and p = exp(r) - 1. */
typedef struct Reduced {
    V n, shifted; /* as a real; as bits, plus those of the magic number */
    V p;
} Reduced;

static Reduced reduce(const CpuGen *g, V x)
{
    const Format *f = fmt(g);
    V t = gen_fma(g, x, gen_const(g, 1 / 0.693147180559945309417), gen_const(g, f->magic));
    Reduced r = {.n = gen_sub(g, t, gen_const(g, f->magic)), .shifted = gen_bits(g, t)};
    V rest = gen_fma(g, r.n, gen_const(g, -f->ln2_hi), x);
    rest = gen_fma(g, r.n, gen_const(g, -f->ln2_lo), rest);
    V square = gen_mul(g, rest, rest);
    r.p = gen_fma(g, poly(g, rest, f->exp, f->nexp), square, rest);
    return r;
}

/* 2^(n + by), for results in the normal range. The magic number's own low bits are zero: they fall out on the left. */
static V power_of_two(const CpuGen *g, V shifted, int64_t by)
{
    const Format *f = fmt(g);
    return gen_real_of_bits(g, iadd(g, shl(g, shifted, f->mantissa), bits(g, (uint64_t)(f->bias + by) << f->mantissa)));
}

static bool has_scalef(const CpuGen *g)
{
    return g->level == CPU_AVX512 && g->lanes >= cpu_width(g);
}

/* a * 2^n in one instruction for each vector */
static V scalef(const CpuGen *g, V a, V n)
{
    if (g->lanes > cpu_width(g)) {
        CpuGen half = *g;
        half.lanes /= 2;
        V low = scalef(&half, gen_part(&half, a, 0), gen_part(&half, n, 0));
        return gen_join(g, low, scalef(&half, gen_part(&half, a, half.lanes), gen_part(&half, n, half.lanes)));
    }
    const char *name = g->f64 ? "llvm.x86.avx512.mask.scalef.pd.512" : "llvm.x86.avx512.mask.scalef.ps.512";
    LLVMTypeRef type = gen_real(g), mask = gen_int1(g, g->lanes), i32 = gen_int1(g, 32);
    LLVMTypeRef fn = LLVMFunctionType(type, (LLVMTypeRef[]){type, type, type, mask, i32}, 5, false);
    V callee = LLVMGetNamedFunction(g->module, name);
    if (!callee)
        callee = LLVMAddFunction(g->module, name, fn);
    V arg[5] = {a, n, LLVMGetPoison(type), LLVMConstAllOnes(mask), LLVMConstInt(i32, 4, false)};
    return LLVMBuildCall2(g->b, fn, callee, arg, 5, "");
}

/* a * 2^n for 1/2 <= a <= 2 and any n that exp gives, rounded once: in two steps of about half of n, of which only the
 * second can leave the normal range. */
static V scale(const CpuGen *g, V a, const Reduced *r)
{
    const Format *f = fmt(g);
    if (has_scalef(g))
        return scalef(g, a, r->n);
    uint64_t magic = g->f64 ? UINT64_C(0x4338000000000000) : UINT64_C(0x4b400000), even = 2 * ((uint64_t)f->bias + 1);
    V n = isub(g, r->shifted, bits(g, magic - even)), half = shr(g, n, 1); /* n + even, never negative */
    V rest = isub(g, n, half);
    V move = bits(g, 1);
    V one = gen_real_of_bits(g, shl(g, isub(g, half, move), f->mantissa));
    V two = gen_real_of_bits(g, shl(g, isub(g, rest, move), f->mantissa));
    return gen_mul(g, gen_mul(g, a, one), two);
}

static V exp_between(const CpuGen *g, V x)
{
    Reduced r = reduce(g, x);
    return scale(g, gen_add(g, r.p, gen_const(g, 1)), &r);
}

static V exp_(const CpuGen *g, V x)
{
    return exp_between(g, at_least(g, at_most(g, x, fmt(g)->exp_high), fmt(g)->exp_low));
}

/* exp(x) - 1 = 2^n p + (2^n - 1), halved while it is put together, as 2^n may be just too large. Needs x >= expm1_low.
 */
static V expm1_halved(const CpuGen *g, V x)
{
    Reduced r = reduce(g, x);
    V half = power_of_two(g, r.shifted, -1);
    return gen_fma(g, half, r.p, gen_sub(g, half, gen_const(g, 0.5)));
}

static V expm1_(const CpuGen *g, V x)
{
    V h = expm1_halved(g, at_least(g, at_most(g, x, fmt(g)->exp_high), fmt(g)->expm1_low));
    V small = gen_fcmp(g, LLVMRealOLT, fabs_(g, x), gen_const(g, fmt(g)->tiny));
    return gen_select(g, small, x, gen_add(g, h, h)); /* keeps subnormals and the zero's sign */
}

/* (exp(2x) - 1) / (exp(2x) + 1) of the absolute value */
static V tanh_(const CpuGen *g, V x)
{
    V a = at_most(g, fabs_(g, x), fmt(g)->tanh_high);
    V h = expm1_halved(g, gen_add(g, a, a));
    return copysign_(g, gen_div(g, h, gen_add(g, h, gen_const(g, 1))), x);
}

/* With e = exp(-|x|): 1 / (1 + e), or e / (1 + e) on the left. */
static V sigmoid_(const CpuGen *g, V x)
{
    V down = LLVMBuildFNeg(g->b, fabs_(g, x), "");
    V e = exp_between(g, at_least(g, down, fmt(g)->exp_low)), one = gen_const(g, 1);
    V top = gen_select(g, gen_fcmp(g, LLVMRealOLT, x, gen_const(g, 0)), e, one);
    return gen_div(g, top, gen_add(g, e, one));
}

/* (erf(x) - x) / x in x^2 on [0, 1]; -log(1 - erf(x)) from 1 to where erf is 1, to the absolute error that 1 - erf asks
 * for. Our own fits, as above. */
typedef struct ErfFit {
    double end;
    uint32_t nsmall, nlarge;
    double small[13], large[20];
} ErfFit;

static const ErfFit erf_fit[2] = {
    {4,
     7,
     8,
     {0.128379165906026493, -0.376126270704342187, 0.112835992955871267, -0.0268544020688727536, 0.00518944382666450235,
      -0.000801994364376258069, 0.0000788584753453374109},
     {-0.000188033606266463538, 1.12957839457344716, 0.633219949114646907, 0.108418519698876794, -0.025208221858317757,
      0.00420454946511510017, -0.000441333975886949936, 0.0000216866551008660482}},
    {6,
     13,
     20,
     {0.128379167095512574, -0.376126389031837481, 0.112837916709548819, -0.0268661706450773627, 0.00522397762482315339,
      -0.000854832698110624083, 0.000120553311207542231, -0.0000149255954662615166, 1.6461003376280693e-6,
      -1.63503401804905808e-7, 1.46599392321419463e-8, -1.13734040660615357e-9, 5.95798617761366744e-11},
     {2.88845454147036218e-8,    1.12837890457788278,      0.63662078780948634,      0.102770655403974095,
      -0.0191277109867599837,    -0.000202818683815517341, 0.00167557213380212156,   -0.000552922680193857971,
      -0.0000215940546386821895, 0.000110538692326665755,  -0.000064644135234850199, 0.0000242351609178847855,
      -6.77017262796432537e-6,   1.46625469860616643e-6,   -2.47470090315710177e-7,  3.20952371554018847e-8,
      -3.09723886545888827e-9,   2.0968873275230005e-10,   -8.88901395850011859e-12, 1.77504345422521213e-13}},
};

static V erf_(const CpuGen *g, V x)
{
    const ErfFit *f = &erf_fit[g->f64];
    V size = fabs_(g, x), a = at_most(g, size, f->end), one = gen_const(g, 1);
    V small = gen_fma(g, poly(g, gen_mul(g, a, a), f->small, f->nsmall), x, x);
    V rest = exp_between(g, LLVMBuildFNeg(g->b, poly(g, a, f->large, f->nlarge), ""));
    V large = copysign_(g, gen_sub(g, one, rest), x);
    return gen_select(g, gen_fcmp(g, LLVMRealOLT, size, one), small, large);
}

/* ---- logarithms ---- */

/* x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2) */
typedef struct Split {
    V e, f;
} Split;

/* Small integers to reals: in the low bits of the magic number. */
static V small_int(const CpuGen *g, V i)
{
    uint64_t magic = g->f64 ? UINT64_C(0x4338000000000000) : UINT64_C(0x4b400000);
    return gen_sub(g, gen_real_of_bits(g, iadd(g, i, bits(g, magic))), gen_const(g, fmt(g)->magic));
}

/* For normal x > 0; of others, some finite e and f. The exponent as a small integer, plus `bias`. */
static Split split_by(const CpuGen *g, V x, V bias, V *exponent)
{
    const Format *f = fmt(g);
    uint64_t root = g->f64 ? UINT64_C(0x3fe6a09e667f3bcd) : UINT64_C(0x3f3504f3),
             one = (uint64_t)f->bias << f->mantissa;
    V u = iadd(g, gen_bits(g, x), bits(g, one - root));
    *exponent = isub(g, shr(g, u, f->mantissa), bias);
    V m = iadd(g, and_(g, u, bits(g, (UINT64_C(1) << f->mantissa) - 1)), bits(g, root));
    return (Split){small_int(g, *exponent), gen_sub(g, gen_real_of_bits(g, m), gen_const(g, 1))};
}

static Split split(const CpuGen *g, V x)
{
    const Format *f = fmt(g);
    V low = gen_fcmp(g, LLVMRealOLT, x, gen_const(g, f->smallest)), exponent;
    V lifted = gen_select(g, low, gen_mul(g, x, gen_const(g, f->scale)), x);
    V bias = gen_select(g, low, bits(g, (uint64_t)(f->bias + f->lift)), bits(g, (uint64_t)f->bias));
    return split_by(g, lifted, bias, &exponent);
}

/* float: f - f^2/2 + f^3 P(f). double: with s = f / (2 + f), log(1+f) = 2 atanh(s) = f - f^2/2 + s (f^2/2 + s^2
 * R(s^2)). */
static V log_split(const CpuGen *g, Split x)
{
    const Format *k = fmt(g);
    V half_square = gen_mul(g, gen_mul(g, x.f, gen_const(g, 0.5)), x.f), tail;
    if (g->f64) {
        V s = gen_div(g, x.f, gen_add(g, x.f, gen_const(g, 2))), z = gen_mul(g, s, s);
        tail = gen_mul(g, s, gen_fma(g, z, poly(g, z, k->log, k->nlog), half_square));
    } else {
        tail = gen_mul(g, gen_mul(g, gen_mul(g, x.f, x.f), x.f), poly(g, x.f, k->log, k->nlog));
    }
    V rest = gen_sub(g, gen_fma(g, x.e, gen_const(g, k->ln2_lo), tail), half_square);
    return gen_fma(g, x.e, gen_const(g, k->ln2_hi), gen_add(g, rest, x.f));
}

/* 0 gives -inf, below NaN; inf and NaN stay. */
static V log_ends(const CpuGen *g, V x, V y)
{
    V infinite = gen_const(g, INFINITY);
    y = gen_select(g, gen_fcmp(g, LLVMRealULT, x, infinite), y, x);
    y = gen_select(g, gen_fcmp(g, LLVMRealULT, x, gen_const(g, 0)), gen_const(g, NAN), y);
    return gen_select(g, gen_fcmp(g, LLVMRealOEQ, x, gen_const(g, 0)), gen_const(g, -INFINITY), y);
}

static V log_(const CpuGen *g, V x)
{
    return log_ends(g, x, log_split(g, split(g, x)));
}

/* 2^-n, or a little more where that is no normal number. */
static V power_below(const CpuGen *g, V n)
{
    const Format *f = fmt(g);
    V most = bits(g, (uint64_t)(f->bias - 1)), large = LLVMBuildICmp(g->b, LLVMIntSGT, n, most, "");
    return gen_real_of_bits(g, shl(g, isub(g, bits(g, (uint64_t)f->bias), gen_select(g, large, most, n)), f->mantissa));
}

/* log(u + rest), where u = 1 + x is rounded, and rest is what that left out: it is added to u's fraction. */
static V log1p_(const CpuGen *g, V x)
{
    V one = gen_const(g, 1), exponent;
    Two u = two_sum(g, one, x);
    Split s = split_by(g, u.hi, bits(g, (uint64_t)fmt(g)->bias), &exponent);
    s.f = gen_fma(g, u.lo, power_below(g, exponent), s.f);
    return gen_select(g, gen_fcmp(g, LLVMRealOEQ, u.hi, one), x, log_ends(g, u.hi, log_split(g, s)));
}

/* ---- rounding ---- */

/* Adding and taking away 2^mantissa rounds to nearest; one less where that went up. Larger numbers are whole. */
static V floor_(const CpuGen *g, V x)
{
    if (g->floor)
        return gen_intrinsic(g, "llvm.floor", LLVMTypeOf(x), &x, 1);
    V a = fabs_(g, x), whole = gen_const(g, fmt(g)->scale);
    V r = copysign_(g, gen_sub(g, gen_add(g, a, whole), whole), x);
    V down = gen_sub(g, r, gen_select(g, gen_fcmp(g, LLVMRealOGT, r, x), gen_const(g, 1), gen_const(g, 0)));
    return gen_select(g, gen_fcmp(g, LLVMRealOLT, a, whole), copysign_(g, down, x), x);
}

/* ---- powers ---- */

/* log(x) to some 15 bits more than a double: 2s to twice the precision, the rest of the series to one more term. */
static Two log_two(const CpuGen *g, V x)
{
    static const double series[] = {2 / 5.,  2 / 7.,  2 / 9.,  2 / 11., 2 / 13.,
                                    2 / 15., 2 / 17., 2 / 19., 2 / 21., 2 / 23.};
    const Format *k = fmt(g);
    Split p = split(g, x);
    Two den = two_sum_ordered(g, gen_const(g, 2), p.f);
    V s = gen_div(g, p.f, den.hi);
    Two back = two_product(g, s, den.hi);
    V err = gen_sub(g, gen_sub(g, gen_sub(g, p.f, back.hi), back.lo), gen_mul(g, s, den.lo));
    V s_lo = gen_div(g, err, den.hi);
    Two z = two_product(g, s, s), cube = two_product(g, z.hi, s);
    V s_twice = gen_add(g, s_lo, s_lo);
    cube.lo = gen_fma(g, z.lo, s, cube.lo);
    cube.lo = gen_fma(g, gen_mul(g, gen_const(g, 3), z.hi), s_lo, cube.lo);
    Two third = two_product(g, cube.hi, gen_const(g, 2 / 3.)); /* 2/3 = hi + lo */
    third.lo = gen_fma(g, cube.lo, gen_const(g, 2 / 3.), third.lo);
    third.lo = gen_fma(g, cube.hi, gen_const(g, 0x1.5555555555555p-55), third.lo);
    V tail = gen_mul(g, gen_mul(g, gen_mul(g, z.hi, z.hi), s), poly(g, z.hi, series, 10));
    Two sum = two_sum_ordered(g, gen_add(g, s, s), third.hi);
    Two more = two_sum(g, sum.hi, tail);
    V lo = gen_add(g, gen_add(g, gen_add(g, sum.lo, more.lo), third.lo), s_twice);
    Two all = two_sum(g, gen_mul(g, p.e, gen_const(g, k->ln2_hi)), more.hi);
    Two low = two_product(g, p.e, gen_const(g, k->ln2_lo));
    Two end = two_sum(g, all.hi, low.hi);
    return two_sum_ordered(g, end.hi, gen_add(g, gen_add(g, gen_add(g, all.lo, end.lo), low.lo), lo));
}

/* exp(y log x) for x > 0, both finite and not zero */
static V pow_positive(const CpuGen *g, V x, V y, bool for_float)
{
    Two l = for_float ? (Two){log_split(g, split(g, x)), gen_const(g, 0)} : log_two(g, x);
    Two p = for_float ? (Two){gen_mul(g, l.hi, y), gen_const(g, 0)} : two_product(g, l.hi, y);
    V lo = for_float ? p.lo : gen_fma(g, l.lo, y, p.lo), low = gen_const(g, 2 * fmt(g)->exp_low),
      high = gen_const(g, 2 * fmt(g)->exp_high);
    V inside = and_(g, gen_fcmp(g, LLVMRealOGT, p.hi, low), gen_fcmp(g, LLVMRealOLT, p.hi, high));
    V e = at_least(g, at_most(g, p.hi, fmt(g)->exp_high), fmt(g)->exp_low);
    Reduced r = reduce(g, e);
    V small = gen_select(g, inside, lo, gen_const(g, 0));
    V exp = gen_add(g, gen_fma(g, gen_add(g, r.p, gen_const(g, 1)), small, r.p), gen_const(g, 1));
    return scale(g, exp, &r);
}

/* All in doubles; the ends and signs as C's pow has them. */
static V pow_double(const CpuGen *g, V x, V y, bool for_float)
{
    V zero = gen_const(g, 0), one = gen_const(g, 1), infinite = gen_const(g, INFINITY), a = fabs_(g, x);
    V flat = or_(g, gen_fcmp(g, LLVMRealOEQ, a, zero), gen_fcmp(g, LLVMRealOEQ, a, infinite));
    V endless = gen_fcmp(g, LLVMRealOEQ, fabs_(g, y), infinite), above = gen_fcmp(g, LLVMRealOGT, a, one);
    V up = gen_fcmp(g, LLVMRealOGT, y, zero);
    V grows = LLVMBuildICmp(g->b, LLVMIntEQ, above, up, "");
    V r = pow_positive(g, a, y, for_float);
    r = gen_select(g, or_(g, flat, endless), gen_select(g, grows, infinite, zero), r);
    r = gen_select(g, and_(g, gen_fcmp(g, LLVMRealOEQ, a, one), endless), one, r);
    V half = gen_mul(g, y, gen_const(g, 0.5));
    V whole = gen_fcmp(g, LLVMRealOEQ, floor_(g, y), y);
    V odd = and_(g, and_(g, whole, not_(g, endless)), gen_fcmp(g, LLVMRealONE, floor_(g, half), half));
    r = gen_select(g, odd, copysign_(g, r, x), r);
    V bad = and_(g, gen_fcmp(g, LLVMRealOLT, x, zero), not_(g, or_(g, whole, or_(g, flat, endless))));
    r = gen_select(g, or_(g, bad, gen_fcmp(g, LLVMRealUNO, x, y)), gen_const(g, NAN), r);
    return gen_select(g, or_(g, gen_fcmp(g, LLVMRealOEQ, y, zero), gen_fcmp(g, LLVMRealOEQ, x, one)), one, r);
}

static bool is_number(V v, double number)
{
    LLVMBool loses;
    V one =
        LLVMIsConstant(v) && LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMVectorTypeKind ? LLVMGetAggregateElement(v, 0) : v;
    return one && LLVMIsAConstantFP(one) && LLVMConstRealGetDouble(one, &loses) == number;
}

/* Floats through doubles, which leaves hardly any error. The commonest exponents are exact operations. */
static V pow_(const CpuGen *g, V x, V y)
{
    if (is_number(y, 2))
        return gen_mul(g, x, x);
    if (is_number(y, 1))
        return x;
    if (is_number(y, -1))
        return gen_div(g, gen_const(g, 1), x);
    CpuGen wide = *g;
    wide.f64 = true;
    if (g->f64)
        return pow_double(g, x, y, false);
    V a = LLVMBuildFPExt(g->b, x, gen_real(&wide), ""), b = LLVMBuildFPExt(g->b, y, gen_real(&wide), "");
    return LLVMBuildFPTrunc(g->b, pow_double(&wide, a, b, true), gen_real(g), "");
}

/* ---- order ---- */

static bool never_nan(V v)
{
    LLVMBool loses;
    V one =
        LLVMIsConstant(v) && LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMVectorTypeKind ? LLVMGetAggregateElement(v, 0) : v;
    return one && LLVMIsAConstantFP(one) && !isnan(LLVMConstRealGetDouble(one, &loses));
}

/* A tie gives a. NaN of either gives NaN; the comparisons' form is that of the machine's one instruction. */
static V larger(const CpuGen *g, V a, V b, bool is_max)
{
    if (never_nan(a) && !never_nan(b))
        return gen_select(g, gen_fcmp(g, is_max ? LLVMRealOGE : LLVMRealOLE, a, b), a, b);
    V r = gen_select(g, gen_fcmp(g, is_max ? LLVMRealOGT : LLVMRealOLT, b, a), b, a);
    return never_nan(b) ? r : gen_select(g, is_nan(g, b), gen_select(g, is_nan(g, a), a, b), r);
}

static V min_max(const CpuGen *g, Fun f, V a, V b, DType dt)
{
    if (dt == DT_REAL)
        return larger(g, a, b, f == FUN_MAX);
    LLVMIntPredicate p =
        dt == DT_INT ? (f == FUN_MAX ? LLVMIntSGE : LLVMIntSLE) : (f == FUN_MAX ? LLVMIntUGE : LLVMIntULE);
    return gen_select(g, gen_icmp(g, p, a, b), a, b);
}

static V compare(const CpuGen *g, Fun f, V a, V b, DType dt)
{
    bool s = dt == DT_INT;
    switch (f) {
    case FUN_LT: return dt == DT_REAL ? gen_fcmp(g, LLVMRealOLT, a, b) : gen_icmp(g, s ? LLVMIntSLT : LLVMIntULT, a, b);
    case FUN_LE: return dt == DT_REAL ? gen_fcmp(g, LLVMRealOLE, a, b) : gen_icmp(g, s ? LLVMIntSLE : LLVMIntULE, a, b);
    case FUN_EQ: return dt == DT_REAL ? gen_fcmp(g, LLVMRealOEQ, a, b) : gen_icmp(g, LLVMIntEQ, a, b);
    default: return dt == DT_REAL ? gen_fcmp(g, LLVMRealUNE, a, b) : gen_icmp(g, LLVMIntNE, a, b);
    }
}

/* ---- ints ---- */

/* Rounds down; by zero gives 0. Divisors that would trap (0, and -1 of the smallest int) are replaced. */
static V divide_down(const CpuGen *g, V a, V b, bool want_rest)
{
    V zero = gen_iconst(g, 32, 0), one = gen_iconst(g, 32, 1), minus = gen_iconst(g, 32, UINT32_MAX);
    V by_zero = gen_icmp(g, LLVMIntEQ, b, zero), by_minus = gen_icmp(g, LLVMIntEQ, b, minus);
    V safe = gen_select(g, or_(g, by_zero, by_minus), one, b);
    V q = LLVMBuildSDiv(g->b, a, safe, ""), rest = isub(g, a, LLVMBuildMul(g->b, q, safe, ""));
    V across =
        and_(g, gen_icmp(g, LLVMIntNE, rest, zero), gen_icmp(g, LLVMIntSLT, LLVMBuildXor(g->b, rest, safe, ""), zero));
    V result = want_rest ? gen_select(g, across, iadd(g, rest, safe), rest)
                         : gen_select(g, by_minus, isub(g, zero, a), gen_select(g, across, isub(g, q, one), q));
    return gen_select(g, by_zero, zero, result);
}

static V int_abs(const CpuGen *g, V a)
{
    V zero = gen_iconst(g, 32, 0);
    return gen_select(g, gen_icmp(g, LLVMIntSLT, a, zero), isub(g, zero, a), a);
}

static V sign(const CpuGen *g, V a, DType dt)
{
    if (dt == DT_REAL) {
        V zero = gen_const(g, 0), one = gen_const(g, 1);
        V size = gen_select(g, gen_fcmp(g, LLVMRealOEQ, a, zero), zero, copysign_(g, one, a));
        return gen_select(g, is_nan(g, a), a, size);
    }
    V zero = gen_iconst(g, 32, 0);
    V up = LLVMBuildZExt(g->b, gen_icmp(g, LLVMIntSGT, a, zero), gen_int(g, 32), "");
    return iadd(g, up, LLVMBuildSExt(g->b, gen_icmp(g, LLVMIntSLT, a, zero), gen_int(g, 32), ""));
}

/* ---- conversions ---- */

static V to_real(const CpuGen *g, V a, DType dt)
{
    switch (dt) {
    case DT_REAL: return a;
    case DT_INT: return LLVMBuildSIToFP(g->b, a, gen_real(g), "");
    case DT_BOOL: return LLVMBuildUIToFP(g->b, a, gen_real(g), "");
    case DT_COMPLEX: break;
    }
    ice("cpu: element type %d", (int)dt);
}

/* NaN gives 0, what is too large the nearest int: a plain conversion would be undefined. */
static V to_int(const CpuGen *g, V a, DType dt)
{
    if (dt == DT_INT)
        return a;
    if (dt == DT_BOOL)
        return LLVMBuildZExt(g->b, a, gen_int(g, 32), "");
    V high = gen_const(g, 0x1p31), low = gen_const(g, -0x1p31);
    V over = gen_fcmp(g, LLVMRealOGE, a, high), under = gen_fcmp(g, LLVMRealOLT, a, low);
    V safe = gen_select(g, or_(g, or_(g, over, under), is_nan(g, a)), gen_const(g, 0), a);
    V i = LLVMBuildFPToSI(g->b, safe, gen_int(g, 32), "");
    i = gen_select(g, over, gen_iconst(g, 32, INT32_MAX), i);
    return gen_select(g, under, gen_iconst(g, 32, UINT64_C(0x80000000)), i);
}

static V to_bool(const CpuGen *g, V a, DType dt)
{
    if (dt == DT_BOOL)
        return a;
    return dt == DT_REAL ? gen_fcmp(g, LLVMRealUNE, a, gen_const(g, 0))
                         : gen_icmp(g, LLVMIntNE, a, gen_iconst(g, 32, 0));
}

/* ---- all of fun.def ---- */

static V negated(const CpuGen *g, V a, DType dt)
{
    return dt == DT_REAL ? LLVMBuildFNeg(g->b, a, "") : LLVMBuildNeg(g->b, a, "");
}

static V arithmetic(const CpuGen *g, Fun f, V a, V b, DType dt)
{
    bool real = dt == DT_REAL;
    switch (f) {
    case FUN_ADD: return real ? gen_add(g, a, b) : iadd(g, a, b);
    case FUN_SUB: return real ? gen_sub(g, a, b) : isub(g, a, b);
    default: return real ? gen_mul(g, a, b) : LLVMBuildMul(g->b, a, b, "");
    }
}

LLVMValueRef cpu_fun(const CpuGen *g, Fun f, const LLVMValueRef *arg, const DType *dt)
{
    V a = arg[0], b = fun_info(f)->arity > 1 ? arg[1] : NULL, c = fun_info(f)->arity > 2 ? arg[2] : NULL;
    switch (f) {
    case FUN_ID:
    case FUN_STOP:
    case FUN_CHOSEN: return a;
    case FUN_NEG: return negated(g, a, dt[0]);
    case FUN_ADD:
    case FUN_SUB:
    case FUN_MUL: return arithmetic(g, f, a, b, dt[0]);
    case FUN_DIV: return gen_div(g, to_real(g, a, dt[0]), to_real(g, b, dt[1]));
    case FUN_IDIV: return divide_down(g, a, b, false);
    case FUN_IMOD: return divide_down(g, a, b, true);
    case FUN_POW: return pow_(g, to_real(g, a, dt[0]), to_real(g, b, dt[1]));
    case FUN_MIN:
    case FUN_MAX: return min_max(g, f, a, b, dt[0]);
    case FUN_ABS: return dt[0] == DT_REAL ? fabs_(g, a) : int_abs(g, a);
    case FUN_SIGN: return sign(g, a, dt[0]);
    case FUN_FLOOR: return floor_(g, to_real(g, a, dt[0]));
    case FUN_SQRT: return sqrt_(g, to_real(g, a, dt[0]));
    case FUN_EXP: return exp_(g, to_real(g, a, dt[0]));
    case FUN_EXPM1: return expm1_(g, to_real(g, a, dt[0]));
    case FUN_LOG: return log_(g, to_real(g, a, dt[0]));
    case FUN_LOG1P: return log1p_(g, to_real(g, a, dt[0]));
    case FUN_TANH: return tanh_(g, to_real(g, a, dt[0]));
    case FUN_SIGMOID: return sigmoid_(g, to_real(g, a, dt[0]));
    case FUN_SIN: return cpu_sin(g, to_real(g, a, dt[0]));
    case FUN_COS: return cpu_cos(g, to_real(g, a, dt[0]));
    case FUN_ERF: return erf_(g, to_real(g, a, dt[0]));
    case FUN_LT:
    case FUN_LE:
    case FUN_EQ:
    case FUN_NE: return compare(g, f, a, b, dt[0]);
    case FUN_NOT: return not_(g, to_bool(g, a, dt[0]));
    case FUN_AND: return and_(g, to_bool(g, a, dt[0]), to_bool(g, b, dt[1]));
    case FUN_OR: return or_(g, to_bool(g, a, dt[0]), to_bool(g, b, dt[1]));
    case FUN_WHERE: return gen_select(g, to_bool(g, a, dt[0]), b, c);
    case FUN_REAL: return to_real(g, a, dt[0]);
    case FUN_INT: return to_int(g, a, dt[0]);
    case FUN_COUNT: break;
    }
    ice("cpu: function %d", (int)f);
}

/* ---- random numbers ---- */

/* The finaliser of splitmix64 (Steele, Lea, Flood, Fast splittable pseudorandom number generators, 2014). */
static V mix(const CpuGen *g, V z)
{
    static const uint64_t by[2] = {UINT64_C(0xbf58476d1ce4e5b9), UINT64_C(0x94d049bb133111eb)};
    static const uint64_t shift[3] = {30, 27, 31};
    for (int i = 0; i < 3; i++) {
        z = LLVMBuildXor(g->b, z, LLVMBuildLShr(g->b, z, gen_iconst(g, 64, shift[i]), ""), "");
        if (i < 2)
            z = LLVMBuildMul(g->b, z, gen_iconst(g, 64, by[i]), "");
    }
    return z;
}

/* 52 bits become the fraction of a number from 2^52 on, which taken away leaves them as a double. A float is kept
 * below 1. */
LLVMValueRef cpu_random(const CpuGen *g, LLVMValueRef seed, uint32_t stream, LLVMValueRef counter)
{
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
    CpuGen one = *g, wide = *g;
    one.lanes = 1;
    wide.f64 = true;
    V key = mix(&one, LLVMBuildAdd(g->b, seed, gen_iconst(&one, 64, golden * ((uint64_t)stream + 1)), ""));
    V step = LLVMBuildMul(g->b, iadd(g, counter, gen_iconst(g, 64, 1)), gen_iconst(g, 64, golden), "");
    V z = LLVMBuildLShr(g->b, mix(g, iadd(g, gen_splat(g, key), step)), gen_iconst(g, 64, 12), "");
    V number = gen_real_of_bits(&wide, or_(g, z, gen_iconst(g, 64, UINT64_C(0x4330000000000000))));
    number = gen_add(&wide, gen_sub(&wide, number, gen_const(&wide, 0x1p52)), gen_const(&wide, 0.5));
    number = gen_mul(&wide, number, gen_const(&wide, 0x1p-52));
    return g->f64 ? number : at_most(g, LLVMBuildFPTrunc(g->b, number, gen_real(g), ""), 0x1.fffffep-1);
}
