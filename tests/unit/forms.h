/* One call of an entry, run in several forms: what tests of forms share. */
#ifndef TESTS_UNIT_FORMS_H
#define TESTS_UNIT_FORMS_H

#include <criterion/criterion.h>

#include "frontend/check.h"

typedef struct Forms {
    Driver d;
    Options options;
    Unit *unit;
    uint32_t entry;
    RecProg *reference;
    uint64_t random;
    int64_t scale; /* of the entry's own dimensions; 0: 1 */
    CpuLevel level; /* of the code: AVX2 if it is here, unless a test says something else */
} Forms;

static inline double forms_uniform(Forms *t)
{
    uint64_t z = t->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (double)(float)((double)((z ^ z >> 31) >> 11) * 0x1p-52 - 1);
}

/* A whole number is 0 or 1: an element of every axis. */
static inline double forms_value(Forms *t, DType dt)
{
    double u = forms_uniform(t);
    return dt == DT_REAL ? u : u > 0;
}

static inline void forms_open(Forms *t, const char *file, const char *entry)
{
    Arena *a = arena_new();
    *t = (Forms){.d = {.arena = a, .sources = sources_new(a)}, .random = 1, .level = cpu_level_here(CPU_AVX2) ? CPU_AVX2 : CPU_BASELINE};
    t->d.opt = &t->options;
    t->d.diags = diags_new(a, t->d.sources);
    t->unit = driver_load(&t->d, str_fmt(a, "%s/%s", RNNC_SOURCE_DIR, file));
    cr_assert(t->unit && unit_find_entry(t->unit, str_of(entry), &t->entry), "%s in %s", entry, file);
    t->reference = driver_elab(&t->d, t->unit, t->entry);
    cr_assert_not_null(t->reference);
    compile_reference(t->reference);
}

static inline void forms_close(Forms *t)
{
    arena_free(t->d.arena);
}

static inline const char *form_name(Forms *t, RecForm form)
{
    static const char *const words[] = {[REC_FORM_SEQUENTIAL] = "sequential", [REC_FORM_CHUNK] = "chunk", [REC_FORM_SCAN] = "scan",
                                        [REC_FORM_CONVOLUTION] = "convolution", [REC_FORM_NEWTON] = "newton",
                                        [REC_FORM_WAVEFRONT] = "wavefront", [REC_FORM_CASCADE] = "cascade", [REC_FORM_AUTO] = "by itself"};
    const char *word = words[form.kind];
    return str_c(t->d.arena, form.size ? str_fmt(t->d.arena, "%s:%u", word, form.size) : str_of(word));
}

/* The entry's own code in a form that it must have. */
static inline Code forms_compile(Forms *t, RecForm form, Precision precision)
{
    CpuOptions cpu;
    Code code = {0};
    Str error = STR("");
    driver_targets(&t->d, &cpu);
    memset(cpu.level, 0, sizeof cpu.level);
    cpu.level[t->level] = true;
    cpu.precision = precision;
    t->d.form = form;
    RecProg *raw = driver_elab(&t->d, t->unit, t->entry);
    cr_assert_not_null(raw);
    bool ok = code_make(t->d.arena, raw, &cpu, &code, &error);
    cr_assert(ok, "%s: %s", form_name(t, form), str_c(t->d.arena, error));
    cr_assert_eq(raw->form_missing, WHY_NONE, "%s: %s", form_name(t, form), rec_why_text(raw->form_missing));
    return code;
}

/* Sizes of a call: the entry's own dimensions are primes. */
static inline Frame *forms_frame(Forms *t, Arena *a, int64_t T, int64_t B)
{
    static const int64_t prime[] = {2, 5, 3, 7};
    const RecProg *p = t->reference;
    Frame *f = frame_new(a, p);
    Str error;
    for (DimSym s = 0; s < dim_nsyms(p->dims); s++)
        f->dim[s] = -1;
    for (uint32_t i = 0, n = 0; i < p->open.n; i++)
        f->dim[p->open.p[i]] = p->open.p[i] == p->time ? T : prime[n++ % 4] * (t->scale ? t->scale : 1);
    f->dim[p->time] = T;
    f->dim[p->batch] = B;
    f->dim[p->keep] = 1;
    cr_assert(dims_complete(f, &error), "%s", str_c(a, error));
    return f;
}

/* An argument's array in a call, with how many elements it has. */
static inline double *forms_argument(const Frame *f, uint32_t arg, int64_t *n)
{
    const RecArg *x = &f->prog->arg.p[arg];
    *n = frame_count(f, &x->type, x->batched);
    if (!f->in[arg])
        f->in[arg] = frame_array(f, &x->type, x->batched);
    return f->in[arg];
}

/* Draws inputs and parameters within `scale`, starts within `start`; neither lengths nor resets. */
static inline Frame *forms_fill(Forms *t, Frame *f, double scale, double start)
{
    for (uint32_t i = 0; i < f->prog->arg.n; i++) {
        RecRole role = f->prog->arg.p[i].role;
        int64_t n;
        if (role == ROLE_LENGTH || role == ROLE_RESET || role == ROLE_COTANGENT)
            continue;
        double *x = forms_argument(f, i, &n);
        for (int64_t k = 0; k < n; k++)
            x[k] = (role == ROLE_START ? start : scale) * forms_uniform(t);
    }
    return f;
}

#endif
