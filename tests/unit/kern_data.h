/* Entries of the library as rec programs, and one call of a kern program: what tests of kern and of what is made of it share. */
#ifndef TESTS_UNIT_KERN_DATA_H
#define TESTS_UNIT_KERN_DATA_H

#include <criterion/criterion.h>
#include <math.h>

#include "frontend/elab.h"
#include "ir/kern/kern.h"

typedef struct Entry {
    const char *file, *name;
} Entry;

static inline RecProg *make_entry(Arena *a, const void *from)
{
    const Entry *entry = from;
    Sources *s = sources_new(a);
    Diags *diags = diags_new(a, s);
    Unit *u = unit_load(a, s, diags, str_of(entry->file));
    uint32_t i;
    cr_assert(u && unit_find_entry(u, str_of(entry->name), &i), "%s %s", entry->file, entry->name);
    RecProg *p = elab_entry(a, u, i, NULL, 0, diags);
    cr_assert(p, "%s %s has errors", entry->file, entry->name);
    return p;
}

typedef struct Case {
    int64_t T, B;
    bool keep, chance; /* chance: leaves optional arguments and outputs out */
    uint64_t seed;
    int64_t more; /* by how much sizes of the user's are larger */
    int64_t none; /* one of the user's sizes is 0, this number says which; 0: none */
    int nan;      /* among real numbers: 1, from the beginning on; 2, in the second half of a sequence */
} Case;

/* Arrays of one call, filled by chance. */
typedef struct Data {
    Arena *a;
    const KernProg *k;
    int64_t *dim;     /* dimensions, then flags */
    double **buf;     /* by KBufId */
    RecArray *arg;    /* by argument */
    double **before;  /* by KBufId: an output as it was */
    const char *what;
} Data;

static inline Str kern_text_of(Arena *a, const KernProg *k)
{
    Text t = {.arena = a};
    kern_print(&t, k);
    return text_str(&t);
}

static inline void kern_verified(const KernProg *k)
{
    Text why = {.arena = k->arena};
    cr_assert(kern_verify(k, &why), "%s\n%s", text_str(&why).p, kern_text_of(k->arena, k).p);
}

static inline int64_t size_of_buf(const Data *d, KBufId b)
{
    int64_t n;
    cr_assert(dim_eval(d->k->dims, d->k->buf.p[b].size, d->dim, &n), "%s: size of b%u", d->what, b);
    return n;
}

static inline int64_t dim_value(const KernProg *k, DimSym s, const Case *c)
{
    switch (dim_sym_info(k->dims, s)->kind) {
    case DIM_TIME: return c->seed % 7 == 3 && str_is(dim_sym_info(k->dims, s)->name, "slots") ? 0 : c->T; /* sometimes no edges lead in */
    case DIM_BATCH: return c->B;
    case DIM_KEEP: return c->keep;
    case DIM_STRIP: return 1 + (int64_t)(c->seed % 3); /* several strips at small sizes too; any length is right */
    case DIM_FLAG: return (int64_t)(c->seed & 1); /* what pays is done at small sizes too */
    case DIM_USER:
    case DIM_PART: break;
    }
    return c->none && (int64_t)s % 8 == c->none - 1 ? 0 : 2 + s % 3 + c->more;
}

static inline bool is_over_time(const KernProg *k, const KBuf *b)
{
    for (DimSym s = 0; s < dim_nsyms(k->dims); s++)
        if (dim_sym_info(k->dims, s)->kind == DIM_TIME && dim_mentions(k->dims, b->size, s))
            return true;
    return false;
}

static inline bool is_nan(const Data *d, const KBuf *b, const Case *c, int64_t i, int64_t n)
{
    return i % 5 == 1 && (c->nan == 1 || (c->nan == 2 && 2 * i > n && b->kind == K_ARG && is_over_time(d->k, b)));
}

/* Ints are small enough to index anything here; lengths lie in 0..T. */
static inline double draw(const Data *d, const KBuf *b, const Case *c, int64_t i, int64_t n)
{
    double u = rec_random_value(c->seed, b->slot + (b->kind == K_OUT ? 1000 : 0), (uint64_t)i);
    bool length = b->kind == K_ARG && d->k->arg.p[b->slot].role == ROLE_LENGTH;
    switch (b->dt) {
    case DT_REAL: return is_nan(d, b, c, i, n) ? (double)NAN : u - 0.5;
    case DT_INT: return floor(u * (length ? (double)c->T + 1 : 2));
    case DT_BOOL: return u < 0.3;
    case DT_COMPLEX: break;
    }
    return 0;
}

static inline bool left_out(const Data *d, const KBuf *b, const Case *c)
{
    if (!c->chance || b->kind == K_WORK || (b->kind == K_ARG && !d->k->arg.p[b->slot].optional))
        return false;
    return rec_random_value(c->seed, 99, b->slot) < 0.5;
}

/* How many chunks there are, for instance; sizes that divide exactly are as independent as others. */
static inline void set_rounded_quotients(const Data *d)
{
    for (uint32_t i = 0; i < d->k->derived.n; i++) {
        int64_t num, den;
        DimSym s = d->k->derived.p[i].sym;
        if (!d->k->derived.p[i].floor || dim_sym_info(d->k->dims, s)->kind == DIM_FLAG || dim_sym_info(d->k->dims, s)->kind == DIM_STRIP)
            continue;
        cr_assert(dim_eval(d->k->dims, d->k->derived.p[i].num, d->dim, &num) && dim_eval(d->k->dims, d->k->derived.p[i].den, d->dim, &den));
        d->dim[s] = num / den;
    }
}

static inline Data data_new(Arena *a, const KernProg *k, const Case *c, const char *what)
{
    uint32_t nsym = dim_nsyms(k->dims);
    Data d = {.a = a, .k = k, .what = what};
    d.dim = NEWN(a, int64_t, nsym + k->arg.n);
    d.buf = NEWN(a, double *, k->buf.n);
    d.before = NEWN(a, double *, k->buf.n);
    d.arg = NEWN(a, RecArray, k->arg.n);
    for (DimSym s = 0; s < nsym; s++)
        d.dim[s] = dim_value(k, s, c);
    set_rounded_quotients(&d);
    for (KBufId b = 0; b < k->buf.n; b++) {
        const KBuf *x = &k->buf.p[b];
        if (left_out(&d, x, c) || x->shares != K_NONE || x->kind == K_BLOCK)
            continue;
        int64_t n = size_of_buf(&d, b);
        d.buf[b] = NEWN(a, double, n + 1);
        d.before[b] = NEWN(a, double, n + 1);
        for (int64_t i = 0; i < n; i++)
            d.before[b][i] = d.buf[b][i] = x->kind == K_WORK ? (double)NAN : draw(&d, x, c, i, n);
        if (x->kind == K_ARG) {
            d.arg[x->slot].data = d.buf[b];
            d.dim[nsym + x->slot] = 1;
        }
    }
    for (KBufId b = 0; b < k->buf.n; b++)
        if (k->buf.p[b].shares != K_NONE)
            d.buf[b] = d.buf[k->buf.p[b].shares];
    return d;
}

#endif
