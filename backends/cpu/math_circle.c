/* sin and cos, for every finite argument.
 *
 * An argument is a whole number of quarter turns and a rest of at most an eighth of a turn, in twice the precision:
 * up to `near` by three parts of pi/2 whose products with that number are exact (Cody and Waite, Software Manual for
 * the Elementary Functions), beyond by as many bits of 2/pi as the exponent asks for (Payne and Hanek, Radian reduction
 * for trigonometric functions, 1983). Floats go through doubles, which leaves hardly any error. */
#include "backends/cpu/math_parts.h"

#include <math.h>

static const double half_pi = 0x1.921fb54442d18p+0, half_pi_rest = 0x1.1a62633145c07p-54;
static const double near = 51000; /* fewer than 2^15 quarter turns */

/* quarters * pi/2 + rest.hi + rest.lo; of `quarters` the two lowest bits count */
typedef struct Turn {
    Two rest;
    V quarters; /* 64 bits */
} Turn;

/* ---- near ---- */

static Turn turn_near(const CpuGen *g, V x)
{
    static const double part[3] = {0x1.921fb5444p+0, 0x1.68c234c4cp-39,
                                   0x1.98a2e03707345p-77}; /* of pi/2: 38 bits, 38, 53 */
    V magic = gen_const(g, 0x1.8p52);
    V shifted = gen_fma(g, x, gen_const(g, 2 / 3.14159265358979323846), magic), n = gen_sub(g, shifted, magic);
    V first = gen_fma(g, n, gen_const(g, -part[0]), x);
    Two a = two_sum(g, first, gen_mul(g, n, gen_const(g, -part[1])));
    Two b = two_sum(g, a.hi, gen_mul(g, n, gen_const(g, -part[2])));
    return (Turn){two_sum_ordered(g, b.hi, gen_add(g, a.lo, b.lo)), gen_bits(g, shifted)};
}

/* ---- far: one number at a time ---- */

enum { WORDS = 20 };

/* The bits of 2/pi behind its point, after 64 zeros. */
static V two_over_pi(const CpuGen *g)
{
    static const uint64_t word[WORDS] = {
        0,
        UINT64_C(0xa2f9836e4e441529),
        UINT64_C(0xfc2757d1f534ddc0),
        UINT64_C(0xdb6295993c439041),
        UINT64_C(0xfe5163abdebbc561),
        UINT64_C(0xb7246e3a424dd2e0),
        UINT64_C(0x06492eea09d1921c),
        UINT64_C(0xfe1deb1cb129a73e),
        UINT64_C(0xe88235f52ebb4484),
        UINT64_C(0xe99c7026b45f7e41),
        UINT64_C(0x3991d639835339f4),
        UINT64_C(0x9c845f8bbdf9283b),
        UINT64_C(0x1ff897ffde05980f),
        UINT64_C(0xef2f118b5a0a6d1f),
        UINT64_C(0x6d367ecf27cb09b7),
        UINT64_C(0x4f463f669e5fea2d),
        UINT64_C(0x7527bac7ebe5f17b),
        UINT64_C(0x3d0739f78a5292ea),
        UINT64_C(0x6bfb5fb11f8d5d08),
        UINT64_C(0x56033046fc7b6bab),
    };
    V table = LLVMGetNamedGlobal(g->module, "math.two_over_pi");
    if (table)
        return table;
    LLVMTypeRef i64 = gen_int1(g, 64);
    V value[WORDS];
    for (uint32_t i = 0; i < WORDS; i++)
        value[i] = LLVMConstInt(i64, word[i], false);
    table = LLVMAddGlobal(g->module, LLVMArrayType2(i64, WORDS), "math.two_over_pi");
    LLVMSetInitializer(table, LLVMConstArray2(i64, value, WORDS));
    LLVMSetGlobalConstant(table, true);
    LLVMSetLinkage(table, LLVMPrivateLinkage);
    return table;
}

/* The 192 bits of 2/pi of which the first, times an x with this exponent (x = m * 2^exponent, m whole), is worth 2:
 * those before it give whole turns. */
