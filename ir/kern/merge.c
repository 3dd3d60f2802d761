/* kern.merge: two loops with nothing between them become one when every address inside depends on them as on one
 * running index. [T, B, H] in memory order becomes one long loop, which vectorises without a rest for each row. */
#include "ir/kern/kern.h"

typedef struct Merge {
    KernProg *p;
    KVar outer, inner;
    Dim extent; /* of the inner loop */
    bool fits;  /* all addresses so far depend on the two as on one */
} Merge;

static void runs_on(void *cx, KBufId b, KIndex *at)
{
    (void)b;
    Merge *m = cx;
    m->fits = m->fits && kern_index_stride(at, m->outer) == dim_mul(m->p->dims, kern_index_stride(at, m->inner), m->extent);
}

static bool is_ours(const Merge *m, KVar v)
{
    return v == m->outer || v == m->inner;
}

/* Whether a statement uses the two variables in addresses only. */
static bool only_addresses(const Merge *m, const KStmt *s)
{
    switch (s->kind) {
    case K_LOOP:
        for (uint32_t i = 0; i < s->loop.body.n; i++)
            if (!only_addresses(m, s->loop.body.p[i]))
                return false;
        return true;
    case K_LET:
        for (uint32_t i = 0; i < fun_info(s->let.fun)->arity; i++)
            if (is_ours(m, s->let.arg[i]))
                return false;
        return true;
    case K_STORE: return !is_ours(m, s->mem.var);
    case K_UPDATE: return !is_ours(m, s->acc.value);
    case K_RANDOM: return !is_ours(m, s->random.counter);
    case K_CHECK: return !is_ours(m, s->check.index);
    case K_LEAVE: return false;
    case K_TASKS:
    case K_STRIPS:
    case K_LOAD:
    case K_GEMM:
    case K_PACK:
    case K_FILL:
    case K_COPY:
    case K_CONST:
    case K_SIZE:
    case K_START:
    case K_GIVEN:
    case K_KIND_COUNT: break;
    }
    return true;
}

static void drop(void *cx, KBufId b, KIndex *at)
{
    (void)b;
    const KVar *v = cx;
    uint32_t n = 0;
    for (uint32_t i = 0; i < at->n; i++)
        if (at->term[i].var != *v)
            at->term[n++] = at->term[i];
    at->n = (uint8_t)n;
}

static bool merge_pair(KernProg *p, KStmt *outer)
{
    if (outer->loop.body.n != 1 || outer->loop.body.p[0]->kind != K_LOOP)
        return false;
    KStmt *inner = outer->loop.body.p[0];
    Merge m = {p, outer->loop.var, inner->loop.var, inner->loop.extent, true};
    if (outer->loop.kind != inner->loop.kind || outer->loop.reverse != inner->loop.reverse)
        return false;
    if (outer->loop.by != DIM_ZERO || inner->loop.by != DIM_ZERO)
        return false;
    kern_each_access(inner, runs_on, &m);
    if (!m.fits || !only_addresses(&m, inner))
        return false;
    kern_each_access(inner, drop, &m.outer);
    outer->loop.var = inner->loop.var;
    outer->loop.extent = dim_mul(p->dims, outer->loop.extent, inner->loop.extent);
    outer->loop.body = inner->loop.body;
    return true;
}

static void merge_block(KernProg *p, KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (kern_body(b->p[i]))
            merge_block(p, kern_body(b->p[i]));
        while (b->p[i]->kind == K_LOOP && merge_pair(p, b->p[i]))
            continue;
    }
}

void kern_merge(KernProg *p)
{
    for (uint32_t f = 0; f < REC_NFN; f++)
        merge_block(p, &p->fn[f]);
}
