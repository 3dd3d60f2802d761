/* Across instead of along: `parallel i { vector n { y[i, n] = exp(x[i, n]) } }` with few n, heads for instance, would leave most lanes
 * of each vector empty. Where the work of an element is long, such a loop is made a second time with i in the lanes, loads and stores
 * one by one, and sizes choose. Every lane computes the same either way. Not in steps: there i is the batch, and code for it is large. */
#include "backends/cpu/emit.h"

static bool is_plain(const KStmt *s)
{
    return emit_is_plain(s) && !(s->kind == K_STORE && s->mem.add);
}

static bool all_plain(const KBlock *b, bool *some_long)
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (!is_plain(b->p[i]))
            return false;
        *some_long |= b->p[i]->kind == K_LET && cpu_is_long(b->p[i]->let.fun);
    }
    return true;
}

/* The loop along, the only one in the loop s. */
static const KStmt *along(const KStmt *s)
{
    const KStmt *loop = NULL;
    bool some_long = false;
    for (uint32_t i = 0; i < s->loop.body.n; i++) {
        const KStmt *in = s->loop.body.p[i];
        if (in->kind == K_LOOP && !loop)
            loop = in;
        else if (!is_plain(in))
            return NULL;
    }
    bool fits = loop && loop->loop.kind == K_VECTOR && loop->loop.by == DIM_ZERO && all_plain(&loop->loop.body, &some_long);
    return fits && some_long ? loop : NULL;
}

LLVMValueRef emit_is_across(Emit *e, const KStmt *s)
{
    int64_t n = 0;
    uint32_t width = cpu_width(&e->g);
    const KStmt *loop = s->loop.kind == K_PARALLEL && !s->loop.reverse && e->g.vector_bytes && !e->v.on && !e->small && !e->in_steps ? along(s) : NULL;
    if (!loop || dim_is_const(e->k->dims, loop->loop.extent, &n) || dim_is_const(e->k->dims, s->loop.extent, &n))
        return NULL;
    LLVMValueRef few = gen_icmp(&e->g, LLVMIntSLE, emit_dim(e, loop->loop.extent), gen_i64(&e->g, width / 2));
    LLVMValueRef many = gen_icmp(&e->g, LLVMIntSGE, emit_dim(e, s->loop.extent), gen_i64(&e->g, width));
    return LLVMBuildAnd(e->g.b, few, many, "");
}
