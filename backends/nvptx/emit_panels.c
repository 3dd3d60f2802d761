/* Products by blocks: panels of both factors, some places of depth at a time, go through shared memory, from where the block's threads take what
 * they multiply for the elements of the tile that are theirs (Volkov and Demmel, "Benchmarking GPUs to tune dense linear algebra", 2008). While a
 * panel is multiplied, the next one is brought, or the next two where copies go by themselves (cp.async, from sm_80 on: "PTX ISA", section
 * "Asynchronous copies").
 *
 * Nobody promises where rows begin. Where they do so at multiples of 16 bytes, which each tile asks for itself, and are dense along the depth,
 * and panels have them so, too, that much is copied at once; else it is element by element. Elements of 16 bits, and those that become something
 * else on the way, threads copy themselves. Rows and columns beyond the end are the first ones once more, and not stored.
 *
 * Who brings an element follows global memory: neighbours in a warp bring neighbours there, of the depth where that is dense. */
#include "backends/nvptx/emit_panels.h"

enum { ROUNDS = 4 /* of bringing, without a loop */, COPIED = 2, ASYNCHRONOUS = 3 /* panels */, MOST_STATIC = 48 * 1024, SHARED_MEMORY = 3 };

static LLVMValueRef or_first(const Panels *x, LLVMValueRef a, LLVMValueRef end)
{
    return gen_select(&x->e->g, panel_below(x, a, end), a, panel_number(x, 0));
}

/* ---- shared memory ---- */

static LLVMValueRef static_memory(const Panels *x, const Side *s)
{
    const CpuGen *g = &x->e->g;
    LLVMTypeRef type = LLVMArrayType2(s->type, x->panels * x->unit->size(x, s));
    LLVMValueRef at = LLVMAddGlobalInAddressSpace(g->module, type, "panels", SHARED_MEMORY);
    LLVMSetLinkage(at, LLVMInternalLinkage);
    LLVMSetInitializer(at, LLVMGetUndef(type));
    LLVMSetAlignment(at, 8 * PANEL_BYTES);
    return at;
}

LLVMValueRef panel_place(const Panels *x, const Side *s, LLVMValueRef panel, LLVMValueRef line, LLVMValueRef depth)
{
    LLVMValueRef first = panel_times(x, panel_rest(x, panel, x->panels), x->unit->size(x, s));
    return gen_at(&x->e->g, s->type, s->panels, panel_add(x, first, x->unit->element(x, s, line, depth)));
}

/* ---- bringing ---- */

/* As it stands in memory, which cannot be less than 4 bytes. */
static bool goes_alone(const Panels *x, const Side *s)
{
    return x->async && s->stored && s->bytes >= 4;
}

/* What of the factor, at a place of the depth that may be beyond its end. */
static void set_place(const Panels *x, const Side *s, LLVMValueRef line, LLVMValueRef depth)
{
    emit_set(x->e, s->var, panel_add(x, s->start, or_first(x, panel_add(x, s->first, line), s->count)), false);
    emit_set(x->e, x->t->depth->loop.var, or_first(x, depth, x->depth), false);
}

/* So many elements that are next to each other on both sides, or as many of them as there are: for the rest there are zeros. */
static void copy(const Panels *x, const Side *s, LLVMValueRef to, LLVMValueRef depth, uint32_t n)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef left = LLVMBuildNSWSub(g->b, x->depth, depth, ""), none = panel_number(x, 0), all = panel_number(x, n);
    left = gen_select(g, panel_below(x, left, none), none, gen_select(g, panel_below(x, left, all), left, all));
    left = LLVMBuildTrunc(g->b, panel_times(x, left, s->bytes), gen_int1(g, 32), "");
    nv_copy_async(g, to, emit_address(x->e, s->load), n * s->bytes, x->unit->fills ? left : NULL);
}

