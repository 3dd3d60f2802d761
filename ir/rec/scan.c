/* rec.scan: stages whose elements are affine maps of themselves, over some algebra, as a scan (Blelloch 1990; in three
 * sweeps). The places are cut into pieces of equal length, and a rest that follows step by step:
 *
 *   1. every piece, all pieces side by side: the composition of its steps, x -> A x + b;
 *   2. one after another: the states in which the pieces begin;
 *   3. every piece again, all side by side, from there, with all that the step puts out.
 *
 * So the work is twice that of the plain recurrence, and its depth the length of a piece. Stages follow each other; one
 * that has no scan runs step by step. Forward and adjoint recurrences alike: the pass comes behind rec.backward. */
#include "ir/rec/chunk.h"

typedef struct Scan {
    Rewrite *w;
    RecBuild *b;
    const Structure *s;
    const RecOp *old;
    Dim pieces, length, rest; /* length: places of a piece */
    RecId *known;             /* by old op: for all places, or REC_NONE */
    RecId *final;             /* by state */
    RecId *result;            /* by per-step result: for all places */
} Scan;

static const RecRegionInfo *step_of(const Scan *x)
{
    return &x->w->old.region.p[x->old->region];
}

/* [pieces, length, ...] or [length, pieces, ...] with the first two axes exchanged. */
static RecId exchanged(RecBuild *b, RecId v)
{
    uint8_t order[MAXRANK] = {1, 0, 2, 3, 4, 5, 6, 7};
    return rec_transpose(b, v, order);
}

static RecId side_by_side(Scan *x, RecId whole)
{
    return exchanged(x->b, cut_parts(x->b, whole, x->pieces, x->length));
}

/* What is known of the step, as the step of a recurrence over the places of all pieces sees it. */
static RecId *known_in_pieces(Scan *x, RecId recur)
{
    uint32_t n = x->w->old.op.n;
    RecId *known = pass_ids(x->w->p->arena, n);
    for (RecId v = 0; v < n; v++)
        if (x->known[v] != REC_NONE)
            known[v] = rec_recur_add_seq(x->w->p, recur, side_by_side(x, x->known[v]));
    return known;
}

/* ---- first sweep ---- */

typedef struct Sweep {
    Scan *x;
    const StageInfo *stage;
    uint32_t n;       /* states */
    RecId recur;
    RecId *operator, *source; /* composed over a piece: [n,n] and [n], each [pieces, ...] */
} Sweep;

/* All states of a stage that is scanned have one type. */
static const Type *state_type(const Scan *x, const StageInfo *stage)
{
    return rec_type(&x->w->old, x->old->use[stage->state[0]].v);
}

static uint32_t all_labels(const Scan *x, const StageInfo *stage)
{
    uint8_t rank = state_type(x, stage)->rank;
    return 1u << LABEL_PLACE | ((1u << rank) - 1) << LABEL_AXIS;
}

static void sizes(const Scan *x, const StageInfo *stage, Dim *size)
{
    const Type *t = state_type(x, stage);
    size[LABEL_PLACE] = x->pieces;
    for (uint8_t i = 0; i < t->rank; i++)
        size[LABEL_AXIS + i] = t->dim[i];
}

static Part filled(Scan *x, RecBuild *b, const StageInfo *stage, double number)
{
    Dim size[LABEL_COUNT] = {0};
    sizes(x, stage, size);
    return part_expand(b, part_number(b, state_type(x, stage)->dt, number), all_labels(x, stage), size);
}

static Part plus(Chunk *c, Part a, Part b)
{
    return a.v == REC_NONE ? b : part_map(c->b, algebra_info(c->algebra)->sum, a, b);
}

static Part coefficient(Chunk *c, const Term *t)
{
    Part p = chunk_product(c, t, EVERY_FACTOR, 0);
    return t->sign < 0 ? part_neg(c->b, p) : p;
}

