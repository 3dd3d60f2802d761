/* States in registers. Where a thread runs all steps of a loop by itself, and a step loads what the one before has stored, it need not ask memory for
 * it: only the first step does. What is stored is stored as ever (Callahan, Carr & Kennedy, "Improving register allocation for subscripted
 * variables", 1990).
 *
 * A load and a store behind it, of one array, in the body of the chain inside of the loop; the address of the store is that of the next step's load, and
 * nothing else in the loop writes that memory. Numbers of 16 bits are rounded when they are stored, so they are loaded. */
#include "backends/nvptx/plan.h"

typedef struct Carries {
    Map *m;
    NvNode *node;
} Carries;

static uint32_t stores_of(const KernProg *k, KStmt *s, KBufId memory)
{
    uint32_t n = s->kind == K_STORE && kern_memory(k, s->mem.buf) == memory;
    for (uint32_t i = 0; kern_body(s) && i < kern_body(s)->n; i++)
        n += stores_of(k, kern_body(s)->p[i], memory);
    return n;
}

/* One step on: forward the loop's variable grows. */
static bool is_next(Map *m, const KStmt *loop, const KIndex *load, const KIndex *store)
{
    KIndex next = *load;
    Dim step = DIM_ZERO;
    for (uint32_t i = 0; i < load->n; i++)
        step = load->term[i].var == loop->loop.var ? load->term[i].stride : step;
    next.base = loop->loop.reverse ? dim_sub(m->k->dims, load->base, step) : dim_add(m->k->dims, load->base, step);
    return kern_index_eq(&next, store);
}

static bool is_carried(const Carries *x, const KStmt *load, const KStmt *store)
{
    const KernProg *k = x->m->k;
    KBufId b = load->mem.buf;
    return store->kind == K_STORE && store->mem.buf == b && !store->mem.add && k->buf.p[b].kind == K_WORK && !kern_buf_narrow(k, b) &&
           is_next(x->m, x->node->s, &load->mem.at, &store->mem.at) && stores_of(k, x->node->s, kern_memory(k, b)) == 1;
}

static void see_body(Carries *x, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        for (uint32_t j = i + 1; j < b->n && b->p[i]->kind == K_LOAD; j++)
            if (is_carried(x, b->p[i], b->p[j]))
                vec_push(x->m->a, &x->node->carry, (NvCarry){b->p[i], b->p[j]});
}

/* No other serial loop is in between, whose rounds would count, too. */
static bool has_chains_only(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_LOOP && b->p[i]->loop.kind == K_SERIAL)
            return false;
    return true;
}

void nv_find_carries(Map *m, NvNode *node)
{
    Carries x = {m, node};
    const KStmt *s = node->s;
    if (s->loop.kind != K_SERIAL || s->loop.by != DIM_ZERO || !has_chains_only(&s->loop.body))
        return;
    for (uint32_t i = 0; i < node->axis.n; i++) {
        const KBlock *b = &node->axis.p[i].loop->loop.body;
        if (node->axis.p[i].level + 1 == node->nlevel)
            see_body(&x, b);
    }
}