static LLVMValueRef element(const Panels *x, const Side *s)
{
    if (s->stored)
        return emit_load_as(x->e, s->load, s->type, s->bytes);
    emit_load(x->e, s->load);
    LLVMValueRef v = emit_var(x->e, s->load->mem.var, false), two[] = {v, gen_const(&x->e->g, 0)};
    return s->bytes == 2 ? LLVMBuildTrunc(x->e->g.b, nv_short(&x->e->g, x->t->factor, two), s->type, "") : v;
}

static void bring_element(const Panels *x, const Side *s, LLVMValueRef panel, LLVMValueRef number)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef line = s->dense ? panel_quotient(x, number, x->places) : panel_rest(x, number, s->lines);
    LLVMValueRef in = s->dense ? panel_rest(x, number, x->places) : panel_quotient(x, number, s->lines);
    LLVMValueRef depth = panel_add(x, panel_times(x, panel, x->places), in), to = panel_place(x, s, panel, line, in);
    set_place(x, s, line, depth);
    if (goes_alone(x, s)) {
        copy(x, s, to, depth, 1);
        return;
    }
    LLVMValueRef v = element(x, s);
    if (x->unit->fills)
        v = gen_select(g, panel_below(x, depth, x->depth), v, LLVMConstNull(s->type));
    gen_store(g, v, to, s->bytes);
}

static void bring_wide(const Panels *x, const Side *s, LLVMValueRef panel, LLVMValueRef number)
{
    uint32_t each = PANEL_BYTES / s->bytes;
    LLVMValueRef line = panel_quotient(x, number, x->places / each), in = panel_times(x, panel_rest(x, number, x->places / each), each);
    LLVMValueRef depth = panel_add(x, panel_times(x, panel, x->places), in);
    set_place(x, s, line, depth);
    copy(x, s, panel_place(x, s, panel, line, in), depth, each);
}

typedef void Bring(const Panels *x, const Side *s, LLVMValueRef panel, LLVMValueRef number);

/* The threads take turns, for n elements. */
static void bring_rounds(const Panels *x, const Side *s, LLVMValueRef panel, LLVMValueRef thread, uint32_t n, uint32_t rounds, Bring *one)
{
    const CpuGen *g = &x->e->g;
    for (uint32_t i = 0; i < rounds; i++) {
        LLVMValueRef number = panel_add(x, thread, panel_number(x, i * NV_PANEL_THREADS));
        GenIf has = {NULL};
        if (n < (i + 1) * NV_PANEL_THREADS)
            has = gen_if(g, panel_below(x, number, panel_number(x, n)));
        one(x, s, panel, number);
        if (has.done)
            gen_end_if(g, has);
    }
}

/* Reals have few rounds, and what is found from a thread's number is found once for all panels. Else there is no room for that in registers: it is found
 * again for each panel, and many rounds are a loop, whose end neither LLVM nor ptxas knows. */
static void bring_all(const Panels *x, const Side *s, LLVMValueRef panel, uint32_t n, Bring *one)
{
    const CpuGen *g = &x->e->g;
    uint32_t rounds = (n + NV_PANEL_THREADS - 1) / NV_PANEL_THREADS;
    if (!x->unit->fills || rounds <= ROUNDS) {
        bring_rounds(x, s, panel, x->unit->fills ? nv_own(g, g->b, x->thread) : x->thread, n, rounds, one);
        return;
    }
    GenLoop l = gen_loop(g, panel_number(x, 0), nv_own(g, g->b, panel_number(x, n)), panel_number(x, ROUNDS * NV_PANEL_THREADS), NULL, 0);
    bring_rounds(x, s, panel, nv_own(g, g->b, panel_add(x, x->thread, l.i)), UINT32_MAX, ROUNDS, one);
    gen_loop_end(g, &l, NULL);
}

static void bring_side(const Panels *x, const Side *s, LLVMValueRef panel)
{
    GenElse wide = {NULL, NULL};
    if (s->wide) {
        wide = gen_if_else(&x->e->g, s->wide);
        bring_all(x, s, panel, s->lines * x->places * s->bytes / PANEL_BYTES, bring_wide);
        gen_else(&x->e->g, wide);
    }
    bring_all(x, s, panel, s->lines * x->places, bring_element);
    if (s->wide)
        gen_end_else(&x->e->g, wide);
}

