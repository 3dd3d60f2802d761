/* Products of rounded factors, in tiles, by mma.sync: "PTX ISA", section "Matrix multiply-accumulate operation using mma instruction".
 *
 * A warp makes a tile of the result after the other. The instruction adds to a piece of 16 rows and 8 columns the product of 16 rows
 * and 8 columns of a few places of depth, and each lane brings and keeps certain elements of the three. Which element of the depth
 * is which place of the instruction is free, as long as both factors agree: a lane takes neighbours, so that where the depth is dense,
 * lanes read whole lines, and where it also begins at multiples of them, each lane reads all of its neighbours at once. Factors come straight from global memory: a tile has several pieces, so each is used several times.
 *
 * Rows and columns beyond the end are made from the first ones, and not stored. Depth beyond the end is 0 in both factors: only
 * the last round is made so.
 *
 * Each tile has sizes of its own (own.c). All instructions but that one (assembly.c) are LLVM's intrinsics (emit_mma.c). */
#include "backends/nvptx/emit.h"

enum { MOST_SLOTS = 2, RESULTS = NV_RESULTS };

typedef struct Tile {
    Emit *e;
    const NvNode *n;
    const NvTile *t;
    NvShape shape;
    bool old; /* sm_75: no conversion of two at once */
    bool wide; /* rows and columns begin at multiples of what a lane reads of them */
    LLVMValueRef group, quad;                 /* a lane's row or column in pieces; its place in the depth */
    LLVMValueRef rows, cols, depth;           /* how many there are */
    LLVMValueRef row_start, col_start;        /* of the loops */
    LLVMValueRef row, col;                    /* of the tile: the first, counted from the start */
    LLVMValueRef sum[NV_MOST_ROWS][NV_MOST_COLS][RESULTS]; /* memory of the entry, which becomes registers */
} Tile;

/* ---- numbers ---- */

static LLVMValueRef add(const Tile *x, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildNSWAdd(x->e->g.b, a, b, "");
}

static LLVMValueRef add_number(const Tile *x, LLVMValueRef a, uint32_t b)
{
    return add(x, a, gen_i64(&x->e->g, b));
}

static LLVMValueRef times(const Tile *x, LLVMValueRef a, uint32_t b)
{
    return LLVMBuildNSWMul(x->e->g.b, a, gen_i64(&x->e->g, b), "");
}

static LLVMValueRef below(const Tile *x, LLVMValueRef a, LLVMValueRef end)
{
    return gen_icmp(&x->e->g, LLVMIntSLT, a, end);
}

static LLVMValueRef or_first(const Tile *x, LLVMValueRef a, LLVMValueRef end)
{
    return gen_select(&x->e->g, below(x, a, end), a, gen_i64(&x->e->g, 0));
}

/* ---- factors ---- */

static bool is_stored(const Tile *x, const KStmt *load)
{
    return factor_of_narrow(kern_buf_narrow(x->e->k, load->mem.buf)) == x->t->factor;
}

static LLVMValueRef real_of(const Tile *x, const KStmt *load)
{
    emit_load(x->e, load);
    return emit_var(x->e, load->mem.var, false);
}

/* As it stands in memory if that is what is multiplied, else as a real. `inside`: NULL where the depth is known to go so far. */
static LLVMValueRef element(const Tile *x, const KStmt *load, LLVMValueRef depth, LLVMValueRef inside)
{
    const CpuGen *g = &x->e->g;
    emit_set(x->e, x->t->depth->loop.var, inside ? gen_select(g, inside, depth, gen_i64(g, 0)) : depth, false);
    LLVMValueRef v = is_stored(x, load) ? emit_load_as(x->e, load, gen_int1(g, 16), 2) : real_of(x, load);
    return inside ? gen_select(g, inside, v, LLVMConstNull(LLVMTypeOf(v))) : v;
}

static LLVMValueRef bits_of_two(const Tile *x, const KStmt *load, LLVMValueRef low, LLVMValueRef high)
{
    const CpuGen *g = &x->e->g;
    LLVMTypeRef i32 = gen_int1(g, 32);
    bool stored = is_stored(x, load);
    if (!stored && !x->old)
        return nv_short(g, x->t->factor, (LLVMValueRef[]){low, high});
    low = stored ? low : gen_narrow(g, NARROW_F16, low);
    high = stored ? high : gen_narrow(g, NARROW_F16, high);
    high = LLVMBuildShl(g->b, LLVMBuildZExt(g->b, high, i32, ""), gen_iconst(g, 32, 16), "");
    return LLVMBuildOr(g->b, LLVMBuildZExt(g->b, low, i32, ""), high, "");
}

