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
    vec_push(p->arena, &p->var, (KVarInfo){.dt = dt, .loop = loop, .name = name, .turns = K_NONE});
    return p->var.n - 1;
}

/* A buffer shares memory only after kern_reuse. */
KBufId kern_buf(KernProg *p, KBuf buf)
{
    buf.shares = buf.home = K_NONE;
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

void kern_insert(KernProg *p, KBlock *to, uint32_t at, KStmt *s)
{
    vec_push(p->arena, to, s);
    for (uint32_t i = to->n - 1; i > at; i--)
        to->p[i] = to->p[i - 1];
    to->p[at] = s;
}

bool kern_index_eq(const KIndex *a, const KIndex *b)
{
    if (a->base != b->base || a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (a->term[i].var != b->term[i].var || a->term[i].stride != b->term[i].stride)
            return false;
    return true;
}

Dim kern_index_stride(const KIndex *at, KVar v)
{
    for (uint32_t i = 0; i < at->n; i++)
        if (at->term[i].var == v)
            return at->term[i].stride;
    return DIM_ZERO;
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
    return s->kind == K_LOOP     ? &s->loop.body
           : s->kind == K_TASKS  ? &s->tasks.body
           : s->kind == K_STRIPS ? &s->strips.body
                                 : NULL;
}

KBufId kern_written(const KStmt *s)
{
    switch (s->kind) {
    case K_STORE: return s->mem.buf;
    case K_FILL: return s->fill.buf;
    case K_COPY: return s->copy.dst;
    case K_GEMM: return s->gemm.c.buf;
    case K_PACK: return s->pack.buf;
    case K_LOOP:
    case K_TASKS:
    case K_STRIPS:
    case K_LET:
    case K_CONST:
    case K_SIZE:
    case K_LOAD:
    case K_START:
    case K_UPDATE:
    case K_RANDOM:
    case K_GIVEN:
    case K_CHECK:
    case K_LEAVE:
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
        if (s->gemm.when != DIM_ZERO)
            fn(cx, s->gemm.packed, &s->gemm.packed_at);
        break;
    case K_PACK:
        fn(cx, s->pack.buf, &s->pack.at);
        fn(cx, s->pack.b.buf, &s->pack.b.at);
        break;
    case K_FILL: fn(cx, s->fill.buf, &s->fill.at); break;
    case K_COPY:
        fn(cx, s->copy.dst, &s->copy.to);
        fn(cx, s->copy.src, &s->copy.from);
        break;
    case K_LOOP:
    case K_TASKS:
    case K_STRIPS:
    case K_LET:
    case K_CONST:
    case K_SIZE:
    case K_START:
    case K_UPDATE:
    case K_RANDOM:
    case K_GIVEN:
    case K_CHECK:
    case K_LEAVE:
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

KVar kern_defines(const KStmt *s)
{
    switch (s->kind) {
    case K_LET: return s->let.var;
    case K_CONST: return s->constant.var;
    case K_SIZE: return s->size.var;
    case K_LOAD: return s->mem.var;
    case K_START: return s->acc.var;
    case K_RANDOM: return s->random.var;
    case K_GIVEN: return s->given.var;
    case K_CHECK: return s->check.var;
    case K_LOOP:
    case K_TASKS:
    case K_STRIPS:
    case K_STORE:
    case K_UPDATE:
    case K_LEAVE:
    case K_GEMM:
    case K_PACK:
    case K_FILL:
    case K_COPY:
    case K_KIND_COUNT: break;
    }
    return K_NONE;
}

bool kern_defines_in(const KBlock *b, KVar v)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        if (kern_defines(s) == v || (s->kind == K_LOOP && kern_defines_in(&s->loop.body, v)))
            return true;
    }
    return false;
}

/* ---- variables that are read ---- */

typedef struct Uses {
    KernUse *fn;
    void *cx;
} Uses;

static void index_uses(const Uses *u, KIndex *at)
{
    for (uint32_t i = 0; i < at->n; i++)
        u->fn(u->cx, &at->term[i].var);
}

static void each_index(void *cx, KBufId b, KIndex *at)
{
    (void)b;
    index_uses(cx, at);
}

static void own_uses(KStmt *s, const Uses *u)
{
    switch (s->kind) {
    case K_LET:
        for (uint32_t i = 0; i < fun_info(s->let.fun)->arity; i++)
            u->fn(u->cx, &s->let.arg[i]);
        break;
    case K_STORE: u->fn(u->cx, &s->mem.var); break;
    case K_UPDATE:
        u->fn(u->cx, &s->acc.var);
        u->fn(u->cx, &s->acc.value);
        break;
    case K_RANDOM: u->fn(u->cx, &s->random.counter); break;
    case K_CHECK: u->fn(u->cx, &s->check.index); break;
    case K_LEAVE: u->fn(u->cx, &s->leave.var); break;
    case K_LOOP:
    case K_TASKS:
    case K_STRIPS:
    case K_CONST:
    case K_SIZE:
    case K_LOAD:
    case K_START:
    case K_GIVEN:
    case K_GEMM:
    case K_PACK:
    case K_FILL:
    case K_COPY:
    case K_KIND_COUNT: break;
    }
}

void kern_each_use(KStmt *s, KernUse *fn, void *cx)
{
    Uses u = {fn, cx};
    KBlock *body = kern_body(s);
    for (uint32_t i = 0; body && i < body->n; i++)
        kern_each_use(body->p[i], fn, cx);
    if (body)
        return;
    own_uses(s, &u);
    kern_each_access(s, each_index, &u);
}

/* ---- who uses a buffer ---- */

typedef struct BufferUse {
    KernProg *p;
    uint32_t fn;
} BufferUse;

static void mark_use(void *cx, KBufId b, KIndex *at)
{
    (void)at;
    const BufferUse *u = cx;
    u->p->buf.p[b].used_by |= (uint8_t)(1u << u->fn);
}

void kern_mark_uses(KernProg *p)
{
    const uint8_t both = 1u << REC_FORWARD | 1u << REC_BACKWARD;
    for (KBufId b = 0; b < p->buf.n; b++)
        p->buf.p[b].used_by = 0;
    for (uint32_t f = 0; f < REC_NFN; f++)
        for (uint32_t i = 0; i < p->fn[f].n; i++)
            kern_each_access(p->fn[f].p[i], mark_use, &(BufferUse){p, f});
    for (KBufId b = 0; b < p->buf.n; b++)
        p->buf.p[b].kept = p->buf.p[b].kind == K_WORK && (p->buf.p[b].used_by & both) == both;
}

bool kern_is_of_cpu(void (*pass)(KernProg *p))
{
    return pass == kern_merge || pass == kern_pack || pass == kern_strips || pass == kern_home || pass == kern_tasks;
}
