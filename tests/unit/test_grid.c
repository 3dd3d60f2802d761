/* Recurrences over grids: the order of places, programs as text, the evaluator against plain C, and every form of a few
 * cells against the evaluator over sizes that divide nothing. */
#include "frontend/check.h"
#include "ir/rec/grid.h"
#include "ir/rec/rank_one.h"

#include <criterion/criterion.h>
#include <math.h>

/* ---- the order of places ---- */

typedef struct Order {
    uint32_t n;
    uint8_t naxes;
    RecOffset by[4];
    bool has;
    int16_t weight[REC_MAXAXES];
} Order;

static const Order order[] = {
    {2, 2, {{{-1, 0}}, {{0, -1}}}, true, {1, 1}},
    {2, 2, {{{1, 0}}, {{0, -1}}}, true, {-1, 1}},
    {4, 2, {{{-1, -1}}, {{-1, 0}}, {{-1, 1}}, {{0, -1}}}, true, {2, 1}},
    {3, 2, {{{-1, -1}}, {{-1, 0}}, {{-1, 1}}}, true, {1, 0}},
    {1, 2, {{{0, -5}}}, true, {0, 1}},
    {2, 2, {{{-1, 1}}, {{1, -2}}}, true, {3, 2}},
    {2, 2, {{{-1, 5}}, {{0, -1}}}, true, {6, 1}},
    {3, 3, {{{-1, 0, 0}}, {{0, 1, 0}}, {{0, 0, -2}}}, true, {1, -1, 1}},
    {4, 4, {{{-1, 0, 0, 1}}, {{0, -1, 0, 1}}, {{0, 0, -1, 0}}, {{0, 0, 0, -1}}}, true, {2, 2, 1, 1}},
    {2, 2, {{{-1, 0}}, {{2, 0}}}, false, {0}},
    {3, 2, {{{-1, -1}}, {{1, 0}}, {{0, 1}}}, false, {0}},
    {1, 2, {{{0, 0}}}, false, {0}},
};

Test(grid, order_is_found_with_small_weights)
{
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        int16_t weight[REC_MAXAXES] = {0};
        bool has = rec_grid_order(order[i].by, order[i].n, order[i].naxes, weight);
        cr_expect_eq(has, order[i].has, "case %zu", i);
        for (uint8_t k = 0; has && k < order[i].naxes; k++)
            cr_expect_eq(weight[k], order[i].weight[k], "case %zu: weight %u is %d", i, k, weight[k]);
    }
}

static uint8_t rows_of(RecOffset *by, uint32_t n, uint8_t naxes, uint8_t *order_of_axes)
{
    RecGrid g = {.naxes = naxes, .by = by};
    return grid_row_order(&g, n, order_of_axes) ? grid_row_depth(&g, n, order_of_axes) : 0;
}

Test(grid, rows_run_along_as_few_axes_as_can_be)
{
    uint8_t axis[REC_MAXAXES];
    cr_assert_eq(rows_of((RecOffset[]){{{-1, 0}}, {{0, -1}}}, 2, 2, axis), 2);
    cr_assert(axis[0] == 0 && axis[1] == 1);
    cr_assert_eq(rows_of((RecOffset[]){{{0, 1}}, {{3, 2}}}, 2, 2, axis), 1);
    cr_assert(axis[0] == 1 && axis[1] == 0);
    cr_assert_eq(rows_of((RecOffset[]){{{-1, 1}}, {{1, -2}}}, 2, 2, axis), 0, "rows have no order");
    cr_assert_eq(rows_of((RecOffset[]){{{0, 0, -1}}, {{0, -1, 1}}}, 2, 3, axis), 2);
    cr_assert(axis[0] == 1 && axis[1] == 2 && axis[2] == 0);
    cr_assert_eq(rows_of(NULL, 0, 2, axis), 0, "nothing is read");
}

/* ---- text and evaluator ---- */

static const char sum_of_paths[] =
    "rec paths\ndim B batch\ndim keep keep\ndim R time\ndim S time\ntime R\nopen R, S, B\n"
    "arg 0 x : real[R, S] input batched\n"
    "forward {\n"
    "  %0 : real[R, S] = arg 0\n"
    "  %1 : real = const 0.5\n"
    "  %2 = recur(%1, %1; %0) over (R, S) from (-1, 0) (0, 2) {\n"
    "    %3 : real = regarg 0\n"
    "    %4 : real = regarg 1\n"
    "    %5 : real = regarg 2\n"
    "    %6 : real = add(%3, %4)\n"
    "    %7 : real = add(%6, %5)\n"
    "    yield %7, %7; %7\n"
    "  }\n"
    "  %8 : real[R, S] = proj(%2) 2\n"
    "}\n"
    "out y : real[R, S] value batched = %8\n";

