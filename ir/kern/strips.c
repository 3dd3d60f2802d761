/* kern.strips: what products make for all places of a loop at once, or take from all of them, is made strip by strip.
 *
 *     gemm m B*T ... c = x @ W            strips %9 strip < T length steps {
 *     serial %0 < T { ... load c ... }      gemm m B*strip ... c = x[%9 by ...] @ W
 *                                           serial %0 < strip from %9 by 1 { ... load c ... }
 *                                         }
 *
 * So c stays in the cache between the product and the loop, and if nobody else reads it, its memory is that of one strip: the
 * workspace of an inference no longer grows with T. The same for products behind a loop: those with a row for each place, and sums over
 * all places (gradients of weights), which then add up strip by strip.
 *
 * A group is a loop over places, products in front of it, and products and sums behind it. What one of them writes and another
 * touches must belong to places (cut.c): then a strip has all it needs, whatever its length. Other statements that stand between
 * them move to the front of the group, or stay behind it. Strips have equal lengths, and as many elements as fit into a cache, or more where a
 * sum's own matrix is large: it is read and written by each strip. */
#include "ir/kern/cut.h"
#include "ir/kern/depend.h"

enum {
    ELEMENTS = 1 << 17, /* of a strip, in all that its statements hand on */
    SUM_ROWS = 4096,    /* a strip has one row for so many elements of a matrix that is summed up */
};

typedef struct Member {
    KStmt *s;
    CutAlong along;
    Dim run;
    bool sums; /* it adds to what nobody else in the group reads */
} Member;

typedef struct Group {
    KernProg *p;
    Arena *own;
    KBlock *top;
    uint32_t loop; /* its number in `top` */
    Dim axis;
    VEC(Member) member; /* the loop, those in front of it from the loop on upwards, those behind */
    uint32_t nfront;
    VEC(KStmt *) before, after; /* statements behind the loop that are no members */
    bool *placed;               /* by buffer: what several members touch, place by place */
    Dim *stride;                /* of these, from one place to the next */
} Group;

/* ---- what a statement could be ---- */

static bool divides(DimTab *d, Dim a, Dim by, Dim *run)
{
    return a != DIM_ZERO && a != DIM_HUGE && dim_div(d, a, by, run);
}

/* Loops that add to memory that they do not read, and do nothing else: in any order, but for rounding. */
static bool only_adds(const KernProg *p, const KStmt *all, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        bool fine = s->kind == K_LOOP    ? s->loop.by == DIM_ZERO && only_adds(p, all, &s->loop.body)
                    : s->kind == K_STORE ? s->mem.add
                    : s->kind == K_LOAD  ? !depend_writes(p, all, s->mem.buf)
                                         : s->kind == K_LET || s->kind == K_CONST || s->kind == K_SIZE;
        if (!fine)
            return false;
    }
    return true;
}

static bool has_room(const KStmt *s)
{
    return s->gemm.a.at.n + 2 <= K_MAXTERM && s->gemm.b.at.n + 2 <= K_MAXTERM && s->gemm.c.at.n + 2 <= K_MAXTERM;
}

static bool as_product(const Group *g, KStmt *s, bool behind, Member *m)
{
    DimTab *d = g->p->dims;
    *m = (Member){.s = s, .along = CUT_ROWS};
    if (!has_room(s))
        return false;
    if (!s->gemm.add && divides(d, s->gemm.m, g->axis, &m->run))
        return true;
    m->along = CUT_DEPTH;
    return m->sums = behind && s->gemm.add && s->gemm.when == DIM_ZERO && divides(d, s->gemm.k, g->axis, &m->run);
}

static bool as_sum(const Group *g, KStmt *s, Member *m)
{
    *m = (Member){.s = s, .along = CUT_LOOP, .sums = true};
    return s->kind == K_LOOP && s->loop.kind == K_SERIAL && s->loop.by == DIM_ZERO && only_adds(g->p, s, &s->loop.body) &&
           divides(g->p->dims, s->loop.extent, g->axis, &m->run);
}

static bool as_member(const Group *g, KStmt *s, bool behind, Member *m)
{
    return s->kind == K_GEMM ? as_product(g, s, behind, m) : behind && as_sum(g, s, m);
}

static KStmt *loop_of(const Group *g)
{
    return g->top->p[g->loop];
}

/* ---- memory of a group ---- */

typedef struct Touched {
    const KernProg *p;
    bool *by; /* by buffer */
} Touched;

static void touch(void *cx, KBufId b, KIndex *at)
{
    const Touched *t = cx;
    (void)at;
    t->by[kern_memory(t->p, b)] = true;
}

