/* rec.parallel: a recurrence without states has no order: its step becomes work on whole arrays. Inner ones go first. One
 * whose step has a recurrence of its own stays as it is. */
#include "ir/rec/pass.h"

static bool is_parallel(const Rewrite *w, const RecOp *op)
{
    const RecRegionInfo *body = &w->old.region.p[op->region];
    for (uint32_t i = 0; i < body->op.n; i++) {
        const RecOp *inner = rec_op(&w->old, body->op.p[i]);
        if (inner->kind == REC_RECUR || inner->kind == REC_HISTORY || inner->type.rank >= MAXRANK || inner->nit >= MAXIT)
            return false;
    }
    return op->nstate == 0 && !op->grid && !op->until;
}

static void parallel_recur(Rewrite *w, RecBuild *b, RecId old)
{
    const RecOp *op = rec_op(&w->old, old);
    if (!is_parallel(w, op)) {
        rw_recur(w, b, old);
        return;
    }
    const RecRegionInfo *body = &w->old.region.p[op->region];
    Lift l = {.w = w, .b = b, .recur = old, .length = op->length, .made = NEWN(w->p->arena, Lifted, w->old.op.n)};
    for (uint32_t i = 0; i < w->old.op.n; i++)
        l.made[i].v = REC_NONE;
    RecId *result = NEWN(w->p->arena, RecId, op->nout + 1);
    for (uint32_t i = 0; i < op->nout; i++)
        result[i] = lift_placed(&l, body->result.p[i]);
    w->result[old] = result;
    w->changed = true;
}

void rec_parallel(RecProg *p)
{
    Rewrite w;
    do {
        w = (Rewrite){.recur = parallel_recur};
        rw_run(&w, p);
    } while (w.changed);
}
