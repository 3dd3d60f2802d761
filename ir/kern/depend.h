/* What depends on what: for the passes that move statements and run loops together. */
#ifndef IR_KERN_DEPEND_H
#define IR_KERN_DEPEND_H

#include "ir/kern/kern.h"

enum { DEPEND_MAXLOOP = 16 };

/* A load or a store, and the loops around it, from outside to inside. */
typedef struct DependAccess {
    KBufId buf;
    const KIndex *at;
    bool write;
    const KStmt *loop[DEPEND_MAXLOOP];
    uint32_t nloop;
} DependAccess;
typedef VEC(DependAccess) DependList;

/* The loads and stores of a loop and all inside it. False when there is something else that touches memory. */
bool depend_list(Arena *a, const KStmt *loop, DependList *to);
bool depend_overlap(const KernProg *p, KBufId a, KBufId b);              /* may the two lie in the same memory */
bool depend_writes(const KernProg *p, const KStmt *s, KBufId buf); /* does s, or anything inside it, write there */
bool depend_conflict(const KernProg *p, const KStmt *a, const KStmt *b); /* does the order of the two matter */
/* Whether an element that an iteration of a's outermost loop and one of b's both touch is touched by the same
 * iteration. */
bool depend_same_iteration(KernProg *p, const DependAccess *a, const DependAccess *b);
bool depend_differ(KernProg *p, const KIndex *a, const KIndex *b); /* two elements of one array, wherever variables have one value */
/* What is known of sizes where something is done. */
typedef struct DependSizes {
    bool *positive; /* by DimSym: 1 or more; others may be 0 */
    VEC(Dim) sum;   /* of several terms, 1 or more */
} DependSizes;
bool depend_is_less(const KernProg *p, const DependSizes *known, Dim a, Dim b); /* surely, whatever else the sizes are */
/* Fills KVarInfo.turns, which depend_same_iteration and depend_differ look at. */
void depend_find_turns(KernProg *p, Arena *scratch);

#endif