static void window(const CpuGen *g, V exponent, V out[3])
{
    V from = iadd(g, exponent, bits(g, 62)), at = shr(g, from, 6), shift = and_(g, from, bits(g, 63));
    V word[4];
    for (uint32_t i = 0; i < 4; i++) {
        V where = gen_at(g, gen_int1(g, 64), two_over_pi(g), iadd(g, at, bits(g, i)));
        word[i] = gen_load(g, gen_int1(g, 64), where, 8);
    }
    for (uint32_t i = 0; i < 3; i++)
        out[i] = gen_intrinsic(g, "llvm.fshl", gen_int1(g, 64), (V[]){word[i], word[i + 1], shift}, 3);
}

static V widened(const CpuGen *g, V a)
{
    return LLVMBuildZExt(g->b, a, gen_int1(g, 128), "");
}

static V upper(const CpuGen *g, V a)
{
    return LLVMBuildLShr(g->b, a, LLVMConstInt(gen_int1(g, 128), 64, false), "");
}

static V lower(const CpuGen *g, V a)
{
    return LLVMBuildTrunc(g->b, a, gen_int1(g, 64), "");
}

/* m * factor mod 2^192, the upper word first */
static void product(const CpuGen *g, V m, const V factor[3], V out[3])
{
    V wide = widened(g, m), last = LLVMBuildMul(g->b, wide, widened(g, factor[2]), "");
    V middle = iadd(g, LLVMBuildMul(g->b, wide, widened(g, factor[1]), ""), upper(g, last));
    out[2] = lower(g, last);
    out[1] = lower(g, middle);
    out[0] = iadd(g, LLVMBuildMul(g->b, m, factor[0], ""), lower(g, upper(g, middle)));
}

/* The signed number of 192 bits in units of 2^-190, as a sum of exact parts of 32 bits. */
static Two to_two(const CpuGen *g, const V word[3])
{
    V low = bits(g, UINT32_MAX), thirty_two = bits(g, 32);
    V piece[5] = {LLVMBuildAShr(g->b, word[0], thirty_two, ""), and_(g, word[0], low), shr(g, word[1], 32),
                  and_(g, word[1], low), shr(g, word[2], 32)};
    Two sum = {gen_const(g, 0), gen_const(g, 0)};
    for (int i = 0; i < 5; i++) {
        V real = LLVMBuildSIToFP(g->b, piece[i], gen_real(g), "");
        Two more = two_sum(g, sum.hi, gen_mul(g, real, gen_const(g, ldexp(1, -30 - 32 * i))));
        sum = (Two){more.hi, gen_add(g, sum.lo, more.lo)};
    }
    return two_sum_ordered(g, sum.hi, sum.lo);
}

static Two times_half_pi(const CpuGen *g, Two a)
{
    Two p = two_product(g, a.hi, gen_const(g, half_pi));
    V lo = gen_fma(g, a.hi, gen_const(g, half_pi_rest), gen_fma(g, a.lo, gen_const(g, half_pi), p.lo));
    return two_sum_ordered(g, p.hi, lo);
}

/* For |x| >= near; of inf and NaN: something. */
static Turn turn_far(const CpuGen *g, V x)
{
    V pattern = gen_bits(g, x), exponent = and_(g, shr(g, pattern, 52), bits(g, 0x7ff));
    V one = bits(g, UINT64_C(1) << 52), m = or_(g, and_(g, pattern, bits(g, (UINT64_C(1) << 52) - 1)), one);
    V bit[3], turns[3];
    window(g, isub(g, exponent, bits(g, 1075)), bit);
    product(g, m, bit, turns);
    V quarters = shr(g, iadd(g, turns[0], bits(g, UINT64_C(1) << 61)), 62);
    turns[0] = isub(g, turns[0], shl(g, quarters, 62));
    Two rest = times_half_pi(g, to_two(g, turns));
    V negative = gen_fcmp(g, LLVMRealOLT, x, gen_const(g, 0));
    return (Turn){{gen_select(g, negative, LLVMBuildFNeg(g->b, rest.hi, ""), rest.hi),
                   gen_select(g, negative, LLVMBuildFNeg(g->b, rest.lo, ""), rest.lo)},
                  gen_select(g, negative, LLVMBuildNeg(g->b, quarters, ""), quarters)};
}

static LLVMTypeRef turn_type(const CpuGen *g)
{
    return LLVMStructTypeInContext(g->context, (LLVMTypeRef[]){gen_real(g), gen_real(g), gen_int(g, 64)}, 3, false);
}

