/* Stages that an associative operator updates, in a scan: compositions of steps are operands of the operator themselves.
 *
 * A step makes of the states x either x itself (beyond a sequence's end), or x joined with something, or a value that has
 * nothing to do with x (behind a cut). So does a composition of steps: which of the three it is stands beside its operand,
 * for each sequence, and no operand need be one that changes nothing. */
#include "ir/rec/scan.h"

enum { STAYS, JOINS, FORGETS }; /* in this order: the larger one of two that follow each other is that of both */

typedef struct Pieces {
    Scan *x;
    const StageInfo *stage;
    const Update *u;
    uint32_t n;
    Chunk c;     /* in the step of a piece */
    Part *right; /* of the call, for all pieces */
} Pieces;

/* What a composition makes of the states. */
typedef struct Made {
    Part kind;
    Part *v; /* by operand */
} Made;

static const Type *type_of(const Pieces *s, uint32_t i)
{
    return rec_type(&s->x->w->old, s->x->old->use[s->u->state[i]].v);
}

static uint32_t kind_labels(const Pieces *s)
{
    return s->u->batched ? 1u << LABEL_AXIS : 0;
}

static uint32_t labels(const Pieces *s, uint32_t i)
{
    return ((1u << type_of(s, i)->rank) - 1) << LABEL_AXIS;
}

static Part number(RecBuild *b, int n)
{
    return part_number(b, DT_INT, n);
}

static Part is(RecBuild *b, Part kind, int n)
{
    return part_map(b, FUN_EQ, kind, number(b, n));
}

static Made made_new(const Pieces *s)
{
    return (Made){.v = NEWN(s->x->w->p->arena, Part, s->n)};
}

/* With all its axes, those of the pieces too if `placed`. */
static RecId widened(const Pieces *s, RecBuild *b, Part v, uint32_t i, bool placed)
{
    Dim size[LABEL_COUNT] = {[LABEL_PLACE] = s->x->pieces};
    const Type *t = type_of(s, i < s->n ? i : 0);
    memcpy(size + LABEL_AXIS, t->dim, t->rank * sizeof *t->dim);
    return part_expand(b, v, (placed ? 1u << LABEL_PLACE : 0) | (i < s->n ? labels(s, i) : kind_labels(s)), size).v;
}

/* ---- a step, for all pieces ---- */

/* The operator itself, with what was composed on its left. */
static void joined(Pieces *s, const Made *left, Part *out)
{
    const RecProg *old = &s->x->w->old;
    const RecRegionInfo *body = &old->region.p[rec_op(old, s->u->call)->region];
    Lift l = s->c.lift;
    l.b = s->c.b;
    l.made = NEWN(s->x->w->p->arena, Lifted, old->op.n + 1);
    for (RecId v = 0; v < old->op.n; v++)
        l.made[v] = (Lifted){REC_NONE, false};
    for (uint32_t i = 0; i < s->n; i++) {
        l.made[body->arg.p[i]] = (Lifted){widened(s, l.b, left->v[i], i, true), true};
        l.made[body->arg.p[s->n + i]] = (Lifted){widened(s, l.b, s->right[i], i, true), true};
    }
    for (uint32_t i = 0; i < s->n; i++)
        out[i] = part_of(lift_placed(&l, body->result.p[i]), 1u << LABEL_PLACE | labels(s, i));
}

static Made behind_join(Pieces *s, const Made *before)
{
    RecBuild *b = s->c.b;
    Made m = made_new(s);
    joined(s, before, m.v);
    m.kind = part_map(b, FUN_MAX, before->kind, number(b, JOINS));
    for (uint32_t i = 0; i < s->n; i++)
        m.v[i] = part_where(b, is(b, before->kind, STAYS), s->right[i], m.v[i]);
    return m;
}

static Part value_of(Pieces *s, RecUse u)
{
    return chunk_factor(&s->c, &(Factor){.kind = FACTOR_TIMES, .use = u});
}

static Made behind(Pieces *s, const Made *before, const RecUse *next);

static Made behind_branch(Pieces *s, const Made *before, const RecUse *next, uint32_t branch)
{
    RecUse *one = NEWN(s->x->w->p->arena, RecUse, s->n);
    for (uint32_t i = 0; i < s->n; i++)
        one[i] = rec_op(&s->x->w->old, next[i].v)->use[branch];
    return behind(s, before, one);
}

static Made behind_where(Pieces *s, const Made *before, const RecUse *next)
{
    Part condition = value_of(s, rec_op(&s->x->w->old, next[0].v)->use[0]);
    Made yes = behind_branch(s, before, next, 1), no = behind_branch(s, before, next, 2), m = made_new(s);
    m.kind = part_where(s->c.b, condition, yes.kind, no.kind);
    for (uint32_t i = 0; i < s->n; i++)
        m.v[i] = part_where(s->c.b, condition, yes.v[i], no.v[i]);
    return m;
}

static Made behind_free(Pieces *s, const RecUse *next)
{
    Made m = made_new(s);
    m.kind = number(s->c.b, FORGETS);
    for (uint32_t i = 0; i < s->n; i++)
        m.v[i] = value_of(s, next[i]);
    return m;
}

/* What was composed before, and then this step, whose new states are `next`. */
static Made behind(Pieces *s, const Made *before, const RecUse *next)
{
    switch (operator_leaf(&s->x->w->old, s->x->s->recur, s->stage->reads, s->u, next)) {
    case LEAF_OLD: return *before;
    case LEAF_NEW: return behind_join(s, before);
    case LEAF_FREE: return behind_free(s, next);
    case LEAF_NONE: break;
    }
    return behind_where(s, before, next);
}

