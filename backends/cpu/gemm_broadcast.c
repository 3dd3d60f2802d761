/* The form `broadcast` of matrix products (gemm.c): C runs along n, and so do the lanes. B is packed where it does not.
 */
#include "backends/cpu/gemm_parts.h"

enum {
    CAST_BYTES = 512,  /* of k in one block */
    PANEL_BYTES = 256, /* of n in a packed panel of B, of m in one of A */
    CAST_ROWS = 256,   /* rows of A, when it is not packed */
    PACK_FROM = 48, /* rows from which packing B pays where it need not be */
};

const uint32_t gemm_cast_vectors[CPU_NLEVEL] = {2, 2, 4}; /* divide a panel */

void gemm_tile_step(const Gemm *x, const CastTile *t, V at, const V *vec, const V *old, V *next)
{
    for (uint32_t r = 0; r < t->nrow; r++) {
        V v = gen_splat(&x->g, gen_load(&x->s, x->one, element(x, t->a[r], at), x->bytes));
        for (uint32_t j = 0; j < t->nvec; j++)
            next[r * t->nvec + j] = gen_fma(&x->g, v, vec[j], old[r * t->nvec + j]);
    }
}

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
    gemm_tile_step(x, t, at, vec, l.carried, next);
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

void gemm_store_tile(const Gemm *x, const CastTile *t, const V *acc)
{
    V columns = is(x, LLVMIntSGE, t->width, num(x, t->nvec * x->g.lanes)),
      rows = is(x, LLVMIntSGE, t->rows, num(x, t->nrow));
    GenElse i = gen_if_else(&x->s, LLVMBuildAnd(x->s.b, rows, columns, ""));
    cast_store_whole(x, t, acc);
    gen_else(&x->s, i);
    cast_store_part(x, t, acc);
    gen_end_else(&x->s, i);
}

