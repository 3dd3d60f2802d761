/* Before anything is mapped, fills, copies and products become parallel loops: one element is one iteration. */
#include "backends/nvptx/plan.h"

bool nv_refuse(Map *m, Span at, const char *why)
{
    m->fn->refused = str_of(why);
    m->fn->at = at;
    return false;
}

bool nv_is_scalar(const KStmt *s)
{
    return s->kind == K_LET || s->kind == K_CONST || s->kind == K_SIZE || s->kind == K_GIVEN || s->kind == K_LOAD ||
           s->kind == K_RANDOM;
}

static KStmt *add_loop(Map *m, KBlock *to, KLoopKind kind, Span at, Dim extent)
{
    KVar v = kern_var(m->k, DT_INT, true, STR(""));
    return kern_add(m->k, to, (KStmt){.kind = K_LOOP, .at = at, .loop = {.kind = kind, .var = v, .extent = extent}});
}

static KVar add_load(Map *m, KStmt *loop, KBufId buf, KIndex at)
{
    KVar v = kern_var(m->k, m->k->buf.p[buf].dt, false, STR(""));
    kern_add(m->k, &loop->loop.body, (KStmt){.kind = K_LOAD, .at = loop->at, .mem = {.var = v, .buf = buf, .at = at}});
    return v;
}

static void add_store(Map *m, KStmt *loop, KVar value, KBufId buf, KIndex at, bool add)
{
    kern_add(m->k, &loop->loop.body, (KStmt){.kind = K_STORE, .at = loop->at, .mem = {value, buf, at, add}});
}

static KIndex moved(Map *m, KIndex at, const KStmt *loop, Dim stride)
{
    kern_index_add(m->k, &at, loop->loop.var, stride);
    return at;
}

/* ---- the axes of an array ---- */

/* What others move by in the same array, in elements. */
typedef struct Strides {
    Map *m;
    KBufId buf;
    VEC(Dim) stride;
} Strides;

static void add_stride(Strides *x, Dim stride)
{
    if (stride != DIM_ZERO)
        vec_push(x->m->a, &x->stride, stride);
}

static void see_strides(void *cx, KBufId buf, KIndex *at)
{
    Strides *x = cx;
    for (uint32_t i = 0; buf == x->buf && i < at->n; i++)
        add_stride(x, at->term[i].stride);
}

static void see_view(Strides *x, const KView *v)
{
    if (v->buf != x->buf)
        return;
    add_stride(x, v->row_stride);
    add_stride(x, v->col_stride);
}

static void find_strides(Strides *x, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (kern_body(b->p[i]))
            find_strides(x, kern_body(b->p[i]));
        else
            kern_each_access(b->p[i], see_strides, x);
        if (b->p[i]->kind == K_GEMM) {
            see_view(x, &b->p[i]->gemm.a);
            see_view(x, &b->p[i]->gemm.b);
            see_view(x, &b->p[i]->gemm.c);
        }
    }
}

/* The largest of them that makes a range of so many elements several, if it is a multiple of all others that do. */
static Dim outer_stride(const Strides *x, Dim count)
{
    DimTab *d = x->m->k->dims;
    Dim best = DIM_ONE, times;
    for (uint32_t i = 0; i < x->stride.n; i++)
        if (x->stride.p[i] != count && dim_div(d, count, x->stride.p[i], &times) && dim_div(d, x->stride.p[i], best, &times))
            best = x->stride.p[i];
    return best;
}

/* Elements in a row, as loops over the axes that the array has elsewhere, so that blocks may have pieces of each. Gives the innermost,
 * and adds to both addresses. */
