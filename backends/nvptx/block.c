/* What the threads of a block do together: statements become nodes. */
#include "backends/nvptx/plan.h"

static bool has(const KBlock *b, bool (*is)(const KStmt *s))
{
    for (uint32_t i = 0; i < b->n; i++)
        if (is(b->p[i]) || (kern_body(b->p[i]) && has(kern_body(b->p[i]), is)))
            return true;
    return false;
}

static bool is_parallel(const KStmt *s)
{
    return s->kind == K_LOOP && s->loop.kind != K_SERIAL;
}

static bool is_store(const KStmt *s)
{
    return s->kind == K_STORE;
}

/* Whether it is one thread's work, or each one's: a serial loop with nothing to share out. */
static bool is_narrow(Map *m, KStmt *s, NvKind *kind)
{
    NvNode around = {.s = s};
    if (s->loop.kind != K_SERIAL || has(&s->loop.body, is_parallel))
        return false;
    *kind = has(&s->loop.body, is_store) ? NV_ONE : NV_EACH;
    nv_find_sums(m, &around, &s->loop.body);
    return *kind == NV_EACH || around.sum.n == 0;
}

static void add_share(Map *m, NvNodes *to, NvNode *share)
{
    vec_push(m->a, to, share);
    if (share->sum.n == 0)
        return;
    NvNode *combine = nv_node(m, NV_COMBINE, NULL);
    combine->sum.p = share->sum.p;
    combine->sum.n = share->sum.n;
    combine->count = share->count;
    vec_push(m->a, to, combine);
    if (share->sum.n > m->kernel->nsum)
        m->kernel->nsum = share->sum.n;
}

static void add_loop(Map *m, NvNodes *to, KStmt *s)
{
    NvKind kind;
    NvNode *tiles = nv_tiles(m, s, 1), *share = tiles ? tiles : nv_share(m, s);
    if (share) {
        add_share(m, to, share);
        return;
    }
    if (is_narrow(m, s, &kind)) {
        vec_push(m->a, to, nv_node(m, kind, s));
        return;
    }
    NvNode *steps = nv_node(m, NV_STEPS, s);
    nv_block_nodes(m, &steps->body, &s->loop.body);
    vec_push(m->a, to, steps);
}

void nv_block_nodes(Map *m, NvNodes *to, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_LOOP)
            add_loop(m, to, b->p[i]);
        else
            vec_push(m->a, to, nv_node(m, is_store(b->p[i]) ? NV_ONE : NV_EACH, b->p[i]));
}
