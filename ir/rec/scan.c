/* rec.scan: stages that are affine maps over some algebra as a scan (Blelloch 1990; in three sweeps). Where elements
 * see themselves alone the maps are composed element by element, else as matrices over the axes that are mixed. The
 * places are cut into pieces of equal length, and a rest that follows step by step:
 *
 *   1. every piece, all pieces side by side: the composition of its steps, x -> A x + b;
 *   2. one after another: the states in which the pieces begin;
 *   3. every piece again, all side by side, from there, with all that the step puts out.
 *
 * So the work is twice that of the plain recurrence (with matrices: as many times more as an element sees others), and
 * its depth the length of a piece. Stages follow each other; one that has no scan runs step by step. Forward and
 * adjoint recurrences alike: the pass comes behind rec.backward. */
#include "ir/rec/scan.h"

#include "ir/rec/operator.h"

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

RecId *scan_known(Scan *x, RecId recur)
{
    uint32_t n = x->w->old.op.n;
    RecId *known = pass_ids(x->w->p->arena, n);
    for (RecId v = 0; v < n; v++)
        if (x->known[v] != REC_NONE)
            known[v] = rec_recur_add_seq(x->w->p, recur, side_by_side(x, x->known[v]));
    return known;
}

/* ---- first sweep ---- */

/* The composition of steps is an operator with a block for each pair of states. A block has the new state's axes, and
 * the old one's that a step mixes (LABEL_FROM); it has no axis along which the operator of every step is the same. */
typedef struct Sweep {
    Scan *x;
    const StageInfo *stage;
    uint32_t n;       /* states */
    RecId recur;
    RecId *operator, *source; /* composed over a piece: [n,n] and [n], each [pieces, ...] */
} Sweep;

static const Type *type_of(const Sweep *s, uint32_t i)
{
    return rec_type(&s->x->w->old, s->x->old->use[s->stage->state[i]].v);
}

static uint32_t axes_of(const Sweep *s, uint32_t i)
{
    return (1u << type_of(s, i)->rank) - 1;
}

static uint32_t state_labels(const Sweep *s, uint32_t i)
{
    return axes_of(s, i) << LABEL_AXIS;
}

static uint32_t mixed_labels(const Sweep *s, uint32_t j)
{
    return (axes_of(s, j) & ~s->stage->kept) << LABEL_FROM;
}

static uint32_t block_labels(const Sweep *s, uint32_t i, uint32_t j)
{
    return (axes_of(s, i) & ~s->stage->columns) << LABEL_AXIS | mixed_labels(s, j);
}

/* All axes of a value, and their sizes, in the order of columns of the operator and then the source. */
static uint32_t column_labels(const Sweep *s, uint32_t i, uint32_t j)
{
    return 1u << LABEL_PLACE | (j < s->n ? block_labels(s, i, j) : state_labels(s, i));
}

static void sizes(const Sweep *s, uint32_t i, uint32_t j, Dim *size)
{
    const Type *to = type_of(s, i), *from = type_of(s, j < s->n ? j : i);
    size[LABEL_PLACE] = s->x->pieces;
    memcpy(size + LABEL_AXIS, to->dim, to->rank * sizeof *size);
    memcpy(size + LABEL_FROM, from->dim, from->rank * sizeof *size);
}

static Part widened(Sweep *s, RecBuild *b, Part x, uint32_t i, uint32_t j)
{
    Dim size[LABEL_COUNT] = {0};
    sizes(s, i, j, size);
    return part_expand(b, x, column_labels(s, i, j), size);
}

/* One where the axes of the new state and the old one agree, zero elsewhere. */
static Part identity(Sweep *s, uint32_t i)
{
    RecBuild *b = s->x->b;
    const Type *t = type_of(s, i);
    const AlgebraInfo *algebra = algebra_info(s->stage->algebra);
    Part x = part_number(b, t->dt, algebra->one), zero = part_number(b, t->dt, algebra->zero);
    for (uint8_t k = 0; k < t->rank; k++)
        if (mixed_labels(s, i) >> (LABEL_FROM + k) & 1) {
            RecId iota = rec_iota(b, t->dim[k]);
            Part same =
                part_map(b, FUN_EQ, part_of(iota, 1u << (LABEL_AXIS + k)), part_of(iota, 1u << (LABEL_FROM + k)));
            x = part_where(b, same, x, zero);
        }
    return x;
}

