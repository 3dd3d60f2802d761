/* kern.vectorize: marks the innermost loops whose iterations can run in lanes: parallel ones, and serial ones that only
 * read and accumulate. Of two parallel loops with nothing between them the one along which more accesses are dense
 * becomes the inner one. A parallel loop around a sum runs in lanes itself where its accesses are dense and the sum's are not. */
#include "ir/kern/kern.h"

/* ---- which loop ---- */

typedef struct Score {
    uint32_t good, bad; /* accesses with stride 0 or 1; others */
} Score;

static void score_index(const KIndex *at, KVar v, uint32_t weight, Score *s)
{
    for (uint32_t i = 0; i < at->n; i++)
        if (at->term[i].var == v && at->term[i].stride != DIM_ONE) {
            s->bad += weight;
            return;
        }
    s->good += weight;
}

/* A scattered store costs more than a gathered load. */
static Score score(const KBlock *b, KVar v)
{
    Score s = {0};
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_LOAD)
            score_index(&b->p[i]->mem.at, v, 1, &s);
        else if (b->p[i]->kind == K_STORE)
            score_index(&b->p[i]->mem.at, v, 2, &s);
    return s;
}

static bool has_inner(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        switch (b->p[i]->kind) {
        case K_LOOP:
        case K_TASKS:
        case K_STRIPS:
        case K_GEMM:
        case K_PACK:
        case K_FILL:
        case K_COPY: return true;
        default: break;
        }
    return false;
}

static bool is_small(const KernProg *p, Dim d)
{
    int64_t n;
    return dim_is_const(p->dims, d, &n) && n < 8;
}

/* Exchanges a parallel loop with the parallel loop that is all of its body, where lanes run better along the outer one.
 */
static void exchange(KernProg *p, KStmt *outer)
{
    if (outer->loop.kind != K_PARALLEL || outer->loop.body.n != 1)
        return;
    KStmt *inner = outer->loop.body.p[0];
    if (inner->kind != K_LOOP || inner->loop.kind != K_PARALLEL || has_inner(&inner->loop.body))
        return;
    if (outer->loop.by != DIM_ZERO || inner->loop.by != DIM_ZERO)
        return;
    uint32_t now = score(&inner->loop.body, inner->loop.var).bad, then = score(&inner->loop.body, outer->loop.var).bad;
    bool better = then < now || (then == now && is_small(p, inner->loop.extent) && !is_small(p, outer->loop.extent));
    if (!better)
        return;
    KVar var = outer->loop.var;
    Dim extent = outer->loop.extent;
    bool reverse = outer->loop.reverse;
    outer->loop.var = inner->loop.var;
    outer->loop.extent = inner->loop.extent;
    outer->loop.reverse = inner->loop.reverse;
    inner->loop.var = var;
    inner->loop.extent = extent;
    inner->loop.reverse = reverse;
}

/* ---- whether ---- */

/* A serial loop whose iterations differ in what they accumulate only. */
static bool only_accumulates(const KBlock *b)
{
    bool updates = false;
    for (uint32_t i = 0; i < b->n; i++)
        switch (b->p[i]->kind) {
        case K_UPDATE: updates = true; break;
        case K_LET:
        case K_CONST:
        case K_SIZE:
        case K_GIVEN:
        case K_LOAD: break;
        default: return false;
        }
    return updates;
}

/* The loop that accumulates what `outer` stores, if there is nothing else in it that cannot run in lanes. */
static const KStmt *sum_inside(const KStmt *outer)
{
    const KStmt *sum = NULL;
    for (uint32_t i = 0; i < outer->loop.body.n; i++) {
        const KStmt *s = outer->loop.body.p[i];
        switch (s->kind) {
        case K_LOOP:
            if (sum || s->loop.kind != K_SERIAL || !only_accumulates(&s->loop.body))
                return NULL;
            sum = s;
            break;
        case K_LET:
        case K_CONST:
        case K_SIZE:
        case K_GIVEN:
        case K_LOAD:
        case K_START:
        case K_STORE: break;
        default: return NULL;
        }
    }
    return sum;
}

/* Sums over the rows of a matrix: each lane has a column, and the rows are dense. */
static bool sums_columns(const KernProg *p, const KStmt *outer)
{
    const KStmt *sum = outer->loop.kind == K_PARALLEL && !outer->loop.reverse ? sum_inside(outer) : NULL;
    if (!sum || is_small(p, outer->loop.extent))
        return false;
    uint32_t lanes = score(&sum->loop.body, outer->loop.var).bad + score(&outer->loop.body, outer->loop.var).bad;
    return lanes < score(&sum->loop.body, sum->loop.var).bad;
}

static void mark_block(KernProg *p, KBlock *b);

static void mark(KernProg *p, KStmt *s)
{
    if (s->loop.kind == K_VECTOR)
        return;
    exchange(p, s);
    if (sums_columns(p, s)) {
        s->loop.kind = K_VECTOR;
        return;
    }
    if (has_inner(&s->loop.body)) {
        mark_block(p, &s->loop.body);
        return;
    }
    if (s->loop.reverse)
        return;
    if (s->loop.kind == K_PARALLEL || only_accumulates(&s->loop.body))
        s->loop.kind = K_VECTOR;
}

static void mark_block(KernProg *p, KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_LOOP)
            mark(p, b->p[i]);
        else if (kern_body(b->p[i]))
            mark_block(p, kern_body(b->p[i]));
}

void kern_vectorize(KernProg *p)
{
    for (uint32_t f = 0; f < REC_NFN; f++)
        mark_block(p, &p->fn[f]);
}
