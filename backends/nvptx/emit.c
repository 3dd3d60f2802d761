/* Kernels as LLVM functions: the CPU's emitter in one lane, with loops whose iterations are shared out. */
#include "backends/nvptx/emit.h"

#include "backends/cpu/emit.h"

enum { GLOBAL_MEMORY = 1, SHARED_MEMORY = 3 }; /* address spaces */
enum { MANY = 8 }; /* nests of a kernel; with fewer, addresses fit into registers, and are found once for all steps */

/* One kernel while it is made. */
typedef struct Kernel {
    Emit e;
    const NvPlan *p;
    const NvKernel *kernel;
    NvThreads threads;
    bool many;                   /* too many nests for the addresses of all to be known at a time */
    LLVMValueRef first, step;    /* the iterations of this thread: first, first + step, ... */
    LLVMValueRef block, shared;  /* which one, and its shared memory; of a CPU's threads only of blocks */
    LLVMValueRef piece[NV_MAXCUT], team, counters, trouble; /* parameters */
    LLVMValueRef counter, expected; /* of the block's team, and what it counts up to next */
    LLVMValueRef *before;        /* by KVar: an accumulator, before threads had partial results */
    LLVMBasicBlockRef end;
} Kernel;

/* ---- parameters ---- */

static bool is_address(const NvParam *p)
{
    return p->kind == NV_BUFFER || p->kind == NV_COUNTERS || p->kind == NV_TROUBLE;
}

static LLVMTypeRef param_type(const CpuGen *g, const NvParam *p)
{
    return is_address(p) ? LLVMPointerTypeInContext(g->context, GLOBAL_MEMORY) : gen_int1(g, 64);
}

static void param_attribute(const CpuGen *g, LLVMValueRef fn, uint32_t i, const char *name)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(fn, i + 1, LLVMCreateEnumAttribute(g->context, kind, 0));
}

static bool is_look(const NvKernel *kernel)
{
    return kernel->node.n == 1 && kernel->node.p[0]->kind == NV_LOOK;
}

static bool is_alone(const KernProg *k, const NvKernel *kernel, uint32_t i)
{
    for (uint32_t n = 0; n < kernel->param.n; n++) {
        const NvParam *p = &kernel->param.p[n];
        if (n != i && p->kind == NV_BUFFER && kern_memory(k, p->index) == kern_memory(k, kernel->param.p[i].index))
            return false;
    }
    return true;
}

/* What is only read goes through the cache for that. What a block writes is no thread's own: LLVM must see that other threads
 * may change it at a barrier. */
static void describe_params(const CpuGen *g, const KernProg *k, const NvKernel *kernel, LLVMValueRef fn)
{
    for (uint32_t i = 0; i < kernel->param.n; i++) {
        const NvParam *p = &kernel->param.p[i];
        if (p->kind != NV_BUFFER || !is_alone(k, kernel, i) || ((kernel->blocks || is_look(kernel)) && p->written))
            continue;
        param_attribute(g, fn, i, "noalias");
        if (!p->written)
            param_attribute(g, fn, i, "readonly");
    }
}

static void annotate(const CpuGen *g, LLVMValueRef fn, const char *what, unsigned n)
{
    LLVMValueRef of[] = {fn, LLVMMDStringInContext(g->context, what, (unsigned)strlen(what)), gen_iconst(g, 32, n)};
    LLVMAddNamedMetadataOperand(g->module, "nvvm.annotations", LLVMMDNodeInContext(g->context, of, 3));
}

/* No other number of threads will do in a block. So many blocks have room in a multiprocessor's registers: for more, ptxas would do with too few. */
static void describe_panels(const CpuGen *g, LLVMValueRef fn, const NvNode *n)
{
    annotate(g, fn, "reqntidx", NV_PANEL_THREADS);
    annotate(g, fn, "minctasm", n->tile->factor || gen_real_bits(g) == 64 ? 2 : 3);
}

