/* Finding convolutions: see convolution.h. */
#include "ir/rec/convolution.h"

typedef struct Find {
    const RecProg *p;
    Arena *a;
    const RecOp *recur;
    const RecRegionInfo *body;
    const bool *reads;
    Convolution *c;
    RecWhy why;
    RecId at;
} Find;

static bool fail(Find *f, RecWhy why, RecId at)
{
    f->why = why;
    f->at = at;
    return false;
}

static bool is_condition(const Factor *x)
{
    return x->kind == FACTOR_IF || x->kind == FACTOR_UNLESS;
}

static ConvTerm divided(const Find *f, const Term *t)
{
    ConvTerm x = {.term = *t};
    for (uint32_t i = 0; i < t->factor.n; i++) {
        const Factor *g = &t->factor.p[i];
        uint32_t *side = is_condition(g) ? &x.conditions : structure_same(f->p, f->recur, g->use.v) ? &x.fixed : &x.moving;
        *side |= 1u << i;
    }
    for (uint32_t i = 0; t->state != REC_NONE && i < f->c->n; i++)
        if (f->body->arg.p[f->c->state[i]] == t->state)
            x.from = i;
    return x;
}

/* Every selected factor of x is one of the selected ones of y. */
static bool all_in(const Find *f, const Term *x, uint32_t of_x, const Term *y, uint32_t of_y)
{
    for (uint32_t i = 0; i < x->factor.n; i++) {
        bool found = !(of_x >> i & 1);
        for (uint32_t k = 0; k < y->factor.n; k++)
            found |= (of_y >> k & 1) && linear_same_factor(f->p, &x->factor.p[i], &y->factor.p[k]);
        if (!found)
            return false;
    }
    return true;
}

static bool same_factors(const Find *f, const Term *x, uint32_t of_x, const Term *y, uint32_t of_y)
{
    return all_in(f, x, of_x, y, of_y) && all_in(f, y, of_y, x, of_x);
}

/* ---- the step ---- */

/* What holds for the first places of a sequence and then no more: the place is less than a number. */
static bool is_prefix(const Find *f, RecId v)
{
    const RecOp *arg = rec_op(f->p, v);
    if (f->recur->reverse || arg->kind != REC_REGARG || arg->home != f->recur->region || arg->index < f->recur->nstate)
        return false;
    const RecOp *seq = rec_op(f->p, f->recur->use[arg->index].v);
    if (seq->kind != REC_MAP || seq->fun != FUN_LT || seq->use[0].axis[0] != 0)
        return false;
    if (rec_op(f->p, seq->use[0].v)->kind != REC_IOTA || rec_type(f->p, seq->use[0].v)->rank != 1)
        return false;
    return !(pass_names(f->p, seq->use[1]) & 1);
}

/* Where a condition of the step fails that a term keeping the state has the other way round, the state stays. */
static bool is_hold(const ConvTerm *x)
{
    return !x->fixed && !x->moving && x->term.sign > 0 && x->from == x->to && x->conditions;
}

static bool note_hold(Find *f, const ConvTerm *hold)
{
    const ConvTerm *run = &f->c->step.p[0];
    uint32_t left = hold->conditions, found = 0;
    for (uint32_t i = 0; i < hold->term.factor.n; i++)
        for (uint32_t k = 0; k < run->term.factor.n; k++) {
            Factor other = hold->term.factor.p[i];
            other.kind = other.kind == FACTOR_IF ? FACTOR_UNLESS : FACTOR_IF;
            if (!(left >> i & 1) || !is_condition(&other) || !linear_same_factor(f->p, &other, &run->term.factor.p[k]))
                continue;
            left &= ~(1u << i);
            found |= 1u << k;
            f->c->valid = other;
        }
    bool one = found && !(found & (found - 1));
    if (!one || f->c->valid.kind != FACTOR_IF || !is_prefix(f, f->c->valid.use.v))
        return fail(f, WHY_HELD, f->body->result.p[f->c->state[hold->to]]);
    f->c->clear = run->conditions & ~found;
    f->c->holds = true;
    return same_factors(f, &hold->term, left, &run->term, f->c->clear) ||
           fail(f, WHY_HELD, f->body->result.p[f->c->state[hold->to]]);
}

/* Where the state is multiplied by the first factor of a term that moves. */
static RecId moving_at(const Find *f, const ConvTerm *t)
{
    uint32_t i = (uint32_t)__builtin_ctz(t->moving);
    for (uint32_t k = 0; k < f->body->op.n; k++) {
        const RecOp *op = rec_op(f->p, f->body->op.p[k]);
        for (uint32_t j = 0; j < op->nuse; j++)
            if (op->use[j].v == t->term.factor.p[i].use.v && f->reads[f->body->op.p[k]])
                return f->body->op.p[k];
    }
    return t->term.factor.p[i].use.v;
}

