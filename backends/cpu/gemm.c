/* Matrix products: C[m,n] (+)= sum over k of A[m,k] * B[k,n], sizes at run time.
 *
 * There are three forms, each one internal function of the module for each level, shared by all products that have that
 * form. Which one a product uses is known from its strides when it is compiled, never from m or n:
 *
 *   dot        A and B run along k: a vector accumulates products of W consecutive k, its lanes are added at the end.
 *   broadcast  B and C run along n: a vector holds W consecutive n, and goes through k one by one.
 *   plain      anything else, element by element.
 *
 * One output is summed in one order, set by k, the form and W: k in blocks of a fixed length, each summed from zero (in
 * `dot` lane by lane, then by halving), blocks added to C one after another. How outputs are grouped into tiles, packed
 * or left where they are has no influence on it, so a product of one row gives the same bits as that row of a larger
 * one.
 *
 * Blocking follows Goto and van de Geijn, Anatomy of high-performance matrix multiplication (2008), with weights left
 * where they are when they are read along k. Tiles at the edge compute with the last row and column repeated, and store
 * what is there; nothing outside the arrays is read.
 *
 * Nothing here depends on the model, so the functions are compiled when rnnc is built (gemm_code/generate.c), and a
 * module takes their machine code. */
#include "backends/cpu/build.h"

enum {
    MAXROWS = 6,
    MAXCOLS = 6,
    MAXACC = 24,
    DOT_BYTES = 4096,  /* of k in one block of the dot form */
    DOT_ROWS = 96,     /* rows of A that stay in the second-level cache while all of B passes */
    CAST_BYTES = 512,  /* of k in one block of the broadcast form */
    PANEL_BYTES = 256, /* of n in a packed panel of B, of m in one of A */
    CAST_ROWS = 256,   /* rows of A, when it is not packed */
    PACK_FROM = 8,     /* rows from which packing B pays */
};

typedef LLVMValueRef V;

/* One function while it is made. */
typedef struct Gemm {
    CpuGen g; /* lanes: the level's width */
    CpuGen s; /* the same, one lane */
    LLVMTypeRef one;
    uint32_t bytes; /* of an element */
    V fn;
    V m, n, k, a, a_row, a_col, b, b_row, b_col, c, c_row, c_col, add;
} Gemm;

/* ---- small tools on i64 ---- */

static V num(const Gemm *x, int64_t v)
{
    return gen_i64(&x->s, v);
}

static V plus(const Gemm *x, V a, V b)
{
    return LLVMBuildAdd(x->s.b, a, b, "");
}

static V minus(const Gemm *x, V a, V b)
{
    return LLVMBuildSub(x->s.b, a, b, "");
}

static V times(const Gemm *x, V a, V b)
{
    return LLVMBuildMul(x->s.b, a, b, "");
}

static V least(const Gemm *x, V a, V b)
{
    return gen_select(&x->s, gen_icmp(&x->s, LLVMIntSLT, a, b), a, b);
}

static V most(const Gemm *x, V a, V b)
{
    return gen_select(&x->s, gen_icmp(&x->s, LLVMIntSGT, a, b), a, b);
}

static V is(const Gemm *x, LLVMIntPredicate p, V a, V b)
{
    return gen_icmp(&x->s, p, a, b);
}

static V element(const Gemm *x, V base, V index)
{
    return gen_at(&x->s, x->one, base, index);
}

static V load(const Gemm *x, V at)
{
    return gen_load(&x->g, gen_real(&x->g), at, x->bytes);
}

static V zero(const Gemm *x)
{
    return LLVMConstNull(gen_real(&x->g));
}

/* What is added to, and what is overwritten: a block after the first, or a product with `add`. */
static V keeps_old(const Gemm *x, V kb)
{
    return LLVMBuildOr(x->s.b, x->add, is(x, LLVMIntSGT, kb, num(x, 0)), "");
}

static V with_old(const CpuGen *g, V keeps, V old, V v)
{
    return gen_select(g, keeps, gen_add(g, old, v), v);
}

/* n elements on the stack */
static V stack(const Gemm *x, uint32_t n)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(x->s.b), entry = LLVMGetEntryBasicBlock(x->fn);
    LLVMPositionBuilderBefore(x->s.b, LLVMGetFirstInstruction(entry));
    V at = LLVMBuildArrayAlloca(x->s.b, x->one, LLVMConstInt(gen_int1(&x->s, 32), n, false), "");
    LLVMSetAlignment(at, 64);
    LLVMPositionBuilderAtEnd(x->s.b, here);
    return at;
}

/* for i in from..to by step: body, with the builder inside, until end() */
static GenLoop each(const Gemm *x, V from, V to, int64_t step)
{
    return gen_loop(&x->s, from, to, num(x, step), NULL, 0);
}

static void end(const Gemm *x, GenLoop *l)
{
    gen_loop_end(&x->s, l, NULL);
}