static LLVMValueRef new_kernel(const CpuGen *g, const NvPlan *p, const NvKernel *kernel, NvThreads threads)
{
    enum { CALLED_BY_HOST = 71 }; /* LLVM's calling convention ptx_kernel */
    LLVMTypeRef none = LLVMVoidTypeInContext(g->context);
    LLVMTypeRef *type = NEWN(p->arena, LLVMTypeRef, kernel->param.n + 1);
    for (uint32_t i = 0; i < kernel->param.n; i++)
        type[i] = param_type(g, &kernel->param.p[i]);
    LLVMTypeRef fn_type = threads == NV_GRID ? LLVMFunctionType(none, type, kernel->param.n, false)
                                             : LLVMFunctionType(none, (LLVMTypeRef[]){gen_ptr(g), gen_ptr(g)}, 2, false);
    LLVMValueRef fn = LLVMAddFunction(g->module, str_c(p->arena, kernel->name), fn_type);
    if (threads == NV_GRID) {
        LLVMSetFunctionCallConv(fn, CALLED_BY_HOST);
        if (kernel->node.p[0]->kind == NV_PANELS)
            describe_panels(g, fn, kernel->node.p[0]);
        describe_params(g, p->k, kernel, fn);
    }
    return fn;
}

static LLVMValueRef emulated_param(const CpuGen *g, LLVMValueRef fn, const NvParam *p, uint32_t i)
{
    LLVMTypeRef type = is_address(p) ? gen_ptr(g) : gen_int1(g, 64);
    return gen_load(g, type, gen_at(g, gen_int1(g, 64), LLVMGetParam(fn, 0), gen_i64(g, i)), 8);
}

static void read_params(Kernel *x)
{
    Emit *e = &x->e;
    CpuGen g = e->g;
    g.b = e->entry;
    for (uint32_t i = 0; i < x->kernel->param.n; i++) {
        const NvParam *p = &x->kernel->param.p[i];
        LLVMValueRef v = x->threads == NV_GRID ? LLVMGetParam(e->fn, i) : emulated_param(&g, e->fn, p, i);
        switch (p->kind) {
        case NV_BUFFER: e->near.buf[p->index] = v; break;
        case NV_SIZE: e->near.sym[p->index] = v; break;
        case NV_GIVEN: e->near.given[p->index] = gen_icmp(&g, LLVMIntNE, v, gen_i64(&g, 0)); break;
        case NV_PIECE: x->piece[p->index] = v; break;
        case NV_TEAM: x->team = v; break;
        case NV_COUNTERS: x->counters = v; break;
        case NV_SEED: e->seed = v; break;
        case NV_TROUBLE: x->trouble = v; break;
        }
    }
}

/* ---- where a thread is ---- */

static LLVMValueRef special(const CpuGen *g, const char *name)
{
    return LLVMBuildZExt(g->b, gen_intrinsic(g, name, NULL, (LLVMValueRef[1]){NULL}, 0), gen_int1(g, 64), "");
}

static LLVMValueRef emulated_place(const CpuGen *g, const Kernel *x, LLVMTypeRef type, uint32_t i)
{
    return gen_load(g, type, gen_at(g, gen_int1(g, 64), LLVMGetParam(x->e.fn, 1), gen_i64(g, i)), 8);
}

static LLVMValueRef shared_memory(const CpuGen *g, unsigned align)
{
    static const char name[] = "partial_results";
    LLVMValueRef at = LLVMGetNamedGlobal(g->module, name);
    if (at && LLVMGetAlignment(at) >= align)
        return at;
    at = at ? at : LLVMAddGlobalInAddressSpace(g->module, LLVMArrayType2(gen_int1(g, 64), 0), name, SHARED_MEMORY);
    LLVMSetAlignment(at, align);
    return at;
}

static void find_place(Kernel *x)
{
    CpuGen g = x->e.g;
    LLVMTypeRef i64 = gen_int1(&g, 64);
    g.b = x->e.entry;
    if (x->threads == NV_EMULATED) {
        x->first = emulated_place(&g, x, i64, PLACE_FIRST);
        x->step = emulated_place(&g, x, i64, PLACE_STEP);
        x->block = x->kernel->blocks ? emulated_place(&g, x, i64, PLACE_BLOCK) : NULL;
        x->shared = (x->kernel->nsum || x->kernel->kept.n) && x->kernel->blocks ? emulated_place(&g, x, gen_ptr(&g), PLACE_SHARED) : NULL;
        return;
    }
    x->first = special(&g, "llvm.nvvm.read.ptx.sreg.tid.x");
    x->step = special(&g, "llvm.nvvm.read.ptx.sreg.ntid.x");
    x->block = special(&g, "llvm.nvvm.read.ptx.sreg.ctaid.x");
    x->shared = x->kernel->nsum || x->kernel->kept.n ? shared_memory(&g, x->kernel->kept.n ? NV_KEEP : NV_SLOT) : NULL;
    if (x->kernel->blocks || is_look(x->kernel))
        return;
    x->first = LLVMBuildNSWAdd(g.b, LLVMBuildNSWMul(g.b, x->block, x->step, ""), x->first, "");
    x->step = LLVMBuildNSWMul(g.b, special(&g, "llvm.nvvm.read.ptx.sreg.nctaid.x"), x->step, "");
}

