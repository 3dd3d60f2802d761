/* Classes of stages: see structure.h. A stage is tried as an affine map over each algebra in turn. */
#include "ir/rec/convolution.h"
#include "ir/rec/table.h"

bool structure_same(const RecProg *p, const RecOp *recur, RecId v)
{
    const RecOp *op = rec_op(p, v);
    while (op->kind == REC_MAP && op->fun == FUN_ID && rec_inside(p, v, recur->region))
        op = rec_op(p, v = op->use[0].v);
    return !rec_inside(p, v, recur->region) || op->kind == REC_CONST || op->kind == REC_DIM || op->kind == REC_IOTA;
}

static bool is_constant(const RecProg *p, const RecOp *recur, const Term *t)
{
    for (uint32_t i = 0; i < t->factor.n; i++)
        if (t->factor.p[i].kind <= FACTOR_OVER && !structure_same(p, recur, t->factor.p[i].use.v))
            return false;
    return true;
}

static StageClass larger(StageClass a, StageClass b)
{
    return a > b ? a : b;
}

static StageClass class_of_term(const RecProg *p, const StageInfo *x, const Term *t)
{
    if (t->state == REC_NONE)
        return STAGE_DELAY;
    if (!linear_in_place(p, t))
        return STAGE_DENSE;
    return x->n == 1 ? STAGE_DIAGONAL : STAGE_COUPLED;
}

static bool one_shape(const RecProg *p, const RecOp *recur, const StageInfo *x)
{
    for (uint32_t i = 1; i < x->n; i++)
        if (!type_eq(rec_type(p, recur->use[x->state[0]].v), rec_type(p, recur->use[x->state[i]].v)))
            return false;
    return true;
}

/* ---- axes that no step mixes ---- */

static uint32_t shared_axes(const RecProg *p, const RecOp *recur, const StageInfo *x)
{
    uint32_t shared = UINT32_MAX;
    const Type *first = rec_type(p, recur->use[x->state[0]].v);
    for (uint32_t i = 0; i < x->n; i++) {
        const Type *t = rec_type(p, recur->use[x->state[i]].v);
        shared &= (1u << t->rank) - 1;
        for (uint8_t k = 0; k < t->rank && k < first->rank; k++)
            if (t->dim[k] != first->dim[k])
                shared &= ~(1u << k);
    }
    return shared;
}

/* The axes of its state that the term reads at their own places. */
static uint32_t kept_by(const RecProg *p, const Term *t)
{
    uint32_t kept = 0;
    for (uint8_t k = 0; k < rec_type(p, t->state)->rank; k++)
        kept |= (uint32_t)(t->axis[k] == k) << k;
    return kept;
}

/* The term's axes that a factor names, or an axis of the state that is another one there. */
static uint32_t named_by(const RecProg *p, const Term *t)
{
    uint32_t named = 0;
    for (uint32_t i = 0; i < t->factor.n; i++)
        named |= pass_names(p, t->factor.p[i].use);
    for (uint8_t k = 0; k < rec_type(p, t->state)->rank; k++)
        named |= t->axis[k] == k ? 0 : 1u << t->axis[k];
    return named;
}

static void find_kept(const RecProg *p, const RecOp *recur, StageInfo *x)
{
    uint32_t named = 0;
    x->kept = shared_axes(p, recur, x);
    for (uint32_t i = 0; i < x->n; i++)
        for (uint32_t k = 0; k < x->term[i].n; k++) {
            const Term *t = &x->term[i].p[k];
            x->kept &= t->state == REC_NONE ? UINT32_MAX : kept_by(p, t);
            named |= t->state == REC_NONE ? 0 : named_by(p, t);
        }
    x->columns = x->kept & ~named;
}

/* ---- classes ---- */

/* Sums of real numbers cancel, so that one's being zero does not say that all it is made of is; but a cotangent is, where
 * nothing came. A largest one, or a sum of exponentials, is zero where each is. */
static bool may_be_guarded(const RecOp *recur, Algebra algebra)
{
    return algebra != ALGEBRA_PLUS || recur->home == REC_BACKWARD;
}

static bool classify_over(const RecProg *p, Arena *a, const RecOp *recur, const bool *reads, Algebra algebra, StageInfo *x)
{
    LinearCx cx = {.p = p, .arena = a, .body = recur->region, .depends = reads, .algebra = algebra};
    cx.guarded = may_be_guarded(recur, algebra) ? &x->guarded : NULL;
    x->guarded = false;
    x->algebra = algebra;
    x->class = STAGE_DELAY;
    x->constant = true;
    x->term = NEWN(a, Terms, x->n);
    for (uint32_t i = 0; i < x->n; i++) {
        RecId next = p->region.p[recur->region].result.p[x->state[i]];
        if (!(algebra == ALGEBRA_LOG ? linear_log_terms : linear_terms)(&cx, next, &x->term[i], &x->why))
            return false;
        for (uint32_t k = 0; k < x->term[i].n; k++) {
            const Term *t = &x->term[i].p[k];
            x->class = larger(x->class, class_of_term(p, x, t));
            x->constant &= t->state == REC_NONE || is_constant(p, recur, t);
        }
    }
    if (x->class == STAGE_COUPLED && !one_shape(p, recur, x))
        x->class = STAGE_DENSE;
    find_kept(p, recur, x);
    return true;
}

