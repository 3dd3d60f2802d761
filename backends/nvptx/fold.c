/* A loop that goes several times over an axis becomes two, one over the times and one over the axis. Products make the gates of an LSTM in one loop
 * of four times H columns, gate by gate. Cut into pieces as it stands, a block of a team would make columns next to each other, of one gate, and the step
 * behind it needs all gates of a place. Folded, a block makes the columns of its own places, and nobody waits for another block. Elements are the same
 * sums in the same order. */
#include "backends/nvptx/plan.h"

typedef struct Fold {
    KernProg *k;
    KVar var;          /* of the loop */
    KVar times;        /* of the new one around */
    Dim axis;
    uint32_t uses, terms; /* of var: all, and in addresses */
    bool fail;
} Fold;

static void count_use(void *cx, KVar *v)
{
    Fold *x = cx;
    x->uses += *v == x->var;
}

static void count_term(void *cx, KBufId buf, KIndex *at)
{
    Fold *x = cx;
    (void)buf;
    for (uint32_t i = 0; i < at->n; i++)
        if (at->term[i].var == x->var) {
            x->terms++;
            x->fail |= at->n == K_MAXTERM;
        }
}

static bool starts_from(const KBlock *b, KVar v)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        if (s->kind == K_LOOP && ((s->loop.by != DIM_ZERO && s->loop.from == v) || starts_from(&s->loop.body, v)))
            return true;
    }
    return false;
}

/* The variable is nothing but part of addresses. */
static bool is_place(Fold *x, KStmt *loop)
{
    kern_each_use(loop, count_use, x);
    kern_each_access(loop, count_term, x);
    return !x->fail && x->uses == x->terms && !starts_from(&loop->loop.body, x->var);
}

static void add_times(void *cx, KBufId buf, KIndex *at)
{
    const Fold *x = cx;
    Dim stride = kern_index_stride(at, x->var);
    (void)buf;
    kern_index_add(x->k, at, x->times, dim_mul(x->k->dims, stride, x->axis));
}

/* The only statement of a body that does something, if others may be done several times. */
static KStmt *only_work(const KBlock *b)
{
    KStmt *only = NULL;
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i];
        if (nv_is_scalar(s))
            continue;
        if (only)
            return NULL;
        only = s;
    }
    return only;
}

/* In loops whose iterations are independent, one inside the other, the first that can be folded. */
static KStmt *find_loop(Fold *x, KStmt *s, Dim *times)
{
    DimTab *d = x->k->dims;
    int64_t n;
    for (; s && s->kind == K_LOOP && s->loop.kind != K_SERIAL; s = only_work(&s->loop.body)) {
        x->var = s->loop.var, x->uses = x->terms = 0, x->fail = false;
        if (s->loop.by == DIM_ZERO && s->loop.extent != x->axis && dim_div(d, s->loop.extent, x->axis, times) && dim_is_const(d, *times, &n) &&
            n > 1 && is_place(x, s))
            return s;
    }
    return NULL;
}

/* The new loop stands around all others, so that the last two of a product are its rows and columns, as before. */
static KStmt *folded(Fold *x, KStmt *s)
{
    Dim times;
    KStmt *loop = find_loop(x, s, &times), *around;
    if (!loop)
        return s;
    around = NEW(x->k->arena, KStmt);
    *around = (KStmt){.kind = K_LOOP, .at = s->at, .loop = {.kind = K_PARALLEL, .var = kern_var(x->k, DT_INT, true, STR("")), .extent = times}};
    x->times = around->loop.var;
    kern_each_access(loop, add_times, x);
    loop->loop.extent = x->axis;
    vec_push(x->k->arena, &around->loop.body, s);
    return around;
}

void nv_fold(Map *m, KStmt *steps, Dim axis)
{
    Fold x = {.k = m->k, .axis = axis};
    KBlock *body = &steps->loop.body;
    for (uint32_t i = 0; i < body->n; i++)
        body->p[i] = folded(&x, body->p[i]);
}
