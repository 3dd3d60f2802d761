/* What LLVM has no intrinsic for. */
#include "backends/nvptx/emit.h"

#include <stdio.h>

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

/* Who arrives releases, and who has waited acquires, if nothing else is said; to say so needs PTX 8.0. */
void nv_cluster_barrier(const CpuGen *g)
{
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(g->context), NULL, 0, false);
    nv_all_lanes(g, call(g, type, "barrier.cluster.arrive.aligned;\n\tbarrier.cluster.wait.aligned;", "~{memory}", NULL, 0));
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

void nv_count(const CpuGen *g, LLVMValueRef at)
{
    LLVMTypeRef pointer = LLVMTypeOf(at), type = LLVMFunctionType(LLVMVoidTypeInContext(g->context), &pointer, 1, false);
    call(g, type, "red.release.gpu.global.add.u32 [$0], 1;", "l,~{memory}", &at, 1);
}

void nv_show_async(const CpuGen *g)
{
    call(g, LLVMFunctionType(LLVMVoidTypeInContext(g->context), NULL, 0, false), "fence.proxy.async.shared::cta;", "~{memory}", NULL, 0);
}

/* ---- products of a group of four warps: "PTX ISA", section "Asynchronous warpgroup level matrix instructions" ---- */

enum { MOST_PRODUCTS = 4, MOST_OPERANDS = NV_GROUP_SUMS + 2 * MOST_PRODUCTS + 1, LONG = 4096 };

/* One piece of text: sums are registers that the instructions change until they are waited for, and LLVM must not touch them before. Operands: sums as
 * they will be, as they are, descriptors in turns, and one that says that sums are added to. */
static void write_products(char *text, size_t room, FactorType f, unsigned n)
{
    const char *type = f == FACTOR_BF16 ? "bf16" : "f16";
    size_t at = (size_t)snprintf(text, room, "wgmma.fence.sync.aligned;\n");
    for (unsigned i = 0; i < n; i++) {
        at += (size_t)snprintf(text + at, room - at, "\twgmma.mma_async.sync.aligned.m64n64k16.f32.%s.%s {", type, type);
        for (unsigned s = 0; s < NV_GROUP_SUMS; s++)
            at += (size_t)snprintf(text + at, room - at, s ? ", $%u" : "$%u", s);
        at += (size_t)snprintf(text + at, room - at, "}, $%u, $%u, $%u, 1, 1, 0, 0;\n", 2 * NV_GROUP_SUMS + 2 * i, 2 * NV_GROUP_SUMS + 2 * i + 1,
                               2 * NV_GROUP_SUMS + 2 * n);
    }
    snprintf(text + at, room - at, "\twgmma.commit_group.sync.aligned;\n\twgmma.wait_group.sync.aligned 0;");
}

static void write_operands(char *text, size_t room, unsigned n)
{
    size_t at = 0;
    for (unsigned s = 0; s < NV_GROUP_SUMS; s++)
        at += (size_t)snprintf(text + at, room - at, "=f,");
    for (unsigned s = 0; s < NV_GROUP_SUMS; s++)
        at += (size_t)snprintf(text + at, room - at, "%u,", s);
    for (unsigned i = 0; i < 2 * n; i++)
        at += (size_t)snprintf(text + at, room - at, "l,");
    snprintf(text + at, room - at, "b,~{memory}");
}

void nv_multiply_group(const CpuGen *g, FactorType f, const LLVMValueRef *ab, unsigned n, const LLVMValueRef *sum)
{
    char text[LONG], operands[LONG];
    LLVMTypeRef takes[MOST_OPERANDS], gives[NV_GROUP_SUMS];
    LLVMValueRef arg[MOST_OPERANDS];
    unsigned all = NV_GROUP_SUMS + 2 * n + 1;
    for (unsigned i = 0; i < all; i++) {
        arg[i] = i < NV_GROUP_SUMS ? LLVMBuildLoad2(g->b, gen_real1(g), sum[i], "") : i + 1 < all ? ab[i - NV_GROUP_SUMS] : gen_iconst(g, 1, 1);
        takes[i] = LLVMTypeOf(arg[i]);
    }
    for (unsigned i = 0; i < NV_GROUP_SUMS; i++)
        gives[i] = gen_real1(g);
    write_products(text, sizeof text, f, n);
    write_operands(operands, sizeof operands, n);
    LLVMTypeRef type = LLVMFunctionType(LLVMStructTypeInContext(g->context, gives, NV_GROUP_SUMS, false), takes, all, false);
    LLVMValueRef made = call(g, type, text, operands, arg, all);
    nv_all_lanes(g, made);
    for (unsigned i = 0; i < NV_GROUP_SUMS; i++)
        LLVMBuildStore(g->b, LLVMBuildExtractValue(g->b, made, i, ""), sum[i]);
}