/* If there is one; copies of a panel are a group, and so are those of none. */
static void bring(const Panels *x, LLVMValueRef panel, LLVMValueRef panels)
{
    GenIf any = gen_if(&x->e->g, panel_below(x, panel, panels));
    bring_side(x, &x->a, panel);
    bring_side(x, &x->b, panel);
    gen_end_if(&x->e->g, any);
    if (x->async)
        nv_commit_copies(&x->e->g);
}

/* ---- a tile ---- */

/* A panel is brought in a round, and multiplied when the next ones are on the way. Threads without an element only bring. */
static void multiply_panels(const Panels *x)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef panels = panel_quotient(x, panel_add(x, x->depth, panel_number(x, x->places - 1)), x->places), works = x->unit->works(x);
    LLVMValueRef ahead = panel_number(x, x->panels - 1);
    GenLoop l = gen_loop(g, panel_number(x, 0), panel_add(x, panels, ahead), panel_number(x, 1), NULL, 0);
    if (x->async)
        nv_wait_copies(g, x->panels - 2);
    if (x->unit->shows)
        nv_show_async(g);
    nv_block_barrier(&x->e->g); /* what is multiplied now is there, from all threads, and what stood where the next panel goes has been multiplied by all */
    bring(x, l.i, panels);
    GenIf has = gen_if(g, LLVMBuildAnd(g->b, works, gen_icmp(g, LLVMIntSGE, l.i, ahead), ""));
    x->unit->multiply(x, LLVMBuildNSWSub(g->b, l.i, ahead, ""));
    gen_end_if(g, has);
    gen_loop_end(g, &l, NULL);
}

void panel_store(const Panels *x, LLVMValueRef row, LLVMValueRef col, uint32_t sum)
{
    const CpuGen *g = &x->e->g;
    GenIf inside = gen_if(g, LLVMBuildAnd(g->b, panel_below(x, row, x->a.count), panel_below(x, col, x->b.count), ""));
    emit_set(x->e, x->a.var, panel_add(x, x->a.start, row), false);
    emit_set(x->e, x->b.var, panel_add(x, x->b.start, col), false);
    emit_set(x->e, x->t->store->mem.var, LLVMBuildLoad2(g->b, gen_real1(g), x->sum[sum], ""), false);
    emit_store(x->e, x->t->store);
    gen_end_if(g, inside);
}

/* The same for all threads: the first element of the first line, and the way from line to line. */
static LLVMValueRef is_wide(const Panels *x, const Side *s)
{
    const CpuGen *g = &x->e->g;
    if (!x->async || !s->stored || !s->dense || !x->unit->fills)
        return NULL;
    emit_set(x->e, x->t->depth->loop.var, panel_number(x, 0), false);
    emit_set(x->e, s->var, s->start, false);
    LLVMValueRef at = LLVMBuildPtrToInt(g->b, emit_address(x->e, s->load), gen_int1(g, 64), "");
    LLVMValueRef stride = panel_times(x, emit_dim(x->e, kern_index_stride(&s->load->mem.at, s->var)), s->bytes);
    return gen_icmp(g, LLVMIntEQ, LLVMBuildAnd(g->b, LLVMBuildOr(g->b, at, stride, ""), panel_number(x, PANEL_BYTES - 1), ""), panel_number(x, 0));
}

static void emit_tile(Panels *x, LLVMValueRef tile, LLVMValueRef across, LLVMValueRef down)
{
    const CpuGen *g = &x->e->g;
    x->b.first = panel_times(x, nv_take(g, &tile, across), x->b.lines);
    x->a.first = panel_times(x, nv_take(g, &tile, down), x->a.lines);
    nv_enter_loops(x->e, x->n, tile);
    x->a.start = emit_loop_start(x->e, x->t->row);
    x->b.start = emit_loop_start(x->e, x->t->col);
    x->a.wide = is_wide(x, &x->a);
    x->b.wide = is_wide(x, &x->b);
    for (uint32_t i = 0; i < x->nsum; i++)
        LLVMBuildStore(g->b, gen_const(g, 0), x->sum[i]);
    multiply_panels(x);
    Panels late = *x; /* where elements go is not found before */
    late.thread = nv_own(g, g->b, x->thread);
    x->unit->store(&late);
}

