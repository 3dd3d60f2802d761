/* Whether two statements meet in memory: whether an element that one of them writes may be read or written by the other, in one round of all loops
 * around both, or in two rounds of one of those.
 *
 * An address is a base and terms, variables times strides. What is the same for both, since it comes from outside, is left out. Then the largest
 * of one may lie in front of the smallest of the other. Or there is a stride P of which some terms are multiples, and the rest stays within
 * 0..P-1: then addresses are P * q + r, as digits are, and differ where q or r does, which is the same question again. Columns 0..N-1 and N..M-1
 * of rows of length M are apart, P = M, since those of r are; rows i and j of two rounds, since those of q are, whatever the columns. `keep` is
 * tried with both its values. */
#include "ir/kern/depend.h"

typedef struct Place {
    const KStmt *s; /* that defines a variable; a loop defines its own */
    bool twice;     /* it stands in several loops, each of which has its own */
    uint32_t scope; /* the last question in which it was inside of what is asked about */
} Place;

struct KernApart {
    Arena *a;
    KernProg *p;
    const KernPieces *pieces;
    Place *at; /* by KVar */
    KVar varies;
    uint32_t scope;
    Dim keep;
    const KStmt *round;
};

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

static void find_places(KernApart *x, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KVar v = defined(b->p[i]);
        if (v != K_NONE) {
            x->at[v].twice = x->at[v].s != NULL;
            x->at[v].s = b->p[i];
        }
        if (kern_body(b->p[i]))
            find_places(x, kern_body(b->p[i]));
    }
}

