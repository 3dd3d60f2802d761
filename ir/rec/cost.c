/* Costs: see cost.h. The counts are of the program as it stands, op by op over its iteration space; a recurrence's step counts as
 * often as it is made. */
#include "ir/rec/cost.h"
#include "ir/rec/pass.h"

typedef struct Count {
    const RecProg *p;
    DimTab *t;
    Dim iterations;
} Count;

static Dim points(const Count *c, const RecOp *op)
{
    Dim n = DIM_ONE;
    for (uint8_t i = 0; i < op->nit; i++)
        n = dim_mul(c->t, n, op->space[i]);
    return n;
}

static bool calculates(const RecProg *p, const RecOp *op)
{
    switch (op->fun) {
    case FUN_ID:
    case FUN_STOP:
    case FUN_CHOSEN:
    case FUN_NEG:
    case FUN_WHERE:
    case FUN_REAL: return false;
    default: return op->type.dt == DT_REAL && rec_type(p, op->use[0].v)->dt == DT_REAL;
    }
}

static Dim work_of(const Count *c, const RecOp *op)
{
    if (op->type.dt != DT_REAL)
        return DIM_ZERO;
    switch (op->kind) {
    case REC_MAP: return calculates(c->p, op) ? points(c, op) : DIM_ZERO;
    case REC_REDUCE: return points(c, op);
    case REC_SCATTER: return points(c, op);
    case REC_CONTRACT: return dim_mul(c->t, dim_const(c->t, 2), points(c, op));
    default: return DIM_ZERO;
    }
}

/* How often a recurrence's step is made. Newton's iterations are the loop in a window; what is run again is a loop of one round. */
static Dim times(const Count *c, const RecOp *op)
{
    if (!op->until || c->p->form.kind != REC_FORM_NEWTON)
        return op->length;
    RecId owner = c->p->region.p[op->home].owner;
    bool window = owner != REC_NONE && rec_op(c->p, owner)->chunk;
    if (op->length == DIM_ONE && !(window && c->p->form.rounds == 1))
        return DIM_ZERO;
    return window ? c->iterations : op->length;
}

/* The places of a recurrence over a grid are as many as all of its extents say. */
static Dim places(const Count *c, const RecOp *op)
{
    Dim n = times(c, op);
    for (uint8_t i = 1; op->grid && i < op->grid->naxes; i++)
        n = dim_mul(c->t, n, op->grid->extent[i]);
    return n;
}

static Dim work_in(const Count *c, RecRegion r)
{
    Dim sum = DIM_ZERO;
    for (uint32_t i = 0; i < c->p->region.p[r].op.n; i++) {
        const RecOp *op = rec_op(c->p, c->p->region.p[r].op.p[i]);
        Dim one = op->kind == REC_RECUR ? dim_mul(c->t, places(c, op), work_in(c, op->region)) : work_of(c, op);
        sum = dim_add(c->t, sum, one);
    }
    return sum;
}

/* ---- depth: the longest chain of steps, each of which needs the one before ---- */

/* Sizes that formulas are compared at: long sequences. */
static int64_t sample(const Count *c, Dim d)
{
    enum { PLACES = 1 << 20, OTHERS = 64 };
    uint32_t n = dim_nsyms(c->t);
    int64_t *value = NEWN(c->p->arena, int64_t, n + 1), out = INT64_MAX;
    for (DimSym s = 0; s < n; s++)
        value[s] = dim_sym_info(c->t, s)->kind == DIM_TIME ? PLACES : OTHERS;
    for (uint32_t i = 0; i < c->p->derived.n; i++) {
        int64_t num = 0, den = 1;
        if (dim_eval(c->t, c->p->derived.p[i].num, value, &num) && dim_eval(c->t, c->p->derived.p[i].den, value, &den) && den)
            value[c->p->derived.p[i].sym] = num / den;
    }
    return dim_eval(c->t, d, value, &out) ? out : INT64_MAX;
}

static Dim longer(const Count *c, Dim a, Dim b)
{
    return a == b || sample(c, a) >= sample(c, b) ? a : b;
}

/* By op, how deep the values of a region are: from its beginning, and from the states that a step finds. */
typedef struct Chains {
    Dim *from;
    bool *stateful;
    Dim *since;
} Chains;