static KStmt *add_range(Map *m, KBlock *to, const KStmt *s, KBufId buf, Dim count, KIndex *first, KIndex *second)
{
    Strides x = {.m = m, .buf = buf};
    KStmt *loop = NULL;
    if (m->serial && count != DIM_ZERO) /* which every stride divides */
        find_strides(&x, m->body);
    for (Dim stride, extent; !loop || count != DIM_ONE; count = stride) {
        bool room = first->n + 1 < K_MAXTERM && second->n + 1 < K_MAXTERM;
        stride = room ? outer_stride(&x, count) : DIM_ONE;
        if (!dim_div(m->k->dims, count, stride, &extent))
            ice("loops: a stride divides what it was found for");
        loop = add_loop(m, loop ? &loop->loop.body : to, K_PARALLEL, s->at, extent);
        kern_index_add(m->k, first, loop->loop.var, stride);
        kern_index_add(m->k, second, loop->loop.var, stride);
    }
    return loop;
}

static void add_fill(Map *m, KBlock *to, const KStmt *s)
{
    KIndex at = s->fill.at, none = {0};
    KStmt *loop = add_range(m, to, s, s->fill.buf, s->fill.count, &at, &none);
    KVar v = kern_var(m->k, m->k->buf.p[s->fill.buf].dt, false, STR(""));
    kern_add(m->k, &loop->loop.body, (KStmt){.kind = K_CONST, .at = s->at, .constant = {v, s->fill.number}});
    add_store(m, loop, v, s->fill.buf, at, false);
}

static void add_copy(Map *m, KBlock *to, const KStmt *s)
{
    KIndex from = s->copy.from, at = s->copy.to;
    KStmt *loop = add_range(m, to, s, s->copy.dst, s->copy.count, &at, &from);
    KVar v = add_load(m, loop, s->copy.src, from);
    add_store(m, loop, v, s->copy.dst, at, false);
}

static KIndex cell(Map *m, const KView *v, const KStmt *row, const KStmt *col)
{
    return moved(m, moved(m, v->at, row, v->row_stride), col, v->col_stride);
}

/* Rows of several places of a batch: the places outside, so that a block can have its part of the batch. Gives the addresses
 * at a place. */
static KBlock *add_places(Map *m, KBlock *to, const KStmt *s, KStmt *at)
{
    DimTab *d = m->k->dims;
    Dim batch = dim_of(d, m->k->batch), places;
    *at = *s;
    if (s->gemm.m == batch || !dim_div(d, s->gemm.m, batch, &places))
        return to;
    KStmt *place = add_loop(m, to, K_PARALLEL, s->at, places);
    at->gemm.m = batch;
    at->gemm.a.at = moved(m, s->gemm.a.at, place, dim_mul(d, s->gemm.a.row_stride, batch));
    at->gemm.c.at = moved(m, s->gemm.c.at, place, dim_mul(d, s->gemm.c.row_stride, batch));
    return &place->loop.body;
}

/* For the variables of the loops, in the addresses of a product's elements. */
static bool has_room(const KStmt *s)
{
    return s->gemm.a.at.n + 3 <= K_MAXTERM && s->gemm.b.at.n + 2 <= K_MAXTERM && s->gemm.c.at.n + 3 <= K_MAXTERM;
}

/* Of rounded factors, by the architecture's units for that. */
static bool is_tiled(const Map *m, const KStmt *s)
{
    return s->gemm.factor && nv_multiplies(m->plan->arch, s->gemm.factor);
}

static NvTile *add_tile(Map *m, const KStmt *s)
{
    NvTile *tile = NEW(m->a, NvTile);
    *tile = (NvTile){.factor = is_tiled(m, s) ? s->gemm.factor : FACTOR_REAL};
    vec_push(m->a, &m->plan->tile, tile);
    return tile;
}

/* Columns are the inner loop: neighbours there are neighbours in memory, as a rule. Tiles and panels want as many rows as there are,
 * unless something around keeps places apart anyway. */
