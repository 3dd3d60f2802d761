/* Dependences, decided from buffers and addresses. An address is affine in loop variables; how far the loops inside of
 * an iteration reach is compared with the stride from one iteration to the next, both polynomials in the sizes. Sizes
 * count as at least 1: with a 0 among them no iteration runs. `keep` is tried with both its values.
 *
 * Iterations i of rows of length V, columns inside: i * V + 0..V-1; those of different i are apart. Iterations j of
 * columns, rows inside: j + V * row, j < V; here what lies inside moves by multiples of V only, and j by less. */
#include "ir/kern/depend.h"

/* ---- memory ---- */

bool depend_overlap(const KernProg *p, KBufId a, KBufId b)
{
    return kern_memory(p, a) == kern_memory(p, b);
}

typedef struct Touch {
    const KernProg *p;
    const KStmt *other;
    KBufId buf;
    bool found;
} Touch;

bool depend_writes(const KernProg *p, const KStmt *s, KBufId buf)
{
    const KBlock *body = kern_body((KStmt *)s);
    for (uint32_t i = 0; body && i < body->n; i++)
        if (depend_writes(p, body->p[i], buf))
            return true;
    KBufId b = kern_written(s);
    return b != K_NONE && depend_overlap(p, b, buf);
}

static void touched_and_written(void *cx, KBufId b, KIndex *at)
{
    (void)at;
    Touch *t = cx;
    t->found = t->found || depend_writes(t->p, t->other, b);
}

/* kern_each_access leaves statements as they are when the callback does. */
static bool reads_what_is_written(const KernProg *p, const KStmt *a, const KStmt *b)
{
    Touch t = {.p = p, .other = b};
    kern_each_access((KStmt *)a, touched_and_written, &t);
    return t.found;
}

/* ---- variables ---- */

typedef struct Find {
    KVar v;
    bool found;
} Find;

static void is_it(void *cx, KVar *v)
{
    Find *f = cx;
    f->found = f->found || *v == f->v;
}

static bool mentions(const KStmt *s, KVar v)
{
    Find f = {v, false};
    kern_each_use((KStmt *)s, is_it, &f);
    return f.found;
}

/* Whether a makes or changes a variable that b reads. */
static bool makes_for(const KStmt *a, const KStmt *b)
{
    const KBlock *body = kern_body((KStmt *)a);
    for (uint32_t i = 0; body && i < body->n; i++)
        if (makes_for(body->p[i], b))
            return true;
    KVar v = a->kind == K_UPDATE ? a->acc.var : kern_defines(a);
    return v != K_NONE && mentions(b, v);
}

bool depend_conflict(const KernProg *p, const KStmt *a, const KStmt *b)
{
    return makes_for(a, b) || makes_for(b, a) || reads_what_is_written(p, a, b) || reads_what_is_written(p, b, a);
}

/* ---- loads and stores ---- */

static bool list(Arena *a, const KStmt *s, DependAccess in, DependList *to)
{
    if (s->kind == K_GEMM || s->kind == K_PACK || s->kind == K_FILL || s->kind == K_COPY)
        return false;
    if (s->kind == K_LOAD || s->kind == K_STORE) {
        in.buf = s->mem.buf;
        in.at = &s->mem.at;
        in.write = s->kind == K_STORE;
        vec_push(a, to, in);
    }
    if (s->kind != K_LOOP)
        return true;
    if (in.nloop == DEPEND_MAXLOOP)
        return false;
    in.loop[in.nloop++] = s;
    for (uint32_t i = 0; i < s->loop.body.n; i++)
        if (!list(a, s->loop.body.p[i], in, to))
            return false;
    return true;
}

bool depend_list(Arena *a, const KStmt *loop, DependList *to)
{
    return list(a, loop, (DependAccess){0}, to);
}

/* ---- addresses ---- */

/* Where each size is as small as it can be. */
static int64_t least(const DimTab *t, Dim d, const bool *positive)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < dim_nterms(t, d); i++) {
        const DimTerm *term = dim_term(t, d, i);
        bool is = true;
        for (uint32_t j = 0; j < term->nsym; j++)
            is = is && (!positive || positive[term->sym[j]]);
        sum += is ? term->coef : 0;
    }
    return sum;
}

/* Surely, whatever the sizes, which are 1 or more (all, or those in positive): written in size - 1 it has no negative coefficient. */
static bool is_natural(DimTab *t, Dim d, const bool *positive)
{
    if (!dim_has_minus(t, d) || least(t, d, positive) < 0)
        return !dim_has_minus(t, d);
    for (DimSym s = 0; s < dim_nsyms(t); s++)
        if (dim_mentions(t, d, s) && (!positive || positive[s]))
            d = dim_subst(t, d, s, dim_add(t, dim_of(t, s), DIM_ONE));
    return !dim_has_minus(t, d);
}

static bool is_never_negative(DimTab *t, Dim d)
{
    return is_natural(t, d, NULL);
}

