/* Whether functions that are declared associative are: join(join(a, b), c) against join(a, join(b, c)), in double precision,
 * on random operands of several sizes and scales. A draw next to a jump, or where the function makes much of little, says
 * nothing and is rejected: one where operands that are a little off give results that are not. */
#include "frontend/check.h"

#include <math.h>

enum { OPERANDS = 3, SCALES = 4, DRAWS_OF_EACH = 16 };

#define NUDGE 1e-12  /* of operands, relative */
#define SMOOTH 1e-8  /* what it may move results by, relative */
#define AGREES 1e-10 /* SMOOTH / NUDGE roundings are some 1e-12 */

typedef struct Trial {
    Checker *c;
    Frame *f;      /* of sizes; its `in` are the left operands and then the right ones */
    uint32_t n;    /* values of an operand */
    uint32_t scale;
    double **operand[OPERANDS]; /* each n arrays */
} Trial;

static int64_t count(const Trial *t, uint32_t i)
{
    return frame_count(t->f, &t->f->prog->arg.p[i].type, false);
}

static double **arrays(const Trial *t)
{
    double **x = NEWN(t->f->arena, double *, t->n);
    for (uint32_t i = 0; i < t->n; i++)
        x[i] = NEWN(t->f->arena, double, count(t, i) + 1);
    return x;
}

/* ---- draws ---- */

static bool draw_sizes(Checker *c, Frame *f)
{
    static const int64_t some[] = {1, 2, 3, 4, 5, 7};
    const RecProg *p = f->prog;
    Str ignored;
    for (int attempt = 0; attempt < 500; attempt++) {
        for (DimSym s = 0; s < dim_nsyms(p->dims); s++)
            f->dim[s] = -1;
        f->dim[p->batch] = f->dim[p->keep] = 1;
        for (uint32_t i = 0; i < p->open.n; i++)
            f->dim[p->open.p[i]] = some[(int64_t)(3 * (draw_uniform(c) + 1)) % 6];
        if (dims_complete(f, &ignored) && frame_fits(f, &ignored))
            return true;
    }
    return false;
}

/* Of both signs up to 1, positive ones, large ones, and few different ones, among which some are equal. */
static double draw_real(Checker *c, uint32_t scale)
{
    double u = draw_uniform(c);
    return scale == 0 ? u : scale == 1 ? 0.1 + 0.4 * (u + 1) : scale == 2 ? 8 * u : 0.25 + 0.25 * floor(2 * (u + 1));
}

static double draw_element(Checker *c, DType dt, uint32_t scale)
{
    double u = draw_uniform(c);
    return dt == DT_REAL ? draw_real(c, scale) : dt == DT_BOOL ? u > 0 : floor(2 * (u + 1));
}

static void draw_operands(Trial *t)
{
    for (uint32_t k = 0; k < OPERANDS; k++) {
        t->operand[k] = arrays(t);
        for (uint32_t i = 0; i < t->n; i++)
            for (int64_t e = 0; e < count(t, i); e++)
                t->operand[k][i][e] = draw_element(t->c, t->f->prog->arg.p[i].type.dt, t->scale);
    }
}

static double **nudged(const Trial *t, double *const *x)
{
    double **y = arrays(t);
    for (uint32_t i = 0; i < t->n; i++)
        for (int64_t e = 0; e < count(t, i); e++)
            y[i][e] = t->f->prog->arg.p[i].type.dt == DT_REAL ? x[i][e] * (1 + NUDGE * draw_uniform(t->c)) : x[i][e];
    return y;
}

/* ---- both orders ---- */

static double **joined(const Trial *t, double *const *left, double *const *right)
{
    const RecProg *p = t->f->prog;
    RecArray *arg = NEWN(t->f->arena, RecArray, p->arg.n);
    Str ignored;
    for (uint32_t i = 0; i < t->n; i++) {
        arg[i].data = left[i];
        arg[t->n + i].data = right[i];
    }
    double **x = arrays(t);
    RecEval *e = rec_eval_new(t->f->arena, p, t->f->dim, arg, 0);
    bool ok = rec_eval_run(e, REC_FORWARD, &ignored);
    for (uint32_t i = 0; i < t->n; i++)
        for (int64_t k = 0; k < count(t, i); k++)
            x[i][k] = ok ? rec_eval_value(e, p->out.p[i].value)[k] : NAN;
    rec_eval_free(e);
    return x;
}

