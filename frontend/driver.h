/* What the verbs share: one Driver per command, files loaded into it, errors reported from it. */
#ifndef FRONTEND_DRIVER_H
#define FRONTEND_DRIVER_H

#include "frontend/compile.h"
#include "frontend/driver_tune.h"
#include "frontend/files.h"
#include "frontend/options.h"
#include "frontend/run_frame.h"

typedef VEC(Str) StrList;
typedef struct Progress Progress;

typedef struct Driver {
    Arena *arena;
    const Options *opt;
    Sources *sources;
    Diags *diags;
    Progress *progress;
    uint32_t store; /* --store */
    RecForm form; /* --form; without it what is done where nobody says a form */
    bool failed;  /* driver_fail was called */
    TuneFile tune; /* of `tune_of`; read when an entry's form is not said elsewhere */
    const Unit *tune_of;
    const Gpu *gpu; /* that code runs on; NULL: on this machine's CPU */
} Driver;

/* ---- cmd_*.c: one verb each; the result is the exit code ---- */
int cmd_check(Driver *d);
int cmd_explain(Driver *d);
int cmd_build(Driver *d);
int cmd_run(Driver *d);
int cmd_test(Driver *d);
int cmd_tune(Driver *d);
int cmd_bench(Driver *d);
int cmd_fmt(Driver *d);
int cmd_targets(Driver *d);
int cmd_version(Driver *d);

/* ---- driver.c ---- */
/* A driver of one file, with memory and diagnostics of its own; closing prints those, frees that, and gives the exit code. */
Driver driver_open(const Driver *all);
int driver_close(Driver *d);
/* "rnnc: error: ..." for what has no place in a source; gives EXIT_INPUT. */
int driver_fail(Driver *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints the diagnostics that were collected; the exit code. */
int driver_report(Driver *d);
/* NULL when the file, or one that it imports, has errors (which are in d->diags). */
Unit *driver_load(Driver *d, Str path);
/* False, and a message, when -D binds what no cell or model of the file has. */
bool driver_bindings(Driver *d, const Unit *u);
/* The entry that --entry names; without it the only one, or the one named as the file. False, and a message, if none. */
bool driver_entry(Driver *d, const Unit *u, Str path, uint32_t *entry);
bool driver_has_dim(const Unit *u, uint32_t entry, Str name); /* declared by the entry */
/* Every entry, or the one that --entry names if it is there. */
bool driver_wants(const Driver *d, const Unit *u, uint32_t entry);
RecProg *driver_elab(Driver *d, const Unit *u, uint32_t entry);
Precision driver_precision(const Options *o); /* --precision */
void driver_targets(const Driver *d, CpuOptions *cpu); /* --cpu, --precision, --prefix */
/* ---- driver_assemble.c ---- */
/* --emit=cubin, fatbin: the kernels' machine code for these architectures, the oldest first. False, and a message, without the programs
 * for it. */
bool driver_assemble(Driver *d, Str ptx, const StrList *arch, Str *code);
/* ---- driver_gpu.c ---- */
/* Opens the GPU that --target=cuda asks for. An exit code, and a message: EXIT_NO_GPU when there is none. */
int driver_gpu_open(Driver *d);
void driver_gpu_close(Driver *d);
bool driver_is_gpu(const Options *o);
StrList driver_archs(const Driver *d); /* --arch, the oldest first, each once; sm_80 when there is none */
bool driver_is_assembled(const Options *o); /* --emit=cubin, fatbin */ /* --target=ptx, --target=cuda */
FactorType driver_products(const Options *o); /* --products */
/* Whether an option is said that means nothing for the other target; a message. */
bool driver_is_for_other_target(Driver *d);
/* Code for where it is to run; see code_make. */
bool driver_code(const Driver *d, Arena *a, RecProg *raw, const CpuOptions *cpu, Code *out, Str *error);

bool driver_number(Driver *d, OptionId id, uint64_t *out); /* false, and a message, if the value is not a number */

/* ---- driver_form.c: the form that an entry's recurrences are run in ---- */
typedef enum FormFrom { FORM_FROM_NOBODY, FORM_FROM_OPTION, FORM_FROM_SCHEDULE, FORM_FROM_TUNE } FormFrom;
typedef struct FormChoice {
    RecForm form;
    FormFrom from;
    Span at; /* where it is said; of an option: no place */
    Span store_at; /* the same of form.store */
} FormChoice;
bool driver_read_form(Driver *d); /* reads --form and --store; false, and a message, if it is none */
/* --form, else the schedule, else FILE.tune, else d->form; --store, else, without --form, what the schedule says of it. False, with
 * diagnostics, when what says it is broken. */
bool driver_form(Driver *d, const Unit *u, uint32_t entry, FormChoice *out);
/* Runs the passes up to the one that knows whether a recurrence has the form: for driver_has_form. */
void driver_try_form(Driver *d, RecProg *raw, RecForm form);
/* After that pass: false, and a message or a diagnostic, when no recurrence has what is said. */
bool driver_has_form(Driver *d, const RecProg *p, const FormChoice *choice);
Str driver_line(const Driver *d, const RecProg *p, Span at); /* "line 3", and of which file where it is not the entry's own */
Str driver_form_missing(Driver *d, const RecProg *p); /* the reason and its line */
Str driver_store_missing(Driver *d, const RecProg *p); /* the reason */
Str driver_form_origin(Driver *d, const FormChoice *choice); /* "--form", "the schedule in line 3", "gla.rnn.tune, line 4" */

/* ---- driver_progress.c: one line on a terminal, for what takes longer than a second ---- */
double seconds_now(void);
Progress *progress_begin(Arena *a); /* nothing is shown where standard error is no terminal */
/* What is being done from now on, until the next call or progress_end; the line also says for how long. */
void progress_show(Progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Whether somebody would see the next progress_show: for calls that would come too often. */
bool progress_is_due(Progress *p);
/* Takes the line away: before anything else is printed, and at the end. */
void progress_end(Progress *p);

#endif