static RecProg *read_text(Arena *a, const char *text)
{
    Str error = {0};
    RecProg *p = rec_read(a, str_of(text), &error);
    cr_assert(p, "%.*s", STRF(error));
    Text why = {.arena = a};
    cr_assert(rec_verify(p, &why), "%.*s", STRF(text_str(&why)));
    return p;
}

Test(grid, text_reads_back)
{
    Arena *a = arena_new();
    Text out = {.arena = a};
    rec_print(&out, read_text(a, sum_of_paths));
    cr_assert(str_is(text_str(&out), sum_of_paths), "%.*s", STRF(text_str(&out)));
    arena_free(a);
}

static void refused(const char *was, const char *now, const char *why)
{
    Arena *a = arena_new();
    Str error = {0}, text = str_of(sum_of_paths);
    const char *at = strstr(sum_of_paths, was);
    uint32_t before = (uint32_t)(at - sum_of_paths), behind = before + (uint32_t)strlen(was);
    Str bad = str_fmt(a, "%.*s%s%.*s", STRF(((Str){text.p, before})), now, STRF(((Str){text.p + behind, text.n - behind})));
    RecProg *p = rec_read(a, bad, &error);
    Text said = {.arena = a};
    if (p)
        cr_assert_not(rec_verify(p, &said), "%s", now);
    Str what = p ? text_str(&said) : error;
    cr_assert(strstr(str_c(a, what), why), "`%s`: %.*s", now, STRF(what));
    arena_free(a);
}

Test(grid, bad_text_is_refused)
{
    refused("from (-1, 0) (0, 2)", "from (-1, 0) (1, 0)", "no order of the grid's places exists");
    refused("from (-1, 0) (0, 2)", "from (-1, 0)", "expected");
    refused("from (-1, 0) (0, 2)", "from (-1, 0) (0.5, 2)", "whole number");
    refused("over (R, S)", "over (R, R)", "the first axes of a sequence are not those of the grid");
    refused("over (R, S)", "over (R, S, R, S, R)", "at most 4 axes");
    refused("proj(%2) 2", "proj(%2) 0", "a grid has no final states");
}

/* y[r, s] = y[r-1, s] + y[r, s+2] + x[r, s], 0.5 outside. */
Test(grid, evaluator_is_plain_loops)
{
    enum { R = 5, S = 7 };
    Arena *a = arena_new();
    RecProg *p = read_text(a, sum_of_paths);
    double x[R * S], y[R][S];
    for (int i = 0; i < R * S; i++)
        x[i] = sin(i);
    int64_t dim[] = {1, 0, R, S};
    RecArray arg = {x};
    Str error = {0};
    RecEval *e = rec_eval_new(a, p, dim, &arg, 0);
    cr_assert(rec_eval_run(e, REC_FORWARD, &error), "%.*s", STRF(error));
    const double *got = rec_eval_value(e, p->out.p[0].value);
    for (int r = 0; r < R; r++)
        for (int s = S - 1; s >= 0; s--)
            y[r][s] = (r ? y[r - 1][s] : 0.5) + (s + 2 < S ? y[r][s + 2] : 0.5) + x[r * S + s];
    for (int i = 0; i < R * S; i++)
        cr_assert_eq(got[i], y[i / S][i % S], "place %d", i);
    rec_eval_free(e);
    arena_free(a);
}

/* ---- every form, over many sizes ---- */

typedef struct Bench {
    Driver d;
    Options options;
    Checker c;
    uint32_t entry;
} Bench;

static RecProg *raw_program(Bench *t)
{
    RecProg *p = elab_entry(t->c.arena, t->c.unit, t->entry, NULL, 0, t->d.diags);
    cr_assert(p);
    return p;
}

