/* The form `packed` of matrix products (gemm.c): A runs along k, B is a copy that was made once for many products.
 *
 * It sums in the order of the form `dot`, so it gives the same bits: of a block of k, lane c of W has the elements c,
 * c + W, c + 2W, ... one after another, and the lanes are added by halving. Here the vectors run along n, a whole
 * tile is one lane at a time, and nothing is added across a vector. The lanes come in the order of their reversed bits:
 * each sum meets its other half as soon as both are there, as carries do in a counter, and waits in memory until then.
 *
 * The copy: panels of as many columns as a tile has; in a panel the blocks of k, in a block the lanes in reversed
 * order, of a lane its k, of each k the panel's columns, zeros where there are none. */
#include "backends/cpu/gemm_parts.h"

/* The lanes of a block of k, from lane 0 on. */
typedef struct Lanes {
    GenLoop l;     /* i: how many came before */
    V lane, count; /* which it is, and how many k it has */
    V first;       /* carried: how many k the lanes before it have */
} Lanes;

static uint32_t halvings(const Gemm *x)
{
    uint32_t n = 0;
    while (1u << n < x->g.lanes)
        n++;
    return n;
}

static V shifted_right(const Gemm *x, V v, uint32_t by)
{
    return LLVMBuildLShr(x->s.b, v, num(x, by), "");
}

static Lanes each_lane(const Gemm *x, V kc)
{
    V start = num(x, 0), W = num(x, x->g.lanes);
    Lanes e = {.l = gen_loop(&x->s, start, W, num(x, 1), &start, 1)};
    V reversed = gen_intrinsic(&x->s, "llvm.bitreverse", gen_int1(&x->s, 64), &e.l.i, 1);
    e.lane = shifted_right(x, reversed, 64 - halvings(x));
    e.count = shifted_right(x, plus(x, minus(x, kc, e.lane), num(x, x->g.lanes - 1)), halvings(x));
    e.first = e.l.carried[0];
    return e;
}

static void end_lane(const Gemm *x, Lanes *e)
{
    V next = plus(x, e->first, e->count);
    gen_loop_end(&x->s, &e->l, &next);
}

static uint32_t panel(const Gemm *x)
{
    return gemm_cast_vectors[x->g.level] * x->g.lanes;
}

/* ---- the copy ---- */

/* A column of a block of k. */
static void copy_column(const Gemm *x, V to, V from, V there, V kc)
{
    Lanes e = each_lane(x, kc);
    GenLoop q = gen_loop(&x->s, num(x, 0), e.count, num(x, 1), NULL, 0);
    V k = plus(x, e.lane, times(x, q.i, num(x, x->g.lanes))), place = times(x, plus(x, e.first, q.i), num(x, panel(x)));
    V v = gen_load(&x->s, x->one, element(x, from, k), x->bytes);
    gen_store(&x->s, gen_select(&x->s, there, v, LLVMConstNull(x->one)), element(x, to, place), x->bytes);
    end(x, &q);
    end_lane(x, &e);
}

void gemm_make_copy(Gemm *x)
{
    V kc, P = num(x, panel(x)), last = minus(x, x->n, num(x, 1));
    GenLoop j = each(x, num(x, 0), x->n, panel(x));
    GenLoop kb = each_block(x, DOT_BYTES, &kc);
    GenLoop col = each(x, num(x, 0), P, 1);
    V at = plus(x, j.i, col.i), there = is(x, LLVMIntSLT, at, x->n);
    V from = element(x, x->b, plus(x, times(x, least(x, at, last), x->b_col), kb.i));
    V block = plus(x, times(x, j.i, x->k), times(x, kb.i, P));
    copy_column(x, element(x, x->c, plus(x, block, col.i)), from, there, kc);
    end(x, &col);
    end(x, &kb);
    end(x, &j);
}

/* ---- tiles ---- */

/* The form `dot` ends with a vector of which a lane beyond the end of k adds 0 * 0. */
static void add_zero_beyond(const Gemm *x, V lane, V kc, V *acc, uint32_t n)
{
    V rest = LLVMBuildAnd(x->s.b, kc, num(x, x->g.lanes - 1), ""), next[MAXACC];
    V beyond = LLVMBuildAnd(x->s.b, is(x, LLVMIntNE, rest, num(x, 0)), is(x, LLVMIntSGE, lane, rest), "");
    V rounds = LLVMBuildZExt(x->s.b, beyond, gen_int1(&x->s, 64), "");
    GenLoop l = gen_loop(&x->s, num(x, 0), rounds, num(x, 1), acc, n);
    for (uint32_t i = 0; i < n; i++)
        next[i] = gen_add(&x->g, l.carried[i], zero(x));
    gen_loop_end(&x->s, &l, next);
    memcpy(acc, l.result, n * sizeof *acc);
}

