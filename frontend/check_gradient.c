/* The evaluator's gradients against differences, along random directions of one argument at a time.
 *
 * A difference of fourth order: (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h. Near a kink the second difference shrinks with
 * h only as h, not as h^2: such draws are rejected. */
#include "frontend/check.h"

#include <math.h>

typedef struct Probe {
    Checker *c;
    Frame *at;         /* with cotangents and exact gradients */
    uint32_t arg, out; /* the argument, and the result that is its gradient */
    double *direction;
    int64_t n;
    bool failed;       /* the evaluator refused a call */
} Probe;

/* What the gradients are of: the sum of all results, weighted by their cotangents. */
static double loss(const Frame *f)
{
    const RecProg *p = f->prog;
    double sum = 0;
    for (uint32_t i = 0; i < p->arg.n; i++) {
        const RecArg *x = &p->arg.p[i];
        if (x->role != ROLE_COTANGENT || !f->in[i])
            continue;
        for (int64_t k = 0, n = frame_count(f, &x->type, x->batched); k < n; k++)
            sum += f->in[i][k] * f->out[x->of][k];
    }
    return sum;
}

static double loss_at(Probe *q, double step)
{
    Str why;
    Frame *f = frame_copy(q->at);
    for (int64_t k = 0; k < q->n; k++)
        f->in[q->arg][k] += step * q->direction[k];
    q->failed = q->failed || !frame_reference(f, false, &why);
    return q->failed ? 0 : loss(f);
}

typedef struct Slope {
    double slope, bend; /* bend: the second difference over h */
} Slope;

static Slope slope(Probe *q, double middle, double h)
{
    double p1 = loss_at(q, h), m1 = loss_at(q, -h), p2 = loss_at(q, 2 * h), m2 = loss_at(q, -2 * h);
    return (Slope){(8 * (p1 - m1) - (p2 - m2)) / (12 * h), fabs(p1 - 2 * middle + m1) / h};
}

typedef enum Verdict { AGREES, DIFFERS, REJECTED } Verdict;

static Verdict probe(Probe *q, double *distance)
{
    const double h = 1e-4, bound = 1e-6;
    double exact = 0, size = 1e-3, middle = loss(q->at);
    for (int64_t k = 0; k < q->n; k++) {
        q->direction[k] = draw_uniform(q->c);
        exact += q->at->out[q->out][k] * q->direction[k];
        size += fabs(q->at->out[q->out][k] * q->direction[k]);
    }
    size += 1e-3 * fabs(middle);
    Slope wide = slope(q, middle, h), narrow = slope(q, middle, h / 2);
    *distance = fabs(narrow.slope - exact) / size;
    if (q->failed || !isfinite(narrow.slope) || fabs(wide.slope - narrow.slope) > bound / 2 * size)
        return REJECTED;
    if (narrow.bend > 1e-5 * size && narrow.bend > 0.75 * wide.bend)
        return REJECTED;
    return *distance <= bound ? AGREES : DIFFERS;
}

/* A few fresh draws for one argument; DIFFERS at once, REJECTED only if all are. */
static Verdict probe_argument(Checker *c, uint32_t arg, uint32_t out, const Draw *how, double *distance, Str *where)
{
    for (uint32_t attempt = 0; attempt < 12; attempt++) {
        Arena *scratch = arena_new();
        Str why;
        Probe q = {.c = c, .arg = arg, .out = out, .at = draw_call(c, scratch, how, &why)};
        Verdict v = REJECTED;
        if (q.at && q.at->in[arg] && q.at->out[out]) {
            const RecArg *x = &c->reference->arg.p[arg];
            q.n = frame_count(q.at, &x->type, x->batched);
            q.direction = NEWN(scratch, double, q.n);
            v = probe(&q, distance);
            *where = draw_str(c->arena, q.at);
        }
        arena_free(scratch);
        if (v != REJECTED)
            return v;
        c->rejected++;
    }
    return REJECTED;
}

/* One argument on several draws. False when that ends the test. */
static bool check_argument(Checker *c, uint32_t out, uint32_t *rejected)
{
    static const int32_t offset[] = {0, 0, 4, 4, 7};
    static const Draw draws[] = {{3, 1, false, false, true, false, NULL}, {5, 2, true, false, true, true, NULL},
                                 {6, 2, false, true, true, false, NULL}, {7, 4, false, true, true, false, offset}};
    const RecProg *p = c->reference;
    uint32_t arg = p->out.p[out].of;
    for (uint32_t i = 0; i < sizeof draws / sizeof *draws; i++) {
        double distance = 0;
        Str where = {0};
        if ((p->arg.p[arg].role == ROLE_START && !draws[i].starts) || (draws[i].offset && !rec_prog_packs(p)))
            continue;
        Verdict v = probe_argument(c, arg, out, &draws[i], &distance, &where);
        *rejected += v == REJECTED;
        if (v != DIFFERS)
            continue;
        if (p->chosen)
            check_pass(c, "the chosen derivative by `%.*s` is %.2g away from differences", STRF(p->arg.p[arg].name), distance);
        else
            check_fail(c, "the gradient by `%.*s` is %.2g away from differences, with %.*s", STRF(p->arg.p[arg].name),
                       distance, STRF(where));
        return false;
    }
    return true;
}

void check_gradients(Checker *c)
{
    const RecProg *p = c->reference;
    uint32_t n = 0, rejected = 0, ok = 0;
    c->rejected = 0;
    for (uint32_t i = 0; i < p->out.n; i++) {
        if (p->out.p[i].role != OUT_GRAD && p->out.p[i].role != OUT_GRAD_PARAM)
            continue;
        progress_show(c->d->progress, "%.*s: differences by %.*s", STRF(c->name), STRF(p->arg.p[p->out.p[i].of].name));
        n++;
        ok += check_argument(c, i, &rejected);
    }
    if (!n)
        check_skip(c, "gradients: there are none");
    else if (rejected > n)
        check_skip(c, "gradients: no draw away from kinks and jumps");
    else if (ok == n)
        check_pass(c, "gradients agree with differences, %u arguments", n);
}