static void bench_open(Bench *t, const char *file, const char *entry)
{
    Arena *a = arena_new();
    Str path = str_fmt(a, "%s/%s", RNNC_SOURCE_DIR, file);
    *t = (Bench){.d = {.arena = a, .sources = sources_new(a)}};
    t->d.opt = &t->options;
    t->d.diags = diags_new(a, t->d.sources);
    Unit *u = driver_load(&t->d, path);
    cr_assert(u && unit_find_entry(u, str_of(entry), &t->entry), "%s in %s", entry, file);
    t->c = (Checker){.d = &t->d, .arena = a, .unit = u, .path = path, .name = str_of(entry), .random = 1};
    t->c.reference = raw_program(t);
    compile_reference(t->c.reference);
}

static Code code_in(Bench *t, RecForm form)
{
    Code code;
    Str error = {0};
    RecProg *p = raw_program(t);
    bool newton = form.kind != REC_FORM_NEWTON;
    CpuOptions cpu = {.precision = PREC_F64};
    cpu.level[CPU_BASELINE] = true;
    p->form = form;
    cr_assert(code_make(t->c.arena, p, &cpu, &code, &error), "%.*s", STRF(error));
    cr_assert_eq(p->form_missing, WHY_NONE);
    for (uint32_t i = 0; i < p->out.n; i++)
        newton |= p->out.p[i].role == OUT_REPORT;
    cr_assert(newton, "a grid that was not solved says nothing");
    return code;
}

static Code code_of(Bench *t, const char *form)
{
    RecForm read;
    cr_assert(rec_form_read(str_of(form), &read), "%s", form);
    return code_in(t, read);
}

/* Sizes 0 and 1, odd ones, one far larger than the other. */
static const int64_t extents[][2] = {{0, 0}, {0, 3}, {3, 0}, {1, 1}, {1, 17}, {17, 1}, {5, 13}, {33, 47}, {2, 64}};

static void in_form(Bench *t, const char *form, double tolerance)
{
    Code code = code_of(t, form);
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++) {
        Draw how = {.T = extents[i][0], .B = 2, .lengths = i % 2};
        Str why = {0};
        Frame *drawn = draw_call(&t->c, t->c.arena, &how, &why), *f = frame_new(t->c.arena, t->c.reference);
        cr_assert(drawn, "%.*s", STRF(why));
        memcpy(f->dim, drawn->dim, dim_nsyms(f->prog->dims) * sizeof *f->dim);
        for (uint32_t k = 0; k < f->prog->open.n; k++)
            if (dim_sym_info(f->prog->dims, f->prog->open.p[k])->kind == DIM_TIME && f->prog->open.p[k] != f->prog->time)
                f->dim[f->prog->open.p[k]] = extents[i][1];
        draw_arguments(&t->c, f, &how, 0);
        Frame *g = frame_copy(f);
        cr_assert(frame_reference(f, true, &why), "%.*s", STRF(why));
        cr_assert(frame_compiled(g, &code, true, &why), "%.*s", STRF(why));
        cr_expect(results_agree(f, g, (Tolerance){tolerance, tolerance, tolerance, 0}, &why), "%s %s at %lldx%lld: %.*s", str_c(t->c.arena, t->c.name),
                  form, (long long)extents[i][0], (long long)extents[i][1], STRF(why));
    }
    code_free(&code);
}

static void in_forms(const char *file, const char *entry, const char *const *form)
{
    Bench t;
    bench_open(&t, file, entry);
    for (uint32_t i = 0; form[i]; i++)
        in_form(&t, form[i], 1e-11);
    arena_free(t.c.arena);
}

Test(grid, tanh_in_every_form, .timeout = 120)
{
    in_forms("stdlib/mdrnn.rnn", "mdrnn", (const char *const[]){"sequential", "wavefront", "newton:7", NULL});
}

Test(grid, gates_in_every_form, .timeout = 120)
{
    in_forms("stdlib/mdlstm.rnn", "mdlstm_stable", (const char *const[]){"sequential", "wavefront", NULL});
}

Test(grid, matrix_states_in_every_form, .timeout = 120)
{
    in_forms("stdlib/plstm.rnn", "plstm_grid", (const char *const[]){"sequential", "wavefront", "scan:3", NULL});
    in_forms("stdlib/plstm.rnn", "plstm_grid_d", (const char *const[]){"sequential", "wavefront", "cascade", "scan:3", NULL});
}

Test(grid, from_all_corners, .timeout = 120)
{
    in_forms("stdlib/plstm.rnn", "plstm_corners", (const char *const[]){"sequential", "wavefront", NULL});
}