/* An address as seen from the outermost loop: base + iteration * stride + what the loops inside add, and terms from
 * outside. Inside, strides that are multiples of `step` are left out of `reach`. */
typedef struct Shape {
    Dim base, stride, reach, all; /* all: with every stride inside */
    KIndex outside;
    bool known;
} Shape;

static Dim keep_is(KernProg *p, Dim d, Dim keep)
{
    return dim_subst(p->dims, d, p->keep, keep);
}

static const KStmt *loop_of(const DependAccess *a, KVar v)
{
    for (uint32_t i = 0; i < a->nloop; i++)
        if (a->loop[i]->loop.var == v)
            return a->loop[i];
    return NULL;
}

/* step: DIM_ZERO for none */
static Shape shape(KernProg *p, const DependAccess *a, Dim keep, Dim step)
{
    DimTab *t = p->dims;
    Shape s = {.base = keep_is(p, a->at->base, keep), .known = true};
    for (uint32_t i = 0; i < a->at->n; i++) {
        KVar v = a->at->term[i].var;
        Dim stride = keep_is(p, a->at->term[i].stride, keep), times;
        const KStmt *loop = loop_of(a, v);
        if (!loop) {
            s.known = s.known && (p->var.p[v].loop || !kern_defines_in(&a->loop[0]->loop.body, v)); /* else it comes from data */
            kern_index_add(p, &s.outside, v, stride);
            continue;
        }
        s.known = s.known && is_never_negative(t, stride);
        if (loop == a->loop[0]) {
            s.stride = dim_add(t, s.stride, stride);
            continue;
        }
        Dim reach = dim_mul(t, stride, dim_sub(t, loop->loop.extent, DIM_ONE));
        s.all = dim_add(t, s.all, reach);
        if (step == DIM_ZERO || !dim_div(t, stride, step, &times))
            s.reach = dim_add(t, s.reach, reach);
    }
    return s;
}

/* How many terms of a are none of b's, and which is the last of them. */
static uint32_t unmatched(const KIndex *a, const KIndex *b, uint32_t *last)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->n; i++) {
        bool found = false;
        for (uint32_t j = 0; j < b->n; j++)
            found = found || (a->term[i].var == b->term[j].var && a->term[i].stride == b->term[j].stride);
        if (found)
            continue;
        n++;
        *last = i;
    }
    return n;
}

static bool same_outside(const Shape *a, const Shape *b)
{
    uint32_t last;
    return a->outside.n == b->outside.n && unmatched(&a->outside, &b->outside, &last) == 0;
}

static bool is_less(DimTab *t, Dim a, Dim b)
{
    return is_never_negative(t, dim_sub(t, dim_sub(t, b, a), DIM_ONE));
}

/* A term of which something is taken off: a quotient times what it is divided by is at most what is divided. */
static Dim with_quotient(DimTab *t, const struct RecDerivedDim *q, Dim term)
{
    Dim by = dim_mul(t, dim_of(t, q->sym), q->den), rest;
    return dim_has_minus(t, term) && dim_div(t, term, by, &rest) ? dim_mul(t, rest, q->num) : term;
}

static Dim with_quotients(const KernProg *p, Dim d)
{
    DimTab *t = p->dims;
    for (uint32_t i = p->derived.n; i-- > 0;) {
        Dim all = DIM_ZERO;
        for (uint32_t j = 0; j < dim_nterms(t, d); j++)
            all = dim_add(t, all, p->derived.p[i].floor ? with_quotient(t, &p->derived.p[i], dim_of_term(t, d, j)) : dim_of_term(t, d, j));
        d = all;
    }
    return d;
}

static bool is_natural_with(const KernProg *p, const DependSizes *known, Dim d)
{
    return is_natural(p->dims, d, known->positive) || is_natural(p->dims, with_quotients(p, d), known->positive);
}

bool depend_is_less(const KernProg *p, const DependSizes *known, Dim a, Dim b)
{
    DimTab *t = p->dims;
    Dim more = dim_sub(t, dim_sub(t, b, a), DIM_ONE);
    bool is = is_natural_with(p, known, more);
    for (uint32_t i = 0; i < p->need.n && !is; i++)
        is = is_natural_with(p, known, dim_sub(t, more, p->need.p[i].dim));
    for (uint32_t i = 0; i < known->sum.n && !is; i++)
        is = is_natural_with(p, known, dim_sub(t, more, dim_sub(t, known->sum.p[i], DIM_ONE)));
    return is;
}

static Dim all_iterations(DimTab *t, const Shape *s, Dim extent)
{
    return dim_mul(t, s->stride, dim_sub(t, extent, DIM_ONE));
}

/* a's last element lies in front of b's first one, over all iterations. */
static bool lies_before(DimTab *t, const Shape *a, Dim extent, const Shape *b)
{
    Dim last = dim_add(t, dim_add(t, a->base, a->all), all_iterations(t, a, extent));
    return is_less(t, last, b->base);
}

