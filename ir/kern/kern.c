/* Making kern programs and looking at them. Statements are never moved once made: blocks hold pointers. */
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
    p->doc = rec->doc;
    p->batch = rec->batch;
    p->keep = rec->keep;
    COPY_VEC(a, &p->arg, &rec->arg);
    COPY_VEC(a, &p->out, &rec->out);
    COPY_VEC(a, &p->open, &rec->open);
    COPY_VEC(a, &p->derived, &rec->derived);
    COPY_VEC(a, &p->need, &rec->need);
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

KBlock *kern_body(KStmt *s)
{
    return s->kind == K_LOOP ? &s->loop.body : s->kind == K_TASKS ? &s->tasks.body : NULL;
}

KBufId kern_written(const KStmt *s)
{
    switch (s->kind) {
    case K_STORE: return s->mem.buf;
    case K_FILL: return s->fill.buf;
    case K_COPY: return s->copy.dst;
    case K_GEMM: return s->gemm.c.buf;
    case K_LOOP:
    case K_TASKS:
    case K_LET:
    case K_CONST:
    case K_SIZE:
    case K_LOAD:
    case K_START:
    case K_UPDATE:
    case K_RANDOM:
    case K_GIVEN:
    case K_CHECK:
    case K_KIND_COUNT: break;
    }
    return K_NONE;
}

void kern_each_access(KStmt *s, KernAccess *fn, void *cx)
{
    KBlock *body = kern_body(s);
    for (uint32_t i = 0; body && i < body->n; i++)
        kern_each_access(body->p[i], fn, cx);
    switch (s->kind) {
    case K_LOAD:
    case K_STORE: fn(cx, s->mem.buf, &s->mem.at); break;
    case K_GEMM:
        fn(cx, s->gemm.a.buf, &s->gemm.a.at);
        fn(cx, s->gemm.b.buf, &s->gemm.b.at);
        fn(cx, s->gemm.c.buf, &s->gemm.c.at);
        break;
    case K_FILL: fn(cx, s->fill.buf, &s->fill.at); break;
    case K_COPY:
        fn(cx, s->copy.dst, &s->copy.to);
        fn(cx, s->copy.src, &s->copy.from);
        break;
    case K_LOOP:
    case K_TASKS:
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

static bool is_carried(const KernProg *p, KBufId b)
{
    const KBuf *buf = &p->buf.p[b];
    return (buf->kind == K_ARG && p->arg.p[buf->slot].role == ROLE_START) ||
           (buf->kind == K_OUT && p->out.p[buf->slot].role == OUT_FINAL);
}

KBufId kern_memory(const KernProg *p, KBufId b)
{
    const KBuf *buf = &p->buf.p[b];
    if (buf->kind == K_WORK && buf->shares != K_NONE)
        return buf->shares;
    for (KBufId i = 0; i < b && is_carried(p, b); i++)
        if (is_carried(p, i))
            return i;
    return b;
}
