/* Reals of 16 bits, between memory and registers. By whole numbers only: x86 has no bf16, and what LLVM would make of its types
 * for it calls a library. Levels from AVX2 on have instructions for f16 (F16C); they give the same bits. */
#include "backends/cpu/build.h"

static LLVMValueRef c32(const CpuGen *g, uint32_t v)
{
    return gen_iconst(g, 32, v);
}

static LLVMValueRef shifted(const CpuGen *g, LLVMValueRef v, uint32_t left)
{
    return LLVMBuildShl(g->b, v, c32(g, left), "");
}

static LLVMValueRef dropped(const CpuGen *g, LLVMValueRef v, uint32_t right)
{
    return LLVMBuildLShr(g->b, v, c32(g, right), "");
}

static LLVMValueRef masked(const CpuGen *g, LLVMValueRef v, uint32_t mask)
{
    return LLVMBuildAnd(g->b, v, c32(g, mask), "");
}

static LLVMValueRef with(const CpuGen *g, LLVMValueRef v, LLVMValueRef more)
{
    return LLVMBuildOr(g->b, v, more, "");
}

static LLVMValueRef plus(const CpuGen *g, LLVMValueRef v, uint32_t more)
{
    return LLVMBuildAdd(g->b, v, c32(g, more), "");
}

/* Half of the last place that stays, less one unit where that place is even. */
static LLVMValueRef rounded(const CpuGen *g, LLVMValueRef bits, uint32_t drop)
{
    LLVMValueRef odd = masked(g, dropped(g, bits, drop), 1);
    return dropped(g, LLVMBuildAdd(g->b, plus(g, bits, (1u << (drop - 1)) - 1), odd, ""), drop);
}

static LLVMValueRef bf16_bits(const CpuGen *g, LLVMValueRef real)
{
    LLVMValueRef bits = gen_bits(g, real), nan = with(g, dropped(g, bits, 16), c32(g, 0x40));
    LLVMValueRef is_nan = gen_icmp(g, LLVMIntUGT, masked(g, bits, 0x7fffffff), c32(g, 0x7f800000));
    return gen_select(g, is_nan, nan, rounded(g, bits, 16));
}

/* See lang/narrow.c. What is not chosen may be any number, but no trap: adding to NaN is none. */
static LLVMValueRef f16_bits(const CpuGen *g, LLVMValueRef real)
{
    LLVMValueRef bits = gen_bits(g, real), a = masked(g, bits, 0x7fffffff);
    LLVMValueRef small = gen_bits(g, gen_add(g, gen_real_of_bits(g, a), gen_const(g, 0.5)));
    small = LLVMBuildSub(g->b, small, c32(g, 0x3f000000), "");
    LLVMValueRef normal = rounded(g, plus(g, a, -UINT32_C(0x38000000)), 13);
    LLVMValueRef nan = with(g, masked(g, dropped(g, a, 13), 0x3ff), c32(g, 0x7e00));
    LLVMValueRef h = gen_select(g, gen_icmp(g, LLVMIntULT, a, c32(g, 0x38800000)), small, normal);
    h = gen_select(g, gen_icmp(g, LLVMIntUGE, a, c32(g, 0x47800000)), c32(g, 0x7c00), h);
    h = gen_select(g, gen_icmp(g, LLVMIntUGT, a, c32(g, 0x7f800000)), nan, h);
    return with(g, h, masked(g, dropped(g, bits, 16), 0x8000));
}

static LLVMValueRef f16_real(const CpuGen *g, LLVMValueRef h)
{
    LLVMValueRef a = masked(g, h, 0x7fff), up = shifted(g, a, 13);
    LLVMValueRef small = gen_mul(g, LLVMBuildSIToFP(g->b, a, gen_real(g), ""), gen_const(g, 0x1p-24));
    LLVMValueRef bits = gen_select(g, gen_icmp(g, LLVMIntULT, a, c32(g, 0x400)), gen_bits(g, small), plus(g, up, 0x38000000));
    LLVMValueRef special = with(g, up, c32(g, 0x7f800000)), quiet = with(g, special, c32(g, 0x400000));
    special = gen_select(g, gen_icmp(g, LLVMIntUGT, a, c32(g, 0x7c00)), quiet, special);
    bits = gen_select(g, gen_icmp(g, LLVMIntUGE, a, c32(g, 0x7c00)), special, bits);
    return gen_real_of_bits(g, with(g, bits, shifted(g, masked(g, h, 0x8000), 16)));
}

static LLVMTypeRef half(const CpuGen *g)
{
    return gen_lanes(g, LLVMHalfTypeInContext(g->context));
}

static bool has_f16c(const CpuGen *g)
{
    return g->level != CPU_BASELINE;
}

LLVMValueRef gen_widen(const CpuGen *g, Narrow n, LLVMValueRef bits)
{
    if (n == NARROW_F16 && has_f16c(g))
        return LLVMBuildFPExt(g->b, LLVMBuildBitCast(g->b, bits, half(g), ""), gen_real(g), "");
    LLVMValueRef wide = LLVMBuildZExt(g->b, bits, gen_int(g, 32), "");
    return n == NARROW_F16 ? f16_real(g, wide) : gen_real_of_bits(g, shifted(g, wide, 16));
}

LLVMValueRef gen_narrow(const CpuGen *g, Narrow n, LLVMValueRef real)
{
    if (n == NARROW_F16 && has_f16c(g))
        return LLVMBuildBitCast(g->b, LLVMBuildFPTrunc(g->b, real, half(g), ""), gen_int(g, 16), "");
    LLVMValueRef bits = n == NARROW_F16 ? f16_bits(g, real) : bf16_bits(g, real);
    return LLVMBuildTrunc(g->b, bits, gen_int(g, 16), "");
}