typedef struct Shared {
    uint32_t *touched, *written, *summed; /* by buffer: how many members do */
} Shared;

static void see(const Group *g, Shared *x, const Member *m)
{
    Touched t = {g->p, NEWN(g->own, bool, g->p->buf.n)};
    kern_each_access(m->s, touch, &t);
    for (KBufId b = 0; b < g->p->buf.n; b++) {
        bool writes = t.by[b] && depend_writes(g->p, m->s, b);
        x->touched[b] += t.by[b];
        x->written[b] += writes;
        x->summed[b] += writes && m->sums;
    }
}

static Shared shared(const Group *g)
{
    uint32_t n = g->p->buf.n;
    Shared x = {NEWN(g->own, uint32_t, n), NEWN(g->own, uint32_t, n), NEWN(g->own, uint32_t, n)};
    for (uint32_t i = 0; i < g->member.n; i++)
        see(g, &x, &g->member.p[i]);
    return x;
}

/* What one member writes and another touches belongs to places, or all that touch it add to it. */
static bool find_placed(Group *g)
{
    Shared x = shared(g);
    for (KBufId b = 0; b < g->p->buf.n; b++) {
        bool sums = x.summed[b] > 0;
        if (sums && x.summed[b] < x.touched[b])
            return false;
        g->placed[b] = !sums && x.written[b] > 0 && x.touched[b] > 1;
    }
    return true;
}

static bool is_ok(Group *g)
{
    if (!find_placed(g))
        return false;
    Cut c = cut_new(g->p, g->own, g->axis);
    c.written = g->placed;
    g->stride = c.stride;
    for (uint32_t i = 0; i < g->member.n; i++)
        if (!cut_places_ok(&c, g->member.p[i].s, g->member.p[i].along, g->member.p[i].run))
            return false;
    return true;
}

/* It has to do with what the group hands on: a product that only stands beside it would gain nothing. */
static bool hands_on(const Group *g, const Member *m)
{
    Touched t = {g->p, NEWN(g->own, bool, g->p->buf.n)};
    kern_each_access(m->s, touch, &t);
    for (KBufId b = 0; b < g->p->buf.n; b++)
        if (g->placed[b] && t.by[b] && g->p->buf.p[b].kind == K_WORK)
            return true;
    return false;
}

/* ---- finding members ---- */

static bool join(Group *g, Member m)
{
    vec_push(g->own, &g->member, m);
    bool fits = is_ok(g) && hands_on(g, &m);
    g->member.n -= !fits;
    return fits;
}

static bool conflicts_with_any(const Group *g, const KStmt *s, KStmt *const *with, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (depend_conflict(g->p, s, with[i]))
            return true;
    return false;
}

/* Products that can wait for the loop. */
static void look_in_front(Group *g)
{
    VEC(KStmt *) between = {0};
    for (uint32_t i = g->loop; i-- > 0;) {
        Member m;
        KStmt *s = g->top->p[i];
        if (!as_member(g, s, false, &m) || conflicts_with_any(g, s, between.p, between.n) || !join(g, m))
            vec_push(g->own, &between, s);
    }
    g->nfront = g->member.n - 1;
}

static bool meets_group(const Group *g, const KStmt *s)
{
    for (uint32_t i = 0; i < g->member.n; i++)
        if (depend_conflict(g->p, s, g->member.p[i].s))
            return true;
    return false;
}

static uint32_t last_candidate(const Group *g)
{
    Member m;
    uint32_t i = g->top->n;
    while (--i > g->loop && !as_member(g, g->top->p[i], true, &m))
        continue;
    return i;
}

/* Returns how many statements behind the loop belong to the group, or stand between it and its last member. */
static uint32_t look_behind(Group *g)
{
    uint32_t taken = 0, before = 0, after = 0, last = last_candidate(g);
    for (uint32_t i = g->loop + 1; i <= last; i++) {
        Member m;
        KStmt *s = g->top->p[i];
        bool early = !conflicts_with_any(g, s, g->after.p, g->after.n);
        if (early && as_member(g, s, true, &m) && join(g, m))
            taken = i - g->loop, before = g->before.n, after = g->after.n;
        else if (early && !meets_group(g, s))
            vec_push(g->own, &g->before, s);
        else
            vec_push(g->own, &g->after, s);
    }
    g->before.n = before;
    g->after.n = after;
    return taken;
}

/* ---- lengths ---- */

