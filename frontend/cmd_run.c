/* run: an entry on arrays from files, by the reference evaluator or by the very code that build would write. */
#include "frontend/driver.h"
#include "frontend/run_finite.h"
#include "frontend/run_load.h"
#include "frontend/run_trace.h"

typedef struct RunVerb {
    Driver *d;
    Unit *unit;
    uint32_t entry;
    Frame *frame;
    bool reference, grad;
    Precision precision;
    bool no_finals; /* final states are not written */
} RunVerb;

static bool read_inputs(RunVerb *r, Arrays *in)
{
    Str error;
    for (uint32_t i = 0; i < r->d->opt->input.n; i++) {
        progress_show(r->d->progress, "reading %.*s", STRF(r->d->opt->input.p[i]));
        if (!arrays_read(r->d->arena, r->d->opt->input.p[i], in, &error)) {
            driver_fail(r->d, "%.*s", STRF(error));
            return false;
        }
    }
    progress_end(r->d->progress);
    return true;
}

static void print_errors(RunVerb *r, const Text *errors)
{
    for (const char *line = errors->p; line && *line;) {
        const char *end = strchr(line, '\n');
        driver_fail(r->d, "%.*s", (int)(end - line), line);
        line = end + 1;
    }
}

static void name_unused(const Load *l)
{
    for (uint32_t i = 0; i < l->from->list.n; i++)
        if (!l->used[i])
            fprintf(stderr, "rnnc: note: nothing asks for array `%.*s`\n", STRF(l->from->list.p[i].name));
}

static bool has_gradients(const RecProg *p)
{
    for (uint32_t i = 0; i < p->out.n; i++)
        if (p->out.p[i].role == OUT_GRAD || p->out.p[i].role == OUT_GRAD_PARAM)
            return true;
    return false;
}

/* --grad, where there is something to differentiate. */
static void choose_gradients(RunVerb *r)
{
    bool asked = r->d->opt->given[OPT_GRAD];
    r->grad = asked && has_gradients(r->frame->prog);
    if (asked && !r->grad)
        fprintf(stderr, "rnnc: note: %.*s has no gradients: nothing real goes in, or nothing real comes out\n",
                STRF(r->frame->prog->name));
}

static bool load(RunVerb *r, const Arrays *in)
{
    uint64_t seed = 0;
    Str error;
    Load l = {.frame = r->frame, .from = in, .grad = r->grad, .draw = r->d->opt->given[OPT_SEED], .single = r->precision != PREC_F64, .narrow = precision_narrow(r->precision)};
    if (l.draw && !driver_number(r->d, OPT_SEED, &seed))
        return false;
    if (!load_arguments(&l, r->d->opt->bind.p, r->d->opt->bind.n)) {
        print_errors(r, &l.errors);
        return false;
    }
    name_unused(&l);
    if (!l.draw || frame_init(r->frame, seed, &error))
        return true;
    driver_fail(r->d, "%.*s", STRF(error));
    return false;
}

static void show_step(void *context, const RecEval *e, RecId recur, int64_t place)
{
    const RunVerb *r = context;
    (void)e;
    (void)recur;
    if (progress_is_due(r->d->progress))
        progress_show(r->d->progress, "%.*s: sequence %lld of %lld, at %lld", STRF(r->frame->prog->name),
                      (long long)r->frame->sequence, (long long)r->frame->sequences, (long long)place);
}

static bool evaluate(RunVerb *r, Str *error)
{
    r->frame->watch = show_step;
    r->frame->watching = r;
    progress_show(r->d->progress, "%.*s: evaluating", STRF(r->frame->prog->name));
    bool ok = frame_reference(r->frame, r->grad, error);
    r->frame->watch = NULL;
    return ok;
}

static bool compile_and_call(RunVerb *r, RecProg *raw, Str *error)
{
    Code code = {0};
    CpuOptions cpu;
    driver_targets(r->d, &cpu);
    progress_show(r->d->progress, "%.*s: compiling", STRF(raw->name));
    bool ok = driver_code(r->d, r->d->arena, raw, &cpu, &code, error);
    progress_show(r->d->progress, "%.*s: running", STRF(raw->name));
    ok = ok && frame_compiled(r->frame, &code, r->grad, error);
    code_free(&code);
    return ok;
}

static bool compute(RunVerb *r)
{
    Str error;
    FormChoice choice = {0};
    RecProg *raw = r->reference ? NULL : driver_elab(r->d, r->unit, r->entry);
    bool ok = raw ? compile_and_call(r, raw, &error) : evaluate(r, &error);
    progress_end(r->d->progress);
    if (raw && driver_form(r->d, r->unit, r->entry, &choice) && !driver_has_form(r->d, raw, &choice)) {
        driver_report(r->d);
        return false;
    }
    if (!ok)
        driver_fail(r->d, "%.*s: %.*s", STRF(r->frame->prog->name), STRF(error));
    return ok;
}