/* ---- adding the lanes of many accumulators at once ---- */

/* Both vectors hold groups of `size` lanes; gives the sums of each group's halves: first u's groups, then v's. Within
 * 16 bytes of lanes at a time when `within`, else over the whole vector. */
static V fold_pair(const Gemm *x, V u, V v, uint32_t size, bool within)
{
    int low[GEN_MAXLANES], high[GEN_MAXLANES];
    uint32_t W = x->g.lanes, part = within ? 16 / x->bytes : W, n = 0;
    for (uint32_t start = 0; start < W; start += part)
        for (uint32_t from = 0; from < 2; from++)
            for (uint32_t group = start; group < start + part; group += size)
                for (uint32_t i = 0; i < size / 2; i++, n++) {
                    low[n] = (int)(from * W + group + i);
                    high[n] = low[n] + (int)size / 2;
                }
    return gen_add(&x->g, gen_shuffle(&x->g, u, v, low, W), gen_shuffle(&x->g, u, v, high, W));
}

/* Folds a list of 2^i vectors into one. */
static V fold(const Gemm *x, V *v, uint32_t n, uint32_t size, bool within)
{
    for (; n > 1; n /= 2, size /= 2)
        for (uint32_t i = 0; i < n / 2; i++)
            v[i] = fold_pair(x, v[2 * i], v[2 * i + 1], size, within);
    return v[0];
}

static uint32_t at_most(uint32_t a, uint32_t high)
{
    return a < high ? a : high;
}

/* The sums of acc[row * ncol + col], as pieces of 16 bytes along the columns: piece[row][col / P]. Every sum is by
 * halving: lane i and lane i + W/2, and so on. Where rows or columns are missing to a full group, the last is repeated.
 */
static void lane_sums(const Gemm *x, const V *acc, uint32_t nrow, uint32_t ncol, V piece[GEN_MAXLANES][MAXCOLS])
{
    uint32_t W = x->g.lanes, P = 16 / x->bytes, R = W / P;
    for (uint32_t r = 0; r < nrow; r += R)
        for (uint32_t c = 0; c < ncol; c += P) {
            V of_col[GEN_MAXLANES], of_row[GEN_MAXLANES];
            for (uint32_t j = 0; j < P; j++) {
                for (uint32_t i = 0; i < R; i++)
                    of_row[i] = acc[at_most(r + i, nrow - 1) * ncol + at_most(c + j, ncol - 1)];
                of_col[j] = fold(x, of_row, R, W, false);
            }
            V all = fold(x, of_col, P, P, true);
            for (uint32_t i = 0; i < R && r + i < nrow; i++) {
                int lane[4];
                for (uint32_t j = 0; j < P; j++)
                    lane[j] = (int)(i * P + j);
                piece[r + i][c / P] = R == 1 ? all : gen_shuffle(&x->g, all, all, lane, P);
            }
        }
}

/* ---- the dot form ---- */

/* A tile of the result, and pointers to its rows of A and columns of B. Beyond the end, the last is repeated. */
typedef struct Tile {
    uint32_t nrow, ncol;
    V i, j;                                 /* its place in C */
    V row[GEN_MAXLANES], col[GEN_MAXLANES]; /* pointers into A and B */
    V keeps;                                /* add to C */
} Tile;

static V dot_load(const Gemm *x, V base, V at, V mask, V count)
{
    V p = element(x, base, at);
    return mask ? gen_load_first(&x->g, x->one, p, x->bytes, mask, count) : load(x, p);
}

/* The shorter side stays in registers while the other passes: on AVX2 there is none to spare. */
static void dot_step(const Gemm *x, const Tile *t, V at, V mask, V count, const V *old, V *next)
{
    bool rows = t->nrow < t->ncol;
    uint32_t nkept = rows ? t->nrow : t->ncol, npassing = rows ? t->ncol : t->nrow;
    const V *keep = rows ? t->row : t->col, *pass = rows ? t->col : t->row;
    V kept[GEN_MAXLANES];
    for (uint32_t i = 0; i < nkept; i++)
        kept[i] = dot_load(x, keep[i], at, mask, count);
    for (uint32_t j = 0; j < npassing; j++) {
        V v = dot_load(x, pass[j], at, mask, count);
        for (uint32_t i = 0; i < nkept; i++) {
            uint32_t place = rows ? i * t->ncol + j : j * t->ncol + i;
            next[place] = gen_fma(&x->g, kept[i], v, old[place]);
        }
    }
}

