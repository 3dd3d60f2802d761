/* Where the threads of a block wait for each other: in front of a node that reads or writes memory which another one, since
 * the last barrier, wrote or, if this one writes, read; in the same round of a loop or in the one before. Two nodes need
 * no barrier if each element is touched by one and the same thread in both.
 *
 * For a team of blocks that is done twice: first for memory that several blocks touch, with barriers of the team, then for what each block has for
 * itself, with barriers of the block where none of those is. */
#include "backends/nvptx/plan.h"

typedef struct Sizes {
    VEC(Dim) of;
} Sizes;

/* What was done since the last barrier; `round`: in another round of that loop, or NULL. */
typedef struct Done {
    NvNode *node;
    const KStmt *round;
    Sizes times; /* how often, in all loops that are left behind: the product */
    NvNodes left; /* those loops, the outermost last */
    VEC(Sizes) passed; /* of each loop behind it: one of them is 0 if there was no barrier */
} Done;

typedef struct Pending {
    VEC(Done) node;
} Pending;

/* What stands in front of the first barrier of a loop. */
typedef struct Front {
    Map *m;
    const Pending *p;
    VEC(Sizes) passed;        /* as in Done: before */
    NvNodes loop;             /* around */
} Front;

static Sizes times_of(Map *m, const NvNode *n)
{
    Sizes times = {0};
    if (n->kind == NV_SHARE || n->kind == NV_TILES)
        vec_push(m->a, &times.of, n->count);
    return times;
}

static Sizes times_in(Map *m, const Sizes *times, Dim rounds)
{
    Sizes all = {0};
    for (uint32_t i = 0; i < times->of.n; i++)
        vec_push(m->a, &all.of, times->of.p[i]);
    vec_push(m->a, &all.of, rounds);
    return all;
}

static NvNodes copy_of(Map *m, const NvNodes *nodes)
{
    NvNodes copy = {0};
    for (uint32_t i = 0; i < nodes->n; i++)
        vec_push(m->a, &copy, nodes->p[i]);
    return copy;
}

static void add_pending(Map *m, Pending *to, Done d)
{
    for (uint32_t i = 0; i < to->node.n; i++)
        if (to->node.p[i].node == d.node && to->node.p[i].round == d.round)
            return;
    vec_push(m->a, &to->node, d);
}

/* What was done, as it is seen in another round of a loop, or behind a loop, if that is not NULL. */
static Done later(Map *m, const Done *d, const KStmt *round, NvNode *left)
{
    Done out = {d->node, round, times_in(m, &d->times, left ? left->s->loop.extent : DIM_ONE), copy_of(m, &d->left), {0}};
    for (uint32_t i = 0; i < d->passed.n; i++)
        vec_push(m->a, &out.passed, d->passed.p[i]);
    if (left)
        vec_push(m->a, &out.left, left);
    return out;
}

static void add_all(Map *m, Pending *to, const Pending *from, const KStmt *round, NvNode *left)
{
    for (uint32_t i = 0; i < from->node.n; i++)
        add_pending(m, to, later(m, &from->node.p[i], round, left));
}

/* ---- conflicts ---- */

/* In shared memory; a thread writes its own places. */
static bool partial_results_conflict(const NvNode *a, const NvNode *b)
{
    return a->sum.n && b->sum.n && (a->kind == NV_COMBINE) != (b->kind == NV_COMBINE);
}

/* What was done, and another node; how often that is done. */
typedef struct Both {
    Front *f;
    const Done *done;
    const NvNode *next;
    const Sizes *times;
} Both;

static const NvNode *chain_in_front(const Both *both);
static const NvNode *chain_behind(const Both *both);

static bool have_one_owner(void *cx, const KIndex *x, const KIndex *y)
{
    const Both *both = cx;
    Map *m = both->f->m;
    const NvNode *a = both->done->node, *b = both->next;
    const KStmt *round = both->done->round;
    if (nv_one_owner(m, a, x, b, y, round))
        return true;
    const NvNode *front = chain_in_front(both), *behind = chain_behind(both);
    return (front && nv_one_owner(m, a, x, front, y, round)) || (behind && nv_one_owner(m, behind, x, b, y, round));
}

static bool is_of_first_thread(const Map *m, const NvNode *n)
{
    return n->kind == NV_ONE || (n->kind == NV_SHARE && n->count == DIM_ONE && !m->kernel->shared);
}

