/* explain: the stages of each recurrence, what makes each of them what it is, and the forms that follow. */
#include "frontend/explain.h"
#include "ir/rec/box.h"
#include "ir/rec/contraction.h"
#include "ir/rec/cost.h"
#include "ir/rec/newton.h"
#include "ir/rec/rank_one.h"

typedef struct Say {
    Driver *d;
    const RecProg *p;
    const Structure *s;
    const RecProg *calls; /* the program as long as calls of operators stand in it; NULL if there are none */
} Say;

/* What a state is called where it is carried into the step. */
static Str state_name(const Say *x, uint32_t state)
{
    const RecOp *recur = rec_op(x->p, x->s->recur);
    const RecRegionInfo *step = &x->p->region.p[recur->region];
    RecId named = recur->grid ? step->result.p[state] : step->arg.p[state]; /* the argument's name is that of the place */
    return rec_op(x->p, named)->name.n ? rec_op(x->p, named)->name : STR("state");
}

static void put_line(const Say *x, Text *out, RecId at)
{
    if (at != REC_NONE && rec_op(x->p, at)->at.file)
        text_add(out, ", %.*s", STRF(driver_line(x->d, x->p, rec_op(x->p, at)->at)));
}

static const char *op_name(const RecOp *op)
{
    static const char *const text[] = {
#define OP(ENUM, TEXT, CLASS) TEXT,
#include "ir/rec/rec_ops.def"
#undef OP
    };
    return op->kind == REC_MAP ? fun_info(op->fun)->text : text[op->kind];
}

/* ---- what a stage is ---- */

static void put_axes(const Say *x, Text *out, const Matrix *m, uint32_t axes)
{
    bool first = true;
    for (uint8_t i = 0; i < m->type.rank; i++)
        if (axes >> i & 1) {
            text_add(out, "%s%.*s", first ? "" : ", ", STRF(dim_str(x->d->arena, x->p->dims, m->type.dim[i])));
            first = false;
        }
}

static bool has_number(const Term *t)
{
    for (uint32_t i = 0; i < t->factor.n; i++)
        if (t->factor.p[i].kind <= FACTOR_OVER)
            return true;
    return false;
}

static bool has_decay(const Matrix *m)
{
    for (uint32_t i = 0; i < m->n * m->n; i++)
        for (uint32_t k = 0; k < m->decay[i].n; k++)
            if (has_number(&m->decay[i].p[k]))
                return true;
    return false;
}

/* How often a factor's value, at the same place of its own axes, stands along an axis of the term. */
static uint32_t times_along(const Say *x, const Term *t, uint8_t axis, const Factor *f, uint8_t place)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->factor.n; i++) {
        const Factor *g = &t->factor.p[i];
        n += g->kind == f->kind && g->use.v == f->use.v && place < rec_type(x->p, f->use.v)->rank && g->use.axis[place] == axis;
    }
    return n;
}

static bool stands_in(const Say *x, const Term *a, uint8_t along_a, const Term *b, uint8_t along_b)
{
    for (uint32_t i = 0; i < a->factor.n; i++) {
        const Factor *f = &a->factor.p[i];
        for (uint8_t k = 0; k < rec_type(x->p, f->use.v)->rank; k++)
            if (f->use.axis[k] == along_a && times_along(x, a, along_a, f, k) != times_along(x, b, along_b, f, k))
                return false;
    }
    return true;
}

/* Along which axis of its term a product's vector lies: the one that meets the state (read), or the one that is written. */
static uint8_t vector_axis(const Matrix *m, const Split *s, bool read)
{
    return read ? s->term.axis[m->k] : m->k;
}

static bool same_vector(const Say *x, const Matrix *m, const Split *a, const Split *b, bool read)
{
    uint8_t along_a = vector_axis(m, a, read), along_b = vector_axis(m, b, read);
    return (read ? a->from == b->from : a->to == b->to) && stands_in(x, &a->term, along_a, &b->term, along_b) &&
           stands_in(x, &b->term, along_b, &a->term, along_a);
}

static uint32_t vectors(const Say *x, const Matrix *m, const Splits *of, bool read)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < of->n; i++) {
        bool is_new = true;
        for (uint32_t k = 0; k < i; k++)
            is_new &= !same_vector(x, m, &of->p[i], &of->p[k], read);
        n += is_new;
    }
    return n;
}

