/* What a function of a program costs, as formulas in its sizes. */
#ifndef IR_REC_COST_H
#define IR_REC_COST_H

#include "ir/rec/rec.h"

typedef struct RecCost {
    Dim work;  /* operations on real numbers: additions, multiplications, functions; none for moving, choosing and comparing */
    Dim depth; /* steps of recurrences that follow one another */
} RecCost;

/* `iterations`: of Newton's method in a window; what it would have to run again is not counted. Other loops that stop by themselves
 * count as if they did not. */
RecCost rec_cost(const RecProg *p, RecFn fn, Dim iterations);

/* The bytes that a call moves at least: required arguments and results, once each, with `real` bytes for a real number. Of the backward
 * function: those of the whole of training, cotangents too. */
Dim rec_traffic(const RecProg *p, RecFn fn, int64_t real, int64_t narrow);

/* "B*T*H/16": numbers of whole chunks as what comes out where chunks divide what they are cut from. */
Str rec_cost_str(Arena *a, const RecProg *p, Dim d);

#endif
