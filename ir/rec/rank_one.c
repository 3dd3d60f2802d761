/* rec.rank_one: states of a grid whose transition is of rank one (rank_one.h) are replaced by the sum that they are
 * made of: one state a place, whatever goes out on how many sides. So pLSTM's P-mode, whose states live on edges, keeps
 * one state on each node.
 *
 * A state S_j, read at place p + by_j, is out_j * sum + own_j there: the sum is carried, and out_j and own_j are made
 * again where they are read, from the sequences moved by by_j. That is cheap, because what is worth keeping was taken
 * out of the step by rec.cascade before. Outside of the grid the state is zero. */
#include "ir/rec/rank_one.h"

#include "ir/rec/part.h"

/* The values of the step as they are `by` further on. */
typedef struct Elsewhere {
    RecOffset by;
    RecId *made;  /* by old op */
    RecId inside; /* whether there is such a place, REC_NONE until it is asked for */
} Elsewhere;

typedef struct RankPass {
    Rewrite *w;
    RecBuild *b; /* where the grid goes */
    const RecOp *op;
    const RecRegionInfo *body;
    Stages stages;
    RankOne *one;     /* by stage */
    uint32_t *number; /* by old state: the new one that stands for it */
    VEC(Elsewhere) at;
    RecId recur; /* the new grid */
    RecBuild in; /* its step */
} RankPass;

static bool replaced(const RankPass *m, uint32_t state)
{
    return m->one[m->stages.of[state]].is == RANK_ONE_FOUND;
}

/* ---- values elsewhere ---- */

static Elsewhere *elsewhere(RankPass *m, const RecOffset *by)
{
    for (uint32_t i = 0; i < m->at.n; i++)
        if (memcmp(&m->at.p[i].by, by, sizeof *by) == 0)
            return &m->at.p[i];
    vec_push(m->w->p->arena, &m->at, ((Elsewhere){*by, pass_ids(m->w->p->arena, m->w->old.op.n), REC_NONE}));
    return &m->at.p[m->at.n - 1];
}

/* A sequence that is zero, or false, where there is no place. */
static RecId moved_sequence(RankPass *m, RecId v, const RecOffset *by)
{
    for (uint8_t i = 0; i < m->op->grid->naxes; i++)
        v = rec_moved(m->b, v, i, by->by[i]);
    return rec_recur_add_seq(m->w->p, m->recur, v);
}

static RecId is_inside(RankPass *m, Elsewhere *at)
{
    Type all = {.dt = DT_BOOL};
    all.rank = rec_places(m->op, all.dim);
    if (at->inside == REC_NONE)
        at->inside = moved_sequence(m, rec_broadcast(m->b, rec_const(m->b, DT_BOOL, 1), &all), &at->by);
    return at->inside;
}

typedef struct Place {
    RankPass *m;
    Elsewhere *at; /* NULL: here */
} Place;

static RecId value_at(void *cx, RecId v)
{
    Place *x = cx;
    RankPass *m = x->m;
    if (!x->at || !rec_inside(&m->w->old, v, m->op->region))
        return m->w->to[v];
    if (x->at->made[v] != REC_NONE)
        return x->at->made[v];
    const RecOp *op = rec_op(&m->w->old, v);
    if (op->kind == REC_REGARG)
        return x->at->made[v] = moved_sequence(m, m->w->to[m->op->use[op->index].v], &x->at->by);
    m->in.at = op->at;
    m->in.name = op->name;
    return x->at->made[v] = pass_copy(&m->in, *op, value_at, x);
}

/* ---- terms ---- */

static Part factor_at(Place *x, const Factor *f)
{
    Part part = {.v = value_at(x, f->use.v)};
    for (uint8_t i = 0; i < rec_type(&x->m->w->old, f->use.v)->rank; i++)
        part.label[i] = (uint8_t)(LABEL_AXIS + f->use.axis[i]);
    return part;
}

static bool is_condition(const Factor *f)
{
    return f->kind > FACTOR_OVER;
}

