/* How far a value can be off: a bound on |v(x') - v(x)| for all x' that are at most a radius away from x, rounding included. */
#ifndef IR_REC_BALL_H
#define IR_REC_BALL_H

#include "ir/rec/pass.h"

typedef struct Ball {
    RecBuild b;
    RecId n;         /* ops from here on are exact */
    RecId *radius;   /* by op: REC_NONE for an exact one; of a bool: whether it may be the other one */
    bool *known;
    double unit;     /* each operation rounds by this, relative to its result */
    bool boundless;  /* out: something has no bound here */
} Ball;

Ball ball_begin(RecBuild b, double unit);
void ball_seed(Ball *x, RecId v, RecId radius);
RecId ball_of(Ball *x, RecId v); /* REC_NONE: exact */

#endif
