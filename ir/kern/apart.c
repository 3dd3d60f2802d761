/* Whether two statements meet in memory: whether an element that one of them writes may be read or written by the other, in one round of all loops
 * around both, or in two rounds of one of those.
 *
 * An address is a base and terms, variables times strides. What is the same for both, since it comes from outside, is left out. Then the largest
 * of one may lie in front of the smallest of the other. Or there is a stride P of which some terms are multiples, and the rest stays within
 * 0..P-1: then addresses are P * q + r, as digits are, and differ where q or r does, which is the same question again. Columns 0..N-1 and N..M-1
 * of rows of length M are apart, P = M, since those of r are; rows i and j of two rounds, since those of q are, whatever the columns. `keep` is
 * tried with both its values. */
#include "ir/kern/address.h"

/* The base is the smallest. */
static bool begins_at_base(const KernApart *x, const Sum *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (!(s->term[i].known || s->term[i].natural) || !depend_is_less(x->p, &x->sizes, DIM_ZERO, s->term[i].stride))
            return false;
    return true;
}

static bool reach(const KernApart *x, const Sum *s, Dim *last)
{
    DimTab *t = x->p->dims;
    *last = s->base;
    for (uint32_t i = 0; i < s->n; i++) {
        if (!s->term[i].known)
            return false;
        *last = dim_add(t, *last, dim_mul(t, s->term[i].stride, s->term[i].most));
    }
    return begins_at_base(x, s);
}

static bool lies_before(const KernApart *x, const Sum *a, const Sum *b)
{
    Dim last;
    return reach(x, a, &last) && begins_at_base(x, b) && depend_is_less(x->p, &x->sizes, last, b->base);
}

static bool take_turns(const KernApart *x, KVar v, KVar w)
{
    return address_is_outside(x, v) && address_is_outside(x, w) && (x->p->var.p[v].turns == w || x->p->var.p[w].turns == v);
}

/* Pieces of two blocks. */
static bool are_of_pieces(const KernApart *x, KVar v, KVar w)
{
    const KStmt *a = address_loop(x, v), *b = address_loop(x, w);
    return a && b && x->varies != K_NONE && a->loop.from == x->varies && b->loop.from == x->varies && a->loop.by == DIM_ONE && b->loop.by == DIM_ONE;
}

static bool is_fixed(const KernApart *x, KVar v)
{
    const KStmt *s = x->at[v].s;
    return address_is_outside(x, v) || (s && (s->kind == K_CONST || s->kind == K_SIZE));
}

/* Another value in each round: its variable, or that added to or taken off something. What is out of range is an error anyway. */
static bool goes_with_rounds(const KernApart *x, KVar v)
{
    const KStmt *s = x->at[v].s;
    if (v == x->round->loop.var || !s || address_is_outside(x, v))
        return v == x->round->loop.var;
    if (s->kind == K_CHECK)
        return goes_with_rounds(x, s->check.index);
    if (s->kind != K_LET || (s->let.fun != FUN_ADD && s->let.fun != FUN_SUB))
        return false;
    return (is_fixed(x, s->let.arg[0]) && goes_with_rounds(x, s->let.arg[1])) || (is_fixed(x, s->let.arg[1]) && goes_with_rounds(x, s->let.arg[0]));
}

static bool are_other_rounds(const KernApart *x, KVar v, KVar w)
{
    return x->loop_a && x->loop_b && ((v == x->loop_a->loop.var && w == x->loop_b->loop.var) || (w == x->loop_a->loop.var && v == x->loop_b->loop.var));
}

/* Two rounds, two pieces, or two slots that take turns, and nothing else. */
static bool one_differs(const KernApart *x, const Sum *a, const Sum *b)
{
    if (a->n != 1 || b->n != 1 || a->base != b->base || a->term[0].stride != b->term[0].stride || !depend_is_less(x->p, &x->sizes, DIM_ZERO, a->term[0].stride))
        return false;
    KVar v = a->term[0].var, w = b->term[0].var;
    return (x->round && v == w && goes_with_rounds(x, v)) || are_other_rounds(x, v, w) || are_of_pieces(x, v, w) || take_turns(x, v, w);
}

/* The terms of a base that are multiples of `by`, divided by it. */
static Dim multiples(const KernApart *x, Dim base, Dim by)
{
    DimTab *t = x->p->dims;
    Dim all = DIM_ZERO, times;
    for (uint32_t i = 0; i < dim_nterms(t, base); i++)
        if (dim_div(t, dim_of_term(t, base, i), by, &times))
            all = dim_add(t, all, times);
    return all;
}

static bool is_natural(const KernApart *x, Dim d)
{
    return depend_is_less(x->p, &x->sizes, DIM_ZERO, dim_add(x->p->dims, d, DIM_ONE));
}

/* base = by * q + r, r at least 0 if that can be seen. */
static Dim rest_of(const KernApart *x, Dim base, Dim by, Dim *q)
{
    DimTab *t = x->p->dims;
    *q = multiples(x, base, by);
    Dim r = dim_sub(t, base, dim_mul(t, by, *q));
    if (is_natural(x, r))
        return r;
    *q = dim_sub(t, *q, DIM_ONE);
    return dim_add(t, r, by);
}

/* s = by * q + r; false: r may be more than a digit. */
static bool digits(const KernApart *x, const Sum *s, Dim by, Sum *q, Sum *r)
{
    Dim last, times;
    *q = *r = (Sum){0};
    r->base = rest_of(x, s->base, by, &q->base);
    for (uint32_t i = 0; i < s->n; i++) {
        Term term = s->term[i];
        bool is = dim_div(x->p->dims, term.stride, by, &times);
        term.stride = is ? times : term.stride;
        Sum *to = is ? q : r;
        to->term[to->n++] = term;
    }
    return is_natural(x, r->base) && reach(x, r, &last) && depend_is_less(x->p, &x->sizes, last, by);
}

