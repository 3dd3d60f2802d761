/* rec.flatten: a recurrence whose step holds a loop of J rounds becomes one of T * J steps, so that the loop's states and
 * the step's own are states of one recurrence, and what is derived for recurrences holds for them too (several updates for
 * every token, as in DeltaProduct). With `first` and `last` for the first and the last round of a step, loop states P and
 * own states S:
 *
 *   P' = round(where(first, start(S), P))        S' = where(last, step(S, P'), S)
 *
 * What reads no state is made for all steps before; results are those of last rounds. Where all that the step makes of P'
 * stands in one branch of a condition (within a sequence's length), P' stays P in the other, so that what is nobody's does
 * not go round. Needs a number of rounds that is
 * known and not 0, and elements of rounds that read no state. */
#include "ir/rec/chunk.h"

typedef struct Flat {
    Rewrite *w;
    RecBuild *b;            /* where the new recurrence stands */
    const RecOp *old, *loop; /* old ops */
    Dim length, rounds;
    Lift lift;              /* of the old step, over its places */
    RecId recur;            /* new */
    RecBuild in;
    RecId *to;              /* by old op: in the new step */
    RecId first, last;      /* in the new step */
} Flat;

static const RecRegionInfo *region(const Flat *f, const RecOp *recur)
{
    return &f->w->old.region.p[recur->region];
}

/* [T, ...] as [T * J, ...], each element J times. */
static RecId repeated(Flat *f, RecId seq)
{
    Type t = *rec_type(f->w->p, seq);
    RecUse u = {.v = seq};
    Dim each[MAXRANK] = {f->old->length, f->rounds}, flat[MAXRANK] = {f->length};
    for (uint8_t i = 1; i < t.rank; i++) {
        u.axis[i] = (uint8_t)(i + 1);
        each[i + 1] = flat[i] = t.dim[i];
    }
    RecId v = rec_map(f->b, FUN_ID, &u, (uint8_t)(t.rank + 1), each);
    return rec_reshape(f->b, v, t.rank, flat);
}

/* [T, J, ...] as [T * J, ...]. */
static RecId joined(Flat *f, RecId v)
{
    Type t = *rec_type(f->w->p, v);
    Dim flat[MAXRANK] = {f->length};
    memcpy(flat + 1, t.dim + 2, (t.rank - 2u) * sizeof(Dim));
    return rec_reshape(f->b, v, (uint8_t)(t.rank - 1), flat);
}

/* [T * J, ...]: the elements of last rounds. */
static RecId of_last_rounds(Flat *f, RecId v)
{
    DimTab *dims = f->w->p->dims;
    Type t = *rec_type(f->w->p, v);
    Dim each[MAXRANK] = {f->old->length, f->rounds}, own[MAXRANK] = {f->old->length};
    memcpy(each + 2, t.dim + 1, (t.rank - 1u) * sizeof(Dim));
    memcpy(own + 1, t.dim + 1, (t.rank - 1u) * sizeof(Dim));
    RecId all = rec_reshape(f->b, v, (uint8_t)(t.rank + 1), each);
    RecId last = rec_slice(f->b, all, 1, dim_sub(dims, f->rounds, DIM_ONE), DIM_ONE);
    return rec_reshape(f->b, last, t.rank, own);
}

/* Whether each of the new steps is round number `round`, as the new step sees it. */
static RecId is_round(Flat *f, Dim round)
{
    RecId number = rec_map2(f->b, FUN_IMOD, rec_iota(f->b, f->length), rec_dim(f->b, f->rounds));
    return rec_recur_add_seq(f->w->p, f->recur, rec_map2(f->b, FUN_EQ, number, rec_dim(f->b, round)));
}

/* ---- the condition under which the loop's results are used ---- */

/* v is made of results of the loop that are used where c does not hold, or whatever it is. */
static bool uses_without(const Flat *f, RecId c, RecId v)
{
    const RecOp *op = rec_op(&f->w->old, v);
    if (!rec_inside(&f->w->old, v, f->old->region))
        return false;
    if (op->kind == REC_PROJ)
        return true;
    bool held = op->kind == REC_MAP && op->fun == FUN_WHERE && op->use[0].v == c;
    for (uint32_t i = 0; i < op->nuse; i++)
        if (!(held && i == 1) && uses_without(f, c, op->use[i].v))
            return true;
    return false;
}

