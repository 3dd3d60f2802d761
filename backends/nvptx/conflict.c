/* Whether a node must wait for another one: they touch an element, one of them writes it, and it may not be one and the same thread that does.
 *
 * Iterations of a chain have numbers, which say what thread they are of. Where one node has more loops than the other, those of the first iterations of
 * its outer loops are the numbers that the other has. So the threads are the same ones if iterations with different numbers touch different elements:
 * in whichever of the loops that both have they are in different rounds, and behind the first rounds of those that only one has. */
#include "backends/nvptx/barrier.h"

/* In shared memory; a thread writes its own places. */
static bool partial_results_conflict(const NvNode *a, const NvNode *b)
{
    return a->sum.n && b->sum.n && (a->kind == NV_COMBINE) != (b->kind == NV_COMBINE);
}

/* ---- one and the same thread ---- */

typedef struct Asked {
    const NvBoth *both;
    const KernExcept *except;
} Asked;

/* The loop of a level in which an access is, as far as its address tells. */
static const KStmt *loop_at(const NvNode *n, uint32_t level, const KIndex *at)
{
    for (uint32_t i = 0; i < n->axis.n; i++)
        for (uint32_t j = 0; j < at->n; j++)
            if (n->axis.p[i].level == level && at->term[j].var == n->axis.p[i].loop->loop.var)
                return n->axis.p[i].loop;
    return NULL;
}

static KernKnowns and_known(Map *m, const KernKnowns *these, KernKnown more)
{
    KernKnowns all = {0};
    for (uint32_t i = 0; i < these->n; i++)
        vec_push(m->a, &all, these->p[i]);
    vec_push(m->a, &all, more);
    return all;
}

/* Iterations of the node that has more loops which are not the first ones of those. */
static bool later_are_apart(const Asked *asked, const KIndex *x, const KIndex *y, bool of_a, uint32_t level)
{
    Map *m = asked->both->f->m;
    const KStmt *loop = of_a ? loop_at(asked->both->done->node, level, x) : loop_at(asked->both->next, level, y);
    KernExcept except = {asked->except->of_a, asked->except->of_b, .in_order = true};
    KernKnowns *of = of_a ? &except.of_a : &except.of_b;
    if (!loop)
        return false;
    *of = and_known(m, of, (KernKnown){loop, DIM_ONE, true});
    return kern_are_apart(m->meet, x, y, &except);
}

/* Two iterations with different numbers are in different rounds of one of their loops at least. */
static bool others_are_apart(const Asked *asked, const KIndex *x, const KIndex *y, uint32_t more_a, uint32_t more_b)
{
    Map *m = asked->both->f->m;
    const NvNode *a = asked->both->done->node, *b = asked->both->next;
    KernExcept except = {asked->except->of_a, asked->except->of_b, .in_order = true};
    for (uint32_t l = 0; l < more_a + more_b; l++) {
        const KStmt *loop = more_a ? loop_at(a, l, x) : loop_at(b, l, y);
        KernKnowns *of = more_a ? &except.of_a : &except.of_b;
        if (loop)
            *of = and_known(m, of, (KernKnown){loop, DIM_ZERO, false});
    }
    for (uint32_t l = 0; l + more_a < a->nlevel; l++) {
        Dim of_a = a->extent[l + more_a], of_b = b->extent[l + more_b];
        except.loop_a = loop_at(a, l + more_a, x), except.loop_b = loop_at(b, l + more_b, y);
        bool apart = (of_a == DIM_ONE && of_b == DIM_ONE) || (except.loop_a && except.loop_b && kern_are_apart(m->meet, x, y, &except));
        if (!apart || (l > 0 && of_a != of_b)) /* of the outermost, which there are in both */
            return false;
    }
    return true;
}

static bool have_one_owner(void *cx, const KIndex *x, const KIndex *y)
{
    const Asked *asked = cx;
    const NvNode *a = asked->both->done->node, *b = asked->both->next;
    uint32_t more_a = a->nlevel > b->nlevel ? a->nlevel - b->nlevel : 0, more_b = b->nlevel > a->nlevel ? b->nlevel - a->nlevel : 0;
    if (asked->both->f->m->of_team)
        return false;
    for (uint32_t l = 0; l < more_a + more_b; l++)
        if (!later_are_apart(asked, x, y, more_a > 0, l))
            return false;
    return others_are_apart(asked, x, y, more_a, more_b);
}

static bool is_of_first_thread(const Map *m, const NvNode *n)
{
    return n->kind == NV_ONE || (n->kind == NV_SHARE && n->count == DIM_ONE && !m->kernel->shared);
}

/* ---- memory ---- */

static bool conflict_in(const NvBoth *both, KBufId memory)
{
    Map *m = both->f->m;
    const NvNode *a = both->done->node, *b = both->next;
    const KStmt *round = both->done->round;
    bool share = a->kind == NV_SHARE && b->kind == NV_SHARE;
    if ((is_of_first_thread(m, a) && is_of_first_thread(m, b)) || (share && nv_same_owner(m, a, b, memory, round)))
        return false;
    KernExcept except = {nv_last_rounds(both), nv_first_rounds(both), .in_order = true, .excuse = share ? have_one_owner : NULL};
    except.cx = &(Asked){both, &except};
    return !kern_apart(m->meet, a->s, b->s, memory, round, &except);
}

/* What a block keeps is its own. */
static bool is_own(const Map *m, KBufId memory)
{
    return m->k->buf.p[memory].kind == K_BLOCK || m->own[memory];
}

static bool do_both_touch(const NvNode *a, const NvNode *b, KBufId memory)
{
    return a->touches[memory] && b->touches[memory] && ((a->touches[memory] | b->touches[memory]) & NV_WRITES);
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

bool nv_conflict(const NvBoth *both)
{
    const Map *m = both->f->m;
    if (!m->of_team && partial_results_conflict(both->done->node, both->next))
        return true;
    for (KBufId memory = 0; memory < m->k->buf.n; memory++)
        if (do_both_touch(both->done->node, both->next, memory) && !(m->of_team && is_own(m, memory)) && conflict_in(both, memory) &&
            !take_turns(m, memory, both->done->round))
            return true;
    return false;
}
