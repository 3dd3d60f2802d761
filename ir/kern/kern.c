/* Making kern programs. Statements are never moved once made: blocks hold pointers. */
#include "ir/kern/kern.h"

#define COPY_VEC(arena, to, from)                                                                                      \
    do {                                                                                                               \
        for (uint32_t copy_i = 0; copy_i < (from)->n; copy_i++)                                                        \
            vec_push((arena), (to), (from)->p[copy_i]);                                                                \
    } while (0)

KernProg *kern_prog_new(Arena *a, const RecProg *rec)
{
    KernProg *p = NEW(a, KernProg);
    p->arena = a;
    p->dims = rec->dims;
    p->name = rec->name;
    p->batch = rec->batch;
    p->keep = rec->keep;
    COPY_VEC(a, &p->arg, &rec->arg);
    COPY_VEC(a, &p->out, &rec->out);
    COPY_VEC(a, &p->open, &rec->open);
    COPY_VEC(a, &p->derived, &rec->derived);
    return p;
}

KVar kern_var(KernProg *p, DType dt, bool loop, Str name)
{
    vec_push(p->arena, &p->var, (KVarInfo){.dt = dt, .loop = loop, .name = name});
    return p->var.n - 1;
}

/* A buffer shares memory only after kern_reuse. */
KBufId kern_buf(KernProg *p, KBuf buf)
{
    buf.shares = K_NONE;
    vec_push(p->arena, &p->buf, buf);
    return p->buf.n - 1;
}

KStmt *kern_add(KernProg *p, KBlock *to, KStmt stmt)
{
    KStmt *copy = NEW(p->arena, KStmt);
    *copy = stmt;
    vec_push(p->arena, to, copy);
    return copy;
}

static void drop_term(KIndex *at, uint32_t i)
{
    for (at->n--; i < at->n; i++)
        at->term[i] = at->term[i + 1];
}

void kern_index_add(KernProg *p, KIndex *at, KVar var, Dim stride)
{
    if (stride == DIM_ZERO)
        return;
    for (uint32_t i = 0; i < at->n; i++)
        if (at->term[i].var == var) {
            at->term[i].stride = dim_add(p->dims, at->term[i].stride, stride);
            if (at->term[i].stride == DIM_ZERO)
                drop_term(at, i);
            return;
        }
    if (at->n == K_MAXTERM)
        ice("kern: an element's address depends on more than %d variables", K_MAXTERM);
    at->term[at->n].var = var;
    at->term[at->n++].stride = stride;
}
