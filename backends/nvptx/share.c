/* Which loops are shared out among threads.
 *
 * A chain of parallel loops, one inside the other with nothing but scalars between them: its iterations are numbered, and a
 * thread takes every so-many-th. Chains may stand in serial loops, which then run inside of each thread. Where there are
 * serial loops, or an iteration reads what it may have written, that needs a proof: all accesses to that memory have the same stride
 * in each loop of the chain, those strides are nested (each is a multiple of the next times its extent), and everything
 * else in the address is a multiple of the largest times its extent. Then an address says which iteration it belongs to,
 * as digits do, and no two threads meet. Or, where no serial loops are around, iterations of each loop of the chain touch different elements
 * (depend.c): those may lie side by side. A thread then makes all of them alone, for which there must be enough threads: a chain along time. */
#include "backends/nvptx/plan.h"

static bool is_parallel(const KStmt *s)
{
    return s->kind == K_LOOP && s->loop.kind != K_SERIAL;
}

/* ---- chains ---- */

/* The one loop of a body that is scalars and a parallel loop, or NULL. */
static const KStmt *only_loop(const KBlock *b)
{
    const KStmt *loop = NULL;
    for (uint32_t i = 0; i < b->n; i++) {
        if (nv_is_scalar(b->p[i]))
            continue;
        if (loop || !is_parallel(b->p[i]))
            return NULL;
        loop = b->p[i];
    }
    return loop;
}

/* The chains of one nest share its threads, so they must be alike. */
bool nv_chain(Map *m, NvNode *node, const KStmt *s)
{
    uint32_t level = 0;
    bool first = !node->nlevel;
    for (; s && level < NV_MAXLEVEL; s = only_loop(&s->loop.body), level++) {
        if (!first && (level == node->nlevel || node->extent[level] != s->loop.extent))
            return false;
        node->extent[level] = s->loop.extent;
        vec_push(m->a, &node->axis, (NvAxis){s, level});
    }
    if (!first && level != node->nlevel)
        return false;
    node->nlevel = level;
    return true;
}

/* A serial loop with at least one parallel one in it, and nothing else but scalars. */
static bool add_nest(Map *m, NvNode *node, const KStmt *s)
{
    uint32_t loops = 0;
    if (is_parallel(s))
        return nv_chain(m, node, s);
    for (uint32_t i = 0; i < s->loop.body.n; i++) {
        const KStmt *in = s->loop.body.p[i];
        if (nv_is_scalar(in))
            continue;
        if (in->kind != K_LOOP || !add_nest(m, node, in))
            return false;
        loops++;
    }
    return loops > 0;
}

/* ---- accumulators from outside ---- */

static bool starts_in(const KBlock *b, KVar v)
{
    for (uint32_t i = 0; i < b->n; i++)
        if ((b->p[i]->kind == K_START && b->p[i]->acc.var == v) || (kern_body(b->p[i]) && starts_in(kern_body(b->p[i]), v)))
            return true;
    return false;
}

static bool is_listed(const NvNode *node, KVar v)
{
    for (uint32_t i = 0; i < node->sum.n; i++)
        if (node->sum.p[i]->acc.var == v)
            return true;
    return false;
}

void nv_find_sums(Map *m, NvNode *node, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i];
        if (kern_body(s))
            nv_find_sums(m, node, kern_body(s));
        if (s->kind == K_UPDATE && !starts_in(&node->s->loop.body, s->acc.var) && !is_listed(node, s->acc.var))
            vec_push(m->a, &node->sum, s);
    }
}

/* ---- what a statement does with memory ---- */

unsigned nv_touches(const KernProg *k, KStmt *s, KBufId memory)
{
    unsigned all = 0;
    for (uint32_t i = 0; kern_body(s) && i < kern_body(s)->n; i++)
        all |= nv_touches(k, kern_body(s)->p[i], memory);
    if ((s->kind == K_LOAD || s->kind == K_STORE) && kern_memory(k, s->mem.buf) == memory) {
        all |= s->kind == K_STORE ? NV_WRITES : NV_READS;
        all |= s->kind == K_STORE && s->mem.add ? NV_READS : 0;
    }
    return all;
}

/* ---- no two threads meet ---- */

/* How an address moves with the iterations of a chain, from the inside to the outside. Levels that are one range in memory
 * are one digit, so that a loop over rows and columns is like one over all elements. */
typedef struct Moves {
    uint32_t n;
    Dim stride[NV_MAXLEVEL], extent[NV_MAXLEVEL];
    bool cut[NV_MAXLEVEL]; /* a block has a part of it, so that what comes next is not behind its end */
} Moves;

typedef struct Digits {
    Map *m;
    const NvNode *node, *first_node; /* that is looked at; that has the first access */
    const KStmt *a, *b;  /* what is outside of them is the same for all accesses */
    KBufId memory;
    bool known, fail; /* the first access was seen; another one does not agree */
    KIndex first;
    Dim period;
    Moves moves;
} Digits;

