#include "frontend/run_finite.h"

#include <math.h>

/* nan has a sign, which nobody wants to know. */
Str value_str(Arena *a, double x)
{
    return isnan(x) ? STR("nan") : str_fmt(a, "%g", x);
}

/* "step" of a sequence, "node" of a graph, else "place". */
static const char *place_word(const RecProg *p, const Type *type, uint8_t naxes)
{
    if (rec_has_role(p, ROLE_PLAN))
        return type->dim[0] == dim_of(p->dims, p->time) ? "node" : "place";
    return naxes == 1 ? "step" : "place";
}

/* The first `axes` indices of element i, and in `b` the one behind them. */
static Str leading(const Frame *f, Array *shape, uint8_t axes, int64_t i, int64_t *b)
{
    int64_t rest = 1;
    for (uint32_t k = axes + 1u; k < shape->rank; k++)
        rest *= shape->dim[k];
    *b = i / rest % shape->dim[axes];
    shape->rank = axes;
    return array_place_str(f->arena, shape, i / rest / shape->dim[axes]);
}

/* Place t of a packed batch is a place of sequence b. */
static int64_t sequence_at(const Frame *f, int64_t t)
{
    int64_t b = 0;
    while (f->offset[b + 1] <= t)
        b++;
    return b;
}

static Str packed_where(const Frame *f, const Type *type, int64_t i)
{
    int64_t t = i / (frame_count(f, type, true) / f->dim[f->prog->time]), b = sequence_at(f, t);
    return str_fmt(f->arena, " at step %lld of sequence %lld", (long long)(t - f->offset[b]), (long long)b);
}

Str frame_where(const Frame *f, const Type *type, bool batched, int64_t i)
{
    Array shape;
    int64_t b;
    uint8_t axes = type_places(f->prog->dims, type);
    if (!frame_shape(f, type, batched, &shape))
        ice("frame_where: a size overflows");
    if (!batched)
        return shape.rank ? str_fmt(f->arena, " at element %.*s", STRF(array_place_str(f->arena, &shape, i))) : STR("");
    if (f->offset && axes)
        return packed_where(f, type, i);
    Str place = leading(f, &shape, axes, i, &b);
    if (!axes)
        return str_fmt(f->arena, " in sequence %lld", (long long)b);
    return str_fmt(f->arena, " at %s %.*s of sequence %lld", place_word(f->prog, type, axes), STRF(place),
                   (long long)b);
}

/* ---- arguments ---- */

static const double *lengths_of(const Frame *f)
{
    uint32_t arg = rec_arg_of_role(f->prog, ROLE_LENGTH);
    return arg == UINT32_MAX ? NULL : f->in[arg];
}

/* Nothing is read there. */
static bool is_unread(const Frame *f, const RecArg *x, int64_t i)
{
    Places at = frame_places(f, &x->type);
    const double *length = lengths_of(f);
    if (!length || !at.n || !x->batched)
        return false;
    if (f->offset) {
        int64_t t = i / (frame_count(f, &x->type, true) / at.all), b = sequence_at(f, t);
        return (double)(t - f->offset[b]) >= length[b];
    }
    int64_t B = f->dim[f->prog->batch], rest = frame_count(f, &x->type, true) / (at.all * B);
    return places_beyond(&at, i / rest / B, length + i / rest % B * at.of_cell);
}

static void name_argument(const Frame *f, uint32_t arg)
{
    const RecArg *x = &f->prog->arg.p[arg];
    int64_t n = f->in[arg] && x->type.dt == DT_REAL ? frame_count(f, &x->type, x->batched) : 0;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(f->in[arg][i]) || is_unread(f, x, i))
            continue;
        fprintf(stderr, "rnnc: note: `%.*s` has %.*s%.*s\n", STRF(x->name), STRF(value_str(f->arena, f->in[arg][i])),
                STRF(frame_where(f, &x->type, x->batched, i)));
        return;
    }
}

/* ---- results ---- */

typedef struct Finding {
    uint32_t out;           /* RecOut index */
    int64_t element, place; /* place -1: a value per sequence */
} Finding;

/* The first element that is not finite, or, of what is made from the end to the start, the last one. */
static bool find_bad(const Frame *f, uint32_t out, bool last, Finding *found)
{
    const RecOut *o = &f->prog->out.p[out];
    Array shape;
    int64_t n = f->out[out] && o->type.dt == DT_REAL ? frame_count(f, &o->type, o->batched) : 0;
    for (int64_t k = 0; k < n; k++) {
        int64_t i = last ? n - 1 - k : k;
        if (isfinite(f->out[out][i]) || !frame_shape(f, &o->type, o->batched, &shape))
            continue;
        *found = (Finding){out, i, frame_is_timed(f->prog, &o->type) ? i / (n / shape.dim[0]) : -1};
        return true;
    }
    return false;
}

static bool is_nearer(const Finding *a, const Finding *b, bool last)
{
    return a->place >= 0 && (b->place < 0 || (last ? a->place > b->place : a->place < b->place));
}

static bool nearest_bad(const Frame *f, bool gradients, bool last, Finding *best)
{
    Finding next;
    bool bad = false;
    for (uint32_t i = 0; i < f->prog->out.n; i++)
        if (rec_is_gradient(f->prog->out.p[i].role) == gradients && find_bad(f, i, last, &next) &&
            (!bad || is_nearer(&next, best, last))) {
            *best = next;
            bad = true;
        }
    return bad;
}

/* Gradients are made against the order of the states. */
static bool runs_to_start(const RecProg *p)
{
    for (uint32_t i = 0; i < p->region.p[REC_FORWARD].op.n; i++) {
        const RecOp *op = rec_op(p, p->region.p[REC_FORWARD].op.p[i]);
        if (op->kind == REC_RECUR)
            return op->reverse;
    }
    return false;
}

static void complain(Driver *d, const Frame *f, const Finding *bad)
{
    const RecOut *o = &f->prog->out.p[bad->out];
    Str value = value_str(f->arena, f->out[bad->out][bad->element]);
    driver_fail(d, "%.*s: `%.*s` is %.*s%.*s", STRF(f->prog->name), STRF(o->name), STRF(value),
                STRF(frame_where(f, &o->type, o->batched, bad->element)));
}

bool check_finite(Driver *d, const Frame *f, bool single)
{
    Finding bad;
    bool forward = nearest_bad(f, false, false, &bad);
    if (!forward && !nearest_bad(f, true, !runs_to_start(f->prog), &bad))
        return true;
    for (uint32_t i = 0; i < f->prog->arg.n; i++)
        name_argument(f, i);
    progress_show(d->progress, "%.*s: looking for where it began", STRF(f->prog->name));
    Str origin = forward ? frame_origin(f, single) : STR("");
    progress_end(d->progress);
    if (origin.n)
        driver_fail(d, "%.*s: %.*s", STRF(f->prog->name), STRF(origin));
    else
        complain(d, f, &bad);
    return false;
}
