/* The derivative columns of fun.def as rec ops. */
#ifndef IR_REC_DERIVATIVE_H
#define IR_REC_DERIVATIVE_H

#include "ir/rec/rec.h"

/* What the rules' names stand for, over the axes of the function's result. */
typedef struct Derivative {
    RecBuild *b;
    Fun fun;
    uint8_t rank;
    Dim dim[MAXRANK];
    RecUse d;
    void *cx;
    RecUse (*value)(void *cx, char name); /* of y, a, b, c; called only for names that the rule mentions */
} Derivative;

/* The cotangent of argument `arg`, over all of the result's axes; REC_NONE when the table has none. */
RecId derivative_of(Derivative *r, uint32_t arg);
/* What elementwise op v, whose operands stand, changes by when its operand `arg` does by `change`, over all of v's axes; REC_NONE: nothing. */
RecId derivative_along(RecBuild *b, RecId v, uint32_t arg, RecId change);
bool derivative_mentions(Fun f, uint32_t arg, char name); /* d, y, a, b or c, as a name of its own */

#endif