static bool level_of(const NvNode *node, KVar v, uint32_t *level)
{
    for (uint32_t i = 0; i < node->axis.n; i++)
        if (node->axis.p[i].loop->loop.var == v) {
            *level = node->axis.p[i].level;
            return true;
        }
    return false;
}

/* Above 0 wherever there is memory. */
static bool is_positive(const KernProg *k, Dim d)
{
    return d != DIM_ZERO && !dim_has_minus(k->dims, d) && !dim_mentions(k->dims, d, k->keep);
}

static bool divides(const KernProg *k, Dim by, Dim d)
{
    Dim quotient;
    return d == DIM_ZERO || dim_div(k->dims, d, by, &quotient);
}

/* A loop that is cut has its place in the whole range. */
static Dim whole(const Map *m, Dim extent)
{
    return kern_whole(m->k, extent, &m->pieces);
}

static void add_move(Map *m, Moves *to, Dim stride, Dim part)
{
    DimTab *d = m->k->dims;
    uint32_t last = to->n - 1;
    Dim extent = whole(m, part);
    if (part == DIM_ONE)
        return;
    if (to->n && !to->cut[last] && stride == dim_mul(d, to->stride[last], to->extent[last])) {
        to->extent[last] = dim_mul(d, to->extent[last], extent);
        to->cut[last] = part != extent;
    } else {
        to->cut[to->n] = part != extent;
        to->stride[to->n] = stride;
        to->extent[to->n++] = extent;
    }
}

static Moves moves_of(const Digits *d, const KIndex *at)
{
    Dim stride[NV_MAXLEVEL] = {DIM_ZERO};
    uint32_t level;
    Moves moves = {0};
    for (uint32_t i = 0; i < at->n; i++)
        if (level_of(d->node, at->term[i].var, &level))
            stride[level] = at->term[i].stride;
    for (uint32_t l = d->node->nlevel; l-- > 0;)
        add_move(d->m, &moves, stride[l], d->node->extent[l]);
    return moves;
}

/* The next digit: one that begins where the last one ends, or else at a multiple of that. d->moves.n: none. */
static uint32_t next_digit(const Digits *d, const bool *done)
{
    uint32_t next = d->moves.n;
    for (uint32_t i = d->moves.n; i-- > 0;)
        if (!done[i] && divides(d->m->k, d->period, d->moves.stride[i]) && (next == d->moves.n || d->moves.stride[next] != d->period))
            next = i;
    return next;
}

/* How many there are of the last digit does not matter. */
static bool nested(Digits *d)
{
    const KernProg *k = d->m->k;
    bool done[NV_MAXLEVEL] = {false};
    d->period = DIM_ONE;
    for (uint32_t n = 0; n < d->moves.n; n++) {
        uint32_t i = next_digit(d, done);
        if (i == d->moves.n || !is_positive(k, d->moves.stride[i]) || (n + 1 < d->moves.n && !is_positive(k, d->moves.extent[i])))
            return false;
        done[i] = true;
        d->period = dim_mul(k->dims, d->moves.stride[i], d->moves.extent[i]);
    }
    return true;
}

static bool same_moves(const Moves *a, const Moves *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (a->stride[i] != b->stride[i] || a->extent[i] != b->extent[i] || a->cut[i] != b->cut[i])
            return false;
    return true;
}

bool nv_defines(const KStmt *s, KVar v)
{
    const KBlock *b = kern_body((KStmt *)s);
    if (kern_defines(s) == v || (s->kind == K_LOOP && s->loop.var == v))
        return true;
    for (uint32_t i = 0; b && i < b->n; i++)
        if (nv_defines(b->p[i], v))
            return true;
    return false;
}

static bool has_term(const KIndex *at, KVar v, Dim stride)
{
    for (uint32_t i = 0; i < at->n; i++)
        if (at->term[i].var == v)
            return at->term[i].stride == stride;
    return false;
}

/* What an address has beside the digits is a multiple of them all, or is there in the other address, too. */
static bool rest_agrees(const Digits *d, const NvNode *node, const KIndex *at, const KIndex *other)
{
    const KernProg *k = d->m->k;
    uint32_t level;
    for (uint32_t i = 0; i < at->n; i++) {
        KVar v = at->term[i].var;
        if (level_of(node, v, &level) || divides(k, d->period, at->term[i].stride))
            continue;
        if (nv_defines(d->a, v) || nv_defines(d->b, v) || !has_term(other, v, at->term[i].stride))
            return false;
    }
    return true;
}

static bool agrees(const Digits *d, const KIndex *at)
{
    const KernProg *k = d->m->k;
    Moves moves = moves_of(d, at);
    return same_moves(&moves, &d->moves) && rest_agrees(d, d->node, at, &d->first) && rest_agrees(d, d->first_node, &d->first, at) &&
           divides(k, d->period, dim_sub(k->dims, at->base, d->first.base));
}

