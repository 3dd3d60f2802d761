/* What `tune` and `bench` share: one entry of a file, compiled in several forms, called at the sizes that are asked for, and timed. */
#ifndef FRONTEND_TRIAL_H
#define FRONTEND_TRIAL_H

#include "frontend/check.h"
#include "frontend/run_time.h"

enum { TRIAL_MAXFORMS = 12 };

typedef struct Candidate {
    const char *text; /* "chunk:16" */
    RecForm form;
    Str lacks; /* why the entry does not have it; empty when it has */
    Code code;
    Timed timed;
} Candidate;

typedef struct Trial {
    Driver *d;    /* of the file */
    Arena *arena; /* of the entry */
    const Unit *unit;
    uint32_t entry;
    Str name;
    CpuOptions cpu; /* one level */
    Frame *frame;
    uint32_t n;
    Candidate candidate[TRIAL_MAXFORMS]; /* the first is `sequential`, which everything has */
} Trial;

/* The highest CPU level of those asked for that runs here; false, and a message, if none does. */
bool trial_level(Driver *d, CpuOptions *cpu);
/* Whether -D and --sizes name sizes that there are in some entry that is wanted; false, and a message, if not. */
bool trial_sizes(Driver *d, const Unit *u);

/* The entry's program in each of these forms. `newton_too`: also where there is another parallel form. */
bool trial_begin(Trial *t, const char *const *form, uint32_t n, bool newton_too, Str *error);
void trial_end(Trial *t);
RecProg *trial_raw(const Trial *t);
/* A call at the sizes that are asked for, `places` of them where that is not negative. */
bool trial_frame(const Trial *t, int64_t places, Frame **out, Str *error);
/* Times all forms on that call, `seconds` for each. */
bool trial_measure(Trial *t, const Frame *f, double seconds, Str *error);

/* The row of a form that does not exist, once, whatever its sizes. */
void trial_put_lacking(const Trial *t, uint32_t i, int width);
Str trial_sizes_text(const Trial *t); /* "T=4096,B=1,H=64": open sizes, then those that -D binds */
Str trial_target(const Trial *t);     /* "f32 avx512", "f32 sm_90" */
Str trial_machine(const Trial *t);    /* "f32 avx512, AMD EPYC" */

#endif
