/* The stages of a recurrence: the strongly connected components of its states, where a state reads another's old or new
 * value, in an order in which every stage comes behind those it reads. */
#ifndef IR_REC_STAGE_H
#define IR_REC_STAGE_H

#include "ir/rec/rec.h"

typedef struct Stages {
    uint32_t n, nstate;
    uint32_t *of;  /* by state: its stage */
    bool **reads;  /* by stage, by op of the step: whether it needs a carried state of that stage */
} Stages;

Stages stages_of(const RecProg *p, Arena *a, RecId recur);

#endif
