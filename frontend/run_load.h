/* Arrays from files into a Frame, and results back. */
#ifndef FRONTEND_RUN_LOAD_H
#define FRONTEND_RUN_LOAD_H

#include "frontend/options.h"
#include "frontend/run_frame.h"

typedef struct Load {
    Frame *frame;
    const Arrays *from;
    bool grad;      /* cotangents are wanted too */
    bool draw;      /* parameters with a distribution may be missing */
    bool single;    /* whole numbers for real arguments must be exact in single precision */
    bool *used;     /* by array of `from` */
    Text errors;    /* one line each */
} Load;

/* Finds every argument's array, checks it, and finds all sizes. `size`: what -D says, of which only T and B
 * are still open. */
bool load_arguments(Load *l, const Binding *size, uint32_t nsize);
/* run_graph.c: for a cell over a graph, the plan's arrays beside those of the file, in `to`, if that has `edges`. False if it has
 * none, or bad ones. */
bool load_plan(Load *l, Arrays *to);
/* Element type of a result. */
Array load_result(const Frame *f, uint32_t out, bool f64);
bool load_may_hold(DType dt, Elem e);

#endif
