/* To which place of an axis an element of a buffer belongs is read from its address. If all accesses move by the same
 * stride S from one place to the next, and everything else in the address is a multiple of E*S (E places in all) or
 * stays below S, then it belongs to (address mod E*S) / S. */
#include "ir/kern/cut.h"

enum {
    ROWS = 16,       /* of products in a recurrence, that a piece has at least */
    COLUMNS = 64,    /* the same */
    ELEMENTS = 1024, /* of a vector loop */
};

/* ---- sizes ---- */

static bool is_multiple(DimTab *d, Dim a, Dim of, Dim *quotient)
{
    return a != DIM_ZERO && of != DIM_ZERO && dim_div(d, a, of, quotient);
}

/* Whether a >= 0 when no dimension of `rows` is zero. */
static bool is_natural_as_it_stands(DimTab *d, Dim a, Dim rows)
{
    for (DimSym s = 0; s < dim_nsyms(d); s++)
        if (dim_mentions(d, rows, s) && dim_sym_info(d, s)->kind != DIM_KEEP)
            a = dim_subst(d, a, s, dim_add(d, dim_of(d, s), DIM_ONE));
    return !dim_has_minus(d, a);
}

static bool is_natural(const KernProg *p, Dim a, Dim rows)
{
    bool is = is_natural_as_it_stands(p->dims, a, rows);
    for (uint32_t i = 0; i < p->need.n && !is; i++)
        is = is_natural_as_it_stands(p->dims, dim_sub(p->dims, a, p->need.p[i].dim), rows);
    return is;
}

/* ---- memory ---- */

/* How a statement is cut. */
typedef enum How {
    NOT_AT_ALL,
    EVERYWHERE, /* every task does it */
    INSIDE,     /* the statements in it are cut */
    THE_LOOP,
    THE_ROWS,
    THE_COLUMNS,
    THE_RANGE, /* of a fill or copy */
} How;

static void mark_written(Cut *c, KStmt *s)
{
    KBlock *body = kern_body(s);
    if (kern_written(s) != K_NONE)
        c->written[kern_memory(c->p, kern_written(s))] = true;
    for (uint32_t i = 0; body && i < body->n; i++)
        mark_written(c, body->p[i]);
}

/* A part of an address that takes `extent` values, each a stride from the next. */
typedef struct Move {
    Dim stride, extent; /* DIM_ZERO: not known, it can be anything */
} Move;

typedef struct Address {
    Cut *c;
    Dim place; /* by how much it moves from one place of the axis to the next */
    VEC(Move) move;
} Address;

static void moves(Address *a, Dim stride, Dim extent, Dim run)
{
    DimTab *d = a->c->p->dims;
    if (run != DIM_ZERO) {
        a->place = dim_add(d, a->place, dim_mul(d, stride, run));
        extent = run;
    }
    vec_push(a->c->own, &a->move, (Move){stride, extent});
}

static const Around *around(const Cut *c, KVar v)
{
    for (uint32_t i = c->around.n; i-- > 0;)
        if (c->around.p[i].var == v)
            return &c->around.p[i];
    return NULL;
}

static void add_index(Address *a, const KIndex *at)
{
    for (uint32_t i = 0; i < at->n; i++) {
        const Around *l = around(a->c, at->term[i].var);
        moves(a, at->term[i].stride, l ? l->extent : DIM_ZERO, l ? l->run : DIM_ZERO);
    }
}

/* Every part of the address is a multiple of the whole axis, or counts towards what has to stay below one place. */
static bool address_ok(Address *a, const KIndex *at)
{
    DimTab *d = a->c->p->dims;
    Dim whole = dim_mul(d, a->place, a->c->axis), rest = DIM_ZERO, quotient;
    for (uint32_t i = 0; i < a->move.n; i++) {
        const Move *m = &a->move.p[i];
        if (m->stride == DIM_ZERO || m->extent == DIM_ONE || is_multiple(d, m->stride, whole, &quotient))
            continue;
        if (m->extent == DIM_ZERO || dim_has_minus(d, m->stride))
            return false;
        rest = dim_add(d, rest, dim_mul(d, m->stride, dim_sub(d, m->extent, DIM_ONE)));
    }
    for (uint32_t i = 0; i < dim_nterms(d, at->base); i++) {
        Dim term = dim_of_term(d, at->base, i);
        if (is_multiple(d, term, whole, &quotient))
            continue;
        if (dim_has_minus(d, term))
            return false;
        rest = dim_add(d, rest, term);
    }
    return is_natural(a->c->p, dim_sub(d, dim_sub(d, a->place, DIM_ONE), rest), a->place);
}

