/* Addresses of two accesses, as sums: what the variables in them can be, what is the same for both, and which sizes cannot be 0 where both are done. */
#include "ir/kern/address.h"

Dim kern_whole(const KernProg *p, Dim extent, const KernPieces *pieces)
{
    for (uint32_t i = 0; pieces && i < pieces->n; i++)
        extent = dim_subst(p->dims, extent, pieces->p[i].part, pieces->p[i].axis);
    return extent;
}

/* ---- where variables come from ---- */

static KVar defined(const KStmt *s)
{
    return s->kind == K_LOOP ? s->loop.var : kern_defines(s);
}

static void find_places(KernApart *x, const KBlock *b, const KStmt *in)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KVar v = defined(b->p[i]);
        if (v != K_NONE) {
            x->at[v].twice = x->at[v].s != NULL;
            x->at[v].s = b->p[i];
            x->at[v].in = in;
        }
        if (kern_body(b->p[i]))
            find_places(x, kern_body(b->p[i]), b->p[i]->kind == K_LOOP ? b->p[i] : in);
    }
}

KernApart *kern_apart_new(Arena *a, KernProg *p, const KBlock *root, const KernPieces *pieces, KVar varies)
{
    KernApart *x = NEW(a, KernApart);
    *x = (KernApart){.a = a, .p = p, .pieces = pieces, .varies = varies, .at = NEWN(a, Place, p->var.n)};
    x->sizes.positive = NEWN(a, bool, dim_nsyms(p->dims));
    find_places(x, root, NULL);
    return x;
}

static void mark_scope(KernApart *x, const KStmt *s)
{
    const KBlock *body = kern_body((KStmt *)s);
    KVar v = defined(s);
    if (v != K_NONE)
        x->at[v].scope = x->scope;
    for (uint32_t i = 0; body && i < body->n; i++)
        mark_scope(x, body->p[i]);
}

void address_begin(KernApart *x, const KStmt *a, const KStmt *b)
{
    x->scope++;
    mark_scope(x, x->round ? x->round : a);
    if (!x->round)
        mark_scope(x, b);
}

/* ---- what variables are ---- */

void address_take_out(Sum *from, uint32_t i)
{
    from->term[i] = from->term[--from->n];
}

static Dim keep_is(const KernApart *x, Dim d)
{
    return dim_subst(x->p->dims, d, x->p->keep, x->keep);
}

const KStmt *address_loop(const KernApart *x, KVar v)
{
    return x->at[v].s && x->at[v].s->kind == K_LOOP ? x->at[v].s : NULL;
}

/* Which term takes the first place of a piece off again; at->n: none. */
static uint32_t first_taken_off(const KernApart *x, const KIndex *at, const KStmt *loop, Dim stride)
{
    Dim begin = dim_mul(x->p->dims, stride, loop->loop.by);
    uint32_t i = 0;
    while (i < at->n && (loop->loop.by == DIM_ZERO || at->term[i].var != loop->loop.from || dim_add(x->p->dims, at->term[i].stride, begin) != DIM_ZERO))
        i++;
    return i;
}

/* The largest value of a loop's variable: of a piece's, on the whole axis, or behind the first of the piece. */
static Dim last_of(const KernApart *x, const KStmt *loop, bool behind_first)
{
    Dim extent = loop->loop.by == DIM_ZERO || behind_first ? loop->loop.extent : kern_whole(x->p, loop->loop.extent, x->pieces);
    return dim_sub(x->p->dims, extent, DIM_ONE);
}

static Term term_for(const KernApart *x, KVar v, Dim stride, bool behind_first)
{
    const KStmt *s = x->at[v].s;
    Term t = {.var = v, .stride = stride, .known = true};
    if (address_loop(x, v))
        t.most = keep_is(x, last_of(x, s, behind_first));
    else if (s && s->kind == K_CHECK)
        t.most = dim_sub(x->p->dims, keep_is(x, s->check.bound), DIM_ONE);
    else
        t.known = false;
    return t;
}

static void add_term(const KernApart *x, Sum *to, Term t)
{
    for (uint32_t i = 0; i < to->n; i++)
        if (to->term[i].var == t.var) {
            to->term[i].stride = dim_add(x->p->dims, to->term[i].stride, t.stride);
            if (to->term[i].stride == DIM_ZERO)
                address_take_out(to, i);
            return;
        }
    to->term[to->n++] = t;
}

