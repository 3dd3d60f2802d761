/* Where the threads of a block wait for each other: in front of a node that reads or writes memory which another one, since
 * the last barrier, wrote or, if this one writes, read; in the same round of a loop or in the one before. Two nodes need
 * no barrier if each element is touched by one and the same thread in both.
 *
 * For a team of blocks that is done twice: first for memory that several blocks touch, with barriers of the team, then for what each block has for
 * itself, with barriers of the block where none of those is. */
#include "backends/nvptx/barrier.h"

static NvSizes times_in(Map *m, const NvSizes *times, Dim rounds)
{
    NvSizes all = {0};
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

static void add_pending(Map *m, NvPending *to, NvDone d)
{
    for (uint32_t i = 0; i < to->node.n; i++)
        if (to->node.p[i].node == d.node && to->node.p[i].round == d.round)
            return;
    vec_push(m->a, &to->node, d);
}

/* What was done, as it is seen in another round of a loop, or behind a loop, if that is not NULL. */
static NvDone later(Map *m, const NvDone *d, const KStmt *round, NvNode *left)
{
    NvDone out = {d->node, round, times_in(m, &d->times, left ? left->s->loop.extent : DIM_ONE), copy_of(m, &d->left), {0}};
    for (uint32_t i = 0; i < d->passed.n; i++)
        vec_push(m->a, &out.passed, d->passed.p[i]);
    if (left)
        vec_push(m->a, &out.left, left);
    return out;
}

static void add_all(Map *m, NvPending *to, const NvPending *from, const KStmt *round, NvNode *left)
{
    for (uint32_t i = 0; i < from->node.n; i++)
        add_pending(m, to, later(m, &from->node.p[i], round, left));
}

/* ---- conflicts ---- */

static const uint8_t *touches_of(Map *m, const NvNode *n)
{
    uint8_t *touches = NEWN(m->a, uint8_t, m->k->buf.n);
    for (KBufId memory = 0; memory < m->k->buf.n && n->s; memory++)
        touches[memory] = (uint8_t)nv_touches(m->k, n->s, memory);
    return touches;
}

static bool conflicts(NvFront *f, const NvNode *n)
{
    NvSizes times = nv_times(f->m, n);
    for (uint32_t i = 0; i < f->loop.n; i++)
        vec_push(f->m->a, &times.of, f->loop.p[i]->s->loop.extent);
    for (uint32_t i = 0; i < f->p->node.n; i++) {
        const NvBoth both = {f, &f->p->node.p[i], n, &times};
        if (!nv_has_passed(&both) && nv_conflict(&both))
            return true;
    }
    return false;
}

/* Whether something in front of the first barrier conflicts. */
static bool first_conflicts(NvFront *f, const NvNodes *nodes);

static bool first_round_conflicts(NvFront *f, NvNode *loop)
{
    uint32_t passed = f->passed.n;
    vec_push(f->m->a, &f->loop, loop);
    bool is = first_conflicts(f, &loop->body);
    f->loop.n--;
    f->passed.n = passed;
    return is;
}

static bool first_conflicts(NvFront *f, const NvNodes *nodes)
{
    for (uint32_t i = 0; i < nodes->n && nodes->p[i]->kind != NV_BARRIER; i++) {
        NvNode *n = nodes->p[i];
        NvSizes sizes = {0};
        if (n->kind == NV_STEPS ? first_round_conflicts(f, n) : conflicts(f, n))
            return true;
        if (n->kind == NV_STEPS && nv_waits(f->m, n, &sizes))
            vec_push(f->m->a, &f->passed, sizes);
    }
    return false;
}

/* ---- placing ---- */

static void wait(Map *m, NvNodes *to, NvPending *p)
{
    NvNode *barrier = nv_node(m, NV_BARRIER, NULL);
    barrier->team = m->of_team;
    vec_push(m->a, to, barrier);
    p->node.n = 0;
}

/* What has done something was in front of a barrier of this loop, or else of nothing that is done where one of the sizes is not 0. */
static void pass(Map *m, NvPending *p, const NvNode *loop)
{
    NvSizes sizes = {0};
    uint32_t n = 0;
    if (!nv_waits(m, loop, &sizes))
        return;
    for (uint32_t i = 0; i < p->node.n; i++)
        if (!nv_is_zero_with(m, &p->node.p[i].times, &sizes)) {
            vec_push(m->a, &p->node.p[i].passed, sizes);
            p->node.p[n++] = p->node.p[i];
        }
    p->node.n = n;
}

static void place(Map *m, NvNodes *nodes, NvPending *p, NvPending *left);

/* What a round leaves is in front of the next one. inside: the body with the barriers that are needed in one round alone */
static NvPending place_round(Map *m, NvNode *loop, NvPending *left, NvNodes *inside)
{
    NvPending round = {0}, next = {0};
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
static NvPending place_rounds(Map *m, NvNode *loop, NvPending *left)
{
    NvNodes none = copy_of(m, &loop->body), inside, again = {0};
    NvPending next = place_round(m, loop, left, &inside);
    if (loop->body.n == inside.n || inside.n == none.n)
        return next;
    for (uint32_t i = 0; i < loop->body.n; i++)
        if (!has(&inside, loop->body.p[i]) || has(&none, loop->body.p[i]))
            vec_push(m->a, &again, loop->body.p[i]);
    loop->body = again;
    return place_round(m, loop, left, &inside);
}

static void place_steps(Map *m, NvNodes *to, NvNode *n, NvPending *p)
{
    NvPending left = {0}, next = place_rounds(m, n, &left);
    if (first_round_conflicts(&(NvFront){.m = m, .p = p}, n))
        wait(m, to, p);
    pass(m, p, n);
    add_all(m, p, &next, NULL, n);
    add_all(m, p, &left, NULL, n);
    vec_push(m->a, to, n);
}

/* left: what is pending where the loop around ends early */
static void place(Map *m, NvNodes *nodes, NvPending *p, NvPending *left)
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
            if (conflicts(&(NvFront){.m = m, .p = p}, n))
                wait(m, &to, p);
            add_pending(m, p, (NvDone){.node = n, .times = nv_times(m, n)});
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
        NvPending p = {0}, left = {0};
        m->of_team = team;
        m->meet = kern_apart_new(own, m->k, &m->kernel->root, &m->pieces, team ? m->kernel->team.first : K_NONE);
        place(m, nodes, &p, &left);
    }
    arena_free(own);
}
