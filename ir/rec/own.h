/* The part of a derivative that stays in place: how each element of a value changes with the element of a tensor at its own place. */
#ifndef IR_REC_OWN_H
#define IR_REC_OWN_H

#include "ir/rec/pass.h"

typedef struct Own {
    RecBuild b;              /* where the new ops go */
    RecId n;                 /* ops from here on are not looked at */
    RecId seed;              /* the tensor */
    RecId *of;               /* by op: the part, over the op's own axes; REC_NONE: none is known */
    bool *known;             /* by op: `of` is final */
    uint8_t (*axis)[MAXRANK]; /* by op that has a part: along which of its axes each axis of the tensor runs */
} Own;

Own own_begin(RecBuild b, RecId seed); /* all ops of the program so far */
RecId own_of(Own *x, RecId v);         /* of a value of the tensor's own type; REC_NONE: nothing that is known */

#endif