/* A sum of products of two vectors each has no higher rank than there are different vectors on either side. */
static uint32_t low_rank(const Say *x, const Matrix *m)
{
    uint32_t read = vectors(x, m, &m->low, true), written = vectors(x, m, &m->low, false);
    return read < written ? read : written;
}

static void put_matrix(const Say *x, Text *out, const Matrix *m)
{
    text_add(out, m->n > 1 ? "matrices that read each other: " : "matrix: ");
    if (!has_decay(m))
        text_add(out, "no decay");
    else if (m->diagonal)
        text_add(out, "a decay for each of %.*s", STRF(dim_str(x->d->arena, x->p->dims, m->type.dim[m->k])));
    else
        text_add(out, "one decay");
    if (m->low.n)
        text_add(out, ", minus rank %u", low_rank(x, m));
    text_add(out, ", plus rank %u; %.*s contracted; columns ", vectors(x, m, &m->source, false),
             STRF(dim_str(x->d->arena, x->p->dims, m->type.dim[m->k])));
    put_axes(x, out, m, m->cols);
    text_add(out, " never mix");
}

/* The old value stays only where a sequence has ended. */
static bool is_beyond(const Say *x, const Term *t)
{
    for (uint32_t i = 0; i < t->factor.n; i++) {
        if (t->factor.p[i].kind == FACTOR_UNLESS && structure_of_lengths(x->p, rec_op(x->p, x->s->recur), t->factor.p[i].use.v))
            return true;
    }
    return t->state == REC_NONE;
}

static bool is_delay(const Say *x, const StageInfo *i)
{
    bool all = i->class == STAGE_DELAY || i->class == STAGE_DIAGONAL;
    for (uint32_t k = 0; k < i->n && all; k++)
        for (uint32_t t = 0; t < i->term[k].n; t++)
            all &= is_beyond(x, &i->term[k].p[t]);
    return all;
}

/* On a grid a state that is read at several places is there for each. */
static bool named_before(const Say *x, const StageInfo *i, uint32_t k)
{
    const RecId *result = x->p->region.p[rec_op(x->p, x->s->recur)->region].result.p;
    bool before = false;
    for (uint32_t j = 0; j < k; j++)
        before |= rec_op(x->p, x->s->recur)->grid && result[i->state[j]] == result[i->state[k]];
    return before;
}

static uint32_t distinct(const Say *x, const StageInfo *i)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < i->n; k++)
        n += !named_before(x, i, k);
    return n;
}

static void put_class(const Say *x, Text *out, const StageInfo *i)
{
    const char *over = i->class != STAGE_NONLINEAR && i->algebra != ALGEBRA_PLUS ? algebra_info(i->algebra)->text : NULL;
    if (over)
        text_add(out, "over %s: ", over);
    if (is_delay(x, i)) {
        text_add(out, "delay: the old value is not read");
        return;
    }
    switch (i->class) {
    case STAGE_DELAY: break;
    case STAGE_DIAGONAL: text_add(out, "diagonal: each element is an affine map of itself"); break;
    case STAGE_COUPLED:
        if (distinct(x, i) == 1)
            text_add(out, "diagonal: each element is an affine map of itself, at several places");
        else
            text_add(out, "blocks of %u: elements at one place read each other", distinct(x, i));
        break;
    case STAGE_DENSE: text_add(out, "affine: elements at different places read each other"); break;
    case STAGE_OPERATOR: break; /* said before: its calls are written out here */
    case STAGE_TABLE:
        text_add(out, "table: which of %.*s elements is meant", STRF(dim_str(x->d->arena, x->p->dims, i->size)));
        return;
    case STAGE_NONLINEAR:
        text_add(out, "not affine: `%s` of the state", op_name(rec_op(x->p, i->why)));
        put_line(x, out, i->why);
        return;
    }
    if (i->constant)
        text_add(out, ", the same at every step");
}

/* ---- states that an associative operator updates ---- */

static bool same_names(const RecProg *p, RecId a, const RecProg *q, RecId b)
{
    const RecOp *x = rec_op(p, a), *y = rec_op(q, b);
    return str_eq(x->name, y->name) && x->at.file == y->at.file && x->at.begin == y->at.begin;
}