static Dim quotient(KernProg *p, Str name, Dim num, Dim den)
{
    struct RecDerivedDim made;
    Dim q = rec_quotient(p->arena, p->dims, &(RecQuotient){name, DIM_STRIP, num, den}, p->derived.p, p->derived.n, &made);
    if (made.floor)
        vec_push(p->arena, &p->derived, made);
    return q;
}

/* Elements that the group hands on at one place. */
static Dim handed_on(const Group *g)
{
    Dim sum = DIM_ZERO;
    for (KBufId b = 0; b < g->p->buf.n; b++)
        if (g->placed[b])
            sum = dim_add(g->p->dims, sum, g->stride[b]);
    return sum;
}

static Dim stride_of(const Group *g, KBufId b)
{
    return g->stride[kern_memory(g->p, b)];
}

/* ELEMENTS, and more for matrices that are summed up; SUM_ROWS times that. */
static Dim elements_of_strip(const Group *g)
{
    DimTab *d = g->p->dims;
    Dim sum = dim_const(d, (int64_t)ELEMENTS * SUM_ROWS), row;
    for (uint32_t i = 0; i < g->member.n; i++) {
        const Member *m = &g->member.p[i];
        if (m->along == CUT_DEPTH && dim_div(d, stride_of(g, m->s->gemm.a.buf), m->run, &row))
            sum = dim_add(d, sum, dim_mul(d, row, dim_mul(d, m->s->gemm.m, m->s->gemm.n)));
    }
    return sum;
}

/* DIM_HUGE: it has too many factors for a size. */
static Dim strip_length(const Group *g)
{
    KernProg *p = g->p;
    DimTab *d = p->dims;
    Dim place = handed_on(g), each = elements_of_strip(g);
    Dim all = dim_add(d, dim_mul(d, dim_const(d, SUM_ROWS), dim_mul(d, place, g->axis)), each);
    if (all == DIM_HUGE || place == DIM_ZERO)
        return DIM_HUGE;
    Dim strips = quotient(p, STR("strips"), all, each);
    return quotient(p, STR("strip"), dim_sub(d, dim_add(d, g->axis, strips), DIM_ONE), strips);
}

/* ---- making the group ---- */

typedef struct Move {
    const Group *g;
    KVar first;
    const bool *shrinks; /* by buffer */
} Move;

/* In a buffer of one strip, a place's elements stand as many places from its beginning as the place from that of the strip. */
static void shift(void *cx, KBufId b, KIndex *at)
{
    const Move *x = cx;
    DimTab *d = x->g->p->dims;
    if (x->shrinks[b])
        kern_index_add(x->g->p, at, x->first, dim_sub(d, DIM_ZERO, x->g->stride[b]));
}

static void cut_depth(const Member *m, KernProg *p, KVar first, Dim part)
{
    DimTab *d = p->dims;
    m->s->gemm.k = dim_mul(d, part, m->run);
    kern_index_add(p, &m->s->gemm.a.at, first, dim_mul(d, m->run, m->s->gemm.a.col_stride));
    kern_index_add(p, &m->s->gemm.b.at, first, dim_mul(d, m->run, m->s->gemm.b.row_stride));
}

static void cut_loop(const Member *m, KernProg *p, KVar first, Dim part)
{
    m->s->loop.extent = dim_mul(p->dims, part, m->run);
    m->s->loop.from = first;
    m->s->loop.by = m->run;
}

static void add_piece(const Group *g, const Member *m, KStmt *strips, const bool *shrinks)
{
    KVar first = strips->strips.first;
    Dim part = dim_of(g->p->dims, strips->strips.part);
    Move x = {g, first, shrinks};
    Cut c = {.p = g->p, .axis = g->axis, .first = first, .part = strips->strips.part};
    if (m->along == CUT_LOOP)
        cut_loop(m, g->p, first, part);
    else if (m->along == CUT_DEPTH)
        cut_depth(m, g->p, first, part);
    else
        cut(&c, m->s);
    kern_each_access(m->s, shift, &x);
    vec_push(g->p->arena, &strips->strips.body, m->s);
}

static void see_outside(void *cx, KBufId b, KIndex *at)
{
    (void)at;
    bool *shrinks = cx;
    shrinks[b] = false;
}

static bool is_in_group(const Group *g, const KStmt *s)
{
    for (uint32_t i = 0; i < g->member.n; i++)
        if (g->member.p[i].s == s)
            return true;
    return false;
}

static void see_full(void *cx, KBufId b, KIndex *at)
{
    bool *full = cx;
    full[b] |= at->n == K_MAXTERM;
}

