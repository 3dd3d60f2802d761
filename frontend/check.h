/* What `rnnc test` does to one entry: draws, the free tests, the file's own tests, and how results are compared. */
#ifndef FRONTEND_CHECK_H
#define FRONTEND_CHECK_H

#include "frontend/driver.h"
#include "frontend/run_load.h"

typedef struct Tally {
    uint32_t passed, failed, skipped;
} Tally;

enum { NPRECISION = PREC_COUNT };

typedef struct Checker {
    Driver *d;
    Arena *arena;       /* of the file */
    const Unit *unit;
    Str path;           /* of the file */
    Str name;           /* of the entry */
    RecForm form;       /* of the entry */
    RecProg *reference;
    Code code[NPRECISION][CPU_NLEVEL]; /* not there: not asked for, or not for this machine; of a GPU: at CPU_BASELINE */
    uint32_t entry; /* what `reference` and `code` were made from */
    BindList bind;
    Narrow narrow;      /* what is drawn is exact in it: code has no other precision then */
    uint64_t random;
    uint32_t rejected;  /* draws, in the test that is running */
    Tally *tally;
} Checker;

/* ---- check_report.c ---- */
void check_pass(Checker *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void check_fail(Checker *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void check_skip(Checker *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
Str code_name(Arena *a, const Code *code); /* "f32 avx2", "f32 sm_80" */

/* ---- check_draw.c: random calls ---- */
typedef struct Draw {
    int64_t T, B;
    bool lengths, resets, starts, fixed_lengths; /* fixed_lengths: every sequence keeps at least one place, if there is one */
    const int32_t *offset; /* [B+1]: a packed batch; NULL */
} Draw;
/* Sizes, arguments and cotangents; values are exact in single precision. Reference results are in f->out, with gradients.
 * NULL, and why, when no draw gives finite results. */
Frame *draw_call(Checker *c, Arena *scratch, const Draw *how, Str *why);
/* Arguments for the sizes that f has; from `narrow` 1 on with less and less that a cell may not be able to take. */
enum { DRAW_NARROWEST = 5 };
void draw_arguments(Checker *c, Frame *f, const Draw *how, uint32_t narrow);
bool frame_is_number(const Frame *f); /* no result is NaN */
double draw_uniform(Checker *c); /* -1 to 1 */
Frame *frame_copy(const Frame *f);   /* with arrays of its own */
Str draw_str(Arena *a, const Frame *f); /* "T = 7, B = 3, H = 2" */

/* ---- check_compare.c ---- */
/* Largest difference relative to the array's largest element (or to `floor`, if that is larger). */
double difference(const double *a, const double *b, int64_t n, double floor);
/* Compares all results that both have. On failure `what` names the worst. */
typedef struct Tolerance {
    double output, gradient, floor;
    double stored; /* more, for arrays of 16 bits */
} Tolerance;
double tolerance_of(Tolerance tol, const RecProg *p, uint32_t out); /* of one result */
Tolerance tolerance_of_two(const Code *code); /* between two results, each rounded when it was stored */
bool results_agree(const Frame *expected, const Frame *found, Tolerance tol, Str *what);
bool results_same(const Frame *a, const Frame *b, Str *what); /* to the last bit */
Tolerance precision_tolerance(Precision p);
Tolerance code_tolerance(const Code *code); /* that of its precision, and what rounding factors adds */
bool is_unstable(Checker *c, const Frame *expected, const Frame *found, const Code *code); /* check_free.c */

/* ---- check_free.c, check_stream.c, check_gradient.c: the free tests ---- */
void check_compiled(Checker *c);
void check_gradients(Checker *c);
void check_streaming(Checker *c);
void check_beyond(Checker *c);
void check_alone(Checker *c);
void check_packed(Checker *c); /* check_packed.c */
/* Packed batches to draw, with empty sequences; how many. */
const Draw *packed_draws(uint32_t *n);

void check_operator(Checker *c, const Fn *fn); /* check_operator.c: a function that is declared associative */

/* ---- check_spoil.c ---- */
bool can_spoil(const RecProg *p); /* there is something that is read up to a length only */
void spoil_beyond(Frame *f);      /* garbage at every place that is not read: NaN, an int that no table has, a reset */

/* ---- check_data.c: the file's own tests ---- */
void check_data(Checker *c, uint32_t entry, const Test *test);
/* The sizes that a test binds, after those of the command line. */
bool check_bindings(Checker *c, const Test *test, BindList *out);

/* ---- check_code.c ---- */
/* The entry's program up to where it is known whether it has the form: for driver_has_form. NULL when the file has errors. */
RecProg *checker_try_form(Checker *c, uint32_t entry, const BindList *bind);
/* Makes `reference` and `code`, unless they are there already. False when the file has errors. */
bool checker_compile(Checker *c, uint32_t entry, const BindList *bind);
void checker_free(Checker *c);

#endif
