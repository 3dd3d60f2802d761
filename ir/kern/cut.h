/* Cutting a statement along an axis, a range 0..E, for kern.tasks and kern.strips: whether that can be, and doing it. */
#ifndef IR_KERN_CUT_H
#define IR_KERN_CUT_H

#include "ir/kern/kern.h"

/* A loop around the place that is looked at. */
typedef struct Around {
    KVar var;
    Dim extent; /* its values are below that; DIM_ZERO: not known */
    Dim run;    /* of the cut loop: how many iterations one place of the axis has; DIM_ZERO for other loops */
} Around;

typedef struct Cut {
    KernProg *p;
    Arena *own; /* for what an attempt needs */
    Dim axis;
    VEC(Around) around;
    bool *written;        /* by buffer */
    Dim *stride;          /* by buffer: from one place to the next; DIM_ZERO: not known yet */
    uint32_t grain;       /* that products ask for */
    uint32_t short_grain; /* that loops ask for, if one place of the axis is a single element in all of them */
    bool long_places;     /* it is more in one of them */
    KVar first; /* of the piece; and how long it is: for cut() */
    DimSym part;
} Cut;

Cut cut_new(KernProg *p, Arena *own, Dim axis);
bool cut_is_independent(const KStmt *s); /* a loop that can be cut as it stands, if it has memory of its own */
/* Whether what is written at one place of the axis is read and written at no other. */
bool cut_loop_ok(Cut *c, KStmt *s);  /* a loop with independent iterations, along its range */
bool cut_steps_ok(Cut *c, KStmt *s); /* a serial loop: everything inside of it is cut */
/* Likewise, for tasks that wait for each other: everything that is written stands in a loop that is cut. */
bool cut_work_ok(Cut *c, KStmt *s);
bool cut_own_ok(Cut *c, KStmt *s, KBufId memory); /* and whether one memory is, all the same, as cut_steps_ok has it */
uint32_t cut_grain(const Cut *c);    /* a piece is a multiple of it */
typedef enum CutAlong {
    CUT_LOOP,  /* a loop, along its range */
    CUT_ROWS,  /* a product */
    CUT_DEPTH, /* a product, along the axis that it sums over */
} CutAlong;
/* Whether each element in memory that c->written names belongs to one place of the axis, of which s, cut so, has `run` of its rounds
 * at each; for several statements one after the other, the same places in all. */
bool cut_places_ok(Cut *c, KStmt *s, CutAlong along, Dim run);
void cut(Cut *c, KStmt *s);          /* s becomes what a piece of the axis needs; for statements that are ok */

#endif