static void add_product(Map *m, KBlock *to, const KStmt *whole)
{
    KStmt at = *whole, *s = &at;
    NvTile *tile = add_tile(m, whole);
    KBlock *in = m->apart ? add_places(m, to, whole, s) : to;
    KStmt *row = add_loop(m, in, K_PARALLEL, s->at, s->gemm.m);
    KStmt *col = add_loop(m, &row->loop.body, K_PARALLEL, s->at, s->gemm.n);
    KVar sum = kern_var(m->k, DT_REAL, false, STR("")), value = kern_var(m->k, DT_REAL, false, STR(""));
    kern_add(m->k, &col->loop.body, (KStmt){.kind = K_START, .at = s->at, .acc = {sum, RED_SUM, K_NONE}});
    KStmt *depth = add_loop(m, &col->loop.body, K_SERIAL, s->at, s->gemm.k);
    KVar a = add_load(m, depth, s->gemm.a.buf, cell(m, &s->gemm.a, row, depth));
    KVar b = add_load(m, depth, s->gemm.b.buf, cell(m, &s->gemm.b, depth, col));
    const KStmt *mul = kern_add(m->k, &depth->loop.body, (KStmt){.kind = K_LET, .at = s->at, .let = {value, FUN_MUL, {a, b, K_NONE}}});
    kern_add(m->k, &depth->loop.body, (KStmt){.kind = K_UPDATE, .at = s->at, .acc = {sum, RED_SUM, value}});
    add_store(m, col, sum, s->gemm.c.buf, cell(m, &s->gemm.c, row, col), s->gemm.add);
    vec_push(m->a, &m->plan->product, mul);
    tile->row = row, tile->col = col, tile->depth = depth, tile->mul = mul;
    tile->a = depth->loop.body.p[0], tile->b = depth->loop.body.p[1];
    tile->store = col->loop.body.p[col->loop.body.n - 1];
}

/* Whether the caller's arrays have such factors already. Then nobody asked for rounding. */
static bool is_exact(const Map *m, const KStmt *s)
{
    return factor_of_narrow(kern_buf_narrow(m->k, s->gemm.a.buf)) == s->gemm.factor &&
           factor_of_narrow(kern_buf_narrow(m->k, s->gemm.b.buf)) == s->gemm.factor;
}

static bool add_gemm(Map *m, KBlock *to, const KStmt *s)
{
    if (!has_room(s))
        return nv_refuse(m, s->at, "a matrix product whose address depends on too many variables (K_GEMM)");
    if (s->gemm.factor && !is_tiled(m, s) && !is_exact(m, s))
        return nv_refuse(m, s->at, str_c(m->a, str_fmt(m->a, "a matrix product of factors rounded to %s, which %.*s does not have",
                                                       factor_text(s->gemm.factor), STRF(m->plan->arch))));
    add_product(m, to, s);
    return true;
}

/* One statement, and scalars. */
static bool is_alone(const KBlock *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++)
        n += !nv_is_scalar(b->p[i]);
    return n == 1;
}

static bool add_stmt(Map *m, KBlock *to, KStmt *s)
{
    switch (s->kind) {
    case K_FILL: add_fill(m, to, s); return true;
    case K_COPY: add_copy(m, to, s); return true;
    case K_GEMM: return add_gemm(m, to, s);
    case K_PACK: return nv_refuse(m, s->at, "a matrix copied for the products of a CPU (K_PACK)");
    case K_TASKS: return nv_refuse(m, s->at, "tasks for the threads of a CPU (K_TASKS)");
    case K_STRIPS: return nv_refuse(m, s->at, "strips for the caches of a CPU (K_STRIPS)");
    case K_LOOP: {
        bool apart = s->loop.kind == K_SERIAL || !is_alone(&s->loop.body);
        if (m->serial == 0)
            m->body = &s->loop.body;
        m->serial += s->loop.kind == K_SERIAL;
        m->apart += apart;
        if (!nv_loops(m, &s->loop.body))
            return false;
        m->apart -= apart;
        m->serial -= s->loop.kind == K_SERIAL;
        vec_push(m->k->arena, to, s);
        return true;
    }
    default: vec_push(m->k->arena, to, s); return true;
    }
}

bool nv_loops(Map *m, KBlock *b)
{
    KBlock to = {0};
    for (uint32_t i = 0; i < b->n; i++)
        if (!add_stmt(m, &to, b->p[i]))
            return false;
    *b = to;
    return true;
}
