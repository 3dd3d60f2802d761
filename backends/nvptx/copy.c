/* Asynchronous copies, by LLVM's intrinsics: "PTX ISA", section "Data movement and conversion instructions: cp.async". */
#include "backends/nvptx/emit.h"

void nv_copy_async(const CpuGen *g, LLVMValueRef to, LLVMValueRef from, uint32_t bytes, LLVMValueRef some)
{
    static const char *const all[] = {"llvm.nvvm.cp.async.ca.shared.global.4", "llvm.nvvm.cp.async.ca.shared.global.8", "llvm.nvvm.cp.async.cg.shared.global.16"};
    static const char *const part[] = {"llvm.nvvm.cp.async.ca.shared.global.4.s", "llvm.nvvm.cp.async.ca.shared.global.8.s",
                                       "llvm.nvvm.cp.async.cg.shared.global.16.s"};
    nv_intrinsic(g, (some ? part : all)[bytes / 8], (LLVMValueRef[]){to, from, some}, some ? 3 : 2);
}

void nv_commit_copies(const CpuGen *g)
{
    nv_intrinsic(g, "llvm.nvvm.cp.async.commit.group", NULL, 0);
}

void nv_wait_copies(const CpuGen *g, uint32_t groups)
{
    LLVMValueRef n = gen_iconst(g, 32, groups);
    nv_intrinsic(g, "llvm.nvvm.cp.async.wait.group", &n, 1);
}
