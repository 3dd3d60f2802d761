/* Inside of ir/kern: addresses as apart.c compares them. */
#ifndef IR_KERN_ADDRESS_H
#define IR_KERN_ADDRESS_H

#include "ir/kern/depend.h"

typedef struct Place {
    const KStmt *s;  /* that defines a variable; a loop defines its own */
    const KStmt *in; /* the loop around that */
    bool twice;      /* it stands in several loops, each of which has its own */
    uint32_t scope;  /* the last question in which it was inside of what is asked about */
} Place;

struct KernApart {
    Arena *a;
    KernProg *p;
    const KernPieces *pieces;
    Place *at; /* by KVar */
    KVar varies;
    uint32_t scope;
    Dim keep;
    const KStmt *round, *loop_a, *loop_b;
    KBufId memory;
    DependSizes sizes; /* where two accesses are done */
};

typedef struct Term {
    KVar var;
    Dim stride, most; /* it is 0..most, */
    bool known;       /* or that is not known */
    bool natural;     /* then: it is not below 0 */
} Term;

enum { SUM_MAXTERM = 2 * K_MAXTERM }; /* a place in a loop that is cut may be two */
typedef struct Sum {
    Dim base;
    uint32_t n;
    Term term[SUM_MAXTERM];
} Sum;

void address_begin(KernApart *x, const KStmt *a, const KStmt *b); /* a question: what is inside of a or b, or of their rounds, is not the same for both */
Sum address_sum(KernApart *x, const KIndex *at, const KernKnowns *knowns);
void address_take_out(Sum *from, uint32_t term);
const KStmt *address_loop(const KernApart *x, KVar v);       /* whose variable that is, or NULL */
bool address_is_outside(const KernApart *x, KVar v);         /* one value, for both */
void address_leave_out(const KernApart *x, Sum *a, Sum *b); /* what both have alike */
void address_know_sizes(KernApart *x, const KIndex *a, const KIndex *b); /* where both are done */

#endif
