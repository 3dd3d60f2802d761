/* What the files of rec.scan share. */
#ifndef IR_REC_SCAN_H
#define IR_REC_SCAN_H

#include "ir/rec/chunk.h"

typedef struct Scan {
    Rewrite *w;
    RecBuild *b;
    const Structure *s;
    const RecOp *old;
    Dim pieces, length, rest; /* length: places of a piece */
    RecId *known;             /* by old op: for all places, or REC_NONE */
    RecId *final;             /* by state: where the next piece begins */
    RecId *result;            /* by per-step result: for all places */
} Scan;

/* What is known of the step, as the step of a recurrence over the places of all pieces sees it. */
RecId *scan_known(Scan *x, RecId recur);
/* scan_table.c: the first two sweeps of a stage that is a table; gives the states in which the pieces begin, [pieces,
 * ...]. */
RecId scan_table(Scan *x, const StageInfo *stage);
/* scan_operator.c: the same of a stage that an associative operator updates; `begin`: by state of the stage. */
void scan_operator(Scan *x, const StageInfo *stage, RecId *begin);

#endif