static const KVar *first_rounds(const Both *both, uint32_t *n);

static bool conflict_in(Both *both, KBufId memory)
{
    Map *m = both->f->m;
    const NvNode *a = both->done->node, *b = both->next;
    const KStmt *round = both->done->round;
    bool share = a->kind == NV_SHARE && b->kind == NV_SHARE;
    uint32_t n;
    if (!a->touches[memory] || !b->touches[memory] || !((a->touches[memory] | b->touches[memory]) & NV_WRITES))
        return false;
    if ((is_of_first_thread(m, a) && is_of_first_thread(m, b)) || (share && nv_same_owner(m, a, b, memory, round)))
        return false;
    const KVar *first = first_rounds(both, &n);
    return !kern_apart(m->meet, a->s, b->s, memory, round, &(KernExcept){first, n, true, share ? have_one_owner : NULL, both});
}

/* What a block keeps is its own. */
static bool is_own(const Map *m, KBufId memory)
{
    return m->k->buf.p[memory].kind == K_BLOCK || m->own[memory];
}

/* Which memory it is about now. */
static bool is_meant(const Map *m, KBufId memory)
{
    return kern_memory(m->k, memory) == memory && !(m->of_team && is_own(m, memory));
}

/* In one step, who reads and who writes what takes turns are in different slots. Between steps there is a barrier in front of who reads, and so it
 * is behind what fills the slots at first. */
static bool take_turns(const Map *m, KBufId memory, const KStmt *round)
{
    for (uint32_t i = 0; i < m->turn.n && m->kernel->shared && !round; i++)
        if (m->turn.p[i].two == memory)
            return true;
    return false;
}

static const uint8_t *touches_of(Map *m, const NvNode *n)
{
    uint8_t *touches = NEWN(m->a, uint8_t, m->k->buf.n);
    for (KBufId memory = 0; memory < m->k->buf.n && n->s; memory++)
        touches[memory] = (uint8_t)nv_touches(m->k, n->s, memory);
    return touches;
}

static bool conflict(Both *both)
{
    Map *m = both->f->m;
    if (!m->of_team && partial_results_conflict(both->done->node, both->next))
        return true;
    for (KBufId memory = 0; memory < m->k->buf.n; memory++)
        if (is_meant(m, memory) && conflict_in(both, memory) && !take_turns(m, memory, both->done->round))
            return true;
    return false;
}

/* ---- loops that may have no round ---- */

/* No size is negative: a sum that is 0 is one of zeros. */
static bool is_zero_if(Map *m, Dim d, Dim size)
{
    DimTab *t = m->k->dims;
    Dim quotient;
    bool is = dim_div(t, d, size, &quotient);
    for (uint32_t i = 0; i < dim_nterms(t, size) && !is && !dim_has_minus(t, size); i++)
        is = dim_div(t, d, dim_of_term(t, size, i), &quotient);
    return is;
}

static bool has_factor(Map *m, const Sizes *times, Dim size)
{
    for (uint32_t i = 0; i < times->of.n; i++)
        if (is_zero_if(m, times->of.p[i], size))
            return true;
    return false;
}

/* Whichever of the sizes is 0. */
static bool is_zero_with(Map *m, const Sizes *times, const Sizes *sizes)
{
    for (uint32_t i = 0; i < sizes->of.n; i++)
        if (!has_factor(m, times, sizes->of.p[i]))
            return false;
    return true;
}

static void add_size(Map *m, Sizes *to, Dim d)
{
    int64_t n;
    if (!dim_is_const(m->k->dims, d, &n))
        vec_push(m->a, &to->of, d);
}

static bool waits(Map *m, const NvNode *loop, Sizes *sizes);

static bool waits_at(Map *m, const NvNode *n, Sizes *sizes)
{
    return n->kind == NV_BARRIER || (n->kind == NV_STEPS && waits(m, n, sizes));
}

