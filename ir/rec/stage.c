/* Stages: see stage.h. There are few states, so closure of a matrix finds the components. */
#include "ir/rec/stage.h"

#include "ir/rec/pass.h"

typedef struct Graph {
    const RecProg *p;
    Arena *a;
    const RecOp *recur;
    uint32_t n;
    bool **needs; /* by state, by op: it needs the carried value of that state */
    bool *reach;  /* [n,n]: state i needs state j, directly or not */
} Graph;

static void close(Graph *g)
{
    for (uint32_t k = 0; k < g->n; k++)
        for (uint32_t i = 0; i < g->n; i++)
            for (uint32_t j = 0; j < g->n; j++)
                if (g->reach[i * g->n + k] && g->reach[k * g->n + j])
                    g->reach[i * g->n + j] = true;
}

static bool together(const Graph *g, uint32_t i, uint32_t j)
{
    return i == j || (g->reach[i * g->n + j] && g->reach[j * g->n + i]);
}

/* All that state i needs of other components is numbered already. */
static bool is_ready(const Graph *g, const uint32_t *of, uint32_t i)
{
    for (uint32_t j = 0; j < g->n; j++)
        if (g->reach[i * g->n + j] && !together(g, i, j) && of[j] == UINT32_MAX)
            return false;
    return true;
}

static void number(const Graph *g, Stages *s)
{
    for (uint32_t i = 0; i < g->n; i++)
        s->of[i] = UINT32_MAX;
    for (uint32_t i = 0; i < g->n;) {
        if (s->of[i] != UINT32_MAX || !is_ready(g, s->of, i)) {
            i++;
            continue;
        }
        for (uint32_t j = 0; j < g->n; j++)
            if (together(g, i, j))
                s->of[j] = s->n;
        s->n++;
        i = 0;
    }
}

static void join_needs(const Graph *g, Stages *s)
{
    s->reads = NEWN(g->a, bool *, s->n);
    for (uint32_t k = 0; k < s->n; k++)
        s->reads[k] = NEWN(g->a, bool, g->p->op.n + 1);
    for (uint32_t i = 0; i < g->n; i++)
        for (RecId v = 0; v < g->p->op.n; v++)
            s->reads[s->of[i]][v] |= g->needs[i][v];
}

Stages stages_of(const RecProg *p, Arena *a, RecId recur)
{
    const RecOp *op = rec_op(p, recur);
    const RecRegionInfo *body = &p->region.p[op->region];
    Graph g = {p, a, op, op->nstate, NEWN(a, bool *, op->nstate + 1), NEWN(a, bool, op->nstate * op->nstate + 1)};
    Stages s = {.nstate = op->nstate, .of = NEWN(a, uint32_t, op->nstate + 1)};
    for (uint32_t j = 0; j < g.n; j++) {
        g.needs[j] = NEWN(a, bool, p->op.n + 1);
        g.needs[j][body->arg.p[j]] = true;
        pass_made_of(p, op->region, g.needs[j]);
        for (uint32_t i = 0; i < g.n; i++)
            g.reach[i * g.n + j] = g.needs[j][body->result.p[i]];
    }
    close(&g);
    number(&g, &s);
    join_needs(&g, &s);
    return s;
}
