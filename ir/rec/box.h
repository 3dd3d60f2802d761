/* Boxes that a step does not leave: |new state| <= max(|old state|, least), or <= least alone, whatever goes in. */
#ifndef IR_REC_BOX_H
#define IR_REC_BOX_H

#include "ir/rec/pass.h"

typedef struct Box {
    bool keeps;   /* the old state counts */
    double least;
} Box;

bool box_of(const RecProg *p, Arena *a, const RecOp *recur, uint32_t state, Box *out); /* false: there is none */

#endif