/* Of no step: column j < n of the operator, or the source. */
static RecId nothing_yet(Sweep *s, uint32_t i, uint32_t j)
{
    Part zero = part_number(s->x->b, type_of(s, i)->dt, algebra_info(s->stage->algebra)->zero);
    return widened(s, s->x->b, i == j ? identity(s, i) : zero, i, j).v;
}

static Part plus(Chunk *c, Part a, Part b)
{
    return a.v == REC_NONE ? b : b.v == REC_NONE ? a : algebra_sum(c->b, c->algebra, a, b);
}

static Part signed_part(Chunk *c, const Term *t, Part x)
{
    return t->sign < 0 ? part_map1(c->b, FUN_NEG, x) : x;
}

/* A product in which zero times anything is zero. */
static Part times_or_zero(const Sweep *s, RecBuild *b, Part by, Part x)
{
    const AlgebraInfo *algebra = algebra_info(s->stage->algebra);
    Part zero = part_number(b, type_of(s, 0)->dt, algebra->zero);
    return part_where(b, part_map(b, FUN_EQ, x, zero), zero, part_map(b, algebra->product, by, x));
}

/* A product element by element. A step that guards against infinite numbers times 0 has its guard here too. */
static Part times(const Sweep *s, RecBuild *b, Part by, Part x)
{
    return s->stage->guarded ? times_or_zero(s, b, by, x)
                             : part_map(b, algebra_info(s->stage->algebra)->product, by, x);
}

/* What state l, which is `from`, gives to state i: terms in place add up their coefficients first. */
static Part given_by(Sweep *s, Chunk *c, uint32_t i, uint32_t l, Part from)
{
    const RecProg *old = &s->x->w->old;
    Part by = {.v = REC_NONE}, sum = {.v = REC_NONE};
    for (uint32_t k = 0; k < s->stage->term[i].n; k++) {
        const Term *t = &s->stage->term[i].p[k];
        if (t->state != step_of(s->x)->arg.p[s->stage->state[l]])
            continue;
        if (linear_in_place(old, t))
            by = plus(c, by, signed_part(c, t, chunk_product(c, t, EVERY_FACTOR, 0)));
        else
            sum = plus(c, sum, signed_part(c, t, chunk_apply(c, t, from)));
    }
    return by.v == REC_NONE ? sum : plus(c, times(s, c->b, by, from), sum);
}

/* What the step adds to state i whatever the states are. */
static Part source_of(Sweep *s, Chunk *c, uint32_t i)
{
    Part sum = {.v = REC_NONE};
    for (uint32_t k = 0; k < s->stage->term[i].n; k++)
        if (s->stage->term[i].p[k].state == REC_NONE)
            sum = plus(
                c, sum,
                signed_part(c, &s->stage->term[i].p[k], chunk_product(c, &s->stage->term[i].p[k], EVERY_FACTOR, 0)));
    return sum;
}

/* What state i becomes when the states are `from`, column j of the operator; the source also gets what the step adds.
 */
static RecId advance(Sweep *s, Chunk *c, uint32_t i, uint32_t j, const Part *from)
{
    Part sum = j == s->n ? source_of(s, c, i) : (Part){.v = REC_NONE};
    for (uint32_t l = 0; l < s->n; l++)
        sum = plus(c, sum, given_by(s, c, i, l, from[l]));
    if (sum.v == REC_NONE)
        sum = part_number(c->b, c->dt, algebra_info(c->algebra)->zero);
    return widened(s, c->b, sum, i, j).v;
}