/* How many pieces an axis has, at least one. */
static LLVMValueRef count_pieces(const CpuGen *g, LLVMValueRef places, LLVMValueRef piece)
{
    LLVMValueRef one = gen_i64(g, 1), last = LLVMBuildNSWSub(g->b, LLVMBuildNSWAdd(g->b, places, piece, ""), one, "");
    LLVMValueRef n = LLVMBuildUDiv(g->b, last, piece, "");
    return gen_select(g, gen_icmp(g, LLVMIntSLT, n, one), one, n);
}

/* The piece number `number` of an axis. */
static void set_piece(Emit *e, const CpuGen *g, const NvCut *cut, LLVMValueRef places, LLVMValueRef piece, LLVMValueRef number)
{
    LLVMValueRef first = LLVMBuildNSWMul(g->b, number, piece, ""), rest = LLVMBuildNSWSub(g->b, places, first, "");
    LLVMValueRef part = gen_select(g, gen_icmp(g, LLVMIntSLT, piece, rest), piece, rest);
    emit_set(e, cut->first, first, false);
    e->near.sym[cut->part] = gen_select(g, gen_icmp(g, LLVMIntSLT, part, gen_i64(g, 0)), gen_i64(g, 0), part);
}

/* A team's blocks are next to each other, and have pieces of one length. */
static void find_rank(Kernel *x)
{
    Emit *e = &x->e;
    CpuGen g = e->g;
    g.b = e->entry;
    LLVMValueRef places = emit_dim(e, x->kernel->team.axis), piece = count_pieces(&g, places, x->team);
    LLVMValueRef rank = LLVMBuildURem(g.b, x->block, x->team, "");
    x->block = LLVMBuildUDiv(g.b, x->block, x->team, "");
    set_piece(e, &g, &x->kernel->team, places, piece, rank);
    if (x->threads == NV_EMULATED)
        return;
    x->counter = gen_at(&g, gen_int1(&g, 8), x->counters, LLVMBuildNSWMul(g.b, x->block, gen_i64(&g, NV_APART), ""));
    x->expected = emit_entry_memory(e, gen_int1(&g, 32));
    LLVMBuildStore(g.b, gen_iconst(&g, 32, 0), x->expected);
}

/* A block's piece of each axis; the last one may be short, and one beyond the end empty. */
static void find_pieces(Kernel *x)
{
    Emit *e = &x->e;
    CpuGen g = e->g;
    LLVMValueRef block = x->block;
    g.b = e->entry;
    for (uint32_t i = 0; i < x->kernel->cut.n; i++) {
        const NvCut *cut = &x->kernel->cut.p[i];
        LLVMValueRef places = emit_dim(e, cut->axis), piece = x->piece[i], number = block;
        if (i + 1 < x->kernel->cut.n) {
            LLVMValueRef n = count_pieces(&g, places, piece);
            number = LLVMBuildURem(g.b, block, n, "");
            block = LLVMBuildUDiv(g.b, block, n, "");
        }
        set_piece(e, &g, cut, places, piece, number);
    }
}

/* ---- what stays in a block ---- */

static LLVMValueRef round_up(const CpuGen *g, LLVMValueRef bytes)
{
    LLVMValueRef up = LLVMBuildNSWAdd(g->b, bytes, gen_i64(g, NV_KEEP - 1), "");
    return LLVMBuildAnd(g->b, up, gen_i64(g, -(int64_t)NV_KEEP), "");
}

