/* Associative operators that the user declared, and states that they update.
 *
 * A call in a step, join(old states; what is new), is a RECUR marked `is_operator`: one place, n states (its left side) and
 * n sequences of one element (its right side); its region is the operator, on which no pass may work that knows what its
 * operands are. So a scan can run the same operations with two operands that are compositions of steps. */
#ifndef IR_REC_OPERATOR_H
#define IR_REC_OPERATOR_H

#include "ir/rec/pass.h"

/* That all new states of a stage are results of one call, with the old states on its left in order; where a sequence has
 * ended they may stay, and behind a cut be values that read no state. */
typedef struct Update {
    RecId call;      /* the RECUR */
    uint32_t *state; /* by operand: the state's number */
    bool batched;    /* axis 0 of all of them is that of the sequences */
} Update;

bool operator_any(const RecProg *p);
bool operator_inside(const RecProg *p, RecRegion r); /* a call stands in the region itself */
/* Whether the n states of a stage are updated so. `reads`: by op, whether it reads one of them. */
bool operator_update(const RecProg *p, Arena *a, RecId recur, const bool *reads, const uint32_t *state, uint32_t n, Update *out);
/* What new states are: of these, or the branches of one condition. */
typedef enum UpdateLeaf { LEAF_NONE, LEAF_OLD, LEAF_NEW, LEAF_FREE } UpdateLeaf;
UpdateLeaf operator_leaf(const RecProg *p, RecId recur, const bool *reads, const Update *u, const RecUse *value);

/* The element of a sequence of one place, along this axis. */
RecId operator_element(RecBuild *b, RecId seq, uint8_t along);
/* The operands of a call, elements taken; value(cx, v) stands for v. */
RecId *operator_arguments(RecBuild *b, const RecProg *old, RecId call, PassValue *value, void *cx);
/* The operations of a call with these operands, left ones first; outside(cx, v): what it sees of the values around it. */
void operator_copy(RecBuild *b, const RecProg *old, RecId call, const RecId *arg, PassValue *outside, void *cx, RecId *result);

bool operator_written_out(Rewrite *w, RecBuild *b, RecId old); /* false if old is no call */
void operator_recur(Rewrite *w, RecBuild *b, RecId old);       /* as a Rewrite's `recur`: calls written out */

#endif