/* Sums of one lane. */
static void lane_sums(const Gemm *x, const CastTile *t, const Lanes *e, V kc, V *acc)
{
    uint32_t n = t->nrow * t->nvec, W = x->g.lanes;
    V next[MAXACC], vec[8];
    for (uint32_t i = 0; i < n; i++)
        acc[i] = zero(x);
    GenLoop q = gen_loop(&x->s, num(x, 0), e->count, num(x, 1), acc, n);
    V b = element(x, t->b, times(x, plus(x, e->first, q.i), t->b_row)), at = plus(x, e->lane, times(x, q.i, num(x, W)));
    for (uint32_t j = 0; j < t->nvec; j++)
        vec[j] = load(x, element(x, b, num(x, j * W)));
    gemm_tile_step(x, t, at, vec, q.carried, next);
    gen_loop_end(&x->s, &q, next);
    memcpy(acc, q.result, n * sizeof *acc);
    add_zero_beyond(x, e->lane, kc, acc, n);
}

static V waiting_at(const Gemm *x, V waiting, V level, uint32_t i, uint32_t n)
{
    return element(x, waiting, times(x, plus(x, times(x, level, num(x, n)), num(x, i)), num(x, x->g.lanes)));
}

/* Adds every sum that waits for this one, then lets it wait. */
static void meet(const Gemm *x, V waiting, V before, V *acc, uint32_t n)
{
    V next[MAXACC], arg[2] = {LLVMBuildNot(x->s.b, before, ""), LLVMConstInt(gen_int1(&x->s, 1), 0, false)};
    V level = gen_intrinsic(&x->s, "llvm.cttz", gen_int1(&x->s, 64), arg, 2);
    GenLoop l = gen_loop(&x->s, num(x, 0), level, num(x, 1), acc, n);
    for (uint32_t i = 0; i < n; i++)
        next[i] = gen_add(&x->g, load(x, waiting_at(x, waiting, l.i, i, n)), l.carried[i]);
    gen_loop_end(&x->s, &l, next);
    for (uint32_t i = 0; i < n; i++)
        gen_store(&x->g, l.result[i], waiting_at(x, waiting, level, i, n), x->bytes);
}

static void packed_tile(const Gemm *x, const CastTile *t, V kc)
{
    uint32_t n = t->nrow * t->nvec;
    V acc[MAXACC], waiting = stack(x, (halvings(x) + 1) * n * x->g.lanes);
    Lanes e = each_lane(x, kc);
    lane_sums(x, t, &e, kc, acc);
    meet(x, waiting, e.l.i, acc, n);
    end_lane(x, &e);
    for (uint32_t i = 0; i < n; i++)
        acc[i] = load(x, waiting_at(x, waiting, num(x, halvings(x)), i, n));
    gemm_store_tile(x, t, acc);
}

/* ---- all of it ---- */

/* A panel and a block of k. */
typedef struct Panel {
    V b, j, kb, kc, width;
} Panel;

static void packed_rows(const Gemm *x, const Panel *p, V from, V to, uint32_t nrow)
{
    GenLoop i = each(x, from, to, nrow);
    CastTile t = {.nrow = nrow,
                  .nvec = gemm_cast_vectors[x->g.level],
                  .b = p->b,
                  .b_row = num(x, panel(x)),
                  .c = element(x, x->c, plus(x, times(x, i.i, x->c_row), p->j)),
                  .rows = minus(x, to, i.i),
                  .width = p->width,
                  .keeps = keeps_old(x, p->kb)};
    for (uint32_t r = 0; r < nrow; r++) {
        V row = r ? least(x, plus(x, i.i, num(x, r)), minus(x, to, num(x, 1))) : i.i;
        t.a[r] = element(x, x->a, plus(x, times(x, row, x->a_row), p->kb));
    }
    packed_tile(x, &t, p->kc);
    end(x, &i);
}

/* Of m rows, how many go by tiles of 6 so that those of 4 behind them compute the fewest rows in vain. */
static V rows_by_six(const Gemm *x, V m)
{
    V rest = LLVMBuildSRem(x->s.b, m, num(x, 6), ""), all = m, none = minus(x, m, rest);
    V one_less = most(x, minus(x, none, num(x, 6)), num(x, 0));
    V few = is(x, LLVMIntSLE, rest, num(x, 2)),
      exact = LLVMBuildOr(x->s.b, is(x, LLVMIntEQ, rest, num(x, 0)), is(x, LLVMIntEQ, rest, num(x, 5)), "");
    return gen_select(&x->s, exact, all, gen_select(&x->s, few, one_less, none));
}

void gemm_make_packed(Gemm *x)
{
    V kc, P = num(x, panel(x));
    GenLoop kb = each_block(x, DOT_BYTES, &kc);
    GenLoop block = each(x, num(x, 0), x->m, DOT_ROWS);
    V to = least(x, plus(x, block.i, num(x, DOT_ROWS)), x->m);
    V six = plus(x, block.i, rows_by_six(x, minus(x, to, block.i)));
    GenLoop j = each(x, num(x, 0), x->n, panel(x));
    V at = plus(x, times(x, j.i, x->k), times(x, kb.i, P));
    Panel p = {element(x, x->b, at), j.i, kb.i, kc, minus(x, x->n, j.i)};
    packed_rows(x, &p, block.i, six, 6);
    packed_rows(x, &p, six, to, 4);
    end(x, &j);
    end(x, &block);
    end(x, &kb);
}