/* Behind partial results. */
static void find_kept(Kernel *x)
{
    Emit *e = &x->e;
    CpuGen g = e->g;
    g.b = e->entry;
    LLVMValueRef at = LLVMBuildNSWMul(g.b, x->step, gen_i64(&g, NV_SLOT * (int64_t)x->kernel->nsum), "");
    for (uint32_t i = 0; i < x->kernel->kept.n; i++) {
        KBufId b = x->kernel->kept.p[i];
        uint32_t bytes = narrow_bytes(kern_buf_narrow(e->k, b), emit_bytes(e, e->k->buf.p[b].dt));
        at = round_up(&g, at);
        e->near.buf[b] = gen_at(&g, gen_int1(&g, 8), x->shared, at);
        at = LLVMBuildNSWAdd(g.b, at, LLVMBuildNSWMul(g.b, emit_dim(e, e->k->buf.p[b].size), gen_i64(&g, bytes), ""), "");
    }
}

/* ---- iterations that are shared out ---- */

/* The innermost loop runs fastest, so that neighbours in a warp are neighbours in memory. */
static void take_iteration(Emit *e, const NvNode *n, LLVMValueRef number)
{
    const CpuGen *g = &e->g;
    LLVMValueRef at[NV_MAXLEVEL];
    for (uint32_t l = n->nlevel; l-- > 0;) {
        LLVMValueRef extent = emit_dim(e, n->extent[l]);
        at[l] = l ? LLVMBuildURem(g->b, number, extent, "") : number;
        if (l)
            number = LLVMBuildUDiv(g->b, number, extent, "");
    }
    e->thread = NEWN(e->arena, LLVMValueRef, e->k->var.n);
    for (uint32_t i = 0; i < n->axis.n; i++)
        e->thread[n->axis.p[i].loop->loop.var] = at[n->axis.p[i].level];
}

static void emit_one(Kernel *x, KStmt *s, LLVMBasicBlockRef nothing)
{
    x->e.nothing = nothing;
    emit_block(&x->e, &(KBlock){.p = &s, .n = 1});
    x->e.nothing = x->end;
}

void nv_carry(Emit *e, const NvNode *n)
{
    for (uint32_t i = 0; i < n->carry.n; i++)
        emit_carry(e, n->carry.p[i].load, n->carry.p[i].store, n->s);
}

/* An index into nothing ends the iteration only: the thread is waited for. */
static void emit_iterations(Kernel *x, const NvNode *n)
{
    Emit *e = &x->e;
    EmitNear outer = e->near;
    nv_carry(e, n);
    if (x->many)
        nv_own_sizes(e);
    GenLoop own = gen_loop(&e->g, x->first, emit_dim(e, n->count), x->step, NULL, 0);
    LLVMBasicBlockRef next = gen_block(&e->g, "next");
    take_iteration(e, n, own.i);
    emit_one(x, n->s, next);
    e->thread = NULL;
    e->carry.n = 0;
    gen_enter(&e->g, next);
    gen_loop_end(&e->g, &own, NULL);
    if (x->many)
        nv_outer_sizes(e, outer);
}

/* ---- partial results ---- */

static LLVMValueRef slot(Kernel *x, uint32_t sum, LLVMValueRef thread)
{
    const CpuGen *g = &x->e.g;
    LLVMValueRef before = LLVMBuildNSWMul(g->b, x->step, gen_i64(g, sum), "");
    return gen_at(g, gen_int1(g, 64), x->shared, LLVMBuildNSWAdd(g->b, before, thread, ""));
}

static LLVMTypeRef slot_type(const CpuGen *g, DType dt)
{
    return dt == DT_BOOL ? gen_int1(g, 8) : gen_type(g, dt);
}

static void emit_share(Kernel *x, const NvNode *n)
{
    Emit *e = &x->e;
    const CpuGen *g = &e->g;
    for (uint32_t i = 0; i < n->sum.n; i++) {
        const KStmt *s = n->sum.p[i];
        const EmitVar *var = &e->var[s->acc.var];
        x->before[s->acc.var] = LLVMBuildLoad2(g->b, var->memory, var->value, "");
        LLVMBuildStore(g->b, emit_neutral(g, s->acc.red, emit_dtype(e, s->acc.var)), var->value);
    }
    emit_iterations(x, n);
    for (uint32_t i = 0; i < n->sum.n; i++) {
        const EmitVar *var = &e->var[n->sum.p[i]->acc.var];
        DType dt = emit_dtype(e, n->sum.p[i]->acc.var);
        LLVMValueRef v = LLVMBuildLoad2(g->b, var->memory, var->value, "");
        v = dt == DT_BOOL ? LLVMBuildZExt(g->b, v, slot_type(g, dt), "") : v;
        gen_store(g, v, slot(x, i, x->first), emit_bytes(e, dt));
    }
}