static void compose(Sweep *s)
{
    Scan *x = s->x;
    RecProg *p = x->w->p;
    uint32_t n = s->n, count = n * n + n;
    RecId *init = NEWN(p->arena, RecId, count), *next = NEWN(p->arena, RecId, count);
    Part *from = NEWN(p->arena, Part, n);
    RecRegion step;
    for (uint32_t i = 0; i < count; i++)
        init[i] = i < n * n ? nothing_yet(s, i / n, i % n) : nothing_yet(s, i - n * n, n);
    RecId recur = rec_recur_open(x->b, init, count, NULL, 0, x->length, x->old->reverse, &step);
    RecBuild in = {p, step, x->b->at, {0}};
    Chunk c = chunk_begin(x->w, &in, x->s, x->pieces, NULL, scan_known(x, recur));
    c.algebra = s->stage->algebra;
    c.dt = type_of(s, 0)->dt;
    for (uint32_t j = 0; j <= n; j++) {
        for (uint32_t l = 0; l < n; l++)
            from[l] = part_of(p->region.p[step].arg.p[j < n ? l * n + j : n * n + l], column_labels(s, l, j));
        for (uint32_t i = 0; i < n; i++)
            next[j < n ? i * n + j : n * n + i] = advance(s, &c, i, j, from);
    }
    rec_recur_close(p, recur, next, count);
    for (uint32_t i = 0; i < count; i++)
        (i < n * n ? s->operator: s->source - n * n)[i] = rec_proj(x->b, recur, i);
}

/* ---- second sweep ---- */

/* What a block makes of the state l in which its piece begins: of nothing, nothing, though the composition of finite
 * steps be infinite. */
static Part through_block(const Sweep *s, RecBuild *b, Part by, uint32_t l, RecId state)
{
    Part from = part_of(state, state_labels(s, l));
    uint32_t over = mixed_labels(s, l);
    for (uint8_t k = 0; k < type_of(s, l)->rank; k++)
        if (over >> (LABEL_FROM + k) & 1)
            from = part_relabel(b, from, (uint8_t)(LABEL_AXIS + k), (uint8_t)(LABEL_FROM + k));
    Part given = times_or_zero(s, b, by, from);
    return over ? algebra_reduce(b, s->stage->algebra, given, over) : given;
}

