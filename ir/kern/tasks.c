/* kern.tasks: what several threads can do is cut into tasks.
 *
 * A statement is cut along an axis, a range 0..E: a task has a piece of it. A loop whose iterations are independent, and a
 * product along its rows or columns, can be cut as they stand. A serial loop is cut when everything inside of it can be
 * cut along one axis, and each element that is written there belongs to one place of the axis: the loop then stands
 * inside of the tasks, and one task goes through all of a recurrence for a part of the batch, or of the state.
 *
 * To which place an element of a buffer belongs is read from its address. If all accesses move by the same stride S from
 * one place to the next, and everything else in the address is a multiple of E*S or stays below S, then it belongs to
 * (address mod E*S) / S.
 *
 * Never cut: k of a product, and what an accumulator goes through. So every number is computed as without tasks. */
#include "ir/kern/kern.h"

enum {
    ROWS = 8,             /* of a product, that a piece has at least */
    COLUMNS = 64,         /* the same; also elements of a vector loop */
    LEAST_ONCE = 1 << 16, /* work that is worth the threads when they are asked once a call */
    LEAST_STEP = 1 << 20, /* the same for every step of a loop */
    SMALL_SHARE = 64,     /* a statement with less than this part of a function's work stays as it is */
    MOST_AXES = 2,        /* of a serial loop */
    LONG_FUNCTION = 8,    /* work of exp and its like */
};

/* ---- sizes ---- */

static bool is_multiple(DimTab *d, Dim a, Dim of, Dim *quotient)
{
    return a != DIM_ZERO && of != DIM_ZERO && dim_div(d, a, of, quotient);
}

static Dim one_term(DimTab *d, const DimTerm *t)
{
    Dim x = dim_const(d, t->coef);
    for (uint32_t i = 0; i < t->nsym; i++)
        x = dim_mul(d, x, dim_of(d, t->sym[i]));
    return x;
}

static bool has_minus(const DimTab *d, Dim a)
{
    for (uint32_t i = 0; i < dim_nterms(d, a); i++)
        if (dim_term(d, a, i)->coef < 0)
            return true;
    return false;
}

/* Whether a >= 0 when no dimension of `rows` is zero. */
static bool is_natural(DimTab *d, Dim a, Dim rows)
{
    for (DimSym s = 0; s < dim_nsyms(d); s++)
        if (dim_mentions(d, rows, s) && dim_sym_info(d, s)->kind != DIM_KEEP)
            a = dim_subst(d, a, s, dim_add(d, dim_of(d, s), DIM_ONE));
    return !has_minus(d, a);
}

/* A size with common values for its dimensions, to choose between two. */
static int64_t estimate(const KernProg *p, Dim a)
{
    int64_t value[256], n;
    if (dim_nsyms(p->dims) > 256)
        return 0;
    for (DimSym s = 0; s < dim_nsyms(p->dims); s++)
        switch (dim_sym_info(p->dims, s)->kind) {
        case DIM_TIME: value[s] = 512; break;
        case DIM_BATCH: value[s] = 64; break;
        case DIM_PART: value[s] = 16; break;
        case DIM_KEEP: value[s] = 1; break;
        case DIM_USER: value[s] = 48; break;
        }
    return dim_eval(p->dims, a, value, &n) ? n : INT64_MAX;
}

/* ---- work ---- */

static uint32_t degree(const DimTab *d, Dim a)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < dim_nterms(d, a); i++)
        most = dim_term(d, a, i)->nsym > most ? dim_term(d, a, i)->nsym : most;
    return most;
}

/* What has too many factors for a size counts for less than it is. */
static Dim times(DimTab *d, Dim a, Dim b)
{
    return degree(d, a) + degree(d, b) > DIM_MAXDEG ? a : dim_mul(d, a, b);
}

static bool is_long(Fun f)
{
    return f == FUN_POW || f == FUN_EXP || f == FUN_EXPM1 || f == FUN_LOG || f == FUN_LOG1P || f == FUN_TANH ||
           f == FUN_SIGMOID;
}

static Dim work_of(DimTab *d, const KBlock *b)
{
    Dim sum = DIM_ZERO;
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        Dim work = DIM_ONE;
        if (s->kind == K_LOOP)
            work = times(d, work_of(d, &s->loop.body), s->loop.extent);
        else if (s->kind == K_TASKS)
            work = s->tasks.work;
        else if (s->kind == K_GEMM)
            work = times(d, times(d, s->gemm.m, s->gemm.n), s->gemm.k);
        else if (s->kind == K_FILL || s->kind == K_COPY)
            work = s->kind == K_FILL ? s->fill.count : s->copy.count;
        else if (s->kind == K_LET && is_long(s->let.fun))
            work = dim_const(d, LONG_FUNCTION);
        sum = dim_add(d, sum, work);
    }
    return sum;
}