/* Threads that had an iteration: what the others have is neutral. */
static LLVMValueRef with_results(Kernel *x, const NvNode *n)
{
    const CpuGen *g = &x->e.g;
    LLVMValueRef count = emit_dim(&x->e, n->count);
    return gen_select(g, gen_icmp(g, LLVMIntSLT, count, x->step), count, x->step);
}

static void combine(Kernel *x, const KStmt *s, uint32_t sum, LLVMValueRef threads)
{
    Emit *e = &x->e;
    const CpuGen *g = &e->g;
    DType dt = emit_dtype(e, s->acc.var);
    GenLoop l = gen_loop(g, gen_i64(g, 0), threads, gen_i64(g, 1), &x->before[s->acc.var], 1);
    LLVMValueRef v = gen_load(g, slot_type(g, dt), slot(x, sum, l.i), emit_bytes(e, dt));
    v = dt == DT_BOOL ? LLVMBuildTrunc(g->b, v, gen_int1(g, 1), "") : v;
    LLVMValueRef all = emit_combine(g, s->acc.red, dt, l.carried[0], v);
    gen_loop_end(g, &l, &all);
    LLVMBuildStore(g->b, l.result[0], e->var[s->acc.var].value);
}

static void emit_combined(Kernel *x, const NvNode *n)
{
    LLVMValueRef threads = with_results(x, n);
    for (uint32_t i = 0; i < n->sum.n; i++)
        combine(x, n->sum.p[i], i, threads);
}

/* ---- tiles ---- */

/* On a CPU nobody is a warp: elements are shared out there, and their factors are not rounded. */
static void emit_tiles(Kernel *x, const NvNode *n)
{
    if (x->threads == NV_EMULATED)
        emit_iterations(x, n);
    else
        nv_emit_tiles(&x->e, n, str_is(x->p->arch, "sm_75"), x->first, x->step);
}

static void emit_panels(Kernel *x, const NvNode *n)
{
    const CpuGen *g = &x->e.g;
    if (x->threads == NV_EMULATED)
        emit_iterations(x, n);
    else
        nv_emit_panels(&x->e, n, x->p->arch, special(g, "llvm.nvvm.read.ptx.sreg.tid.x"), x->block, special(g, "llvm.nvvm.read.ptx.sreg.nctaid.x"));
}

/* ---- nodes ---- */

/* Of a cluster, or of blocks that have counters. */
static void emit_team_barrier(Kernel *x)
{
    const CpuGen *g = &x->e.g;
    if (!nv_has_clusters(x->p->arch)) {
        nv_emit_meeting(g, x->first, x->counter, x->expected, x->team);
        return;
    }
    GenElse cluster = gen_if_else(g, LLVMBuildIsNull(g->b, x->counters, ""));
    nv_cluster_barrier(g);
    gen_else(g, cluster);
    nv_emit_meeting(g, x->first, x->counter, x->expected, x->team);
    gen_end_else(g, cluster);
}

static void emit_barrier(Kernel *x, const NvNode *n)
{
    const CpuGen *g = &x->e.g;
    if (x->threads == NV_GRID && n->team) {
        emit_team_barrier(x);
        return;
    }
    if (x->threads == NV_GRID) {
        nv_block_barrier(g);
        return;
    }
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(g->context), (LLVMTypeRef[]){gen_ptr(g)}, 1, false);
    LLVMValueRef context = emulated_place(g, x, gen_ptr(g), PLACE_CONTEXT);
    LLVMBuildCall2(g->b, type, emulated_place(g, x, gen_ptr(g), PLACE_WAIT), &context, 1, "");
}

/* An index into nothing is one for all threads, but where one of them works alone. */
static void emit_first_thread(Kernel *x, KStmt *s)
{
    const CpuGen *g = &x->e.g;
    GenIf first = gen_if(g, gen_icmp(g, LLVMIntEQ, x->first, gen_i64(g, 0)));
    emit_one(x, s, first.done);
    gen_end_if(g, first);
}

static void emit_nodes(Kernel *x, const NvNodes *nodes);

