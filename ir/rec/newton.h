/* rec.newton: what its files share. */
#ifndef IR_REC_NEWTON_H
#define IR_REC_NEWTON_H

#include "ir/rec/chunk.h"

enum { NEWTON_ITERATIONS = 16 }; /* at most, in a window */

/* Whether each element of the states depends on the elements at its own place alone: then the error has a bound. */
bool newton_by_element(const RecProg *p, Arena *a, const RecOp *recur);

enum { NO_AXIS = MAXRANK };
uint8_t newton_batch_axis(const RecProg *p, const Type *t); /* the axis of sequences, or NO_AXIS */
RecId newton_by_sequence(RecBuild *b, RecReduce red, RecId v); /* over all other axes: [size, ..., B, ...] to [B] */

/* A window of places: all of its places at once, in the region of a step over windows. */
typedef struct Window {
    Rewrite *w;
    const Structure *s;
    const RecOp *old;
    const RecRegionInfo *body; /* of the old step */
    RecBuild *b;
    Dim size;        /* places */
    uint32_t n;      /* states */
    RecId *enter;    /* by state: as the window finds it */
    RecId *seq;      /* by sequence: its part, [size, ...] */
    RecId *guess;    /* by state: the caller's guess of its new values, [size, ...]; NULL where there can be none */
    const RecId *given; /* by state: whether the caller has one */
    RecId *state;    /* by state: its new values at all places, [size, ...] */
    RecId *error;    /* by state: the bound of its error where the window begins, then where it ends; NULL if !channels */
    RecId bad;       /* [B]: sequences that are given up; window_check adds to them */
    RecId rounds;    /* [B], from window_solve: iterations until the sequence had settled */
    RecId off;       /* [B], from window_check: the bound of its error, relative to its largest state */
    RecId steep;     /* [B], from window_check: the largest sum of |derivative| of one new element by all old ones; REC_NONE if !channels */
    bool channels;   /* each element of the states sees itself alone: the error has a bound */
    double unit;
    double tolerance; /* how far off the states may be, relative to the largest of a window */
    uint32_t rounds_max;
} Window;

/* The values of the old step at all places, where the states are `state`; of `known` old ops besides. */
Chunk window_values(const Window *x, RecBuild *b, const RecId *state);
RecId *window_shifted(const Window *x, RecBuild *b, const RecId *state); /* by state: as each place finds it */

/* [n, n]: how state i's new value at each place changes with state j's old one there; REC_NONE: not at all. */
RecId *newton_derivative(const Window *x, RecBuild *b, const RecId *found, const RecId *value);
void window_solve(Window *x); /* newton_solve.c: iterates from x->state on */
/* newton_bound.c: gives up the sequences whose states are not certain to be those of the plain recurrence, to the tolerance; if
 * !channels, in each bit. */
void window_check(Window *x);

#endif
