/* What the files of elementwise functions share: short names for single operations, and sums of two reals. */
#ifndef BACKENDS_CPU_MATH_PARTS_H
#define BACKENDS_CPU_MATH_PARTS_H

#include "backends/cpu/build.h"

typedef LLVMValueRef V;

static inline V iadd(const CpuGen *g, V a, V b)
{
    return LLVMBuildAdd(g->b, a, b, "");
}

static inline V isub(const CpuGen *g, V a, V b)
{
    return LLVMBuildSub(g->b, a, b, "");
}

static inline V bits(const CpuGen *g, uint64_t v)
{
    return gen_iconst(g, gen_real_bits(g), v);
}

static inline V shl(const CpuGen *g, V a, uint32_t by)
{
    return LLVMBuildShl(g->b, a, bits(g, by), "");
}

static inline V shr(const CpuGen *g, V a, uint32_t by)
{
    return LLVMBuildLShr(g->b, a, bits(g, by), "");
}

static inline V not_(const CpuGen *g, V a)
{
    return LLVMBuildNot(g->b, a, "");
}

static inline V and_(const CpuGen *g, V a, V b)
{
    return LLVMBuildAnd(g->b, a, b, "");
}

static inline V or_(const CpuGen *g, V a, V b)
{
    return LLVMBuildOr(g->b, a, b, "");
}

static inline V fabs_(const CpuGen *g, V a)
{
    return gen_intrinsic(g, "llvm.fabs", LLVMTypeOf(a), &a, 1);
}

static inline V copysign_(const CpuGen *g, V size, V sign)
{
    return gen_intrinsic(g, "llvm.copysign", LLVMTypeOf(size), (V[]){size, sign}, 2);
}

static inline V sqrt_(const CpuGen *g, V a)
{
    return gen_intrinsic(g, "llvm.sqrt", LLVMTypeOf(a), &a, 1);
}

static inline V is_nan(const CpuGen *g, V a)
{
    return gen_fcmp(g, LLVMRealUNO, a, a);
}

static inline V poly(const CpuGen *g, V x, const double *c, uint32_t n)
{
    V sum = gen_const(g, c[n - 1]);
    for (uint32_t i = n - 1; i-- > 0;)
        sum = gen_fma(g, sum, x, gen_const(g, c[i]));
    return sum;
}

/* A sum of two reals, the second much smaller: about twice the precision. Dekker, A floating-point technique for
 * extending the available precision (1971), and Knuth's exact sum. */
typedef struct Two {
    V hi, lo;
} Two;

static inline Two two_sum_ordered(const CpuGen *g, V a, V b)
{
    V hi = gen_add(g, a, b);
    return (Two){hi, gen_sub(g, b, gen_sub(g, hi, a))};
}

static inline Two two_sum(const CpuGen *g, V a, V b)
{
    V hi = gen_add(g, a, b), bb = gen_sub(g, hi, a);
    return (Two){hi, gen_add(g, gen_sub(g, a, gen_sub(g, hi, bb)), gen_sub(g, b, bb))};
}

/* The upper half of a's fraction, and the rest. */
static inline Two halves(const CpuGen *g, V a)
{
    uint64_t keep = g->f64 ? ~UINT64_C(0x7ffffff) : ~UINT64_C(0xfff);
    V hi = gen_real_of_bits(g, and_(g, gen_bits(g, a), bits(g, keep)));
    return (Two){hi, gen_sub(g, a, hi)};
}

/* a * b exactly */
static inline Two two_product(const CpuGen *g, V a, V b)
{
    V p = gen_mul(g, a, b);
    if (g->fma)
        return (Two){p, gen_fma(g, a, b, LLVMBuildFNeg(g->b, p, ""))};
    Two x = halves(g, a), y = halves(g, b);
    V e = gen_sub(g, gen_mul(g, x.hi, y.hi), p);
    e = gen_add(g, e, gen_mul(g, x.hi, y.lo));
    e = gen_add(g, e, gen_mul(g, x.lo, y.hi));
    return (Two){p, gen_add(g, e, gen_mul(g, x.lo, y.lo))};
}

#endif