static void see_index(Digits *d, const NvNode *node, const KIndex *at)
{
    d->node = node;
    if (!d->known) {
        d->known = true;
        d->first = *at;
        d->first_node = d->node;
        d->moves = moves_of(d, at);
        d->fail = !nested(d);
    }
    d->fail = d->fail || !agrees(d, at);
}

static void see_access(void *cx, KBufId buf, KIndex *at)
{
    Digits *d = cx;
    if (kern_memory(d->m->k, buf) == d->memory && !d->fail)
        see_index(d, d->node, at);
}

static void see_node(Digits *d, const NvNode *node)
{
    d->node = node;
    kern_each_access(node->s, see_access, d);
}

bool nv_same_owner(Map *m, const NvNode *a, const NvNode *b, KBufId memory, const KStmt *round)
{
    Digits d = {.m = m, .a = round ? round : a->s, .b = round ? round : b->s, .memory = memory};
    if (a->count != b->count)
        return false;
    see_node(&d, a);
    see_node(&d, b);
    return !d.fail;
}

/* Whether a block never reads a memory that it has written before. */
static bool reads_first(const KernProg *k, const KBlock *b, KBufId memory, bool *written)
{
    for (uint32_t i = 0; i < b->n; i++) {
        unsigned does = nv_touches(k, b->p[i], memory);
        if ((does & NV_READS && *written) || (kern_body(b->p[i]) && does == (NV_READS | NV_WRITES)))
            return false;
        *written |= (does & NV_WRITES) != 0;
    }
    return true;
}

/* Iterations that are independent of each other meet in memory only where each of them reads again what it wrote there, as
 * in an array for what is computed on the way. Scalars around the inner loop are read by all threads that need them. */
static bool is_independent(Map *m, const NvNode *node, KBufId memory)
{
    bool written = false;
    const KStmt *last = node->axis.p[node->axis.n - 1].loop;
    for (uint32_t l = 0; l + 1 < node->axis.n; l++) {
        const KBlock *b = &node->axis.p[l].loop->loop.body;
        for (uint32_t i = 0; i < b->n; i++)
            if (b->p[i]->kind != K_LOOP && nv_touches(m->k, b->p[i], memory))
                return false;
    }
    return reads_first(m->k, &last->loop.body, memory, &written);
}

/* Along an axis of time: there are as many iterations as threads, as a rule, so each may do a lot by itself. */
static bool is_long(const Map *m, const NvNode *node)
{
    for (uint32_t l = 0; l < node->nlevel; l++)
        for (DimSym s = 0; s < dim_nsyms(m->k->dims); s++)
            if (dim_sym_info(m->k->dims, s)->kind == DIM_TIME && dim_mentions(m->k->dims, node->extent[l], s))
                return true;
    return false;
}

/* Whether iterations of each loop touch different elements, whatever is inside of them. */
static bool are_apart(Map *m, const NvNode *node, KBufId memory)
{
    KernApart *apart = kern_apart_new(m->a, m->k, &(KBlock){.p = (KStmt *[]){node->s}, .n = 1}, &m->pieces, K_NONE);
    for (uint32_t l = 0; l < node->axis.n; l++) {
        const KStmt *loop = node->axis.p[l].loop;
        const KBlock *b = &loop->loop.body;
        for (uint32_t i = 0; i < b->n; i++)
            for (uint32_t j = i; j < b->n; j++)
                if (!kern_apart(apart, b->p[i], b->p[j], memory, loop, NULL))
                    return false;
    }
    return true;
}

static bool is_apart(Map *m, const NvNode *node)
{
    bool serial = !is_parallel(node->s);
    for (KBufId b = 0; b < m->k->buf.n; b++) {
        unsigned does = kern_memory(m->k, b) == b ? nv_touches(m->k, node->s, b) : 0;
        if (!(does & NV_WRITES) || (!serial && (!(does & NV_READS) || is_independent(m, node, b))))
            continue;
        if (!nv_same_owner(m, node, node, b, NULL) && (serial || !is_long(m, node) || !are_apart(m, node, b)))
            return false;
    }
    return true;
}

/* ---- nodes ---- */

NvNode *nv_node(Map *m, NvKind kind, KStmt *s)
{
    NvNode *node = NEW(m->a, NvNode);
    *node = (NvNode){.kind = kind, .s = s, .count = DIM_ONE};
    return node;
}

NvNode *nv_share(Map *m, KStmt *s)
{
    NvNode *node = nv_node(m, NV_SHARE, s);
    if (s->kind != K_LOOP || !add_nest(m, node, s))
        return NULL;
    nv_find_sums(m, node, &s->loop.body);
    if (node->sum.n && s->loop.kind != K_VECTOR)
        return NULL;
    for (uint32_t l = 0; l < node->nlevel; l++)
        node->count = dim_mul(m->k->dims, node->count, node->extent[l]);
    if (!is_apart(m, node))
        return NULL;
    nv_find_carries(m, node);
    return node;
}
