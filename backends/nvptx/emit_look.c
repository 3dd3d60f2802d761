/* An NV_LOOK (look.c): tickets, one for a block's threads; a thread's piece; and looking back. In front of each flag that tells something stands
 * what it tells of (release), and behind each that was read what may be read then (acquire).
 *
 * Emulated, a ticket is one thread's. Threads run one after the other there, so that each finds the state of the piece before. */
#include "backends/nvptx/emit.h"

typedef struct Back {
    Emit *e;
    const NvLook *k;
    NvThreads threads;
    LLVMValueRef flags, count, width; /* of all pieces, of one */
    LLVMValueRef number, piece, own;  /* of the thread: which one, the piece in order, the piece by its number */
} Back;

static LLVMValueRef flag_at(const Back *x, LLVMValueRef number)
{
    const CpuGen *g = &x->e->g;
    return gen_at(g, gen_int1(g, 32), x->flags, number);
}

static LLVMValueRef told(const Back *x, LLVMValueRef number)
{
    const CpuGen *g = &x->e->g;
    return x->threads == NV_GRID ? nv_acquire(g, flag_at(x, number)) : gen_load(g, gen_int1(g, 32), flag_at(x, number), 4);
}

static void tell(const Back *x, int what)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef v = LLVMConstInt(gen_int1(g, 32), (unsigned)what, false);
    if (x->threads == NV_GRID)
        nv_release(g, flag_at(x, x->number), v);
    else
        gen_store(g, v, flag_at(x, x->number), 4);
}

/* ---- which iteration ---- */

/* The piece by its number, of the one in order; and the other way. */
static LLVMValueRef by_number(const Back *x, LLVMValueRef piece)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef last = LLVMBuildNSWSub(g->b, emit_dim(x->e, x->k->loop->loop.extent), gen_i64(g, 1), "");
    return x->k->loop->loop.reverse ? LLVMBuildNSWSub(g->b, last, piece, "") : piece;
}

/* From level `first` on; where that is 1, level 0 is the piece. */
static void take(const Back *x, const NvNode *n, uint32_t first)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef at[NV_MAXLEVEL] = {x->own}, number = LLVMBuildURem(g->b, x->number, x->width, "");
    for (uint32_t l = n->nlevel; l-- > first;) {
        LLVMValueRef extent = emit_dim(x->e, n->extent[l]);
        at[l] = l > first ? LLVMBuildURem(g->b, number, extent, "") : number;
        number = l > first ? LLVMBuildUDiv(g->b, number, extent, "") : number;
    }
    x->e->thread = NEWN(x->e->arena, LLVMValueRef, x->e->k->var.n);
    for (uint32_t i = 0; i < n->axis.n; i++)
        x->e->thread[n->axis.p[i].loop->loop.var] = at[n->axis.p[i].level];
}

static void emit_part(const Back *x, const NvNode *n, uint32_t first, KStmt *s)
{
    take(x, n, first);
    emit_block(x->e, &(KBlock){.p = &s, .n = 1});
    x->e->thread = NULL;
}

/* All places of the piece. */
static void emit_whole(const Back *x, const NvNode *n)
{
    nv_carry(x->e, n);
    emit_part(x, n, 1, n->s);
    x->e->carry.n = 0;
}

/* ---- looking back ---- */

/* The nearest piece before whose state is known, or -1, as the number of this thread there. Sums that are not there yet are waited for. */
static LLVMValueRef look_back(const Back *x)
{
    const CpuGen *g = &x->e->g;
    LLVMTypeRef i64 = gen_int1(g, 64), i32 = gen_int1(g, 32);
    LLVMValueRef from = LLVMBuildNSWSub(g->b, x->number, x->width, "");
    LLVMBasicBlockRef before = LLVMGetInsertBlock(g->b), walk = gen_block(g, "walk"), look = gen_block(g, "look"), found = gen_block(g, "found");
    gen_enter(g, walk);
    LLVMValueRef at = LLVMBuildPhi(g->b, i64, "");
    LLVMBuildCondBr(g->b, gen_icmp(g, LLVMIntSLT, at, gen_i64(g, 0)), found, look);
    LLVMPositionBuilderAtEnd(g->b, look);
    LLVMValueRef flag = told(x, at), sum = gen_icmp(g, LLVMIntEQ, flag, LLVMConstInt(i32, NV_SUM, false));
    LLVMValueRef next = gen_select(g, sum, LLVMBuildNSWSub(g->b, at, x->width, ""), at);
    LLVMBuildCondBr(g->b, gen_icmp(g, LLVMIntEQ, flag, LLVMConstInt(i32, NV_STATE, false)), found, walk);
    LLVMAddIncoming(at, (LLVMValueRef[]){from, next}, (LLVMBasicBlockRef[]){before, look}, 2);
    LLVMPositionBuilderAtEnd(g->b, found);
    return at;
}