static uint32_t neighbours(const Tile *x)
{
    return x->shape.slots * x->shape.each;
}

static LLVMTypeRef several(LLVMTypeRef one, uint32_t n)
{
    return n == 1 ? one : LLVMVectorType(one, n);
}

static LLVMValueRef one_of(const CpuGen *g, LLVMValueRef v, uint32_t n, uint32_t i)
{
    return n == 1 ? v : gen_lane(g, v, i);
}

static bool is_dense(const Tile *x, const KStmt *load)
{
    return kern_index_stride(&load->mem.at, x->t->depth->loop.var) == DIM_ONE && (is_stored(x, load) || !kern_buf_narrow(x->e->k, load->mem.buf));
}

static void bring_at_once(const Tile *x, const KStmt *load, LLVMValueRef *slot, LLVMValueRef *v)
{
    const CpuGen *g = &x->e->g;
    uint32_t n = neighbours(x), slots = x->shape.slots;
    if (is_stored(x, load)) {
        LLVMValueRef all = emit_load_as(x->e, load, several(gen_int1(g, 32), slots), 2 * n);
        for (uint32_t s = 0; s < slots; s++)
            slot[s] = one_of(g, all, slots, s);
        return;
    }
    LLVMValueRef all = emit_load_as(x->e, load, several(gen_real1(g), n), 4 * n);
    for (uint32_t i = 0; i < n; i++)
        v[i] = one_of(g, all, n, i);
}

static void bring_each(const Tile *x, const KStmt *load, LLVMValueRef first, bool last, LLVMValueRef *v)
{
    for (uint32_t i = 0; i < neighbours(x); i++) {
        LLVMValueRef at = add_number(x, first, i);
        v[i] = element(x, load, at, last ? below(x, at, x->depth) : NULL);
    }
}

/* The registers of one row or column: what a lane brings of it, from `depth` on. */
static void bring(const Tile *x, const KStmt *load, LLVMValueRef depth, bool last, LLVMValueRef *slot)
{
    const CpuGen *g = &x->e->g;
    bool at_once = x->wide && is_dense(x, load);
    LLVMValueRef v[4], first = add(x, depth, times(x, x->quad, neighbours(x)));
    emit_set(x->e, x->t->depth->loop.var, first, false);
    if (at_once)
        bring_at_once(x, load, slot, v);
    else
        bring_each(x, load, first, last, v);
    for (uint32_t s = 0; s < x->shape.slots && !(at_once && is_stored(x, load)); s++)
        slot[s] = x->shape.each == 1 ? nv_short(g, FACTOR_TF32, &v[s]) : bits_of_two(x, load, v[2 * s], v[2 * s + 1]);
}

static LLVMValueRef row_at(const Tile *x, uint32_t piece, uint32_t half)
{
    return add_number(x, add(x, x->row, x->group), piece * NV_TILE_ROWS + half * NV_TILE_ROWS / 2);
}

/* For the instruction: the upper and the lower half of the rows take turns. */
static void bring_rows(const Tile *x, uint32_t piece, LLVMValueRef depth, bool last, LLVMValueRef *out)
{
    for (uint32_t half = 0; half < 2; half++) {
        LLVMValueRef slot[MOST_SLOTS];
        emit_set(x->e, x->t->row->loop.var, add(x, x->row_start, or_first(x, row_at(x, piece, half), x->rows)), false);
        bring(x, x->t->a, depth, last, slot);
        for (uint32_t s = 0; s < x->shape.slots; s++)
            out[2 * s + half] = slot[s];
    }
}

static void bring_cols(const Tile *x, uint32_t piece, LLVMValueRef depth, bool last, LLVMValueRef *out)
{
    LLVMValueRef col = add_number(x, add(x, x->col, x->group), piece * NV_TILE_COLS);
    emit_set(x->e, x->t->col->loop.var, add(x, x->col_start, or_first(x, col, x->cols)), false);
    bring(x, x->t->b, depth, last, out);
}

/* ---- products ---- */

static void round_of(const Tile *x, LLVMValueRef depth, bool last)
{
    LLVMValueRef a[NV_MOST_ROWS][2 * MOST_SLOTS], b[MOST_SLOTS];
    for (uint32_t i = 0; i < x->n->rows; i++)
        bring_rows(x, i, depth, last, a[i]);
    for (uint32_t j = 0; j < x->n->cols; j++) {
        bring_cols(x, j, depth, last, b);
        for (uint32_t i = 0; i < x->n->rows; i++)
            nv_multiply(&x->e->g, &x->shape, a[i], b, x->sum[i][j]);
    }
}