static void take_right(Pieces *s)
{
    const RecOp *call = rec_op(&s->x->w->old, s->u->call);
    s->right = NEWN(s->x->w->p->arena, Part, s->n);
    for (uint32_t i = 0; i < s->n; i++) {
        RecId v = operator_element(s->c.b, lift_placed(&s->c.lift, call->use[s->n + i].v), 1);
        s->right[i] = part_of(v, 1u << LABEL_PLACE | labels(s, i));
    }
}

/* ---- the sweeps ---- */

/* Compositions of all steps of each piece: n operands, and what they are. */
static RecId compose(Pieces *s)
{
    Scan *x = s->x;
    RecProg *p = x->w->p;
    RecId *init = NEWN(p->arena, RecId, s->n + 1), *next = NEWN(p->arena, RecId, s->n + 1);
    RecUse *step_next = NEWN(p->arena, RecUse, s->n);
    RecRegion step;
    for (uint32_t i = 0; i < s->n; i++)
        init[i] = widened(s, x->b, part_number(x->b, type_of(s, i)->dt, 0), i, true);
    init[s->n] = widened(s, x->b, number(x->b, STAYS), s->n, true);
    RecId recur = rec_recur_open(x->b, init, s->n + 1, NULL, 0, x->length, x->old->reverse, &step);
    RecBuild in = {p, step, x->b->at, {0}};
    s->c = chunk_begin(x->w, &in, x->s, x->pieces, NULL, scan_known(x, recur));
    s->c.lift.b = &in;
    take_right(s);
    Made before = made_new(s);
    before.kind = part_of(p->region.p[step].arg.p[s->n], 1u << LABEL_PLACE | kind_labels(s));
    for (uint32_t i = 0; i < s->n; i++) {
        RecId new = x->w->old.region.p[x->old->region].result.p[s->u->state[i]];
        before.v[i] = part_of(p->region.p[step].arg.p[i], 1u << LABEL_PLACE | labels(s, i));
        step_next[i] = rec_use(new, type_of(s, i)->rank);
    }
    Made m = behind(s, &before, step_next);
    for (uint32_t i = 0; i < s->n; i++)
        next[i] = widened(s, &in, m.v[i], i, true);
    next[s->n] = widened(s, &in, m.kind, s->n, true);
    rec_recur_close(p, recur, next, s->n + 1);
    return recur;
}

static RecId outside(void *cx, RecId old)
{
    return ((const Pieces *)cx)->x->w->to[old];
}

/* An operand that is joined, else zeros: an index that no sequence meets is looked up nowhere. */
static RecId if_joined(const Pieces *s, RecBuild *in, Part kind, RecId v, uint32_t i)
{
    Part zero = part_number(in, type_of(s, i)->dt, 0);
    return widened(s, in, part_where(in, is(in, kind, JOINS), part_of(v, labels(s, i)), zero), i, false);
}

/* A piece's composition of the states in which it begins: arg holds these, its operands, and which of the three it is. */
static void enter(Pieces *s, RecBuild *in, const RecId *arg, RecId *next)
{
    RecId *both = NEWN(s->x->w->p->arena, RecId, 2 * s->n), *result = NEWN(s->x->w->p->arena, RecId, s->n);
    Part kind = part_of(arg[2 * s->n], kind_labels(s));
    for (uint32_t i = 0; i < 2 * s->n; i++)
        both[i] = if_joined(s, in, kind, arg[i], i % s->n);
    operator_copy(in, &s->x->w->old, s->u->call, both, outside, s, result);
    for (uint32_t i = 0; i < s->n; i++) {
        Part old = part_of(arg[i], labels(s, i)), alone = part_of(arg[s->n + i], labels(s, i)), v = part_of(result[i], labels(s, i));
        v = part_where(in, is(in, kind, FORGETS), alone, v);
        next[i] = widened(s, in, part_where(in, is(in, kind, STAYS), old, v), i, false);
    }
}

void scan_operator(Scan *x, const StageInfo *stage, RecId *begin)
{
    RecProg *p = x->w->p;
    Pieces s = {.x = x, .stage = stage, .u = &stage->update, .n = stage->n};
    RecId *init = NEWN(p->arena, RecId, s.n), *seq = NEWN(p->arena, RecId, s.n + 1), *next = NEWN(p->arena, RecId, s.n);
    RecId composed = compose(&s);
    RecRegion step;
    for (uint32_t i = 0; i <= s.n; i++)
        seq[i] = rec_proj(x->b, composed, i);
    for (uint32_t i = 0; i < s.n; i++)
        init[i] = x->final[s.u->state[i]];
    RecId recur = rec_recur_open(x->b, init, s.n, seq, s.n + 1, x->pieces, x->old->reverse, &step);
    RecBuild in = {p, step, x->b->at, {0}};
    enter(&s, &in, p->region.p[step].arg.p, next);
    rec_recur_close(p, recur, next, s.n);
    for (uint32_t k = 0; k < s.n; k++)
        for (uint32_t i = 0; i < s.n; i++)
            if (stage->state[k] == s.u->state[i])
                begin[k] = rec_recur_export(p, recur, p->region.p[step].arg.p[i]);
    for (uint32_t i = 0; i < s.n; i++)
        x->final[s.u->state[i]] = rec_proj(x->b, recur, i);
}
