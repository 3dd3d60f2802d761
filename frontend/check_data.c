/* A file's own tests: `test lstm { data "lstm.npz"; tolerance 1e-11; bind H = 8 }`. The data hold arguments and cotangents
 * under their names, results under theirs, and gradients as `grad_x`, `grad_W`, `grad_h0`. */
#include "frontend/check.h"

typedef struct TestPlan {
    Str data;
    double tolerance;
    BindList bind;
} TestPlan;

static bool bad_item(Checker *c, const TestItem *item, const char *wants)
{
    check_fail(c, "`%.*s` in a test needs %s", STRF(item->key.text), wants);
    return false;
}

static bool take_item(Checker *c, const TestItem *item, TestPlan *plan)
{
    bool number = item->value && item->value->kind == EX_NUMBER;
    if (str_is(item->key.text, "data")) {
        plan->data = item->text;
        return item->text.n || bad_item(c, item, "a file name in quotes");
    }
    if (str_is(item->key.text, "tolerance")) {
        plan->tolerance = number ? item->value->number : 0;
        return plan->tolerance > 0 || bad_item(c, item, "a positive number");
    }
    if (!str_is(item->key.text, "bind")) {
        check_fail(c, "a test has data, tolerance and bind, not `%.*s`", STRF(item->key.text));
        return false;
    }
    if (!number || !item->value->is_int)
        return bad_item(c, item, "NAME = a whole number");
    vec_push(c->arena, &plan->bind, (Binding){item->name.text, (int64_t)item->value->number});
    return true;
}

static bool take_plan(Checker *c, const Test *test, TestPlan *plan)
{
    plan->tolerance = 1e-11;
    for (uint32_t i = 0; i < c->d->opt->bind.n; i++)
        vec_push(c->arena, &plan->bind, c->d->opt->bind.p[i]);
    for (uint32_t i = 0; i < test->n; i++)
        if (!take_item(c, &test->item[i], plan))
            return false;
    if (!plan->data.n)
        check_fail(c, "the test names no data");
    return plan->data.n > 0;
}

/* The array that tells what result `out` must be, or NULL. */
static const Array *expectation(Checker *c, const Arrays *data, const RecOut *o)
{
    if (o->role == OUT_PARAM)
        return NULL;
    if (o->role == OUT_VALUE || o->role == OUT_FINAL)
        return arrays_find(data, o->name);
    return arrays_find(data, str_fmt(c->arena, "grad_%.*s", STRF(c->reference->arg.p[o->of].name)));
}

/* Expected results as a Frame of their own; false when there is nothing to compare or a shape is wrong. */
static bool take_expected(Checker *c, const Arrays *data, Frame *f, Frame *expected, bool *used)
{
    const RecProg *p = f->prog;
    uint32_t n = 0;
    memcpy(expected->dim, f->dim, dim_nsyms(p->dims) * sizeof *f->dim);
    for (uint32_t i = 0; i < p->out.n; i++) {
        const RecOut *o = &p->out.p[i];
        const Array *x = expectation(c, data, o);
        Str error;
        if (!x)
            continue;
        if (!dims_from_shape(expected, &o->type, o->batched, x->name, x, &error)) {
            check_fail(c, "%.*s", STRF(error));
            return false;
        }
        used[x - data->list.p] = true;
        expected->out[i] = frame_array(expected, &o->type, o->batched);
        for (int64_t k = 0, count = frame_count(f, &o->type, o->batched); k < count; k++)
            expected->out[i][k] = array_get(x, k);
        n++;
    }
    if (!n)
        check_fail(c, "the data hold no result to compare with");
    return n > 0;
}

static void compare(Checker *c, const Frame *expected, Frame *f, bool ran, Tolerance tol, Str who, Str data, Str why)
{
    if (ran && results_agree(expected, f, tol, &why))
        check_pass(c, "%.*s gives %.*s", STRF(who), STRF(data));
    else
        check_fail(c, "%.*s, %.*s: %.*s", STRF(who), STRF(data), STRF(why));
}

static void name_unused(Checker *c, const Arrays *data, const bool *used, const bool *also)
{
    progress_end(c->d->progress);
    for (uint32_t i = 0; i < data->list.n; i++)
        if (!used[i] && !also[i])
            printf("note  %.*s: nothing asks for array `%.*s`\n", STRF(c->name), STRF(data->list.p[i].name));
}

/* The data's arguments are not exact in 16 bits: what is expected then is what the evaluator makes of them rounded, and it
 * has been held against the data before. */
static void run_narrow(Checker *c, const TestPlan *plan, const Frame *f, const Code *code)
{
    Narrow n = precision_narrow(code->cpu.precision);
    Frame *expected = frame_copy(f), *found = frame_copy(f);
    Str why = {0};
    frame_round(expected, n);
    frame_round(found, n);
    bool ran = frame_reference(expected, true, &why) && frame_compiled(found, code, true, &why);
    frame_overflow(expected, n);
    Str data = str_fmt(c->arena, "what the evaluator makes of %.*s in 16 bits", STRF(plan->data));
    compare(c, expected, found, ran, code_tolerance(code), code_name(c->arena, code), data, why);
}

static void run_all(Checker *c, const TestPlan *plan, const Frame *expected, Frame *f)
{
    Str why = {0};
    Tolerance exact = {plan->tolerance, plan->tolerance, 0, 0}, single;
    bool ran = frame_reference(f, true, &why);
    compare(c, expected, f, ran, exact, STR("evaluator"), plan->data, why);
    for (uint32_t i = 0; i < NPRECISION * CPU_NLEVEL; i++) {
        const Code *code = &c->code[i / CPU_NLEVEL][i % CPU_NLEVEL];
        if (!code_is_there(code))
            continue;
        if (code->kern->narrow) {
            run_narrow(c, plan, f, code);
            continue;
        }
        single = code_tolerance(code);
        single.floor = 0;
        ran = frame_compiled(f, code, true, &why);
        compare(c, expected, f, ran, code->cpu.precision == PREC_F64 ? exact : single, code_name(c->arena, code),
                plan->data, why);
    }
}

static void load_and_run(Checker *c, const TestPlan *plan)
{
    Arrays data = {0};
    Str error;
    if (!arrays_read(c->arena, path_beside(c->arena, c->path, plan->data), &data, &error)) {
        check_fail(c, "%.*s", STRF(error));
        return;
    }
    Frame *f = frame_new(c->arena, c->reference), *expected = frame_new(c->arena, c->reference);
    Load l = {.frame = f, .from = &data, .grad = true};
    bool *used = NEWN(c->arena, bool, data.list.n);
    if (!load_arguments(&l, plan->bind.p, plan->bind.n)) {
        check_fail(c, "%.*s: %.*s", STRF(plan->data), (int)strcspn(l.errors.p, "\n"), l.errors.p);
        return;
    }
    if (!take_expected(c, &data, f, expected, used))
        return;
    name_unused(c, &data, used, l.used);
    run_all(c, plan, expected, f);
}

bool check_bindings(Checker *c, const Test *test, BindList *out)
{
    TestPlan plan = {0};
    bool ok = take_plan(c, test, &plan);
    *out = plan.bind;
    return ok;
}

void check_data(Checker *c, uint32_t entry, const Test *test)
{
    TestPlan plan = {0};
    c->rejected = 0;
    if (!take_plan(c, test, &plan))
        return;
    if (checker_compile(c, entry, &plan.bind))
        load_and_run(c, &plan);
    else
        check_fail(c, "the file has errors");
}
