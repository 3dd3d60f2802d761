/* kern.tasks: what several threads can do is cut into tasks.
 *
 * A product is only marked: how it is cut, along rows or columns, is for the target to say. Other statements are cut
 * along an axis, a range 0..E: a task has a piece of it. A loop whose iterations are independent can be cut as it
 * stands. A serial loop is cut when everything inside of it can be cut along one axis, and each element that is
 * written there belongs to one place of the axis (cut.c): the loop then stands inside of the tasks, and one task goes
 * through all of a recurrence for a part of the batch, or of the state.
 *
 * Never cut: k of a product, and what an accumulator goes through. So every number is computed as without tasks. */
#include "ir/kern/cut.h"

enum {
    LEAST_ONCE = 1 << 16, /* work that is worth the threads when they are asked once a call */
    LEAST_STEP = 1 << 20, /* the same for every step of a loop */
    SMALL_SHARE = 64,     /* a statement with less than this part of a function's work stays as it is */
    MOST_AXES = 2,        /* of a serial loop */
    LONG_FUNCTION = 8,    /* work of exp and its like */
};

/* ---- work ---- */

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
        case DIM_FLAG: value[s] = 1; break;
        case DIM_STRIP: value[s] = 16; break;
        }
    return dim_eval(p->dims, a, value, &n) ? n : INT64_MAX;
}

/* What has too many factors for a size counts for less than it is. */
static Dim times(DimTab *d, Dim a, Dim b)
{
    Dim product = dim_mul(d, a, b);
    return product == DIM_HUGE ? a : product;
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
        else if (s->kind == K_STRIPS)
            work = dim_subst(d, work_of(d, &s->strips.body), s->strips.part, s->strips.extent);
        else if (s->kind == K_GEMM)
            work = times(d, times(d, s->gemm.m, s->gemm.n), s->gemm.k);
        else if (s->kind == K_FILL || s->kind == K_COPY)
            work = s->kind == K_FILL ? s->fill.count : s->copy.count;
        else if (s->kind == K_PACK)
            work = times(d, s->pack.n, s->pack.k);
        else if (s->kind == K_LET && is_long(s->let.fun))
            work = dim_const(d, LONG_FUNCTION);
        sum = dim_add(d, sum, work);
    }
    return sum;
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
                 .tasks = {c->first, c->part, c->axis, cut_grain(c), work, x->step ? LEAST_STEP : LEAST_ONCE, body}};
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
        if (cut_is_independent(s))
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
        Cut c = cut_new(x->p, x->own, axes.axis.p[i]);
        if (!cut_steps_ok(&c, s) || (found && estimate(x->p, c.axis) <= estimate(x->p, best->axis)))
            continue;
        *best = c;
        found = true;
    }
    return found;
}

/* Of a step's statements, those are small that would hardly ever be worth the threads. */
static bool is_small(const Pass *x, KStmt *s)
{
    int64_t n;
    KBlock one = {&s, 1, 1};
    Dim work = work_of(x->p->dims, &one);
    if (dim_is_const(x->p->dims, work, &n))
        return n < (x->step ? LEAST_STEP : LEAST_ONCE);
    double usual = (double)estimate(x->p, work);
    return x->step ? s->kind != K_GEMM && usual < (double)LEAST_STEP / 4 : usual * (double)SMALL_SHARE < x->whole;
}

static KStmt *tasks_of_loop(Pass *x, KStmt *s)
{
    Cut c = cut_new(x->p, x->own, s->loop.extent);
    return cut_loop_ok(&c, s) ? make_tasks(x, &c, s) : s;
}

/* Statements of the top: others would find tasks around them. */
KStmt *kern_cut(KernProg *p, KStmt *s, uint32_t nested)
{
    Pass x = {.p = p, .own = arena_new(), .nested = nested};
    Cut c = cut_new(p, x.own, s->loop.extent);
    bool can = s->loop.kind == K_SERIAL ? find_cut(&x, s, &c) : cut_is_independent(s) && cut_loop_ok(&c, s);
    KStmt *tasks = can ? make_tasks(&x, &c, s) : NULL;
    arena_free(x.own);
    return tasks;
}

static void find_own(Pass *x, Dim axis, KStmt *s, bool *own)
{
    for (KBufId b = 0; b < x->p->buf.n; b++) {
        Cut c = cut_new(x->p, x->own, axis);
        own[b] = kern_memory(x->p, b) == b && cut_own_ok(&c, s, b);
    }
}

/* The longest axis that all loops have, if it is not a short one. */
bool kern_work_axis(KernProg *p, KStmt *s, Dim *axis)
{
    enum { SHORT = 16 };
    Pass x = {.p = p, .own = arena_new()};
    Axes axes = {0};
    bool found = false;
    int64_t n;
    find_axes(&x, &s->loop.body, &axes);
    for (uint32_t i = 0; i < axes.axis.n; i++) {
        Cut c = cut_new(p, x.own, axes.axis.p[i]);
        bool is_short = dim_is_const(p->dims, c.axis, &n) && n < SHORT;
        if (is_short || !cut_work_ok(&c, s) || (found && estimate(p, c.axis) <= estimate(p, *axis)))
            continue;
        *axis = c.axis;
        found = true;
    }
    arena_free(x.own);
    return found;
}

KStmt *kern_cut_work(KernProg *p, KStmt *s, Dim axis, uint32_t nested, bool *own)
{
    Pass x = {.p = p, .own = arena_new(), .nested = nested};
    Cut c = cut_new(p, x.own, axis);
    find_own(&x, axis, s, own);
    KStmt *tasks = make_tasks(&x, &c, s);
    arena_free(x.own);
    return tasks;
}

static void cut_block(Pass x, KBlock *b);

/* A serial loop along as many axes as it can be cut along: where the longest is too short for several pieces, another
 * one may be long enough. Otherwise its steps are cut. */
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

/* What is small there is so beside one strip's work. */
static void cut_strips(Pass x, KStmt *s)
{
    x.whole = (double)estimate(x.p, work_of(x.p->dims, &s->strips.body));
    cut_block(x, &s->strips.body);
}

static void cut_block(Pass x, KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i];
        if (is_small(&x, s))
            continue;
        if (s->kind == K_GEMM)
            s->gemm.least = x.step ? LEAST_STEP : LEAST_ONCE;
        else if (s->kind == K_LOOP && s->loop.kind == K_SERIAL && !x.products)
            b->p[i] = tasks_of_steps(x, s);
        else if (cut_is_independent(s) && !x.products)
            b->p[i] = tasks_of_loop(&x, s);
        else if (s->kind == K_STRIPS)
            cut_strips(x, s);
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
