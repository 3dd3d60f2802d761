/* A barrier for blocks of a team that are not a cluster: they count in global memory that they have come (Xiao and Feng, "Inter-block GPU communication
 * via fast barrier synchronization", 2010). All of them must run at a time, which is for who launches them to see to.
 *
 * Behind the first barrier of the block its first thread knows what all have written, and tells of it by counting (release); what it has learned when
 * all have counted (acquire), all threads of the block know behind the second. The counter goes up as long as the kernel runs, and may wrap: a block
 * waits for as many as there are blocks, times the rounds so far, and the counter is never further from that than there are blocks, as nobody is
 * a round ahead. */
#include "backends/nvptx/emit.h"

void nv_block_barrier(const CpuGen *g)
{
    gen_intrinsic(g, "llvm.nvvm.barrier0", NULL, (LLVMValueRef[1]){NULL}, 0);
}

/* Until the counter is `all`, or beyond. */
static void wait_for(const CpuGen *g, LLVMValueRef counter, LLVMValueRef all)
{
    LLVMBasicBlockRef again = gen_block(g, "again"), there = gen_block(g, "there");
    gen_enter(g, again);
    LLVMValueRef ahead = LLVMBuildSub(g->b, nv_acquire(g, counter), all, "");
    LLVMBuildCondBr(g->b, gen_icmp(g, LLVMIntSLT, ahead, gen_iconst(g, 32, 0)), again, there);
    LLVMPositionBuilderAtEnd(g->b, there);
}

void nv_emit_meeting(const CpuGen *g, LLVMValueRef thread, LLVMValueRef counter, LLVMValueRef expected, LLVMValueRef blocks)
{
    LLVMTypeRef i32 = gen_int1(g, 32);
    LLVMValueRef before = LLVMBuildLoad2(g->b, i32, expected, ""), all = LLVMBuildAdd(g->b, before, LLVMBuildTrunc(g->b, blocks, i32, ""), "");
    LLVMBuildStore(g->b, all, expected);
    nv_block_barrier(g);
    GenIf first = gen_if(g, gen_icmp(g, LLVMIntEQ, thread, gen_i64(g, 0)));
    nv_count(g, counter);
    wait_for(g, counter, all);
    gen_end_if(g, first);
    nv_block_barrier(g);
}
