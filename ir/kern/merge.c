/* kern.merge: two loops with nothing between them become one when every address inside depends on them as on one
 * running index. [T, B, H] in memory order becomes one long loop, which vectorises without a rest for each row. */
#include "ir/kern/kern.h"

typedef struct Merge {
    KernProg *p;
    KVar outer, inner;
    Dim extent; /* of the inner loop */
} Merge;

static Dim stride_of(const KIndex *at, KVar v)
{
    for (uint32_t i = 0; i < at->n; i++)
        if (at->term[i].var == v)
            return at->term[i].stride;
    return DIM_ZERO;
}

static bool runs_on(const Merge *m, const KIndex *at)
{
    return stride_of(at, m->outer) == dim_mul(m->p->dims, stride_of(at, m->inner), m->extent);
}

static bool is_ours(const Merge *m, KVar v)
{
    return v == m->outer || v == m->inner;
}

/* Whether a statement uses the two variables in addresses only, and there as one. */
static bool stmt_runs_on(const Merge *m, const KStmt *s)
{
    switch (s->kind) {
    case K_LOOP:
        for (uint32_t i = 0; i < s->loop.body.n; i++)
            if (!stmt_runs_on(m, s->loop.body.p[i]))
                return false;
        return true;
    case K_LET:
        for (uint32_t i = 0; i < fun_info(s->let.fun)->arity; i++)
            if (is_ours(m, s->let.arg[i]))
                return false;
        return true;
    case K_LOAD: return runs_on(m, &s->mem.at);
    case K_STORE: return !is_ours(m, s->mem.var) && runs_on(m, &s->mem.at);
    case K_UPDATE: return !is_ours(m, s->acc.value);
    case K_RANDOM: return !is_ours(m, s->random.counter);
    case K_CHECK: return !is_ours(m, s->check.index);
    case K_GEMM: return runs_on(m, &s->gemm.a.at) && runs_on(m, &s->gemm.b.at) && runs_on(m, &s->gemm.c.at);
    case K_FILL: return runs_on(m, &s->fill.at);
    case K_COPY: return runs_on(m, &s->copy.to) && runs_on(m, &s->copy.from);
    case K_CONST:
    case K_SIZE:
    case K_START:
    case K_GIVEN:
    case K_KIND_COUNT: break;
    }
    return true;
}

static void drop(KIndex *at, KVar v)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < at->n; i++)
        if (at->term[i].var != v)
            at->term[n++] = at->term[i];
    at->n = (uint8_t)n;
}

static void drop_in(KStmt *s, KVar v)
{
    switch (s->kind) {
    case K_LOOP:
        for (uint32_t i = 0; i < s->loop.body.n; i++)
            drop_in(s->loop.body.p[i], v);
        break;
    case K_LOAD:
    case K_STORE: drop(&s->mem.at, v); break;
    case K_GEMM: drop(&s->gemm.a.at, v), drop(&s->gemm.b.at, v), drop(&s->gemm.c.at, v); break;
    case K_FILL: drop(&s->fill.at, v); break;
    case K_COPY: drop(&s->copy.to, v), drop(&s->copy.from, v); break;
    case K_LET:
    case K_CONST:
    case K_SIZE:
    case K_START:
    case K_UPDATE:
    case K_RANDOM:
    case K_GIVEN:
    case K_CHECK:
    case K_KIND_COUNT: break;
    }
}

static bool merge_pair(KernProg *p, KStmt *outer)
{
    if (outer->loop.body.n != 1 || outer->loop.body.p[0]->kind != K_LOOP)
        return false;
    KStmt *inner = outer->loop.body.p[0];
    Merge m = {p, outer->loop.var, inner->loop.var, inner->loop.extent};
    if (outer->loop.kind != inner->loop.kind || outer->loop.reverse != inner->loop.reverse)
        return false;
    for (uint32_t i = 0; i < inner->loop.body.n; i++)
        if (!stmt_runs_on(&m, inner->loop.body.p[i]))
            return false;
    drop_in(inner, outer->loop.var);
    outer->loop.var = inner->loop.var;
    outer->loop.extent = dim_mul(p->dims, outer->loop.extent, inner->loop.extent);
    outer->loop.body = inner->loop.body;
    return true;
}

static void merge_block(KernProg *p, KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_LOOP) {
            merge_block(p, &b->p[i]->loop.body);
            while (merge_pair(p, b->p[i]))
                ;
        }
}

void kern_merge(KernProg *p)
{
    for (uint32_t f = 0; f < REC_NFN; f++)
        merge_block(p, &p->fn[f]);
}
