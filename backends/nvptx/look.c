/* A recurrence in pieces, in one kernel: the pieces' own sums, the state that goes from piece to piece, and all places again with the state that
 * their piece begins with. Apart they are three kernels, and what the first one reads from memory the last one reads from there again; here one
 * thread does both for a piece, one behind the other.
 *
 * The state in front of a piece comes by looking back (Merrill and Garland, "Single-pass parallel prefix scan with decoupled look-back", 2016). A
 * thread tells when its own sum is there, goes back over the pieces before until one whose state is known, and makes the steps from there itself.
 * So nobody waits but for sums, and nobody's sum waits. The steps are the statements of the loop over pieces, in their order, whoever makes them:
 * results are those of the three kernels, bit by bit, and nothing is asked of the operation. Pieces are handed out in order, by a ticket, so that
 * those before are done by blocks that run.
 *
 * What it takes is proved from addresses, as for all that threads share out (share.c): the three touch a memory at places that belong to one
 * piece and one thread, and what the loop carries on is one element for each thread. */
#include "backends/nvptx/plan.h"

enum { MOST_BETWEEN = 12 }; /* statements that may stand between */

typedef struct Look {
    Map *m;
    KernProg *k;
    NvNode *pieces, *steps, *rest;
    const KStmt *loop; /* over pieces */
    NvNode whole;      /* steps, with the piece as the outermost level */
    Dim width;         /* threads of a piece */
    NvLook *out;
    KBufId *carried;   /* by KBufId: where a piece's own one is, K_NONE: it is none */
    uint32_t nbuf;     /* of carried: buffers that there were before */
} Look;

/* ---- what may stand in them ---- */

static bool is_fixed(const KStmt *s)
{
    return s->kind == K_LET || s->kind == K_CONST || s->kind == K_SIZE || s->kind == K_GIVEN;
}

/* No statement leaves: a thread that did not tell would be waited for. */
static bool never_leaves(KStmt *s)
{
    for (uint32_t i = 0; kern_body(s) && i < kern_body(s)->n; i++)
        if (!never_leaves(kern_body(s)->p[i]))
            return false;
    return s->kind != K_CHECK && s->kind != K_LEAVE;
}

static NvNode *share_of(Map *m, KStmt *s)
{
    NvNode *n = s->kind == K_LOOP && never_leaves(s) ? nv_share(m, s) : NULL;
    return n && !n->sum.n ? n : NULL;
}

/* Scalars and stores, and at most one loop in each. */
static bool is_plain(const KBlock *b)
{
    uint32_t loops = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        if (s->kind == K_LOOP ? ++loops > 1 || !is_plain(&s->loop.body) : !is_fixed(s) && s->kind != K_LOAD && (s->kind != K_STORE || s->mem.add))
            return false;
    }
    return true;
}

/* `inner` without its outermost level. */
static bool is_level_of(const NvNode *outer, const NvNode *inner)
{
    if (outer->nlevel != inner->nlevel + 1)
        return false;
    for (uint32_t l = 0; l < inner->nlevel; l++)
        if (outer->extent[l + 1] != inner->extent[l])
            return false;
    return true;
}

/* ---- memory ---- */

static unsigned touches(const Look *x, KStmt *s, KBufId memory)
{
    return kern_memory(x->k, memory) == memory ? nv_touches(x->k, s, memory) : 0;
}

static bool conflict(const Look *x, KStmt *a, KStmt *b)
{
    for (KBufId i = 0; i < x->k->buf.n; i++)
        if (touches(x, a, i) && touches(x, b, i) && ((touches(x, a, i) | touches(x, b, i)) & NV_WRITES))
            return true;
    return false;
}

typedef struct Same {
    const Look *x;
    KBufId memory, buf;
    KIndex at;
    bool known, fail;
} Same;

static bool is_of_chain(const Look *x, KVar v)
{
    for (uint32_t i = 0; i < x->steps->axis.n; i++)
        if (x->steps->axis.p[i].loop->loop.var == v)
            return true;
    return false;
}

static void see_same(void *cx, KBufId buf, KIndex *at)
{
    Same *s = cx;
    if (kern_memory(s->x->k, buf) != s->memory)
        return;
    if (!s->known)
        s->buf = buf, s->at = *at;
    s->known = true;
    s->fail |= buf != s->buf || !kern_index_eq(at, &s->at);
    for (uint32_t i = 0; i < at->n; i++)
        s->fail |= !is_of_chain(s->x, at->term[i].var);
}

