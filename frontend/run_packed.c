/* A packed batch in a Frame: what it takes of a file, and one of its sequences as a call of its own. */
#include "frontend/run_load.h"

bool frame_batched(const Frame *f, const Type *type, bool batched)
{
    return batched && !(f->offset && frame_is_timed(f->prog, type));
}

int64_t frame_places_of(const Frame *f, int64_t b)
{
    return f->offset ? f->offset[b + 1] - f->offset[b] : f->dim[f->prog->time];
}

/* ---- one sequence ---- */

/* Where sequence b's part of an array begins. */
static double *part_of(const Frame *f, const Type *type, bool batched, double *array, int64_t b)
{
    bool timed = frame_is_timed(f->prog, type);
    int64_t parts = f->dim[timed ? f->prog->time : f->prog->batch];
    if (!array || !batched || !parts)
        return array;
    return array + frame_count(f, type, true) / parts * (timed ? f->offset[b] : b);
}

Frame frame_sequence(const Frame *f, int64_t b)
{
    const RecProg *p = f->prog;
    Frame one = *frame_new(f->arena, p);
    memcpy(one.dim, f->dim, dim_nsyms(p->dims) * sizeof *one.dim);
    one.dim[p->time] = frame_places_of(f, b);
    one.dim[p->batch] = 1;
    dims_derive(p->dims, p->derived.p, p->derived.n, one.dim);
    for (uint32_t i = 0; i < p->arg.n; i++)
        one.in[i] = part_of(f, &p->arg.p[i].type, p->arg.p[i].batched, f->in[i], b);
    for (uint32_t i = 0; i < p->out.n; i++)
        one.out[i] = part_of(f, &p->out.p[i].type, p->out.p[i].batched, f->out[i], b);
    one.factor = f->factor;
    one.watch = f->watch;
    one.watching = f->watching;
    return one;
}

/* ---- from a file ---- */

static void complain(Load *l, Str message)
{
    text_add(&l->errors, "%.*s\n", STRF(message));
}

static Str wrong_type(const Load *l, const Array *from, const char *with)
{
    Arena *a = l->frame->arena;
    return str_fmt(a, "array `offsets` is %.*s, but int[B + 1] is expected%s", STRF(array_type_str(a, from)), with);
}

/* B follows from how many there are. */
static bool take_count(Load *l, const Array *from)
{
    Frame *f = l->frame;
    int64_t *B = &f->dim[f->prog->batch];
    bool whole = from->elem == EL_I32 || from->elem == EL_I64 || from->elem == EL_U8;
    if (!whole || from->rank != 1 || from->dim[0] < 1)
        return complain(l, wrong_type(l, from, "")), false;
    if (*B >= 0 && *B != from->dim[0] - 1)
        return complain(l, wrong_type(l, from, str_c(f->arena, str_fmt(f->arena, " with B = %lld (%.*s)", (long long)*B, STRF(f->origin[f->prog->batch]))))), false;
    *B = from->dim[0] - 1;
    f->origin[f->prog->batch] = STR("from `offsets`, one less than it has");
    return true;
}

/* What is wrong with an element behind `before`; NULL for nothing. */
static const char *offset_fault(double v, double before, bool first)
{
    if (first && v != 0)
        return "the first sequence begins at 0";
    if (v > INT32_MAX)
        return "32 bits must do";
    return v < before ? "offsets do not decrease" : NULL;
}

void load_offsets(Load *l)
{
    Frame *f = l->frame;
    const Array *from = rec_prog_packs(f->prog) ? arrays_find(l->from, STR("offsets")) : NULL;
    if (!from)
        return;
    l->used[from - l->from->list.p] = true;
    if (!take_count(l, from))
        return;
    int32_t *offset = NEWN(f->arena, int32_t, from->dim[0]);
    for (int64_t i = 0; i < from->dim[0]; i++) {
        double v = array_get(from, i);
        const char *fault = offset_fault(v, i ? offset[i - 1] : 0, i == 0);
        if (fault) {
            complain(l, str_fmt(f->arena, "array `offsets`: element %lld is %.0f, but %s", (long long)i, v, fault));
            return;
        }
        offset[i] = (int32_t)v;
    }
    f->offset = offset;
}

void load_check_offsets(Load *l)
{
    const Frame *f = l->frame;
    int64_t T = f->dim[f->prog->time], B = f->dim[f->prog->batch];
    Str error;
    if (f->offset && f->offset[B] != T)
        complain(l, str_fmt(f->arena, "array `offsets`: the last element is %d, but all sequences together have T = %lld places (%.*s)",
                            f->offset[B], (long long)T, STRF(f->origin[f->prog->time])));
    else if (!dims_fit_sequences(f, &error))
        complain(l, error);
}