static bool step_terms(Find *f, const StageInfo *x)
{
    ConvTerms holds = {0};
    for (uint32_t i = 0; i < x->n; i++)
        for (uint32_t k = 0; k < x->term[i].n; k++) {
            ConvTerm t = divided(f, &x->term[i].p[k]);
            t.to = i;
            if (t.term.nit != t.term.rank)
                return fail(f, WHY_DECAY_SUM, f->body->result.p[x->state[i]]);
            vec_push(f->a, t.term.state == REC_NONE ? &f->c->source : is_hold(&t) ? &holds : &f->c->step, t);
        }
    if (!f->c->step.n)
        return fail(f, WHY_NO_STATE, REC_NONE);
    for (uint32_t i = 0; i < f->c->step.n; i++)
        if (f->c->step.p[i].moving)
            return fail(f, WHY_VARIES, moving_at(f, &f->c->step.p[i]));
    f->c->clear = f->c->step.p[0].conditions;
    for (uint32_t i = 0; i < holds.n; i++)
        if (!note_hold(f, &holds.p[i]))
            return false;
    const ConvTerm *first = &f->c->step.p[0];
    for (uint32_t i = 0; i < f->c->step.n + f->c->source.n; i++) {
        const ConvTerm *t = i < f->c->step.n ? &f->c->step.p[i] : &f->c->source.p[i - f->c->step.n];
        if (!same_factors(f, &t->term, t->conditions, &first->term, first->conditions))
            return fail(f, WHY_HELD, f->body->result.p[x->state[t->to]]);
    }
    return true;
}

/* ---- what is read ---- */

static bool read_term(Find *f, ConvRead *r, const Term *t)
{
    ConvTerm x = divided(f, t);
    uint32_t sum = 0, seen = 0;
    for (uint8_t i = 0; i < f->c->type.rank; i++)
        if (t->axis[i] >= t->rank)
            sum |= 1u << i;
        else if (seen >> t->axis[i] & 1)
            return fail(f, WHY_READOUT_AXES, r->v);
        else
            seen |= 1u << t->axis[i];
    bool valid = !f->c->holds;
    for (uint32_t i = 0; i < t->factor.n; i++)
        valid |= (x.conditions >> i & 1) && t->factor.p[i].kind == FACTOR_IF && t->factor.p[i].use.v == f->c->valid.use.v;
    if (!valid)
        return fail(f, WHY_HELD, r->v);
    if (!sum)
        return fail(f, WHY_STATE_WANTED, r->v);
    for (uint32_t i = 0; i < t->factor.n; i++) {
        uint32_t names = pass_names(f->p, t->factor.p[i].use), own = (1u << t->rank) - 1;
        if ((x.fixed >> i & 1) ? (names & own & ~seen) != 0 : (names & ~own) != 0)
            return fail(f, WHY_READOUT_DENSE, r->v);
    }
    if (f->c->sum && f->c->sum != sum)
        return fail(f, WHY_READOUT_AXES, r->v);
    f->c->sum = sum;
    const ConvTerm *first = r->of_state.n ? &r->of_state.p[0] : &x;
    if (!same_factors(f, t, x.moving | x.conditions, &first->term, first->moving | first->conditions) ||
        memcmp(t->axis, first->term.axis, f->c->type.rank) != 0)
        return fail(f, WHY_READOUT_DENSE, r->v);
    vec_push(f->a, &r->of_state, x);
    return t->nit - t->rank == __builtin_popcount(sum) || fail(f, WHY_READOUT_AXES, r->v);
}

/* What reads no state: products that are summed over are taken apart, so that what moves is multiplied last. */
static void add_local(Find *f, const Term *t, Terms *out)
{
    LinearCx cx = {.p = f->p, .arena = f->a, .body = f->recur->region, .depends = f->reads, .algebra = ALGEBRA_PLUS};
    uint32_t own = (1u << t->rank) - 1;
    for (uint32_t i = 0; i < t->factor.n; i++) {
        Terms parts = {0};
        if (!(pass_names(f->p, t->factor.p[i].use) & ~own) || !linear_expand(&cx, t, i, &parts))
            continue;
        for (uint32_t k = 0; k < parts.n; k++)
            add_local(f, &parts.p[k], out);
        return;
    }
    vec_push(f->a, out, *t);
}

