/* Where the first value came up that is not finite. The evaluator runs the same call once more, forward, and everything
 * that a step gives is looked at: states, whether they are outputs or not, and outputs. What a step makes on its way is
 * not: an infinity may be meant there, and be chosen away. So may an infinite state; then the first nan is named too.
 */
#include "frontend/run_finite.h"

#include <math.h>

/* Result `result` of a step of `recur` at this place, and which of its elements. */
typedef struct Spot {
    RecId recur;
    uint32_t result;
    int64_t place, element;
    double value;
} Spot;

/* What is searched for, and the first one of all sequences: steps are counted in each. */
typedef struct Search {
    bool nan_only;
    bool found, in_round;
    Spot spot, round; /* round: in a loop inside of the step */
    bool waits;
    Spot waiting; /* in a loop inside of a step that is still running */
    int64_t sequence, count;
} Search;

typedef struct Look {
    const Frame *f;
    Search search[2];
    int64_t sequence, count;
} Look;

static const RecRegionInfo *step_of(const Look *l, RecId recur)
{
    return &l->f->prog->region.p[rec_op(l->f->prog, recur)->region];
}

/* In a cell over a graph a step is a block of nodes; what it makes on edges is seen at the nodes behind them. */
static bool is_looked_at(const Look *l, const Type *type)
{
    const RecProg *p = l->f->prog;
    uint32_t node = rec_arg_named(p, "plan.node");
    if (type->dt != DT_REAL)
        return false;
    return node == UINT32_MAX || (type->rank && type->dim[0] == p->arg.p[node].type.dim[1]);
}

/* An infinite state that is its start value still, or again behind a reset, did not come up here. */
static bool is_start(const Look *l, const RecEval *e, const Spot *s)
{
    const RecOp *recur = rec_op(l->f->prog, s->recur);
    return s->result < recur->nstate && rec_eval_value(e, recur->use[s->result].v)[s->element] == s->value;
}

static bool is_sought(const Look *l, const Search *s, const RecEval *e, const Spot *at)
{
    bool bad = s->nan_only ? isnan(at->value) : !isfinite(at->value);
    return bad && !is_start(l, e, at) && rec_is_of_forward(l->f->prog, at->recur, at->result);
}

static bool find_in(const Look *l, const Search *s, const RecEval *e, Spot *spot)
{
    const RecRegionInfo *step = step_of(l, spot->recur);
    for (spot->result = 0; spot->result < step->result.n; spot->result++) {
        const Type *type = rec_type(l->f->prog, step->result.p[spot->result]);
        const double *x = rec_eval_value(e, step->result.p[spot->result]);
        int64_t n = is_looked_at(l, type) ? frame_count(l->f, type, false) : 0;
        for (spot->element = 0; spot->element < n; spot->element++) {
            spot->value = x[spot->element];
            if (is_sought(l, s, e, spot))
                return true;
        }
    }
    return false;
}

/* What a loop inside a step gave counts only if the step's results say so too: the step may lie beyond the sequence. */
static void look_for(Look *l, Search *s, const RecEval *e, RecId recur, int64_t place)
{
    Spot spot = {.recur = recur, .place = place};
    bool here = find_in(l, s, e, &spot);
    if (l->f->prog->region.p[rec_op(l->f->prog, recur)->home].owner != REC_NONE) {
        if (here && !s->waits)
            s->waiting = spot;
        s->waits = s->waits || here;
        return;
    }
    if (here && (!s->found || l->count < s->count))
        *s = (Search){s->nan_only, true, s->waits, spot, s->waiting, false, s->waiting, l->sequence, l->count};
    s->waits = false;
}

static void look(void *context, const RecEval *e, RecId recur, int64_t place)
{
    Look *l = context;
    if (l->sequence != l->f->sequence)
        l->count = 0;
    l->sequence = l->f->sequence;
    l->count++;
    for (int i = 0; i < 2; i++)
        look_for(l, &l->search[i], e, recur, place);
}

/* ---- in words ---- */

/* A state over a grid is carried as `h[r-1, s]`. */
static Str state_name(const RecProg *p, RecId carried)
{
    Str name = rec_op(p, carried)->name;
    const char *bracket = name.n ? memchr(name.p, '[', name.n) : NULL;
    return bracket ? (Str){name.p, (uint32_t)(bracket - name.p)} : name;
}

/* The output that this result is, by its name in the interface. */
static Str interface_name(const RecProg *p, const Spot *s)
{
    for (uint32_t i = 0; i < p->out.n; i++) {
        const RecOp *op = rec_op(p, p->out.p[i].value);
        if (p->out.p[i].role == OUT_VALUE && op->kind == REC_PROJ && op->use[0].v == s->recur && op->index == s->result)
            return p->out.p[i].name;
    }
    return STR("");
}

