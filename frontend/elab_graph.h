/* Inside the elaborator: a graph that cells run over, and one such run. */
#ifndef FRONTEND_ELAB_GRAPH_H
#define FRONTEND_ELAB_GRAPH_H

#include "frontend/elab_internal.h"

/* The sizes and arrays of a plan (backends/graph_plan.h). Arrays are REC_NONE, and sizes DIM_ZERO, until they are needed. */
typedef struct GraphPlan {
    Elab *e;
    Span at;
    Dim nodes, edges, links;            /* how many nodes, edges and pairs; the latter where there are arrays of them */
    Dim blocks, width, slots, outs, pairs;
    bool grows;                         /* edges may come from nodes that were there before the call */
    Dim olds, known;                    /* where it grows: such edges in a block, and such nodes */
    Dim into;                           /* edges that lead into a block, of both kinds */
    RecId node, slot, head, tail;
    RecId edge, came, out, from;
    RecId pair, pair_in, pair_out;
} GraphPlan;

/* A cell that runs over it. */
typedef struct Graph {
    Elab *e;
    Inst *inst;
    const Cell *cell;
    GraphPlan *plan;
    Val *input;           /* by input: at all nodes, edges or pairs */
    bool masked;          /* only nodes where this is true are there */
    RecId mask;
    RecId recur;          /* over the blocks */
    States state;         /* those of what runs inside of the cell too */
    VEC(RecId) seq;
    uint32_t *first_part; /* by input: its number among the sequences */
    uint32_t nresult;
} Graph;

/* ---- elab_graph.c ---- */
int graph_axis_of(Val v, const IndexVar *var); /* -1: it has none */
bool graph_is_elsewhere(const Inst *inst, Val v, const GraphPlace *here); /* whether it is one of edges, where these are none or others */
Val graph_only_there(Elab *e, const GraphPlace *at, Val v, Span span);    /* where(there, v, 0) */

/* ---- elab_graph_run.c ---- */
GraphPlan *graph_plan_new(Elab *e, Span at);
void graph_plan_arrays(GraphPlan *p, bool edges);  /* those of edges, too */
Val *graph_run(Graph *g);                          /* its outputs, at all nodes or edges; NULL after an error */
Val graph_before(Graph *g, Str name, Type type, Span at); /* an argument: what is at nodes that were there before the call */
void graph_bind_pairs(Graph *g);

bool graph_has_edge_arrays(const Cell *cell); /* an input, or a state that is put out, has a value for each edge */

#endif
