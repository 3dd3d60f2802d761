/* Compiled code against the evaluator, what lies beyond a sequence's length, and sequences run alone. */
#include "frontend/check.h"

#include <math.h>

static const Draw draws[] = {
    {1, 1, false, false, true, false, NULL},  {0, 3, false, false, true, false, NULL}, {7, 3, false, false, false, false, NULL},
    {5, 1, true, false, true, true, NULL},    {11, 3, true, true, true, true, NULL},   {13, 3, false, true, false, false, NULL},
    {17, 2, true, false, false, false, NULL},
};
enum { NDRAW = sizeof draws / sizeof *draws, MOST_PLACES = 256 };

static bool has_gradients(const Checker *c)
{
    return c->reference->region.p[REC_BACKWARD].op.n > 0;
}

/* Moves every real argument by a few units in the last place of single precision: what the operations of a step do. */
static Frame *shaken(Checker *c, const Frame *f)
{
    Frame *g = frame_copy(f);
    const RecProg *p = f->prog;
    for (uint32_t i = 0; i < p->arg.n; i++)
        for (int64_t k = 0, n = g->in[i] ? frame_count(f, &p->arg.p[i].type, p->arg.p[i].batched) : 0; k < n; k++)
            if (p->arg.p[i].type.dt == DT_REAL)
                g->in[i][k] *= 1 + 2.4e-7 * draw_uniform(c);
    return g;
}

/* Where rounding of the arguments and of each operation moves the exact results by a good part of what was found (a chaotic
 * cell, a jump nearby, a difference of almost equal values), compiled code has no business to agree. The evaluator says
 * so, not the compiled code; it rounds to single precision (factors of products to less, where the code may do so), and double rounds 2^29 times finer. A whole number jumps by
 * as much however fine the rounding is: two best paths of equal score differ in both. */
bool is_unstable(Checker *c, const Frame *expected, const Frame *found, const Code *code)
{
    const RecProg *p = expected->prog;
    enum { NMOVED = 32 };
    Frame *moved[NMOVED];
    Tolerance tol = code_tolerance(code);
    Str error;
    for (uint32_t i = 0; i < NMOVED; i++) {
        moved[i] = i ? shaken(c, expected) : frame_copy(expected);
        moved[i]->factor = code->products;
        if (!frame_rounded(moved[i], has_gradients(c), &error))
            return false;
    }
    for (uint32_t i = 0; i < p->out.n; i++) {
        const RecOut *o = &p->out.p[i];
        double finer = code->cpu.precision == PREC_F64 && o->type.dt == DT_REAL ? 0x1p-29 : 1;
        double reach = 0, limit = tolerance_of(tol, p, i);
        if (!expected->out[i] || !found->out[i])
            continue;
        int64_t n = frame_count(expected, &o->type, o->batched);
        for (uint32_t k = 0; k < NMOVED; k++)
            reach = fmax(reach, difference(expected->out[i], moved[k]->out[i], n, tol.floor));
        if (difference(expected->out[i], found->out[i], n, tol.floor) > fmax(limit, 10 * finer * reach))
            return false;
    }
    return true;
}

typedef struct Outcome {
    uint32_t run, unstable;
    bool failed;
    Str why;
} Outcome;

static void compare_draw(Checker *c, const Draw *how, const Code *code, Outcome *out)
{
    Arena *scratch = arena_new();
    Str why = {0};
    Frame *f = draw_call(c, scratch, how, &why), *g = f ? frame_copy(f) : NULL;
    bool ran = f && frame_compiled(g, code, has_gradients(c), &why);
    bool agrees = ran && results_agree(f, g, code_tolerance(code), &why);
    bool unstable = ran && !agrees && is_unstable(c, f, g, code);
    out->run += f != NULL;
    out->unstable += unstable;
    out->failed = f && !agrees && !unstable;
    if (!f)
        out->why = str_copy(c->arena, why);
    else if (!agrees)
        out->why = str_fmt(c->arena, "%.*s, with %.*s", STRF(why), STRF(draw_str(scratch, f)));
    arena_free(scratch);
}

