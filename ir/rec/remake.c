/* rec.remake: elementwise work of the forward function that only the backward function reads is done there, where what it is made of is there
 * anyway: arguments, and what is kept in any case. So one array less is written, kept and read again. */
#include "ir/rec/pass.h"

typedef struct Remake {
    const RecProg *p;
    bool *here;   /* by op: the backward function reads it, what moves there not counted */
    bool *stays;  /* another function reads it, or returns it */
    bool *moves;
} Remake;

static void read_by(Remake *x, RecId v, RecRegion reader)
{
    bool here = pass_root(x->p, reader) == REC_BACKWARD;
    x->here[v] |= here;
    x->stays[v] |= !here;
}

/* What a step returns is read in it. */
static void find_readers(Remake *x)
{
    const RecProg *p = x->p;
    memset(x->here, 0, p->op.n);
    memset(x->stays, 0, p->op.n);
    for (uint32_t i = 0; i < p->out.n; i++)
        if (p->out.p[i].value != REC_NONE)
            read_by(x, p->out.p[i].value, REC_FORWARD);
    for (RecRegion r = 0; r < p->region.n; r++)
        for (uint32_t i = 0; i < p->region.p[r].result.n; i++)
            read_by(x, p->region.p[r].result.p[i], r);
    for (RecId v = 0; v < p->op.n; v++)
        for (uint32_t i = 0; i < p->op.p[v].nuse; i++)
            if (!x->moves[v])
                read_by(x, p->op.p[v].use[i].v, p->op.p[v].home);
}

/* Whether the backward function has it without anything being kept for that. */
static bool is_there(const Remake *x, RecId v)
{
    const RecOp *op = rec_op(x->p, v);
    return x->moves[v] || op->type.rank == 0 || op->kind == REC_ARG || op->kind == REC_IOTA || (x->here[v] && x->stays[v]);
}

static bool can_move(const Remake *x, RecId v)
{
    const RecOp *op = rec_op(x->p, v);
    bool can = !x->stays[v] && op->home == REC_FORWARD && op->type.rank > 0 && (op->kind == REC_MAP || op->kind == REC_SLICE || op->kind == REC_RESHAPE);
    for (uint32_t i = 0; i < op->nuse; i++)
        can = can && is_there(x, op->use[i].v);
    return can;
}

/* All that could move, without what cannot because others stay, until nothing changes. */
static void choose(Remake *x)
{
    bool again = true;
    memset(x->moves, true, x->p->op.n);
    while (again) {
        again = false;
        find_readers(x);
        for (RecId v = 0; v < x->p->op.n; v++)
            if (x->moves[v] && !can_move(x, v)) {
                x->moves[v] = false;
                again = true;
            }
    }
}

void rec_remake(RecProg *p)
{
    Arena *own = arena_new();
    Remake x = {p, NEWN(own, bool, p->op.n + 1), NEWN(own, bool, p->op.n + 1), NEWN(own, bool, p->op.n + 1)};
    choose(&x);
    for (RecId v = 0; v < p->op.n; v++)
        if (x.moves[v])
            rec_op(p, v)->home = REC_BACKWARD;
    rec_compact(p);
    arena_free(own);
}