/* Gives where the reason stands. */
static Span lacks(const char *file, const char *entry, const char *form, RecWhy why)
{
    Bench t;
    RecForm read;
    cr_assert(rec_form_read(str_of(form), &read), "%s", form);
    bench_open(&t, file, entry);
    RecProg *p = raw_program(&t);
    driver_try_form(&t.d, p, read);
    Span at = p->form_missing_at;
    cr_assert_eq(p->form_missing, why, "%s, %s", entry, form);
    arena_free(t.d.arena);
    return at;
}

Test(grid, forms_that_do_not_exist)
{
    lacks("stdlib/mdrnn.rnn", "mdrnn", "cascade", WHY_NO_CASCADE);
    cr_assert_gt(lacks("tests/cells/grids.rnn", "turning_back", "cascade", WHY_NO_CASCADE).file, 0);
    lacks("stdlib/renet.rnn", "down_columns", "wavefront", WHY_NO_GRID);
    lacks("stdlib/lstm.rnn", "lstm", "cascade", WHY_NO_CASCADE);
}

/* ---- a grid in bands of rows ---- */

static double *in_named(const Frame *f, const char *name)
{
    uint32_t i = rec_arg_named(f->prog, name);
    cr_assert_neq(i, UINT32_MAX, "%s", name);
    return f->in[i];
}

static uint32_t out_named(const Frame *f, const char *name)
{
    uint32_t i = 0;
    while (i < f->prog->out.n && !str_is(f->prog->out.p[i].name, name))
        i++;
    cr_assert_lt(i, f->prog->out.n, "%s", name);
    return i;
}

static Frame *of_extents(Bench *t, int64_t rows, int64_t columns)
{
    Frame *f = frame_new(t->c.arena, t->c.reference);
    for (uint32_t i = 0; i < f->prog->open.n; i++)
        f->dim[f->prog->open.p[i]] = dim_sym_info(f->prog->dims, f->prog->open.p[i])->kind == DIM_TIME ? columns : 3;
    f->dim[f->prog->time] = rows;
    f->dim[f->prog->batch] = 2;
    draw_arguments(&t->c, f, &(Draw){.T = rows, .B = 2}, 0);
    return f;
}

static bool has_rows(const Frame *f, const Type *type)
{
    return type->rank && type->dim[0] == dim_of(f->prog->dims, f->prog->time);
}

/* The arguments of a band that begins at row `from` of a grid. */
static void take_rows(Frame *band, const Frame *grid, int64_t from)
{
    for (uint32_t i = 0; i < band->prog->arg.n; i++) {
        const RecArg *x = &band->prog->arg.p[i];
        if (!band->in[i] || !grid->in[i])
            continue;
        int64_t n = frame_count(band, &x->type, x->batched), at = has_rows(band, &x->type) ? n / band->dim[band->prog->time] * from : 0;
        memcpy(band->in[i], grid->in[i] + at, (size_t)n * sizeof(double));
    }
}

static void run_frame(Frame *f, const Code *code, bool grad)
{
    Str why = {0};
    cr_assert(frame_compiled(f, code, grad, &why), "%.*s", STRF(why));
}

/* The last row of an output, and how long it is. */
static double *last_row(const Frame *f, uint32_t out, int64_t *n)
{
    int64_t all = frame_count(f, &f->prog->out.p[out].type, true);
    *n = all / f->dim[f->prog->time];
    return f->out[out] + all - *n;
}

static void hand_on(Frame *to, const char *start, const Frame *from, const char *state)
{
    int64_t n;
    const double *row = last_row(from, out_named(from, state), &n);
    memcpy(in_named(to, start), row, (size_t)n * sizeof *row);
}

/* What the next band's derivative by its start says goes to the last row of the state. */
static void hand_back(Frame *to, const char *cotangent, const Frame *from, const char *gradient)
{
    uint32_t i = rec_arg_named(to->prog, cotangent);
    int64_t all = frame_count(to, &to->prog->arg.p[i].type, true), n = all / to->dim[to->prog->time];
    for (int64_t k = 0; k < n; k++)
        to->in[i][all - n + k] += from->out[out_named(from, gradient)][k];
}

static void is_close(const char *name, const double *a, const double *b, int64_t n, double tolerance)
{
    for (int64_t k = 0; k < n; k++)
        cr_expect(fabs(a[k] - b[k]) <= tolerance, "%s element %lld: %.17g, %.17g", name, (long long)k, a[k], b[k]);
}

/* Outputs, and gradients, of two bands are those of the grid: rows in place, what the first row starts from in the first
 * band, parameters in both. */