static bool access_ok(Address *a, KBufId b, const KIndex *at)
{
    Cut *c = a->c;
    KBufId o = kern_memory(c->p, b);
    if (!c->written[o])
        return true;
    if (a->place == DIM_ZERO || (c->stride[o] != DIM_ZERO && c->stride[o] != a->place) || !address_ok(a, at))
        return false;
    c->stride[o] = a->place;
    return true;
}

/* An element, or `extent` elements in a row of which the axis has `run` at each of its places. */
static bool range_ok(Cut *c, KBufId b, const KIndex *at, Dim extent, Dim run)
{
    Address a = {.c = c, .place = DIM_ZERO};
    add_index(&a, at);
    moves(&a, DIM_ONE, extent, run);
    return access_ok(&a, b, at);
}

static bool view_ok(Cut *c, const KView *v, Dim rows, Dim row_run, Dim cols, Dim col_run)
{
    Address a = {.c = c, .place = DIM_ZERO};
    add_index(&a, &v->at);
    moves(&a, v->row_stride, rows, row_run);
    moves(&a, v->col_stride, cols, col_run);
    return access_ok(&a, v->buf, &v->at);
}

static bool starts_in(const KBlock *b, KVar v)
{
    for (uint32_t i = 0; i < b->n; i++)
        if ((b->p[i]->kind == K_START && b->p[i]->acc.var == v) ||
            (kern_body(b->p[i]) && starts_in(kern_body(b->p[i]), v)))
            return true;
    return false;
}

/* Whether b updates an accumulator that started outside of `all`. */
static bool updates_from_outside(const KBlock *b, const KBlock *all)
{
    for (uint32_t i = 0; i < b->n; i++)
        if ((b->p[i]->kind == K_UPDATE && !starts_in(all, b->p[i]->acc.var)) ||
            (kern_body(b->p[i]) && updates_from_outside(kern_body(b->p[i]), all)))
            return true;
    return false;
}

bool cut_is_independent(const KStmt *s)
{
    return s->kind == K_LOOP && s->loop.kind != K_SERIAL && s->loop.by == DIM_ZERO &&
           !updates_from_outside(&s->loop.body, &s->loop.body);
}

static How how_product(Cut *c, const KStmt *s, Dim *run)
{
    bool room = s->gemm.a.at.n < K_MAXTERM && s->gemm.b.at.n < K_MAXTERM && s->gemm.c.at.n < K_MAXTERM;
    if (!room)
        return NOT_AT_ALL;
    if (is_multiple(c->p->dims, s->gemm.m, c->axis, run))
        return THE_ROWS;
    return is_multiple(c->p->dims, s->gemm.n, c->axis, run) ? THE_COLUMNS : NOT_AT_ALL;
}

static How how_range(Cut *c, const KStmt *s, Dim *run)
{
    bool fill = s->kind == K_FILL;
    if ((fill ? s->fill.at.n : s->copy.to.n) == K_MAXTERM || (!fill && s->copy.from.n == K_MAXTERM))
        return NOT_AT_ALL;
    return is_multiple(c->p->dims, fill ? s->fill.count : s->copy.count, c->axis, run) ? THE_RANGE : NOT_AT_ALL;
}

/* From its shape alone; `run` is how much of it one place of the axis has. */
static How how(Cut *c, const KStmt *s, Dim *run)
{
    switch (s->kind) {
    case K_LOOP:
        if (cut_is_independent(s) && is_multiple(c->p->dims, s->loop.extent, c->axis, run))
            return THE_LOOP;
        return s->loop.kind == K_VECTOR ? NOT_AT_ALL : INSIDE;
    case K_GEMM: return how_product(c, s, run);
    case K_FILL:
    case K_COPY: return how_range(c, s, run);
    case K_LET:
    case K_CONST:
    case K_SIZE:
    case K_LOAD:
    case K_START:
    case K_GIVEN:
    case K_CHECK: return EVERYWHERE;
    case K_STORE:
    case K_UPDATE:
    case K_RANDOM:
    case K_TASKS:
    case K_STRIPS:
    case K_LEAVE:
    case K_PACK:
    case K_KIND_COUNT: break;
    }
    return NOT_AT_ALL;
}

static bool memory_ok(Cut *c, KStmt *s);

static void go_into(Cut *c, const KStmt *s, Dim run)
{
    Dim below = s->loop.by == DIM_ZERO ? s->loop.extent : DIM_ZERO;
    vec_push(c->own, &c->around, (Around){s->loop.var, below, run});
}

static bool block_memory_ok(Cut *c, KStmt *s, Dim run)
{
    uint32_t depth = c->around.n;
    go_into(c, s, run);
    for (uint32_t i = 0; i < s->loop.body.n; i++)
        if (!memory_ok(c, s->loop.body.p[i]))
            return false;
    c->around.n = depth;
    return true;
}