static Dim depth_of(const Count *c, const Chains *x, const RecOp *op);

/* What an op, and all that stands in it, reads of region r is taken into account. */
static void follow(const Count *c, const Chains *x, const RecOp *op, RecRegion r, RecId into)
{
    for (uint32_t i = 0; i < op->nuse; i++) {
        RecId v = op->use[i].v;
        if (rec_op(c->p, v)->home != r)
            continue;
        x->from[into] = longer(c, x->from[into], x->from[v]);
        x->since[into] = longer(c, x->since[into], x->since[v]);
        x->stateful[into] |= x->stateful[v];
    }
    for (uint32_t i = 0; op->kind == REC_RECUR && i < c->p->region.p[op->region].op.n; i++)
        follow(c, x, rec_op(c->p, c->p->region.p[op->region].op.p[i]), r, into);
}

static void chains_in(const Count *c, const Chains *x, RecRegion r, uint32_t nstate)
{
    const RecRegionInfo *body = &c->p->region.p[r];
    for (uint32_t i = 0; i < body->op.n; i++) {
        RecId v = body->op.p[i];
        const RecOp *op = rec_op(c->p, v);
        x->stateful[v] = (op->kind == REC_REGARG && op->index < nstate) || op->kind == REC_HISTORY;
        follow(c, x, op, r, v);
        Dim own = op->kind == REC_RECUR ? depth_of(c, x, op) : DIM_ZERO;
        x->from[v] = dim_add(c->t, x->from[v], own);
        x->since[v] = x->stateful[v] ? dim_add(c->t, x->since[v], own) : DIM_ZERO;
    }
}

/* The steps of a recurrence, then what a step needs that no state goes into: that can be made for all steps at once. */
static Dim depth_of(const Count *c, const Chains *x, const RecOp *op)
{
    if (places(c, op) == DIM_ZERO)
        return DIM_ZERO;
    const RecRegionInfo *step = &c->p->region.p[op->region];
    Dim chain = DIM_ZERO, before = DIM_ZERO;
    bool history = false;
    chains_in(c, x, op->region, op->nstate);
    for (uint32_t i = 0; i < step->op.n; i++) {
        history |= rec_op(c->p, step->op.p[i])->kind == REC_HISTORY;
        if (!x->stateful[step->op.p[i]])
            before = longer(c, before, x->from[step->op.p[i]]);
    }
    for (uint32_t i = 0; i < (history ? step->result.n : op->nstate); i++)
        chain = longer(c, chain, x->since[step->result.p[i]]);
    if ((op->nstate || history) && chain == DIM_ZERO)
        chain = DIM_ONE;
    return dim_add(c->t, before, dim_mul(c->t, places(c, op), chain));
}

static Dim depth_in(const Count *c, RecRegion r)
{
    uint32_t n = c->p->op.n + 1;
    Chains x = {NEWN(c->p->arena, Dim, n), NEWN(c->p->arena, bool, n), NEWN(c->p->arena, Dim, n)};
    Dim most = DIM_ZERO;
    chains_in(c, &x, r, 0);
    for (uint32_t i = 0; i < c->p->region.p[r].op.n; i++)
        most = longer(c, most, x.from[c->p->region.p[r].op.p[i]]);
    return most;
}

RecCost rec_cost(const RecProg *p, RecFn fn, Dim iterations)
{
    Count c = {p, p->dims, iterations};
    return (RecCost){work_in(&c, (RecRegion)fn), depth_in(&c, (RecRegion)fn)};
}

/* ---- what is moved ---- */

static Dim elements(const Count *c, const Type *t)
{
    Dim n = DIM_ONE;
    for (uint8_t i = 0; i < t->rank; i++)
        n = dim_mul(c->t, n, t->dim[i]);
    return n;
}

static Dim moved(const Count *c, const Type *type, bool batched, int64_t real)
{
    int64_t bytes = type->dt == DT_BOOL ? 1 : type->dt == DT_INT ? 4 : real;
    Dim n = dim_mul(c->t, dim_const(c->t, bytes), elements(c, type));
    return batched ? dim_mul(c->t, n, dim_of(c->t, c->p->batch)) : n;
}

static bool of_function(RecOutRole role, RecFn fn)
{
    bool result = role == OUT_VALUE || role == OUT_FINAL, gradient = role == OUT_GRAD || role == OUT_GRAD_PARAM;
    return fn == REC_INIT ? role == OUT_PARAM : result || (gradient && fn == REC_BACKWARD);
}