/* Long enough for whole chunks, or windows, of the form's size, where the other draws are not. */
static void compare_long(Checker *c, const Code *code, Outcome *out)
{
    int64_t size = c->form.size;
    const Draw whole[] = {{size, 1, false, true, true, false, NULL}, {size + 5, 2, true, false, true, true, NULL}, {2 * size + 1, 1, false, false, false, false, NULL}};
    if (size < 17 || size > MOST_PLACES)
        return;
    for (uint32_t i = 0; i < sizeof whole / sizeof *whole && !out->failed; i++)
        compare_draw(c, &whole[i], code, out);
}

static void check_code(Checker *c, const Code *code)
{
    Outcome out = {0};
    Str name = code_name(c->arena, code);
    c->rejected = 0;
    uint32_t npacked;
    const Draw *packed = packed_draws(&npacked);
    for (uint32_t i = 0; i < NDRAW * 2 && !out.failed; i++)
        compare_draw(c, &draws[i % NDRAW], code, &out);
    for (uint32_t i = 0; i < npacked && !out.failed && rec_prog_packs(c->reference); i++)
        compare_draw(c, &packed[i], code, &out);
    compare_long(c, code, &out);
    if (!out.run)
        check_skip(c, "%.*s and the evaluator: %.*s", STRF(name), STRF(out.why));
    else if (out.failed || out.unstable * 2 > out.run)
        check_fail(c, "%.*s and the evaluator: %.*s", STRF(name), STRF(out.why));
    else if (out.unstable)
        check_pass(c, "%.*s agrees with the evaluator, %u draws, %u of them unstable", STRF(name), out.run, out.unstable);
    else
        check_pass(c, "%.*s agrees with the evaluator, %u draws", STRF(name), out.run);
}

void check_compiled(Checker *c)
{
    for (uint32_t p = 0; p < NPRECISION; p++)
        for (CpuLevel l = 0; l < CPU_NLEVEL; l++)
            if (code_is_there(&c->code[p][l])) {
                progress_show(c->d->progress, "%.*s: comparing", STRF(c->name));
                check_code(c, &c->code[p][l]);
            }
}

/* ---- beyond a sequence's length ---- */

static bool run_one(Checker *c, Frame *f, const Code *code, Str *why)
{
    return code ? frame_compiled(f, code, has_gradients(c), why) : frame_reference(f, has_gradients(c), why);
}

/* Equal in value: a gradient that is nothing may be 0 or -0. Products of rounded factors have sums in any order. */
static bool beyond_once(Checker *c, const Draw *how, const Code *code, Str *why)
{
    Arena *scratch = arena_new();
    Frame *clean = draw_call(c, scratch, how, why), *spoilt = clean ? frame_copy(clean) : NULL;
    if (spoilt)
        spoil_beyond(spoilt);
    bool ok = spoilt && run_one(c, clean, code, why) && run_one(c, spoilt, code, why) &&
              results_agree(clean, spoilt, code && kern_rounds(code->kern) ? tolerance_of_two(code) : (Tolerance){0, 0, 0, 0}, why);
    *why = ok ? (Str){0} : str_copy(c->arena, *why);
    arena_free(scratch);
    return ok;
}

static const Draw ragged[] = {{5, 3, true, false, true, true, NULL}, {11, 3, true, true, false, true, NULL}, {4, 2, true, false, false, false, NULL}};
enum { NRAGGED = sizeof ragged / sizeof *ragged };

typedef bool Once(Checker *c, const Draw *how, const Code *code, Str *why);

/* Runs a test with every code (and the evaluator, if asked), on the ragged draws. */
static void check_ragged(Checker *c, Once *once, bool evaluator, const char *what)
{
    Str why = {0};
    uint32_t n = 0;
    c->rejected = 0;
    for (uint32_t i = 0; i < NRAGGED; i++) {
        if (evaluator && !once(c, &ragged[i], NULL, &why)) {
            check_fail(c, "%s: evaluator: %.*s", what, STRF(why));
            return;
        }
        for (uint32_t k = 0; k < NPRECISION * CPU_NLEVEL; k++) {
            const Code *code = &c->code[k / CPU_NLEVEL][k % CPU_NLEVEL];
            if (code_is_there(code) && !once(c, &ragged[i], code, &why)) {
                check_fail(c, "%s: %.*s: %.*s", what, STRF(code_name(c->arena, code)), STRF(why));
                return;
            }
            n += code_is_there(code);
        }
    }
    if (n || evaluator)
        check_pass(c, "%s", what);
}