/* Different iterations reach different elements, when multiples of step are taken off. */
static bool stays_apart(DimTab *t, const Shape *s, Dim extent, Dim step)
{
    if (!is_less(t, s->reach, s->stride))
        return false;
    return step == DIM_ZERO || is_less(t, dim_add(t, all_iterations(t, s, extent), s->reach), step);
}

/* Whether a lies in one and b in the other of two slots that take turns: their variables are 0 and 1, or 1 and 0, and what
 * is added reaches no further than a slot. */
static bool in_other_slot(KernProg *p, const Shape *a, const Shape *b, Dim extent)
{
    uint32_t i, j;
    if (unmatched(&a->outside, &b->outside, &i) != 1 || unmatched(&b->outside, &a->outside, &j) != 1)
        return false;
    KVar v = a->outside.term[i].var, w = b->outside.term[j].var;
    Dim size = a->outside.term[i].stride;
    Shape begin = {.base = size};
    return b->outside.term[j].stride == size && (p->var.p[v].turns == w || p->var.p[w].turns == v) && is_never_negative(p->dims, a->base) &&
           is_never_negative(p->dims, b->base) && lies_before(p->dims, a, extent, &begin) && lies_before(p->dims, b, extent, &begin);
}

static bool same_iteration(KernProg *p, const DependAccess *a, const DependAccess *b, Dim keep, Dim step)
{
    Shape x = shape(p, a, keep, step), y = shape(p, b, keep, step);
    Dim extent = a->loop[0]->loop.extent;
    if (x.known && y.known && in_other_slot(p, &x, &y, extent))
        return true;
    if (!x.known || !y.known || !same_outside(&x, &y))
        return false;
    if (x.base == y.base && x.stride == y.stride && stays_apart(p->dims, &x, extent, step) &&
        stays_apart(p->dims, &y, extent, step))
        return true;
    return lies_before(p->dims, &x, extent, &y) || lies_before(p->dims, &y, extent, &x);
}

static bool same_iteration_some_step(KernProg *p, const DependAccess *a, const DependAccess *b, Dim keep)
{
    if (same_iteration(p, a, b, keep, DIM_ZERO))
        return true;
    for (uint32_t i = 0; i < a->at->n; i++) {
        const KStmt *loop = loop_of(a, a->at->term[i].var);
        if (loop && loop != a->loop[0] && same_iteration(p, a, b, keep, keep_is(p, a->at->term[i].stride, keep)))
            return true;
    }
    return false;
}

bool depend_same_iteration(KernProg *p, const DependAccess *a, const DependAccess *b)
{
    return a->buf == b->buf && same_iteration_some_step(p, a, b, DIM_ZERO) &&
           same_iteration_some_step(p, a, b, DIM_ONE);
}

static bool differ(KernProg *p, const KIndex *a, const KIndex *b, Dim keep)
{
    DimTab *t = p->dims;
    uint32_t i = 0, j = 0, n = unmatched(a, b, &i);
    Dim x = keep_is(p, a->base, keep), y = keep_is(p, b->base, keep);
    if (a->n != b->n || n > 1 || unmatched(b, a, &j) != n)
        return false;
    if (n == 0)
        return is_less(t, x, y) || is_less(t, y, x);
    KVar v = a->term[i].var, w = b->term[j].var;
    Dim size = keep_is(p, a->term[i].stride, keep);
    return x == y && b->term[j].stride == a->term[i].stride && is_less(t, DIM_ZERO, size) && (p->var.p[v].turns == w || p->var.p[w].turns == v);
}

bool depend_differ(KernProg *p, const KIndex *a, const KIndex *b)
{
    return differ(p, a, b, DIM_ZERO) && differ(p, a, b, DIM_ONE);
}

/* ---- slots that take turns ---- */

typedef struct Turns {
    KernProg *p;
    double *number; /* by variable: what it is, 0 if it is no constant */
    bool *parity;   /* by variable: it is something mod 2 */
} Turns;

static void find_turns(Turns *t, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i];
        const KVar *arg = s->let.arg;
        if (s->kind == K_CONST)
            t->number[s->constant.var] = s->constant.number;
        else if (s->kind == K_LET && s->let.fun == FUN_IMOD)
            t->parity[s->let.var] = t->number[arg[1]] == 2;
        else if (s->kind == K_LET && s->let.fun == FUN_SUB && t->number[arg[0]] == 1 && t->parity[arg[1]])
            t->p->var.p[s->let.var].turns = arg[1];
        const KBlock *body = kern_body(s);
        if (body)
            find_turns(t, body);
    }
}

void depend_find_turns(KernProg *p, Arena *scratch)
{
    Turns t = {p, NEWN(scratch, double, p->var.n + 1), NEWN(scratch, bool, p->var.n + 1)};
    for (uint32_t f = 0; f < REC_NFN; f++)
        find_turns(&t, &p->fn[f]);
}