static Turn turn_of(const CpuGen *g, V made)
{
    return (Turn){{LLVMBuildExtractValue(g->b, made, 0, ""), LLVMBuildExtractValue(g->b, made, 1, "")},
                  LLVMBuildExtractValue(g->b, made, 2, "")};
}

static V far_function(const CpuGen *g);

static Turn call_far(const CpuGen *g, V x)
{
    V fn = far_function(g);
    return turn_of(g, LLVMBuildCall2(g->b, LLVMGlobalGetValueType(fn), fn, &x, 1, ""));
}

static Turn lane_by_lane(const CpuGen *g, V x)
{
    CpuGen one = *g;
    one.lanes = 1;
    V zero = LLVMGetPoison(gen_real(g));
    Turn all = {{zero, zero}, LLVMGetPoison(gen_int(g, 64))};
    for (uint32_t i = 0; i < g->lanes; i++) {
        Turn t = call_far(&one, gen_lane(g, x, i));
        all.rest.hi = gen_put_lane(g, all.rest.hi, t.rest.hi, i);
        all.rest.lo = gen_put_lane(g, all.rest.lo, t.rest.lo, i);
        all.quarters = gen_put_lane(g, all.quarters, t.quarters, i);
    }
    return all;
}

/* One function of the module for each number of lanes: this is rarely needed, and long. */
static V far_function(const CpuGen *g)
{
    char name[64];
    snprintf(name, sizeof name, "math.turn.%u.%s", g->lanes, cpu_level_info(g->level)->text);
    V fn = LLVMGetNamedFunction(g->module, name);
    if (fn)
        return fn;
    LLVMTypeRef type = turn_type(g), param = gen_real(g);
    fn = LLVMAddFunction(g->module, name, LLVMFunctionType(type, &param, 1, false));
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    cpu_set_target(g->context, fn, g->level);
    CpuGen in = *g;
    in.b = LLVMCreateBuilderInContext(g->context);
    LLVMPositionBuilderAtEnd(in.b, LLVMAppendBasicBlockInContext(g->context, fn, "entry"));
    Turn t = g->lanes == 1 ? turn_far(&in, LLVMGetParam(fn, 0)) : lane_by_lane(&in, LLVMGetParam(fn, 0));
    V all = LLVMBuildInsertValue(in.b, LLVMGetPoison(type), t.rest.hi, 0, "");
    all = LLVMBuildInsertValue(in.b, all, t.rest.lo, 1, "");
    LLVMBuildRet(in.b, LLVMBuildInsertValue(in.b, all, t.quarters, 2, ""));
    LLVMDisposeBuilder(in.b);
    return fn;
}

/* ---- either ---- */

static V any_lane(const CpuGen *g, V c)
{
    if (g->lanes == 1)
        return c;
    LLVMTypeRef all = gen_int1(g, g->lanes);
    return LLVMBuildICmp(g->b, LLVMIntNE, LLVMBuildBitCast(g->b, c, all, ""), LLVMConstNull(all), "");
}

static V joined(const CpuGen *g, V a, LLVMBasicBlockRef from_a, V b, LLVMBasicBlockRef from_b)
{
    V phi = LLVMBuildPhi(g->b, LLVMTypeOf(a), "");
    LLVMAddIncoming(phi, (V[]){a, b}, (LLVMBasicBlockRef[]){from_a, from_b}, 2);
    return phi;
}

static Turn turn(const CpuGen *g, V x)
{
    V is_far = gen_fcmp(g, LLVMRealOGE, fabs_(g, x), gen_const(g, near));
    Turn a = turn_near(g, x), b;
    LLVMBasicBlockRef before = LLVMGetInsertBlock(g->b);
    GenIf some_far = gen_if(g, any_lane(g, is_far));
    b = call_far(g, gen_select(g, is_far, x, gen_const(g, near)));
    b.rest.hi = gen_select(g, is_far, b.rest.hi, a.rest.hi);
    b.rest.lo = gen_select(g, is_far, b.rest.lo, a.rest.lo);
    b.quarters = gen_select(g, is_far, b.quarters, a.quarters);
    LLVMBasicBlockRef behind = LLVMGetInsertBlock(g->b);
    gen_end_if(g, some_far);
    return (Turn){{joined(g, a.rest.hi, before, b.rest.hi, behind), joined(g, a.rest.lo, before, b.rest.lo, behind)},
                  joined(g, a.quarters, before, b.quarters, behind)};
}

