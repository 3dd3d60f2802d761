/* Sizes: polynomials with integer coefficients over named dimensions, in a normal form.
 * A Dim is an index into a DimTab that holds each polynomial once, so two sizes are equal when their Dims are:
 * `n + 1` is `1 + n`, `2 * H` is `H + H`, and `K` is not `V`. */
#ifndef LANG_DIM_H
#define LANG_DIM_H

#include "lang/base.h"

typedef uint32_t Dim;    /* DIM_ZERO, DIM_ONE, DIM_HUGE are the same in every table */
typedef uint32_t DimSym; /* a named dimension, index into DimTab.sym */

/* DIM_HUGE is INT64_MAX, and stands for every size that int64 coefficients or products of DIM_MAXDEG dimensions cannot say;
 * whatever is computed from it is DIM_HUGE again, so nothing wraps. The frontend reports it where it is written. An array of 8 axes
 * may be there only if it is kept, and only if a form pays. */
enum { DIM_ZERO = 0, DIM_ONE = 1, DIM_HUGE = 2, DIM_MAXDEG = 10 };

typedef enum DimKind {
    DIM_USER,  /* H, D: an argument of the generated functions */
    DIM_TIME,  /* T: the length of a sequence, or the extent of a grid; comes with the data. Arrays have these first, then the batch */
    DIM_BATCH, /* B: how many sequences at once; never in a .rnn file */
    DIM_KEEP,  /* 1 when a backward pass will follow, else 0: buffers that only it needs shrink to one step */
    DIM_FLAG,  /* 0 or 1, a quotient that kern makes: whether something pays at these sizes */
    DIM_STRIP, /* in how many strips places are gone through, and how many places each has: quotients that kern makes */
    DIM_PART,  /* how much of a range the task or strip at hand has; only in kern, inside of it */
} DimKind;

typedef struct DimSymInfo {
    Str name;
    DimKind kind;
} DimSymInfo;

typedef struct DimTab DimTab;

DimTab *dim_tab_new(Arena *a);
DimSym dim_sym_new(DimTab *t, Str name, DimKind kind);
uint32_t dim_nsyms(const DimTab *t);
const DimSymInfo *dim_sym_info(const DimTab *t, DimSym s);
bool dim_find_sym(const DimTab *t, Str name, DimSym *out);

Dim dim_const(DimTab *t, int64_t value);
Dim dim_of(DimTab *t, DimSym s);
Dim dim_add(DimTab *t, Dim a, Dim b);
Dim dim_sub(DimTab *t, Dim a, Dim b);
Dim dim_mul(DimTab *t, Dim a, Dim b);
bool dim_div(DimTab *t, Dim a, Dim b, Dim *out); /* exact division by a single term; false if it is not exact */
Dim dim_subst(DimTab *t, Dim a, DimSym s, Dim by);

bool dim_is_const(const DimTab *t, Dim a, int64_t *value);
bool dim_is_sym(const DimTab *t, Dim a, DimSym *s);
bool dim_is_time(const DimTab *t, Dim a); /* made of symbols of kind DIM_TIME and numbers: T, T + 1, R + S */
bool dim_mentions(const DimTab *t, Dim a, DimSym s);
/* Value for given values of all symbols; false on overflow of int64 or a negative result. */
bool dim_eval(const DimTab *t, Dim a, const int64_t *sym_value, int64_t *out);
double dim_about(const DimTab *t, Dim a, double each); /* with every dimension `each`; INFINITY for DIM_HUGE */

/* The terms of a polynomial, for code generation: coef * sym[0] * sym[1] * ... (sym sorted, repeated for powers). */
typedef struct DimTerm {
    int64_t coef;
    uint32_t nsym;
    DimSym sym[DIM_MAXDEG];
} DimTerm;
bool dim_has_minus(const DimTab *t, Dim a); /* a term of it is negative */
uint32_t dim_nterms(const DimTab *t, Dim a);
const DimTerm *dim_term(const DimTab *t, Dim a, uint32_t i);
Dim dim_of_term(DimTab *t, Dim a, uint32_t i); /* the term alone */

void dim_print(Text *out, const DimTab *t, Dim a); /* "2*H + 1"; reads back with the language's own rules */
Str dim_str(Arena *a, const DimTab *t, Dim d);

#endif