static bool read_out(Find *f, RecId v)
{
    LinearCx cx = {.p = f->p, .arena = f->a, .body = f->recur->region, .depends = f->reads, .algebra = ALGEBRA_PLUS};
    ConvRead r = {.v = v};
    Terms terms = {0};
    RecId at = REC_NONE;
    if (!f->reads[v])
        return true;
    if (!linear_terms(&cx, v, &terms, &at))
        return fail(f, WHY_READOUT_NONLINEAR, at == REC_NONE ? v : at);
    for (uint32_t i = 0; i < terms.n; i++)
        if (terms.p[i].state == REC_NONE)
            add_local(f, &terms.p[i], &r.local);
        else if (!read_term(f, &r, &terms.p[i]))
            return false;
    vec_push(f->a, &f->c->read, r);
    return true;
}

/* The first moving factor that differs along an axis that is summed over, or the number of factors. */
static uint32_t find_mixed(const Find *f, const ConvTerm *x)
{
    uint32_t i = 0;
    while (i < x->term.factor.n && !((x->moving >> i & 1) && (pass_names(f->p, x->term.factor.p[i].use) & f->c->sum)))
        i++;
    return i;
}

/* Takes products apart until what moves enters alike along the axes that are summed over. */
static bool take_apart(Find *f, const ConvTerm *x, ConvTerms *out)
{
    LinearCx cx = {.p = f->p, .arena = f->a, .body = f->recur->region, .depends = f->reads, .algebra = ALGEBRA_PLUS};
    uint32_t i = find_mixed(f, x);
    Terms parts = {0};
    if (i == x->term.factor.n) {
        vec_push(f->a, out, *x);
        return true;
    }
    if (!linear_expand(&cx, &x->term, i, &parts))
        return fail(f, WHY_ENTERS, f->body->result.p[f->c->state[x->to]]);
    for (uint32_t k = 0; k < parts.n; k++) {
        ConvTerm part = divided(f, &parts.p[k]);
        part.to = x->to;
        if (part.term.nit != part.term.rank || !same_factors(f, &part.term, part.conditions, &x->term, x->conditions))
            return fail(f, WHY_ENTERS, f->body->result.p[f->c->state[x->to]]);
        if (!take_apart(f, &part, out))
            return false;
    }
    return true;
}

static bool take_sources_apart(Find *f)
{
    ConvTerms parts = {0};
    for (uint32_t i = 0; i < f->c->source.n; i++)
        if (!take_apart(f, &f->c->source.p[i], &parts))
            return false;
    for (uint32_t i = 0; i < parts.n; i++) {
        ConvTerm *x = &parts.p[i], *g = parts.p;
        while (!same_factors(f, &x->term, x->moving, &g->term, g->moving))
            g++;
        x->group = (uint32_t)(g - parts.p);
    }
    f->c->source = parts;
    return true;
}

Convolution *convolution_of(const RecProg *p, Arena *a, const Structure *s, RecWhy *why, RecId *at)
{
    const RecOp *recur = rec_op(p, s->recur);
    const StageInfo *x = &s->stage[0];
    Find f = {p, a, recur, &p->region.p[recur->region], s->stages.n ? s->stages.reads[0] : NULL, NEW(a, Convolution), WHY_NO_STATE, REC_NONE};
    bool ok = s->stages.n > 0 && rec_type(p, recur->use[x->state[0]].v)->dt == DT_REAL;
    if (ok && s->stages.n > 1)
        ok = fail(&f, WHY_STAGES, REC_NONE);
    if (ok && x->class == STAGE_NONLINEAR)
        ok = fail(&f, WHY_NOT_AFFINE, x->why);
    if (ok && x->algebra != ALGEBRA_PLUS)
        ok = fail(&f, WHY_OTHER_ALGEBRA, REC_NONE);
    if (ok && x->guarded)
        ok = fail(&f, WHY_NOT_AFFINE, f.body->result.p[x->state[0]]);
    if (ok && x->class > STAGE_COUPLED)
        ok = fail(&f, WHY_DENSE, f.body->result.p[x->state[0]]);
    if (ok) {
        *f.c = (Convolution){.n = x->n, .state = x->state, .type = *rec_type(p, recur->use[x->state[0]].v)};
        ok = step_terms(&f, x);
    }
    for (uint32_t i = recur->nstate; ok && i < f.body->result.n; i++)
        ok = read_out(&f, f.body->result.p[i]);
    if (ok && !f.c->sum)
        ok = fail(&f, WHY_STATE_WANTED, REC_NONE);
    if (ok && recur->reverse)
        ok = fail(&f, WHY_HELD, REC_NONE);
    ok = ok && take_sources_apart(&f);
    *why = ok ? WHY_NONE : f.why;
    *at = f.at;
    return ok ? f.c : NULL;
}
