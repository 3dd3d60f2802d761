/* Products on the caller's threads, if they are worth it: see share.c. */
#include "backends/cpu/emit.h"

void emit_product(Emit *e, const GemmCall *call, uint32_t least)
{
    CpuGen g = emit_gen(e, false);
    LLVMValueRef run = cpu_product_function(&g);
    LLVMValueRef arg[4 + GEMM_NPARAM] = {call->fn, e->parallel, e->context, gen_i64(&g, least)};
    memcpy(arg + 4, call->param, sizeof call->param);
    LLVMBuildCall2(g.b, LLVMGlobalGetValueType(run), run, arg, 4 + GEMM_NPARAM, "");
}
