/* Loops of the CPU's code that are made several iterations at once (emit_rows.c), in other lanes (emit_across.c), or with several vectors
 * (emit_loop.c): right for sizes around every edge, at every level, and a row has the same bits however many there are. */
#include "tests/unit/forms.h"

static void set_dim(Frame *f, const char *name, int64_t n)
{
    for (uint32_t i = 0; i < f->prog->open.n; i++)
        if (str_eq(dim_sym_info(f->prog->dims, f->prog->open.p[i])->name, str_of(name)))
            f->dim[f->prog->open.p[i]] = n;
}

static Frame *sized(Forms *t, Arena *a, int64_t T, int64_t V, int64_t K)
{
    Str error;
    Frame *f = forms_frame(t, a, T, 2);
    set_dim(f, "V", V);
    set_dim(f, "K", K);
    set_dim(f, "N", K);
    cr_assert(dims_complete(f, &error), "%s", str_c(a, error));
    forms_fill(t, f, 1, 1);
    uint32_t p = rec_arg_named(f->prog, "p");
    int64_t n = 0;
    double *row = p == K_NONE ? NULL : forms_argument(f, p, &n);
    for (int64_t i = 0; i < n; i++)
        row[i] = (double)((i * 5 + 2) % (V + 1)); /* V: none of them */
    return f;
}

static Code compiled(Forms *t, const char *entry, Precision precision, CpuLevel level)
{
    forms_open(t, "tests/cells/rows.rnn", entry);
    t->level = level;
    return forms_compile(t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, precision);
}

static void agree(const Code *code, Frame *f, double within, const char *what)
{
    Str why = STR("");
    Frame *g = frame_copy(f);
    cr_assert(frame_reference(f, true, &why) && frame_compiled(g, code, true, &why), "%s: %s", what, str_c(f->arena, why));
    cr_expect(results_agree(f, g, (Tolerance){within, within, within, within}, &why), "%s: %s", what, str_c(f->arena, why));
}

/* ---- against the evaluator ---- */

static const int64_t lengths[] = {1, 3, 8, 15, 16, 17, 64, 67, 255, 256, 257, 300};
enum { NLENGTH = sizeof lengths / sizeof *lengths };

static void at_sizes(const char *entry, Precision precision, CpuLevel level)
{
    Forms t;
    char what[128];
    if (!cpu_level_here(level))
        return;
    Code code = compiled(&t, entry, precision, level);
    for (int i = 0; i < NLENGTH; i++)
        for (int64_t V = 1; V <= 9; V += V < 6 ? 1 : 3) {
            Arena *a = arena_new();
            snprintf(what, sizeof what, "%s %s f%d, %d by %d", entry, cpu_level_info(level)->text, precision == PREC_F64 ? 64 : 32, (int)V,
                     (int)lengths[i]);
            agree(&code, sized(&t, a, 3, V, lengths[i]), precision == PREC_F64 ? 1e-12 : 1e-5, what);
            arena_free(a);
        }
    code_free(&code);
    forms_close(&t);
}

static void at_levels(const char *entry)
{
    for (int level = 0; level < CPU_NLEVEL; level++) {
        at_sizes(entry, PREC_F64, (CpuLevel)level);
        at_sizes(entry, PREC_F32, (CpuLevel)level);
    }
}

Test(rows, sums_of_rows, .timeout = 300)
{
    at_levels("rows");
}

Test(rows, a_row_set_apart, .timeout = 300)
{
    at_levels("set_apart");
}

/* ---- one row and many ---- */

static double *array_of(Frame *f, const char *name, int64_t *n)
{
    return forms_argument(f, rec_arg_named(f->prog, name), n);
}

static uint32_t output_named(const Frame *f, const char *name)
{
    for (uint32_t i = 0; i < f->prog->out.n; i++)
        if (str_eq(f->prog->out.p[i].name, str_of(name)))
            return i;
    cr_assert_fail("no output %s", name);
    return 0;
}

/* Row `row` of [T, B, V] or [B, V, ...] arrays, which all have two axes around it. */
static void take_row(const double *from, double *to, int64_t outer, int64_t V, int64_t inner, int64_t row)
{
    for (int64_t i = 0; i < outer; i++)
        memcpy(to + i * inner, from + (i * V + row) * inner, (size_t)inner * sizeof *to);
}

static void row_alone(Forms *t, const Code *code, Frame *all, int64_t V, int64_t K, int64_t row)
{
    static const char *const out[] = {"y", "z", "w"};
    Frame *one = sized(t, all->arena, 3, 1, K);
    Str why = STR("");
    int64_t n, m;
    for (int i = 0; i < 2; i++) {
        double *to = array_of(one, i ? "q" : "k", &n), *from = array_of(all, i ? "q" : "k", &m);
        memcpy(to, from, (size_t)n * sizeof *to);
    }
    take_row(array_of(all, "v", &m), array_of(one, "v", &n), 6, V, 1, row);
    take_row(array_of(all, "S0", &m), array_of(one, "S0", &n), 2, V, K, row);
    cr_assert(frame_compiled(one, code, false, &why), "%s", str_c(all->arena, why));
    for (int i = 0; i < 3; i++)
        for (int64_t k = 0; k < 6; k++) {
            uint32_t o = output_named(all, out[i]);
            cr_expect(one->out[o][k] == all->out[o][k * V + row], "%s of row %d of %d by %d: %a alone, %a", out[i], (int)row, (int)V, (int)K,
                      one->out[o][k], all->out[o][k * V + row]);
        }
}

static void alone_at(CpuLevel level)
{
    static const int64_t K[] = {7, 64, 131, 256, 300};
    Forms t;
    if (!cpu_level_here(level))
        return;
    Code code = compiled(&t, "rows", PREC_F32, level);
    for (size_t i = 0; i < sizeof K / sizeof *K; i++) {
        Arena *a = arena_new();
        Frame *all = sized(&t, a, 3, 6, K[i]);
        Str why = STR("");
        cr_assert(frame_compiled(all, &code, false, &why), "%s", str_c(a, why));
        for (int64_t row = 0; row < 6; row++)
            row_alone(&t, &code, all, 6, K[i], row);
        arena_free(a);
    }
    code_free(&code);
    forms_close(&t);
}

Test(rows, a_row_alone_has_the_same_bits)
{
    for (int level = 0; level < CPU_NLEVEL; level++)
        alone_at((CpuLevel)level);
}

/* ---- few heads, and long work ---- */

static void gates_at(const char *entry, CpuLevel level)
{
    static const int64_t heads[] = {1, 2, 4, 5, 8, 9, 17, 33}, places[] = {0, 1, 4, 8, 17};
    Forms t;
    char what[64];
    if (!cpu_level_here(level))
        return;
    Code code = compiled(&t, entry, PREC_F32, level);
    for (size_t h = 0; h < sizeof heads / sizeof *heads; h++)
        for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
            Arena *a = arena_new();
            snprintf(what, sizeof what, "%s %s, %d heads at %d places", entry, cpu_level_info(level)->text, (int)heads[h], (int)places[p]);
            agree(&code, sized(&t, a, places[p], 1, heads[h]), 1e-5, what);
            arena_free(a);
        }
    code_free(&code);
    forms_close(&t);
}

Test(rows, gates_of_few_heads)
{
    for (int level = 0; level < CPU_NLEVEL; level++) {
        gates_at("gates", (CpuLevel)level);
        gates_at("long_chain", (CpuLevel)level);
    }
}