static StageInfo stage_info(const RecProg *p, Arena *a, const Structure *s, uint32_t stage)
{
    const RecOp *recur = rec_op(p, s->recur);
    StageInfo x = {.state = NEWN(a, uint32_t, s->stages.nstate + 1), .reads = s->stages.reads[stage], .why = REC_NONE};
    RecId first = REC_NONE;
    for (uint32_t i = 0; i < s->stages.nstate; i++)
        if (s->stages.of[i] == stage)
            x.state[x.n++] = i;
    x.class = STAGE_OPERATOR;
    if (operator_update(p, a, s->recur, x.reads, x.state, x.n, &x.update))
        return x;
    for (Algebra algebra = 0; algebra < ALGEBRA_COUNT; algebra++) {
        if (classify_over(p, a, recur, s->stages.reads[stage], algebra, &x))
            return x;
        first = algebra == ALGEBRA_PLUS ? x.why : first;
    }
    const RecRegionInfo *step = &p->region.p[recur->region];
    bool table = x.n == 1 && table_stage(p, a, step->arg.p[x.state[0]], step->result.p[x.state[0]], x.reads, &x.size);
    x.class = table ? STAGE_TABLE : STAGE_NONLINEAR;
    x.algebra = ALGEBRA_PLUS;
    x.term = NULL;
    x.why = first;
    return x;
}

static bool has_loop(const RecProg *p, RecRegion r)
{
    for (uint32_t i = 0; i < p->region.p[r].op.n; i++)
        if (p->op.p[p->region.p[r].op.p[i]].kind == REC_RECUR && !p->op.p[p->region.p[r].op.p[i]].is_operator)
            return true;
    return false;
}

static bool made_of_lengths(const RecProg *p, const RecOp *recur, RecId v, bool *some)
{
    const RecOp *op = rec_op(p, v);
    if (op->kind == REC_REGARG && op->home == recur->region && op->index >= recur->nstate)
        return made_of_lengths(p, recur, recur->use[op->index].v, some);
    bool length = op->kind == REC_ARG && p->arg.p[op->arg].role == ROLE_LENGTH;
    bool all = length || op->kind == REC_MAP || op->kind == REC_IOTA || op->kind == REC_CONST || op->kind == REC_DIM;
    *some |= length;
    for (uint32_t i = 0; i < op->nuse && all; i++)
        all = made_of_lengths(p, recur, op->use[i].v, some);
    return all;
}

bool structure_of_lengths(const RecProg *p, const RecOp *recur, RecId v)
{
    bool some = false;
    return made_of_lengths(p, recur, v, &some) && some;
}

Structure structure_of(const RecProg *p, Arena *a, RecId recur)
{
    Structure s = {.recur = recur, .stages = stages_of(p, a, recur), .loops = has_loop(p, rec_op(p, recur)->region)};
    s.stage = NEWN(a, StageInfo, s.stages.n + 1);
    for (uint32_t k = 0; k < s.stages.n; k++) {
        s.stage[k] = stage_info(p, a, &s, k);
        bool plus = s.stage[k].class <= STAGE_DENSE && s.stage[k].algebra == ALGEBRA_PLUS;
        if (plus && !s.loops)
            s.stage[k].matrix = matrix_stage(p, a, recur, &s.stages, k, &s.stage[k].no_matrix);
    }
    return s;
}

/* ---- forms ---- */

const char *rec_why_text(RecWhy why)
{
    static const char *const text[] = {
#define WHY(NAME, ID, TEXT) TEXT,
#include "ir/rec/why.def"
#undef WHY
    };
    return text[why];
}

const char *rec_why_id(RecWhy why)
{
    static const char *const id[] = {
#define WHY(NAME, ID, TEXT) ID,
#include "ir/rec/why.def"
#undef WHY
    };
    return id[why];
}

/* One more axis for the places of a chunk, two for sequences cut into chunks. */
static bool has_room(const RecProg *p, const RecOp *recur)
{
    for (uint32_t i = 0; i < recur->nuse; i++)
        if (rec_type(p, recur->use[i].v)->rank >= MAXRANK)
            return false;
    for (uint32_t i = 0; i < p->region.p[recur->region].result.n; i++)
        if (rec_type(p, p->region.p[recur->region].result.p[i])->rank + 2 > MAXRANK)
            return false;
    for (uint32_t i = 0; i < p->region.p[recur->region].op.n; i++)
        if (rec_type(p, p->region.p[recur->region].op.p[i])->rank >= MAXRANK)
            return false;
    return true;
}

/* Reasons stand in the order in which they are met: that of the stage that got furthest is the one to name. */
typedef struct Lack {
    RecWhy why;
    RecId at;
} Lack;

