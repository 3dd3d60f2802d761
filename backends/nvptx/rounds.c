/* What is known of loops between two nodes: that they come to a barrier, unless they have no round at all; in which round a node can only be, if
 * there is a barrier in each. */
#include "backends/nvptx/barrier.h"

/* ---- how often ---- */

static void add_size(Map *m, NvSizes *to, Dim d)
{
    int64_t n;
    if (!dim_is_const(m->k->dims, d, &n))
        vec_push(m->a, &to->of, d);
}

/* An index is checked before anything is done: into an axis of length 0 there is none, and then it is an error whatever is done. */
static void add_checks(Map *m, NvSizes *to, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        bool reads_given = s->kind == K_LOAD && m->k->buf.p[s->mem.buf].kind == K_ARG;
        if (s->kind == K_CHECK)
            add_size(m, to, s->check.bound);
        if (s->kind == K_LOOP && i + 1 == b->n)
            add_checks(m, to, &s->loop.body);
        if (!nv_is_scalar(s) && !reads_given)
            return;
    }
}

NvSizes nv_times(Map *m, const NvNode *n)
{
    NvSizes times = {0};
    if (n->kind != NV_SHARE && n->kind != NV_TILES)
        return times;
    vec_push(m->a, &times.of, n->count);
    if (n->s->loop.kind == K_SERIAL) /* around chains */
        add_size(m, &times, n->s->loop.extent);
    add_checks(m, &times, &n->s->loop.body);
    return times;
}

/* Whether d is a multiple of a sum: its first term says of which. */
static bool is_multiple(Map *m, Dim d, Dim sum)
{
    DimTab *t = m->k->dims;
    for (uint32_t n = dim_nterms(t, d); n-- > 0 && d != DIM_ZERO;) {
        Dim times;
        uint32_t i = 0;
        while (i < dim_nterms(t, d) && !dim_div(t, dim_of_term(t, d, i), dim_of_term(t, sum, 0), &times))
            i++;
        if (i == dim_nterms(t, d))
            return false;
        d = dim_sub(t, d, dim_mul(t, times, sum));
    }
    return d == DIM_ZERO;
}

/* No size is negative: where nothing is taken off, a sum that is 0 is one of zeros. */
static bool is_zero_if(Map *m, Dim d, Dim size)
{
    DimTab *t = m->k->dims;
    bool is = is_multiple(m, d, size);
    for (uint32_t i = 0; i < dim_nterms(t, size) && !is && !dim_has_minus(t, size); i++)
        is = is_multiple(m, d, dim_of_term(t, size, i));
    return is;
}

static bool has_factor(Map *m, const NvSizes *times, Dim size)
{
    for (uint32_t i = 0; i < times->of.n; i++)
        if (is_zero_if(m, times->of.p[i], size))
            return true;
    return false;
}

bool nv_is_zero_with(Map *m, const NvSizes *times, const NvSizes *sizes)
{
    for (uint32_t i = 0; i < sizes->of.n; i++)
        if (!has_factor(m, times, sizes->of.p[i]))
            return false;
    return true;
}

/* ---- barriers on the way ---- */

static bool waits_at(Map *m, const NvNode *n, NvSizes *sizes)
{
    return n->kind == NV_BARRIER || (n->kind == NV_STEPS && nv_waits(m, n, sizes));
}

bool nv_waits(Map *m, const NvNode *loop, NvSizes *sizes)
{
    bool is = false;
    for (uint32_t i = 0; i < loop->body.n; i++) {
        const NvNode *n = loop->body.p[i];
        NvSizes some = {0};
        if (n->s && n->s->kind == K_LEAVE)
            break;
        if (!waits_at(m, n, &some) || (is && some.of.n >= sizes->of.n))
            continue;
        *sizes = some;
        is = true;
    }
    if (is)
        add_size(m, sizes, loop->s->loop.extent);
    return is;
}

/* Whichever of the sizes is 0, one of the two does nothing. */
static bool is_nothing_with(const NvBoth *both, const NvSizes *sizes)
{
    for (uint32_t i = 0; i < sizes->of.n; i++)
        if (!has_factor(both->f->m, both->times, sizes->of.p[i]) && !has_factor(both->f->m, &both->done->times, sizes->of.p[i]))
            return false;
    return true;
}

bool nv_has_passed(const NvBoth *both)
{
    for (uint32_t i = 0; i < both->f->passed.n; i++)
        if (is_nothing_with(both, &both->f->passed.p[i]))
            return true;
    for (uint32_t i = 0; i < both->done->passed.n; i++)
        if (is_nothing_with(both, &both->done->passed.p[i]))
            return true;
    return false;
}

/* ---- which round ---- */

/* Each round has a barrier: what is behind the loop, or in front of it, is kept in order with all rounds but one. */
static void add_round(const NvBoth *both, KernKnowns *to, const NvNode *n, bool first)
{
    Map *m = both->f->m;
    const KStmt *loop = n->s;
    NvSizes sizes = {0};
    if (!nv_waits(m, n, &sizes) || !is_nothing_with(both, &sizes))
        return;
    Dim round = loop->loop.reverse == first ? dim_sub(m->k->dims, loop->loop.extent, DIM_ONE) : DIM_ZERO;
    vec_push(m->a, to, ((KernKnown){loop, round, false}));
}

KernKnowns nv_first_rounds(const NvBoth *both)
{
    KernKnowns known = {0};
    for (uint32_t i = 0; i < both->f->loop.n; i++)
        add_round(both, &known, both->f->loop.p[i], true);
    return known;
}

/* A loop that is left does not come to its last round. */
KernKnowns nv_last_rounds(const NvBoth *both)
{
    KernKnowns known = {0};
    const NvNodes *left = &both->done->left;
    for (uint32_t i = 0; i < left->n; i++)
        if (!nv_has_leave(&left->p[i]->s->loop.body))
            add_round(both, &known, left->p[i], false);
    return known;
}