/* What was chosen from for places within the sequence has the name. */
static Str chosen_name(const RecProg *p, RecId v)
{
    const RecOp *op = rec_op(p, v);
    while (!op->name.n && op->kind == REC_MAP && op->fun == FUN_WHERE)
        op = rec_op(p, op->use[1].v);
    return op->name;
}

/* "upper." of a model's instance; empty in a cell. */
static Str instance_of(const Look *l, RecId recur)
{
    const RecProg *p = l->f->prog;
    Str state = p->is_model && rec_op(p, recur)->nstate ? rec_op(p, step_of(l, recur)->arg.p[0])->name : STR("");
    const char *dot = state.n ? memchr(state.p, '.', state.n) : NULL;
    return dot ? (Str){state.p, (uint32_t)(dot - state.p) + 1} : STR("");
}

static Str result_name(const Look *l, const Spot *s)
{
    const RecProg *p = l->f->prog;
    const RecRegionInfo *step = step_of(l, s->recur);
    if (s->result < rec_op(p, s->recur)->nstate)
        return state_name(p, step->arg.p[s->result]);
    return chosen_name(p, step->result.p[s->result]);
}

/* outer: the recurrence of the whole step. */
static Str spot_name(const Look *l, const Spot *s, RecId outer)
{
    Str output = s->result < rec_op(l->f->prog, s->recur)->nstate ? STR("") : interface_name(l->f->prog, s);
    Str name = result_name(l, s), instance = instance_of(l, outer);
    if (output.n || !name.n)
        return output.n ? str_fmt(l->f->arena, "`%.*s`", STRF(output)) : STR("a value");
    bool has = name.n >= instance.n && memcmp(name.p, instance.p, instance.n) == 0;
    return str_fmt(l->f->arena, "`%.*s%.*s`", STRF(has ? STR("") : instance), STRF(name));
}

/* The node that element `element` of a block's array belongs to. */
static int64_t node_of(const Look *l, const Spot *s, uint32_t plan)
{
    const RecProg *p = l->f->prog;
    const Type *type = rec_type(p, step_of(l, s->recur)->result.p[s->result]);
    int64_t width = 1, n = frame_count(l->f, type, false);
    if (!dim_eval(p->dims, type->dim[0], l->f->dim, &width))
        ice("run_origin: a size overflows");
    int64_t b = l->f->dim[p->batch], at = s->place * width + s->element / (n / width);
    return (int64_t)l->f->in[plan][at * b + l->sequence];
}

static Str place_of(const Look *l, const Spot *s)
{
    const RecProg *p = l->f->prog;
    Array shape = {.rank = 0};
    Dim extent[REC_MAXAXES];
    uint32_t plan = rec_arg_named(p, "plan.node");
    if (plan != UINT32_MAX)
        return str_fmt(l->f->arena, "node %lld", (long long)node_of(l, s, plan));
    shape.rank = rec_places(rec_op(p, s->recur), extent);
    for (uint32_t i = 0; i < shape.rank; i++)
        if (!dim_eval(p->dims, extent[i], l->f->dim, &shape.dim[i]))
            ice("run_origin: a size overflows");
    return str_fmt(l->f->arena, "%s %.*s", shape.rank > 1 ? "place" : "step",
                   STRF(array_place_str(l->f->arena, &shape, s->place)));
}

static Str search_text(const Look *l, const Search *s)
{
    const Spot *what = s->in_round ? &s->round : &s->spot;
    Str round = s->in_round ? str_fmt(l->f->arena, "round %lld of ", (long long)s->round.place) : STR("");
    return str_fmt(l->f->arena, "%.*s is %.*s %s %.*s%.*s of sequence %lld", STRF(spot_name(l, what, s->spot.recur)),
                   STRF(value_str(l->f->arena, what->value)), s->in_round ? "in" : "at", STRF(round),
                   STRF(place_of(l, &s->spot)), (long long)s->sequence);
}

Str frame_origin(const Frame *f, bool single)
{
    Frame again = *f;
    Look l = {.f = &again, .search = {{.nan_only = false}, {.nan_only = true}}, .sequence = -1};
    Str why;
    again.out = NEWN(f->arena, double *, f->prog->out.n);
    again.watch = look;
    again.watching = &l;
    const Search *any = &l.search[0], *nan = &l.search[1];
    if (!(single ? frame_rounded : frame_reference)(&again, false, &why) || !any->found)
        return STR("");
    if (isnan(any->spot.value) || !nan->found)
        return search_text(&l, any);
    return str_fmt(f->arena, "%.*s; %.*s", STRF(search_text(&l, any)), STRF(search_text(&l, nan)));
}