/* The same for all lanes: rows (columns) begin at multiples of what a lane reads at once. Where none is dense nothing is asked. */
static LLVMValueRef is_aligned(const Tile *x, const KStmt *load, KVar row, LLVMValueRef start, LLVMValueRef others)
{
    const CpuGen *g = &x->e->g;
    LLVMTypeRef i64 = gen_int1(g, 64);
    uint32_t bytes = is_stored(x, load) ? 2 : 4;
    if (!is_dense(x, load))
        return others;
    emit_set(x->e, x->t->depth->loop.var, gen_i64(g, 0), false);
    emit_set(x->e, row, start, false);
    LLVMValueRef at = LLVMBuildPtrToInt(g->b, emit_address(x->e, load), i64, ""), stride = times(x, emit_dim(x->e, kern_index_stride(&load->mem.at, row)), bytes);
    LLVMValueRef rest = LLVMBuildAnd(g->b, LLVMBuildOr(g->b, at, stride, ""), gen_i64(g, bytes * neighbours(x) - 1), "");
    LLVMValueRef aligned = gen_icmp(g, LLVMIntEQ, rest, gen_i64(g, 0));
    return others ? LLVMBuildAnd(g->b, others, aligned, "") : aligned;
}

static void whole_rounds(const Tile *x, LLVMValueRef whole, LLVMValueRef width, bool wide)
{
    Tile one = *x;
    one.wide = wide;
    GenLoop l = gen_loop(&x->e->g, gen_i64(&x->e->g, 0), whole, width, NULL, 0);
    round_of(&one, l.i, false);
    gen_loop_end(&x->e->g, &l, NULL);
}

static void multiply_tile(const Tile *x)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef width = gen_i64(g, 4 * neighbours(x));
    LLVMValueRef whole = LLVMBuildNSWSub(g->b, x->depth, LLVMBuildURem(g->b, x->depth, width, ""), "");
    LLVMValueRef aligned = is_aligned(x, x->t->a, x->t->row->loop.var, x->row_start, NULL);
    aligned = is_aligned(x, x->t->b, x->t->col->loop.var, x->col_start, aligned);
    GenElse both = {0};
    if (aligned) {
        both = gen_if_else(g, aligned);
        whole_rounds(x, whole, width, true);
        gen_else(g, both);
    }
    whole_rounds(x, whole, width, false);
    if (aligned)
        gen_end_else(g, both);
    GenIf rest = gen_if(g, below(x, whole, x->depth));
    round_of(x, whole, true);
    gen_end_if(g, rest);
}

/* ---- a tile ---- */

static void start_sums(Tile *x)
{
    for (uint32_t i = 0; i < x->n->rows * x->n->cols * RESULTS; i++)
        LLVMBuildStore(x->e->g.b, gen_const(&x->e->g, 0), x->sum[i / RESULTS / x->n->cols][i / RESULTS % x->n->cols][i % RESULTS]);
}

/* Two neighbours of a row, and two of the row 8 below. */
static void store_piece(const Tile *x, uint32_t i, uint32_t j)
{
    const CpuGen *g = &x->e->g;
    for (uint32_t r = 0; r < RESULTS; r++) {
        LLVMValueRef row = row_at(x, i, r / 2), col = add_number(x, add(x, x->col, times(x, x->quad, 2)), j * NV_TILE_COLS + r % 2);
        GenIf inside = gen_if(g, LLVMBuildAnd(g->b, below(x, row, x->rows), below(x, col, x->cols), ""));
        emit_set(x->e, x->t->row->loop.var, add(x, x->row_start, row), false);
        emit_set(x->e, x->t->col->loop.var, add(x, x->col_start, col), false);
        emit_set(x->e, x->t->store->mem.var, LLVMBuildLoad2(g->b, gen_real1(g), x->sum[i][j][r], ""), false);
        emit_store(x->e, x->t->store);
        gen_end_if(g, inside);
    }
}

LLVMValueRef nv_take(const CpuGen *g, LLVMValueRef *number, LLVMValueRef extent)
{
    LLVMValueRef at = LLVMBuildURem(g->b, *number, extent, "");
    *number = LLVMBuildUDiv(g->b, *number, extent, "");
    return at;
}