/* Whole vectors along k, then the rest under a mask (a loop of at most one round). */
static void dot_sums(const Gemm *x, const Tile *t, V kc, V *acc)
{
    uint32_t n = t->nrow * t->ncol;
    V next[MAXACC], whole = LLVMBuildAnd(x->s.b, kc, num(x, -(int64_t)x->g.lanes), "");
    for (uint32_t i = 0; i < n; i++)
        acc[i] = zero(x);
    for (int part = 0; part < 2; part++) {
        GenLoop l = gen_loop(&x->s, part ? whole : num(x, 0), part ? kc : whole, num(x, x->g.lanes), acc, n);
        V count = part ? minus(x, kc, l.i) : NULL;
        dot_step(x, t, l.i, part ? gen_first(&x->g, count) : NULL, count, l.carried, next);
        gen_loop_end(&x->s, &l, next);
        memcpy(acc, l.result, n * sizeof *acc);
    }
}

/* At the edge of C, or when its columns are not side by side: the sums go through a buffer, element by element. */
static void store_elements(const Gemm *x, const Tile *t, V piece[GEN_MAXLANES][MAXCOLS])
{
    uint32_t P = 16 / x->bytes, width = (t->ncol + P - 1) / P * P;
    V buffer = stack(x, t->nrow * width);
    for (uint32_t r = 0; r < t->nrow; r++)
        for (uint32_t c = 0; c < t->ncol; c += P)
            gen_store(&x->s, piece[r][c / P], element(x, buffer, num(x, r * width + c)), x->bytes);
    GenLoop r = each(x, num(x, 0), least(x, minus(x, x->m, t->i), num(x, t->nrow)), 1);
    V row = times(x, plus(x, t->i, r.i), x->c_row);
    GenLoop c = each(x, num(x, 0), least(x, minus(x, x->n, t->j), num(x, t->ncol)), 1);
    V at = element(x, x->c, plus(x, row, times(x, plus(x, t->j, c.i), x->c_col)));
    V sum = gen_load(&x->s, x->one, element(x, buffer, plus(x, times(x, r.i, num(x, width)), c.i)), x->bytes);
    gen_store(&x->s, with_old(&x->s, t->keeps, gen_load(&x->s, x->one, at, x->bytes), sum), at, x->bytes);
    end(x, &c);
    end(x, &r);
}

/* Needs all rows and columns, side by side. */
static void store_pieces(const Gemm *x, const Tile *t, V piece[GEN_MAXLANES][MAXCOLS])
{
    uint32_t P = 16 / x->bytes;
    int first[4] = {0, 1, 2, 3};
    CpuGen g = x->s;
    for (uint32_t r = 0; r < t->nrow; r++) {
        V row = element(x, x->c, plus(x, times(x, plus(x, t->i, num(x, r)), x->c_row), t->j));
        for (uint32_t c = 0; c < t->ncol; c += P) {
            V v = piece[r][c / P], at = element(x, row, num(x, c));
            g.lanes = at_most(P, t->ncol - c);
            v = g.lanes == P ? v : g.lanes == 1 ? gen_lane(&g, v, 0) : gen_shuffle(&g, v, v, first, g.lanes);
            gen_store(&g, with_old(&g, t->keeps, gen_load(&g, gen_real(&g), at, x->bytes), v), at, x->bytes);
        }
    }
}

static V is_whole(const Gemm *x, const Tile *t)
{
    V rows = is(x, LLVMIntSLE, plus(x, t->i, num(x, t->nrow)), x->m),
      cols = is(x, LLVMIntSLE, plus(x, t->j, num(x, t->ncol)), x->n);
    V side_by_side = is(x, LLVMIntEQ, x->c_col, num(x, 1));
    return LLVMBuildAnd(x->s.b, LLVMBuildAnd(x->s.b, rows, cols, ""), side_by_side, "");
}

static void dot_tile(const Gemm *x, Tile *t, V kc)
{
    V acc[MAXACC], piece[GEN_MAXLANES][MAXCOLS];
    LLVMBasicBlockRef slow = gen_block(&x->s, "edge"), fast = gen_block(&x->s, "inside"),
                      done = gen_block(&x->s, "stored");
    dot_sums(x, t, kc, acc);
    lane_sums(x, acc, t->nrow, t->ncol, piece);
    LLVMBuildCondBr(x->s.b, is_whole(x, t), fast, slow);
    LLVMPositionBuilderAtEnd(x->s.b, fast);
    store_pieces(x, t, piece);
    LLVMBuildBr(x->s.b, done);
    LLVMPositionBuilderAtEnd(x->s.b, slow);
    store_elements(x, t, piece);
    gen_enter(&x->s, done);
}

/* The tile of rows i.. and columns j.., of the block of k from kb. */
static Tile tile_at(const Gemm *x, uint32_t nrow, uint32_t ncol, V i, V j, V kb)
{
    Tile t = {.nrow = nrow, .ncol = ncol, .i = i, .j = j, .keeps = keeps_old(x, kb)};
    V last_row = minus(x, x->m, num(x, 1)), last_col = minus(x, x->n, num(x, 1));
    for (uint32_t r = 0; r < nrow; r++) {
        V row = r ? least(x, plus(x, i, num(x, r)), last_row) : i;
        t.row[r] = element(x, x->a, plus(x, times(x, row, x->a_row), kb));
    }
    for (uint32_t c = 0; c < ncol; c++) {
        V col = c ? least(x, plus(x, j, num(x, c)), last_col) : j;
        t.col[c] = element(x, x->b, plus(x, times(x, col, x->b_col), kb));
    }
    return t;
}

