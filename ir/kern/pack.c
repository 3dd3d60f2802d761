/* kern.pack: a matrix that many rows are multiplied by is copied once into an order that suits the product.
 *
 * Looked for are products of which both operands are read along k, C's columns lie side by side, and B stays the same
 * through the outermost statement that the product stands in: weights, mostly. The copy is made in front of that
 * statement, when there are rows enough to pay for it; loops that choose among several matrices (heads) are
 * repeated around it. Whether there are enough is known when sizes are: a dimension that is 0 or 1 says so, and the
 * copy takes no memory where it is 0. */
#include "ir/kern/depend.h"

enum {
    LEAST_ROWS = 2048, /* in all: copying costs as much as multiplying by about a hundred rows */
    LEAST_TILE = 4,    /* rows of one product */
    LEAST_SIZE = 16,   /* of k and n, where they are numbers */
    MOST_LOOPS = 16,
};

typedef struct Pass {
    KernProg *p;
    KBlock *top; /* the function */
    uint32_t at; /* of the outermost statement in it */
    const KStmt *loop[MOST_LOOPS];
    uint32_t nloop;
} Pass;

/* ---- sizes ---- */

/* False when the product has too many factors for a size. */
static bool times(DimTab *d, Dim *a, Dim b)
{
    *a = dim_mul(d, *a, b);
    return *a != DIM_HUGE;
}

static Dim at_least(KernProg *p, Dim d, int64_t least)
{
    struct RecDerivedDim made;
    Dim flag = rec_flag(p->arena, p->dims, d, least, p->derived.p, p->derived.n, &made);
    if (made.floor)
        vec_push(p->arena, &p->derived, made);
    return flag;
}

/* ---- which products ---- */

static bool is_small(const KernProg *p, Dim d)
{
    int64_t n;
    return dim_is_const(p->dims, d, &n) && n < LEAST_SIZE;
}

static bool has_shape(const KernProg *p, const KStmt *s)
{
    return s->gemm.when == DIM_ZERO && s->gemm.a.col_stride == DIM_ONE && s->gemm.b.row_stride == DIM_ONE &&
           s->gemm.c.col_stride == DIM_ONE && s->gemm.m != DIM_ONE && !is_small(p, s->gemm.n) &&
           !is_small(p, s->gemm.k);
}

/* The loop around whose variable is v, NULL: it is something else. */
static const KStmt *loop_of(const Pass *x, KVar v)
{
    for (uint32_t i = 0; i < x->nloop; i++)
        if (x->loop[i]->loop.var == v && x->loop[i]->loop.by == DIM_ZERO)
            return x->loop[i];
    return NULL;
}

static bool chooses(const KIndex *at, const KStmt *loop)
{
    for (uint32_t i = 0; i < at->n; i++)
        if (at->term[i].var == loop->loop.var)
            return true;
    return false;
}

static bool stays(const Pass *x, const KStmt *s)
{
    for (uint32_t i = 0; i < s->gemm.b.at.n; i++)
        if (!loop_of(x, s->gemm.b.at.term[i].var))
            return false;
    return !depend_writes(x->p, x->top->p[x->at], s->gemm.b.buf);
}

/* Whether each copy is multiplied by rows enough: a size that is 1 if so. */
static bool when_it_pays(const Pass *x, const KStmt *s, Dim *when)
{
    DimTab *d = x->p->dims;
    Dim rows = s->gemm.m;
    for (uint32_t i = 0; i < x->nloop; i++)
        if (!chooses(&s->gemm.b.at, x->loop[i]) && !times(d, &rows, x->loop[i]->loop.extent))
            return false;
    *when = at_least(x->p, rows, LEAST_ROWS);
    if (rows != s->gemm.m)
        *when = dim_mul(d, *when, at_least(x->p, s->gemm.m, LEAST_TILE));
    return *when != DIM_ZERO;
}

/* ---- the copy ---- */

/* One matrix, or one for each round of the loops that choose it. */
static bool new_buffer(Pass *x, const KStmt *s, Dim when, KBufId *buf, Dim *each)
{
    DimTab *d = x->p->dims;
    Dim size = dim_add(d, s->gemm.n, dim_const(d, KERN_PANEL - 1)), all;
    if (!times(d, &size, s->gemm.k) || !times(d, &size, when))
        return false;
    all = *each = size;
    for (uint32_t i = 0; i < x->nloop; i++)
        if (chooses(&s->gemm.b.at, x->loop[i]) && !times(d, &all, x->loop[i]->loop.extent))
            return false;
    *buf = kern_buf(x->p, (KBuf){.kind = K_WORK, .dt = DT_REAL, .size = all, .shares = K_NONE});
    return true;
}

static void rename_var(KIndex *at, KVar from, KVar to)
{
    for (uint32_t i = 0; i < at->n; i++)
        if (at->term[i].var == from)
            at->term[i].var = to;
}

/* The copy with the loops that choose, and where the product finds its own. */
static void add_copy(Pass *x, KStmt *s, Dim when, KBufId buf, Dim each)
{
    KernProg *p = x->p;
    KBlock made = {0}, *to = &made;
    KIndex place = {.base = DIM_ZERO}, own = {.base = DIM_ZERO};
    KView b = s->gemm.b;
    for (uint32_t i = x->nloop; i-- > 0;) {
        if (!chooses(&s->gemm.b.at, x->loop[i]))
            continue;
        Dim extent = x->loop[i]->loop.extent;
        KVar var = kern_var(p, DT_INT, true, STR(""));
        KStmt loop = {.kind = K_LOOP, .at = s->at, .loop = {.kind = K_PARALLEL, .var = var, .extent = extent}};
        rename_var(&b.at, x->loop[i]->loop.var, var);
        kern_index_add(p, &place, var, each);
        kern_index_add(p, &own, x->loop[i]->loop.var, each);
        each = dim_mul(p->dims, each, extent);
        to = &kern_add(p, to, loop)->loop.body;
    }
    KStmt pack = {.kind = K_PACK, .at = s->at, .pack = {buf, place, b, s->gemm.k, s->gemm.n, when}};
    kern_add(p, to, pack);
    s->gemm.packed = buf;
    s->gemm.packed_at = own;
    s->gemm.when = when;
    kern_insert(p, x->top, x->at++, made.p[0]);
}

static void look_at(Pass *x, KStmt *s)
{
    Dim when, each;
    KBufId buf;
    if (has_shape(x->p, s) && stays(x, s) && when_it_pays(x, s, &when) && new_buffer(x, s, when, &buf, &each))
        add_copy(x, s, when, buf, each);
}

static void walk(Pass *x, KStmt *s)
{
    if (s->kind == K_GEMM)
        look_at(x, s);
    if (s->kind != K_LOOP || x->nloop == MOST_LOOPS)
        return;
    x->loop[x->nloop++] = s;
    for (uint32_t i = 0; i < s->loop.body.n; i++)
        walk(x, s->loop.body.p[i]);
    x->nloop--;
}

/* init multiplies nothing. */
void kern_pack(KernProg *p)
{
    for (uint32_t f = REC_FORWARD; f <= REC_BACKWARD; f++) {
        Pass x = {.p = p, .top = &p->fn[f]};
        for (; x.at < x.top->n; x.at++)
            walk(&x, x.top->p[x.at]);
    }
    kern_mark_uses(p);
}
