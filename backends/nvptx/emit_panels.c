/* Products of reals by blocks: panels of both factors, NV_PANEL_DEPTH places of depth at a time, go through shared memory, from where each of
 * the block's threads multiplies what it needs for its own elements (Volkov and Demmel, "Benchmarking GPUs to tune dense linear algebra",
 * 2008). There are two panels of each factor: while one is multiplied, the next is brought.
 *
 * An element is summed by one thread, in the order of depth, with fused multiply-add, as if the thread were alone. Places beyond the end of the
 * depth are not multiplied. Rows and columns beyond the end are the first ones once more, and not stored.
 *
 * In a panel a place of depth is a row of lines (rows of one factor, columns of the other), so that a thread reads its neighbouring lines at once.
 * Who brings an element follows global memory: neighbours in a warp bring neighbours there, of the depth where that is dense. */
#include "backends/nvptx/emit.h"

enum { PANELS = 2, PLACES = 4 /* that are multiplied one behind the other without a branch */, SHARED_MEMORY = 3, MOST_AT_ONCE = 16 /* bytes that a thread reads of shared memory */ };

/* A factor, in tiles of `lines` of its rows or columns, with so many elements in front of the next place of depth. */
typedef struct Side {
    const KStmt *load;
    KVar var;
    bool dense;     /* along the depth, in memory */
    uint32_t lines, row;
    LLVMValueRef start, count, first; /* of the loop; how many there are; of the tile, counted from the start */
    LLVMValueRef panels;              /* shared memory */
} Side;

typedef struct Panels {
    Emit *e;
    const NvNode *n;
    const NvTile *t;
    LLVMValueRef thread, right, down; /* which one; its place in the square of threads */
    LLVMValueRef depth;
    Side a, b;
    LLVMValueRef sum[NV_MOST_EACH][NV_MOST_EACH]; /* memory of the entry, which becomes registers */
} Panels;

static LLVMValueRef number(const Panels *x, uint32_t n)
{
    return gen_i64(&x->e->g, n);
}

static LLVMValueRef add(const Panels *x, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildNSWAdd(x->e->g.b, a, b, "");
}

static LLVMValueRef times(const Panels *x, LLVMValueRef a, uint32_t n)
{
    return LLVMBuildNSWMul(x->e->g.b, a, number(x, n), "");
}

static LLVMValueRef quotient(const Panels *x, LLVMValueRef a, uint32_t n)
{
    return LLVMBuildUDiv(x->e->g.b, a, number(x, n), "");
}

static LLVMValueRef rest(const Panels *x, LLVMValueRef a, uint32_t n)
{
    return LLVMBuildURem(x->e->g.b, a, number(x, n), "");
}

static LLVMValueRef below(const Panels *x, LLVMValueRef a, LLVMValueRef end)
{
    return gen_icmp(&x->e->g, LLVMIntSLT, a, end);
}

static LLVMValueRef or_first(const Panels *x, LLVMValueRef a, LLVMValueRef end)
{
    return gen_select(&x->e->g, below(x, a, end), a, number(x, 0));
}

/* All threads of the block come here. */
static void barrier(const Panels *x)
{
    gen_intrinsic(&x->e->g, "llvm.nvvm.barrier0", NULL, (LLVMValueRef[1]){NULL}, 0);
}

/* ---- shared memory ---- */

static uint32_t bytes(const Panels *x)
{
    return gen_real_bits(&x->e->g) / 8;
}

/* Some more than lines: so places of depth begin at different banks, and rows at multiples of what is read at once. */
static uint32_t row_of(const Panels *x, uint32_t lines)
{
    return lines + MOST_AT_ONCE / bytes(x);
}

static LLVMValueRef static_memory(const Panels *x, uint32_t elements)
{
    const CpuGen *g = &x->e->g;
    LLVMTypeRef type = LLVMArrayType2(gen_real1(g), elements);
    LLVMValueRef at = LLVMAddGlobalInAddressSpace(g->module, type, "panels", SHARED_MEMORY);
    LLVMSetLinkage(at, LLVMInternalLinkage);
    LLVMSetInitializer(at, LLVMGetUndef(type));
    LLVMSetAlignment(at, MOST_AT_ONCE);
    return at;
}

/* Where place `depth` of a panel begins. */
static LLVMValueRef place(const Panels *x, const Side *s, LLVMValueRef panel, LLVMValueRef depth)
{
    LLVMValueRef first = times(x, rest(x, panel, PANELS), NV_PANEL_DEPTH * s->row);
    return gen_at(&x->e->g, gen_real1(&x->e->g), s->panels, add(x, first, times(x, depth, s->row)));
}

/* ---- bringing ---- */

