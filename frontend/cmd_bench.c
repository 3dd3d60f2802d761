/* bench: measures the forms of every cell and model on this machine: how long a call takes beside the sequential form, what part of
 * the machine's peaks that is, and from how many places on a form is faster.
 *
 * Operations and bytes are those of the plain recurrence, for all forms: what a form does besides is not work that anybody
 * asked for. */
#include "frontend/bench.h"
#include "ir/rec/cost.h"

static const char *const forms[] = {"sequential", "cascade", "wavefront", "scan:16", "chunk:16", "chunk:64", "convolution:64", "newton:64"};
enum { NFORMS = sizeof forms / sizeof *forms };

/* ---- what there is to do ---- */

static bool value_of(const Bench *b, const RecProg *p, Dim d, double *out, Str *error)
{
    int64_t n;
    if (!dim_eval(p->dims, d, frame_dims(b->t.frame, p->dims, p->derived.p, p->derived.n), &n)) {
        *error = STR("the operations of a call are too many to count");
        return false;
    }
    *out = (double)n;
    return true;
}

static bool count(Bench *b, Str *error)
{
    if (rec_has_role(b->t.frame->prog, ROLE_PLAN))
        return true;
    Compile c = {.arena = b->t.arena, .cpu = b->t.cpu, .emit = EMIT_REC, .rec = trial_raw(&b->t)};
    uint32_t real = cpu_element_bytes(b->t.cpu.precision, DT_REAL), narrow = narrow_bytes(precision_narrow(b->t.cpu.precision), real);
    compile(&c);
    bool ok = true;
    for (int k = 0; k < 2; k++)
        ok = ok && value_of(b, c.rec, rec_cost(c.rec, (RecFn)k, DIM_ONE).work, &b->work[k], error) &&
             value_of(b, c.rec, rec_traffic(c.rec, (RecFn)k, real, narrow), &b->bytes[k], error);
    b->work[1] += b->work[0];
    return ok;
}

/* ---- measurements ---- */

static bool at_asked_sizes(Bench *b, Str *error)
{
    if (!trial_measure(&b->t, b->t.frame, 1, error))
        return false;
    b->trains = b->t.candidate[0].timed.trains;
    for (uint32_t i = 0; i < b->t.n; i++)
        for (int k = 0; k < 1 + b->trains && !b->t.candidate[i].lacks.n; k++) {
            b->form[i].median[k] = time_median(&b->t.candidate[i].timed, k);
            b->form[i].spread[k] = time_spread(&b->t.candidate[i].timed, k);
        }
    return true;
}

static double ahead(const Trial *t, uint32_t form, int pass)
{
    double one = time_median(&t->candidate[form].timed, pass);
    return one > 0 ? time_median(&t->candidate[0].timed, pass) / one : 1;
}

static void keep_point(Bench *b, int64_t places)
{
    for (uint32_t i = 0; i < b->t.n; i++)
        for (int k = 0; k < 1 + b->trains && !b->t.candidate[i].lacks.n; k++)
            b->form[i].ahead[k][b->npoint] = ahead(&b->t, i, k);
    b->places[b->npoint++] = places;
}

/* A 64th, a 16th and a quarter of the places, those that there can be: an element `x[9]` needs ten. */
static bool along_time(Bench *b, Str *error)
{
    const RecProg *p = b->t.frame->prog;
    int64_t all = p->has_time ? b->t.frame->dim[p->time] : 0;
    for (int64_t part = 64; part > 1; part /= 4) {
        Frame *f;
        if (all / part == 0 || (b->npoint && all / part == b->places[b->npoint - 1]))
            continue;
        if (!trial_frame(&b->t, all / part, &f, error))
            continue;
        if (!trial_measure(&b->t, f, 0.1, error))
            return false;
        keep_point(b, all / part);
    }
    return true;
}

static bool has_parallel(const Bench *b)
{
    bool any = false;
    for (uint32_t i = 1; i < b->t.n; i++)
        any = any || !b->t.candidate[i].lacks.n;
    return any;
}