Dim rec_traffic(const RecProg *p, RecFn fn, int64_t real, int64_t narrow)
{
    Count c = {p, p->dims, DIM_ONE};
    Dim sum = DIM_ZERO;
    for (uint32_t i = 0; i < p->arg.n; i++) {
        const RecArg *a = &p->arg.p[i];
        bool given = !a->optional || (a->role == ROLE_COTANGENT && fn == REC_BACKWARD);
        if (given && a->role != ROLE_SEED && (a->role != ROLE_COTANGENT || fn == REC_BACKWARD))
            sum = dim_add(c.t, sum, moved(&c, &a->type, a->batched, rec_arg_narrows(a, p->out.p) ? narrow : real));
    }
    for (uint32_t i = 0; i < p->out.n; i++)
        if (of_function(p->out.p[i].role, fn))
            sum = dim_add(c.t, sum, moved(&c, &p->out.p[i].type, p->out.p[i].batched, rec_out_narrows(&p->out.p[i], p->arg.p) ? narrow : real));
    return sum;
}

/* ---- formulas ---- */

static uint32_t times_in(const DimTerm *term, DimSym s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < term->nsym; i++)
        n += term->sym[i] == s;
    return n;
}

/* A term with num / den in place of s, times den ^ most. */
static Dim with_quotient(DimTab *t, DimTerm term, DimSym s, Dim num, Dim den, uint32_t most)
{
    Dim d = dim_const(t, term.coef);
    for (uint32_t i = 0; i < term.nsym; i++)
        d = dim_mul(t, d, term.sym[i] == s ? num : dim_of(t, term.sym[i]));
    for (uint32_t i = times_in(&term, s); i < most; i++)
        d = dim_mul(t, d, den);
    return d;
}

/* d without numbers of whole chunks, as (result / den). */
static Dim without_chunks(const RecProg *p, Dim d, int64_t *den)
{
    DimTab *t = p->dims;
    *den = 1;
    for (uint32_t i = p->derived.n; i-- > 0;) {
        int64_t size;
        uint32_t most = 0;
        DimSym s = p->derived.p[i].sym;
        if (!p->derived.p[i].floor || !dim_mentions(t, d, s) || !dim_is_const(t, p->derived.p[i].den, &size))
            continue;
        for (uint32_t k = 0; k < dim_nterms(t, d); k++)
            most = times_in(dim_term(t, d, k), s) > most ? times_in(dim_term(t, d, k), s) : most;
        Dim whole = DIM_ZERO;
        for (uint32_t k = 0; k < dim_nterms(t, d); k++)
            whole = dim_add(t, whole, with_quotient(t, *dim_term(t, d, k), s, p->derived.p[i].num, p->derived.p[i].den, most));
        d = whole;
        for (; most; most--)
            *den *= size;
    }
    return d;
}

static int64_t common(int64_t a, int64_t b)
{
    return b ? common(b, a % b) : a < 0 ? -a : a;
}

static void put_term(Text *out, const DimTab *t, const DimTerm *term, int64_t den, bool first)
{
    int64_t by = common(term->coef, den), coef = term->coef / by;
    text_add(out, first ? coef < 0 ? "-" : "" : coef < 0 ? " - " : " + ");
    coef = coef < 0 ? -coef : coef;
    if (coef != 1 || !term->nsym)
        text_add(out, "%lld%s", (long long)coef, term->nsym ? "*" : "");
    for (uint32_t i = 0; i < term->nsym; i++)
        text_add(out, "%s%.*s", i ? "*" : "", STRF(dim_sym_info(t, term->sym[i])->name));
    if (den / by != 1)
        text_add(out, "/%lld", (long long)(den / by));
}

Str rec_cost_str(Arena *a, const RecProg *p, Dim d)
{
    int64_t den;
    Dim whole = without_chunks(p, d, &den);
    Text out = {.arena = a};
    for (uint32_t i = 0; i < dim_nterms(p->dims, whole); i++)
        put_term(&out, p->dims, dim_term(p->dims, whole, i), den, i == 0);
    if (whole == DIM_ZERO)
        text_add(&out, "0");
    return text_str(&out);
}
