/* Several rows at once. A loop over rows, with one short vector loop along each of them that ends in sums,
 *
 *     parallel j { ...; acc = start sum; vector k { ...; update acc sum x }; ...; store y[j] = acc }
 * is made for ROWS values of j side by side: what does not depend on j is loaded once for all of them, no addition waits for the one
 * before, and the lanes of ROWS sums are added up together, in half as many instructions.
 *
 * Each row is added up as if it were alone, in one partial result a lane, and so are the rows that are left over: how many rows there
 * are makes no difference to any of them. Long rows have several vectors at once instead (emit_loop.c), and take their time in
 * other places. Where a condition holds in one row only, most rows are without it. */
#include "backends/cpu/emit.h"

enum { ROWS = 4, MOST_SUMS = 3, LONG = 256 /* elements of a row */ };

typedef struct Rows {
    const KStmt *loop, *along; /* the loop over rows, the one along each */
    VEC(KVar) own;             /* variables of a row */
    EmitVar *kept[ROWS];       /* what they are in each row */
    uint32_t at;               /* number of `along` among the loop's statements */
} Rows;

/* ---- which loops ---- */

bool emit_is_plain(const KStmt *s)
{
    switch (s->kind) {
    case K_LET:
    case K_CONST:
    case K_SIZE:
    case K_GIVEN:
    case K_LOAD:
    case K_STORE: return true;
    default: return false;
    }
}

static bool starts_sum(const KStmt *s)
{
    return s->kind == K_START && s->acc.red == RED_SUM;
}

static bool starts(const KBlock *b, uint32_t n, KVar acc)
{
    for (uint32_t i = 0; i < n; i++)
        if (b->p[i]->kind == K_START && b->p[i]->acc.var == acc)
            return true;
    return false;
}

/* Only statements that can stand side by side; what is summed starts in the row. */
static bool is_row(const Emit *e, const Rows *r)
{
    const KBlock *b = &r->along->loop.body;
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        bool sums = s->kind == K_UPDATE && emit_dtype(e, s->acc.var) == DT_REAL && starts(&r->loop->loop.body, r->at, s->acc.var);
        if (!emit_is_plain(s) && !sums)
            return false;
    }
    uint32_t n = emit_short_sums(e, r->along);
    return n > 0 && n <= MOST_SUMS;
}

static bool find_rows(const Emit *e, const KStmt *s, Rows *r)
{
    const KBlock *b = &s->loop.body;
    *r = (Rows){.loop = s, .at = K_NONE};
    if (s->loop.kind != K_PARALLEL || s->loop.reverse || !e->g.vector_bytes || e->v.on || e->small)
        return false;
    for (uint32_t i = 0; i < b->n; i++) {
        bool is_along = b->p[i]->kind == K_LOOP && b->p[i]->loop.kind == K_VECTOR && r->at == K_NONE;
        if (!is_along && !emit_is_plain(b->p[i]) && !starts_sum(b->p[i]))
            return false;
        if (is_along)
            r->at = i, r->along = b->p[i];
    }
    return r->along && r->along->loop.by == DIM_ZERO && is_row(e, r);
}

static void list_own(Emit *e, Rows *r, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (kern_defines(b->p[i]) != K_NONE)
            vec_push(e->arena, &r->own, kern_defines(b->p[i]));
        if (b->p[i]->kind == K_LOOP)
            list_own(e, r, &b->p[i]->loop.body);
    }
}

/* ---- row by row ---- */

static void enter(Emit *e, const Rows *r, uint32_t row)
{
    for (uint32_t i = 0; i < r->own.n; i++)
        e->var[r->own.p[i]] = r->kept[row][i];
}

static void leave(const Emit *e, Rows *r, uint32_t row)
{
    for (uint32_t i = 0; i < r->own.n; i++)
        r->kept[row][i] = e->var[r->own.p[i]];
}

/* Statement by statement, each for all rows: loads of one address stand side by side. */
static void for_all_rows(Emit *e, Rows *r, const KBlock *b, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        for (uint32_t row = 0; row < ROWS; row++) {
            enter(e, r, row);
            emit_block(e, &(KBlock){.p = &b->p[i], .n = 1});
            leave(e, r, row);
        }
}