/* The sizes that are asked for come last, so that they are the last point too. */
static bool measure(Bench *b, Str *error)
{
    const Frame *f = b->t.frame;
    b->trains = b->t.candidate[0].code.kern->has_fn[REC_BACKWARD];
    bool timed = f->prog->has_time && f->dim[f->prog->time] > 0 && has_parallel(b);
    if ((timed && !along_time(b, error)) || !at_asked_sizes(b, error))
        return false;
    if (timed)
        keep_point(b, f->dim[f->prog->time]);
    return true;
}

/* By more than measurements differ by themselves. */
int64_t bench_faster_from(const Bench *b, uint32_t form, bool training)
{
    int64_t from = -1;
    for (uint32_t i = b->npoint; i-- > 0 && b->form[form].ahead[training][i] > 1.03;)
        from = b->places[i];
    return from;
}

/* ---- entries and files ---- */

static void conclude(Bench *b)
{
    if (b->entries)
        json_array_append_new(b->entries, bench_json(b));
    else
        bench_table(b);
}

static bool bench_entry(Bench *all, uint32_t entry)
{
    Bench b = *all;
    Str error;
    b.t.arena = arena_new();
    b.t.entry = entry;
    b.t.name = unit_entry_name(b.t.unit, entry);
    bool ok = trial_begin(&b.t, forms, NFORMS, true, &error) && count(&b, &error) && measure(&b, &error);
    progress_end(b.t.d->progress);
    if (ok)
        conclude(&b);
    else
        driver_fail(b.t.d, "%.*s: %.*s", STRF(b.t.name), STRF(error));
    trial_end(&b.t);
    arena_free(b.t.arena);
    return ok;
}

static bool bench_entries(Bench *b)
{
    bool ok = true;
    for (uint32_t i = 0; i < unit_entries(b->t.unit); i++)
        ok = (!driver_wants(b->t.d, b->t.unit, i) || bench_entry(b, i)) && ok;
    return ok;
}

static int bench_file(const Driver *all, Str path, Bench b)
{
    Driver d = driver_open(all);
    Unit *u = driver_load(&d, path);
    b.t.d = &d;
    b.t.unit = u;
    bool ok = u && trial_sizes(&d, u) && bench_entries(&b);
    driver_close(&d);
    return ok ? EXIT_FINE : EXIT_INPUT;
}

static void print_json(const Bench *b)
{
    json_t *all = bench_document(b, b->entries);
    char *text = json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    printf("%s\n", text ? text : "null");
    free(text);
    json_decref(all);
}

static bool begin(Driver *d, Bench *b, json_t **old)
{
    Str error;
    bool ok = !d->opt->given[OPT_COMPARE] || bench_read(d->arena, d->opt->value[OPT_COMPARE], old, &error);
    if (ok && !trial_level(d, &b->t.cpu))
        return false;
    progress_show(d->progress, "measuring what the machine can do");
    if (d->gpu)
        b->peak = (Peak){nv_device_flops(d->gpu->device, b->t.cpu.precision == PREC_F64), nv_device_bandwidth(d->gpu->device)};
    else
        ok = ok && peak_measure(&b->t.cpu, &b->peak, &error);
    progress_end(d->progress);
    if (!ok)
        driver_fail(d, "%.*s", STRF(error));
    return ok;
}

int cmd_bench(Driver *d)
{
    Bench b = {.t = {.arena = d->arena}};
    json_t *old = NULL;
    int code = driver_gpu_open(d);
    if (code)
        return code;
    b.t.d = d;
    code = begin(d, &b, &old) ? EXIT_FINE : EXIT_INPUT;
    bool ready = code == EXIT_FINE;
    b.old = old;
    b.entries = d->opt->given[OPT_JSON] ? json_array() : NULL;
    for (uint32_t i = 0; ready && i < d->opt->file.n; i++) {
        int one = bench_file(d, d->opt->file.p[i], b);
        code = code ? code : one;
    }
    if (ready && b.entries)
        print_json(&b);
    else
        json_decref(b.entries);
    json_decref(old);
    return code;
}