/* Where a piece begins, so that it ends on the axis. */
static Term term_for_first(const KernApart *x, const KStmt *loop, Dim stride)
{
    DimTab *d = x->p->dims;
    Dim before = keep_is(x, dim_sub(d, kern_whole(x->p, loop->loop.extent, x->pieces), loop->loop.extent));
    Term t = {.var = loop->loop.from, .stride = dim_mul(d, stride, keep_is(x, loop->loop.by))};
    t.known = dim_div(d, before, keep_is(x, loop->loop.by), &t.most);
    return t;
}

/* t, of which it is known in which round of its loop that is. */
static void add_known(const KernApart *x, Sum *to, Term t, const KernKnown *known, bool behind_first)
{
    DimTab *d = x->p->dims;
    const KStmt *loop = known->loop;
    Dim round = keep_is(x, known->round);
    to->base = dim_add(d, to->base, dim_mul(d, t.stride, round));
    if (known->or_more) {
        t.most = keep_is(x, dim_sub(d, dim_sub(d, loop->loop.extent, DIM_ONE), round));
        add_term(x, to, t);
    }
    if (loop->loop.by != DIM_ZERO && !behind_first)
        add_term(x, to, term_for_first(x, loop, t.stride));
}

static const KernKnown *known_of(const KernKnowns *known, KVar v)
{
    for (uint32_t i = 0; known && i < known->n; i++)
        if (known->p[i].loop->loop.var == v)
            return &known->p[i];
    return NULL;
}

Sum address_sum(KernApart *x, const KIndex *at, const KernKnowns *knowns)
{
    Sum sum = {.base = keep_is(x, at->base)};
    uint32_t first[K_MAXTERM];
    bool off[K_MAXTERM] = {false};
    for (uint32_t i = 0; i < at->n; i++) {
        const KStmt *s = address_loop(x, at->term[i].var);
        first[i] = s ? first_taken_off(x, at, s, at->term[i].stride) : at->n;
        if (first[i] < at->n)
            off[first[i]] = true;
    }
    for (uint32_t i = 0; i < at->n; i++) {
        Dim stride = keep_is(x, at->term[i].stride);
        if (off[i] || stride == DIM_ZERO)
            continue;
        Term t = term_for(x, at->term[i].var, stride, first[i] < at->n);
        const KernKnown *known = known_of(knowns, t.var);
        if (known)
            add_known(x, &sum, t, known, first[i] < at->n);
        else
            add_term(x, &sum, t);
    }
    return sum;
}

bool address_is_outside(const KernApart *x, KVar v)
{
    return x->at[v].scope != x->scope && !x->at[v].twice && v != x->varies;
}

void address_leave_out(const KernApart *x, Sum *a, Sum *b)
{
    for (uint32_t i = a->n; i-- > 0;)
        for (uint32_t j = 0; j < b->n; j++)
            if (a->term[i].var == b->term[j].var && a->term[i].stride == b->term[j].stride && address_is_outside(x, a->term[i].var)) {
                address_take_out(a, i);
                address_take_out(b, j);
                break;
            }
    if (a->base == b->base)
        a->base = b->base = DIM_ZERO;
}

/* ---- sizes where both are done ---- */

static void know_size(KernApart *x, Dim size)
{
    DimTab *t = x->p->dims;
    Dim quotient;
    size = keep_is(x, size);
    for (DimSym s = 0; s < dim_nsyms(t); s++)
        x->sizes.positive[s] |= dim_div(t, size, dim_of(t, s), &quotient);
    if (dim_nterms(t, size) > 1)
        vec_push(x->a, &x->sizes.sum, size);
}

/* A loop that something is in has a round, and so have those around it. */
static void know_loops(KernApart *x, const KStmt *loop)
{
    for (; loop && !x->at[loop->loop.var].twice; loop = x->at[loop->loop.var].in)
        know_size(x, loop->loop.extent);
}

static void know_access(KernApart *x, const KIndex *at)
{
    for (uint32_t i = 0; i < at->n; i++) {
        const Place *place = &x->at[at->term[i].var];
        if (place->s && !place->twice)
            know_loops(x, place->s->kind == K_LOOP ? place->s : place->in);
    }
}

void address_know_sizes(KernApart *x, const KIndex *a, const KIndex *b)
{
    memset(x->sizes.positive, 0, dim_nsyms(x->p->dims) * sizeof *x->sizes.positive);
    x->sizes.sum.n = 0;
    know_size(x, x->p->buf.p[x->memory].size);
    know_access(x, a);
    know_access(x, b);
}