static void dot_one_row(const Gemm *x, V kb, V kc)
{
    GenLoop j = each(x, num(x, 0), x->n, x->g.lanes);
    Tile t = tile_at(x, 1, x->g.lanes, num(x, 0), j.i, kb);
    dot_tile(x, &t, kc);
    end(x, &j);
}

static void dot_rows(const Gemm *x, V kb, V kc)
{
    static const uint32_t nrow[CPU_NLEVEL] = {2, 4, 4}, ncol[CPU_NLEVEL] = {4, 3, 6};
    uint32_t R = nrow[x->g.level], C = ncol[x->g.level];
    GenLoop block = each(x, num(x, 0), x->m, DOT_ROWS);
    GenLoop j = each(x, num(x, 0), x->n, C);
    GenLoop i = each(x, block.i, least(x, plus(x, block.i, num(x, DOT_ROWS)), x->m), R);
    Tile t = tile_at(x, R, C, i.i, j.i, kb);
    dot_tile(x, &t, kc);
    end(x, &i);
    end(x, &j);
    end(x, &block);
}

/* A block of k, also of length 0: then C is set to zero, unless it is added to. */
static GenLoop each_block(const Gemm *x, uint32_t bytes, V *kc)
{
    GenLoop l = each(x, num(x, 0), most(x, x->k, num(x, 1)), bytes / x->bytes);
    *kc = least(x, minus(x, x->k, l.i), num(x, bytes / x->bytes));
    return l;
}

static void swap_if(const Gemm *x, V cond, V *a, V *b)
{
    V p = gen_select(&x->s, cond, *b, *a), q = gen_select(&x->s, cond, *a, *b);
    *a = p, *b = q;
}

/* Calls one of two ways to go through a block. */
static void either(const Gemm *x, V cond, void (*yes)(const Gemm *, V, V), void (*no)(const Gemm *, V, V), V kb, V kc)
{
    LLVMBasicBlockRef t = gen_block(&x->s, "one"), f = gen_block(&x->s, "many"), done = gen_block(&x->s, "both");
    LLVMBuildCondBr(x->s.b, cond, t, f);
    LLVMPositionBuilderAtEnd(x->s.b, t);
    yes(x, kb, kc);
    LLVMBuildBr(x->s.b, done);
    LLVMPositionBuilderAtEnd(x->s.b, f);
    no(x, kb, kc);
    gen_enter(&x->s, done);
}

/* The two sides play the same part; a single column is made a single row. */
static void make_dot(Gemm *x)
{
    V column = is(x, LLVMIntEQ, x->n, num(x, 1)), kc;
    swap_if(x, column, &x->m, &x->n);
    swap_if(x, column, &x->a, &x->b);
    swap_if(x, column, &x->a_row, &x->b_col);
    swap_if(x, column, &x->c_row, &x->c_col);
    GenLoop kb = each_block(x, DOT_BYTES, &kc);
    either(x, is(x, LLVMIntEQ, x->m, num(x, 1)), dot_one_row, dot_rows, kb.i, kc);
    end(x, &kb);
}

/* ---- the broadcast form ---- */

/* A tile of nrow rows and nvec vectors. Row r of A is at a[r], moving on by a_col; B is at b, moving on by b_row. */
typedef struct CastTile {
    uint32_t nrow, nvec;
    V a[MAXROWS], a_col, b, b_row;
    V c;           /* its corner */
    V rows, width; /* how many rows and columns are there; may be more than the tile has */
    V keeps;
    bool mask_b; /* columns of B that are not there must not be read */
} CastTile;

/* How many of vector j's lanes are there. */
static V lanes_there(const Gemm *x, const CastTile *t, uint32_t j)
{
    V left = minus(x, t->width, num(x, j * x->g.lanes));
    return least(x, most(x, left, num(x, 0)), num(x, x->g.lanes));
}

static void cast_sums(const Gemm *x, const CastTile *t, V kc, V *acc)
{
    uint32_t n = t->nrow * t->nvec, W = x->g.lanes;
    V next[MAXACC], mask[8], count[8];
    for (uint32_t i = 0; i < n; i++)
        acc[i] = zero(x);
    for (uint32_t j = 0; j < t->nvec && t->mask_b; j++)
        count[j] = lanes_there(x, t, j), mask[j] = gen_first(&x->g, count[j]);
    GenLoop l = gen_loop(&x->s, num(x, 0), kc, num(x, 1), acc, n);
    V b = element(x, t->b, times(x, l.i, t->b_row)), at = times(x, l.i, t->a_col), vec[8];
    for (uint32_t j = 0; j < t->nvec; j++) {
        V p = element(x, b, num(x, j * W));
        vec[j] = t->mask_b ? gen_load_first(&x->g, x->one, p, x->bytes, mask[j], count[j]) : load(x, p);
    }
    for (uint32_t r = 0; r < t->nrow; r++) {
        V v = gen_splat(&x->g, gen_load(&x->s, x->one, element(x, t->a[r], at), x->bytes));
        for (uint32_t j = 0; j < t->nvec; j++)
            next[r * t->nvec + j] = gen_fma(&x->g, v, vec[j], l.carried[r * t->nvec + j]);
    }
    gen_loop_end(&x->s, &l, next);
    memcpy(acc, l.result, n * sizeof *acc);
}

