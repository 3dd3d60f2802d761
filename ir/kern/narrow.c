/* Arrays of the caller's that hold reals of 16 bits. A load widens, a store rounds, and a fill is one number; so all passes go on
 * as if nothing were. What reads or writes a matrix as a whole, and what adds to an array, has a wide copy in the workspace instead:
 * products are of single precision, and sums are rounded once. Products of rounded factors (products.c) read arguments as they are. */
#include "ir/kern/kern.h"

Narrow kern_arg_narrow(const KernProg *p, uint32_t arg)
{
    return rec_arg_narrows(&p->arg.p[arg], p->out.p) ? p->narrow : NARROW_NONE;
}

Narrow kern_out_narrow(const KernProg *p, uint32_t out)
{
    return rec_out_narrows(&p->out.p[out], p->arg.p) ? p->narrow : NARROW_NONE;
}

Narrow kern_buf_narrow(const KernProg *p, KBufId b)
{
    const KBuf *buf = &p->buf.p[b];
    switch (buf->kind) {
    case K_ARG: return buf->dt == DT_REAL ? kern_arg_narrow(p, buf->slot) : NARROW_NONE;
    case K_OUT: return buf->dt == DT_REAL ? kern_out_narrow(p, buf->slot) : NARROW_NONE;
    case K_BLOCK: return kern_buf_narrow(p, buf->slot);
    case K_WORK: break;
    }
    return NARROW_NONE;
}

bool kern_converts(const KStmt *s, KBufKind kind)
{
    return s->kind == K_LOAD || s->kind == K_FILL || (s->kind == K_STORE && !s->mem.add) ||
           (s->kind == K_GEMM && s->gemm.factor && kind == K_ARG);
}

typedef struct Widen {
    KernProg *p;
    KBufId *wide; /* by KBufId: the copy of it, or K_NONE */
    const KStmt *s; /* that is looked at */
} Widen;

static void want(void *cx, KBufId b, KIndex *at)
{
    Widen *w = cx;
    (void)at;
    if (kern_buf_narrow(w->p, b) == NARROW_NONE || w->wide[b] != K_NONE || kern_converts(w->s, w->p->buf.p[b].kind))
        return;
    KBuf copy = {.kind = K_WORK, .dt = DT_REAL, .size = w->p->buf.p[b].size, .name = w->p->buf.p[b].name};
    KBufId id = kern_buf(w->p, copy);
    w->wide[b] = id;
}

static void find(Widen *w, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        w->s = b->p[i];
        if (kern_body(b->p[i]))
            find(w, kern_body(b->p[i]));
        else
            kern_each_access(b->p[i], want, w);
    }
}

static void turn(const Widen *w, KBufId *b, uint32_t known)
{
    if (*b < known && w->wide[*b] != K_NONE)
        *b = w->wide[*b];
}

/* A load may go on reading the argument, which is half as long. */
static void redirect(const Widen *w, const KBlock *b, uint32_t known)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i];
        switch (s->kind) {
        case K_LOOP:
        case K_STRIPS:
        case K_TASKS: redirect(w, kern_body(s), known); break;
        case K_STORE: turn(w, &s->mem.buf, known); break;
        case K_FILL: turn(w, &s->fill.buf, known); break;
        case K_PACK: turn(w, &s->pack.b.buf, known); break;
        case K_GEMM:
            if (!s->gemm.factor) {
                turn(w, &s->gemm.a.buf, known);
                turn(w, &s->gemm.b.buf, known);
            }
            turn(w, &s->gemm.c.buf, known);
            break;
        case K_COPY:
            turn(w, &s->copy.dst, known);
            turn(w, &s->copy.src, known);
            break;
        default: break;
        }
    }
}

static KIndex one_by_one(KVar v)
{
    return (KIndex){.base = DIM_ZERO, .n = 1, .term[0] = {v, DIM_ONE}};
}

/* for i < size: to[i] = from[i] */
static void add_copy(KernProg *p, KBlock *to, uint32_t at, KBufId dst, KBufId src, Span line)
{
    KVar i = kern_var(p, DT_INT, true, STR("")), v = kern_var(p, DT_REAL, false, STR(""));
    KStmt *loop = NEW(p->arena, KStmt);
    *loop = (KStmt){.kind = K_LOOP, .at = line, .loop = {.kind = K_PARALLEL, .var = i, .extent = p->buf.p[src].size}};
    kern_add(p, &loop->loop.body, (KStmt){.kind = K_LOAD, .at = line, .mem = {v, src, one_by_one(i), false}});
    kern_add(p, &loop->loop.body, (KStmt){.kind = K_STORE, .at = line, .mem = {v, dst, one_by_one(i), false}});
    kern_insert(p, to, at, loop);
}

static Span line_of(const KernProg *p, KBufId b)
{
    const KBuf *buf = &p->buf.p[b];
    return buf->kind == K_ARG ? p->arg.p[buf->slot].at : p->out.p[buf->slot].at;
}

static void widen(KernProg *p, KBlock *fn)
{
    Arena *own = arena_new();
    uint32_t known = p->buf.n;
    Widen w = {p, NEWN(own, KBufId, known), NULL};
    for (KBufId b = 0; b < known; b++)
        w.wide[b] = K_NONE;
    find(&w, fn);
    redirect(&w, fn, known);
    for (KBufId b = 0; b < known; b++)
        if (w.wide[b] != K_NONE && p->buf.p[b].kind == K_ARG)
            add_copy(p, fn, 0, w.wide[b], b, line_of(p, b));
        else if (w.wide[b] != K_NONE)
            add_copy(p, fn, fn->n, b, w.wide[b], line_of(p, b));
    arena_free(own);
}

void kern_narrow(KernProg *p)
{
    kern_mark_products(p);
    if (p->narrow == NARROW_NONE)
        return;
    for (uint32_t f = 0; f < REC_NFN; f++)
        if (p->has_fn[f])
            widen(p, &p->fn[f]);
    kern_mark_uses(p);
}