static void set_rows(Emit *e, Rows *r, LLVMValueRef first)
{
    for (uint32_t row = 0; row < ROWS; row++) {
        emit_set(e, r->loop->loop.var, LLVMBuildNSWAdd(e->g.b, first, gen_i64(&e->g, row), ""), false);
        leave(e, r, row);
    }
}

/* ---- sums ---- */

static LLVMValueRef add_halves(const CpuGen *g, LLVMValueRef a, LLVMValueRef b, const int *low, const int *high, uint32_t n)
{
    CpuGen to = *g;
    to.lanes = n;
    return gen_add(&to, gen_shuffle(g, a, b, low, n), gen_shuffle(g, a, b, high, n));
}

/* Vectors with `parts` partial results of each of several rows. The halves of each row's are added, as if it were alone; of two
 * vectors together, if there are two. */
static void fold(const CpuGen *g, LLVMValueRef *v, uint32_t nvector, uint32_t lanes, uint32_t parts)
{
    CpuGen now = *g;
    now.lanes = lanes;
    uint32_t half = parts / 2, together = nvector > 1 ? 2 : 1, n = together * lanes / 2;
    int low[GEN_MAXLANES], high[GEN_MAXLANES];
    for (uint32_t i = 0; i < n; i++) {
        low[i] = (int)(i / half * parts + i % half);
        high[i] = low[i] + (int)half;
    }
    for (uint32_t i = 0; i < nvector; i += together)
        v[i / together] = add_halves(&now, v[i], v[i + together - 1], low, high, n);
}

/* The sums of the rows: those of v[0], then those of v[1], ... */
static uint32_t fold_all(const CpuGen *g, LLVMValueRef *v)
{
    uint32_t n = ROWS, lanes = g->lanes;
    for (uint32_t parts = lanes; parts > 1; parts /= 2) {
        fold(g, v, n, lanes, parts);
        if (n > 1)
            n /= 2;
        else
            lanes /= 2;
    }
    return lanes;
}

static void add_up(Emit *e, Rows *r, const KStmt *update)
{
    LLVMValueRef v[ROWS];
    KVar acc = update->acc.var;
    CpuGen g = e->g;
    for (uint32_t row = 0; row < ROWS; row++) {
        enter(e, r, row);
        v[row] = LLVMBuildLoad2(g.b, gen_real(&g), e->var[acc].partial, "");
    }
    g.lanes = fold_all(&e->g, v);
    uint32_t each = g.lanes;
    for (uint32_t i = 0; i < ROWS / each; i++)
        v[i] = gen_add(&g, gen_const(&g, 0), v[i]);
    for (uint32_t row = 0; row < ROWS; row++) {
        enter(e, r, row);
        LLVMBuildStore(g.b, each == 1 ? v[row] : gen_lane(&g, v[row / each], row % each), e->var[acc].value);
        e->var[acc].partial = NULL;
        leave(e, r, row);
    }
}

/* ---- the rows' elements ---- */

static void start_partials(Emit *e, Rows *r)
{
    for (uint32_t row = 0; row < ROWS; row++) {
        enter(e, r, row);
        emit_outer_updates(e, &r->along->loop.body, emit_start_partial);
        leave(e, r, row);
    }
}

static void elements(Emit *e, Rows *r, LLVMValueRef first, LLVMValueRef count)
{
    e->v = (EmitVector){.on = true, .var = r->along->loop.var, .first = first};
    if (count) {
        e->v.mask = gen_first(&e->g, count);
        e->v.count = count;
    }
    for_all_rows(e, r, &r->along->loop.body, 0, r->along->loop.body.n);
}

static void along(Emit *e, Rows *r)
{
    CpuGen *g = &e->g;
    g->lanes = cpu_width(g);
    LLVMValueRef n = emit_dim(e, r->along->loop.extent);
    LLVMValueRef whole = LLVMBuildAnd(g->b, n, gen_i64(g, -(int64_t)g->lanes), "");
    start_partials(e, r);
    GenLoop l = gen_loop(g, gen_i64(g, 0), whole, gen_i64(g, g->lanes), NULL, 0);
    elements(e, r, l.i, NULL);
    gen_loop_end(g, &l, NULL);
    LLVMValueRef rest = LLVMBuildSub(g->b, n, whole, "");
    GenIf some = gen_if(g, gen_icmp(g, LLVMIntSGT, rest, gen_i64(g, 0)));
    elements(e, r, whole, rest);
    gen_end_if(g, some);
    e->v = (EmitVector){.on = false};
    for (uint32_t i = 0; i < r->along->loop.body.n; i++)
        if (r->along->loop.body.p[i]->kind == K_UPDATE)
            add_up(e, r, r->along->loop.body.p[i]);
    g->lanes = 1;
}

