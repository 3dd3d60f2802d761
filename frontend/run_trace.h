/* What a form tells of a call, as a file. */
#ifndef FRONTEND_RUN_TRACE_H
#define FRONTEND_RUN_TRACE_H

#include "frontend/run_frame.h"

/* What Newton's form tells of one recurrence. */
typedef struct Solve {
    const Report *status, *iterations, *residual, *error;
    const Report *clamps, *contraction; /* NULL where states have no box; where elements mix */
    int64_t sequences, windows;
} Solve;

bool trace_write(const Frame *f, Str path, Str *error); /* after frame_compiled; false, and a message, if there is nothing */

#endif
