/* Barriers of plans are needed, each of them: without it two threads are in each other's way. First, entries run with all of their barriers, which
 * says of each in which case it alone keeps two accesses in order; then they run in that case without it. With RNNC_ALL=1 also for scans and for
 * all of Newton's, which takes an hour. */
#include "tests/ptx/blocks.h"

/* Kernels with barriers that stand there although no case needs them. */
typedef struct Standing {
    const char *kernel;
    int form; /* of RecForm.kind */
    uint32_t barriers;
} Standing;

static const Standing standing[] = {
    /* What Newton's form gives up is made by plain steps behind all windows. States that are copied are never off, so there it gives nothing up,
     * whatever the numbers are. */
    {"fsmn3_forward_28", REC_FORM_NEWTON, 1},
};

enum { MOST_CASES = 1500 }; /* some need more than one rare thing */

typedef struct Found {
    const Pair *p;
    Needs needs;
    uint32_t *seen, *seen_for_team; /* by need: one more than the case that it was first seen in */
    uint32_t mutants;
} Found;

static void list_barriers(Arena *a, Str kernel, const NvNodes *nodes, Needs *to)
{
    for (uint32_t i = 0; i < nodes->n; i++) {
        const NvNode *n = nodes->p[i];
        list_barriers(a, kernel, &n->body, to);
        if (n->kind == NV_BARRIER)
            vec_push(a, to, ((Need){.barrier = n, .kernel = kernel}));
    }
}

static uint32_t allowed(Str kernel, int form)
{
    for (size_t i = 0; i < sizeof standing / sizeof *standing; i++)
        if (str_is(kernel, standing[i].kernel) && standing[i].form == form)
            return standing[i].barriers;
    return 0;
}

/* How many of the kernel's are not needed. */
static uint32_t count_idle(const Found *f, Str kernel)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->needs.n; i++)
        n += str_eq(f->needs.p[i].kernel, kernel) && (!f->seen[i] || (f->needs.p[i].barrier->team && !f->seen_for_team[i]));
    return n;
}

/* All that can be, with RNNC_ALL=1 all that there are. */
static bool all_found(const Found *f, int form)
{
    for (uint32_t i = 0; i < f->needs.n; i++)
        if (count_idle(f, f->needs.p[i].kernel) > (getenv("RNNC_ALL") ? 0 : allowed(f->needs.p[i].kernel, form)))
            return false;
    return true;
}

static void see_case(Found *f, uint32_t number)
{
    Arena *a = arena_new();
    Case c = case_number(number);
    Str wrong = run_case_for_needs(a, f->p, &c, &f->needs);
    cr_assert(wrong.n == 0, "%s, T %d B %d seed %d: %.*s", f->p->what, (int)c.T, (int)c.B, (int)c.seed, STRF(wrong));
    for (uint32_t i = 0; i < f->needs.n; i++) {
        f->seen[i] = f->seen[i] ? f->seen[i] : f->needs.p[i].needed ? number + 1 : 0;
        f->seen_for_team[i] = f->seen_for_team[i] ? f->seen_for_team[i] : f->needs.p[i].needed_for_team ? number + 1 : 0;
    }
    arena_free(a);
}

static void check_mutant(Found *f, uint32_t i, uint32_t seen, bool weaker)
{
    Arena *a = arena_new();
    Case c = case_number(seen - 1);
    Str wrong = run_case_without(a, f->p, &c, f->needs.p[i].barrier, weaker);
    cr_assert(wrong.n, "%s: %.*s runs without its barrier number %u%s", f->p->what, STRF(f->needs.p[i].kernel), i, weaker ? ", as one of the team" : "");
    f->mutants++;
    arena_free(a);
}

static uint32_t check_entry(const Entry *e, RecForm form, FactorType products)
{
    Arena *a = arena_new();
    Pair p;
    Found f = {.p = &p};
    if (pair_new(a, e, form, products, &p)) {
        for (int fn = 0; fn < REC_NFN; fn++)
            for (uint32_t i = 0; i < p.plan->fn[fn].kernel.n; i++)
                list_barriers(a, p.plan->fn[fn].kernel.p[i].name, &p.plan->fn[fn].kernel.p[i].node, &f.needs);
        f.seen = NEWN(a, uint32_t, f.needs.n + 1);
        f.seen_for_team = NEWN(a, uint32_t, f.needs.n + 1);
    }
    for (uint32_t i = 0; i < MOST_CASES && !all_found(&f, (int)form.kind); i++)
        see_case(&f, i);
    for (uint32_t i = 0; i < f.needs.n; i++) {
        Str kernel = f.needs.p[i].kernel;
        cr_expect_eq(count_idle(&f, kernel), allowed(kernel, (int)form.kind), "%s: %u barriers of %.*s are not needed, one may be number %u", p.what, count_idle(&f, kernel), STRF(kernel), i);
        if (f.seen[i])
            check_mutant(&f, i, f.seen[i], false);
        if (f.seen_for_team[i])
            check_mutant(&f, i, f.seen_for_team[i], true);
    }
    arena_free(a);
    return f.mutants;
}

/* Every entry of the library that has the form. */
static void check_library(RecForm form, uint32_t least)
{
    uint32_t mutants = each_file("stdlib", form, check_entry);
    cr_assert(mutants >= least, "%u", mutants);
}

#define SEQUENTIAL (RecForm){.kind = REC_FORM_SEQUENTIAL}

Test(barriers, sequential) { check_library(SEQUENTIAL, 1400); }
Test(barriers, chunk) { check_library((RecForm){.kind = REC_FORM_CHUNK, .size = 3}, 500); }
/* Windows are longer than the rounds that it takes, so that what comes out is not what plain steps give to the last bit. */
#define NEWTON (RecForm){.kind = REC_FORM_NEWTON, .size = 8}

Test(barriers, newton)
{
    static const char *const files[] = {"stdlib/pararnn.rnn", "stdlib/elman.rnn", "stdlib/deltanet.rnn", "stdlib/slstm.rnn"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        cr_assert(each_entry(files[i], NEWTON, FACTOR_REAL, check_entry));
}

Test(barriers, wavefront) { check_library((RecForm){.kind = REC_FORM_WAVEFRONT}, 90); }
Test(barriers, convolution) { check_library((RecForm){.kind = REC_FORM_CONVOLUTION, .size = 3}, 2); }

static void check_all_if_asked(RecForm form, uint32_t least)
{
    if (!getenv("RNNC_ALL"))
        cr_skip_test("RNNC_ALL is not set");
    check_library(form, least);
}

Test(barriers, scan) { check_all_if_asked((RecForm){.kind = REC_FORM_SCAN, .size = 3}, 100); }
Test(barriers, all_of_newton) { check_all_if_asked(NEWTON, 100); }

Test(barriers, together) { cr_assert(each_entry("tests/ptx/together.rnn", SEQUENTIAL, FACTOR_REAL, check_entry)); }

/* Lanes have other elements than the threads before and behind. */
Test(barriers, tiles)
{
    static const char *const files[] = {"stdlib/elman.rnn", "stdlib/gru.rnn", "stdlib/lstm.rnn"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        cr_assert(each_entry(files[i], SEQUENTIAL, FACTOR_BF16, check_entry));
}
