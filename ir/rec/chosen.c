/* rec.chosen: after rec.backward, `chosen` is its first operand (as a real), and `stop` its operand: they only steer
 * derivatives. */
#include "ir/rec/pass.h"

static RecId drop(Rewrite *w, RecBuild *b, RecId old, RecOp op)
{
    (void)old;
    if (op.kind == REC_MAP && (op.fun == FUN_CHOSEN || op.fun == FUN_STOP)) {
        bool same = rec_type(w->p, op.use[0].v)->dt == op.type.dt;
        op.fun = same ? FUN_ID : FUN_REAL;
        op.nuse = 1;
    }
    return pass_push(b, op);
}

void rec_chosen(RecProg *p)
{
    Rewrite w = {.op = drop};
    rw_run(&w, p);
}