/* ---- one attempt: a statement along one axis ---- */

/* A loop around the place that is looked at. */
typedef struct Around {
    KVar var;
    Dim extent;
    Dim run; /* of the cut loop: how many iterations one place of the axis has; DIM_ZERO for other loops */
} Around;

typedef struct Cut {
    KernProg *p;
    Dim axis;
    VEC(Around) around;
    bool *written;  /* by buffer */
    Dim *stride;    /* by buffer: from one place to the next; DIM_ZERO: not known yet */
    uint32_t grain; /* that the statements seen so far ask for */
    KVar first;
    DimSym part;
} Cut;

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

/* The first of the buffers that may lie in the same memory: a final state may be the array of a starting one. */
static KBufId owner(const KernProg *p, KBufId b)
{
    const KBuf *x = &p->buf.p[b];
    bool state = (x->kind == K_ARG && p->arg.p[x->slot].role == ROLE_START) ||
                 (x->kind == K_OUT && p->out.p[x->slot].role == OUT_FINAL);
    if (x->kind == K_WORK && x->shares != K_NONE)
        return x->shares;
    for (KBufId i = 0; state && i < b; i++) {
        const KBuf *y = &p->buf.p[i];
        if ((y->kind == K_ARG && p->arg.p[y->slot].role == ROLE_START) ||
            (y->kind == K_OUT && p->out.p[y->slot].role == OUT_FINAL))
            return i;
    }
    return b;
}

static void mark_written(Cut *c, KStmt *s)
{
    KBlock *body = kern_body(s);
    if (kern_written(s) != K_NONE)
        c->written[owner(c->p, kern_written(s))] = true;
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
    vec_push(a->c->p->arena, &a->move, (Move){stride, extent});
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
        if (m->extent == DIM_ZERO || has_minus(d, m->stride))
            return false;
        rest = dim_add(d, rest, dim_mul(d, m->stride, dim_sub(d, m->extent, DIM_ONE)));
    }
    for (uint32_t i = 0; i < dim_nterms(d, at->base); i++) {
        Dim term = one_term(d, dim_term(d, at->base, i));
        if (is_multiple(d, term, whole, &quotient))
            continue;
        if (has_minus(d, term))
            return false;
        rest = dim_add(d, rest, term);
    }
    return is_natural(d, dim_sub(d, dim_sub(d, a->place, DIM_ONE), rest), a->place);
}

static bool access_ok(Address *a, KBufId b, const KIndex *at)
{
    Cut *c = a->c;
    KBufId o = owner(c->p, b);
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

static bool is_independent(const KStmt *s)
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
        if (is_independent(s) && is_multiple(c->p->dims, s->loop.extent, c->axis, run))
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
    case K_KIND_COUNT: break;
    }
    return NOT_AT_ALL;
}

static bool memory_ok(Cut *c, KStmt *s);

static bool block_memory_ok(Cut *c, KStmt *s, Dim run)
{
    uint32_t depth = c->around.n;
    vec_push(c->p->arena, &c->around, (Around){s->loop.var, s->loop.extent, run});
    for (uint32_t i = 0; i < s->loop.body.n; i++)
        if (!memory_ok(c, s->loop.body.p[i]))
            return false;
    c->around.n = depth;
    return true;
}

static bool product_memory_ok(Cut *c, const KStmt *s, Dim rows, Dim cols)
{
    Dim m = s->gemm.m, n = s->gemm.n, k = s->gemm.k;
    return view_ok(c, &s->gemm.a, m, rows, k, DIM_ZERO) && view_ok(c, &s->gemm.b, k, DIM_ZERO, n, cols) &&
           view_ok(c, &s->gemm.c, m, rows, n, cols);
}