/* ---- the kernel ---- */

static Side side_new(Panels *x, const KStmt *load, const KStmt *loop, uint32_t each)
{
    const CpuGen *g = &x->e->g;
    Narrow narrow = kern_buf_narrow(x->e->k, load->mem.buf);
    Side s = {.load = load, .var = loop->loop.var, .lines = each * NV_PANEL_SIDE, .count = emit_dim(x->e, loop->loop.extent)};
    bool same = x->t->factor && factor_of_narrow(narrow) == x->t->factor, bits = same || x->unit == &panel_groups;
    s.stored = same || (!narrow && !bits);
    s.dense = kern_index_stride(&load->mem.at, x->t->depth->loop.var) == DIM_ONE;
    s.type = bits ? gen_int1(g, 16) : gen_real1(g);
    s.bytes = bits ? 2 : gen_real_bits(g) / 8;
    return s;
}

/* As many panels as there is room for. */
static void find_memory(Panels *x)
{
    uint32_t size = x->unit->size(x, &x->a) * x->a.bytes + x->unit->size(x, &x->b) * x->b.bytes;
    x->panels = x->async && ASYNCHRONOUS * size <= MOST_STATIC ? ASYNCHRONOUS : COPIED;
    x->a.panels = static_memory(x, &x->a);
    x->b.panels = static_memory(x, &x->b);
}

static LLVMValueRef tiles_of(const Panels *x, const Side *s)
{
    return panel_quotient(x, panel_add(x, s->count, panel_number(x, s->lines - 1)), s->lines);
}

static const PanelUnit *unit_of(FactorType f, Str arch)
{
    bool groups = str_is(arch, "sm_90a") && (f == FACTOR_BF16 || f == FACTOR_F16);
    return f == FACTOR_REAL ? &panel_threads : groups ? &panel_groups : &panel_warps;
}

static Panels panels_new(Emit *e, const NvNode *n, Str arch, LLVMValueRef thread)
{
    Panels x = {.e = e, .n = n, .t = n->tile, .thread = thread, .depth = emit_dim(e, n->tile->depth->loop.extent)};
    x.unit = unit_of(x.t->factor, arch);
    x.a = side_new(&x, x.t->a, x.t->row, n->rows);
    x.b = side_new(&x, x.t->b, x.t->col, n->cols);
    x.places = x.a.bytes == 2 && x.b.bytes == 2 ? 2 * NV_PANEL_DEPTH : NV_PANEL_DEPTH;
    x.async = !str_is(arch, "sm_75") && (x.a.stored || x.b.stored);
    find_memory(&x);
    x.nsum = n->rows * n->cols * NV_PANEL_SIDE * NV_PANEL_SIDE / NV_PANEL_THREADS;
    for (uint32_t i = 0; i < x.nsum; i++)
        x.sum[i] = emit_entry_memory(e, gen_real1(&e->g));
    return x;
}

void nv_emit_panels(Emit *e, const NvNode *n, Str arch, LLVMValueRef thread, LLVMValueRef block, LLVMValueRef blocks)
{
    Panels x = panels_new(e, n, arch, thread);
    LLVMValueRef across = tiles_of(&x, &x.b), down = tiles_of(&x, &x.a), count = LLVMBuildNSWMul(e->g.b, across, down, "");
    for (uint32_t l = 0; l + 2 < n->nlevel; l++)
        count = LLVMBuildNSWMul(e->g.b, count, emit_dim(e, n->extent[l]), "");
    GenLoop own = gen_loop(&e->g, block, count, blocks, NULL, 0);
    emit_tile(&x, own.i, across, down);
    gen_loop_end(&e->g, &own, NULL);
}
