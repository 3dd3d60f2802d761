/* What a warp multiplies at once: mma.sync, by LLVM's intrinsics, in the forms that there are for a factor; and reals as such factors. */
#include "backends/nvptx/emit.h"

enum { MOST_ARGS = 10 };

LLVMValueRef nv_intrinsic(const CpuGen *g, const char *name, LLVMValueRef *arg, unsigned n)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    if (!id)
        ice("LLVM has no %s", name);
    return LLVMBuildCall2(g->b, LLVMIntrinsicGetType(g->context, id, NULL, 0), LLVMGetIntrinsicDeclaration(g->module, id, NULL, 0), arg, n, "");
}

NvShape nv_shape(FactorType f, bool old)
{
    switch (f) {
    case FACTOR_BF16: return (NvShape){"llvm.nvvm.mma.m16n8k16.row.col.bf16", 2, 2, false};
    case FACTOR_F16:
        return old ? (NvShape){"llvm.nvvm.mma.m16n8k8.row.col.f32.f32", 1, 2, true} : (NvShape){"llvm.nvvm.mma.m16n8k16.row.col.f32.f32", 2, 2, true};
    case FACTOR_TF32: return (NvShape){"llvm.nvvm.mma.m16n8k8.row.col.tf32", 2, 1, false};
    case FACTOR_REAL:
    case FACTOR_COUNT: break;
    }
    ice("emit_mma: no instruction multiplies %s", factor_text(f));
}

LLVMValueRef nv_short(const CpuGen *g, FactorType f, const LLVMValueRef *v)
{
    LLVMValueRef turned[] = {v[f == FACTOR_TF32 ? 0 : 1], v[0]};
    LLVMValueRef all = nv_intrinsic(g, f == FACTOR_TF32   ? "llvm.nvvm.f2tf32.rna"
                                       : f == FACTOR_BF16 ? "llvm.nvvm.ff2bf16x2.rn"
                                                          : "llvm.nvvm.ff2f16x2.rn", turned, f == FACTOR_TF32 ? 1 : 2);
    return LLVMBuildBitCast(g->b, all, gen_int1(g, 32), "");
}

void nv_all_lanes(const CpuGen *g, LLVMValueRef instruction)
{
    unsigned kind = LLVMGetEnumAttributeKindForName("convergent", 10);
    LLVMAddCallSiteAttribute(instruction, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, LLVMCreateEnumAttribute(g->context, kind, 0));
}

void nv_multiply(const CpuGen *g, const NvShape *s, const LLVMValueRef *a, const LLVMValueRef *b, const LLVMValueRef *sum)
{
    LLVMValueRef arg[MOST_ARGS];
    uint32_t n = 3 * s->slots;
    for (uint32_t i = 0; i < n; i++) {
        arg[i] = i < 2 * s->slots ? a[i] : b[i - 2 * s->slots];
        arg[i] = s->halves ? LLVMBuildBitCast(g->b, arg[i], LLVMVectorType(LLVMHalfTypeInContext(g->context), 2), "") : arg[i];
    }
    for (uint32_t i = 0; i < NV_RESULTS; i++)
        arg[n + i] = LLVMBuildLoad2(g->b, gen_real1(g), sum[i], "");
    LLVMValueRef all = nv_intrinsic(g, s->name, arg, n + NV_RESULTS);
    nv_all_lanes(g, all);
    for (uint32_t i = 0; i < NV_RESULTS; i++)
        LLVMBuildStore(g->b, LLVMBuildExtractValue(g->b, all, i, ""), sum[i]);
}