static void cast_store_whole(const Gemm *x, const CastTile *t, const V *acc)
{
    for (uint32_t r = 0; r < t->nrow; r++) {
        V row = element(x, t->c, times(x, num(x, r), x->c_row));
        for (uint32_t j = 0; j < t->nvec; j++) {
            V at = element(x, row, num(x, j * x->g.lanes));
            gen_store(&x->g, with_old(&x->g, t->keeps, load(x, at), acc[r * t->nvec + j]), at, x->bytes);
        }
    }
}

/* At the edge: through a buffer, a vector at a time. */
static void cast_store_part(const Gemm *x, const CastTile *t, const V *acc)
{
    uint32_t W = x->g.lanes, across = t->nvec * W;
    V buffer = stack(x, t->nrow * across);
    for (uint32_t i = 0; i < t->nrow * t->nvec; i++)
        gen_store(&x->g, acc[i], element(x, buffer, num(x, i * W)), x->bytes);
    GenLoop r = each(x, num(x, 0), least(x, t->rows, num(x, t->nrow)), 1);
    V row = element(x, t->c, times(x, r.i, x->c_row)), from = element(x, buffer, times(x, r.i, num(x, across)));
    GenLoop j = each(x, num(x, 0), least(x, t->width, num(x, across)), W);
    V at = element(x, row, j.i), count = least(x, minus(x, t->width, j.i), num(x, W)), mask = gen_first(&x->g, count);
    V old = gen_load_first(&x->g, x->one, at, x->bytes, mask, count);
    V sum = with_old(&x->g, t->keeps, old, load(x, element(x, from, j.i)));
    gen_store_first(&x->g, sum, x->one, at, x->bytes, mask, count);
    end(x, &j);
    end(x, &r);
}

static void cast_tile(const Gemm *x, const CastTile *t, V kc)
{
    V acc[MAXACC];
    LLVMBasicBlockRef part = gen_block(&x->s, "edge"), whole = gen_block(&x->s, "inside"),
                      done = gen_block(&x->s, "stored");
    cast_sums(x, t, kc, acc);
    V columns = is(x, LLVMIntSGE, t->width, num(x, t->nvec * x->g.lanes)),
      rows = is(x, LLVMIntSGE, t->rows, num(x, t->nrow));
    LLVMBuildCondBr(x->s.b, LLVMBuildAnd(x->s.b, rows, columns, ""), whole, part);
    LLVMPositionBuilderAtEnd(x->s.b, whole);
    cast_store_whole(x, t, acc);
    LLVMBuildBr(x->s.b, done);
    LLVMPositionBuilderAtEnd(x->s.b, part);
    cast_store_part(x, t, acc);
    gen_enter(&x->s, done);
}

/* One row, wide tiles, nothing packed: B passes by once. */
static void cast_one_row(const Gemm *x, V kb, V kc)
{
    uint32_t wide = x->g.fma ? 8 : 4, narrow = x->g.fma ? 4 : 1;
    V whole = times(x, LLVMBuildSDiv(x->s.b, x->n, num(x, wide * x->g.lanes), ""), num(x, wide * x->g.lanes));
    for (int edge = 0; edge < 2; edge++) {
        uint32_t nvec = edge ? narrow : wide;
        GenLoop j = each(x, edge ? whole : num(x, 0), edge ? x->n : whole, nvec * x->g.lanes);
        CastTile t = {.nrow = 1,
                      .nvec = nvec,
                      .a = {element(x, x->a, times(x, kb, x->a_col))},
                      .a_col = x->a_col,
                      .b = element(x, x->b, plus(x, times(x, kb, x->b_row), j.i)),
                      .b_row = x->b_row,
                      .c = element(x, x->c, j.i),
                      .rows = num(x, 1),
                      .width = minus(x, x->n, j.i),
                      .keeps = keeps_old(x, kb),
                      .mask_b = edge};
        cast_tile(x, &t, kc);
        end(x, &j);
    }
}

/* ---- packing: rows of a panel side by side, filled up with zeros to whole tiles ---- */

static const uint32_t cast_vectors[CPU_NLEVEL] = {2, 2, 4}; /* of a tile; divide a panel */

static V pack_function(const Gemm *x);

