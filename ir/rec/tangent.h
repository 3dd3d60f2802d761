/* Forward mode over ops that stand already: what a value changes by when some others change, to first order. */
#ifndef IR_REC_TANGENT_H
#define IR_REC_TANGENT_H

#include "ir/rec/pass.h"

typedef struct Tangent {
    RecBuild b;  /* where the new ops go */
    RecId n;     /* ops from here on are no longer looked at: constants to it */
    RecId *of;   /* by op: its tangent, REC_NONE: none */
    bool *known; /* by op: `of` is final */
} Tangent;

Tangent tangent_begin(RecBuild b); /* all ops of the program so far */
void tangent_seed(Tangent *t, RecId v, RecId tangent);
RecId tangent_of(Tangent *t, RecId v); /* REC_NONE: it does not change */

#endif