/* All inside of the cut loop, which has its share of the axis already. */
static bool memory_ok(Cut *c, KStmt *s)
{
    switch (s->kind) {
    case K_LOOP: return block_memory_ok(c, s, DIM_ZERO);
    case K_LOAD:
    case K_STORE: return range_ok(c, s->mem.buf, &s->mem.at, DIM_ONE, DIM_ZERO);
    case K_GEMM: return product_memory_ok(c, s, DIM_ZERO, DIM_ZERO);
    case K_FILL: return range_ok(c, s->fill.buf, &s->fill.at, s->fill.count, DIM_ZERO);
    case K_COPY:
        return range_ok(c, s->copy.dst, &s->copy.to, s->copy.count, DIM_ZERO) &&
               range_ok(c, s->copy.src, &s->copy.from, s->copy.count, DIM_ZERO);
    case K_TASKS: return false;
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
    vec_push(c->p->arena, &c->around, (Around){s->loop.var, s->loop.extent, DIM_ZERO});
    for (uint32_t i = 0; i < s->loop.body.n; i++)
        if (!cut_ok(c, s->loop.body.p[i]))
            return false;
    c->around.n = depth;
    return true;
}

static void ask_for(Cut *c, uint32_t grain)
{
    c->grain = grain > c->grain ? grain : c->grain;
}

/* Whether s, a part of a serial loop, can be cut. */
static bool cut_ok(Cut *c, KStmt *s)
{
    Dim run;
    switch (how(c, s, &run)) {
    case NOT_AT_ALL: return false;
    case EVERYWHERE: return memory_ok(c, s);
    case INSIDE: return inside_ok(c, s);
    case THE_LOOP: ask_for(c, run == DIM_ONE && s->loop.kind == K_VECTOR ? COLUMNS : 1); return block_memory_ok(c, s, run);
    case THE_ROWS: ask_for(c, run == DIM_ONE ? ROWS : 1); return product_memory_ok(c, s, run, DIM_ZERO);
    case THE_COLUMNS: ask_for(c, run == DIM_ONE ? COLUMNS : 1); return product_memory_ok(c, s, DIM_ZERO, run);
    case THE_RANGE:
        if (s->kind == K_FILL)
            return range_ok(c, s->fill.buf, &s->fill.at, s->fill.count, run);
        return range_ok(c, s->copy.dst, &s->copy.to, s->copy.count, run) &&
               range_ok(c, s->copy.src, &s->copy.from, s->copy.count, run);
    }
    return false;
}

/* ---- cutting ---- */

static void move_on(Cut *c, KIndex *at, Dim stride)
{
    kern_index_add(c->p, at, c->first, stride);
}

static void cut(Cut *c, KStmt *s)
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

/* ---- which statements, and along which axis ---- */

typedef struct Pass {
    KernProg *p;
    Arena *own;      /* for what an attempt needs */
    double whole;    /* work of the function, with common sizes */
    uint32_t nested; /* tasks around */
    bool step;       /* in a serial loop */
    bool products;   /* only these: the rest is cut already */
} Pass;

/* The dimension of tasks that have `nested` others around them. */
static DimSym part_dim(KernProg *p, uint32_t nested)
{
    DimSym s;
    Str name = str_fmt(p->arena, "part.%u", nested + 1);
    return dim_find_sym(p->dims, name, &s) ? s : dim_sym_new(p->dims, name, DIM_PART);
}

static Cut cut_new(Pass *x, Dim axis)
{
    KernProg *p = x->p;
    return (Cut){.p = p,
                 .axis = axis,
                 .written = NEWN(x->own, bool, p->buf.n),
                 .stride = NEWN(x->own, Dim, p->buf.n),
                 .grain = 1};
}

/* Cuts s and puts it into tasks. */
static KStmt *make_tasks(Pass *x, Cut *c, KStmt *s)
{
    KernProg *p = x->p;
    KStmt *t = NEW(p->arena, KStmt);
    KBlock body = {0};
    vec_push(p->arena, &body, s);
    Dim work = work_of(p->dims, &body);
    c->first = kern_var(p, DT_INT, true, STR("first"));
    c->part = part_dim(p, x->nested);
    cut(c, s);
    *t = (KStmt){.kind = K_TASKS,
                 .at = s->at,
                 .tasks = {c->first, c->part, c->axis, c->grain, work, x->step ? LEAST_STEP : LEAST_ONCE, body}};
    return t;
}

typedef struct Axes {
    VEC(Dim) axis;
} Axes;

static bool mentions_part(const DimTab *d, Dim a)
{
    for (DimSym s = 0; s < dim_nsyms(d); s++)
        if (dim_sym_info(d, s)->kind == DIM_PART && dim_mentions(d, a, s))
            return true;
    return false;
}

static void add_axis(Pass *x, Axes *to, Dim d)
{
    int64_t n;
    if ((dim_is_const(x->p->dims, d, &n) && n < 2) || mentions_part(x->p->dims, d))
        return;
    for (uint32_t i = 0; i < to->axis.n; i++)
        if (to->axis.p[i] == d)
            return;
    vec_push(x->own, &to->axis, d);
}

/* What the statements inside of a serial loop run over. */
static void find_axes(Pass *x, const KBlock *b, Axes *to)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        if (is_independent(s))
            add_axis(x, to, s->loop.extent);
        if (s->kind == K_GEMM) {
            add_axis(x, to, s->gemm.m);
            add_axis(x, to, s->gemm.n);
        }
        if (kern_body(b->p[i]))
            find_axes(x, kern_body(b->p[i]), to);
    }
}