static bool has_state(const Say *x, RecId recur, const StageInfo *by, RecId state)
{
    const RecRegionInfo *step = &x->calls->region.p[rec_op(x->calls, recur)->region];
    bool has = false;
    for (uint32_t k = 0; k < by->n; k++)
        has |= same_names(x->calls, step->arg.p[by->state[k]], x->p, state);
    return has;
}

/* The call by which such a recurrence updates the states of this stage, and others that are stages of their own once its
 * equations are written out. */
static RecId call_in(const Say *x, const StageInfo *i, RecId recur)
{
    const RecRegionInfo *here = &x->p->region.p[rec_op(x->p, x->s->recur)->region];
    Structure s = structure_of(x->calls, x->d->arena, recur);
    for (uint32_t k = 0; k < s.stages.n && !s.loops; k++) {
        bool all = s.stage[k].class == STAGE_OPERATOR;
        for (uint32_t n = 0; all && n < i->n; n++)
            all = has_state(x, recur, &s.stage[k], here->arg.p[i->state[n]]);
        if (all)
            return s.stage[k].update.call;
    }
    return REC_NONE;
}

static const RecOp *call_of(const Say *x, const StageInfo *i)
{
    for (uint32_t k = 0; x->calls && k < x->calls->region.p[REC_FORWARD].op.n; k++) {
        RecId v = x->calls->region.p[REC_FORWARD].op.p[k];
        RecId call = rec_op(x->calls, v)->kind == REC_RECUR ? call_in(x, i, v) : REC_NONE;
        if (call != REC_NONE)
            return rec_op(x->calls, call);
    }
    return NULL;
}

static void put_call(const Say *x, Text *out, const RecOp *call)
{
    text_add(out, "associative: `%.*s`, declared in %.*s; by its equations ", STRF(call->name), STRF(driver_line(x->d, x->p, call->at)));
}

static Str stage_text(const Say *x, const StageInfo *i)
{
    Text out = {.arena = x->d->arena};
    for (uint32_t k = 0; k < i->n; k++)
        if (!named_before(x, i, k))
            text_add(&out, "%s%.*s", out.n ? ", " : "", STRF(state_name(x, i->state[k])));
    text_add(&out, ": ");
    const RecOp *call = call_of(x, i);
    if (call)
        put_call(x, &out, call);
    if (i->matrix)
        put_matrix(x, &out, i->matrix);
    else
        put_class(x, &out, i);
    if (i->class != STAGE_NONLINEAR)
        put_line(x, &out, x->p->region.p[rec_op(x->p, x->s->recur)->region].result.p[i->state[0]]);
    return text_str(&out);
}

/* ---- states that are made of one sum ---- */

static Str row_names(const Say *x, const RankOne *r)
{
    Text out = {.arena = x->d->arena};
    for (uint32_t k = 0; k < r->nrow; k++)
        text_add(&out, "%s%.*s", k ? ", " : "", STRF(rec_op(x->p, r->row[k].value)->name));
    return text_str(&out);
}

static void put_difference(const Say *x, Text *out, const RankOne *r)
{
    Str first = rec_op(x->p, r->row[0].value)->name, other = rec_op(x->p, r->at)->name;
    text_add(out, "not of rank one: what `%.*s` multiplies ", STRF(other));
    if (r->read == REC_NONE)
        text_add(out, "its terms");
    else
        text_add(out, "`%.*s`", STRF(rec_op(x->p, r->read)->name));
    text_add(out, " with is no multiple of what `%.*s` does", STRF(first));
}

/* Whether states on several sides of a place are made of one sum, and if not, what stands against it. */
static void put_rank(const Say *x, uint32_t stage, ExplainList *stages)
{
    RankOne r = rank_one_of(x->p, x->d->arena, x->s->recur, &x->s->stages, stage);
    Text out = {.arena = x->d->arena};
    if (r.is == RANK_ONE_NO_MATTER)
        return;
    text_add(&out, "%.*s: ", STRF(row_names(x, &r)));
    if (r.is == RANK_ONE_FOUND)
        text_add(&out, "of rank one: made of one sum, which is what each place keeps");
    else if (r.is == RANK_ONE_IN_ROWS)
        text_add(&out, "of rank one: made of one sum, which each place keeps wave by wave, and in the other forms; row by row the states stay, as factors of the sum could be out of range");
    else if (r.is == RANK_ONE_BOUND)
        text_add(&out, "of rank one, but kept: what else they are made of cannot be made at another place");
    else if (r.is == RANK_ONE_SMALL)
        text_add(&out, "of rank one, but kept: to make them where they are read, %.*s numbers would be moved for each place",
                 STRF(dim_str(x->d->arena, x->p->dims, r.moved)));
    else
        put_difference(x, &out, &r);
    put_line(x, &out, r.is == RANK_ONE_DIFFERS || r.is == RANK_ONE_BOUND ? r.at : r.row[0].value);
    vec_push(x->d->arena, stages, text_str(&out));
}