static uint32_t panel(const Gemm *x)
{
    return PANEL_BYTES / x->bytes;
}

static uint32_t panel_size(const Gemm *x)
{
    return panel(x) * (CAST_BYTES / x->bytes);
}

static void pack(const Gemm *x, V to, V from, V stride, V rows, V cols)
{
    V fn = pack_function(x);
    LLVMBuildCall2(x->s.b, LLVMGlobalGetValueType(fn), fn, (V[]){to, from, stride, rows, cols}, 5, "");
}

/* The next multiple of a power of two. */
static V up_to(const Gemm *x, V v, uint32_t multiple)
{
    return LLVMBuildAnd(x->s.b, plus(x, v, num(x, multiple - 1)), num(x, -(int64_t)multiple), "");
}

static void make_pack(Gemm *x, V to, V from, V stride, V rows, V cols)
{
    V full = is(x, LLVMIntEQ, cols, num(x, panel(x)));
    GenLoop r = each(x, num(x, 0), rows, 1);
    V src = element(x, from, times(x, r.i, stride)), dst = element(x, to, times(x, r.i, num(x, panel(x))));
    LLVMBasicBlockRef part = gen_block(&x->s, "edge"), whole = gen_block(&x->s, "inside"),
                      done = gen_block(&x->s, "packed");
    LLVMBuildCondBr(x->s.b, full, whole, part);
    LLVMPositionBuilderAtEnd(x->s.b, whole);
    for (uint32_t j = 0; j < panel(x); j += x->g.lanes)
        gen_store(&x->g, load(x, element(x, src, num(x, j))), element(x, dst, num(x, j)), x->bytes);
    LLVMBuildBr(x->s.b, done);
    LLVMPositionBuilderAtEnd(x->s.b, part);
    GenLoop c = each(x, num(x, 0), cols, x->g.lanes);
    V count = least(x, minus(x, cols, c.i), num(x, x->g.lanes)), mask = gen_first(&x->g, count);
    V v = gen_load_first(&x->g, x->one, element(x, src, c.i), x->bytes, mask, count);
    gen_store(&x->g, v, element(x, dst, c.i), x->bytes);
    end(x, &c);
    c = each(x, up_to(x, cols, x->g.lanes), up_to(x, cols, cast_vectors[x->g.level] * x->g.lanes), x->g.lanes);
    gen_store(&x->g, zero(x), element(x, dst, c.i), x->bytes);
    end(x, &c);
    gen_enter(&x->s, done);
    end(x, &r);
}

/* Where an operand's panel is now, and its strides: packed, or in its place. */
typedef struct Operand {
    V at, row, col;
} Operand;

static Operand packed_if(const Gemm *x, V cond, Operand place, Operand packed, V stride, V rows, V cols)
{
    LLVMBasicBlockRef before = LLVMGetInsertBlock(x->s.b), yes = gen_block(&x->s, "pack"),
                      done = gen_block(&x->s, "ready");
    LLVMBuildCondBr(x->s.b, cond, yes, done);
    LLVMPositionBuilderAtEnd(x->s.b, yes);
    pack(x, packed.at, place.at, stride, rows, cols);
    gen_enter(&x->s, done);
    V from[3] = {place.at, place.row, place.col}, to[3] = {packed.at, packed.row, packed.col}, phi[3];
    for (int i = 0; i < 3; i++) {
        phi[i] = LLVMBuildPhi(x->s.b, LLVMTypeOf(from[i]), "");
        LLVMAddIncoming(phi[i], (V[]){from[i], to[i]}, (LLVMBasicBlockRef[]){before, yes}, 2);
    }
    return (Operand){phi[0], phi[1], phi[2]};
}

/* ---- many rows ---- */

/* All tiles of a panel: A has mc rows, B nc columns, C starts at their corner. */
static void cast_panel(const Gemm *x, Operand a, Operand b, V c, V mc, V nc, V kb, V kc)
{
    static const uint32_t rows[CPU_NLEVEL] = {4, 6, 4};
    uint32_t nrow = rows[x->g.level], nvec = cast_vectors[x->g.level];
    GenLoop j = each(x, num(x, 0), nc, nvec * x->g.lanes);
    GenLoop i = each(x, num(x, 0), mc, nrow);
    CastTile t = {.nrow = nrow,
                  .nvec = nvec,
                  .a_col = a.col,
                  .b = element(x, b.at, j.i),
                  .b_row = b.row,
                  .c = element(x, c, plus(x, times(x, i.i, x->c_row), j.i)),
                  .rows = minus(x, mc, i.i),
                  .width = minus(x, nc, j.i),
                  .keeps = keeps_old(x, kb)};
    for (uint32_t r = 0; r < nrow; r++) {
        V row = r ? least(x, plus(x, i.i, num(x, r)), minus(x, mc, num(x, 1))) : i.i;
        t.a[r] = element(x, a.at, times(x, row, a.row));
    }
    cast_tile(x, &t, kc);
    end(x, &i);
    end(x, &j);
}

