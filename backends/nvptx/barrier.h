/* Inside of backends/nvptx: what the files that place barriers share. */
#ifndef BACKENDS_NVPTX_BARRIER_H
#define BACKENDS_NVPTX_BARRIER_H

#include "backends/nvptx/plan.h"

typedef struct NvSizes {
    VEC(Dim) of;
} NvSizes;

/* What was done since the last barrier; `round`: in another round of that loop, or NULL. */
typedef struct NvDone {
    NvNode *node;
    const KStmt *round;
    NvSizes times; /* how often, in all loops that are left behind: the product */
    NvNodes left;  /* those loops, the outermost last */
    VEC(NvSizes) passed; /* of each loop behind it: one of them is 0 if there was no barrier */
} NvDone;

typedef struct NvPending {
    VEC(NvDone) node;
} NvPending;

/* What stands in front of the first barrier of a loop. */
typedef struct NvFront {
    Map *m;
    const NvPending *p;
    VEC(NvSizes) passed; /* as in NvDone: before */
    NvNodes loop;        /* around */
} NvFront;

/* What was done, and another node; how often that is done. */
typedef struct NvBoth {
    NvFront *f;
    const NvDone *done;
    const NvNode *next;
    const NvSizes *times;
} NvBoth;

/* rounds.c: loops that may have no round, or of which it is known in which one something is done */
NvSizes nv_times(Map *m, const NvNode *n);
bool nv_waits(Map *m, const NvNode *loop, NvSizes *sizes); /* whether each round comes to a barrier, if those sizes are not 0: as few as can be */
bool nv_is_zero_with(Map *m, const NvSizes *times, const NvSizes *sizes); /* whichever of the sizes is 0 */
bool nv_has_passed(const NvBoth *both);                    /* there is a barrier between the two wherever both do something */
KernKnowns nv_first_rounds(const NvBoth *both); /* variables of loops around the second one, of which it can only be in the first round */
KernKnowns nv_last_rounds(const NvBoth *both);  /* around the first one, which can only be in the last round */

bool nv_conflict(const NvBoth *both); /* conflict.c: they touch an element, and not in one and the same thread */

#endif