/* The element that a thread brings in its round i: its line in the tile and its place in the panel. */
static void element_of(const Panels *x, const Side *s, uint32_t i, LLVMValueRef *line, LLVMValueRef *depth)
{
    LLVMValueRef all = add(x, x->thread, number(x, i * NV_PANEL_THREADS));
    *line = s->dense ? quotient(x, all, NV_PANEL_DEPTH) : rest(x, all, s->lines);
    *depth = s->dense ? rest(x, all, NV_PANEL_DEPTH) : quotient(x, all, s->lines);
}

static void bring_element(const Panels *x, const Side *s, LLVMValueRef panel, uint32_t i)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef line, in, at;
    element_of(x, s, i, &line, &in);
    at = add(x, times(x, panel, NV_PANEL_DEPTH), in);
    emit_set(x->e, s->var, add(x, s->start, or_first(x, add(x, s->first, line), s->count)), false);
    emit_set(x->e, x->t->depth->loop.var, or_first(x, at, x->depth), false);
    emit_load(x->e, s->load);
    gen_store(g, emit_var(x->e, s->load->mem.var, false), gen_at(g, gen_real1(g), place(x, s, panel, in), line), bytes(x));
}

static void bring(const Panels *x, LLVMValueRef panel)
{
    for (uint32_t i = 0; i < x->a.lines * NV_PANEL_DEPTH / NV_PANEL_THREADS; i++)
        bring_element(x, &x->a, panel, i);
    for (uint32_t i = 0; i < x->b.lines * NV_PANEL_DEPTH / NV_PANEL_THREADS; i++)
        bring_element(x, &x->b, panel, i);
}

/* ---- multiplying ---- */

static void lines_of(const Panels *x, const Side *s, LLVMValueRef panel, LLVMValueRef depth, LLVMValueRef thread, LLVMValueRef *v)
{
    const CpuGen *g = &x->e->g;
    uint32_t n = s->lines / NV_PANEL_SIDE, size = n * bytes(x);
    LLVMValueRef at = gen_at(g, gen_real1(g), place(x, s, panel, depth), times(x, thread, n));
    LLVMTypeRef type = n == 1 ? gen_real1(g) : LLVMVectorType(gen_real1(g), n);
    LLVMValueRef all = gen_load(g, type, at, size < MOST_AT_ONCE ? size : MOST_AT_ONCE);
    for (uint32_t i = 0; i < n; i++)
        v[i] = n == 1 ? all : gen_lane(g, all, i);
}

static void multiply_place(const Panels *x, LLVMValueRef panel, LLVMValueRef depth)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef a[NV_MOST_EACH], b[NV_MOST_EACH];
    lines_of(x, &x->a, panel, depth, x->down, a);
    lines_of(x, &x->b, panel, depth, x->right, b);
    for (uint32_t i = 0; i < x->n->rows; i++)
        for (uint32_t j = 0; j < x->n->cols; j++) {
            LLVMValueRef sum = LLVMBuildLoad2(g->b, gen_real1(g), x->sum[i][j], "");
            LLVMBuildStore(g->b, gen_fma(g, a[i], b[j], sum), x->sum[i][j]);
        }
}

static void multiply_places(const Panels *x, LLVMValueRef panel, LLVMValueRef count, uint32_t at_once)
{
    const CpuGen *g = &x->e->g;
    GenLoop l = gen_loop(g, number(x, 0), count, number(x, at_once), NULL, 0);
    for (uint32_t i = 0; i < at_once; i++)
        multiply_place(x, panel, add(x, l.i, number(x, i)));
    gen_loop_end(g, &l, NULL);
}

/* Of the last panel some. */
static void multiply(const Panels *x, LLVMValueRef panel)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef left = LLVMBuildNSWSub(g->b, x->depth, times(x, panel, NV_PANEL_DEPTH), "");
    GenElse full = gen_if_else(g, gen_icmp(g, LLVMIntSGE, left, number(x, NV_PANEL_DEPTH)));
    multiply_places(x, panel, number(x, NV_PANEL_DEPTH), PLACES);
    gen_else(g, full);
    multiply_places(x, panel, left, 1);
    gen_end_else(g, full);
}

/* ---- a tile ---- */

static LLVMValueRef line(const Panels *x, const Side *s, LLVMValueRef thread, uint32_t i)
{
    return add(x, add(x, s->first, times(x, thread, s->lines / NV_PANEL_SIDE)), number(x, i));
}

static LLVMValueRef is_inside(const Panels *x, uint32_t i, uint32_t j)
{
    return LLVMBuildAnd(x->e->g.b, below(x, line(x, &x->a, x->down, i), x->a.count), below(x, line(x, &x->b, x->right, j), x->b.count), "");
}