/* ---- the series, on an eighth of a turn: our own fits, as in math.c ---- */

/* (sin(r) - r) / r^3 and (cos(r) - 1 + r^2/2) / r^4 in r^2 */
static const double sin_float[] = {-0.166666666416075149, 0.00833332938359549452, -0.000198393340814239256,
                                   2.71830418805434529e-6};
static const double cos_float[] = {0.0416666666227953822, -0.00138888837505470923, 0.0000247995192404064921,
                                   -2.72101732033239646e-7};
static const double sin_double[] = {-0.16666666666666632,   0.00833333333332241391,  -0.000198412698298079598,
                                    2.75573136919586671e-6, -2.50507581204800059e-8, 1.589679591009584e-10};
static const double cos_double[] = {0.0416666666666665995,   -0.00138888888888741241, 0.0000248015872894822061,
                                    -2.75573143523218602e-7, 2.08757232699278181e-9,  -1.1359647559428378e-11};

/* hi + (hi^3 S + lo (1 - hi^2/2)) */
static V sin_rest(const CpuGen *g, Two r, bool for_float)
{
    V z = gen_mul(g, r.hi, r.hi), cube = gen_mul(g, r.hi, z);
    V series = for_float ? poly(g, z, sin_float, 4) : poly(g, z, sin_double, 6);
    V lo = gen_fma(g, gen_mul(g, z, gen_const(g, -0.5)), r.lo, r.lo);
    return gen_add(g, r.hi, gen_fma(g, cube, series, lo));
}

/* 1 - hi^2/2 to twice the precision, and (hi^4 C - hi lo) */
static V cos_rest(const CpuGen *g, Two r, bool for_float)
{
    V z = gen_mul(g, r.hi, r.hi), half = gen_mul(g, z, gen_const(g, 0.5)), one = gen_const(g, 1);
    V series = for_float ? poly(g, z, cos_float, 4) : poly(g, z, cos_double, 6);
    V top = gen_sub(g, one, half), lost = gen_sub(g, gen_sub(g, one, top), half);
    V tail = gen_fma(g, gen_mul(g, z, z), series, gen_fma(g, LLVMBuildFNeg(g->b, r.hi, ""), r.lo, lost));
    return gen_add(g, top, tail);
}

/* The sine of x and `ahead` quarter turns: sin, cos, -sin, -cos of the rest. */
static V circle_double(const CpuGen *g, V x, uint32_t ahead, bool for_float)
{
    Turn t = turn(g, x);
    V quarters = iadd(g, t.quarters, bits(g, ahead));
    V odd = gen_icmp(g, LLVMIntNE, and_(g, quarters, bits(g, 1)), bits(g, 0));
    V size = gen_select(g, odd, cos_rest(g, t.rest, for_float), sin_rest(g, t.rest, for_float));
    V sign = shl(g, and_(g, quarters, bits(g, 2)), 62);
    V y = gen_real_of_bits(g, LLVMBuildXor(g->b, gen_bits(g, size), sign, ""));
    V finite = gen_fcmp(g, LLVMRealOLT, fabs_(g, x), gen_const(g, INFINITY));
    return gen_select(g, finite, y, gen_const(g, NAN));
}

static V circle(const CpuGen *g, V x, uint32_t ahead)
{
    if (g->f64)
        return circle_double(g, x, ahead, false);
    CpuGen wide = *g;
    wide.f64 = true;
    V y = circle_double(&wide, LLVMBuildFPExt(g->b, x, gen_real(&wide), ""), ahead, true);
    return LLVMBuildFPTrunc(g->b, y, gen_real(g), "");
}

/* Below 2^-28 sin(x) rounds to x, which keeps subnormals and the zero's sign. */
LLVMValueRef cpu_sin(const CpuGen *g, LLVMValueRef x)
{
    V small = gen_fcmp(g, LLVMRealOLT, fabs_(g, x), gen_const(g, 0x1p-28));
    return gen_select(g, small, x, circle(g, x, 0));
}

LLVMValueRef cpu_cos(const CpuGen *g, LLVMValueRef x)
{
    return circle(g, x, 1);
}
