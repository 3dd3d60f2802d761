/* rec.store: training keeps the states of every N-th place instead of all places, and makes the steps between again
 * when it comes back to them (Chen et al. 2016, "Training deep nets with sublinear memory cost": N near the root of T
 * keeps least).
 *
 * A recurrence becomes one over parts of N places, marked `chunk`, whose step is the old recurrence over the places of
 * a part: what rec.backward then does for chunks is what is wanted here. Recurrences that are chunks already are let
 * alone. */
#include "ir/rec/chunk.h"

/* A recurrence of a function, not of a step, whose states training would keep. */
static bool keeps_states(const RecProg *p, const RecOp *recur)
{
    return recur->home < REC_NFN && !recur->chunk && !recur->until && !pass_looks_back(p, recur->region);
}

static void one_part(const Cut *k, RecBuild *b, RecId *entering, const RecId *seq, RecId *result)
{
    RecId recur = rw_recur_over(k->w, b, k->recur, entering, seq, k->size);
    for (uint32_t i = 0; i < k->old->nstate + k->old->nout; i++)
        result[i] = rec_proj(b, recur, i);
}

static void store_recur(Rewrite *w, RecBuild *b, RecId old)
{
    const RecOp *op = rec_op(&w->old, old);
    if (!keeps_states(&w->old, op)) {
        rw_recur(w, b, old);
        return;
    }
    cut_recur(w, b, old, op->length, w->p->form.store, one_part, NULL);
    w->changed = true;
}

void rec_store(RecProg *p)
{
    if (p->form.store < 2)
        return;
    p->store_missing = rec_form_steps(p->form) ? WHY_NONE : WHY_SIDE_BY_SIDE;
    if (p->store_missing != WHY_NONE)
        return;
    Rewrite w = {.recur = store_recur};
    rw_run(&w, p);
    if (!w.changed)
        p->store_missing = rec_has_role(p, ROLE_PLAN) ? WHY_GRAPH : WHY_NO_RECURRENCE;
}