static void cast_tile(const Gemm *x, const CastTile *t, V kc)
{
    V acc[MAXACC];
    cast_sums(x, t, kc, acc);
    gemm_store_tile(x, t, acc);
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

static uint32_t panel(const Gemm *x)
{
    return PANEL_BYTES / x->bytes;
}

static uint32_t panel_size(const Gemm *x)
{
    return panel(x) * (CAST_BYTES / x->bytes);
}

/* The next multiple of a power of two. */
static V up_to(const Gemm *x, V v, uint32_t multiple)
{
    return LLVMBuildAnd(x->s.b, plus(x, v, num(x, multiple - 1)), num(x, -(int64_t)multiple), "");
}

/* Row r, element by element: its columns do not lie side by side. */
static void pack_apart(const Gemm *x, V dst, V src, V col_stride, V cols)
{
    GenLoop c = each(x, num(x, 0), up_to(x, cols, gemm_cast_vectors[x->g.level] * x->g.lanes), x->g.lanes);
    gen_store(&x->g, zero(x), element(x, dst, c.i), x->bytes);
    end(x, &c);
    c = each(x, num(x, 0), cols, 1);
    V v = gen_load(&x->s, x->one, element(x, src, times(x, c.i, col_stride)), x->bytes);
    gen_store(&x->s, v, element(x, dst, c.i), x->bytes);
    end(x, &c);
}

static void pack_dense(const Gemm *x, V dst, V src, V cols)
{
    GenElse full = gen_if_else(&x->s, is(x, LLVMIntEQ, cols, num(x, panel(x))));
    for (uint32_t j = 0; j < panel(x); j += x->g.lanes)
        gen_store(&x->g, load(x, element(x, src, num(x, j))), element(x, dst, num(x, j)), x->bytes);
    gen_else(&x->s, full);
    GenLoop c = each(x, num(x, 0), cols, x->g.lanes);
    V count = least(x, minus(x, cols, c.i), num(x, x->g.lanes)), mask = gen_first(&x->g, count);
    V v = gen_load_first(&x->g, x->one, element(x, src, c.i), x->bytes, mask, count);
    gen_store(&x->g, v, element(x, dst, c.i), x->bytes);
    end(x, &c);
    c = each(x, up_to(x, cols, x->g.lanes), up_to(x, cols, gemm_cast_vectors[x->g.level] * x->g.lanes), x->g.lanes);
    gen_store(&x->g, zero(x), element(x, dst, c.i), x->bytes);
    end(x, &c);
    gen_end_else(&x->s, full);
}

static void make_pack(const Gemm *x, V to, V from, V row_stride, V col_stride, V rows, V cols)
{
    GenLoop r = each(x, num(x, 0), rows, 1);
    V src = element(x, from, times(x, r.i, row_stride)), dst = element(x, to, times(x, r.i, num(x, panel(x))));
    GenElse dense = gen_if_else(&x->s, is(x, LLVMIntEQ, col_stride, num(x, 1)));
    pack_dense(x, dst, src, cols);
    gen_else(&x->s, dense);
    pack_apart(x, dst, src, col_stride, cols);
    gen_end_else(&x->s, dense);
    end(x, &r);
}

static V pack_function(const Gemm *x)
{
    char name[64];
    snprintf(name, sizeof name, "gemm.pack.%s.%s", x->s.f64 ? "f64" : "f32", cpu_level_info(x->s.level)->text);
    V fn = LLVMGetNamedFunction(x->s.module, name);
    if (fn)
        return fn;
    LLVMTypeRef ptr = gen_ptr(&x->s), i64 = gen_int1(&x->s, 64), param[] = {ptr, ptr, i64, i64, i64, i64};
    fn = gemm_new_function(x, name, LLVMFunctionType(LLVMVoidTypeInContext(x->s.context), param, 6, 0));
    Gemm in = gemm_inside(x, fn);
    make_pack(&in, LLVMGetParam(fn, 0), LLVMGetParam(fn, 1), LLVMGetParam(fn, 2), LLVMGetParam(fn, 3),
              LLVMGetParam(fn, 4), LLVMGetParam(fn, 5));
    gemm_finish(&in);
    return fn;
}

static void pack(const Gemm *x, V to, V from, V row_stride, V col_stride, V rows, V cols)
{
    V fn = pack_function(x);
    LLVMBuildCall2(x->s.b, LLVMGlobalGetValueType(fn), fn, (V[]){to, from, row_stride, col_stride, rows, cols}, 6, "");
}

/* Where an operand's panel is now, and its strides: packed, or in its place. */
typedef struct Operand {
    V at, row, col;
} Operand;

static Operand packed_if(const Gemm *x, V cond, Operand place, Operand packed, V stride, V col_stride, V rows, V cols)
{
    LLVMBasicBlockRef before = LLVMGetInsertBlock(x->s.b), yes = gen_block(&x->s, "pack"),
                      done = gen_block(&x->s, "ready");
    LLVMBuildCondBr(x->s.b, cond, yes, done);
    LLVMPositionBuilderAtEnd(x->s.b, yes);
    pack(x, packed.at, place.at, stride, col_stride, rows, cols);
    gen_enter(&x->s, done);
    V from[3] = {place.at, place.row, place.col}, to[3] = {packed.at, packed.row, packed.col}, phi[3];
    for (int i = 0; i < 3; i++) {
        phi[i] = LLVMBuildPhi(x->s.b, LLVMTypeOf(from[i]), "");
        LLVMAddIncoming(phi[i], (V[]){from[i], to[i]}, (LLVMBasicBlockRef[]){before, yes}, 2);
    }
    return (Operand){phi[0], phi[1], phi[2]};
}

/* ---- many rows ---- */

/* What is multiplied into one panel of C. */
typedef struct Panel {
    Operand a, b;
    V c, mc, nc, kb, kc;
} Panel;

/* All its tiles, of nrow rows and nvec vectors. */
static void cast_tiles(const Gemm *x, const Panel *p, uint32_t nrow, uint32_t nvec)
{
    GenLoop j = each(x, num(x, 0), p->nc, nvec * x->g.lanes);
    GenLoop i = each(x, num(x, 0), p->mc, nrow);
    CastTile t = {.nrow = nrow,
                  .nvec = nvec,
                  .a_col = p->a.col,
                  .b = element(x, p->b.at, j.i),
                  .b_row = p->b.row,
                  .c = element(x, p->c, plus(x, times(x, i.i, x->c_row), j.i)),
                  .rows = minus(x, p->mc, i.i),
                  .width = minus(x, p->nc, j.i),
                  .keeps = keeps_old(x, p->kb)};
    for (uint32_t r = 0; r < nrow; r++) {
        V row = r ? least(x, plus(x, i.i, num(x, r)), minus(x, p->mc, num(x, 1))) : i.i;
        t.a[r] = element(x, p->a.at, times(x, row, p->a.row));
    }
    cast_tile(x, &t, p->kc);
    end(x, &i);
    end(x, &j);
}

/* A panel of one vector has tiles that are as narrow and have more rows. */
static V is_narrow(const Gemm *x, V nc)
{
    return is(x, LLVMIntSLE, nc, num(x, x->g.lanes));
}

static void cast_panel(const Gemm *x, const Panel *p)
{
    static const uint32_t rows[CPU_NLEVEL] = {4, 6, 4};
    GenElse narrow = gen_if_else(&x->s, is_narrow(x, p->nc));
    cast_tiles(x, p, MAXROWS, 1);
    gen_else(&x->s, narrow);
    cast_tiles(x, p, rows[x->g.level], gemm_cast_vectors[x->g.level]);
    gen_end_else(&x->s, narrow);
}

/* Whether B's panel is copied: where its rows do not fill their tiles, do not run along n, or are used often. */
static V packs_b(const Gemm *x, V mc, V nc)
{
    V whole = gen_select(&x->s, is_narrow(x, nc), num(x, x->g.lanes), num(x, panel(x)));
    V part = is(x, LLVMIntSLT, nc, whole), often = is(x, LLVMIntSGE, mc, num(x, PACK_FROM));
    return LLVMBuildOr(x->s.b, LLVMBuildOr(x->s.b, part, often, ""), is(x, LLVMIntNE, x->b_col, num(x, 1)), "");
}

static void cast_rows(const Gemm *x, V kb, V kc)
{
    V one = num(x, 1), P = num(x, panel(x)), a_buffer = stack(x, panel_size(x)), b_buffer = stack(x, panel_size(x));
    V pack_a = LLVMBuildAnd(x->s.b, is(x, LLVMIntEQ, x->a_row, one), is(x, LLVMIntNE, x->a_col, one), "");
    V step = gen_select(&x->s, pack_a, P, num(x, CAST_ROWS));
    GenLoop i = gen_loop(&x->s, num(x, 0), x->m, step, NULL, 0);
    V mc = least(x, minus(x, x->m, i.i), step);
    Operand a = {element(x, x->a, plus(x, times(x, i.i, x->a_row), times(x, kb, x->a_col))), x->a_row, x->a_col};
    a = packed_if(x, pack_a, a, (Operand){a_buffer, one, P}, x->a_col, one, kc, mc);
    GenLoop j = each(x, num(x, 0), x->n, panel(x));
    V nc = least(x, minus(x, x->n, j.i), P);
    Operand b = {element(x, x->b, plus(x, times(x, kb, x->b_row), times(x, j.i, x->b_col))), x->b_row, one};
    b = packed_if(x, packs_b(x, mc, nc), b, (Operand){b_buffer, P, one}, x->b_row, x->b_col, kc, nc);
    cast_panel(x, &(Panel){a, b, element(x, x->c, plus(x, times(x, i.i, x->c_row), j.i)), mc, nc, kb, kc});
    end(x, &j);
    gen_loop_end(&x->s, &i, NULL);
}

void gemm_make_broadcast(Gemm *x)
{
    V kc;
    GenLoop kb = each_block(x, CAST_BYTES, &kc);
    V in_place = is(x, LLVMIntEQ, x->b_col, num(x, 1)), row = is(x, LLVMIntEQ, x->m, num(x, 1));
    either(x, LLVMBuildAnd(x->s.b, row, in_place, ""), cast_one_row, cast_rows, kb.i, kc);
    end(x, &kb);
}
