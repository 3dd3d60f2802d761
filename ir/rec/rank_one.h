/* States of a grid's step that are all made of one sum. With states S_j read at places p + by_j, new values
 *
 *   N_k(p) = out_k(p) * sum_j in_j(p) * S_j + own_k(p)
 *
 * have a transition of rank one: what comes in is added up, whatever goes out. Then the sum is all that a place has to
 * hand on, and the states are made of it where they are read. */
#ifndef IR_REC_RANK_ONE_H
#define IR_REC_RANK_ONE_H

#include "ir/rec/linear.h"
#include "ir/rec/stage.h"

typedef enum RankOneIs {
    RANK_ONE_NO_MATTER, /* fewer than two states, or no linear ones of one shape, or all are read at the same places and
                           are no multiples, or numbers in them are beyond what every precision has */
    RANK_ONE_FOUND,
    RANK_ONE_DIFFERS, /* rows are no multiples of each other: `at` takes `read` otherwise than the first new value does
                       */
    RANK_ONE_BOUND,   /* they are, but what else the new value `at` is made of cannot be made at another place */
    RANK_ONE_IN_ROWS, /* they are, but row by row, where nobody asked, the states are kept: the sum has factors */
    RANK_ONE_SMALL,   /* they are, but moving what that takes costs more than states of this size are worth */
} RankOneIs;

/* One new value: out * the sum + own. */
typedef struct RankRow {
    RecId value;
    Term out;  /* its number is in `sign`; no state */
    Terms own; /* no states */
} RankRow;

typedef struct RankOne {
    RankOneIs is;
    uint32_t nrow;
    RankRow *row;
    Terms sum; /* a term's number is in `sign`; what all rows add alike, next to their states, is in it too */
    RecId at, read;
    Dim moved; /* numbers at each place that are moved to where states are made */
} RankOne;

/* p as rec.cascade leaves it, with what is worth keeping outside of the step. */
RankOne rank_one_of(const RecProg *p, Arena *a, RecId recur, const Stages *s, uint32_t stage);

#endif
