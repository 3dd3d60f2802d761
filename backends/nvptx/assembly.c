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