static void cast_rows(const Gemm *x, V kb, V kc)
{
    V one = num(x, 1), P = num(x, panel(x)), a_buffer = stack(x, panel_size(x)), b_buffer = stack(x, panel_size(x));
    V pack_a = LLVMBuildAnd(x->s.b, is(x, LLVMIntEQ, x->a_row, one), is(x, LLVMIntNE, x->a_col, one), "");
    V step = gen_select(&x->s, pack_a, P, num(x, CAST_ROWS));
    GenLoop i = gen_loop(&x->s, num(x, 0), x->m, step, NULL, 0);
    V mc = least(x, minus(x, x->m, i.i), step);
    Operand a = {element(x, x->a, plus(x, times(x, i.i, x->a_row), times(x, kb, x->a_col))), x->a_row, x->a_col};
    a = packed_if(x, pack_a, a, (Operand){a_buffer, one, P}, x->a_col, kc, mc);
    GenLoop j = each(x, num(x, 0), x->n, panel(x));
    V nc = least(x, minus(x, x->n, j.i), P);
    V pack_b = LLVMBuildOr(x->s.b, is(x, LLVMIntSGE, mc, num(x, PACK_FROM)), is(x, LLVMIntSLT, nc, P), "");
    Operand b = {element(x, x->b, plus(x, times(x, kb, x->b_row), j.i)), x->b_row, one};
    b = packed_if(x, pack_b, b, (Operand){b_buffer, P, one}, x->b_row, kc, nc);
    cast_panel(x, a, b, element(x, x->c, plus(x, times(x, i.i, x->c_row), j.i)), mc, nc, kb, kc);
    end(x, &j);
    gen_loop_end(&x->s, &i, NULL);
}

static void make_cast(Gemm *x)
{
    V kc;
    GenLoop kb = each_block(x, CAST_BYTES, &kc);
    either(x, is(x, LLVMIntEQ, x->m, num(x, 1)), cast_one_row, cast_rows, kb.i, kc);
    end(x, &kb);
}

/* ---- the plain form ---- */

static void make_plain(Gemm *x)
{
    GenLoop i = each(x, num(x, 0), x->m, 1), j = each(x, num(x, 0), x->n, 1);
    V start = LLVMConstNull(x->one);
    GenLoop k = gen_loop(&x->s, num(x, 0), x->k, num(x, 1), &start, 1);
    V a = element(x, x->a, plus(x, times(x, i.i, x->a_row), times(x, k.i, x->a_col)));
    V b = element(x, x->b, plus(x, times(x, k.i, x->b_row), times(x, j.i, x->b_col)));
    V next = gen_fma(&x->s, gen_load(&x->s, x->one, a, x->bytes), gen_load(&x->s, x->one, b, x->bytes), k.carried[0]);
    gen_loop_end(&x->s, &k, &next);
    V at = element(x, x->c, plus(x, times(x, i.i, x->c_row), times(x, j.i, x->c_col)));
    gen_store(&x->s, with_old(&x->s, x->add, gen_load(&x->s, x->one, at, x->bytes), k.result[0]), at, x->bytes);
    end(x, &j);
    end(x, &i);
}

/* ---- functions ---- */

static V new_function(const Gemm *x, const char *name, LLVMTypeRef type)
{
    V fn = LLVMAddFunction(x->s.module, name, type);
    unsigned noinline = LLVMGetEnumAttributeKindForName("noinline", 8),
             noalias = LLVMGetEnumAttributeKindForName("noalias", 7);
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    cpu_set_target(x->s.context, fn, x->s.level);
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(x->s.context, noinline, 0));
    for (unsigned i = 0; i < LLVMCountParams(fn); i++)
        if (LLVMGetTypeKind(LLVMTypeOf(LLVMGetParam(fn, i))) == LLVMPointerTypeKind)
            LLVMAddAttributeAtIndex(fn, i + 1, LLVMCreateEnumAttribute(x->s.context, noalias, 0));
    return fn;
}

/* The same generator with a builder of its own, at the start of fn. */
static Gemm inside(const Gemm *x, V fn)
{
    Gemm in = *x;
    in.fn = fn;
    in.s.b = in.g.b = LLVMCreateBuilderInContext(x->s.context);
    LLVMPositionBuilderAtEnd(in.s.b, LLVMAppendBasicBlockInContext(x->s.context, fn, "entry"));
    return in;
}

static void finish(Gemm *x)
{
    LLVMBuildRetVoid(x->s.b);
    LLVMDisposeBuilder(x->s.b);
}

