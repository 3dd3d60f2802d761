/* Checks over data: ranges that overlap, lengths outside 0..T; and the seal that ties a backward call to its forward
 * call. */
#include "backends/cpu/abi.h"

/* ranges: i64 pairs {start, end}, empty ones as {0, 0}. A range that is written may meet no other. */
static void emit_overlap(Abi *a)
{
    LLVMTypeRef param[] = {a->ptr, a->i64, a->i64};
    a->overlap = abi_fn(a, "overlap", a->i1, 3, param, false);
    abi_optimize(a->overlap);
    LLVMValueRef f = a->overlap.fn, ranges = LLVMGetParam(f, 0), two = abi_i64(a, 2);
    AbiLoop i = abi_loop(a, abi_i64(a, 0), LLVMGetParam(f, 1));
    LLVMValueRef at = LLVMBuildMul(a->b, i.i, two, ""), mine = LLVMBuildGEP2(a->b, a->i64, ranges, &at, 1, "");
    LLVMValueRef start = abi_load(a, a->i64, mine, 0), end = abi_load(a, a->i64, mine, 1);
    AbiLoop j = abi_loop(a, LLVMBuildAdd(a->b, i.i, abi_i64(a, 1), ""), LLVMGetParam(f, 2));
    LLVMValueRef to = LLVMBuildMul(a->b, j.i, two, ""), other = LLVMBuildGEP2(a->b, a->i64, ranges, &to, 1, "");
    LLVMValueRef meets = abi_and(a, abi_cmp(a, LLVMIntULT, start, abi_load(a, a->i64, other, 1)),
                                 abi_cmp(a, LLVMIntULT, abi_load(a, a->i64, other, 0), end));
    abi_return_if(a, meets, LLVMConstInt(a->i1, 1, false));
    abi_loop_end(a, j);
    abi_loop_end(a, i);
    LLVMBuildRet(a->b, LLVMConstNull(a->i1));
}

LLVMValueRef abi_length(Abi *a, LLVMValueRef lengths, uint32_t axis)
{
    LLVMValueRef i = abi_i64(a, axis);
    return axis ? LLVMBuildGEP2(a->b, a->i32, lengths, &i, 1, "") : lengths;
}

static LLVMValueRef element(Abi *a, LLVMValueRef lengths, LLVMValueRef i)
{
    LLVMValueRef at = a->nlength > 1 ? LLVMBuildMul(a->b, i, abi_i64(a, a->nlength), "") : i;
    return LLVMBuildGEP2(a->b, a->i32, lengths, &at, 1, "");
}

static void emit_lengths_bad(Abi *a)
{
    LLVMTypeRef param[] = {a->ptr, a->i64, a->i64};
    a->lengths_bad = abi_fn(a, "lengths_bad", a->i1, 3, param, false);
    abi_optimize(a->lengths_bad);
    LLVMValueRef f = a->lengths_bad.fn;
    AbiLoop i = abi_loop(a, abi_i64(a, 0), LLVMGetParam(f, 1));
    LLVMValueRef n = LLVMBuildLoad2(a->b, a->i32, element(a, LLVMGetParam(f, 0), i.i), "");
    LLVMValueRef wide = LLVMBuildSExt(a->b, n, a->i64, "");
    abi_return_if(a, abi_cmp(a, LLVMIntUGT, wide, LLVMGetParam(f, 2)), LLVMConstInt(a->i1, 1, false));
    abi_loop_end(a, i);
    LLVMBuildRet(a->b, LLVMConstNull(a->i1));
}

static void emit_lengths_fill(Abi *a)
{
    LLVMTypeRef param[] = {a->ptr, a->i64, a->i64};
    a->lengths_fill = abi_fn(a, "lengths_fill", a->none, 3, param, false);
    abi_optimize(a->lengths_fill);
    LLVMValueRef f = a->lengths_fill.fn, T = LLVMBuildTrunc(a->b, LLVMGetParam(f, 2), a->i32, "");
    AbiLoop i = abi_loop(a, abi_i64(a, 0), LLVMGetParam(f, 1));
    LLVMBuildStore(a->b, T, element(a, LLVMGetParam(f, 0), i.i));
    abi_loop_end(a, i);
    LLVMBuildRetVoid(a->b);
}

LLVMValueRef abi_mixed(Abi *a, LLVMValueRef h, LLVMValueRef n)
{
    h = LLVMBuildMul(a->b, LLVMBuildXor(a->b, h, n, ""), abi_i64(a, INT64_C(0x2545f4914f6cdd1d)), "");
    return LLVMBuildXor(a->b, h, LLVMBuildLShr(a->b, h, abi_i64(a, 29), ""), "");
}

/* One number from all sizes. Names stay out of it: equal programs give equal code. */
static void emit_seal(Abi *a)
{
    a->seal = abi_fn(a, "seal", a->i64, 1, &a->ptr, false);
    LLVMValueRef dims = LLVMGetParam(a->seal.fn, 0), h = abi_i64(a, INT64_C(0x726e6e2d6b657074));
    for (uint32_t i = 0; i < a->iface->member[IF_SIZES].n; i++) {
        LLVMValueRef n = abi_load(a, a->i64, dims, a->iface->member[IF_SIZES].p[i].sym);
        h = abi_mixed(a, h, n);
    }
    LLVMBuildRet(a->b, h);
}

void abi_emit_checks(Abi *a)
{
    emit_overlap(a);
    if (a->has_lengths) {
        emit_lengths_bad(a);
        emit_lengths_fill(a);
    }
    if (a->k->has_fn[REC_BACKWARD])
        emit_seal(a);
}
