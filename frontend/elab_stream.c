/* Which outputs `chunk` and `step` can give: those that need nothing from later places. Every value of the program is
 * fixed, a sequence taken place by place along one of its axes, or neither, with the reason. */
#include "frontend/elab_internal.h"

typedef enum Stream { FIXED, PLACES, POSITION, NEITHER } Stream;

typedef struct Streams {
    Elab *e;
    Stream *of;
    uint8_t *axis; /* of PLACES: the one that runs over the places */
    const char **why;
} Streams;

static bool leads_with_time(const RecProg *p, const Type *t)
{
    return t->rank > 0 && p->has_time && dim_is_time(p->dims, t->dim[0]);
}

static void neither(Streams *s, RecId v, const char *why)
{
    s->of[v] = NEITHER;
    s->why[v] = why;
}

/* A start value that the caller may give (and carries between calls), perhaps with a cut before the first place. */
static bool is_start(const RecProg *p, RecId v)
{
    const RecOp *op = rec_op(p, v);
    if (op->kind != REC_MAP || op->fun != FUN_WHERE)
        return false;
    return rec_op(p, op->use[0].v)->kind == REC_GIVEN || is_start(p, op->use[2].v);
}

static void stream_recur(Streams *s, RecId v, const RecOp *op)
{
    const RecProg *p = s->e->prog;
    if (!p->has_time || !dim_is_time(p->dims, op->length))
        neither(s, v, "a recurrence runs over other places than those of the sequence");
    for (uint32_t i = 0; i < op->nseq; i++)
        if (s->axis[op->use[op->nstate + i].v])
            neither(s, v, "a recurrence runs along another axis than the places of the sequence");
    for (uint32_t i = 0; i < op->nstate; i++)
        if (!is_start(p, op->use[i].v))
            neither(s, v, "a recurrence starts from a value that is not carried between calls");
}

/* The iteration axis that runs over the places of operand i; false when the op does not keep it. */
static bool places_axis(const Streams *s, const RecOp *op, uint32_t i, uint8_t *axis)
{
    uint8_t own = s->axis[op->use[i].v];
    bool picked = op->kind == REC_GATHER && i == 0 && own < op->nindex;
    *axis = op->use[i].axis[own];
    return !picked && op->kind != REC_SCATTER && *axis < op->type.rank;
}

/* All sequences must go through an op along one and the same axis of its result. */
static void stream_pointwise(Streams *s, RecId v, const RecOp *op)
{
    const RecProg *p = s->e->prog;
    bool any = false, fits = true;
    uint8_t axis;
    for (uint32_t i = 0; i < op->nuse; i++) {
        if (s->of[op->use[i].v] != PLACES)
            continue;
        fits &= places_axis(s, op, i, &axis) && (!any || axis == s->axis[v]);
        s->axis[v] = axis;
        any = true;
    }
    s->of[v] = any ? PLACES : FIXED;
    if (!fits)
        neither(s, v, "it puts together several places of the sequence");
    if (!any && leads_with_time(p, &op->type))
        neither(s, v, "it depends on the length of the sequence");
}

static void stream_map(Streams *s, RecId v, const RecOp *op)
{
    const RecProg *p = s->e->prog;
    bool position = false;
    for (uint32_t i = 0; i < op->nuse; i++)
        position |= s->of[op->use[i].v] == POSITION;
    if (!position) {
        stream_pointwise(s, v, op);
        return;
    }
    const RecOp *length = op->fun == FUN_LT ? rec_op(p, op->use[1].v) : NULL;
    if (length && length->kind == REC_ARG && p->arg.p[length->arg].role == ROLE_LENGTH)
        s->of[v] = PLACES;
    else
        neither(s, v, "it depends on the position in the whole sequence");
}

/* Cuts are taken from the resets one place ahead; within a chunk that is all that they need. */
static bool of_resets(Streams *s, RecId v)
{
    return rec_type(s->e->prog, v)->dt == DT_BOOL;
}

/* The places' axis of the parts that are joined; the one they are joined along when they do not agree. */
static uint8_t places_of(const Streams *s, const RecOp *op)
{
    uint8_t axis = 0;
    bool any = false;
    for (uint32_t i = 0; i < op->nuse; i++) {
        if (s->of[op->use[i].v] != PLACES)
            continue;
        if (any && axis != s->axis[op->use[i].v])
            return op->along;
        axis = s->axis[op->use[i].v];
        any = true;
    }
    return axis;
}

static bool has_history(const RecProg *p, const RecOp *recur)
{
    const RecRegionInfo *step = &p->region.p[recur->region];
    for (uint32_t i = 0; i < step->op.n; i++)
        if (rec_op(p, step->op.p[i])->kind == REC_HISTORY)
            return true;
    return false;
}

