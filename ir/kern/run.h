/* The interpreter in pieces, for those who run statements their own way: tests that look at every access, or that share
 * a loop's iterations out. */
#ifndef IR_KERN_RUN_H
#define IR_KERN_RUN_H

#include "ir/kern/kern.h"

typedef struct KernRun {
    const KernProg *p;
    int64_t *dim_value; /* tasks set theirs */
    double *const *buf;
    uint64_t seed;
    double *var;
    int64_t *size; /* of buffers */
    bool in_range, left; /* left: the innermost loop is to end */
    const int64_t *only; /* by KVar: the one iteration that a loop has, counted from 0; -1, or NULL: all */
    void (*touch)(void *cx, KBufId b, int64_t at, bool write); /* is told of each access; NULL: nobody is */
    void *cx;
} KernRun;

KernRun kern_run_open(Arena *a, const KernProg *p, const int64_t *dim_value, double *const *buf, uint64_t seed);
void kern_run_block(KernRun *r, const KBlock *b);
int64_t kern_run_dim(const KernRun *r, Dim d);
double kern_run_neutral(RecReduce red, DType dt);
double kern_run_reduce(RecReduce red, double a, double b);

#endif