static void add_reason(Lack *l, RecWhy why, RecId at)
{
    if (why > l->why)
        *l = (Lack){why, at};
}

/* An index alone is no reason for a form, nor against one. */
static bool counts(const RecProg *p, const Structure *s, const StageInfo *x)
{
    return rec_type(p, rec_op(p, s->recur)->use[x->state[0]].v)->dt == DT_REAL;
}

static Lack lacks_chunk(const RecProg *p, const Structure *s)
{
    Lack l = {WHY_NO_STATE, REC_NONE};
    for (uint32_t k = 0; k < s->stages.n; k++) {
        const StageInfo *x = &s->stage[k];
        if (x->matrix)
            return (Lack){WHY_NONE, REC_NONE};
        if (x->class == STAGE_NONLINEAR || x->class == STAGE_OPERATOR)
            add_reason(&l, WHY_NOT_AFFINE, x->class == STAGE_OPERATOR ? x->update.call : x->why);
        else if (!counts(p, s, x))
            continue;
        else if (x->algebra != ALGEBRA_PLUS)
            add_reason(&l, WHY_OTHER_ALGEBRA, x->why);
        else
            add_reason(&l, x->no_matrix.why, x->no_matrix.at);
    }
    return l;
}

/* Places, the axes of a term, and once more those that are mixed. */
static bool composes(const RecProg *p, const RecOp *recur, const StageInfo *x)
{
    uint32_t axes = 0, mixed = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        uint32_t all = (1u << rec_type(p, recur->use[x->state[i]].v)->rank) - 1,
                 own = (uint32_t)__builtin_popcount(all & ~x->kept);
        mixed = own > mixed ? own : mixed;
        for (uint32_t k = 0; k < x->term[i].n; k++)
            axes = x->term[i].p[k].nit > axes ? x->term[i].p[k].nit : axes;
    }
    return 1 + axes + mixed <= MAXRANK;
}

/* No whole number is infinite, so there is no zero but that of sums. */
static bool has_zero(const RecProg *p, const Structure *s, const StageInfo *x)
{
    return x->algebra == ALGEBRA_PLUS || counts(p, s, x);
}

bool structure_scans(const RecProg *p, const Structure *s, uint32_t stage)
{
    const StageInfo *x = &s->stage[stage];
    switch (x->class) {
    case STAGE_TABLE:
    case STAGE_OPERATOR: return true;
    case STAGE_NONLINEAR: return false;
    case STAGE_DENSE: return has_zero(p, s, x) && composes(p, rec_op(p, s->recur), x);
    default: return has_zero(p, s, x);
    }
}

static Lack lacks_scan(const RecProg *p, const Structure *s)
{
    Lack l = {WHY_NO_STATE, REC_NONE};
    for (uint32_t k = 0; k < s->stages.n; k++) {
        const StageInfo *x = &s->stage[k];
        if (x->class == STAGE_NONLINEAR)
            add_reason(&l, WHY_NOT_AFFINE, x->why);
        else if (!counts(p, s, x) && x->class != STAGE_TABLE && x->class != STAGE_OPERATOR)
            continue;
        else if (structure_scans(p, s, k))
            return (Lack){WHY_NONE, REC_NONE};
        else
            add_reason(&l, WHY_AXES, x->why);
    }
    return l;
}

/* Any step, as long as all that it carries is real. */
static Lack lacks_newton(const RecProg *p, const Structure *s)
{
    const RecOp *recur = rec_op(p, s->recur);
    if (recur->nstate == 0)
        return (Lack){WHY_NO_STATE, REC_NONE};
    for (uint32_t i = 0; i < recur->nstate; i++)
        if (rec_type(p, recur->use[i].v)->dt != DT_REAL)
            return (Lack){WHY_NOT_REAL, p->region.p[recur->region].result.p[i]};
    return (Lack){WHY_NONE, REC_NONE};
}

static Lack lack_of(const RecProg *p, const Structure *s, const RecForm *form)
{
    if (form->kind == REC_FORM_NEWTON)
        return lacks_newton(p, s);
    if (form->kind == REC_FORM_CONVOLUTION) {
        Lack l;
        convolution_of(p, p->arena, s, &l.why, &l.at);
        return l;
    }
    return form->kind == REC_FORM_CHUNK ? lacks_chunk(p, s) : lacks_scan(p, s);
}

RecWhy structure_lacks(const RecProg *p, const Structure *s, const RecForm *form, RecId *at)
{
    *at = REC_NONE;
    if (form->kind == REC_FORM_SEQUENTIAL || form->kind == REC_FORM_WAVEFRONT || form->kind == REC_FORM_CASCADE ||
        form->kind == REC_FORM_BLOCK || form->kind == REC_FORM_AUTO)
        return WHY_NONE;
    if (s->loops)
        return form->kind == REC_FORM_CHUNK ? WHY_LOOP : WHY_ROUNDS;
    if (!has_room(p, rec_op(p, s->recur)))
        return WHY_AXES;
    Lack l = lack_of(p, s, form);
    *at = l.at;
    return l.why;
}
