/* explain: the stages of each recurrence, what makes each of them what it is, and the forms that follow. */
#include "frontend/explain.h"
#include "ir/rec/box.h"
#include "ir/rec/newton.h"

typedef struct Say {
    Driver *d;
    const RecProg *p;
    const Structure *s;
} Say;

/* `h` of `hT`, `z.re` of `zT.re`. */
static Str without_end(const Say *x, Str name)
{
    uint32_t at = name.n;
    while (at > 0 && name.p[at - 1] != 'T')
        at--;
    return at ? str_fmt(x->d->arena, "%.*s%.*s", (int)(at - 1), name.p, (int)(name.n - at), name.p + at) : name;
}

/* A state goes by the name of its final value, `hT`, in the interface. */
static Str state_name(const Say *x, uint32_t state)
{
    for (uint32_t i = 0; i < x->p->out.n; i++) {
        const RecOut *o = &x->p->out.p[i];
        const RecOp *v = rec_op(x->p, o->value);
        if (o->role == OUT_FINAL && v->kind == REC_PROJ && v->use[0].v == x->s->recur && v->index == state)
            return without_end(x, o->name);
    }
    RecId next = x->p->region.p[rec_op(x->p, x->s->recur)->region].result.p[state];
    return rec_op(x->p, next)->name.n ? rec_op(x->p, next)->name : STR("state");
}

static void put_line(const Say *x, Text *out, RecId at)
{
    if (at != REC_NONE && rec_op(x->p, at)->at.file)
        text_add(out, ", line %u", source_place(x->d->sources, rec_op(x->p, at)->at).line);
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
        text_add(out, ", minus rank %u", m->low.n);
    text_add(out, ", plus rank %u; %.*s contracted; columns ", m->source.n,
             STRF(dim_str(x->d->arena, x->p->dims, m->type.dim[m->k])));
    put_axes(x, out, m, m->cols);
    text_add(out, " never mix");
}

static void put_class(const Say *x, Text *out, const StageInfo *i)
{
    const char *over = i->class != STAGE_NONLINEAR && i->algebra != ALGEBRA_PLUS ? algebra_info(i->algebra)->text : NULL;
    if (over)
        text_add(out, "over %s: ", over);
    switch (i->class) {
    case STAGE_DELAY: text_add(out, "delay: the old value is not read"); break;
    case STAGE_DIAGONAL: text_add(out, "diagonal: each element is an affine map of itself"); break;
    case STAGE_COUPLED: text_add(out, "blocks of %u: elements at one place read each other", i->n); break;
    case STAGE_DENSE: text_add(out, "affine: elements at different places read each other"); break;
    case STAGE_NONLINEAR:
        text_add(out, "not affine: `%s` of the state", op_name(rec_op(x->p, i->why)));
        put_line(x, out, i->why);
        return;
    }
    if (i->constant && i->class != STAGE_DELAY)
        text_add(out, ", the same at every step");
}

static Str stage_text(const Say *x, const StageInfo *i)
{
    Text out = {.arena = x->d->arena};
    for (uint32_t k = 0; k < i->n; k++)
        text_add(&out, "%s%.*s", k ? ", " : "", STRF(state_name(x, i->state[k])));
    text_add(&out, ": ");
    if (i->matrix)
        put_matrix(x, &out, i->matrix);
    else
        put_class(x, &out, i);
    if (i->class != STAGE_NONLINEAR)
        put_line(x, &out, x->p->region.p[rec_op(x->p, x->s->recur)->region].result.p[i->state[0]]);
    return text_str(&out);
}

/* ---- forms ---- */

/* How Newton's result is shown to be right, and the boxes that guesses are kept in: `|h| <= max(1, |h0|)`. */
static void put_newton(const Say *x, Text *out)
{
    const RecOp *recur = rec_op(x->p, x->s->recur);
    bool bound = newton_by_element(x->p, x->d->arena, recur);
    text_add(out, ", certified by %s", bound ? "a bound of the error" : "equal bits");
    for (uint32_t i = 0; i < recur->nstate; i++) {
        Box box;
        Str name = state_name(x, i);
        if (!box_of(x->p, x->d->arena, recur, i, &box))
            continue;
        text_add(out, "; |%.*s| <= ", STRF(name));
        if (box.keeps)
            text_add(out, "max(%g, |%.*s0|)", box.least, STRF(name));
        else
            text_add(out, "%g", box.least);
    }
}

static Str form_text(const Say *x, RecForm form, const char *name)
{
    RecId at;
    RecWhy why = structure_lacks(x->p, x->s, &form, &at);
    Text out = {.arena = x->d->arena};
    if (why == WHY_NONE) {
        text_add(&out, "%s: yes", name);
        if (form.kind == REC_FORM_NEWTON)
            put_newton(x, &out);
        return text_str(&out);
    }
    text_add(&out, "%s: no, %s [%s]", name, rec_why_text(why), rec_why_id(why));
    put_line(x, &out, at);
    return text_str(&out);
}

void explain_stages(Driver *d, const RecProg *p, ExplainList *stages, ExplainList *forms)
{
    for (uint32_t i = 0; i < p->region.p[REC_FORWARD].op.n; i++) {
        RecId v = p->region.p[REC_FORWARD].op.p[i];
        if (rec_op(p, v)->kind != REC_RECUR)
            continue;
        Structure s = structure_of(p, d->arena, v);
        Say x = {d, p, &s};
        for (uint32_t k = 0; k < s.stages.n; k++)
            vec_push(d->arena, stages, stage_text(&x, &s.stage[k]));
        vec_push(d->arena, forms, form_text(&x, (RecForm){.kind = REC_FORM_SCAN, .size = 16}, "scan"));
        vec_push(d->arena, forms, form_text(&x, (RecForm){.kind = REC_FORM_CHUNK, .size = 16}, "chunk"));
        vec_push(d->arena, forms, form_text(&x, (RecForm){.kind = REC_FORM_NEWTON, .size = 64}, "newton"));
    }
}
