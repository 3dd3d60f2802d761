/* Inside of backends/nvptx: kernels as LLVM functions. */
#ifndef BACKENDS_NVPTX_EMIT_H
#define BACKENDS_NVPTX_EMIT_H

#include "backends/cpu/emit.h"
#include "backends/nvptx/lines.h"
#include "backends/nvptx/nvptx.h"

/* Where a kernel's iterations come from. */
typedef enum NvThreads {
    NV_GRID,     /* threads of a grid; parameters by value, buffers in global memory */
    NV_EMULATED, /* for tests, on a CPU: NAME(const int64_t *params, const int64_t *place) runs one thread */
} NvThreads;

/* What place[] has: of threads, their number and how many there are; of blocks, the thread's number in its block, how many
 * those are, the block's number, the address of shared memory, and those of a function, void (*)(void *), that waits for
 * the block's other threads, and of what it is given. */
enum { PLACE_FIRST, PLACE_STEP, PLACE_BLOCK, PLACE_SHARED, PLACE_WAIT, PLACE_CONTEXT, PLACE_N };

void nv_emit(const NvPlan *p, CpuGen g, NvThreads threads, NvLines *lines); /* lines: or NULL */

/* assembly.c: all inline assembly. The number itself, but LLVM does not know that */
LLVMValueRef nv_own(const CpuGen *g, LLVMBuilderRef b, LLVMValueRef i64);
/* An int32 in global memory, seen by all threads of the grid: what was written before is written for who reads it (release), and what is read
 * behind it was written before (acquire). */
LLVMValueRef nv_acquire(const CpuGen *g, LLVMValueRef at);
void nv_release(const CpuGen *g, LLVMValueRef at, LLVMValueRef v);
void nv_count(const CpuGen *g, LLVMValueRef at); /* one more, which releases likewise */
/* All threads of a cluster wait for each other; what they have written, to global memory too, is there behind it. */
void nv_cluster_barrier(const CpuGen *g);

void nv_block_barrier(const CpuGen *g); /* emit_meet.c: the same for the threads of a block */
/* emit_meet.c: the same for the threads of so many blocks, by an int32 in global memory, 0 at first. `expected`: what it is when all have come, in memory of
 * the thread, 0 at first, too */
void nv_emit_meeting(const CpuGen *g, LLVMValueRef thread, LLVMValueRef counter, LLVMValueRef expected, LLVMValueRef blocks);

/* What this thread has written to shared memory is there for products of groups, of all threads behind a barrier (sm_90a). */
void nv_show_async(const CpuGen *g);
/* 64 rows and columns of n times 16 places of depth, by the threads of four warps together: descriptors of both factors in turns, added to sums in
 * memory, which are where NV_RESULTS of 8 pieces of 16 and 8 are in each of the warps (sm_90a). */
enum { NV_GROUP = 128, NV_GROUP_ROWS = 64, NV_GROUP_SUMS = 32 };
void nv_multiply_group(const CpuGen *g, FactorType f, const LLVMValueRef *ab, unsigned n, const LLVMValueRef *sum);

/* own.c: from the first to the second, sizes are not known to be those outside, which the first gives. Not where code is emulated */
EmitNear nv_own_sizes(Emit *e);
void nv_outer_sizes(Emit *e, EmitNear outer);

/* emit_mma.c: an intrinsic that has one form; how a factor's depth is spread over the lanes: a lane has `slots` registers for a row or column, each
 * with `each` elements (halves: LLVM has them as such); such a register, from as many reals, not of f16 on sm_75; and the product of rows in
 * a[2 * slots], upper and lower half in turns, and columns in b[slots], added to what is in memory */
enum { NV_RESULTS = 4 };
typedef struct NvShape {
    const char *name; /* of the intrinsic */
    uint32_t slots, each;
    bool halves;
} NvShape;
void nv_all_lanes(const CpuGen *g, LLVMValueRef instruction); /* which all come to together: LLVM must not move it to where only some do */
LLVMValueRef nv_intrinsic(const CpuGen *g, const char *name, LLVMValueRef *arg, unsigned n);
NvShape nv_shape(FactorType f, bool old);
LLVMValueRef nv_short(const CpuGen *g, FactorType f, const LLVMValueRef *v);
void nv_multiply(const CpuGen *g, const NvShape *s, const LLVMValueRef *a, const LLVMValueRef *b, const LLVMValueRef *sum);

/* emit_tile.c: an NV_TILES, by this thread of so many, which are whole warps. old: as sm_75 has it */
void nv_emit_tiles(Emit *e, const NvNode *n, bool old, LLVMValueRef thread, LLVMValueRef threads);

/* For products in tiles: number / extent, whose rest it gives; the loops of n around rows and columns stand at their iteration `number`,
 * with the scalars between them. */
LLVMValueRef nv_take(const CpuGen *g, LLVMValueRef *number, LLVMValueRef extent);
void nv_enter_loops(Emit *e, const NvNode *n, LLVMValueRef number);

/* copy.c: copies from global to shared memory that go by themselves, of 4, 8 or 16 bytes at a multiple of that; only of the first `some`, an i32,
 * and zeros for the others, unless that is NULL. What a thread has copied since it
 * committed last is a group, and it waits until no more than its last so many groups are on the way: then they are there for itself, and
 * behind a barrier for others. Not before sm_80. */
void nv_copy_async(const CpuGen *g, LLVMValueRef to, LLVMValueRef from, uint32_t bytes, LLVMValueRef some);
void nv_commit_copies(const CpuGen *g);
void nv_wait_copies(const CpuGen *g, uint32_t groups);

/* emit_panels.c: an NV_PANELS, by thread number `thread` of block number `block` of so many */
void nv_emit_panels(Emit *e, const NvNode *n, Str arch, LLVMValueRef thread, LLVMValueRef block, LLVMValueRef blocks);

void nv_carry(Emit *e, const NvNode *n); /* emit.c: states of n in registers, until e->carry.n is 0 again */

/* emit_look.c: an NV_LOOK, by this thread of its block, which has so many; shared: 8 bytes of the block */
void nv_emit_look(Emit *e, const NvNode *n, NvThreads threads, LLVMValueRef thread, LLVMValueRef nthread, LLVMValueRef shared);

#endif
