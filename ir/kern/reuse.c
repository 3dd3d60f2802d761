/* kern.reuse: workspace buffers of one size that are not alive together share memory.
 *
 * A buffer lives from the first to the last of a function's outermost statements that touches it. What forward writes
 * for backward lives through both. What only one of the two uses is dead in the other, so the two functions are one
 * line of statements here, forward first. */
#include "ir/kern/kern.h"

typedef struct Life {
    uint32_t first, last; /* first > last: never used */
} Life;

typedef struct Lives {
    Life *life;  /* by buffer */
    uint32_t at; /* the number of the outermost statement */
} Lives;

static void touch(void *cx, KBufId b, KIndex *at)
{
    (void)at;
    const Lives *l = cx;
    Life *x = &l->life[b];
    x->first = l->at < x->first ? l->at : x->first;
    x->last = l->at > x->last ? l->at : x->last;
}

static Life *lives(Arena *a, const KernProg *p)
{
    Lives l = {NEWN(a, Life, p->buf.n), 0};
    for (KBufId b = 0; b < p->buf.n; b++)
        l.life[b].first = UINT32_MAX;
    for (uint32_t f = REC_FORWARD; f <= REC_BACKWARD; f++)
        for (uint32_t i = 0; i < p->fn[f].n; i++) {
            l.at++;
            kern_each_access(p->fn[f].p[i], touch, &l);
        }
    return l.life;
}

static bool is_candidate(const KernProg *p, const Life *life, KBufId b)
{
    const KBuf *x = &p->buf.p[b];
    bool in_init = x->used_by & 1u << REC_INIT;
    return x->kind == K_WORK && !x->kept && x->home == K_NONE && !in_init && life[b].first <= life[b].last;
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

/* Decides anew, whatever a program that was read as text shares already. */
void kern_reuse(KernProg *p)
{
    for (KBufId b = 0; b < p->buf.n; b++)
        p->buf.p[b].shares = K_NONE;
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