static void are_the_grid(const Frame *one, const Frame *two, const Frame *grid, double forward, double backward)
{
    for (uint32_t i = 0; i < grid->prog->out.n; i++) {
        const RecOut *o = &grid->prog->out.p[i];
        const char *name = str_c(grid->arena, o->name);
        int64_t n = frame_count(one, &o->type, o->batched), m = frame_count(two, &o->type, o->batched);
        double tolerance = o->role == OUT_VALUE ? forward : backward;
        if (o->role == OUT_GRAD_PARAM)
            for (int64_t k = 0; k < n; k++)
                one->out[i][k] += two->out[i][k];
        is_close(name, grid->out[i], one->out[i], n, tolerance);
        if (has_rows(grid, &o->type))
            is_close(name, grid->out[i] + n, two->out[i], m, tolerance);
    }
}

Test(grid, bands_of_rows_are_the_whole_grid, .timeout = 120)
{
    for (int64_t rows = 1; rows < 4; rows++) {
        Bench t;
        bench_open(&t, "tests/cells/grids.rnn", "bands");
        Code code = code_of(&t, rows == 3 ? "wavefront" : "sequential");
        Frame *grid = of_extents(&t, 7, 5), *one = of_extents(&t, rows, 5), *two = of_extents(&t, 7 - rows, 5);
        take_rows(one, grid, 0);
        take_rows(two, grid, rows);
        run_frame(grid, &code, true);
        run_frame(one, &code, false);
        hand_on(two, "top", one, "h");
        hand_on(two, "above", one, "g");
        run_frame(two, &code, true);
        hand_back(one, "d_h", two, "d_top");
        hand_back(one, "d_g", two, "d_above");
        run_frame(one, &code, true);
        are_the_grid(one, two, grid, 0, 1e-13);
        code_free(&code);
        arena_free(t.c.arena);
    }
}

/* ---- states that are made of one sum ---- */

static RecId last_grid(const RecProg *p)
{
    RecId found = REC_NONE;
    for (uint32_t i = 0; i < p->region.p[REC_FORWARD].op.n; i++) {
        const RecOp *op = rec_op(p, p->region.p[REC_FORWARD].op.p[i]);
        found = op->kind == REC_RECUR && op->grid && op->nstate ? p->region.p[REC_FORWARD].op.p[i] : found;
    }
    cr_assert_neq(found, REC_NONE);
    return found;
}

static RecProg *stopped_after(Bench *t, const char *pass, const char *form)
{
    Compile c = {.arena = t->c.arena, .emit = EMIT_REC, .rec = raw_program(t), .stop_after = str_of(pass)};
    cr_assert(rec_form_read(str_of(form), &c.rec->form), "%s", form);
    compile(&c);
    return c.rec;
}

/* Different values that a place hands on. */
static uint32_t values(const RecProg *p)
{
    const RecOp *op = rec_op(p, last_grid(p));
    const RecId *result = p->region.p[op->region].result.p;
    uint32_t n = 0;
    for (uint32_t k = 0; k < op->nstate; k++) {
        bool is_new = true;
        for (uint32_t i = 0; i < k; i++)
            is_new &= result[i] != result[k];
        n += is_new;
    }
    return n;
}

static void keeps(const char *file, const char *entry, const char *form, RankOneIs is, uint32_t before, uint32_t after)
{
    Bench t;
    bench_open(&t, file, entry);
    RecProg *p = stopped_after(&t, "rec.cascade", form);
    Stages s = stages_of(p, t.c.arena, last_grid(p));
    RankOneIs most = RANK_ONE_NO_MATTER;
    for (uint32_t k = 0; k < s.n; k++) {
        RankOneIs one = rank_one_of(p, t.c.arena, last_grid(p), &s, k).is;
        most = most == RANK_ONE_NO_MATTER ? one : most;
    }
    cr_expect_eq(most, is, "%s: %d", entry, (int)most);
    cr_expect_eq(values(p), before, "%s", entry);
    cr_expect_eq(values(stopped_after(&t, "rec.rank_one", form)), after, "%s", entry);
    arena_free(t.c.arena);
}

#define RANK_CELLS "tests/cells/rank_one.rnn"