KernApart *kern_apart_new(Arena *a, KernProg *p, const KBlock *root, const KernPieces *pieces, KVar varies)
{
    KernApart *x = NEW(a, KernApart);
    *x = (KernApart){.a = a, .p = p, .pieces = pieces, .varies = varies, .at = NEWN(a, Place, p->var.n)};
    find_places(x, root);
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

/* ---- addresses ---- */

typedef struct Term {
    KVar var;
    Dim stride, most; /* it is 0..most, */
    bool known;       /* or that is not known */
    bool natural;     /* then: it is not below 0 */
} Term;

typedef struct Sum {
    Dim base;
    uint32_t n;
    Term term[K_MAXTERM];
} Sum;

static Dim keep_is(const KernApart *x, Dim d)
{
    return dim_subst(x->p->dims, d, x->p->keep, x->keep);
}

static const KStmt *loop_of(const KernApart *x, KVar v)
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

static Sum sum_of(KernApart *x, const KIndex *at)
{
    Sum sum = {.base = keep_is(x, at->base)};
    bool off[K_MAXTERM] = {false};
    for (uint32_t i = 0; i < at->n; i++) {
        const KStmt *s = loop_of(x, at->term[i].var);
        uint32_t first = s ? first_taken_off(x, at, s, at->term[i].stride) : at->n;
        if (first < at->n)
            off[first] = true;
    }
    for (uint32_t i = 0; i < at->n; i++) {
        KVar v = at->term[i].var;
        Dim stride = keep_is(x, at->term[i].stride);
        const KStmt *s = x->at[v].s;
        if (off[i] || stride == DIM_ZERO)
            continue;
        Term t = {.var = v, .stride = stride, .known = true};
        if (loop_of(x, v))
            t.most = keep_is(x, last_of(x, s, first_taken_off(x, at, s, at->term[i].stride) < at->n));
        else if (s && s->kind == K_CHECK)
            t.most = dim_sub(x->p->dims, keep_is(x, s->check.bound), DIM_ONE);
        else
            t.known = false;
        sum.term[sum.n++] = t;
    }
    return sum;
}

static void take_out(Sum *from, uint32_t i)
{
    from->term[i] = from->term[--from->n];
}

static bool comes_from_outside(const KernApart *x, KVar v)
{
    return x->at[v].scope != x->scope && !x->at[v].twice && v != x->varies;
}

/* What both have alike. */
static void leave_out(const KernApart *x, Sum *a, Sum *b)
{
    for (uint32_t i = a->n; i-- > 0;)
        for (uint32_t j = 0; j < b->n; j++)
            if (a->term[i].var == b->term[j].var && a->term[i].stride == b->term[j].stride && comes_from_outside(x, a->term[i].var)) {
                take_out(a, i);
                take_out(b, j);
                break;
            }
    if (a->base == b->base)
        a->base = b->base = DIM_ZERO;
}

/* ---- different elements ---- */

/* The base is the smallest. */
static bool begins_at_base(const KernApart *x, const Sum *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (!(s->term[i].known || s->term[i].natural) || !depend_is_less(x->p, DIM_ZERO, s->term[i].stride))
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
    return reach(x, a, &last) && begins_at_base(x, b) && depend_is_less(x->p, last, b->base);
}

static bool take_turns(const KernApart *x, KVar v, KVar w)
{
    return comes_from_outside(x, v) && comes_from_outside(x, w) && (x->p->var.p[v].turns == w || x->p->var.p[w].turns == v);
}

/* Pieces of two blocks. */
static bool are_of_pieces(const KernApart *x, KVar v, KVar w)
{
    const KStmt *a = loop_of(x, v), *b = loop_of(x, w);
    return a && b && x->varies != K_NONE && a->loop.from == x->varies && b->loop.from == x->varies && a->loop.by == DIM_ONE && b->loop.by == DIM_ONE;
}

static bool is_fixed(const KernApart *x, KVar v)
{
    const KStmt *s = x->at[v].s;
    return comes_from_outside(x, v) || (s && (s->kind == K_CONST || s->kind == K_SIZE));
}

/* Another value in each round: its variable, or that added to or taken off something. What is out of range is an error anyway. */
static bool goes_with_rounds(const KernApart *x, KVar v)
{
    const KStmt *s = x->at[v].s;
    if (v == x->round->loop.var || !s || comes_from_outside(x, v))
        return v == x->round->loop.var;
    if (s->kind == K_CHECK)
        return goes_with_rounds(x, s->check.index);
    if (s->kind != K_LET || (s->let.fun != FUN_ADD && s->let.fun != FUN_SUB))
        return false;
    return (is_fixed(x, s->let.arg[0]) && goes_with_rounds(x, s->let.arg[1])) || (is_fixed(x, s->let.arg[1]) && goes_with_rounds(x, s->let.arg[0]));
}

/* Two rounds, two pieces, or two slots that take turns, and nothing else. */
static bool one_differs(const KernApart *x, const Sum *a, const Sum *b)
{
    if (a->n != 1 || b->n != 1 || a->base != b->base || a->term[0].stride != b->term[0].stride || !depend_is_less(x->p, DIM_ZERO, a->term[0].stride))
        return false;
    KVar v = a->term[0].var, w = b->term[0].var;
    return (x->round && v == w && goes_with_rounds(x, v)) || are_of_pieces(x, v, w) || take_turns(x, v, w);
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

/* s = by * q + r; false: r may be more than a digit. */
static bool digits(const KernApart *x, const Sum *s, Dim by, Sum *q, Sum *r)
{
    DimTab *t = x->p->dims;
    Dim last, times;
    *q = (Sum){.base = multiples(x, s->base, by)};
    *r = (Sum){.base = dim_sub(t, s->base, dim_mul(t, by, q->base))};
    for (uint32_t i = 0; i < s->n; i++) {
        Term term = s->term[i];
        bool is = dim_div(t, term.stride, by, &times);
        term.stride = is ? times : term.stride;
        Sum *to = is ? q : r;
        to->term[to->n++] = term;
    }
    return depend_is_less(x->p, DIM_ZERO, dim_add(t, r->base, DIM_ONE)) && reach(x, r, &last) && depend_is_less(x->p, last, by);
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

static bool differ(const KernApart *x, const Sum *a, const Sum *b)
{
    if (lies_before(x, a, b) || lies_before(x, b, a) || one_differs(x, a, b))
        return true;
    for (uint32_t i = 0; i < a->n; i++)
        if (digits_differ(x, a, b, a->term[i].stride))
            return true;
    for (uint32_t i = 0; i < b->n; i++)
        if (digits_differ(x, a, b, b->term[i].stride))
            return true;
    return false;
}

/* Takes the smaller one of the two strides of v off both. */
static void take_off_both(const KernApart *x, Sum *a, uint32_t i, Sum *b, uint32_t j)
{
    Dim p = a->term[i].stride, q = b->term[j].stride;
    a->term[i].stride = dim_sub(x->p->dims, p, q);
    take_out(b, j);
    if (p == q)
        take_out(a, i);
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
    uint32_t i = term_of(&a, x->round->loop.var), j = term_of(&b, x->round->loop.var), at = more == &a ? i : j;
    if (i == a.n || j == b.n || more->n == K_MAXTERM)
        return false;
    Dim stride = more->term[at].stride;
    more->base = dim_add(x->p->dims, more->base, stride);
    more->term[more->n++] = (Term){K_NONE, stride, DIM_ZERO, false, true};
    if (depend_is_less(x->p, a.term[i].stride, b.term[j].stride))
        take_off_both(x, &b, j, &a, i);
    else if (a.term[i].stride == b.term[j].stride || depend_is_less(x->p, b.term[j].stride, a.term[i].stride))
        take_off_both(x, &a, i, &b, j);
    return lies_before(x, &a, &b) || lies_before(x, &b, &a);
}

static void leave_out_zeros(Sum *from, const KernExcept *except)
{
    for (uint32_t i = from->n; i-- > 0;)
        for (uint32_t j = 0; except && j < except->n; j++)
            if (from->term[i].var == except->zero[j]) {
                take_out(from, i);
                break;
            }
}

static bool are_apart(KernApart *x, const KIndex *a, const KIndex *b, const KernExcept *except)
{
    for (int keep = 0; keep < 2; keep++) {
        x->keep = keep ? DIM_ONE : DIM_ZERO;
        Sum p = sum_of(x, a), q = sum_of(x, b);
        leave_out_zeros(&q, except);
        leave_out(x, &p, &q);
        if (!differ(x, &p, &q) && !(x->round && except && except->in_order && are_apart_in_order(x, &p, &q)))
            return false;
    }
    return true;
}

bool kern_apart(KernApart *x, const KStmt *a, const KStmt *b, KBufId memory, const KStmt *round, const KernExcept *except)
{
    Accesses p = {0}, q = {0};
    if (!list_accesses(x, a, memory, &p) || !list_accesses(x, b, memory, &q))
        return false;
    x->scope++;
    x->round = round;
    mark_scope(x, round ? round : a);
    if (!round)
        mark_scope(x, b);
    for (uint32_t i = 0; i < p.n; i++)
        for (uint32_t j = 0; j < q.n; j++)
            if ((p.p[i].write || q.p[j].write) && !are_apart(x, p.p[i].at, q.p[j].at, except) &&
                !(except && except->excuse && except->excuse(except->cx, p.p[i].at, q.p[j].at)))
                return false;
    return true;
}