static double **in_order(const Trial *t, double **const *x, bool first)
{
    return first ? joined(t, joined(t, x[0], x[1]), x[2]) : joined(t, x[0], joined(t, x[1], x[2]));
}

/* The result by which two differ most, and by how much. */
static double apart(const Trial *t, double *const *x, double *const *y, uint32_t *which)
{
    double worst = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        double d = difference(x[i], y[i], count(t, i), 0);
        if (d > worst) {
            worst = d;
            *which = i;
        }
    }
    return worst;
}

static bool is_number(const Trial *t, double *const *x)
{
    for (uint32_t i = 0; i < t->n; i++)
        for (int64_t k = 0; k < count(t, i); k++)
            if (!isfinite(x[i][k]))
                return false;
    return true;
}

/* Whether the draw says anything. */
static bool is_smooth(const Trial *t, double *const *first, double *const *second)
{
    double **x[OPERANDS];
    uint32_t which;
    for (uint32_t k = 0; k < OPERANDS; k++)
        x[k] = nudged(t, t->operand[k]);
    return is_number(t, first) && is_number(t, second) && apart(t, first, in_order(t, x, true), &which) <= SMOOTH &&
           apart(t, second, in_order(t, x, false), &which) <= SMOOTH;
}

/* ---- reports ---- */

static void put_sizes(const Trial *t, Text *out)
{
    const RecProg *p = t->f->prog;
    for (uint32_t i = 0; i < p->open.n; i++)
        text_add(out, ", %.*s = %lld", STRF(dim_sym_info(p->dims, p->open.p[i])->name), (long long)t->f->dim[p->open.p[i]]);
}

static void put_operands(const Trial *t, Text *out)
{
    for (uint32_t k = 0; k < OPERANDS; k++)
        for (uint32_t i = 0; i < t->n; i++)
            for (int64_t e = 0; e < count(t, i); e++)
                text_add(out, "%s%.6g", i || e ? " " : k ? ", " : "; operands ", t->operand[k][i][e]);
}

static Str draw_text(const Trial *t, uint32_t draw)
{
    Text out = {.arena = t->c->arena};
    int64_t elements = 0;
    text_add(&out, "in draw %u", draw + 1);
    put_sizes(t, &out);
    for (uint32_t i = 0; i < t->n; i++)
        elements += count(t, i);
    if (elements <= 6)
        put_operands(t, &out);
    return text_str(&out);
}

typedef struct Found {
    double worst; /* of draws that agree */
    uint32_t used, rejected;
    bool differs;
} Found;

static void try_once(Trial *t, uint32_t draw, Found *found)
{
    uint32_t which = 0;
    draw_operands(t);
    double **first = in_order(t, t->operand, true), **second = in_order(t, t->operand, false);
    if (!is_smooth(t, first, second)) {
        found->rejected++;
        return;
    }
    double d = apart(t, first, second, &which);
    found->used++;
    found->worst = d > found->worst ? d : found->worst;
    found->differs = d > AGREES;
    Str result = t->f->prog->out.p[which].name, where = draw_text(t, draw);
    t->c->rejected = found->rejected;
    if (found->differs)
        check_fail(t->c, "is not associative: `%.*s` of ((a, b), c) and of (a, (b, c)) differ by %.2g %.*s", STRF(result), d, STRF(where));
}

static Found try_draws(Checker *c, const RecProg *p)
{
    Found found = {0};
    for (uint32_t draw = 0; draw < SCALES * DRAWS_OF_EACH && !found.differs; draw++) {
        Arena *scratch = arena_new();
        Trial t = {.c = c, .f = frame_new(scratch, p), .n = p->out.n, .scale = draw % SCALES};
        if (draw_sizes(c, t.f))
            try_once(&t, draw, &found);
        arena_free(scratch);
    }
    return found;
}

void check_operator(Checker *c, const Fn *fn)
{
    RecProg *p = elab_operator(c->arena, c->unit, fn, c->d->diags);
    c->name = fn->name.text;
    c->rejected = 0;
    if (!p)
        return;
    check_rec(p, "lowering");
    Found found = try_draws(c, p);
    c->rejected = found.rejected;
    if (!found.used)
        check_fail(c, "no draw shows whether it is associative: results are not finite, or jump");
    else if (!found.differs)
        check_pass(c, "is associative in %u draws, to %.2g", found.used, found.worst);
    c->rejected = 0;
}