/* The states in which the pieces begin, [pieces, ...]; x->final is where the first begins, and then where the last ends. */
static void carry(Sweep *s, RecId *begin)
{
    Scan *x = s->x;
    RecProg *p = x->w->p;
    uint32_t n = s->n, count = n * n + n;
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
        Part sum = part_of(arg[n + n * n + i], state_labels(s, i));
        for (uint32_t l = 0; l < n; l++) {
            Part by = part_of(arg[n + i * n + l], block_labels(s, i, l));
            sum = algebra_sum(&in, s->stage->algebra, sum, through_block(s, &in, by, l, arg[l]));
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
    RecId *known = scan_known(x, recur);
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
    if (x->old->reverse && x->rest != DIM_ZERO)
        rest = step_by_step(x, stage, &k);
    if (info->class == STAGE_TABLE) {
        begin[0] = scan_table(x, info);
    } else if (info->class == STAGE_OPERATOR) {
        scan_operator(x, info, begin);
    } else {
        compose(&s);
        carry(&s, begin);
    }
    again(&s, begin, &k);
    if (!x->old->reverse && x->rest != DIM_ZERO)
        rest = step_by_step(x, stage, &k);
    for (uint32_t i = 0; i < k.old.n; i++) {
        RecId parts = exchanged(x->b, k.parts.p[i]);
        x->known[k.old.p[i]] = rest ? cut_join(x->b, parts, rest[i]) : cut_whole(x->b, parts);
    }
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

/* What is scanned: recurrences of the backward function alone and those in pieces, stages that compose matrices, and
 * nothing but stages that an operator updates, whose calls are written out elsewhere. */
typedef struct Scanned {
    bool adjoint, dense, operators;
} Scanned;

/* What was made side by side before backward has an adjoint that is, too. */
static bool is_pieced(const RecProg *p, Dim length)
{
    for (uint32_t i = 0; i < p->pieced.n; i++)
        if (p->pieced.p[i] == length)
            return true;
    return false;
}

static bool is_scanned(const Rewrite *w, const Structure *s, uint32_t stage)
{
    const Scanned *what = w->cx;
    bool dense = what->dense || rec_op(&w->old, s->recur)->pieces;
    if (what->operators)
        return s->stage[stage].class == STAGE_OPERATOR;
    return structure_scans(&w->old, s, stage) && (dense || s->stage[stage].class != STAGE_DENSE);
}

static bool any_scanned(const Rewrite *w, const Structure *s)
{
    RecId at;
    RecForm scan = {.kind = REC_FORM_SCAN, .size = w->old.form.size};
    bool any = false;
    for (uint32_t k = 0; k < s->stages.n; k++)
        any |= is_scanned(w, s, k);
    return any && structure_lacks(&w->old, s, &scan, &at) == WHY_NONE;
}

static void note_pieced(Scan *x)
{
    vec_push(x->w->p->arena, &x->w->p->pieced, x->pieces);
    vec_push(x->w->p->arena, &x->w->p->pieced, x->length);
    vec_push(x->w->p->arena, &x->w->p->pieced, x->rest);
}

static void scan_recur(Rewrite *w, RecBuild *b, RecId old)
{
    const RecOp *op = rec_op(&w->old, old);
    const Scanned *what = w->cx;
    if (operator_written_out(w, b, old))
        return;
    Structure s = structure_of(&w->old, w->p->arena, old);
    bool let_alone = is_pieced(w->p, op->length) || (what->adjoint && op->home != REC_BACKWARD);
    if (op->chunk || (let_alone && !op->pieces) || !any_scanned(w, &s)) {
        rw_recur(w, b, old);
        return;
    }
    RecId *operand = rw_operands(w, old);
    Scan x = {.w = w, .b = b, .s = &s, .old = op, .known = pass_ids(w->p->arena, w->old.op.n), .final = operand};
    x.pieces = dim_const(w->p->dims, op->pieces ? op->pieces : w->old.form.size);
    if (!op->pieces)
        x.length = cut_count(w->p, op->length, w->old.form.size);
    else if (!dim_div(w->p->dims, op->length, x.pieces, &x.length))
        ice("rec.scan: %u unequal pieces", op->pieces);
    x.rest = dim_sub(w->p->dims, op->length, dim_mul(w->p->dims, x.pieces, x.length));
    x.result = w->result[old] = NEWN(w->p->arena, RecId, op->nstate + op->nout + 1);
    for (uint32_t i = 0; i < op->nseq; i++)
        x.known[step_of(&x)->arg.p[op->nstate + i]] = operand[op->nstate + i];
    for (uint32_t k = 0; k < s.stages.n; k++)
        if (is_scanned(w, &s, k))
            scan_stage(&x, k, k + 1 == s.stages.n);
        else
            plain_stage(&x, k);
    put_out(&x);
    if (what->operators)
        note_pieced(&x);
    memcpy(x.result, x.final, op->nstate * sizeof *x.result);
    w->to[old] = x.result[0];
}

/* Whether a recurrence of the forward function composes matrices. */
static bool composes_matrices(RecProg *p)
{
    bool dense = false;
    for (uint32_t i = 0; i < p->region.p[REC_FORWARD].op.n; i++) {
        RecId v = p->region.p[REC_FORWARD].op.p[i];
        if (rec_op(p, v)->kind != REC_RECUR)
            continue;
        Structure s = structure_of(p, p->arena, v);
        for (uint32_t k = 0; k < s.stages.n; k++)
            dense |= s.stage[k].class == STAGE_DENSE && structure_scans(p, &s, k);
    }
    return dense;
}

/* By Newton's method forward, the adjoint at the solution is a scan, where elements stay in their place. An adjoint
 * composes matrices where the forward function does: that of a step which is not affine takes many times its work. */
void rec_scan(RecProg *p)
{
    RecForm asked = p->form;
    if (p->form_missing != WHY_NONE || (asked.kind != REC_FORM_SCAN && asked.kind != REC_FORM_NEWTON))
        return;
    Scanned what = {.adjoint = asked.kind == REC_FORM_NEWTON,
                    .dense = asked.kind == REC_FORM_SCAN && composes_matrices(p)};
    Rewrite w = {.recur = scan_recur, .cx = &what};
    if (asked.kind == REC_FORM_NEWTON)
        rec_form_read(STR("scan"), &p->form);
    rw_run(&w, p);
    p->form = asked;
}

/* Calls of operators stand until they can be scanned, which is before backward: the adjoint of the sweeps is made side by
 * side as they are. In other forms they are written out before anything else. */
void rec_operators(RecProg *p)
{
    bool scan = p->form.kind == REC_FORM_SCAN && p->form_missing == WHY_NONE;
    Scanned what = {.operators = true};
    Rewrite w = {.recur = scan ? scan_recur : operator_recur, .cx = &what};
    if ((scan && !p->batched) || !operator_any(p))
        return;
    rw_run(&w, p);
}