/* The sum of the terms of state i's new value that read state j (REC_NONE: none), as their coefficients. */
static Part row(Chunk *c, const StageInfo *stage, uint32_t i, RecId state)
{
    Part sum = {.v = REC_NONE};
    for (uint32_t k = 0; k < stage->term[i].n; k++)
        if (stage->term[i].p[k].state == state)
            sum = plus(c, sum, coefficient(c, &stage->term[i].p[k]));
    return sum;
}

/* What state i becomes when the states are `from`, and the source of the step is added or not. */
static RecId advance(Sweep *s, Chunk *c, uint32_t i, const Part *from, bool source)
{
    const RecRegionInfo *body = step_of(s->x);
    const AlgebraInfo *algebra = algebra_info(c->algebra);
    Dim size[LABEL_COUNT] = {0};
    Part sum = source ? row(c, s->stage, i, REC_NONE) : (Part){.v = REC_NONE};
    for (uint32_t l = 0; l < s->n; l++) {
        Part by = row(c, s->stage, i, body->arg.p[s->stage->state[l]]);
        if (by.v != REC_NONE)
            sum = plus(c, sum, part_map(c->b, algebra->product, by, from[l]));
    }
    sizes(s->x, s->stage, size);
    if (sum.v == REC_NONE)
        sum = part_number(c->b, c->dt, algebra->zero);
    return part_expand(c->b, sum, all_labels(s->x, s->stage), size).v;
}

static void compose(Sweep *s)
{
    Scan *x = s->x;
    RecProg *p = x->w->p;
    uint32_t n = s->n, count = n * n + n;
    const AlgebraInfo *algebra = algebra_info(s->stage->algebra);
    RecId *init = NEWN(p->arena, RecId, count), *next = NEWN(p->arena, RecId, count);
    Part *from = NEWN(p->arena, Part, n);
    RecRegion step;
    for (uint32_t i = 0; i < count; i++)
        init[i] = filled(x, x->b, s->stage, i < n * n && i / n == i % n ? algebra->one : algebra->zero).v;
    RecId recur = rec_recur_open(x->b, init, count, NULL, 0, x->length, x->old->reverse, &step);
    RecBuild in = {p, step, x->b->at, {0}};
    Chunk c = chunk_begin(x->w, &in, x->s, x->pieces, NULL, known_in_pieces(x, recur));
    c.algebra = s->stage->algebra;
    c.dt = state_type(x, s->stage)->dt;
    for (uint32_t j = 0; j <= n; j++) {
        for (uint32_t l = 0; l < n; l++)
            from[l] = part_of(p->region.p[step].arg.p[j < n ? l * n + j : n * n + l], all_labels(x, s->stage));
        for (uint32_t i = 0; i < n; i++)
            next[j < n ? i * n + j : n * n + i] = advance(s, &c, i, from, j == n);
    }
    rec_recur_close(p, recur, next, count);
    for (uint32_t i = 0; i < count; i++)
        (i < n * n ? s->operator: s->source - n * n)[i] = rec_proj(x->b, recur, i);
}

/* ---- second sweep ---- */

/* The states in which the pieces begin, [pieces, ...]; x->final is where the first begins, and then where the last ends. */
static void carry(Sweep *s, RecId *begin)
{
    Scan *x = s->x;
    RecProg *p = x->w->p;
    uint32_t n = s->n, count = n * n + n;
    const AlgebraInfo *algebra = algebra_info(s->stage->algebra);
    uint32_t labels = all_labels(x, s->stage) & ~(1u << LABEL_PLACE);
    RecId *init = NEWN(p->arena, RecId, n), *seq = NEWN(p->arena, RecId, count), *next = NEWN(p->arena, RecId, n);
    RecRegion step;
    for (uint32_t i = 0; i < n; i++)
        init[i] = x->final[s->stage->state[i]];
    memcpy(seq, s->operator, n * n * sizeof *seq);
    memcpy(seq + n * n, s->source, n * sizeof *seq);
    RecId recur = rec_recur_open(x->b, init, n, seq, count, x->pieces, x->old->reverse, &step);
    RecBuild in = {p, step, x->b->at, {0}};
    const RecId *arg = p->region.p[step].arg.p;
    for (uint32_t i = 0; i < n; i++) {
        Part sum = part_of(arg[n + n * n + i], labels);
        for (uint32_t l = 0; l < n; l++) {
            Part by = part_of(arg[n + i * n + l], labels), state = part_of(arg[l], labels);
            sum = part_map(&in, algebra->sum, sum, part_map(&in, algebra->product, by, state));
        }
        next[i] = sum.v;
    }
    rec_recur_close(p, recur, next, n);
    for (uint32_t i = 0; i < n; i++) {
        begin[i] = rec_recur_export(p, recur, p->region.p[step].arg.p[i]);
        x->final[s->stage->state[i]] = rec_proj(x->b, recur, i);
    }
}

