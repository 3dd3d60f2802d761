/* rec.newton: what its files share. */
#ifndef IR_REC_NEWTON_H
#define IR_REC_NEWTON_H

#include "ir/rec/chunk.h"

enum { NEWTON_ITERATIONS = 16 }; /* at most, in a window */

/* Whether each element of the states depends on the elements at its own place alone, by functions that have one: then the error has a
 * bound. */
bool newton_by_element(const RecProg *p, Arena *a, const RecOp *recur);
/* Whether there are rules for the bound of all that new states are made of. */
bool newton_has_rules(const RecProg *p, Arena *a, const RecOp *recur);

bool *newton_reading(const RecProg *p, Arena *a, const RecOp *recur); /* by op: it is made of carried states */
bool *newton_feeding(const RecProg *p, Arena *a, const RecOp *recur); /* by op: new states are made of it */

enum { NO_AXIS = MAXRANK };
uint8_t newton_batch_axis(const RecProg *p, const Type *t); /* the axis of sequences, or NO_AXIS */
RecId newton_by_sequence(RecBuild *b, RecReduce red, RecId v); /* over all other axes: [size, ..., B, ...] to [B] */
RecId newton_at_all(RecBuild *b, RecId row, const Type *like); /* [B] at all elements of such a type */
RecId newton_everywhere(RecBuild *b, RecId v, RecId like); /* what has the last axes of `like`, or none, over all of them */

/* ---- newton_dear.c: what a derivative costs ---- */

typedef struct NewtonWay {
    bool channels;            /* each element of the states sees itself alone */
    RecDerivative derivative; /* that the iterations take; not AUTO */
    uint32_t pieces;          /* of the affine recurrence of an iteration; 0: it runs place by place */
    bool bound;               /* the error of what comes out has a bound that is computed; else only equal bits count */
} NewtonWay;

/* What `said` says, unless that is AUTO, or all the same. */
NewtonWay newton_way(const RecProg *p, Arena *a, const Structure *s, RecForm said);

typedef struct Newton {
    Rewrite *w;
    RecBuild *b;
    const Structure *s;
    const RecOp *old;
    Dim n, size, head;     /* windows, their places, places before them */
    RecId *operand;
    RecId *seq;            /* whole */
    RecId *state;          /* as they are between the parts */
    uint32_t nmore, *more; /* per-step results that are wanted besides: by number */
    RecId *first, *main;   /* what the head, and all windows, give: see newton_results */
    RecId bad;             /* [B] */
    RecId finished;        /* [windows, B], or REC_NONE: what had to be made by the plain step */
    RecId rounds, left, off; /* [windows, B] */
    RecId steep, clamps;   /* [windows, B], or REC_NONE */
    RecId *guess, *given;  /* by state, at all places: the caller's guess, and whether there is one; NULL: cannot be */
    NewtonWay way;
} Newton;

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
    RecId *error;    /* by state: the bound of its error where the window begins, then where it ends; NULL if it has none */
    RecId bad;       /* [B]: sequences that are given up; window_check adds to them */
    const RecId *patience; /* two rows [B]: for how many windows a sequence is not tried, how many it was not before; NULL: all are tried */
    RecId rounds;    /* [B], from window_solve: iterations until the sequence had settled */
    RecId clamps;    /* [B], from window_solve: guesses held at the border of the box, over all iterations; REC_NONE if there is no box */
    RecId left;      /* [B], from window_check: the largest |h[t] - f(h[t-1], x[t])| */
    RecId off;       /* [B], from window_check: the bound of its error, relative to its largest state */
    RecId steep;     /* [B], from window_check: the largest sum of |derivative| of one new element by all old ones; REC_NONE if !channels */
    bool channels;   /* each element of the states sees itself alone */
    RecDerivative derivative; /* that the iterations take; not AUTO */
    bool stepped;    /* the states are those of plain steps from `enter` */
    double unit;
    double damping;
    uint32_t pieces; /* of the affine recurrences over the window's places; 0: they run place by place */
    double tolerance; /* how far off the states may be, relative to the largest of a window */
    uint32_t rounds_max;
} Window;

/* The values of the old step at all places, where the states are `state`; of `known` old ops besides. */
Chunk window_values(const Window *x, RecBuild *b, const RecId *state);
RecId *window_shifted(const Window *x, RecBuild *b, const RecId *state); /* by state: as each place finds it */

RecId window_leaving(const Window *x, RecBuild *b, RecId state); /* of what is at all places, what the last one that runs has */

void window_step(const Window *x, const RecBuild *b, const RecId *found, const RecId *seq); /* the old step, at one place */
/* By state: what its new value in the step that was made last changes by when what it finds, `found`, changes by `change`. */
RecId *window_tangent(const Window *x, const RecBuild *b, const RecId *found, const RecId *change);

/* [n, n]: how state i's new value at each place changes with state j's old one there; REC_NONE: not at all. */
RecId *newton_derivative(const Window *x, RecBuild *b, const RecId *found, const RecId *value);

void window_solve(Window *x); /* newton_solve.c: iterates from x->state on */
/* newton_bound.c: gives up the sequences whose states are not certain to be those of the plain recurrence, to the tolerance; if
 * the error has no bound, in each bit. */
void window_check(Window *x);

/* ---- newton_finish.c: the plain step ---- */
/* What a part of the places gives: the states that leave it, the new states of all places, and `more`. */
uint32_t newton_results(const Newton *k);
void newton_plain(const Newton *k, RecBuild *b, const RecId *state, const RecId *seq, Dim length, RecId *result); /* of the old recurrence over `length` places */
/* Makes again what x, which was `begin` before it was solved, gives of the sequences that window_check has given up; keeps those given
 * up that are too far off even so. Gives which they were, [B]. */
RecId window_finish(const Newton *k, Window *x, const Window *begin, RecId *made);
void window_skip(Window *x); /* gives up the sequences that are not tried */
void window_patience(const Window *x, RecId finished, RecId *next); /* the rows as the next window finds them */
void newton_again(const Newton *k, RecId *value); /* all places of the sequences that are given up */

#endif
