#include "frontend/run_frame.h"

/* Copies sequence b's part of an array [T,B,...] or [B,...] to that of one sequence, or back. */
static void copy_sequence(const Frame *f, const Type *type, int64_t b, double *whole, double *one, bool back)
{
    int64_t batch = f->dim[f->prog->batch], count = frame_count(f, type, false), places = 1;
    for (uint8_t i = 0; i < type_places(f->prog->dims, type); i++) {
        int64_t n;
        if (!dim_eval(f->prog->dims, type->dim[i], f->dim, &n))
            ice("copy_sequence: a size overflows");
        places *= n;
    }
    int64_t rest = places ? count / places : 0;
    for (int64_t t = 0; t < places; t++) {
        double *in_whole = whole + (t * batch + b) * rest, *in_one = one + t * rest;
        if (rest)
            memcpy(back ? in_whole : in_one, back ? in_one : in_whole, (size_t)rest * sizeof(double));
    }
}

/* Without lengths every sequence has all places along every axis. */
static double *whole_length(const Frame *f, Arena *scratch)
{
    double *length = NEWN(scratch, double, REC_MAXAXES);
    int64_t extent[REC_MAXAXES];
    for (uint8_t n = frame_extents(f, extent); n-- > 0;)
        length[n] = (double)extent[n];
    return length;
}

static RecArray *sequence_arguments(const Frame *f, Arena *scratch, int64_t b)
{
    const RecProg *p = f->prog;
    RecArray *arg = NEWN(scratch, RecArray, p->arg.n);
    for (uint32_t i = 0; i < p->arg.n; i++) {
        const RecArg *x = &p->arg.p[i];
        arg[i].data = f->in[i] || x->role != ROLE_LENGTH ? f->in[i] : whole_length(f, scratch);
        if (!f->in[i] || !x->batched)
            continue;
        arg[i].data = NEWN(scratch, double, frame_count(f, &x->type, false));
        copy_sequence(f, &x->type, b, f->in[i], arg[i].data, false);
    }
    return arg;
}

static void take_result(Frame *f, uint32_t out, int64_t b, const double *value)
{
    const RecOut *o = &f->prog->out.p[out];
    int64_t n = frame_count(f, &o->type, false);
    if (o->role == OUT_GRAD_PARAM)
        for (int64_t i = 0; i < n; i++)
            f->out[out][i] += value[i];
    else if (o->batched)
        copy_sequence(f, &o->type, b, f->out[out], (double *)(uintptr_t)value, true);
    else if (n)
        memcpy(f->out[out], value, (size_t)n * sizeof(double));
}

/* Of the batch that f says; `number` is what to call it. */
static bool run_sequence(Frame *f, int64_t b, int64_t number, bool grad, bool rounded, Str *error)
{
    const RecProg *p = f->prog;
    Arena *scratch = arena_new();
    RecEval *e = rec_eval_new(scratch, p, f->dim, sequence_arguments(f, scratch, b), 0);
    if (rounded)
        rec_eval_round(e, f->factor);
    rec_eval_watch(e, f->watch, f->watching);
    f->sequence = number;
    bool ok = rec_eval_run(e, REC_FORWARD, error) && (!grad || rec_eval_run(e, REC_BACKWARD, error));
    for (uint32_t i = 0; ok && i < p->out.n; i++)
        if (f->out[i])
            take_result(f, i, b, rec_eval_value(e, p->out.p[i].value));
    if (!ok && f->sequences > 1)
        *error = str_fmt(f->arena, "%.*s, in sequence %lld", STRF(*error), (long long)number);
    else if (!ok)
        *error = str_copy(f->arena, *error);
    rec_eval_free(e);
    arena_free(scratch);
    return ok;
}

/* While it runs f is that sequence, for those who watch. */
static bool run_packed(Frame *f, int64_t b, bool grad, bool rounded, Str *error)
{
    Frame whole = *f;
    *f = frame_sequence(&whole, b);
    f->sequences = whole.sequences;
    bool ok = run_sequence(f, 0, b, grad, rounded, error);
    *f = whole;
    return ok;
}

static bool run_sequences(Frame *f, bool grad, bool rounded, Str *error)
{
    const RecProg *p = f->prog;
    for (uint32_t i = 0; i < p->out.n; i++) {
        const RecOut *o = &p->out.p[i];
        bool wanted = o->role == OUT_VALUE || o->role == OUT_FINAL || (grad && rec_is_gradient(o->role));
        f->out[i] = wanted ? frame_array(f, &o->type, o->batched) : NULL;
    }
    f->sequences = f->dim[p->batch];
    for (int64_t b = 0; b < f->sequences; b++)
        if (!(f->offset ? run_packed(f, b, grad, rounded, error) : run_sequence(f, b, b, grad, rounded, error)))
            return false;
    return true;
}

bool frame_reference(Frame *f, bool grad, Str *error)
{
    return run_sequences(f, grad, false, error);
}

bool frame_rounded(Frame *f, bool grad, Str *error)
{
    return run_sequences(f, grad, true, error);
}

bool frame_init(Frame *f, uint64_t seed, Str *error)
{
    const RecProg *p = f->prog;
    RecArray *arg = NEWN(f->arena, RecArray, p->arg.n);
    RecEval *e = rec_eval_new(f->arena, p, f->dim, arg, seed);
    bool ok = rec_eval_run(e, REC_INIT, error);
    for (uint32_t i = 0; ok && i < p->out.n; i++) {
        const RecOut *o = &p->out.p[i];
        if (o->role != OUT_PARAM || f->in[o->of])
            continue;
        f->in[o->of] = frame_array(f, &o->type, false);
        int64_t n = frame_count(f, &o->type, false);
        if (n)
            memcpy(f->in[o->of], rec_eval_value(e, o->value), (size_t)n * sizeof(double));
    }
    rec_eval_free(e);
    return ok;
}
