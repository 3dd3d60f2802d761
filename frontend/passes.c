/* Runs the passes of ir/rec/passes.def and ir/kern/passes.def in order, and verifies the program after each. */
#include "frontend/compile.h"

#include <stdlib.h>

typedef struct RecPass {
    const char *name;
    void (*run)(RecProg *p);
} RecPass;

typedef struct KernPass {
    const char *name;
    void (*run)(KernProg *k);
} KernPass;

static const RecPass rec_pass[] = {
#define PASS(IR, NAME, ...) {#IR "." #NAME, IR##_##NAME},
#include "ir/rec/passes.def"
#undef PASS
};

static const KernPass kern_pass[] = {
#define PASS(IR, NAME, ...) {#IR "." #NAME, IR##_##NAME},
#include "ir/kern/passes.def"
#undef PASS
};

enum { NREC = sizeof rec_pass / sizeof *rec_pass, NKERN = sizeof kern_pass / sizeof *kern_pass };

enum { NPASS = 1 + NREC + NKERN };

static const char *plain_name(uint32_t i)
{
    return i == 0 ? "lower" : i <= NREC ? rec_pass[i - 1].name : kern_pass[i - 1 - NREC].name;
}

/* A pass that stands more than once: `rec.hoist` is the first, `rec.hoist:2` the second. */
Str pass_name(Arena *a, uint32_t i)
{
    uint32_t nth = 1;
    if (i >= NPASS)
        return (Str){0};
    for (uint32_t k = 0; k < i; k++)
        nth += strcmp(plain_name(k), plain_name(i)) == 0;
    return nth == 1 ? str_of(plain_name(i)) : str_fmt(a, "%s:%u", plain_name(i), nth);
}

Str rec_text(Arena *a, const RecProg *p)
{
    Text out = {.arena = a};
    rec_print(&out, p);
    return text_str(&out);
}

Str kern_text(Arena *a, const KernProg *k)
{
    Text out = {.arena = a};
    kern_print(&out, k);
    return text_str(&out);
}

void check_rec(const RecProg *p, const char *pass)
{
    Arena *scratch = arena_new();
    Text why = {.arena = scratch};
    if (!rec_verify(p, &why))
        ice("%s left a broken program: %.*s\n%.*s", pass, STRF(text_str(&why)), STRF(rec_text(scratch, p)));
    arena_free(scratch);
}

void check_kern(const KernProg *k, const char *pass)
{
    Arena *scratch = arena_new();
    Text why = {.arena = scratch};
    if (!kern_verify(k, &why))
        ice("%s left a broken program: %.*s\n%.*s", pass, STRF(text_str(&why)), STRF(kern_text(scratch, k)));
    arena_free(scratch);
}

/* After pass i: dumps the program if asked, and says whether to go on. */
static bool after(Compile *c, uint32_t i)
{
    Str name = pass_name(c->arena, i);
    bool dump = str_eq(c->dump_after, name), stop = str_eq(c->stop_after, name);
    if (i <= NREC)
        check_rec(c->rec, name.p);
    else
        check_kern(c->kern, name.p);
    if (dump || stop)
        c->result = i <= NREC ? rec_text(c->arena, c->rec) : kern_text(c->arena, c->kern);
    if (dump)
        fprintf(c->dump, "%.*s", STRF(c->result));
    return !stop;
}

/* A program that was read as text may have its backward function, or the batch axis, already. */
static bool is_done(const RecProg *p, const RecPass *pass)
{
    if (pass->run == rec_backward)
        return p->region.p[REC_BACKWARD].op.n > 0;
    return pass->run == rec_batch && p->batched;
}

bool run_rec_passes(Compile *c)
{
    if (!after(c, 0))
        return false;
    for (uint32_t i = 0; i < NREC; i++) {
        if (!is_done(c->rec, &rec_pass[i]))
            rec_pass[i].run(c->rec);
        if (!after(c, 1 + i))
            return false;
    }
    return true;
}

static bool has_tasks(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_TASKS || (kern_body(b->p[i]) && has_tasks(kern_body(b->p[i]))))
            return true;
    return false;
}

/* A program that was read as text, and is cut already, is past the passes that look at whole loops. */
static bool is_cut(const KernProg *k)
{
    return has_tasks(&k->fn[REC_FORWARD]) || has_tasks(&k->fn[REC_BACKWARD]);
}

bool run_kern_passes(Compile *c)
{
    bool cut = is_cut(c->kern);
    for (uint32_t i = 0; i < NKERN; i++) {
        bool other = c->for_gpu && kern_is_of_cpu(kern_pass[i].run);
        if (kern_pass[i].run == kern_reuse || kern_pass[i].run == kern_narrow || (!cut && !other))
            kern_pass[i].run(c->kern);
        if (!after(c, 1 + NREC + i))
            return false;
    }
    return true;
}