static V pack_function(const Gemm *x)
{
    char name[64];
    snprintf(name, sizeof name, "gemm.pack.%s.%s", x->s.f64 ? "f64" : "f32", cpu_level_info(x->s.level)->text);
    V fn = LLVMGetNamedFunction(x->s.module, name);
    if (fn)
        return fn;
    LLVMTypeRef ptr = gen_ptr(&x->s), i64 = gen_int1(&x->s, 64);
    fn = new_function(
        x, name, LLVMFunctionType(LLVMVoidTypeInContext(x->s.context), (LLVMTypeRef[]){ptr, ptr, i64, i64, i64}, 5, 0));
    Gemm in = inside(x, fn);
    make_pack(&in, LLVMGetParam(fn, 0), LLVMGetParam(fn, 1), LLVMGetParam(fn, 2), LLVMGetParam(fn, 3),
              LLVMGetParam(fn, 4));
    finish(&in);
    return fn;
}

/* Parameters stand in the order of Gemm's members. */
LLVMTypeRef cpu_gemm_type(const CpuGen *g)
{
    LLVMTypeRef param[GEMM_NPARAM];
    for (int i = 0; i < GEMM_NPARAM; i++)
        param[i] = i == 3 || i == 6 || i == 9 ? gen_ptr(g) : gen_int1(g, i == 12 ? 1 : 64);
    return LLVMFunctionType(LLVMVoidTypeInContext(g->context), param, GEMM_NPARAM, false);
}

static V declare_form(const Gemm *x, const char *name)
{
    return new_function(x, name, cpu_gemm_type(&x->s));
}

static void define_form(const Gemm *x, V fn, void (*make)(Gemm *x))
{
    Gemm in = inside(x, fn);
    V *to[GEMM_NPARAM] = {&in.m,     &in.n,     &in.k, &in.a,     &in.a_row, &in.a_col, &in.b,
                     &in.b_row, &in.b_col, &in.c, &in.c_row, &in.c_col, &in.add};
    for (unsigned i = 0; i < GEMM_NPARAM; i++)
        *to[i] = LLVMGetParam(fn, i);
    make(&in);
    finish(&in);
}

LLVMValueRef cpu_gemm_function(const CpuGen *g, GemmForm form)
{
    static const struct {
        const char *name;
        void (*make)(Gemm *x);
    } forms[GEMM_NFORM] = {{"dot", make_dot}, {"broadcast", make_cast}, {"plain", make_plain}};
    char name[64];
    snprintf(name, sizeof name, "gemm.%s.%s.%s", forms[form].name, g->f64 ? "f64" : "f32",
             cpu_level_info(g->level)->text);
    V fn = LLVMGetNamedFunction(g->module, name);
    if (fn)
        return fn;
    Gemm x = {.g = *g, .s = *g, .one = gen_real1(g), .bytes = g->f64 ? 8 : 4};
    x.g.lanes = cpu_width(g);
    x.s.lanes = 1;
    const ReadyCode *code = cpu_ready_code(name);
    fn = declare_form(&x, name);
    if (code)
        cpu_use_code(g, fn, code);
    else
        define_form(&x, fn, forms[form].make);
    return fn;
}

/* ---- choice ---- */

static bool is_one(V v)
{
    return LLVMIsAConstantInt(v) && LLVMConstIntGetSExtValue(v) == 1;
}

/* C transposed is B transposed times A transposed. */
static GemmArg transposed(const GemmArg *t)
{
    return (GemmArg){.m = t->n,
                     .n = t->m,
                     .k = t->k,
                     .a = t->b,
                     .a_row = t->b_col,
                     .a_col = t->b_row,
                     .b = t->a,
                     .b_row = t->a_col,
                     .b_col = t->a_row,
                     .c = t->c,
                     .c_row = t->c_col,
                     .c_col = t->c_row};
}

GemmCall cpu_gemm_call(const CpuGen *g, const GemmArg *arg, bool add)
{
    GemmForm form = GEMM_PLAIN;
    if (is_one(arg->a_col) && is_one(arg->b_row))
        form = GEMM_DOT;
    else if ((is_one(arg->b_col) && is_one(arg->c_col)) || (is_one(arg->a_row) && is_one(arg->c_row)))
        form = GEMM_BROADCAST;
    bool turn = (form == GEMM_DOT && !is_one(arg->c_col) && is_one(arg->c_row)) ||
                (form == GEMM_BROADCAST && !(is_one(arg->b_col) && is_one(arg->c_col)));
    GemmArg t = turn ? transposed(arg) : *arg;
    V adds = LLVMConstInt(gen_int1(g, 1), add, false);
    return (GemmCall){cpu_gemm_function(g, form),
                      {t.m, t.n, t.k, t.a, t.a_row, t.a_col, t.b, t.b_row, t.b_col, t.c, t.c_row, t.c_col, adds}};
}

void cpu_gemm(const CpuGen *g, const GemmArg *arg, bool add)
{
    GemmCall call = cpu_gemm_call(g, arg, add);
    LLVMBuildCall2(g->b, cpu_gemm_type(g), call.fn, call.param, GEMM_NPARAM, "");
}
