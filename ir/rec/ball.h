/* How far a value can be off: a bound on |v(x') - v(x)| for all x' that are at most a radius away from x, rounding included. */
#ifndef IR_REC_BALL_H
#define IR_REC_BALL_H

#include "ir/rec/pass.h"

typedef struct Ball {
    RecBuild b;
    RecId n;         /* ops from here on are exact */
    RecId *radius;   /* by op: REC_NONE for an exact one; of an int or a bool: whether it may be another one */
    bool *known;
    double unit;     /* each operation rounds by this, relative to its result */
    bool same;       /* of equal arguments equal results: rounding counts only where something is off */
    bool boundless;  /* out: something has no bound here */
    RecId *jump;     /* by op: bools: where it is made of what may jump inside the ball; REC_NONE: nowhere. For what ball_of was asked */
} Ball;

Ball ball_begin(RecBuild b, double unit);
bool ball_has(Fun f);              /* whether there is a rule for it */
bool ball_rules(const RecOp *op);  /* whether there is one for such an op */
void ball_seed(Ball *x, RecId v, RecId radius);
RecId ball_of(Ball *x, RecId v); /* REC_NONE: exact */

#endif