/* A condition that reads no state and holds wherever a result of the loop is used; REC_NONE if there is none. */
static RecId condition_of_use(const Flat *f)
{
    const RecRegionInfo *body = region(f, f->old);
    for (RecId c = body->result.p[0]; rec_inside(&f->w->old, c, f->old->region);) {
        const RecOp *op = rec_op(&f->w->old, c);
        if (op->kind != REC_MAP || op->fun != FUN_WHERE)
            return REC_NONE;
        RecId condition = op->use[0].v;
        bool everywhere = rec_op(&f->w->old, condition)->kind == REC_REGARG;
        for (uint32_t i = 0; i < body->result.n && everywhere; i++)
            everywhere = !uses_without(f, condition, body->result.p[i]);
        if (everywhere)
            return condition;
        c = op->use[2].v;
    }
    return REC_NONE;
}

/* ---- the new step ---- */

static RecId argument(Flat *f, RecId old)
{
    const RecOp *op = rec_op(&f->w->old, old);
    f->lift.b = f->b;
    if (op->home == f->loop->region)
        return rec_recur_add_seq(f->w->p, f->recur, joined(f, lift_placed(&f->lift, f->loop->use[op->index].v)));
    return rec_recur_add_seq(f->w->p, f->recur, repeated(f, f->w->to[f->old->use[op->index].v]));
}

/* An old value, of the step or of a round, in the new step. */
static RecId value(void *cx, RecId old)
{
    Flat *f = cx;
    const RecOp *op = rec_op(&f->w->old, old);
    if (f->to[old] != REC_NONE)
        return f->to[old];
    if (!rec_inside(&f->w->old, old, f->old->region))
        return f->w->to[old];
    if (op->kind == REC_REGARG)
        return f->to[old] = argument(f, old);
    if (op->kind == REC_PROJ)
        return f->to[old] = value(f, region(f, f->loop)->result.p[op->index]);
    f->to[old] = pass_copy(&f->in, *op, value, f);
    f->in.at = op->at;
    return f->to[old];
}

static RecId chosen(Flat *f, RecId condition, RecId a, RecId b)
{
    return rec_map3(&f->in, FUN_WHERE, condition, a, b);
}

/* Whether a condition's axes are the leading ones of a value. What has no axis of sequences is the same for all of them. */
static bool leads(const Flat *f, RecId condition, RecId v)
{
    const Type *c = rec_type(f->w->p, condition), *t = rec_type(f->w->p, v);
    return c->rank <= t->rank && memcmp(c->dim, t->dim, c->rank * sizeof(Dim)) == 0;
}

/* The same where the condition has some of the leading axes only. */
static RecId chosen_along(Flat *f, RecId condition, RecId a, RecId b)
{
    Type t = *rec_type(f->w->p, a);
    RecUse use[3] = {rec_use(condition, rec_type(f->w->p, condition)->rank), rec_use(a, t.rank), rec_use(b, t.rank)};
    return rec_map(&f->in, FUN_WHERE, use, t.rank, t.dim);
}

static void fill(Flat *f, RecId *result)
{
    const RecId *arg = f->w->p->region.p[f->in.region].arg.p;
    uint32_t nown = f->old->nstate, nloop = f->loop->nstate;
    for (uint32_t i = 0; i < nown; i++)
        f->to[region(f, f->old)->arg.p[i]] = arg[i];
    for (uint32_t i = 0; i < nloop; i++) {
        RecId begin = value(f, f->loop->use[i].v);
        arg = f->w->p->region.p[f->in.region].arg.p;
        f->to[region(f, f->loop)->arg.p[i]] = chosen(f, f->first, begin, arg[nown + i]);
    }
    for (uint32_t i = 0; i < nown; i++)
        result[i] = chosen(f, f->last, value(f, region(f, f->old)->result.p[i]), f->to[region(f, f->old)->arg.p[i]]);
    RecId condition = condition_of_use(f);
    for (uint32_t i = 0; i < nloop; i++) {
        RecId round = value(f, region(f, f->loop)->result.p[i]);
        arg = f->w->p->region.p[f->in.region].arg.p;
        RecId here = condition == REC_NONE ? REC_NONE : value(f, condition);
        arg = f->w->p->region.p[f->in.region].arg.p;
        bool held = here != REC_NONE && leads(f, here, round);
        result[nown + i] = held ? chosen_along(f, here, round, arg[nown + i]) : round;
    }
    for (uint32_t i = 0; i < f->old->nout; i++)
        result[nown + nloop + i] = value(f, region(f, f->old)->result.p[nown + i]);
}

/* ---- what can be flattened ---- */

static RecId only_loop(const RecProg *p, const RecOp *recur)
{
    RecId found = REC_NONE;
    const RecRegionInfo *body = &p->region.p[recur->region];
    for (uint32_t i = 0; i < body->op.n; i++) {
        if (p->op.p[body->op.p[i]].kind != REC_RECUR)
            continue;
        if (found != REC_NONE)
            return REC_NONE;
        found = body->op.p[i];
    }
    return found;
}