void check_beyond(Checker *c)
{
    if (can_spoil(c->reference))
        check_ragged(c, beyond_once, true, "what lies beyond a sequence's length reaches no result");
}

/* ---- a sequence of a ragged batch is the sequence alone ---- */

/* Sequence b's part of a batched array, the places within these lengths. */
static double *part(const Frame *f, const Type *type, const double *whole, int64_t b, const double *length)
{
    Places at = frame_places(f, type);
    int64_t B = f->dim[f->prog->batch], n = frame_count(f, type, true), rest = n ? n / (at.all * B) : 0;
    double *out = NEWN(f->arena, double, at.all * rest), *next = out;
    for (int64_t place = 0; place < at.all && rest; place++) {
        if (places_beyond(&at, place, length))
            continue;
        memcpy(next, whole + (place * B + b) * rest, (size_t)rest * sizeof *out);
        next += rest;
    }
    return out;
}

static Frame *alone(const Frame *f, int64_t b, const double *length)
{
    const RecProg *p = f->prog;
    Frame *g = frame_new(f->arena, p);
    memcpy(g->dim, f->dim, dim_nsyms(p->dims) * sizeof *g->dim);
    g->dim[p->batch] = 1;
    for (uint32_t i = 0, axis = 0; i < p->open.n; i++)
        if (dim_sym_info(p->dims, p->open.p[i])->kind == DIM_TIME)
            g->dim[p->open.p[i]] = (int64_t)length[axis++];
    for (uint32_t i = 0; i < p->arg.n; i++) {
        const RecArg *x = &p->arg.p[i];
        if (f->in[i] && x->role != ROLE_LENGTH)
            g->in[i] = x->batched ? part(f, &x->type, f->in[i], b, length) : f->in[i];
    }
    return g;
}

/* What the batch gave for sequence b; beyond its length there must be zeros. Gradients of parameters are sums. */
static bool batch_results(const Frame *f, Frame *g, int64_t b, const double *length, Str *why)
{
    const RecProg *p = f->prog;
    static const double all_of[REC_MAXAXES] = {INFINITY, INFINITY, INFINITY, INFINITY};
    for (uint32_t i = 0; i < p->out.n; i++) {
        const RecOut *o = &p->out.p[i];
        if (!f->out[i] || !o->batched)
            continue;
        g->out[i] = part(f, &o->type, f->out[i], b, length);
        Places at = frame_places(f, &o->type);
        const double *all = part(f, &o->type, f->out[i], b, all_of);
        int64_t rest = at.all ? frame_count(f, &o->type, false) / at.all : 0;
        for (int64_t k = 0; k < at.all * rest; k++)
            if (all[k] != 0 && places_beyond(&at, k / rest, length)) {
                *why = str_fmt(f->arena, "`%.*s` is %g beyond its sequence", STRF(o->name), all[k]);
                return false;
            }
    }
    return true;
}

static bool alone_once(Checker *c, const Draw *how, const Code *code, Str *why)
{
    Arena *scratch = arena_new();
    Frame *f = draw_call(c, scratch, how, why);
    bool ok = f && run_one(c, f, code, why);
    for (int64_t b = 0; ok && b < how->B; b++) {
        int64_t extent[REC_MAXAXES];
        const double *length = f->in[rec_arg_of_role(f->prog, ROLE_LENGTH)] + b * frame_extents(f, extent);
        Frame *one = alone(f, b, length), *same = alone(f, b, length);
        Tolerance tol = tolerance_of_two(code);
        ok = run_one(c, one, code, why) && batch_results(f, same, b, length, why) && results_agree(one, same, tol, why);
    }
    *why = ok ? (Str){0} : str_copy(c->arena, *why);
    arena_free(scratch);
    return ok;
}

void check_alone(Checker *c)
{
    if (rec_has_role(c->reference, ROLE_LENGTH))
        check_ragged(c, alone_once, false, "a ragged batch gives what each sequence alone gives");
}