/* Part by part a graph goes by calls of its own, see elab_graph.c. */
static const char *why_not_graph(const RecProg *p)
{
    DimSym known;
    if (p->is_model)
        return "it runs over a graph";
    return dim_find_sym(p->dims, STR("known"), &known) ? "it runs over a graph, which grows by calls of forward (known)"
                                                         : "it runs over a graph, and a state lives on its edges";
}

static void stream_kind(Streams *s, RecId v)
{
    const RecProg *p = s->e->prog;
    const RecOp *op = rec_op(p, v);
    if (op->kind == REC_RECUR && (op->grid || has_history(p, op))) {
        neither(s, v, op->grid ? "it runs over a grid" : why_not_graph(p));
        return;
    }
    if (op->kind == REC_RECUR && op->reverse) {
        neither(s, v, "a recurrence runs from the end of the sequence");
        return;
    }
    for (uint32_t i = 0; i < op->nuse; i++)
        if (s->of[op->use[i].v] == NEITHER && !(op->kind == REC_RECUR && i < op->nstate)) {
            neither(s, v, s->why[op->use[i].v]);
            return;
        }
    bool first = op->nuse && s->of[op->use[0].v] == PLACES;
    switch (op->kind) {
    case REC_ARG: s->of[v] = leads_with_time(p, &op->type) ? PLACES : FIXED; return;
    case REC_IOTA: s->of[v] = leads_with_time(p, &op->type) ? POSITION : FIXED; return;
    case REC_DIM: s->of[v] = FIXED; return;
    case REC_MAP: stream_map(s, v, op); return;
    case REC_SLICE:
    case REC_PAD:
    case REC_CONCAT:
        for (uint32_t i = 0; i < op->nuse; i++)
            first |= s->of[op->use[i].v] == PLACES;
        s->axis[v] = places_of(s, op);
        if (first && op->along == s->axis[v] && !of_resets(s, v))
            neither(s, v, "it looks at other places of the sequence");
        else
            s->of[v] = first ? PLACES : FIXED;
        return;
    case REC_RESHAPE:
        if (first && !(s->axis[op->use[0].v] == 0 && op->type.rank && op->type.dim[0] == rec_type(p, op->use[0].v)->dim[0]))
            neither(s, v, "it puts together several places of the sequence");
        else
            s->of[v] = first ? PLACES : FIXED;
        return;
    case REC_RECUR: stream_recur(s, v, op); return;
    case REC_PROJ:
        if (op->index < rec_op(p, op->use[0].v)->nstate)
            neither(s, v, "it needs the state at the end of the sequence");
        else
            s->of[v] = PLACES;
        return;
    case REC_REDUCE:
    case REC_CONTRACT:
    case REC_GATHER:
    case REC_SCATTER: stream_pointwise(s, v, op); return;
    default: return;
    }
}

/* The length of a call is that of a chunk, so nothing but the sequence itself may be as long, or begin there. */
static bool depends_on_length(const RecProg *p, const RecOp *op)
{
    RecFace face = rec_prog_face(p);
    bool begins = (op->kind == REC_SLICE || op->kind == REC_PAD) && rec_mentions_time(&face, op->lo);
    bool is = op->kind == REC_DIM && rec_mentions_time(&face, op->dim);
    return face.ntime && (begins || is || rec_over_time(&face, &op->type));
}

static void stream_op(Streams *s, RecId v)
{
    stream_kind(s, v);
    if (s->of[v] == FIXED && depends_on_length(s->e->prog, rec_op(s->e->prog, v)))
        neither(s, v, "it depends on the length of the sequence");
}

void elab_streams(Elab *e)
{
    RecProg *p = e->prog;
    Streams s = {e, NEWN(e->arena, Stream, p->op.n), NEWN(e->arena, uint8_t, p->op.n), NEWN(e->arena, const char *, p->op.n)};
    for (uint32_t i = 0; i < p->region.p[REC_FORWARD].op.n; i++)
        stream_op(&s, p->region.p[REC_FORWARD].op.p[i]);
    for (uint32_t i = 0; i < p->out.n; i++) {
        RecOut *out = &p->out.p[i];
        if (out->role != OUT_VALUE)
            continue;
        if (rec_has_role(p, ROLE_PLAN))
            neither(&s, out->value, why_not_graph(p));
        if (s.of[out->value] == PLACES && s.axis[out->value])
            neither(&s, out->value, "its leading axis is not that of the places");
        out->streams = s.of[out->value] == PLACES;
        out->why_not = str_of(s.of[out->value] == NEITHER ? s.why[out->value] : out->streams ? "" : "it has one value for the whole sequence");
    }
}