static void rows_at(Emit *e, Rows *r, LLVMValueRef first)
{
    const KBlock *b = &r->loop->loop.body;
    set_rows(e, r, first);
    for_all_rows(e, r, b, 0, r->at);
    LLVMBasicBlockRef then = emit_front_open(e, r->along);
    along(e, r);
    emit_front_close(e, then);
    for_all_rows(e, r, b, r->at + 1, b->n);
}

/* ---- the loop ---- */

/* A condition that holds in one row at most, let, holds in none of these, which are without it then; or it may hold. */
static void apart_or_not(Emit *e, Rows *r, LLVMValueRef first, const KStmt *let)
{
    CpuGen *g = &e->g;
    EmitKnown outer = e->equal;
    KVar other = let->let.arg[let->let.arg[0] == r->loop->loop.var];
    LLVMValueRef at = LLVMBuildSExt(g->b, emit_var(e, other, false), gen_int1(g, 64), "");
    LLVMValueRef apart = gen_icmp(g, LLVMIntUGE, LLVMBuildSub(g->b, at, first, ""), gen_i64(g, ROWS));
    GenElse i = gen_if_else(g, apart);
    e->equal = (EmitKnown){let, false};
    rows_at(e, r, first);
    e->equal = outer;
    gen_else(g, i);
    rows_at(e, r, first);
    gen_end_else(g, i);
}

static bool leaves_none(const Emit *e, const KStmt *s)
{
    int64_t n = 0;
    return dim_is_const(e->k->dims, s->loop.extent, &n) && n % ROWS == 0;
}

static void some_rows(Emit *e, Rows *r, LLVMValueRef first)
{
    const KStmt *let = emit_holds_once(e, r->loop);
    if (let)
        apart_or_not(e, r, first, let);
    else
        rows_at(e, r, first);
}

static void rows_or_rest(Emit *e, Rows *r, LLVMValueRef first, LLVMValueRef to)
{
    CpuGen *g = &e->g;
    if (leaves_none(e, r->loop)) {
        some_rows(e, r, first);
        return;
    }
    GenElse enough = gen_if_else(g, gen_icmp(g, LLVMIntSLE, LLVMBuildNSWAdd(g->b, first, gen_i64(g, ROWS), ""), to));
    some_rows(e, r, first);
    gen_else(g, enough);
    emit_plain_loop(e, r->loop, first, to);
    gen_end_else(g, enough);
}

static void rows_by_four(Emit *e, const KStmt *s)
{
    Rows r;
    CpuGen *g = &e->g;
    find_rows(e, s, &r);
    vec_push(e->arena, &r.own, s->loop.var);
    list_own(e, &r, &s->loop.body);
    for (uint32_t row = 0; row < ROWS; row++)
        r.kept[row] = NEWN(e->arena, EmitVar, r.own.n);
    LLVMValueRef start = emit_loop_start(e, s), to = emit_loop_end(e, s, start);
    GenLoop l = gen_loop(g, start, to, gen_i64(g, ROWS), NULL, 0);
    rows_or_rest(e, &r, l.i, to);
    gen_loop_end(g, &l, NULL);
}

static void short_rows(Emit *e, const KStmt *s)
{
    e->one_vector = true;
    emit_as_usual(e, &s->loop.body, s, rows_by_four, emit_one_by_one);
    e->one_vector = false;
}

bool emit_rows(Emit *e, const KStmt *s)
{
    Rows r;
    int64_t length = 0;
    if (!find_rows(e, s, &r))
        return false;
    if (dim_is_const(e->k->dims, r.along->loop.extent, &length)) {
        if (length <= LONG)
            short_rows(e, s);
        return length <= LONG;
    }
    LLVMValueRef is_short = gen_icmp(&e->g, LLVMIntSLE, emit_dim(e, r.along->loop.extent), gen_i64(&e->g, LONG));
    emit_either(e, is_short, s, short_rows, emit_one_by_one);
    return true;
}
