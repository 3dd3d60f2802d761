/* rec.chosen: after rec.backward, `chosen` is its first operand, and `stop` its operand: they only steer derivatives.
 */
#include "ir/rec/pass.h"

static RecId drop(Rewrite *w, RecBuild *b, RecId old, RecOp op)
{
    (void)w;
    (void)old;
    if (op.kind == REC_MAP && (op.fun == FUN_CHOSEN || op.fun == FUN_STOP)) {
        op.fun = FUN_ID;
        op.nuse = 1;
    }
    return pass_push(b, op);
}

void rec_chosen(RecProg *p)
{
    Rewrite w = {.op = drop};
    rw_run(&w, p);
}