Test(grid, a_sum_stands_for_all_states_that_are_made_of_it)
{
    keeps("stdlib/plstm.rnn", "plstm_grid_p", "wavefront", RANK_ONE_FOUND, 2, 1);
    keeps(RANK_CELLS, "edges", "wavefront", RANK_ONE_FOUND, 3, 1);
    keeps(RANK_CELLS, "alike", "wavefront", RANK_ONE_FOUND, 2, 1);
    keeps(RANK_CELLS, "inverse", "wavefront", RANK_ONE_FOUND, 2, 1);
    keeps(RANK_CELLS, "volume", "wavefront", RANK_ONE_FOUND, 4, 3);
}

Test(grid, one_entry_of_the_pattern_decides)
{
    keeps("stdlib/plstm.rnn", "plstm_grid", "wavefront", RANK_ONE_DIFFERS, 2, 2);
    keeps("stdlib/plstm.rnn", "plstm_grid_d", "wavefront", RANK_ONE_NO_MATTER, 2, 2);
    keeps(RANK_CELLS, "one_entry", "wavefront", RANK_ONE_DIFFERS, 2, 2);
    keeps(RANK_CELLS, "one_more", "wavefront", RANK_ONE_DIFFERS, 2, 2);
    keeps(RANK_CELLS, "bound", "wavefront", RANK_ONE_BOUND, 3, 3);
    keeps(RANK_CELLS, "small", "wavefront", RANK_ONE_SMALL, 2, 2);
}

#define RANK_NUMBERS "tests/forms/rank_one_numbers.rnn"

/* By their quotients, which neither vanish nor overflow. */
Test(grid, numbers_are_compared)
{
    keeps(RANK_NUMBERS, "tiny", "wavefront", RANK_ONE_NO_MATTER, 2, 2);
    keeps(RANK_NUMBERS, "huge", "wavefront", RANK_ONE_NO_MATTER, 2, 2);
    keeps(RANK_NUMBERS, "zero", "wavefront", RANK_ONE_NO_MATTER, 2, 2);
    keeps(RANK_NUMBERS, "far", "wavefront", RANK_ONE_NO_MATTER, 2, 2);
    keeps(RANK_NUMBERS, "near", "wavefront", RANK_ONE_FOUND, 2, 1);
    keeps(RANK_NUMBERS, "beside", "wavefront", RANK_ONE_FOUND, 2, 1);
}

/* So products whose factors overflow are kept from being taken apart. */
Test(grid, one_exponential_is_one_factor)
{
    keeps(RANK_NUMBERS, "apart", "wavefront", RANK_ONE_FOUND, 2, 1);
    keeps(RANK_NUMBERS, "together", "wavefront", RANK_ONE_DIFFERS, 2, 2);
}

Test(grid, numbers_in_every_form, .timeout = 120)
{
    static const char *const form[] = {"sequential", "wavefront", NULL};
    in_forms(RANK_NUMBERS, "tiny", form);
    in_forms(RANK_NUMBERS, "zero", form);
    in_forms(RANK_NUMBERS, "near", form);
    in_forms(RANK_NUMBERS, "beside", form);
}

Test(grid, values_are_looked_at_once, .timeout = 60)
{
    keeps("tests/forms/rank_one_deep.rnn", "twice_each", "wavefront", RANK_ONE_FOUND, 2, 1);
}

/* Row by row, where nobody asks, the sum must be no larger than the old states are together. */
Test(grid, rows_keep_states_whose_sum_has_factors)
{
    keeps("stdlib/plstm.rnn", "plstm_grid_p", "sequential", RANK_ONE_FOUND, 2, 1);
    keeps(RANK_CELLS, "inverse", "sequential", RANK_ONE_FOUND, 2, 1);
    keeps(RANK_NUMBERS, "near", "sequential", RANK_ONE_FOUND, 2, 1);
    keeps(RANK_CELLS, "edges", "sequential", RANK_ONE_IN_ROWS, 3, 3);
    keeps(RANK_CELLS, "alike", "sequential", RANK_ONE_IN_ROWS, 2, 2);
    keeps(RANK_NUMBERS, "apart", "sequential", RANK_ONE_IN_ROWS, 2, 2);
    keeps("stdlib/plstm.rnn", "plstm_grid", "sequential", RANK_ONE_DIFFERS, 2, 2);
    keeps("stdlib/plstm.rnn", "plstm_grid_p", "scan", RANK_ONE_FOUND, 2, 1);
}

