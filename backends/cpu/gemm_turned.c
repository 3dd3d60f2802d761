/* The form `turned` of matrix products (gemm.c): A and B run along k, as in `dot`, but there are few rows of A, as many for all
 * sizes: the places of a chunk.
 *
 * Adding up lanes takes as long as multiplying, where k is short. So a vector holds W rows of A for one k: A is turned once, two vectors
 * of rows at a time, and what the elements of B are multiplied by lies side by side. A tile of the result has so many rows, and as many
 * columns as can be turned together; where C runs along n it is turned back before it is stored. */
#include "backends/cpu/gemm_parts.h"

enum { TURNED_BYTES = 1024 /* of k in one block */, WIDE = 2 /* vectors of rows */ };

/* Columns of a tile, and rows that are turned together. */
static uint32_t across(const Gemm *x)
{
    return x->g.lanes < MAXROWS ? x->g.lanes : MAXROWS;
}

/* Of n vectors, each square of n lanes side by side: rows become columns. Blocks of `half` lanes are exchanged between vectors that
 * are `half` apart, for each power of two below n. */
static void turn(const Gemm *x, V *v, uint32_t n)
{
    uint32_t W = x->g.lanes;
    for (uint32_t half = 1; half < n; half *= 2)
        for (uint32_t i = 0; i < n; i++) {
            int first[GEN_MAXLANES], second[GEN_MAXLANES];
            if (i & half)
                continue;
            for (uint32_t l = 0; l < W; l++) {
                first[l] = (int)(l & half ? W + l - half : l);
                second[l] = (int)(l & half ? W + l : l + half);
            }
            V a = v[i], b = v[i + half];
            v[i] = gen_shuffle(&x->g, a, b, first, W);
            v[i + half] = gen_shuffle(&x->g, a, b, second, W);
        }
}

/* ---- rows of A ---- */

static V load_row(const Gemm *x, V row, V k, V left)
{
    V at = element(x, row, k);
    return left ? gen_load_first(&x->g, x->one, at, x->bytes, gen_first(&x->g, left), left) : load(x, at);
}

/* A panel of A: `vectors` times W of its rows, from i on, as [k][rows]. */
typedef struct Panel {
    V at, i;
    uint32_t vectors;
    V row[GEN_MAXLANES]; /* pointers into A; beyond the last row it is repeated */
} Panel;

/* W elements of k, from `at` on, of the rows r..r+n of the panel; `left`: so many, NULL for all. */
static void turn_rows(const Gemm *x, const Panel *p, uint32_t r, V at, V left)
{
    uint32_t W = x->g.lanes, n = across(x);
    V v[MAXROWS];
    CpuGen some = x->s;
    some.lanes = n;
    for (uint32_t i = 0; i < n; i++)
        v[i] = load_row(x, p->row[r + i], at, left);
    turn(x, v, n);
    for (uint32_t l = 0; l < W; l++) {
        V place = plus(x, times(x, plus(x, at, num(x, l)), num(x, p->vectors * W)), num(x, r));
        gen_store(&some, gen_part(&some, v[l % n], l / n * n), element(x, p->at, place), x->bytes);
    }
}

static void turn_panel(const Gemm *x, Panel *p, V kb, V kc)
{
    uint32_t W = x->g.lanes, n = p->vectors * W;
    V last = minus(x, x->m, num(x, 1)), whole = LLVMBuildAnd(x->s.b, kc, num(x, -(int64_t)W), "");
    for (uint32_t r = 0; r < n; r++)
        p->row[r] = element(x, x->a, plus(x, times(x, least(x, plus(x, p->i, num(x, r)), last), x->a_row), kb));
    for (int rest = 0; rest < 2; rest++) {
        GenLoop k = each(x, rest ? whole : num(x, 0), rest ? kc : whole, W);
        for (uint32_t r = 0; r < n; r += across(x))
            turn_rows(x, p, r, k.i, rest ? minus(x, kc, k.i) : NULL);
        end(x, &k);
    }
}

/* ---- tiles ---- */

typedef struct Tile {
    const Panel *panel;
    V j;          /* its first column in C */
    V b[MAXROWS]; /* pointers to its columns of B; beyond the end, the last is repeated */
    V keeps;      /* add to C */
} Tile;

/* acc: by vector of rows, by column */
static void tile_sums(const Gemm *x, const Tile *t, V kc, V *acc)
{
    uint32_t n = across(x), W = x->g.lanes, vectors = t->panel->vectors;
    V next[WIDE * MAXROWS], rows[WIDE];
    for (uint32_t i = 0; i < vectors * n; i++)
        acc[i] = zero(x);
    GenLoop k = gen_loop(&x->s, num(x, 0), kc, num(x, 1), acc, vectors * n);
    for (uint32_t v = 0; v < vectors; v++)
        rows[v] = load(x, element(x, t->panel->at, plus(x, times(x, k.i, num(x, vectors * W)), num(x, v * W))));
    for (uint32_t c = 0; c < n; c++) {
        V one = gen_splat(&x->g, gen_load(&x->s, x->one, element(x, t->b[c], k.i), x->bytes));
        for (uint32_t v = 0; v < vectors; v++)
            next[v * n + c] = gen_fma(&x->g, one, rows[v], k.carried[v * n + c]);
    }
    gen_loop_end(&x->s, &k, next);
    memcpy(acc, k.result, vectors * n * sizeof *acc);
}