/* The product so far times (or over) the factors that have so many axes. Few axes come first: these are less work. */
static Part times_of_rank(Place *x, Part product, const Term *t, uint8_t rank)
{
    for (uint32_t i = 0; i < t->factor.n; i++) {
        const Factor *f = &t->factor.p[i];
        if (is_condition(f) || rec_type(&x->m->w->old, f->use.v)->rank != rank)
            continue;
        Part part = factor_at(x, f);
        if (product.v == REC_NONE && f->kind == FACTOR_TIMES)
            product = part;
        else
            product = part_map(&x->m->in, f->kind == FACTOR_TIMES ? FUN_MUL : FUN_DIV,
                               product.v == REC_NONE ? part_number(&x->m->in, DT_REAL, 1) : product, part);
    }
    return product;
}

static Part numbered(Place *x, Part product, double number)
{
    RecBuild *b = &x->m->in;
    if (product.v == REC_NONE)
        return part_number(b, DT_REAL, number);
    if (number == 1 || number == -1)
        return number < 0 ? part_map1(b, FUN_NEG, product) : product;
    return part_map(b, FUN_MUL, part_number(b, DT_REAL, number), product);
}

static Part only_where(Place *x, const Factor *condition, Part v)
{
    RecBuild *b = &x->m->in;
    Part zero = part_number(b, DT_REAL, 0), c = factor_at(x, condition);
    return condition->kind == FACTOR_IF ? part_where(b, c, v, zero) : part_where(b, c, zero, v);
}

static bool is_among(const RecProg *p, const Factor *f, const Factor *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (linear_same_factor(p, &list[i], f))
            return true;
    return false;
}

/* The factors times `state` (REC_NONE: alone), where its conditions hold that are not among those left out. */
static Part term_at(Place *x, const Term *t, RecId state, const Factor *out, uint32_t nout)
{
    Part product = {.v = REC_NONE};
    for (uint8_t rank = 0; rank <= MAXRANK; rank++)
        product = times_of_rank(x, product, t, rank);
    if (product.v != REC_NONE || t->sign != 1 || state == REC_NONE)
        product = numbered(x, product, t->sign);
    if (state != REC_NONE) {
        Part carried = part_of(state, ((1u << t->rank) - 1) << LABEL_AXIS);
        product = product.v == REC_NONE ? carried : part_map(&x->m->in, FUN_MUL, product, carried);
    }
    for (uint32_t i = t->factor.n; i--;)
        if (is_condition(&t->factor.p[i]) && !is_among(&x->m->w->old, &t->factor.p[i], out, nout))
            product = only_where(x, &t->factor.p[i], product);
    return product;
}

static RecId whole(Place *x, Part v, const Type *type)
{
    Dim size[LABEL_COUNT] = {0};
    memcpy(size + LABEL_AXIS, type->dim, type->rank * sizeof *size);
    return part_expand(&x->m->in, v, ((1u << type->rank) - 1) << LABEL_AXIS, size).v;
}

/* ---- states ---- */

/* The conditions that all terms of a row have. */
static uint32_t common_conditions(const RankPass *m, const RankRow *row, Factor *list)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < row->out.factor.n; i++) {
        const Factor *f = &row->out.factor.p[i];
        bool all = is_condition(f);
        for (uint32_t k = 0; k < row->own.n && all; k++)
            all = is_among(&m->w->old, f, row->own.p[k].factor.p, row->own.p[k].factor.n);
        if (all)
            list[n++] = *f;
    }
    return n;
}

/* A condition that is a sequence is false where there is no place. */
static bool are_zero_outside(const RankPass *m, const Factor *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i].kind == FACTOR_IF && rec_op(&m->w->old, list[i].use.v)->kind == REC_REGARG)
            return true;
    return false;
}

static RecId state_from(RankPass *m, const RankRow *row, const RecOffset *by, RecId sum)
{
    Place x = {m, elsewhere(m, by)};
    Type type = *rec_type(m->w->p, sum);
    Factor *shared = NEWN(m->w->p->arena, Factor, row->out.factor.n + 1);
    uint32_t n = common_conditions(m, row, shared);
    Part v = term_at(&x, &row->out, sum, shared, n);
    for (uint32_t i = 0; i < row->own.n; i++)
        v = part_map(&m->in, FUN_ADD, v, term_at(&x, &row->own.p[i], REC_NONE, shared, n));
    for (uint32_t i = n; i--;)
        v = only_where(&x, &shared[i], v);
    if (!are_zero_outside(m, shared, n))
        v = part_where(&m->in, part_of(is_inside(m, x.at), 0), v, part_number(&m->in, DT_REAL, 0));
    return whole(&x, v, &type);
}