static bool is_nothing(const Sum *s)
{
    return s->n == 0 && s->base == DIM_ZERO;
}

static bool differ(const KernApart *x, const Sum *a, const Sum *b);

static bool digits_differ(const KernApart *x, const Sum *a, const Sum *b, Dim by)
{
    Sum qa, ra, qb, rb;
    if (by == DIM_ONE || !digits(x, a, by, &qa, &ra) || !digits(x, b, by, &qb, &rb))
        return false;
    bool splits = !(is_nothing(&qa) && is_nothing(&qb)) && !(is_nothing(&ra) && is_nothing(&rb));
    return splits && (differ(x, &qa, &qb) || differ(x, &ra, &rb));
}

static bool some_digits_differ(const KernApart *x, const Sum *a, const Sum *b)
{
    for (uint32_t i = 0; i < a->n; i++)
        if (digits_differ(x, a, b, a->term[i].stride))
            return true;
    for (uint32_t i = 0; i < b->n; i++)
        if (digits_differ(x, a, b, b->term[i].stride))
            return true;
    return false;
}

/* Something may be within a digit with what both have alike, as the beginning of a piece and a place in it, or without that. */
static bool differ(const KernApart *x, const Sum *a, const Sum *b)
{
    Sum p = *a, q = *b;
    address_leave_out(x, &p, &q);
    return lies_before(x, &p, &q) || lies_before(x, &q, &p) || one_differs(x, &p, &q) || some_digits_differ(x, &p, &q) ||
           (p.n < a->n && some_digits_differ(x, a, b));
}

/* Takes the smaller one of the two strides of v off both. */
static void take_off_both(const KernApart *x, Sum *a, uint32_t i, Sum *b, uint32_t j)
{
    Dim p = a->term[i].stride, q = b->term[j].stride;
    a->term[i].stride = dim_sub(x->p->dims, p, q);
    address_take_out(b, j);
    if (p == q)
        address_take_out(a, i);
}

static uint32_t term_of(const Sum *s, KVar v)
{
    uint32_t i = 0;
    while (i < s->n && s->term[i].var != v)
        i++;
    return i;
}

/* A round of b is behind that of a: its variable is that of a, and one and something more, if the loop goes upwards. */
static bool are_apart_in_order(const KernApart *x, const Sum *p, const Sum *q)
{
    Sum a = *p, b = *q, *more = x->round->loop.reverse ? &a : &b;
    address_leave_out(x, &a, &b);
    uint32_t i = term_of(&a, x->round->loop.var), j = term_of(&b, x->round->loop.var), at = more == &a ? i : j;
    if (i == a.n || j == b.n || more->n == SUM_MAXTERM)
        return false;
    Dim stride = more->term[at].stride;
    more->base = dim_add(x->p->dims, more->base, stride);
    more->term[more->n++] = (Term){K_NONE, stride, DIM_ZERO, false, true};
    if (depend_is_less(x->p, &x->sizes, a.term[i].stride, b.term[j].stride))
        take_off_both(x, &b, j, &a, i);
    else if (a.term[i].stride == b.term[j].stride || depend_is_less(x->p, &x->sizes, b.term[j].stride, a.term[i].stride))
        take_off_both(x, &a, i, &b, j);
    return lies_before(x, &a, &b) || lies_before(x, &b, &a);
}

bool kern_are_apart(KernApart *x, const KIndex *a, const KIndex *b, const KernExcept *except)
{
    x->loop_a = except ? except->loop_a : NULL;
    x->loop_b = except ? except->loop_b : NULL;
    for (int keep = 0; keep < 2; keep++) {
        x->keep = keep ? DIM_ONE : DIM_ZERO;
        address_know_sizes(x, a, b);
        Sum p = address_sum(x, a, except ? &except->of_a : NULL), q = address_sum(x, b, except ? &except->of_b : NULL);
        if (!differ(x, &p, &q) && !(x->round && except && except->in_order && are_apart_in_order(x, &p, &q)))
            return false;
    }
    return true;
}

/* ---- accesses ---- */

typedef struct Access {
    const KIndex *at;
    bool write;
} Access;
typedef VEC(Access) Accesses;

/* False: there is something else than loads and stores. */
static bool list_accesses(KernApart *x, const KStmt *s, KBufId memory, Accesses *to)
{
    const KBlock *body = kern_body((KStmt *)s);
    bool moves = s->kind == K_LOAD || s->kind == K_STORE;
    if (moves && kern_memory(x->p, s->mem.buf) == memory)
        vec_push(x->a, to, (Access){&s->mem.at, s->kind == K_STORE});
    for (uint32_t i = 0; body && i < body->n; i++)
        if (!list_accesses(x, body->p[i], memory, to))
            return false;
    return moves || s->kind == K_LOOP || kern_written(s) == K_NONE;
}

bool kern_apart(KernApart *x, const KStmt *a, const KStmt *b, KBufId memory, const KStmt *round, const KernExcept *except)
{
    Accesses p = {0}, q = {0};
    if (!list_accesses(x, a, memory, &p) || !list_accesses(x, b, memory, &q))
        return false;
    x->round = round;
    x->memory = memory;
    address_begin(x, a, b);
    for (uint32_t i = 0; i < p.n; i++)
        for (uint32_t j = 0; j < q.n; j++)
            if ((p.p[i].write || q.p[j].write) && !kern_are_apart(x, p.p[i].at, q.p[j].at, except) &&
                !(except && except->excuse && except->excuse(except->cx, p.p[i].at, q.p[j].at)))
                return false;
    return true;
}