/* C runs along m: a column of the tile lies side by side. */
static void store_columns(const Gemm *x, const Tile *t, V i, const V *acc)
{
    for (uint32_t c = 0; c < across(x); c++) {
        V at = element(x, x->c, plus(x, i, times(x, plus(x, t->j, num(x, c)), x->c_col)));
        gen_store(&x->g, with_old(&x->g, t->keeps, load(x, at), acc[c]), at, x->bytes);
    }
}

/* C runs along n: so does a row, once it is turned. */
static void store_rows(const Gemm *x, const Tile *t, V i, const V *acc)
{
    uint32_t n = across(x), W = x->g.lanes;
    CpuGen some = x->s;
    V turned[MAXROWS];
    some.lanes = n;
    memcpy(turned, acc, n * sizeof *turned);
    turn(x, turned, n);
    for (uint32_t r = 0; r < W; r++) {
        V at = element(x, x->c, plus(x, times(x, plus(x, i, num(x, r)), x->c_row), t->j));
        V v = gen_part(&some, turned[r % n], r / n * n);
        gen_store(&some, with_old(&some, t->keeps, gen_load(&some, gen_real(&some), at, x->bytes), v), at, x->bytes);
    }
}

/* At the edge of C: through a buffer, element by element. */
static void store_elements(const Gemm *x, const Tile *t, V i, const V *acc)
{
    uint32_t n = across(x), W = x->g.lanes;
    V buffer = stack(x, n * W);
    for (uint32_t c = 0; c < n; c++)
        gen_store(&x->g, acc[c], element(x, buffer, num(x, c * W)), x->bytes);
    GenLoop c = each(x, num(x, 0), least(x, minus(x, x->n, t->j), num(x, n)), 1);
    GenLoop r = each(x, num(x, 0), least(x, minus(x, x->m, i), num(x, W)), 1);
    V row = times(x, plus(x, i, r.i), x->c_row), at = element(x, x->c, plus(x, row, times(x, plus(x, t->j, c.i), x->c_col)));
    V sum = gen_load(&x->s, x->one, element(x, buffer, plus(x, times(x, c.i, num(x, W)), r.i)), x->bytes);
    gen_store(&x->s, with_old(&x->s, t->keeps, gen_load(&x->s, x->one, at, x->bytes), sum), at, x->bytes);
    end(x, &r);
    end(x, &c);
}

/* The rows i..i+W of a tile. */
static void store_vector(const Gemm *x, const Tile *t, V i, const V *acc)
{
    V rows = is(x, LLVMIntSLE, plus(x, i, num(x, x->g.lanes)), x->m), columns = is(x, LLVMIntSLE, plus(x, t->j, num(x, across(x))), x->n);
    V whole = LLVMBuildAnd(x->s.b, rows, columns, "");
    V along_m = LLVMBuildAnd(x->s.b, whole, is(x, LLVMIntEQ, x->c_row, num(x, 1)), "");
    V along_n = LLVMBuildAnd(x->s.b, whole, is(x, LLVMIntEQ, x->c_col, num(x, 1)), "");
    GenElse first = gen_if_else(&x->s, along_n);
    store_rows(x, t, i, acc);
    gen_else(&x->s, first);
    GenElse second = gen_if_else(&x->s, along_m);
    store_columns(x, t, i, acc);
    gen_else(&x->s, second);
    store_elements(x, t, i, acc);
    gen_end_else(&x->s, second);
    gen_end_else(&x->s, first);
}

static void tiles(const Gemm *x, const Panel *p, V kb, V kc)
{
    uint32_t n = across(x);
    V acc[WIDE * MAXROWS], last = minus(x, x->n, num(x, 1));
    GenLoop j = each(x, num(x, 0), x->n, n);
    Tile t = {.panel = p, .j = j.i, .keeps = keeps_old(x, kb)};
    for (uint32_t c = 0; c < n; c++) {
        V column = c ? least(x, plus(x, j.i, num(x, c)), last) : j.i;
        t.b[c] = element(x, x->b, plus(x, times(x, column, x->b_col), kb));
    }
    tile_sums(x, &t, kc, acc);
    for (uint32_t v = 0; v < p->vectors; v++)
        store_vector(x, &t, plus(x, p->i, num(x, v * x->g.lanes)), acc + v * n);
    end(x, &j);
}

/* From `from` to `to` in panels of so many vectors. */
static void panels(const Gemm *x, V from, V to, uint32_t vectors, V memory, V kb, V kc)
{
    GenLoop i = each(x, from, to, vectors * x->g.lanes);
    Panel p = {.at = memory, .i = i.i, .vectors = vectors};
    turn_panel(x, &p, kb, kc);
    tiles(x, &p, kb, kc);
    end(x, &i);
}

void gemm_make_turned(Gemm *x)
{
    V kc;
    GenLoop kb = each_block(x, TURNED_BYTES, &kc);
    V memory = stack(x, (TURNED_BYTES / x->bytes + x->g.lanes) * WIDE * x->g.lanes);
    V whole = LLVMBuildAnd(x->s.b, x->m, num(x, -(int64_t)(WIDE * x->g.lanes)), "");
    panels(x, num(x, 0), whole, WIDE, memory, kb.i, kc);
    panels(x, whole, x->m, 1, memory, kb.i, kc);
    end(x, &kb);
}