/* ---- third sweep ---- */

typedef struct Wanted {
    VEC(RecId) old, parts; /* values of the old step; in all pieces, [length, pieces, ...] */
} Wanted;

static void want(Scan *x, Wanted *k, RecId old)
{
    for (uint32_t i = 0; i < k->old.n; i++)
        if (k->old.p[i] == old)
            return;
    vec_push(x->w->p->arena, &k->old, old);
}

/* The states of the stage, old and new; with the last stage, all that the step puts out. */
static Wanted wanted_of(Scan *x, const StageInfo *stage, bool last)
{
    const RecRegionInfo *body = step_of(x);
    Wanted k = {0};
    for (uint32_t i = 0; i < stage->n; i++) {
        want(x, &k, body->arg.p[stage->state[i]]);
        want(x, &k, body->result.p[stage->state[i]]);
    }
    for (uint32_t i = x->old->nstate; last && i < body->result.n; i++)
        want(x, &k, body->result.p[i]);
    return k;
}

static void again(Sweep *s, const RecId *begin, Wanted *k)
{
    Scan *x = s->x;
    RecProg *p = x->w->p;
    const RecRegionInfo *body = step_of(x);
    RecId *next = NEWN(p->arena, RecId, s->n);
    RecRegion step;
    RecId recur = rec_recur_open(x->b, begin, s->n, NULL, 0, x->length, x->old->reverse, &step);
    RecBuild in = {p, step, x->b->at, {0}};
    RecId *known = known_in_pieces(x, recur);
    for (uint32_t i = 0; i < s->n; i++)
        known[body->arg.p[s->stage->state[i]]] = p->region.p[step].arg.p[i];
    Chunk c = chunk_begin(x->w, &in, x->s, x->pieces, NULL, known);
    for (uint32_t i = 0; i < s->n; i++)
        next[i] = lift_placed(&c.lift, body->result.p[s->stage->state[i]]);
    rec_recur_close(p, recur, next, s->n);
    for (uint32_t i = 0; i < k->old.n; i++)
        vec_push(p->arena, &k->parts, rec_recur_export(p, recur, lift_placed(&c.lift, k->old.p[i])));
}

/* ---- the rest, and the whole ---- */

/* The places behind the pieces, step by step: what is wanted of them. */
static RecId *step_by_step(Scan *x, uint32_t stage, const Wanted *k)
{
    uint32_t n = x->w->old.op.n;
    RecId *known = pass_ids(x->w->p->arena, n), *rest = NEWN(x->w->p->arena, RecId, k->old.n + 1);
    Dim from = dim_mul(x->w->p->dims, x->pieces, x->length);
    for (RecId v = 0; v < n; v++)
        if (x->known[v] != REC_NONE)
            known[v] = cut_rest(x->b, x->known[v], from, x->rest);
    Chunk c = chunk_begin(x->w, x->b, x->s, x->rest, x->final, known);
    chunk_sequence(&c, stage);
    c.lift.b = x->b;
    for (uint32_t i = 0; i < k->old.n; i++)
        rest[i] = lift_placed(&c.lift, k->old.p[i]);
    for (uint32_t i = 0; i < x->s->stage[stage].n; i++)
        x->final[x->s->stage[stage].state[i]] = c.leaving[x->s->stage[stage].state[i]];
    return rest;
}