static void emit_state(const Back *x, LLVMValueRef found)
{
    const CpuGen *g = &x->e->g;
    GenElse any = gen_if_else(g, gen_icmp(g, LLVMIntSGE, found, gen_i64(g, 0)));
    emit_set(x->e, x->k->found, by_number(x, LLVMBuildUDiv(g->b, found, x->width, "")), false);
    emit_part(x, x->k->step, 0, x->k->take);
    gen_else(g, any);
    emit_part(x, x->k->step, 0, x->k->start);
    gen_end_else(g, any);
}

/* The steps of all pieces behind the one that was found, and that of the own one. */
static void emit_steps(const Back *x, LLVMValueRef found)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef first = LLVMBuildNSWAdd(g->b, found, x->width, ""), end = LLVMBuildNSWAdd(g->b, x->number, gen_i64(g, 1), "");
    GenLoop l = gen_loop(g, first, end, x->width, NULL, 0);
    emit_set(x->e, x->k->loop->loop.var, by_number(x, LLVMBuildUDiv(g->b, l.i, x->width, "")), false);
    emit_block(x->e, &x->k->around);
    emit_part(x, x->k->step, 0, x->k->step->s);
    gen_loop_end(g, &l, NULL);
}

static void emit_piece(Back *x, LLVMValueRef number)
{
    const CpuGen *g = &x->e->g;
    x->number = number;
    x->piece = LLVMBuildUDiv(g->b, number, x->width, "");
    x->own = by_number(x, x->piece);
    emit_set(x->e, x->k->own, x->own, false);
    emit_whole(x, x->k->pieces);
    tell(x, NV_SUM);
    LLVMValueRef found = look_back(x);
    emit_state(x, found);
    emit_steps(x, found);
    tell(x, NV_STATE);
    emit_whole(x, x->k->rest);
}

/* ---- tickets ---- */

static LLVMValueRef draw(const Back *x)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef one = LLVMConstInt(gen_int1(g, 32), 1, false);
    LLVMValueRef ticket = LLVMBuildAtomicRMW(g->b, LLVMAtomicRMWBinOpAdd, flag_at(x, x->count), one, LLVMAtomicOrderingMonotonic, false);
    return LLVMBuildZExt(g->b, ticket, gen_int1(g, 64), "");
}

/* One for all threads of the block, through shared memory: the first barrier guards the last one from being written over, the second the
 * new one from being read too soon. */
static LLVMValueRef draw_for_block(const Back *x, LLVMValueRef thread, LLVMValueRef shared)
{
    const CpuGen *g = &x->e->g;
    nv_block_barrier(g);
    GenIf first = gen_if(g, gen_icmp(g, LLVMIntEQ, thread, gen_i64(g, 0)));
    gen_store(g, draw(x), shared, 8);
    gen_end_if(g, first);
    nv_block_barrier(g);
    return gen_load(g, gen_int1(g, 64), shared, 8);
}

void nv_emit_look(Emit *e, const NvNode *n, NvThreads threads, LLVMValueRef thread, LLVMValueRef nthread, LLVMValueRef shared)
{
    const CpuGen *g = &e->g;
    Back x = {.e = e, .k = n->look, .threads = threads};
    LLVMBasicBlockRef done = gen_block(g, "done"), again = gen_block(g, "again"), any = gen_block(g, "any");
    x.flags = emit_buf(e, x.k->flag), x.count = emit_dim(e, n->count), x.width = emit_dim(e, n->look->step->count);
    gen_enter(g, again);
    LLVMValueRef ticket = threads == NV_GRID ? draw_for_block(&x, thread, shared) : draw(&x);
    LLVMValueRef first = threads == NV_GRID ? LLVMBuildNSWMul(g->b, ticket, nthread, "") : ticket;
    LLVMValueRef number = threads == NV_GRID ? LLVMBuildNSWAdd(g->b, first, thread, "") : first;
    LLVMBuildCondBr(g->b, gen_icmp(g, LLVMIntSLT, first, x.count), any, done);
    LLVMPositionBuilderAtEnd(g->b, any);
    GenIf has = gen_if(g, gen_icmp(g, LLVMIntSLT, number, x.count));
    emit_piece(&x, number);
    gen_end_if(g, has);
    LLVMBuildBr(g->b, again);
    LLVMPositionBuilderAtEnd(g->b, done);
}