/* Of what the loop over pieces carries on: always the same element of a thread. */
static bool is_one_element(const Look *x, KBufId memory)
{
    Same s = {.x = x, .memory = memory};
    kern_each_access((KStmt *)(uintptr_t)x->loop, see_same, &s);
    return s.known && !s.fail;
}

static bool owned(const Look *x, const NvNode *a, const NvNode *b, KBufId memory)
{
    return nv_same_owner(x->m, a, b, memory, NULL);
}

static bool fits(Look *x, KBufId memory)
{
    unsigned a = touches(x, x->pieces->s, memory), b = touches(x, x->steps->s, memory), c = touches(x, x->rest->s, memory);
    if (!((a | b | c) & NV_WRITES))
        return true;
    if (b == (NV_READS | NV_WRITES)) {
        x->carried[memory] = memory;
        return !a && !c && is_one_element(x, memory);
    }
    return (!a || owned(x, x->pieces, x->pieces, memory)) && (!b || owned(x, &x->whole, &x->whole, memory)) && (!c || owned(x, x->rest, x->rest, memory)) &&
           (!a || !b || owned(x, x->pieces, &x->whole, memory)) && (!a || !c || owned(x, x->pieces, x->rest, memory)) &&
           (!b || !c || owned(x, &x->whole, x->rest, memory));
}

/* An address of a store is found from the piece and the thread alone. */
static void see_place(void *cx, KBufId buf, KIndex *at)
{
    Same *s = cx;
    (void)buf;
    for (uint32_t i = 0; i < at->n; i++)
        s->fail |= at->term[i].var != s->x->loop->loop.var && !is_of_chain(s->x, at->term[i].var);
}

static bool has_places(const Look *x, const KBlock *b)
{
    Same s = {.x = x};
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->p[i]->kind == K_STORE)
            kern_each_access(b->p[i], see_place, &s);
        if (s.fail || (kern_body(b->p[i]) && !has_places(x, kern_body(b->p[i]))))
            return false;
    }
    return true;
}

static void find_whole(Look *x)
{
    NvNode *w = &x->whole;
    *w = (NvNode){.kind = NV_SHARE, .s = x->steps->s, .nlevel = x->pieces->nlevel, .count = x->pieces->count};
    vec_push(x->m->a, &w->axis, (NvAxis){x->loop, 0});
    for (uint32_t i = 0; i < x->steps->axis.n; i++)
        vec_push(x->m->a, &w->axis, (NvAxis){x->steps->axis.p[i].loop, x->steps->axis.p[i].level + 1});
    memcpy(w->extent, x->pieces->extent, sizeof w->extent);
}

static bool all_fit(Look *x)
{
    bool carries = false;
    x->nbuf = x->k->buf.n;
    x->carried = NEWN(x->m->a, KBufId, x->nbuf);
    find_whole(x);
    for (KBufId i = 0; i < x->nbuf; i++)
        x->carried[i] = K_NONE;
    for (KBufId i = 0; i < x->nbuf; i++) {
        if (kern_memory(x->k, i) == i && !fits(x, i))
            return false;
        carries |= x->carried[i] != K_NONE;
    }
    return carries && has_places(x, &x->loop->loop.body);
}

/* ---- finding the three ---- */

static bool are_steps(Look *x, KStmt *s)
{
    int64_t pieces;
    if (s->kind != K_LOOP || s->loop.kind != K_SERIAL || s->loop.by != DIM_ZERO || s->loop.extent != x->pieces->extent[0] ||
        !dim_is_const(x->k->dims, s->loop.extent, &pieces) || !is_plain(&s->loop.body))
        return false;
    x->steps = share_of(x->m, s);
    x->loop = s;
    return x->steps && is_level_of(x->pieces, x->steps) && conflict(x, x->pieces->s, s);
}

static bool is_rest(Look *x, KStmt *s)
{
    x->rest = share_of(x->m, s);
    return x->rest && x->rest->extent[0] == x->pieces->extent[0] && is_level_of(x->rest, x->steps) && conflict(x, x->steps->s, s);
}

/* The next statement that `is`; those before may be done before `first`, or behind what was found. */
static uint32_t find(Look *x, const KBlock *b, uint32_t at, const KStmt *first, bool (*is)(Look *x, KStmt *s))
{
    for (uint32_t i = at; i < b->n && i + 1 < at + MOST_BETWEEN; i++) {
        KStmt *s = b->p[i];
        if (is_fixed(s))
            continue;
        if (s->kind != K_LOOP)
            return 0;
        if (is(x, s))
            return i;
        if (first && conflict(x, (KStmt *)(uintptr_t)first, s))
            return 0;
    }
    return 0;
}