/* The longest axis along which a serial loop can be cut. */
static bool find_cut(Pass *x, KStmt *s, Cut *best)
{
    Axes axes = {0};
    bool found = false;
    add_axis(x, &axes, dim_of(x->p->dims, x->p->batch));
    find_axes(x, &s->loop.body, &axes);
    for (uint32_t i = 0; i < axes.axis.n; i++) {
        Cut c = cut_new(x, axes.axis.p[i]);
        mark_written(&c, s);
        if (!inside_ok(&c, s) || (found && estimate(x->p, c.axis) <= estimate(x->p, best->axis)))
            continue;
        *best = c;
        found = true;
    }
    return found;
}

/* A step's statements do their work at every step: what they are to the whole is not known here. */
static bool is_small(const Pass *x, KStmt *s)
{
    int64_t n;
    KBlock one = {&s, 1, 1};
    Dim work = work_of(x->p->dims, &one);
    if (dim_is_const(x->p->dims, work, &n))
        return n < (x->step ? LEAST_STEP : LEAST_ONCE);
    return !x->step && (double)estimate(x->p, work) * SMALL_SHARE < x->whole;
}

static KStmt *tasks_of_loop(Pass *x, KStmt *s)
{
    Cut c = cut_new(x, s->loop.extent);
    c.grain = s->loop.kind == K_VECTOR ? COLUMNS : 1;
    return make_tasks(x, &c, s);
}

/* Along the longer of rows and columns. A step's are the rows of a batch and the columns of weights: each task then has
 * weights of its own. */
static KStmt *tasks_of_product(Pass *x, KStmt *s)
{
    int64_t m = estimate(x->p, s->gemm.m), n = estimate(x->p, s->gemm.n);
    bool rows = x->step ? n < COLUMNS / 2 : m >= n;
    Cut c = cut_new(x, rows ? s->gemm.m : s->gemm.n);
    Dim run;
    c.grain = rows ? ROWS : COLUMNS;
    return how_product(&c, s, &run) == (rows ? THE_ROWS : THE_COLUMNS) ? make_tasks(x, &c, s) : s;
}

static void cut_block(Pass x, KBlock *b);

/* A serial loop along as many axes as it can be cut along: where the longest is too short for several pieces, another one
 * may be long enough. Otherwise its steps are cut. */
static KStmt *tasks_of_steps(Pass x, KStmt *s)
{
    Cut c;
    if (x.nested < MOST_AXES && find_cut(&x, s, &c)) {
        KStmt *t = make_tasks(&x, &c, s);
        x.nested++;
        t->tasks.body.p[0] = tasks_of_steps(x, s);
        return t;
    }
    x.step = true;
    x.products = x.nested > 0;
    cut_block(x, &s->loop.body);
    return s;
}

static void cut_block(Pass x, KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i];
        if (is_small(&x, s))
            continue;
        if (s->kind == K_GEMM)
            b->p[i] = tasks_of_product(&x, s);
        else if (s->kind == K_LOOP && s->loop.kind == K_SERIAL && !x.products)
            b->p[i] = tasks_of_steps(x, s);
        else if (is_independent(s) && !x.products)
            b->p[i] = tasks_of_loop(&x, s);
    }
}

/* init runs once, without threads to ask. */
void kern_tasks(KernProg *p)
{
    Pass x = {.p = p, .own = arena_new()};
    for (uint32_t f = REC_FORWARD; f <= REC_BACKWARD; f++) {
        x.whole = (double)estimate(p, work_of(p->dims, &p->fn[f]));
        cut_block(x, &p->fn[f]);
    }
    arena_free(x.own);
}
