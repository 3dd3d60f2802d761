/* What LLVM has no intrinsic for. */
#include "backends/nvptx/emit.h"

/* mov, which LLVM does not look through, nor move: what is found from the result is not computed in front of loops around, where
 * it would wait in a register, or worse, for its turn. ptxas sees that it is nothing. */
LLVMValueRef nv_own(const CpuGen *g, LLVMBuilderRef b, LLVMValueRef i64)
{
    static const char text[] = "mov.b64 $0, $1;", operands[] = "=l,l";
    LLVMTypeRef word = gen_int1(g, 64), type = LLVMFunctionType(word, &word, 1, false);
    LLVMValueRef mov = LLVMGetInlineAsm(type, text, sizeof text - 1, operands, sizeof operands - 1, true, false, LLVMInlineAsmDialectATT, false);
    return LLVMBuildCall2(b, type, mov, &i64, 1, "");
}

static LLVMValueRef call(const CpuGen *g, LLVMTypeRef type, const char *text, const char *operands, LLVMValueRef *arg, unsigned n)
{
    LLVMValueRef code = LLVMGetInlineAsm(type, text, strlen(text), operands, strlen(operands), true, false, LLVMInlineAsmDialectATT, false);
    return LLVMBuildCall2(g->b, type, code, arg, n, "");
}

LLVMValueRef nv_acquire(const CpuGen *g, LLVMValueRef at)
{
    LLVMTypeRef pointer = LLVMTypeOf(at), type = LLVMFunctionType(gen_int1(g, 32), &pointer, 1, false);
    return call(g, type, "ld.acquire.gpu.global.u32 $0, [$1];", "=r,l,~{memory}", &at, 1);
}

void nv_release(const CpuGen *g, LLVMValueRef at, LLVMValueRef v)
{
    LLVMTypeRef takes[] = {LLVMTypeOf(at), LLVMTypeOf(v)}, type = LLVMFunctionType(LLVMVoidTypeInContext(g->context), takes, 2, false);
    call(g, type, "st.release.gpu.global.u32 [$0], $1;", "l,r,~{memory}", (LLVMValueRef[]){at, v}, 2);
}