static const RankRow *row_of(const RankPass *m, uint32_t state)
{
    const RankOne *one = &m->one[m->stages.of[state]];
    for (uint32_t k = 0; k < one->nrow; k++)
        if (one->row[k].value == m->body->result.p[state])
            return &one->row[k];
    ice("rec.rank_one: a state without a row");
}

static void bind_states(RankPass *m, RecRegion step)
{
    for (uint32_t k = 0; k < m->op->nstate; k++) {
        RecId old = m->body->arg.p[k], arg = m->w->p->region.p[step].arg.p[m->number[k]];
        RecOp *now = rec_op(m->w->p, arg);
        now->name = now->name.n ? now->name : rec_op(&m->w->old, old)->name;
        now->at = rec_op(&m->w->old, old)->at;
        m->w->to[old] = arg;
    }
}

static void make_states(RankPass *m)
{
    for (uint32_t k = 0; k < m->op->nstate; k++) {
        RecId old = m->body->arg.p[k];
        if (replaced(m, k))
            m->w->to[old] = state_from(m, row_of(m, k), &m->op->grid->by[k], m->w->to[old]);
    }
}

/* "right_down" */
static Str sum_name(const RankPass *m, const RankOne *one)
{
    Text t = {.arena = m->w->p->arena};
    for (uint32_t k = 0; k < one->nrow; k++)
        text_add(&t, "%s%.*s", k ? "_" : "", STRF(rec_op(&m->w->old, one->row[k].value)->name));
    return text_str(&t);
}

static bool in_all_rows(const RankPass *m, const RankOne *one, const Factor *f)
{
    for (uint32_t k = 0; k < one->nrow; k++)
        if (!is_among(&m->w->old, f, one->row[k].out.factor.p, one->row[k].out.factor.n))
            return false;
    return true;
}

/* Whether something is multiplied or added that the step makes at its own place. */
static bool has_factors(const RankOne *one)
{
    bool any = false;
    for (uint32_t i = 0; i < one->sum.n; i++)
        for (uint32_t k = 0; k < one->sum.p[i].factor.n; k++)
            any |= !is_condition(&one->sum.p[i].factor.p[k]);
    return any;
}

/* Where a condition of all that goes out does not hold nobody reads the sum, and what it is made of may be no number:
 * no derivative must go there. */
static Part only_where_read(Place *x, const RankOne *one, Part sum)
{
    const Term *first = &one->row[0].out;
    for (uint32_t i = has_factors(one) ? first->factor.n : 0; i--;)
        if (is_condition(&first->factor.p[i]) && in_all_rows(x->m, one, &first->factor.p[i]))
            sum = only_where(x, &first->factor.p[i], sum);
    return sum;
}

static RecId sum_here(RankPass *m, const RankOne *one)
{
    Place x = {m, NULL};
    Part sum = {.v = REC_NONE};
    m->in.at = rec_op(&m->w->old, one->row[0].value)->at;
    m->in.name = sum_name(m, one);
    for (uint32_t i = 0; i < one->sum.n; i++) {
        const Term *t = &one->sum.p[i];
        Part v = term_at(&x, t, t->state == REC_NONE ? REC_NONE : m->w->to[t->state], NULL, 0);
        sum = i ? part_map(&m->in, FUN_ADD, sum, v) : v;
    }
    return whole(&x, only_where_read(&x, one, sum), rec_type(&m->w->old, one->row[0].value));
}

/* ---- a grid ---- */

/* The new state that stands for state k: the one of an earlier state of the same sum, read at the same place. */
static uint32_t find_number(const RankPass *m, uint32_t k, uint32_t next)
{
    for (uint32_t j = 0; j < k && replaced(m, k); j++)
        if (m->stages.of[j] == m->stages.of[k] &&
            memcmp(&m->op->grid->by[j], &m->op->grid->by[k], sizeof(RecOffset)) == 0)
            return m->number[j];
    return next;
}