static void print_shapes(const Arrays *out)
{
    Arena *scratch = arena_new();
    for (uint32_t i = 0; i < out->list.n; i++)
        printf("%.*s: %.*s\n", STRF(out->list.p[i].name), STRF(array_type_str(scratch, &out->list.p[i])));
    arena_free(scratch);
}

/* ---- a .npy file holds one array ---- */

static bool is_written(const RunVerb *r, const RecOut *o)
{
    bool gradient = o->role == OUT_GRAD || o->role == OUT_GRAD_PARAM;
    return o->role == OUT_VALUE || o->role == OUT_FINAL || (r->grad && gradient);
}

static uint32_t count_results(const RunVerb *r, bool finals, Text *names)
{
    const RecProg *p = r->frame->prog;
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->out.n; i++)
        if (is_written(r, &p->out.p[i]) && (finals || p->out.p[i].role != OUT_FINAL))
            text_add(names, "%s%.*s", n++ ? ", " : "", STRF(p->out.p[i].name));
    return n;
}

/* Into a .npy file goes the one result that is no final state. False, and a message, when there are more: before anything is run. */
static bool choose_results(RunVerb *r)
{
    Text all = {.arena = r->d->arena}, some = {.arena = r->d->arena};
    uint32_t n = count_results(r, true, &all);
    if (!str_is(path_extension(r->d->opt->value[OPT_OUTPUT]), "npy") || n == 1)
        return true;
    r->no_finals = count_results(r, false, &some) == 1;
    if (r->no_finals)
        fprintf(stderr, "rnnc: note: final states are left out: a .npy file holds one array, `%.*s`\n", STRF(text_str(&some)));
    else
        driver_fail(r->d, "%.*s: a .npy file holds one array, and there are %u (%.*s); write .npz", STRF(r->d->opt->value[OPT_OUTPUT]), n,
                    STRF(text_str(&all)));
    return r->no_finals;
}

static bool write_results(RunVerb *r)
{
    Arrays out = {0};
    Str error;
    for (uint32_t i = 0; i < r->frame->prog->out.n; i++)
        if (r->frame->out[i] && !(r->no_finals && r->frame->prog->out.p[i].role == OUT_FINAL))
            vec_push(r->d->arena, &out.list, load_result(r->frame, i, r->precision));
    if (!r->d->opt->given[OPT_OUTPUT]) {
        print_shapes(&out);
        return true;
    }
    if (r->precision == PREC_BF16 && !str_is(path_extension(r->d->opt->value[OPT_OUTPUT]), "safetensors"))
        fprintf(stderr, "rnnc: note: .npy has no bf16: its numbers are written as float32, which holds them exactly\n");
    if (arrays_write(r->d->arena, r->d->opt->value[OPT_OUTPUT], &out, &error))
        return true;
    driver_fail(r->d, "%.*s", STRF(error));
    return false;
}

static bool write_trace(RunVerb *r)
{
    Str error;
    if (!r->d->opt->given[OPT_TRACE] || trace_write(r->frame, r->d->opt->value[OPT_TRACE], &error))
        return true;
    driver_fail(r->d, "%.*s", STRF(error));
    return false;
}

int cmd_run(Driver *d)
{
    RunVerb r = {.d = d, .reference = option_is(d->opt, OPT_ON, "reference")};
    Arrays in = {0};
    Str path = d->opt->file.p[0];
    int gpu = driver_gpu_open(d);
    if (gpu)
        return gpu;
    r.precision = r.reference ? PREC_F64 : driver_precision(d->opt);
    r.unit = driver_load(d, path);
    if (!r.unit)
        return driver_report(d);
    if (!driver_entry(d, r.unit, path, &r.entry))
        return EXIT_INPUT;
    RecProg *reference = driver_elab(d, r.unit, r.entry);
    if (!reference)
        return driver_report(d);
    compile_reference(reference);
    r.frame = frame_new(d->arena, reference);
    choose_gradients(&r);
    if (!choose_results(&r) || !read_inputs(&r, &in) || !load(&r, &in) || !compute(&r) || !write_trace(&r) || !write_results(&r))
        return EXIT_INPUT;
    return d->opt->given[OPT_CHECK] && !check_finite(d, r.frame, r.precision != PREC_F64) ? EXIT_INPUT : EXIT_FINE;
}