/* Statements between the steps and the rest: in front of all, or behind all. */
typedef struct Between {
    uint32_t from, to; /* the steps, the rest */
    bool late[MOST_BETWEEN];
} Between;

/* It can change places with the steps, with what they need, and with what waits already. */
static bool is_early(const Look *x, const KBlock *b, const Between *w, uint32_t at)
{
    for (uint32_t i = w->from + 1; i < at; i++)
        if (w->late[i - w->from] && conflict(x, b->p[i], b->p[at]))
            return false;
    return !conflict(x, x->pieces->s, b->p[at]) && !conflict(x, x->steps->s, b->p[at]);
}

static bool can_move(const Look *x, const KBlock *b, Between *w)
{
    for (uint32_t i = w->from + 1; i < w->to; i++) {
        bool *late = &w->late[i - w->from];
        *late = !is_fixed(b->p[i]) && !is_early(x, b, w, i);
        if (*late && conflict(x, b->p[i], b->p[w->to]))
            return false;
    }
    return true;
}

/* ---- the kernel's statements ---- */

static KBufId add_buffer(Look *x, DType dt, Dim size)
{
    uint8_t uses = (uint8_t)(1u << (x->m->fn - x->m->plan->fn));
    return kern_buf(x->k, (KBuf){.kind = K_WORK, .dt = dt, .size = size, .used_by = uses, .name = STR("")});
}

/* A thread's element of a piece, as the last level runs fastest. */
static KIndex element(const Look *x, KVar piece, Dim base)
{
    KIndex at = {.base = base};
    Dim stride = DIM_ONE;
    for (uint32_t i = x->steps->axis.n; i-- > 0;) {
        kern_index_add(x->k, &at, x->steps->axis.p[i].loop->loop.var, stride);
        stride = dim_mul(x->k->dims, stride, x->steps->axis.p[i].loop->loop.extent);
    }
    if (piece != K_NONE)
        kern_index_add(x->k, &at, piece, stride);
    return at;
}

static KIndex moved(const Look *x, const KIndex *from)
{
    KIndex to = {.base = from->base};
    for (uint32_t i = 0; i < from->n; i++)
        kern_index_add(x->k, &to, from->term[i].var == x->loop->loop.var ? x->out->own : from->term[i].var, from->term[i].stride);
    return to;
}

/* A step that any thread may make: the state is its own piece's, and what it stores goes there; what steps of earlier pieces have left is
 * written over by the last one, which is its own. */
static KStmt *step_of(Look *x, const KStmt *s)
{
    KStmt *copy = NEW(x->k->arena, KStmt);
    KBufId own = s->kind == K_LOAD || s->kind == K_STORE ? x->carried[kern_memory(x->k, s->mem.buf)] : K_NONE;
    *copy = *s;
    if (own != K_NONE) {
        copy->mem.buf = own;
        copy->mem.at = element(x, x->out->own, DIM_ZERO);
    } else if (s->kind == K_STORE) {
        copy->mem.at = moved(x, &s->mem.at);
    } else if (s->kind == K_LOOP) {
        copy->loop.body = (KBlock){0};
        for (uint32_t i = 0; i < s->loop.body.n; i++)
            vec_push(x->k->arena, &copy->loop.body, step_of(x, s->loop.body.p[i]));
    }
    return copy;
}

/* The loops of the chain around a body. */
static KStmt *chain_around(const Look *x, KBlock body)
{
    KStmt *s = NULL;
    for (uint32_t i = x->steps->axis.n; i-- > 0;) {
        s = NEW(x->k->arena, KStmt);
        *s = *x->steps->axis.p[i].loop;
        s->loop.body = body;
        body = (KBlock){0};
        vec_push(x->k->arena, &body, s);
    }
    return s;
}

static void add_copy(const Look *x, KBlock *to, KBufId dst, KIndex dst_at, KBufId src, KIndex src_at)
{
    KVar v = kern_var(x->k, x->k->buf.p[src].dt, false, STR(""));
    kern_add(x->k, to, (KStmt){.kind = K_LOAD, .at = x->loop->at, .mem = {v, src, src_at, false}});
    kern_add(x->k, to, (KStmt){.kind = K_STORE, .at = x->loop->at, .mem = {v, dst, dst_at, false}});
}

