/* A serial loop that neither threads nor blocks can share becomes several, one behind the other, if its statements let it: what
 * is left alone may be shared out. It is the classical distribution of loops: statements that need each other, in this
 * round or from one round to the next, stay together (Kennedy and Allen, "Optimizing Compilers for Modern Architectures",
 * 2001, section 2.2 and 5). Scalars that read nothing that the loop writes are computed in each loop that needs them. */
#include "backends/nvptx/plan.h"

typedef struct Split {
    Map *m;
    KStmt *loop;
    uint32_t n;      /* statements */
    bool *free;      /* by statement: it is computed where it is needed */
    bool *before;    /* n x n: [i*n + j]: i has to be done before j, in some round */
    bool *placed;
    KernApart *apart;
} Split;

bool nv_has_leave(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_LEAVE)
            return true;
    return false;
}

/* ---- what needs what ---- */

typedef struct Uses {
    KVar v;
    bool any;
} Uses;

static void see_use(void *cx, KVar *v)
{
    Uses *u = cx;
    u->any |= *v == u->v;
}

static bool uses(KStmt *s, KVar v)
{
    Uses u = {v, false};
    kern_each_use(s, see_use, &u);
    return v != K_NONE && u.any;
}

/* And whatever it is found from. */
static bool is_free(const Split *x, uint32_t at)
{
    const KBlock *body = &x->loop->loop.body;
    const KStmt *s = body->p[at];
    for (uint32_t i = 0; i < at; i++)
        if (!x->free[i] && uses(body->p[at], kern_defines(body->p[i])))
            return false;
    return nv_is_scalar(s) &&
           (s->kind != K_LOAD || !(nv_touches(x->m->k, x->loop, kern_memory(x->m->k, s->mem.buf)) & NV_WRITES));
}

static void add_memory(Split *x, uint32_t i, uint32_t j)
{
    KernProg *k = x->m->k;
    KStmt *a = x->loop->loop.body.p[i], *b = x->loop->loop.body.p[j];
    for (KBufId memory = 0; memory < k->buf.n; memory++) {
        unsigned p = kern_memory(k, memory) == memory ? nv_touches(k, a, memory) : 0, q = p ? nv_touches(k, b, memory) : 0;
        if (!p || !q || !((p | q) & NV_WRITES))
            continue;
        x->before[i * x->n + j] = true;
        x->before[j * x->n + i] |= !kern_apart(x->apart, a, b, memory, x->loop, NULL);
    }
}

/* A scalar does not go from one loop to another. */
static void add_variables(Split *x, uint32_t i, uint32_t j)
{
    KStmt *a = x->loop->loop.body.p[i], *b = x->loop->loop.body.p[j];
    KVar v = a->kind == K_UPDATE ? a->acc.var : kern_defines(a);
    if (uses(b, v) || (b->kind == K_UPDATE && b->acc.var == v))
        x->before[i * x->n + j] = x->before[j * x->n + i] = true;
}

static void find_order(Split *x)
{
    for (uint32_t i = 0; i < x->n; i++)
        for (uint32_t j = i + 1; j < x->n; j++) {
            if (x->free[i] || x->free[j])
                continue;
            add_memory(x, i, j);
            add_variables(x, i, j);
        }
    for (uint32_t via = 0; via < x->n; via++)
        for (uint32_t i = 0; i < x->n; i++)
            for (uint32_t j = 0; j < x->n; j++)
                x->before[i * x->n + j] |= x->before[i * x->n + via] && x->before[via * x->n + j];
}

static bool together(const Split *x, uint32_t i, uint32_t j)
{
    return i == j || (x->before[i * x->n + j] && x->before[j * x->n + i]);
}

/* ---- loops ---- */

static bool is_ready(const Split *x, uint32_t i)
{
    for (uint32_t j = 0; j < x->n; j++)
        if (!x->free[j] && !x->placed[j] && x->before[j * x->n + i] && !together(x, i, j))
            return false;
    return true;
}

/* The statements that stay with number i, and the scalars that they need. */
static KStmt *loop_of(Split *x, uint32_t first)
{
    const KBlock *body = &x->loop->loop.body;
    bool *in = NEWN(x->m->a, bool, x->n);
    KStmt *s = NEW(x->m->k->arena, KStmt);
    *s = *x->loop;
    s->loop.body = (KBlock){0};
    for (uint32_t i = x->n; i-- > 0;) {
        in[i] = !x->free[i] && together(x, first, i);
        for (uint32_t j = i + 1; j < x->n && x->free[i]; j++)
            in[i] |= in[j] && uses(body->p[j], kern_defines(body->p[i]));
        x->placed[i] |= in[i] && !x->free[i];
    }
    for (uint32_t i = 0; i < x->n; i++)
        if (in[i])
            vec_push(x->m->k->arena, &s->loop.body, body->p[i]);
    return s;
}

static uint32_t next_of(const Split *x)
{
    for (uint32_t i = 0; i < x->n; i++)
        if (!x->free[i] && !x->placed[i] && is_ready(x, i))
            return i;
    return x->n;
}

bool nv_split(Map *m, KBlock *b, uint32_t at)
{
    KStmt *loop = b->p[at];
    if (loop->kind != K_LOOP || loop->loop.kind != K_SERIAL || nv_has_leave(&loop->loop.body))
        return false;
    Split x = {.m = m, .loop = loop, .n = loop->loop.body.n};
    x.free = NEWN(m->a, bool, x.n);
    x.before = NEWN(m->a, bool, x.n * x.n);
    x.placed = NEWN(m->a, bool, x.n);
    Arena *own = arena_new();
    x.apart = kern_apart_new(own, m->k, &(KBlock){.p = &loop, .n = 1}, NULL, K_NONE);
    for (uint32_t i = 0; i < x.n; i++)
        x.free[i] = is_free(&x, i);
    find_order(&x);
    arena_free(own);
    KBlock loops = {0};
    for (uint32_t i = next_of(&x); i < x.n; i = next_of(&x))
        vec_push(m->a, &loops, loop_of(&x, i));
    for (uint32_t i = 0; i < loops.n && loops.n > 1; i++) {
        if (i == 0)
            b->p[at] = loops.p[i];
        else
            kern_insert(m->k, b, at + i, loops.p[i]);
    }
    return loops.n > 1;
}
