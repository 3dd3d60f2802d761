/* The form `dot` of matrix products (gemm.c): A and B run along k, and so do the lanes. */
#include "backends/cpu/gemm_parts.h"

/* ---- adding the lanes of many accumulators at once ---- */

/* Both vectors hold groups of `size` lanes. Gives groups of the sums of halves: u's in the lower half of each group, v's in the
 * upper one. One of the two operands takes lanes from where they are, which costs less than moving them. */
static V fold_pair(const Gemm *x, V u, V v, uint32_t size)
{
    int stay[GEN_MAXLANES], move[GEN_MAXLANES];
    uint32_t W = x->g.lanes, half = size / 2;
    for (uint32_t i = 0; i < W; i++) {
        bool low = i % size < half;
        stay[i] = (int)(low ? i : W + i);
        move[i] = (int)(low ? i + half : W + i - half);
    }
    return gen_add(&x->g, gen_shuffle(&x->g, u, v, stay, W), gen_shuffle(&x->g, u, v, move, W));
}

/* Folds 2^i vectors with groups of `size` lanes into one, whose groups hold their sums in the order of the list: the lists are
 * halved, not taken pair by pair, because the first fold decides the upper half of a group. */
static V fold(const Gemm *x, V *v, uint32_t n, uint32_t size)
{
    for (; n > 1; n /= 2, size /= 2)
        for (uint32_t i = 0; i < n / 2; i++)
            v[i] = fold_pair(x, v[i], v[n / 2 + i], size);
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
                of_col[j] = fold(x, of_row, R, W);
            }
            V all = fold(x, of_col, P, P);
            for (uint32_t i = 0; i < R && r + i < nrow; i++) {
                int lane[4];
                for (uint32_t j = 0; j < P; j++)
                    lane[j] = (int)(i * P + j);
                piece[r + i][c / P] = R == 1 ? all : gen_shuffle(&x->g, all, all, lane, P);
            }
        }
}

/* ---- tiles ---- */

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
    dot_sums(x, t, kc, acc);
    lane_sums(x, acc, t->nrow, t->ncol, piece);
    GenElse i = gen_if_else(&x->s, is_whole(x, t));
    store_pieces(x, t, piece);
    gen_else(&x->s, i);
    store_elements(x, t, piece);
    gen_end_else(&x->s, i);
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
    static const uint32_t nrow[CPU_NLEVEL] = {2, 4, 4}, ncol[CPU_NLEVEL] = {4, 3, 4};
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

static void swap_if(const Gemm *x, V cond, V *a, V *b)
{
    V p = gen_select(&x->s, cond, *b, *a), q = gen_select(&x->s, cond, *a, *b);
    *a = p, *b = q;
}

/* The two sides play the same part; a single column is made a single row. */
void gemm_make_dot(Gemm *x)
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
