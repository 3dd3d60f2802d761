/* What the files of `rnnc bench` share. */
#ifndef FRONTEND_BENCH_H
#define FRONTEND_BENCH_H

#include <jansson.h>

#include "frontend/trial.h"

/* ---- bench_peak.c: what one core of this machine can do ---- */
typedef struct Peak {
    double flops;     /* multiplications and additions a second, in registers */
    double bandwidth; /* bytes a second, read and written, of arrays that no cache holds */
} Peak;
bool peak_measure(const CpuOptions *cpu, Peak *out, Str *error);

/* ---- what was measured; [0] forward, [1] training ---- */
enum { BENCH_MAXPOINTS = 4 };
typedef struct BenchForm {
    double median[2], spread[2];
    double ahead[2][BENCH_MAXPOINTS]; /* by number of places: the sequential form's time over its own */
} BenchForm;

typedef struct Bench {
    Trial t;
    Peak peak;
    const json_t *old; /* --compare; NULL for none */
    json_t *entries;   /* --json; NULL for a table */
    bool trains;
    double work[2], bytes[2]; /* of the sequential form: the same for all; 0 on graphs, whose plans do not tell the work */
    uint32_t npoint;
    int64_t places[BENCH_MAXPOINTS]; /* numbers of places that were measured, growing */
    BenchForm form[TRIAL_MAXFORMS];
} Bench;

/* The fewest places that were measured from which on the form is faster than the sequential one; -1: not with the most. */
int64_t bench_faster_from(const Bench *b, uint32_t form, bool training);

/* ---- bench_table.c, bench_json.c ---- */
void bench_table(const Bench *b);
json_t *bench_json(const Bench *b);
json_t *bench_document(const Bench *b, json_t *entries); /* takes `entries` */

/* ---- bench_compare.c ---- */
/* False, and a message, when the file is no such document. */
bool bench_read(Arena *a, Str path, json_t **out, Str *error);
/* Now over then; 0 where the old measurements have no such form of this entry, or other sizes, precision or CPU level. */
double bench_against(const Bench *b, uint32_t form, bool training);

#endif