static bool reads_state(const Stages *s, RecId v)
{
    for (uint32_t k = 0; k < s->n; k++)
        if (s->reads[k][v])
            return true;
    return false;
}

/* Its rounds are counted, and begin anew in every step; what they read one by one reads no state. */
static bool is_plain(const RecProg *p, Arena *a, RecId recur, RecId loop)
{
    const RecOp *op = rec_op(p, recur), *in = rec_op(p, loop);
    int64_t rounds;
    if (op->reverse || in->reverse || in->nout || op->nstate == 0 || !dim_is_const(p->dims, in->length, &rounds) || rounds < 1)
        return false;
    if (only_loop(p, in) != REC_NONE)
        return false;
    for (uint32_t i = 0; i < p->region.p[in->region].op.n; i++)
        if (p->op.p[p->region.p[in->region].op.p[i]].kind == REC_RECUR)
            return false;
    Stages s = stages_of(p, a, recur);
    for (uint32_t i = 0; i < in->nseq; i++)
        if (reads_state(&s, in->use[in->nstate + i].v) || rec_type(p, in->use[in->nstate + i].v)->rank >= MAXRANK)
            return false;
    return true;
}

/* ---- the pass ---- */

/* A state keeps its name and its place in the source. */
static void named_as(Flat *f, uint32_t state)
{
    uint32_t nown = f->old->nstate;
    RecId old = state < nown ? region(f, f->old)->arg.p[state] : region(f, f->loop)->arg.p[state - nown];
    RecOp *arg = rec_op(f->w->p, f->w->p->region.p[f->in.region].arg.p[state]);
    arg->name = rec_op(&f->w->old, old)->name;
    arg->at = rec_op(&f->w->old, old)->at;
}

static void open(Flat *f)
{
    const RecProg *p = f->w->p;
    uint32_t n = f->old->nstate + f->loop->nstate;
    RecId *init = NEWN(p->arena, RecId, n + 1), *own = rw_operands(f->w, f->lift.recur);
    for (uint32_t i = 0; i < f->old->nstate; i++)
        init[i] = own[i];
    for (uint32_t i = 0; i < f->loop->nstate; i++)
        init[f->old->nstate + i] = rec_zeros(f->b, rec_type(&f->w->old, f->loop->use[i].v));
    f->recur = rec_recur_open(f->b, init, n, NULL, 0, f->length, false, &f->in.region);
    f->in.prog = f->w->p;
    for (uint32_t i = 0; i < n; i++)
        named_as(f, i);
    f->first = is_round(f, DIM_ZERO);
    f->last = is_round(f, dim_sub(p->dims, f->rounds, DIM_ONE));
}

static void flatten_recur(Rewrite *w, RecBuild *b, RecId old)
{
    const RecOp *op = rec_op(&w->old, old);
    RecId loop = only_loop(&w->old, op);
    if (op->chunk || loop == REC_NONE || !is_plain(&w->old, w->p->arena, old, loop)) {
        rw_recur(w, b, old);
        return;
    }
    Flat f = {.w = w, .b = b, .old = op, .loop = rec_op(&w->old, loop), .to = pass_ids(w->p->arena, w->old.op.n)};
    f.rounds = f.loop->length;
    f.length = dim_mul(w->p->dims, op->length, f.rounds);
    f.lift = (Lift){.w = w, .b = b, .recur = old, .length = op->length, .made = NEWN(w->p->arena, Lifted, w->old.op.n + 1)};
    for (uint32_t i = 0; i < w->old.op.n; i++)
        f.lift.made[i].v = REC_NONE;
    open(&f);
    uint32_t n = op->nstate + f.loop->nstate + op->nout;
    RecId *result = NEWN(w->p->arena, RecId, n + 1);
    fill(&f, result);
    rec_recur_close(w->p, f.recur, result, n);
    RecId *out = w->result[old] = NEWN(w->p->arena, RecId, op->nstate + op->nout + 1);
    for (uint32_t i = 0; i < op->nstate; i++)
        out[i] = rec_proj(b, f.recur, i);
    for (uint32_t i = 0; i < op->nout; i++)
        out[op->nstate + i] = of_last_rounds(&f, rec_proj(b, f.recur, op->nstate + f.loop->nstate + i));
    w->to[old] = f.recur;
}

void rec_flatten(RecProg *p)
{
    if (p->form.kind != REC_FORM_CHUNK)
        return;
    Rewrite w = {.recur = flatten_recur};
    rw_run(&w, p);
}