/* The state as it is in front of all pieces, as one of them leaves it, and behind all. */
static void add_copies(Look *x, KBlock *end)
{
    KBlock start = {0}, take = {0}, last = {0};
    DimTab *d = x->k->dims;
    Dim behind = x->loop->loop.reverse ? DIM_ZERO : dim_mul(d, dim_sub(d, x->loop->loop.extent, DIM_ONE), x->width);
    for (KBufId i = 0; i < x->nbuf; i++) {
        if (x->carried[i] == K_NONE)
            continue;
        Same s = {.x = x, .memory = i};
        kern_each_access((KStmt *)(uintptr_t)x->loop, see_same, &s);
        KBufId own = add_buffer(x, x->k->buf.p[i].dt, x->pieces->count);
        x->carried[i] = own;
        KIndex mine = element(x, x->out->own, DIM_ZERO), theirs = element(x, x->out->found, DIM_ZERO), all = element(x, K_NONE, behind);
        add_copy(x, &start, own, mine, s.buf, s.at);
        add_copy(x, &take, own, mine, own, theirs);
        add_copy(x, &last, s.buf, s.at, own, all);
    }
    x->out->start = chain_around(x, start);
    x->out->take = chain_around(x, take);
    vec_push(x->k->arena, end, chain_around(x, last));
}

static NvNode *step_node(Look *x)
{
    NvNode *step = NEW(x->m->a, NvNode);
    *step = *x->steps;
    for (uint32_t i = 0; i < x->loop->loop.body.n; i++) {
        KStmt *s = x->loop->loop.body.p[i];
        if (s->kind == K_LOOP)
            step->s = step_of(x, s);
        else
            vec_push(x->k->arena, &x->out->around, s);
    }
    return step;
}

/* ---- the function's statements ---- */

static void add_range(const Look *x, KBlock *to, const KBlock *b, uint32_t from, uint32_t end)
{
    for (uint32_t i = from; i < end; i++)
        vec_push(x->k->arena, to, b->p[i]);
}

static void add_between(const Look *x, KBlock *to, const KBlock *b, const Between *w, bool late)
{
    for (uint32_t i = w->from + 1; i < w->to; i++)
        if (w->late[i - w->from] == late)
            vec_push(x->k->arena, to, b->p[i]);
}

/* ..., what stands between, no flags, the three, the state behind them, what may wait, ... */
static void rearrange(Look *x, KBlock *b, uint32_t at, const Between *w)
{
    KBlock to = {0}, flags = {0}, end = {0};
    Dim n = dim_add(x->k->dims, x->pieces->count, DIM_ONE);
    x->out->flag = add_buffer(x, DT_INT, n);
    kern_add(x->k, &flags, (KStmt){.kind = K_FILL, .at = x->loop->at, .fill = {x->out->flag, {.base = DIM_ZERO}, n, 0}});
    nv_loops(x->m, &flags);
    add_copies(x, &end);
    x->out->step = step_node(x);
    add_range(x, &to, b, 0, at);
    add_range(x, &to, b, at + 1, w->from);
    add_between(x, &to, b, w, false);
    add_range(x, &to, &flags, 0, 1);
    add_range(x, &to, b, at, at + 1);
    add_range(x, &to, b, w->from, w->from + 1);
    add_range(x, &to, b, w->to, w->to + 1);
    add_range(x, &to, &end, 0, 1);
    add_between(x, &to, b, w, true);
    add_range(x, &to, b, w->to + 1, b->n);
    *b = to;
}

NvNode *nv_look(Map *m, KBlock *b, uint32_t at)
{
    NvKernel none = {.threads = DIM_ONE};
    Look x = {.m = m, .k = m->k};
    m->kernel = &none;
    m->pieces = (KernPieces){0};
    x.pieces = share_of(m, b->p[at]);
    if (!x.pieces || x.pieces->nlevel < 2)
        return NULL;
    Between w = {.from = find(&x, b, at + 1, b->p[at], are_steps)};
    w.to = w.from ? find(&x, b, w.from + 1, NULL, is_rest) : 0;
    if (!w.to || !can_move(&x, b, &w) || !all_fit(&x))
        return NULL;
    x.out = NEW(m->a, NvLook);
    x.width = x.steps->count;
    *x.out = (NvLook){.pieces = x.pieces, .rest = x.rest, .loop = x.loop, .first = b->p[at]};
    x.out->own = kern_var(m->k, DT_INT, true, STR(""));
    x.out->found = kern_var(m->k, DT_INT, true, STR(""));
    rearrange(&x, b, at, &w);
    NvNode *node = nv_node(m, NV_LOOK, NULL);
    node->count = x.pieces->count;
    node->look = x.out;
    return node;
}