/* Threads without an element only bring. */
static void multiply_panels(const Panels *x)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef panels = quotient(x, add(x, x->depth, number(x, NV_PANEL_DEPTH - 1)), NV_PANEL_DEPTH), any = is_inside(x, 0, 0);
    GenIf first = gen_if(g, below(x, number(x, 0), panels));
    bring(x, number(x, 0));
    gen_end_if(g, first);
    GenLoop l = gen_loop(g, number(x, 0), panels, number(x, 1), NULL, 0);
    barrier(x); /* this panel is there, and the one before has been multiplied: the next one takes its memory */
    LLVMValueRef next = add(x, l.i, number(x, 1));
    GenIf more = gen_if(g, below(x, next, panels));
    bring(x, next);
    gen_end_if(g, more);
    GenIf has = gen_if(g, any);
    multiply(x, l.i);
    gen_end_if(g, has);
    gen_loop_end(g, &l, NULL);
}

static void store_element(const Panels *x, uint32_t i, uint32_t j)
{
    const CpuGen *g = &x->e->g;
    GenIf inside = gen_if(g, is_inside(x, i, j));
    emit_set(x->e, x->a.var, add(x, x->a.start, line(x, &x->a, x->down, i)), false);
    emit_set(x->e, x->b.var, add(x, x->b.start, line(x, &x->b, x->right, j)), false);
    emit_set(x->e, x->t->store->mem.var, LLVMBuildLoad2(g->b, gen_real1(g), x->sum[i][j], ""), false);
    emit_store(x->e, x->t->store);
    gen_end_if(g, inside);
}

static void emit_tile(Panels *x, LLVMValueRef tile, LLVMValueRef across, LLVMValueRef down)
{
    const CpuGen *g = &x->e->g;
    uint32_t elements = x->n->rows * x->n->cols;
    x->b.first = times(x, nv_take(g, &tile, across), x->b.lines);
    x->a.first = times(x, nv_take(g, &tile, down), x->a.lines);
    nv_enter_loops(x->e, x->n, tile);
    x->a.start = emit_loop_start(x->e, x->t->row);
    x->b.start = emit_loop_start(x->e, x->t->col);
    for (uint32_t i = 0; i < elements; i++)
        LLVMBuildStore(g->b, gen_const(g, 0), x->sum[i / x->n->cols][i % x->n->cols]);
    barrier(x); /* panels of the tile before have been multiplied */
    multiply_panels(x);
    for (uint32_t i = 0; i < elements; i++)
        store_element(x, i / x->n->cols, i % x->n->cols);
}

static bool is_dense(const KStmt *load, KVar v)
{
    for (uint32_t i = 0; i < load->mem.at.n; i++)
        if (load->mem.at.term[i].var == v)
            return load->mem.at.term[i].stride == DIM_ONE;
    return false;
}

static Side side_new(Panels *x, const KStmt *load, const KStmt *loop, uint32_t each)
{
    Side s = {.load = load, .var = loop->loop.var, .lines = each * NV_PANEL_SIDE, .count = emit_dim(x->e, loop->loop.extent)};
    s.dense = is_dense(load, x->t->depth->loop.var);
    s.row = row_of(x, s.lines);
    s.panels = static_memory(x, PANELS * NV_PANEL_DEPTH * s.row);
    return s;
}

static LLVMValueRef tiles_of(const Panels *x, const Side *s)
{
    return quotient(x, add(x, s->count, number(x, s->lines - 1)), s->lines);
}

void nv_emit_panels(Emit *e, const NvNode *n, LLVMValueRef thread, LLVMValueRef block, LLVMValueRef blocks)
{
    Panels x = {.e = e, .n = n, .t = n->tile, .thread = thread, .depth = emit_dim(e, n->tile->depth->loop.extent)};
    x.right = rest(&x, thread, NV_PANEL_SIDE), x.down = quotient(&x, thread, NV_PANEL_SIDE);
    x.a = side_new(&x, x.t->a, x.t->row, n->rows);
    x.b = side_new(&x, x.t->b, x.t->col, n->cols);
    for (uint32_t i = 0; i < n->rows * n->cols; i++)
        x.sum[i / n->cols][i % n->cols] = emit_entry_memory(e, gen_real1(&e->g));
    LLVMValueRef across = tiles_of(&x, &x.b), down = tiles_of(&x, &x.a), count = LLVMBuildNSWMul(e->g.b, across, down, "");
    for (uint32_t l = 0; l + 2 < n->nlevel; l++)
        count = LLVMBuildNSWMul(e->g.b, count, emit_dim(e, n->extent[l]), "");
    GenLoop own = gen_loop(&e->g, block, count, blocks, NULL, 0);
    emit_tile(&x, own.i, across, down);
    gen_loop_end(&e->g, &own, NULL);
}