Test(grid, sums_in_every_form, .timeout = 120)
{
    static const char *const form[] = {"sequential", "wavefront", "scan:3", NULL};
    in_forms("stdlib/plstm.rnn", "plstm_grid_p", form);
    in_forms(RANK_CELLS, "edges", form);
    in_forms(RANK_CELLS, "alike", form);
    in_forms(RANK_CELLS, "inverse", form);
}

/* ---- Newton's method over a whole grid: one window of all its waves ---- */

enum { UNITS = 6 };

static double normal(Checker *c)
{
    double u = 0.5 * (draw_uniform(c) + 1), v = draw_uniform(c);
    return sqrt(-2 * log(u + 1e-300)) * cos(3.141592653589793 * v);
}

/* side x side places, standard normal inputs, weights of standard deviation scale / sqrt(6). */
static Frame *whole_grid(Bench *t, int64_t side, double scale)
{
    Frame *f = frame_new(t->c.arena, t->c.reference);
    for (uint32_t i = 0; i < f->prog->open.n; i++)
        f->dim[f->prog->open.p[i]] = dim_sym_info(f->prog->dims, f->prog->open.p[i])->kind == DIM_TIME ? side : UNITS;
    f->dim[f->prog->batch] = 1;
    draw_arguments(&t->c, f, &(Draw){.T = side, .B = 1}, 0);
    for (uint32_t i = 0; i < f->prog->arg.n; i++) {
        const RecArg *x = &f->prog->arg.p[i];
        double size = x->role == ROLE_PARAM ? scale / sqrt(UNITS) : 1;
        for (int64_t k = 0, n = f->in[i] ? frame_count(f, &x->type, x->batched) : 0; k < n; k++)
            f->in[i][k] = size * normal(&t->c);
    }
    return f;
}

static Frame *ran(Frame *f, const Code *code)
{
    Frame *g = frame_copy(f);
    Str why = {0};
    cr_assert(frame_compiled(g, code, false, &why), "%.*s", STRF(why));
    return g;
}

/* How far the result of `rounds` iterations with the whole derivative is from the sequential one, relative to its largest element. */
static double apart_after(Bench *t, int64_t side, double scale, uint32_t rounds)
{
    Code plain = code_of(t, "sequential");
    Code code = code_in(t, (RecForm){.kind = REC_FORM_NEWTON, .size = (uint32_t)(2 * side), .rounds = rounds, .no_fallback = rounds != 0,
                                     .derivative = REC_DERIVATIVE_EXACT});
    Frame *f = whole_grid(t, side, scale), *is = ran(f, &plain), *got = ran(f, &code);
    double most = 0, size = 0;
    for (uint32_t i = 0; i < f->prog->out.n; i++)
        for (int64_t k = 0, n = is->out[i] ? frame_count(f, &f->prog->out.p[i].type, true) : 0; k < n; k++) {
            double d = fabs(got->out[i][k] - is->out[i][k]);
            most = d > most || isnan(d) ? d : most;
            size = fmax(size, fabs(is->out[i][k]));
        }
    code_free(&plain);
    code_free(&code);
    return most / size;
}

static void few_rounds(const char *file, const char *entry, uint32_t rounds)
{
    Bench t;
    bench_open(&t, file, entry);
    for (int64_t side = 32; side <= 64; side *= 2)
        for (size_t i = 0; i < 3; i++) {
            double scale = (const double[]){0.25, 0.5, 0.8}[i], off = apart_after(&t, side, scale, rounds);
            printf("%s, %lldx%lld, weights %g: %u iterations leave %.1e\n", entry, (long long)side, (long long)side, scale, rounds, off);
            cr_expect(off <= 1e-9, "%s: %g", entry, off);
        }
    arena_free(t.c.arena);
}

Test(grid, newton_solves_a_stable_grid_in_five_iterations, .timeout = 120)
{
    few_rounds("stdlib/mdlstm.rnn", "mdlstm_stable", 5);
}

Test(grid, newton_solves_a_tanh_grid_in_six_iterations, .timeout = 120)
{
    few_rounds("stdlib/mdrnn.rnn", "mdrnn", 6);
}

/* Graves's cell expands; what does not converge is run again wave by wave. */
Test(grid, newton_is_right_where_the_cell_expands, .timeout = 120)
{
    Bench t;
    bench_open(&t, "stdlib/mdlstm.rnn", "mdlstm_plain");
    for (size_t i = 0; i < 3; i++)
        cr_expect_leq(apart_after(&t, 64, (const double[]){0.25, 0.5, 0.8}[i], 0), 1e-10);
    arena_free(t.c.arena);
}