/* ---- forms ---- */

/* How Newton's result is shown to be right, and the boxes that guesses are kept in: `|h| <= max(1, its start)`. */
static void put_newton(const Say *x, const NewtonWay *way, Text *out)
{
    const RecOp *recur = rec_op(x->p, x->s->recur);
    text_add(out, ", certified by %s", way->bound ? "a bound of the error" : "equal bits");
    for (uint32_t i = 0; i < recur->nstate; i++) {
        Box box;
        Str name = state_name(x, i);
        if (!box_of(x->p, x->d->arena, recur, i, &box))
            continue;
        text_add(out, "; |%.*s| <= ", STRF(name));
        if (box.keeps)
            text_add(out, "max(%g, its start)", box.least);
        else
            text_add(out, "%g", box.least);
    }
}

/* What the iterations take for the derivative where they do not take all of it by element. */
static void put_derivative(const NewtonWay *way, Text *out)
{
    if (way->derivative == REC_DERIVATIVE_EXACT && way->channels)
        return;
    const char *const text[] = {
        [REC_DERIVATIVE_EXACT] = way->pieces ? "the whole derivative, composed as matrices" : "the whole derivative, place by place",
        [REC_DERIVATIVE_BLOCK] = "the derivative of each element by the states at its own place: all of it would be made at one place after the other",
        [REC_DERIVATIVE_DIAGONAL] = "the derivative of each element by itself",
    };
    text_add(out, "; iterates with %s", text[way->derivative]);
}

static bool affine(const Say *x)
{
    bool all = true;
    for (uint32_t i = 0; i < x->s->stages.n; i++)
        all = all && x->s->stage[i].class <= STAGE_DENSE && x->s->stage[i].algebra == ALGEBRA_PLUS;
    return all;
}

/* About how many iterations a window takes where errors are squared in each and the first is `q`: the last one finds nothing to do. */
static int iterations(double q)
{
    int n = 1;
    for (double off = q; off > 1e-5; off *= off)
        n++;
    return n;
}

/* Whether a step brings states together that are in their boxes. */
static void put_contraction(const Say *x, RecProg *p, const NewtonWay *way, Text *out)
{
    bool exact = way->derivative == REC_DERIVATIVE_EXACT;
    if (affine(x) && exact) {
        text_add(out, "; affine: exact after one iteration");
        return;
    }
    Contraction c = contraction_of(p, x->d->arena, x->s->recur);
    double q = contraction_number(&c);
    if (!c.norm.bounded)
        text_add(out, "; no bound of its derivative");
    else if (q >= 1) {
        text_add(out, "; may not contract: derivative at most ");
        contraction_print(out, p, &c);
    } else if (c.norm.n > (q > 0)) {
        text_add(out, "; contracts if ");
        contraction_print(out, p, &c);
        text_add(out, " < 1");
    } else {
        text_add(out, "; contracts by %.3g", q);
        if (exact)
            text_add(out, ": expect about %d iterations", iterations(q));
    }
}

/* Whether the scan has stages whose elements see each other. */
static bool composes_matrices(const Say *x)
{
    bool any = false;
    for (uint32_t i = 0; i < x->s->stages.n; i++)
        any |= x->s->stage[i].class == STAGE_DENSE && structure_scans(x->p, x->s, i);
    return any;
}

/* The operators that a scan composes by, if any. */
static Str operators_text(const Say *x)
{
    Text out = {.arena = x->d->arena};
    const RecOp *last = NULL;
    for (uint32_t i = 0; i < x->s->stages.n; i++) {
        const RecOp *call = call_of(x, &x->s->stage[i]);
        if (call && !(last && str_eq(call->name, last->name)))
            text_add(&out, "%s`%.*s`", out.n ? ", " : "", STRF(call->name));
        last = call ? call : last;
    }
    return text_str(&out);
}