static void scan_stage(Scan *x, uint32_t stage, bool last)
{
    const StageInfo *info = &x->s->stage[stage];
    Arena *a = x->w->p->arena;
    Sweep s = {.x = x, .stage = info, .n = info->n};
    s.operator= NEWN(a, RecId, s.n * s.n);
    s.source = NEWN(a, RecId, s.n);
    RecId *begin = NEWN(a, RecId, s.n), *rest = NULL;
    Wanted k = wanted_of(x, info, last);
    if (x->old->reverse)
        rest = step_by_step(x, stage, &k);
    compose(&s);
    carry(&s, begin);
    again(&s, begin, &k);
    if (!x->old->reverse)
        rest = step_by_step(x, stage, &k);
    for (uint32_t i = 0; i < k.old.n; i++)
        x->known[k.old.p[i]] = cut_join(x->b, exchanged(x->b, k.parts.p[i]), rest[i]);
}

/* A stage without a scan: over all places. */
static void plain_stage(Scan *x, uint32_t stage)
{
    Chunk c = chunk_begin(x->w, x->b, x->s, x->old->length, x->final, x->known);
    chunk_sequence(&c, stage);
    for (RecId v = 0; v < x->w->old.op.n; v++)
        if (c.lift.made[v].placed)
            x->known[v] = c.lift.made[v].v;
    for (uint32_t i = 0; i < x->s->stage[stage].n; i++)
        x->final[x->s->stage[stage].state[i]] = c.leaving[x->s->stage[stage].state[i]];
}

static void put_out(Scan *x)
{
    const RecRegionInfo *body = step_of(x);
    Chunk c = chunk_begin(x->w, x->b, x->s, x->old->length, NULL, x->known);
    for (uint32_t i = x->old->nstate; i < body->result.n; i++)
        x->result[i] = lift_placed(&c.lift, body->result.p[i]);
}

/* ---- the pass ---- */

static void scan_recur(Rewrite *w, RecBuild *b, RecId old)
{
    const RecOp *op = rec_op(&w->old, old);
    Structure s = structure_of(&w->old, w->p->arena, old);
    RecId at;
    if (op->chunk || structure_lacks(&w->old, &s, &w->old.form, &at)) {
        rw_recur(w, b, old);
        return;
    }
    RecId *operand = rw_operands(w, old);
    Scan x = {.w = w, .b = b, .s = &s, .old = op, .known = pass_ids(w->p->arena, w->old.op.n), .final = operand};
    x.pieces = dim_const(w->p->dims, w->old.form.size);
    x.length = cut_count(w->p, op->length, w->old.form.size);
    x.rest = dim_sub(w->p->dims, op->length, dim_mul(w->p->dims, x.pieces, x.length));
    x.result = w->result[old] = NEWN(w->p->arena, RecId, op->nstate + op->nout + 1);
    for (uint32_t i = 0; i < op->nseq; i++)
        x.known[step_of(&x)->arg.p[op->nstate + i]] = operand[op->nstate + i];
    for (uint32_t k = 0; k < s.stages.n; k++)
        if (s.stage[k].class <= STAGE_COUPLED)
            scan_stage(&x, k, k + 1 == s.stages.n);
        else
            plain_stage(&x, k);
    put_out(&x);
    memcpy(x.result, x.final, op->nstate * sizeof *x.result);
    w->to[old] = x.result[0];
}

static void scan_adjoint(Rewrite *w, RecBuild *b, RecId old)
{
    (rec_op(&w->old, old)->home == REC_BACKWARD ? scan_recur : rw_recur)(w, b, old);
}

/* By Newton's method forward, the adjoint at the solution is a scan, where there is one. */
void rec_scan(RecProg *p)
{
    RecForm asked = p->form;
    if (p->form_missing != WHY_NONE || (asked.kind != REC_FORM_SCAN && asked.kind != REC_FORM_NEWTON))
        return;
    Rewrite w = {.recur = asked.kind == REC_FORM_NEWTON ? scan_adjoint : scan_recur};
    if (asked.kind == REC_FORM_NEWTON)
        rec_form_read(STR("scan"), &p->form);
    rw_run(&w, p);
    p->form = asked;
}