static bool product_memory_ok(Cut *c, const KStmt *s, Dim rows, Dim cols, Dim depth)
{
    Dim m = s->gemm.m, n = s->gemm.n, k = s->gemm.k;
    return view_ok(c, &s->gemm.a, m, rows, k, depth) && view_ok(c, &s->gemm.b, k, depth, n, cols) &&
           view_ok(c, &s->gemm.c, m, rows, n, cols);
}

static Dim pack_size(DimTab *d, const KStmt *s)
{
    return dim_mul(d, dim_mul(d, dim_add(d, s->pack.n, dim_const(d, KERN_PANEL - 1)), s->pack.k), s->pack.when);
}

/* All inside of the cut loop, which has its share of the axis already. */
static bool memory_ok(Cut *c, KStmt *s)
{
    switch (s->kind) {
    case K_LOOP: return block_memory_ok(c, s, DIM_ZERO);
    case K_LOAD:
    case K_STORE: return range_ok(c, s->mem.buf, &s->mem.at, DIM_ONE, DIM_ZERO);
    case K_GEMM: return product_memory_ok(c, s, DIM_ZERO, DIM_ZERO, DIM_ZERO);
    case K_PACK:
        return range_ok(c, s->pack.buf, &s->pack.at, pack_size(c->p->dims, s), DIM_ZERO) &&
               view_ok(c, &s->pack.b, s->pack.k, DIM_ZERO, s->pack.n, DIM_ZERO);
    case K_FILL: return range_ok(c, s->fill.buf, &s->fill.at, s->fill.count, DIM_ZERO);
    case K_COPY:
        return range_ok(c, s->copy.dst, &s->copy.to, s->copy.count, DIM_ZERO) &&
               range_ok(c, s->copy.src, &s->copy.from, s->copy.count, DIM_ZERO);
    case K_TASKS:
    case K_STRIPS:
    case K_LEAVE: return false;
    case K_LET:
    case K_CONST:
    case K_SIZE:
    case K_START:
    case K_UPDATE:
    case K_RANDOM:
    case K_GIVEN:
    case K_CHECK:
    case K_KIND_COUNT: break;
    }
    return true;
}

static bool cut_ok(Cut *c, KStmt *s);

static bool inside_ok(Cut *c, KStmt *s)
{
    uint32_t depth = c->around.n;
    go_into(c, s, DIM_ZERO);
    for (uint32_t i = 0; i < s->loop.body.n; i++)
        if (!cut_ok(c, s->loop.body.p[i]))
            return false;
    c->around.n = depth;
    return true;
}

static void ask_for(Cut *c, uint32_t grain, Dim run)
{
    if (run == DIM_ONE && grain > c->grain)
        c->grain = grain;
}

static void see_loop(Cut *c, const KStmt *s, Dim run)
{
    bool single = run == DIM_ONE && s->loop.kind == K_VECTOR;
    c->long_places |= !single;
    c->short_grain = ELEMENTS;
}

uint32_t cut_grain(const Cut *c)
{
    uint32_t loops = c->long_places ? 1 : c->short_grain;
    return loops > c->grain ? loops : c->grain;
}

/* Whether s, a part of a serial loop, can be cut. */
static bool cut_ok(Cut *c, KStmt *s)
{
    Dim run;
    switch (how(c, s, &run)) {
    case NOT_AT_ALL: return false;
    case EVERYWHERE: return memory_ok(c, s);
    case INSIDE: return inside_ok(c, s);
    case THE_LOOP: see_loop(c, s, run); return block_memory_ok(c, s, run);
    case THE_ROWS: ask_for(c, ROWS, run); return product_memory_ok(c, s, run, DIM_ZERO, DIM_ZERO);
    case THE_COLUMNS: ask_for(c, COLUMNS, run); return product_memory_ok(c, s, DIM_ZERO, run, DIM_ZERO);
    case THE_RANGE:
        if (s->kind == K_FILL)
            return range_ok(c, s->fill.buf, &s->fill.at, s->fill.count, run);
        return range_ok(c, s->copy.dst, &s->copy.to, s->copy.count, run) &&
               range_ok(c, s->copy.src, &s->copy.from, s->copy.count, run);
    }
    return false;
}

/* ---- attempts ---- */

Cut cut_new(KernProg *p, Arena *own, Dim axis)
{
    return (Cut){.p = p,
                 .own = own,
                 .axis = axis,
                 .written = NEWN(own, bool, p->buf.n),
                 .stride = NEWN(own, Dim, p->buf.n),
                 .grain = 1};
}