static Str form_text(const Say *x, RecProg *p, RecForm form, const char *name)
{
    RecId at;
    RecWhy why = structure_lacks(x->p, x->s, &form, &at);
    Str operators = form.kind == REC_FORM_SCAN ? operators_text(x) : (Str){0};
    if (operators.n)
        return str_fmt(x->d->arena, "%s: yes, steps are composed by %.*s, and backward goes through the same pieces", name, STRF(operators));
    Text out = {.arena = x->d->arena};
    if (why == WHY_NONE) {
        text_add(&out, "%s: yes", name);
        if (form.kind == REC_FORM_SCAN && composes_matrices(x))
            text_add(&out, ", steps are composed as matrices");
        if (form.kind == REC_FORM_NEWTON) {
            NewtonWay way = newton_way(x->p, x->d->arena, x->s, form);
            put_newton(x, &way, &out), put_derivative(&way, &out), put_contraction(x, p, &way, &out);
        }
        return text_str(&out);
    }
    text_add(&out, "%s: no, %s [%s]", name, rec_why_text(why), rec_why_id(why));
    put_line(x, &out, at);
    return text_str(&out);
}

/* The recurrence of p that stands where v does in `flat`: flattening makes one of one. */
static RecId as_written(const RecProg *p, const RecProg *flat, RecId v)
{
    uint32_t nth = 0, i = 0;
    for (uint32_t k = 0; flat->region.p[REC_FORWARD].op.p[k] != v; k++)
        nth += rec_op(flat, flat->region.p[REC_FORWARD].op.p[k])->kind == REC_RECUR;
    while (rec_op(p, p->region.p[REC_FORWARD].op.p[i])->kind != REC_RECUR || nth-- > 0)
        i++;
    return p->region.p[REC_FORWARD].op.p[i];
}

void explain_stages(Driver *d, RecProg *p, RecProg *written, const RecProg *calls, RecForm said, ExplainList *stages, ExplainList *forms)
{
    for (uint32_t i = 0; i < p->region.p[REC_FORWARD].op.n; i++) {
        RecId v = p->region.p[REC_FORWARD].op.p[i];
        if (rec_op(p, v)->kind != REC_RECUR)
            continue;
        Structure s = structure_of(p, d->arena, v);
        Say x = {d, p, &s, calls};
        for (uint32_t k = 0; k < s.stages.n; k++)
            vec_push(d->arena, stages, stage_text(&x, &s.stage[k]));
        if (rec_op(p, v)->grid)
            continue;
        Structure inside = structure_of(written, d->arena, as_written(written, p, v));
        Say looped = {d, written, &inside, calls};
        const Say *y = inside.loops ? &looped : &x; /* chunks alone make the rounds of a loop steps */
        RecProg *q = inside.loops ? written : p;
        RecForm newton = {.kind = REC_FORM_NEWTON, .size = 64, .derivative = said.derivative, .pieces = said.pieces};
        vec_push(d->arena, forms, form_text(y, q, (RecForm){.kind = REC_FORM_SCAN, .size = 16}, "scan"));
        vec_push(d->arena, forms, form_text(&x, p, (RecForm){.kind = REC_FORM_CHUNK, .size = 16}, "chunk"));
        vec_push(d->arena, forms, form_text(y, q, (RecForm){.kind = REC_FORM_CONVOLUTION, .size = 64}, "convolution"));
        vec_push(d->arena, forms, form_text(y, q, newton, "newton"));
    }
}

void explain_rank_one(Driver *d, const RecProg *p, ExplainList *stages)
{
    for (uint32_t i = 0; i < p->region.p[REC_FORWARD].op.n; i++) {
        RecId v = p->region.p[REC_FORWARD].op.p[i];
        if (rec_op(p, v)->kind != REC_RECUR || !rec_op(p, v)->grid)
            continue;
        Structure s = {.recur = v, .stages = stages_of(p, d->arena, v)};
        Say x = {d, p, &s, NULL};
        for (uint32_t k = 0; k < s.stages.n; k++)
            put_rank(&x, k, stages);
    }
}
