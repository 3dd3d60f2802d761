/* kern.reuse: workspace buffers of one size that are not alive together share memory.
 *
 * A buffer lives from the first to the last of a function's outermost statements that touches it. What forward writes
 * for backward lives through both. What only one of the two uses is dead in the other, so the two functions are one
 * line of statements here, forward first. */
#include "ir/kern/kern.h"

typedef struct Life {
    uint32_t first, last; /* first > last: never used */
} Life;

static void touch(Life *life, KBufId b, uint32_t at)
{
    life[b].first = at < life[b].first ? at : life[b].first;
    life[b].last = at > life[b].last ? at : life[b].last;
}

static void touch_stmt(Life *life, const KStmt *s, uint32_t at)
{
    switch (s->kind) {
    case K_LOOP:
        for (uint32_t i = 0; i < s->loop.body.n; i++)
            touch_stmt(life, s->loop.body.p[i], at);
        break;
    case K_LOAD:
    case K_STORE: touch(life, s->mem.buf, at); break;
    case K_GEMM: touch(life, s->gemm.a.buf, at), touch(life, s->gemm.b.buf, at), touch(life, s->gemm.c.buf, at); break;
    case K_FILL: touch(life, s->fill.buf, at); break;
    case K_COPY: touch(life, s->copy.dst, at), touch(life, s->copy.src, at); break;
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

static Life *lives(Arena *a, const KernProg *p)
{
    Life *life = NEWN(a, Life, p->buf.n);
    for (KBufId b = 0; b < p->buf.n; b++)
        life[b].first = UINT32_MAX;
    uint32_t at = 0;
    for (uint32_t f = REC_FORWARD; f <= REC_BACKWARD; f++)
        for (uint32_t i = 0; i < p->fn[f].n; i++)
            touch_stmt(life, p->fn[f].p[i], ++at);
    return life;
}

static bool is_candidate(const KernProg *p, const Life *life, KBufId b)
{
    const KBuf *x = &p->buf.p[b];
    bool in_init = x->used_by & 1u << REC_INIT;
    return x->kind == K_WORK && !x->kept && !in_init && x->shares == K_NONE && life[b].first <= life[b].last;
}

/* By first use, then by number. */
static KBufId *in_order(Arena *a, const KernProg *p, const Life *life, uint32_t *count)
{
    KBufId *order = NEWN(a, KBufId, p->buf.n);
    uint32_t n = 0;
    for (KBufId b = 0; b < p->buf.n; b++) {
        if (!is_candidate(p, life, b))
            continue;
        uint32_t at = n++;
        for (; at > 0 && life[order[at - 1]].first > life[b].first; at--)
            order[at] = order[at - 1];
        order[at] = b;
    }
    *count = n;
    return order;
}

static bool fits(const KernProg *p, const Life *life, KBufId into, KBufId b)
{
    const KBuf *x = &p->buf.p[into], *y = &p->buf.p[b];
    return x->shares == K_NONE && x->size == y->size && x->dt == y->dt && life[into].last < life[b].first;
}

void kern_reuse(KernProg *p)
{
    Arena *own = arena_new();
    Life *life = lives(own, p);
    uint32_t n;
    KBufId *order = in_order(own, p, life, &n);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < i; j++)
            if (fits(p, life, order[j], order[i])) {
                p->buf.p[order[i]].shares = order[j];
                life[order[j]].last = life[order[i]].last;
                break;
            }
    arena_free(own);
}