/* Whether each round comes to a barrier, if those sizes are not 0: as few as can be. */
static bool waits(Map *m, const NvNode *loop, Sizes *sizes)
{
    bool is = false;
    for (uint32_t i = 0; i < loop->body.n; i++) {
        const NvNode *n = loop->body.p[i];
        Sizes some = {0};
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

/* Whether there is a barrier in front of what is done so often in all rounds but the one in which the loop's variable is 0, from where it counts:
 * the first round, or else behind it, the last one, to which a loop that is left does not come. */
static bool is_round_0(Map *m, const NvNode *loop, const Sizes *times, bool first)
{
    Sizes sizes = {0};
    return loop->s->loop.reverse != first && (first || !nv_has_leave(&loop->s->loop.body)) && waits(m, loop, &sizes) && is_zero_with(m, times, &sizes);
}

/* Variables of loops around the second node, of which it can only be in the first round. */
static const KVar *first_rounds(const Both *both, uint32_t *n)
{
    Front *f = both->f;
    KVar *first = NEWN(f->m->a, KVar, f->loop.n + 1);
    *n = 0;
    for (uint32_t i = 0; i < f->loop.n; i++)
        if (f->loop.p[i]->s->loop.by == DIM_ZERO && is_round_0(f->m, f->loop.p[i], both->times, true))
            first[(*n)++] = f->loop.p[i]->s->loop.var;
    return first;
}

/* n in that round of loops around it, which are the first levels of `like`: iterations have the numbers of those of n alone. NULL: it is not that. */
static const NvNode *chain_of(Map *m, const NvNode *like, const NvNode *n, const NvNodes *around, const Sizes *times, bool first)
{
    uint32_t more = like->nlevel > n->nlevel ? like->nlevel - n->nlevel : 0;
    if (m->kernel->shared || like->kind != NV_SHARE || n->kind != NV_SHARE || !more || more > around->n)
        return NULL;
    NvNode *chain = nv_node(m, NV_SHARE, n->s);
    for (uint32_t l = 0; l < more; l++) {
        const NvNode *loop = around->p[around->n - more + l];
        if (loop->s->loop.extent != like->extent[l] || !is_round_0(m, loop, times, first))
            return NULL;
        vec_push(m->a, &chain->axis, (NvAxis){loop->s, l});
        chain->extent[l] = loop->s->loop.extent;
    }
    for (uint32_t i = 0; i < n->axis.n; i++)
        vec_push(m->a, &chain->axis, (NvAxis){n->axis.p[i].loop, n->axis.p[i].level + more});
    for (uint32_t l = more; l < like->nlevel; l++)
        chain->extent[l] = n->extent[l - more];
    chain->nlevel = like->nlevel;
    chain->count = like->count;
    return chain;
}

static const NvNode *chain_in_front(const Both *both)
{
    return chain_of(both->f->m, both->done->node, both->next, &both->f->loop, both->times, true);
}

static const NvNode *chain_behind(const Both *both)
{
    NvNodes around = {0};
    for (uint32_t i = both->done->left.n; i-- > 0;)
        vec_push(both->f->m->a, &around, both->done->left.p[i]);
    return chain_of(both->f->m, both->next, both->done->node, &around, &both->done->times, false);
}

static bool has_passed(Front *f, const Done *d, const Sizes *times)
{
    for (uint32_t i = 0; i < f->passed.n; i++)
        if (is_zero_with(f->m, &d->times, &f->passed.p[i]) || is_zero_with(f->m, times, &f->passed.p[i]))
            return true;
    for (uint32_t i = 0; i < d->passed.n; i++)
        if (is_zero_with(f->m, times, &d->passed.p[i]))
            return true;
    return false;
}

static bool conflicts(Front *f, const NvNode *n)
{
    Sizes times = times_of(f->m, n);
    for (uint32_t i = 0; i < f->loop.n; i++)
        vec_push(f->m->a, &times.of, f->loop.p[i]->s->loop.extent);
    for (uint32_t i = 0; i < f->p->node.n; i++) {
        const Done *d = &f->p->node.p[i];
        if (!has_passed(f, d, &times) && conflict(&(Both){f, d, n, &times}))
            return true;
    }
    return false;
}

/* Whether something in front of the first barrier conflicts. */
static bool first_conflicts(Front *f, const NvNodes *nodes);

static bool first_round_conflicts(Front *f, NvNode *loop)
{
    uint32_t passed = f->passed.n;
    vec_push(f->m->a, &f->loop, loop);
    bool is = first_conflicts(f, &loop->body);
    f->loop.n--;
    f->passed.n = passed;
    return is;
}

static bool first_conflicts(Front *f, const NvNodes *nodes)
{
    for (uint32_t i = 0; i < nodes->n && nodes->p[i]->kind != NV_BARRIER; i++) {
        NvNode *n = nodes->p[i];
        Sizes sizes = {0};
        if (n->kind == NV_STEPS ? first_round_conflicts(f, n) : conflicts(f, n))
            return true;
        if (n->kind == NV_STEPS && waits(f->m, n, &sizes))
            vec_push(f->m->a, &f->passed, sizes);
    }
    return false;
}

/* ---- placing ---- */

static void wait(Map *m, NvNodes *to, Pending *p)
{
    NvNode *barrier = nv_node(m, NV_BARRIER, NULL);
    barrier->team = m->of_team;
    vec_push(m->a, to, barrier);
    p->node.n = 0;
}

/* What has done something was in front of a barrier of this loop, or else of nothing that is done where one of the sizes is not 0. */
static void pass(Map *m, Pending *p, const NvNode *loop)
{
    Sizes sizes = {0};
    uint32_t n = 0;
    if (!waits(m, loop, &sizes))
        return;
    for (uint32_t i = 0; i < p->node.n; i++)
        if (!is_zero_with(m, &p->node.p[i].times, &sizes)) {
            vec_push(m->a, &p->node.p[i].passed, sizes);
            p->node.p[n++] = p->node.p[i];
        }
    p->node.n = n;
}

static void place(Map *m, NvNodes *nodes, Pending *p, Pending *left);

/* What a round leaves is in front of the next one. inside: the body with the barriers that are needed in one round alone */
static Pending place_round(Map *m, NvNode *loop, Pending *left, NvNodes *inside)
{
    Pending round = {0}, next = {0};
    place(m, &loop->body, &round, left);
    *inside = copy_of(m, &loop->body);
    if (loop->s->loop.extent == DIM_ONE)
        return round;
    add_all(m, &next, &round, loop->s, NULL);
    place(m, &loop->body, &next, left);
    return next;
}

static bool has(const NvNodes *nodes, const NvNode *n)
{
    uint32_t i = 0;
    while (i < nodes->n && nodes->p[i] != n)
        i++;
    return i < nodes->n;
}

/* Barriers between the last round and this one may do for some that stand further down, which were placed first: those are placed again. */
static Pending place_rounds(Map *m, NvNode *loop, Pending *left)
{
    NvNodes none = copy_of(m, &loop->body), inside, again = {0};
    Pending next = place_round(m, loop, left, &inside);
    if (loop->body.n == inside.n || inside.n == none.n)
        return next;
    for (uint32_t i = 0; i < loop->body.n; i++)
        if (!has(&inside, loop->body.p[i]) || has(&none, loop->body.p[i]))
            vec_push(m->a, &again, loop->body.p[i]);
    loop->body = again;
    return place_round(m, loop, left, &inside);
}

static void place_steps(Map *m, NvNodes *to, NvNode *n, Pending *p)
{
    Pending left = {0}, next = place_rounds(m, n, &left);
    if (first_round_conflicts(&(Front){.m = m, .p = p}, n))
        wait(m, to, p);
    pass(m, p, n);
    add_all(m, p, &next, NULL, n);
    add_all(m, p, &left, NULL, n);
    vec_push(m->a, to, n);
}

/* left: what is pending where the loop around ends early */
static void place(Map *m, NvNodes *nodes, Pending *p, Pending *left)
{
    NvNodes to = {0};
    for (uint32_t i = 0; i < nodes->n; i++) {
        NvNode *n = nodes->p[i];
        if (n->kind == NV_BARRIER) {
            vec_push(m->a, &to, n);
            p->node.n = 0;
        } else if (n->kind == NV_STEPS) {
            place_steps(m, &to, n, p);
        } else {
            n->touches = n->touches ? n->touches : touches_of(m, n);
            if (conflicts(&(Front){.m = m, .p = p}, n))
                wait(m, &to, p);
            add_pending(m, p, (Done){.node = n, .times = times_of(m, n)});
            vec_push(m->a, &to, n);
        }
        if (n->s && n->s->kind == K_LEAVE)
            add_all(m, left, p, NULL, NULL);
    }
    *nodes = to;
}

void nv_barriers(Map *m, NvNodes *nodes)
{
    Arena *own = arena_new();
    for (int team = m->kernel->shared; team >= 0; team--) {
        Pending p = {0}, left = {0};
        m->of_team = team;
        m->meet = kern_apart_new(own, m->k, &m->kernel->root, &m->pieces, team ? m->kernel->team.first : K_NONE);
        place(m, nodes, &p, &left);
    }
    arena_free(own);
}