void nv_enter_loops(Emit *e, const NvNode *n, LLVMValueRef number)
{
    LLVMValueRef at[NV_MAXLEVEL];
    for (uint32_t l = n->nlevel - 2; l-- > 0;)
        at[l] = nv_take(&e->g, &number, emit_dim(e, n->extent[l]));
    for (uint32_t l = 0; l + 2 < n->nlevel; l++) {
        const KStmt *loop = n->axis.p[l].loop;
        emit_set(e, loop->loop.var, LLVMBuildNSWAdd(e->g.b, emit_loop_start(e, loop), at[l], ""), false);
        for (uint32_t i = 0; i < loop->loop.body.n; i++)
            if (loop->loop.body.p[i]->kind != K_LOOP)
                emit_block(e, &(KBlock){.p = &loop->loop.body.p[i], .n = 1});
    }
}

static LLVMValueRef pieces(const Tile *x, LLVMValueRef size, uint32_t piece)
{
    return LLVMBuildUDiv(x->e->g.b, add_number(x, size, piece - 1), gen_i64(&x->e->g, piece), "");
}

/* Lanes may have gone apart in front of it, or in storing the last one. */
static void meet(const Tile *x)
{
    LLVMValueRef all = gen_iconst(&x->e->g, 32, UINT32_MAX);
    nv_intrinsic(&x->e->g, "llvm.nvvm.bar.warp.sync", &all, 1);
}

static void emit_tile(Tile *x, LLVMValueRef number, LLVMValueRef across, LLVMValueRef down)
{
    const CpuGen *g = &x->e->g;
    meet(x);
    EmitNear outer = nv_own_sizes(x->e);
    x->rows = emit_dim(x->e, x->n->extent[x->n->nlevel - 2]);
    x->cols = emit_dim(x->e, x->n->extent[x->n->nlevel - 1]);
    x->depth = emit_dim(x->e, x->t->depth->loop.extent);
    x->col = times(x, nv_take(g, &number, across), x->n->cols * NV_TILE_COLS);
    x->row = times(x, nv_take(g, &number, down), x->n->rows * NV_TILE_ROWS);
    nv_enter_loops(x->e, x->n, number);
    x->row_start = emit_loop_start(x->e, x->t->row);
    x->col_start = emit_loop_start(x->e, x->t->col);
    start_sums(x);
    multiply_tile(x);
    for (uint32_t i = 0; i < x->n->rows; i++)
        for (uint32_t j = 0; j < x->n->cols; j++)
            store_piece(x, i, j);
    nv_outer_sizes(x->e, outer);
}

static Tile tile_new(Emit *e, const NvNode *n, bool old, LLVMValueRef thread)
{
    Tile x = {.e = e, .n = n, .t = n->tile, .shape = nv_shape(n->tile->factor, old), .old = old};
    LLVMValueRef lane = LLVMBuildAnd(e->g.b, thread, gen_i64(&e->g, NV_WARP - 1), "");
    x.group = LLVMBuildLShr(e->g.b, lane, gen_i64(&e->g, 2), "");
    x.quad = LLVMBuildAnd(e->g.b, lane, gen_i64(&e->g, 3), "");
    x.rows = emit_dim(e, n->extent[n->nlevel - 2]);
    x.cols = emit_dim(e, n->extent[n->nlevel - 1]);
    for (uint32_t i = 0; i < n->rows * n->cols * RESULTS; i++)
        x.sum[i / RESULTS / n->cols][i / RESULTS % n->cols][i % RESULTS] = emit_entry_memory(e, gen_real1(&e->g));
    return x;
}

void nv_emit_tiles(Emit *e, const NvNode *n, bool old, LLVMValueRef thread, LLVMValueRef threads)
{
    const CpuGen *g = &e->g;
    Tile x = tile_new(e, n, old, thread);
    LLVMValueRef warp = gen_i64(g, NV_WARP), across = pieces(&x, x.cols, n->cols * NV_TILE_COLS);
    LLVMValueRef down = pieces(&x, x.rows, n->rows * NV_TILE_ROWS), count = LLVMBuildNSWMul(g->b, across, down, "");
    for (uint32_t l = 0; l + 2 < n->nlevel; l++)
        count = LLVMBuildNSWMul(g->b, count, emit_dim(e, n->extent[l]), "");
    GenLoop own = gen_loop(g, LLVMBuildUDiv(g->b, thread, warp, ""), count, LLVMBuildUDiv(g->b, threads, warp, ""), NULL, 0);
    emit_tile(&x, own.i, across, down);
    gen_loop_end(g, &own, NULL);
}