/* Work arrays of which no other statement knows, and whose addresses have room for one more variable. */
static const bool *shrinking(const Group *g)
{
    KernProg *p = g->p;
    bool *shrinks = NEWN(g->own, bool, p->buf.n), *full = NEWN(g->own, bool, p->buf.n);
    for (KBufId b = 0; b < p->buf.n; b++)
        shrinks[b] = g->placed[b] && p->buf.p[b].kind == K_WORK && p->buf.p[b].size == dim_mul(p->dims, g->stride[b], g->axis);
    for (uint32_t f = 0; f < REC_NFN; f++)
        for (uint32_t i = 0; i < p->fn[f].n; i++)
            if (is_in_group(g, p->fn[f].p[i]))
                kern_each_access(p->fn[f].p[i], see_full, full);
            else
                kern_each_access(p->fn[f].p[i], see_outside, shrinks);
    for (KBufId b = 0; b < p->buf.n; b++)
        shrinks[b] &= !full[b];
    return shrinks;
}

static KStmt *make_strips(const Group *g, Dim length)
{
    KernProg *p = g->p;
    KStmt *loop = loop_of(g), *made = NEW(p->arena, KStmt);
    DimSym part;
    if (!dim_find_sym(p->dims, STR("part.strip"), &part))
        part = dim_sym_new(p->dims, STR("part.strip"), DIM_PART);
    *made = (KStmt){.kind = K_STRIPS,
                    .at = loop->at,
                    .strips = {kern_var(p, DT_INT, true, STR("first")), part, g->axis, length, loop->loop.reverse, {0}}};
    const bool *shrinks = shrinking(g);
    for (KBufId b = 0; b < p->buf.n; b++)
        if (shrinks[b])
            p->buf.p[b].size = dim_mul(p->dims, g->stride[b], length);
    for (uint32_t i = g->nfront + 1; i-- > 0;)
        add_piece(g, &g->member.p[i], made, shrinks);
    for (uint32_t i = g->nfront + 1; i < g->member.n; i++)
        add_piece(g, &g->member.p[i], made, shrinks);
    return made;
}

/* The statements in front that are no members, what was behind the loop and goes before it, the group, the rest. Returns the group's
 * number. */
static uint32_t put_back(Group *g, KStmt *made, uint32_t taken)
{
    KBlock to = {0};
    uint32_t at;
    for (uint32_t i = 0; i < g->loop; i++)
        if (!is_in_group(g, g->top->p[i]))
            vec_push(g->p->arena, &to, g->top->p[i]);
    for (uint32_t i = 0; i < g->before.n; i++)
        vec_push(g->p->arena, &to, g->before.p[i]);
    at = to.n;
    vec_push(g->p->arena, &to, made);
    for (uint32_t i = 0; i < g->after.n; i++)
        vec_push(g->p->arena, &to, g->after.p[i]);
    for (uint32_t i = g->loop + taken + 1; i < g->top->n; i++)
        vec_push(g->p->arena, &to, g->top->p[i]);
    *g->top = to;
    return at;
}

static bool leaves(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_LEAVE)
            return true;
    return false;
}

static bool is_over_places(const KernProg *p, const KStmt *s)
{
    int64_t n;
    return s->kind == K_LOOP && s->loop.kind == K_SERIAL && s->loop.by == DIM_ZERO && !leaves(&s->loop.body) &&
           s->loop.extent != DIM_HUGE && !dim_is_const(p->dims, s->loop.extent, &n);
}

/* Returns the number of the loop, or of what has become of it. */
static uint32_t look_at(KernProg *p, Arena *own, KBlock *top, uint32_t at)
{
    Group g = {.p = p, .own = own, .top = top, .loop = at, .axis = top->p[at]->loop.extent};
    g.placed = NEWN(own, bool, p->buf.n);
    vec_push(own, &g.member, ((Member){.s = loop_of(&g), .along = CUT_LOOP, .run = DIM_ONE}));
    look_in_front(&g);
    uint32_t taken = look_behind(&g);
    if (g.member.n == 1 || !is_ok(&g))
        return at;
    Dim length = strip_length(&g);
    return length == DIM_HUGE ? at : put_back(&g, make_strips(&g, length), taken);
}

/* init multiplies nothing. */
void kern_strips(KernProg *p)
{
    Arena *own = arena_new();
    for (uint32_t f = REC_FORWARD; f <= REC_BACKWARD; f++)
        for (uint32_t i = 0; i < p->fn[f].n; i++)
            if (is_over_places(p, p->fn[f].p[i]))
                i = look_at(p, own, &p->fn[f], i);
    arena_free(own);
    kern_mark_uses(p);
}
