/* Where the threads of a block wait for each other: in front of a node that reads or writes memory which another one, since
 * the last barrier, wrote or, if this one writes, read; in the same round of a loop or in the one before. Two nodes need
 * no barrier if each element is touched by one and the same thread in both.
 *
 * For a team of blocks that is done twice: first for memory that several blocks touch, with barriers of the team, then for what each block has for
 * itself, with barriers of the block where none of those is. */
#include "backends/nvptx/plan.h"

/* What was done since the last barrier; `round`: in another round of that loop, or NULL. */
typedef struct Done {
    NvNode *node;
    const KStmt *round;
} Done;

typedef struct Pending {
    VEC(Done) node;
} Pending;

static void add_pending(Map *m, Pending *to, NvNode *n, const KStmt *round)
{
    for (uint32_t i = 0; i < to->node.n; i++)
        if (to->node.p[i].node == n && to->node.p[i].round == round)
            return;
    vec_push(m->a, &to->node, (Done){n, round});
}

static void add_all(Map *m, Pending *to, const Pending *from, const KStmt *round)
{
    for (uint32_t i = 0; i < from->node.n; i++)
        add_pending(m, to, from->node.p[i].node, round);
}

/* ---- conflicts ---- */

/* In shared memory; a thread writes its own places. */
static bool partial_results_conflict(const NvNode *a, const NvNode *b)
{
    return a->sum.n && b->sum.n && (a->kind == NV_COMBINE) != (b->kind == NV_COMBINE);
}

static bool conflict_in(Map *m, const NvNode *a, const NvNode *b, KBufId memory, const KStmt *round)
{
    unsigned x = nv_touches(m->k, a->s, memory), y = nv_touches(m->k, b->s, memory);
    if (!x || !y || !((x | y) & NV_WRITES))
        return false;
    if (a->kind == NV_ONE && b->kind == NV_ONE)
        return false;
    return a->kind != NV_SHARE || b->kind != NV_SHARE || !nv_same_owner(m, a, b, memory, round);
}

static bool are_apart(Map *m, const KStmt *round, const NvNode *a, const NvNode *b, KBufId memory)
{
    return round && kern_rounds_apart(m->k, round, a->s, b->s, memory, &m->pieces);
}

/* What a block keeps is its own. */
static bool is_own(const Map *m, KBufId memory)
{
    return m->k->buf.p[memory].kind == K_BLOCK || m->own[memory];
}

/* Which memory it is about now. */
static bool is_meant(const Map *m, KBufId memory)
{
    return kern_memory(m->k, memory) == memory && (!m->kernel->shared || is_own(m, memory) != m->of_team);
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

static bool conflict(Map *m, const NvNode *a, const NvNode *b, const KStmt *round)
{
    if (!m->of_team && partial_results_conflict(a, b))
        return true;
    for (KBufId memory = 0; memory < m->k->buf.n && a->s && b->s; memory++)
        if (is_meant(m, memory) && conflict_in(m, a, b, memory, round) && !take_turns(m, memory, round) && !are_apart(m, round, a, b, memory))
            return true;
    return false;
}

static bool conflicts(Map *m, const Pending *p, const NvNode *n)
{
    for (uint32_t i = 0; i < p->node.n; i++)
        if (conflict(m, p->node.p[i].node, n, p->node.p[i].round))
            return true;
    return false;
}

/* Whether each round comes to a barrier. */
static bool waits(const NvNodes *nodes)
{
    uint32_t i = 0;
    while (i < nodes->n && nodes->p[i]->kind != NV_BARRIER && !(nodes->p[i]->s && nodes->p[i]->s->kind == K_LEAVE))
        i++;
    return i < nodes->n && nodes->p[i]->kind == NV_BARRIER;
}

/* Whether there are no iterations where a size is 0. */
static bool has_none(Map *m, const NvNode *n, Dim size)
{
    Dim times;
    return (n->kind == NV_SHARE || n->kind == NV_TILES) && size != DIM_ONE && dim_div(m->k->dims, n->count, size, &times);
}

/* Whether something in front of the first barrier conflicts. A loop may have no round, and then no barrier; nor has what goes through
 * as many places then anything to do. */
static bool first_conflicts(Map *m, const Pending *p, const NvNodes *nodes)
{
    Dim rounds = DIM_ONE;
    for (uint32_t i = 0; i < nodes->n && nodes->p[i]->kind != NV_BARRIER; i++) {
        const NvNode *n = nodes->p[i];
        if (n->kind == NV_STEPS ? first_conflicts(m, p, &n->body) : !has_none(m, n, rounds) && conflicts(m, p, n))
            return true;
        if (n->kind == NV_STEPS && waits(&n->body))
            rounds = n->s->loop.extent;
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

static void place(Map *m, NvNodes *nodes, Pending *p, Pending *left);

/* What a round leaves is in front of the next one. */
static void place_steps(Map *m, NvNodes *to, NvNode *n, Pending *p)
{
    Pending round = {0}, next = {0}, left = {0};
    place(m, &n->body, &round, &left);
    add_all(m, &next, &round, n->s);
    place(m, &n->body, &next, &left);
    if (first_conflicts(m, p, &n->body))
        wait(m, to, p);
    add_all(m, p, &next, NULL);
    add_all(m, p, &left, NULL);
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
            if (conflicts(m, p, n))
                wait(m, &to, p);
            add_pending(m, p, n, NULL);
            vec_push(m->a, &to, n);
        }
        if (n->s && n->s->kind == K_LEAVE)
            add_all(m, left, p, NULL);
    }
    *nodes = to;
}

void nv_barriers(Map *m, NvNodes *nodes)
{
    for (int team = m->kernel->shared; team >= 0; team--) {
        Pending p = {0}, left = {0};
        m->of_team = team;
        place(m, nodes, &p, &left);
    }
}