static void emit_steps(Kernel *x, const NvNode *n)
{
    Emit *e = &x->e;
    const CpuGen *g = &e->g;
    LLVMValueRef extent = emit_dim(e, n->s->loop.extent), one = gen_i64(g, 1);
    LLVMBasicBlockRef outer = e->behind_loop;
    LLVMValueRef start = emit_loop_start(e, n->s);
    GenLoop l = gen_loop(g, gen_i64(g, 0), extent, one, NULL, 0);
    LLVMValueRef i = n->s->loop.reverse ? LLVMBuildSub(g->b, LLVMBuildSub(g->b, extent, one, ""), l.i, "") : l.i;
    emit_set(e, n->s->loop.var, LLVMBuildNSWAdd(g->b, start, i, ""), false);
    e->behind_loop = l.done;
    emit_nodes(x, &n->body);
    e->behind_loop = outer;
    gen_loop_end(g, &l, NULL);
}

static void emit_nodes(Kernel *x, const NvNodes *nodes)
{
    for (uint32_t i = 0; i < nodes->n; i++) {
        const NvNode *n = nodes->p[i];
        if (n->s)
            emit_at(&x->e, n->s->at);
        switch (n->kind) {
        case NV_EACH: emit_one(x, n->s, x->end); break;
        case NV_ONE: emit_first_thread(x, n->s); break;
        case NV_SHARE: emit_share(x, n); break;
        case NV_TILES: emit_tiles(x, n); break;
        case NV_PANELS: emit_panels(x, n); break;
        case NV_COMBINE: emit_combined(x, n); break;
        case NV_STEPS: emit_steps(x, n); break;
        case NV_BARRIER: emit_barrier(x, n); break;
        case NV_LOOK: nv_emit_look(&x->e, n, x->threads, x->first, x->step, x->shared); break;
        }
    }
}

/* ---- kernels ---- */

static void report(Kernel *x)
{
    const CpuGen *g = &x->e.g;
    if (!x->trouble)
        return;
    GenIf bad = gen_if(g, emit_failed(&x->e));
    gen_store(g, LLVMConstInt(gen_int1(g, 32), 1, false), x->trouble, 4);
    gen_end_if(g, bad);
}

static void find_products(Kernel *x)
{
    x->e.product = NEWN(x->e.arena, const KStmt *, x->e.k->var.n);
    for (uint32_t i = 0; i < x->p->product.n; i++)
        x->e.product[x->p->product.p[i]->let.var] = x->p->product.p[i];
}

static uint32_t count_nests(const NvNodes *nodes)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < nodes->n; i++)
        n += (nodes->p[i]->kind == NV_SHARE) + count_nests(&nodes->p[i]->body);
    return n;
}

static void emit_kernel(const NvPlan *p, RecFn fn, const NvKernel *kernel, CpuGen g, NvThreads threads, NvLines *lines)
{
    EmitLines at = {nv_line, lines};
    Kernel x = {.p = p, .kernel = kernel, .threads = threads};
    x.e = emit_open(&g, p->arena, p->k, fn, new_kernel(&g, p, kernel, threads));
    x.end = x.e.nothing = gen_block(&g, "end");
    x.many = threads == NV_GRID && count_nests(&kernel->node) >= MANY;
    x.before = NEWN(p->arena, LLVMValueRef, p->k->var.n);
    if (lines) {
        nv_lines_kernel(lines, x.e.fn, kernel->name, kernel->root.p[0]->at);
        x.e.lines = &at;
    }
    find_products(&x);
    read_params(&x);
    find_place(&x);
    if (kernel->shared)
        find_rank(&x);
    find_pieces(&x);
    if (kernel->kept.n)
        find_kept(&x);
    emit_start_checks(&x.e, &kernel->root);
    emit_block(&x.e, &kernel->before);
    emit_nodes(&x, &kernel->node);
    gen_enter(&g, x.end);
    report(&x);
    LLVMBuildRetVoid(g.b);
    emit_close(&x.e);
    LLVMSetCurrentDebugLocation2(g.b, NULL);
}

void nv_emit(const NvPlan *p, CpuGen g, NvThreads threads, NvLines *lines)
{
    for (int fn = 0; fn < REC_NFN; fn++)
        for (uint32_t i = 0; i < p->fn[fn].kernel.n && !p->fn[fn].refused.n; i++)
            emit_kernel(p, (RecFn)fn, &p->fn[fn].kernel.p[i], g, threads, lines);
}