static RecRegion open_grid(RankPass *m)
{
    Arena *a = m->w->p->arena;
    RecGrid *g = NEW(a, RecGrid);
    RecId *init = NEWN(a, RecId, m->op->nstate + 1), *seq = NEWN(a, RecId, m->op->nseq + 1);
    uint32_t n = 0;
    RecRegion step;
    *g = *m->op->grid;
    g->by = NEWN(a, RecOffset, m->op->nstate + 1);
    for (uint32_t k = 0; k < m->op->nstate; k++) {
        m->number[k] = find_number(m, k, n);
        if (m->number[k] < n)
            continue;
        g->by[n] = m->op->grid->by[k];
        init[n++] = m->w->to[m->op->use[k].v];
    }
    for (uint32_t i = 0; i < m->op->nseq; i++)
        seq[i] = m->w->to[m->op->use[m->op->nstate + i].v];
    m->recur = rec_grid_open(m->b, init, n, seq, m->op->nseq, g, &step);
    for (uint32_t i = 0; i < m->op->nseq; i++)
        m->w->to[m->body->arg.p[m->op->nstate + i]] = m->w->p->region.p[step].arg.p[n + i];
    return step;
}

static void close_grid(RankPass *m, uint32_t nstate)
{
    Arena *a = m->w->p->arena;
    RecId *result = NEWN(a, RecId, nstate + m->op->nout + 1), *now = NEWN(a, RecId, m->stages.n + 1);
    for (uint32_t s = 0; s < m->stages.n; s++)
        now[s] = m->one[s].is == RANK_ONE_FOUND ? sum_here(m, &m->one[s]) : REC_NONE;
    for (uint32_t k = 0; k < m->op->nstate; k++)
        result[m->number[k]] = replaced(m, k) ? now[m->stages.of[k]] : m->w->to[m->body->result.p[k]];
    for (uint32_t i = 0; i < m->op->nout; i++)
        result[nstate + i] = m->w->to[m->body->result.p[m->op->nstate + i]];
    rec_recur_close(m->w->p, m->recur, result, nstate + m->op->nout);
    rec_recur_move_last(m->w->p, m->recur);
}

/* What stands for the old grid's results; there are no final states. */
static void put_results(RankPass *m, RecId old, uint32_t nstate)
{
    RecId *result = NEWN(m->w->p->arena, RecId, m->op->nstate + m->op->nout + 1);
    for (uint32_t i = 0; i < m->op->nout; i++)
        result[m->op->nstate + i] = rec_proj(m->b, m->recur, nstate + i);
    m->w->result[old] = result;
}

static void rank_one_recur(Rewrite *w, RecBuild *b, RecId old)
{
    Arena *a = w->p->arena;
    RankPass m = {.w = w, .b = b, .op = rec_op(&w->old, old)};
    bool any = false;
    m.body = &w->old.region.p[m.op->region];
    if (m.op->grid)
        m.stages = stages_of(&w->old, a, old);
    m.one = NEWN(a, RankOne, m.stages.n + 1);
    for (uint32_t s = 0; s < m.stages.n; s++) {
        m.one[s] = rank_one_of(&w->old, a, old, &m.stages, s);
        any |= m.one[s].is == RANK_ONE_FOUND;
    }
    if (!any) {
        rw_recur(w, b, old);
        return;
    }
    m.number = NEWN(a, uint32_t, m.op->nstate + 1);
    RecRegion step = open_grid(&m);
    uint32_t nstate = rec_op(w->p, m.recur)->nstate;
    m.in = (RecBuild){w->p, step, b->at, b->name};
    bind_states(&m, step);
    make_states(&m);
    rw_region(w, m.op->region, step);
    close_grid(&m, nstate);
    put_results(&m, old, nstate);
}

void rec_rank_one(RecProg *p)
{
    Rewrite w = {.recur = rank_one_recur};
    rw_run(&w, p);
}
