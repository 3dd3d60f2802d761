/* --check: whether all results are finite, and if not, where it began. */
#ifndef FRONTEND_RUN_FINITE_H
#define FRONTEND_RUN_FINITE_H

#include "frontend/driver.h"
#include "frontend/run_frame.h"

/* False, and a message, when a result that was computed is not finite. single: it was computed in single precision. */
bool check_finite(Driver *d, const Frame *f, bool single);

/* run_origin.c: the first state or output, in the order of evaluation, that is not finite: "`upper.h` is nan at step 3 of sequence
 * 1". Runs the evaluator. Empty when there is none: in its own arithmetic all may be finite, or it began outside of all cells. */
Str frame_origin(const Frame *f, bool single);
/* Where element i of an array is: " at step 3 of sequence 1", " in sequence 1", " at element [0, 2]"; empty for a single number. */
Str frame_where(const Frame *f, const Type *type, bool batched, int64_t i);
Str value_str(Arena *a, double x); /* "nan", "-inf", "0.5" */

#endif