bool cut_steps_ok(Cut *c, KStmt *s)
{
    mark_written(c, s);
    return inside_ok(c, s);
}

bool cut_own_ok(Cut *c, KStmt *s, KBufId memory)
{
    c->written[memory] = true;
    return inside_ok(c, s);
}

bool cut_work_ok(Cut *c, KStmt *s)
{
    Dim run;
    switch (how(c, s, &run)) {
    case NOT_AT_ALL: return s->kind == K_LEAVE;
    case EVERYWHERE:
    case THE_LOOP: return true;
    case INSIDE: break;
    case THE_ROWS:
    case THE_COLUMNS:
    case THE_RANGE: return true;
    }
    for (uint32_t i = 0; i < s->loop.body.n; i++)
        if (!cut_work_ok(c, s->loop.body.p[i]))
            return false;
    return true;
}

typedef struct Reads {
    const KernProg *p;
    bool *read; /* by buffer */
} Reads;

static void mark_read(Reads *r, KStmt *s)
{
    const KBlock *body = kern_body(s);
    if (s->kind == K_LOAD || (s->kind == K_STORE && s->mem.add))
        r->read[kern_memory(r->p, s->mem.buf)] = true;
    if (s->kind == K_COPY)
        r->read[kern_memory(r->p, s->copy.src)] = true;
    if (s->kind == K_PACK)
        r->read[kern_memory(r->p, s->pack.b.buf)] = true;
    if (s->kind == K_GEMM && s->gemm.when != DIM_ZERO)
        r->read[kern_memory(r->p, s->gemm.packed)] = true;
    if (s->kind == K_GEMM) {
        r->read[kern_memory(r->p, s->gemm.a.buf)] = true;
        r->read[kern_memory(r->p, s->gemm.b.buf)] = true;
        r->read[kern_memory(r->p, s->gemm.c.buf)] |= s->gemm.add;
    }
    for (uint32_t i = 0; body && i < body->n; i++)
        mark_read(r, body->p[i]);
}

/* Iterations that do not depend on each other may still use the same memory one after the other, for what they read
 * again: at the same time they may not. */
bool cut_loop_ok(Cut *c, KStmt *s)
{
    Reads r = {c->p, NEWN(c->own, bool, c->p->buf.n)};
    mark_written(c, s);
    mark_read(&r, s);
    for (KBufId b = 0; b < c->p->buf.n; b++)
        c->written[b] = c->written[b] && r.read[b];
    see_loop(c, s, DIM_ONE);
    return block_memory_ok(c, s, DIM_ONE);
}

bool cut_places_ok(Cut *c, KStmt *s, CutAlong along, Dim run)
{
    switch (along) {
    case CUT_LOOP: return block_memory_ok(c, s, run);
    case CUT_ROWS: return product_memory_ok(c, s, run, DIM_ZERO, DIM_ZERO);
    case CUT_DEPTH: return product_memory_ok(c, s, DIM_ZERO, DIM_ZERO, run);
    }
    return false;
}

/* ---- cutting ---- */

static void move_on(Cut *c, KIndex *at, Dim stride)
{
    kern_index_add(c->p, at, c->first, stride);
}

void cut(Cut *c, KStmt *s)
{
    DimTab *d = c->p->dims;
    Dim run = DIM_ZERO, part;
    How h = how(c, s, &run);
    part = dim_mul(d, dim_of(d, c->part), run);
    switch (h) {
    case NOT_AT_ALL:
    case EVERYWHERE: return;
    case INSIDE:
        for (uint32_t i = 0; i < s->loop.body.n; i++)
            cut(c, s->loop.body.p[i]);
        return;
    case THE_LOOP:
        s->loop.extent = part;
        s->loop.from = c->first;
        s->loop.by = run;
        return;
    case THE_ROWS:
        s->gemm.m = part;
        move_on(c, &s->gemm.a.at, dim_mul(d, run, s->gemm.a.row_stride));
        move_on(c, &s->gemm.c.at, dim_mul(d, run, s->gemm.c.row_stride));
        return;
    case THE_COLUMNS:
        s->gemm.n = part;
        s->gemm.when = DIM_ZERO; /* the copy has columns in panels */
        move_on(c, &s->gemm.b.at, dim_mul(d, run, s->gemm.b.col_stride));
        move_on(c, &s->gemm.c.at, dim_mul(d, run, s->gemm.c.col_stride));
        return;
    case THE_RANGE:
        if (s->kind == K_FILL) {
            s->fill.count = part;
            move_on(c, &s->fill.at, run);
            return;
        }
        s->copy.count = part;
        move_on(c, &s->copy.to, run);
        move_on(c, &s->copy.from, run);
        return;
    }
}

