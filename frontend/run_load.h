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
    Narrow narrow;  /* as which they are then stored */
    bool *used;     /* by array of `from` */
    Text errors;    /* one line each */
} Load;

/* Finds every argument's array, checks it, and finds all sizes. `size`: what -D says, of which only T and B
 * are still open. */
bool load_arguments(Load *l, const Binding *size, uint32_t nsize);
/* run_packed.c: takes `offsets`, which says B; looks at it again when T is known. */
void load_offsets(Load *l);
void load_check_offsets(Load *l);
/* run_graph.c: for a cell over a graph, the plan's arrays beside those of the file, in `to`, and the sizes that the edges say. False
 * if it is none, or after an error. */
bool load_plan(Load *l, Arrays *to);
/* run_fault.c: what is wrong with edges that rnn_plan_sizes refused as RNN_INDEX or RNN_GRAPH. waits: by node, for how many edges
 * it still waits when no more nodes can run. */
struct rnn_graph;
Str graph_fault(Arena *a, const struct rnn_graph *g, const int32_t *waits); /* waits: of each node, whether it never ran */
/* Element type of a result. */
Array load_result(const Frame *f, uint32_t out, Precision p);
bool load_may_hold(DType dt, Elem e);

#endif
