/* kern.forward: a value that was just stored or loaded is not loaded again, work arrays that nobody reads are not
 * written, and scalars that nobody uses are not computed. */
#include "ir/kern/depend.h"

/* An element of memory that a variable holds. */
typedef struct Known {
    KBufId buf;
    const KIndex *at;
    KVar var;
} Known;

typedef struct Forward {
    KernProg *p;
    Arena *own;
    KVar *as;      /* by variable: itself, or the one that has the same value */
    bool *changes; /* by variable: it is an accumulator */
    VEC(Known) known;
} Forward;

static void replace(void *cx, KVar *v)
{
    const KVar *as = cx;
    *v = as[*v];
}

/* ---- what is known ---- */

static void forget(Forward *f, KBufId b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->known.n; i++)
        if (!depend_overlap(f->p, f->known.p[i].buf, b))
            f->known.p[n++] = f->known.p[i];
    f->known.n = n;
}

/* All but what is surely another element. */
static void forget_stored(Forward *f, const KStmt *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->known.n; i++) {
        const Known *k = &f->known.p[i];
        if (!depend_overlap(f->p, k->buf, s->mem.buf) || (k->buf == s->mem.buf && depend_differ(f->p, k->at, &s->mem.at)))
            f->known.p[n++] = *k;
    }
    f->known.n = n;
}

/* What s, or anything inside it, writes. */
static void forget_written(Forward *f, const KStmt *s)
{
    for (uint32_t i = 0; s->kind == K_LOOP && i < s->loop.body.n; i++)
        forget_written(f, s->loop.body.p[i]);
    switch (s->kind) {
    case K_STORE: forget(f, s->mem.buf); break;
    case K_GEMM: forget(f, s->gemm.c.buf); break;
    case K_FILL: forget(f, s->fill.buf); break;
    case K_COPY: forget(f, s->copy.dst); break;
    case K_PACK: forget(f, s->pack.buf); break;
    default: break;
    }
}

static KVar held(const Forward *f, const KStmt *load)
{
    for (uint32_t i = f->known.n; i-- > 0;)
        if (f->known.p[i].buf == load->mem.buf && kern_index_eq(f->known.p[i].at, &load->mem.at))
            return f->known.p[i].var;
    return K_NONE;
}

static void know(Forward *f, const KStmt *s)
{
    vec_push(f->own, &f->known, (Known){s->mem.buf, &s->mem.at, s->mem.var});
}

/* ---- loads ---- */

static void forward_block(Forward *f, KBlock *b);

/* What was known before stays known, as far as the loop does not write it; what becomes known in it does not. */
static void forward_loop(Forward *f, KStmt *s)
{
    forget_written(f, s);
    uint32_t n = f->known.n;
    forward_block(f, &s->loop.body);
    f->known.n = n;
}

/* False when the statement is not needed any more. An accumulator is not what was stored of it: it may change. */
static bool forward_stmt(Forward *f, KStmt *s)
{
    KVar v;
    if (s->kind == K_LOOP) {
        forward_loop(f, s);
        return true;
    }
    kern_each_use(s, replace, f->as);
    if (s->kind == K_LOAD && (v = held(f, s)) != K_NONE) {
        f->as[s->mem.var] = v;
        return false;
    }
    if (s->kind == K_STORE)
        forget_stored(f, s);
    else
        forget_written(f, s);
    if (s->kind == K_START)
        f->changes[s->acc.var] = true;
    if (s->kind == K_LOAD || (s->kind == K_STORE && !s->mem.add && !f->changes[s->mem.var]))
        know(f, s);
    return true;
}

static void forward_block(Forward *f, KBlock *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++)
        if (forward_stmt(f, b->p[i]))
            b->p[n++] = b->p[i];
    b->n = n;
}

static void forward(KernProg *p, KBlock *b)
{
    Forward f = {.p = p, .own = arena_new()};
    f.as = NEWN(f.own, KVar, p->var.n);
    f.changes = NEWN(f.own, bool, p->var.n);
    for (KVar v = 0; v < p->var.n; v++)
        f.as[v] = v;
    depend_find_turns(p, f.own);
    forward_block(&f, b);
    arena_free(f.own);
}

/* ---- what nobody needs ---- */

typedef struct Needs {
    bool *var, *buf; /* by variable, by buffer: something reads it */
} Needs;

static void need_var(void *cx, KVar *v)
{
    bool *var = cx;
    var[*v] = true;
}

static void find_needs(const Needs *n, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i];
        switch (s->kind) {
        case K_LOOP: find_needs(n, &s->loop.body); continue;
        case K_LOAD: n->buf[s->mem.buf] = true; break;
        case K_GEMM:
            n->buf[s->gemm.a.buf] = n->buf[s->gemm.b.buf] = true;
            n->buf[s->gemm.packed] |= s->gemm.when != DIM_ZERO;
            break;
        case K_PACK: n->buf[s->pack.b.buf] = true; break;
        case K_COPY: n->buf[s->copy.src] = true; break;
        default: break;
        }
        kern_each_use(s, need_var, n->var);
    }
}

static bool is_needed(const KernProg *p, const Needs *n, const KStmt *s)
{
    switch (s->kind) {
    case K_LOOP: return s->loop.body.n > 0;
    case K_TASKS: return s->tasks.body.n > 0;
    case K_STRIPS: return s->strips.body.n > 0;
    case K_STORE: return p->buf.p[s->mem.buf].kind != K_WORK || n->buf[s->mem.buf];
    case K_FILL: return p->buf.p[s->fill.buf].kind != K_WORK || n->buf[s->fill.buf];
    case K_LET:
    case K_CONST:
    case K_SIZE:
    case K_LOAD:
    case K_GIVEN: return n->var[kern_defines(s)];
    case K_START:
    case K_UPDATE:
    case K_RANDOM:
    case K_CHECK:
    case K_LEAVE:
    case K_GEMM:
    case K_PACK:
    case K_COPY:
    case K_KIND_COUNT: break;
    }
    return true;
}

static bool drop_needless(const KernProg *p, const Needs *needs, KBlock *b)
{
    uint32_t n = 0, before = b->n;
    bool any = false;
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->p[i]->kind == K_LOOP)
            any |= drop_needless(p, needs, &b->p[i]->loop.body);
        if (is_needed(p, needs, b->p[i]))
            b->p[n++] = b->p[i];
    }
    b->n = n;
    return any || n < before;
}

static bool drop_once(KernProg *p)
{
    Arena *own = arena_new();
    Needs n = {NEWN(own, bool, p->var.n), NEWN(own, bool, p->buf.n)};
    bool any = false;
    for (uint32_t f = 0; f < REC_NFN; f++)
        find_needs(&n, &p->fn[f]);
    for (uint32_t f = 0; f < REC_NFN; f++)
        any |= drop_needless(p, &n, &p->fn[f]);
    arena_free(own);
    return any;
}

void kern_forward(KernProg *p)
{
    for (uint32_t f = 0; f < REC_NFN; f++)
        forward(p, &p->fn[f]);
    while (drop_once(p))
        ;
    kern_mark_uses(p);
}
