/* rec.chunk: recurrences with matrix stages (matrix.h) run chunk by chunk: a recurrence over chunks of places, whose step
 * computes all places of its chunk. Stages follow each other inside the chunk: a matrix stage in matrix products, any
 * other one step by step, in a recurrence of its own over the chunk's places. What is behind the last whole chunk is one
 * more, shorter chunk. Elementwise work, conditions, lengths and cuts are those of the step, lifted to all places. */
#include "ir/rec/chunk.h"

/* ---- products of factors ---- */

typedef struct Pool {
    Part part[64];
    FactorKind kind[64];
    uint32_t n;
} Pool;

/* A factor for all places of the chunk. */
Part chunk_factor(Chunk *c, const Factor *f)
{
    c->lift.b = c->b;
    Lifted x = lift_value(&c->lift, f->use.v);
    Part p = {.v = x.v};
    uint8_t n = 0;
    if (x.placed)
        p.label[n++] = LABEL_PLACE;
    for (uint8_t i = 0; i < rec_type(&c->w->old, f->use.v)->rank; i++)
        p.label[n++] = (uint8_t)(LABEL_AXIS + f->use.axis[i]);
    return p;
}

static void add_to_pool(Pool *p, Part x, FactorKind kind)
{
    if (p->n == 64)
        ice("rec.chunk: a product of too many factors");
    p->part[p->n] = x;
    p->kind[p->n++] = kind;
}

/* The factor with the fewest axes among those that name one of these labels (any if 0); conditions last, divisors before them. */
static uint32_t next_of(const Chunk *c, const Pool *p, uint32_t labels)
{
    uint32_t best = p->n;
    for (uint32_t i = 0; i < p->n; i++) {
        if (labels && !(part_labels(c->b, p->part[i]) & labels))
            continue;
        bool better = best == p->n || p->kind[i] < p->kind[best] ||
                      (p->kind[i] == p->kind[best] && rec_type(c->b->prog, p->part[i].v)->rank <
                                                          rec_type(c->b->prog, p->part[best].v)->rank);
        if (better)
            best = i;
    }
    return best;
}

static Part combine(Chunk *c, Part x, Part y, FactorKind kind)
{
    switch (kind) {
    case FACTOR_TIMES: return x.v == REC_NONE ? y : part_map(c->b, FUN_MUL, x, y);
    case FACTOR_OVER: return part_map(c->b, FUN_DIV, x.v == REC_NONE ? part_number(c->b, 1) : x, y);
    case FACTOR_IF: return part_where(c->b, y, x.v == REC_NONE ? part_number(c->b, 1) : x, part_number(c->b, 0));
    case FACTOR_UNLESS: return part_where(c->b, y, part_number(c->b, 0), x.v == REC_NONE ? part_number(c->b, 1) : x);
    }
    ice("rec.chunk: a factor of no kind");
}

/* Takes all that name one of these labels out of the pool, as one product. */
static Part take(Chunk *c, Pool *p, uint32_t labels)
{
    Part x = {.v = REC_NONE};
    for (uint32_t i; (i = next_of(c, p, labels)) < p->n;) {
        x = combine(c, x, p->part[i], p->kind[i]);
        p->n--;
        p->part[i] = p->part[p->n];
        p->kind[i] = p->kind[p->n];
    }
    return x;
}

Part chunk_product(Chunk *c, const Term *t, uint32_t select, uint32_t keep)
{
    Pool p = {.n = 0};
    for (uint32_t i = 0; i < t->factor.n; i++)
        if (select >> i & 1)
            add_to_pool(&p, chunk_factor(c, &t->factor.p[i]), t->factor.p[i].kind);
    for (uint8_t axis = t->rank; axis < t->nit; axis++) {
        uint32_t label = 1u << (LABEL_AXIS + axis);
        if (keep >> axis & 1)
            continue;
        Part x = take(c, &p, label);
        if (x.v != REC_NONE)
            add_to_pool(&p, part_sum(c->b, x, label), FACTOR_TIMES);
        else if (select == UINT32_MAX)
            add_to_pool(&p, part_map(c->b, FUN_MUL, part_number(c->b, 1), (Part){.v = rec_map1(c->b, FUN_REAL, rec_dim(c->b, t->space[axis]))}), FACTOR_TIMES);
    }
    Part x = take(c, &p, 0);
    return x.v == REC_NONE ? part_number(c->b, 1) : x;
}

/* ---- stages that run step by step ---- */

typedef struct Inner {
    Chunk *c;
    RecId recur;
    RecBuild b;
    RecId *to; /* by old op */
} Inner;

static RecId inner_value(Inner *in, RecId old);

static RecId inner_copy(Inner *in, RecId old)
{
    RecOp op = *rec_op(&in->c->w->old, old);
    RecUse *use = NEWN(in->c->w->p->arena, RecUse, op.nuse + 1);
    if (op.kind == REC_RECUR || op.kind == REC_PROJ || op.kind == REC_REGARG)
        ice("rec.chunk: op %u does not go into a chunk", old);
    for (uint32_t i = 0; i < op.nuse; i++) {
        use[i] = op.use[i];
        use[i].v = inner_value(in, op.use[i].v);
    }
    op.use = use;
    in->b.at = op.at;
    return pass_push(&in->b, op);
}

static RecId inner_value(Inner *in, RecId old)
{
    const RecOp *recur = rec_op(&in->c->w->old, in->c->plan->recur);
    if (in->to[old] != REC_NONE)
        return in->to[old];
    if (!rec_inside(&in->c->w->old, old, recur->region))
        return in->c->w->to[old];
    Lifted x = in->c->lift.made[old];
    if (x.v == REC_NONE)
        return in->to[old] = inner_copy(in, old);
    return in->to[old] = x.placed ? rec_recur_add_seq(in->c->w->p, in->recur, x.v) : x.v;
}

void chunk_sequence(Chunk *c, uint32_t stage)
{
    RecProg *p = c->w->p;
    const Stages *s = &c->plan->stages;
    const RecOp *old = rec_op(&c->w->old, c->plan->recur);
    const RecRegionInfo *body = &c->w->old.region.p[old->region];
    uint32_t n = 0, *state = NEWN(p->arena, uint32_t, s->nstate + 1);
    RecId *init = NEWN(p->arena, RecId, s->nstate + 1), *result = NEWN(p->arena, RecId, s->nstate + 1);
    for (uint32_t i = 0; i < s->nstate; i++)
        if (s->of[i] == stage) {
            init[n] = c->entering[i];
            state[n++] = i;
        }
    Inner in = {.c = c, .to = pass_ids(p->arena, c->w->old.op.n)};
    RecRegion step;
    in.recur = rec_recur_open(c->b, init, n, NULL, 0, c->size, old->reverse, &step);
    in.b = (RecBuild){p, step, c->b->at, {0}};
    for (uint32_t k = 0; k < n; k++)
        in.to[body->arg.p[state[k]]] = p->region.p[step].arg.p[k];
    for (uint32_t k = 0; k < n; k++)
        result[k] = inner_value(&in, body->result.p[state[k]]);
    rec_recur_close(p, in.recur, result, n);
    for (uint32_t k = 0; k < n; k++) {
        RecId carried = body->arg.p[state[k]], next = body->result.p[state[k]];
        c->leaving[state[k]] = rec_proj(c->b, in.recur, k);
        c->lift.made[carried] = (Lifted){rec_recur_export(p, in.recur, in.to[carried]), true};
        if (s->reads[stage][next] && c->lift.made[next].v == REC_NONE)
            c->lift.made[next] = (Lifted){rec_recur_export(p, in.recur, result[k]), true};
    }
}

/* ---- one chunk ---- */

static Chunk chunk_begin(Rewrite *w, RecBuild *b, const Plan *plan, Dim size, RecId *entering, const RecId *seq)
{
    const RecOp *old = rec_op(&w->old, plan->recur);
    const RecRegionInfo *body = &w->old.region.p[old->region];
    Chunk c = {.w = w, .b = b, .plan = plan, .size = size, .entering = entering};
    c.leaving = NEWN(w->p->arena, RecId, old->nstate + 1);
    c.lift = (Lift){.w = w, .b = b, .recur = plan->recur, .length = size, .made = NEWN(w->p->arena, Lifted, w->old.op.n + 1)};
    for (uint32_t i = 0; i < w->old.op.n; i++)
        c.lift.made[i].v = REC_NONE;
    for (uint32_t i = 0; i < old->nseq; i++)
        c.lift.made[body->arg.p[old->nstate + i]] = (Lifted){seq[i], true};
    return c;
}

/* The values of one chunk: leaving states, and results for all its places. */
static void one_chunk(Rewrite *w, RecBuild *b, const Plan *plan, Dim size, RecId *entering, const RecId *seq, RecId *leaving, RecId *out)
{
    const RecOp *old = rec_op(&w->old, plan->recur);
    const RecRegionInfo *body = &w->old.region.p[old->region];
    Chunk c = chunk_begin(w, b, plan, size, entering, seq);
    for (uint32_t k = 0; k < plan->stages.n; k++)
        if (plan->matrix[k])
            chunk_matrix(&c, plan->matrix[k]);
        else
            chunk_sequence(&c, k);
    c.lift.b = b;
    for (uint32_t i = 0; i < old->nstate; i++)
        leaving[i] = c.leaving[i];
    for (uint32_t i = old->nstate; i < body->result.n; i++)
        out[i - old->nstate] = lift_placed(&c.lift, body->result.p[i]);
}

/* ---- sequences cut into chunks ---- */

static Dim count_of_chunks(RecProg *p, Dim length, uint32_t size)
{
    Dim den = dim_const(p->dims, size);
    DimSym same;
    for (uint32_t i = 0; i < p->derived.n; i++)
        if (p->derived.p[i].floor && p->derived.p[i].num == length && p->derived.p[i].den == den)
            return dim_of(p->dims, p->derived.p[i].sym);
    Str name = str_fmt(p->arena, "chunks.%u", size);
    for (uint32_t k = 2; dim_find_sym(p->dims, name, &same); k++)
        name = str_fmt(p->arena, "chunks.%u.%u", size, k);
    DimSym sym = dim_sym_new(p->dims, name, DIM_USER);
    vec_push(p->arena, &p->derived, (struct RecDerivedDim){sym, length, den, true});
    return dim_of(p->dims, sym);
}

static RecId cut_sequence(RecBuild *b, RecId seq, Dim n, Dim size)
{
    Type t = *rec_type(b->prog, seq);
    RecId whole = rec_slice(b, seq, 0, DIM_ZERO, dim_mul(b->prog->dims, n, size));
    Dim dim[MAXRANK] = {n, size};
    memcpy(dim + 2, t.dim + 1, (t.rank - 1u) * sizeof(Dim));
    return rec_reshape(b, whole, (uint8_t)(t.rank + 1), dim);
}

static RecId join_sequence(RecBuild *b, RecId chunks, RecId rest)
{
    Type t = *rec_type(b->prog, chunks);
    Dim dim[MAXRANK] = {dim_mul(b->prog->dims, t.dim[0], t.dim[1])};
    memcpy(dim + 1, t.dim + 2, (t.rank - 2u) * sizeof(Dim));
    return rec_concat(b, (RecId[]){rec_reshape(b, chunks, (uint8_t)(t.rank - 1), dim), rest}, 2, 0);
}

typedef struct Cut {
    Rewrite *w;
    RecBuild *b;
    const Plan *plan;
    Dim n, size, rest;
    RecId *seq;           /* new sequences, whole */
    RecId *state;         /* as they are between the parts */
    RecId *out, *out_rest;
} Cut;

static void run_chunks(Cut *k)
{
    RecProg *p = k->w->p;
    const RecOp *old = rec_op(&k->w->old, k->plan->recur);
    RecId *seq = NEWN(p->arena, RecId, old->nseq + 1);
    for (uint32_t i = 0; i < old->nseq; i++)
        seq[i] = cut_sequence(k->b, k->seq[i], k->n, k->size);
    RecRegion step;
    RecId recur = rec_recur_open(k->b, k->state, old->nstate, seq, old->nseq, k->n, old->reverse, &step);
    rec_op(p, recur)->chunk = true;
    RecBuild in = {p, step, k->b->at, {0}};
    RecId *arg = NEWN(p->arena, RecId, old->nuse + 1), *result = NEWN(p->arena, RecId, old->nstate + old->nout + 1);
    memcpy(arg, p->region.p[step].arg.p, old->nuse * sizeof *arg);
    one_chunk(k->w, &in, k->plan, k->size, arg, arg + old->nstate, result, result + old->nstate);
    rec_recur_close(p, recur, result, old->nstate + old->nout);
    for (uint32_t i = 0; i < old->nstate; i++)
        k->state[i] = rec_proj(k->b, recur, i);
    for (uint32_t i = 0; i < old->nout; i++)
        k->out[i] = rec_proj(k->b, recur, old->nstate + i);
}

static void run_rest(Cut *k)
{
    const RecOp *old = rec_op(&k->w->old, k->plan->recur);
    RecId *seq = NEWN(k->w->p->arena, RecId, old->nseq + 1), *left = NEWN(k->w->p->arena, RecId, old->nstate + 1);
    Dim from = dim_mul(k->w->p->dims, k->n, k->size);
    for (uint32_t i = 0; i < old->nseq; i++)
        seq[i] = rec_slice(k->b, k->seq[i], 0, from, k->rest);
    one_chunk(k->w, k->b, k->plan, k->rest, k->state, seq, left, k->out_rest);
    memcpy(k->state, left, old->nstate * sizeof *left);
}

/* ---- the pass ---- */

typedef struct Pass {
    uint32_t size;
    RecId **result; /* by old RECUR: by result number */
} Pass;

static bool has_loop(const RecProg *p, RecRegion r)
{
    for (uint32_t i = 0; i < p->region.p[r].op.n; i++)
        if (p->op.p[p->region.p[r].op.p[i]].kind == REC_RECUR)
            return true;
    return false;
}

/* All sequences and results can have one more axis. */
static bool has_room(const RecProg *p, const RecOp *recur)
{
    for (uint32_t i = 0; i < recur->nuse; i++)
        if (rec_type(p, recur->use[i].v)->rank >= MAXRANK)
            return false;
    for (uint32_t i = 0; i < p->region.p[recur->region].result.n; i++)
        if (rec_type(p, p->region.p[recur->region].result.p[i])->rank + 2 > MAXRANK)
            return false;
    return true;
}

static Plan *plan(const RecProg *p, Arena *a, RecId recur)
{
    const RecOp *op = rec_op(p, recur);
    Plan *plan = NEW(a, Plan);
    MatrixWhy why;
    uint32_t found = 0;
    if (has_loop(p, op->region) || !has_room(p, op))
        return NULL;
    *plan = (Plan){.recur = recur, .stages = stages_of(p, a, recur)};
    plan->matrix = NEWN(a, Matrix *, plan->stages.n + 1);
    for (uint32_t k = 0; k < plan->stages.n; k++) {
        plan->matrix[k] = matrix_stage(p, a, recur, &plan->stages, k, &why);
        found += plan->matrix[k] != NULL;
    }
    return found ? plan : NULL;
}

static void chunk_recur(Rewrite *w, RecBuild *b, RecId old)
{
    Pass *pass = w->cx;
    const RecOp *op = rec_op(&w->old, old);
    const Plan *how = plan(&w->old, w->p->arena, old);
    if (!how) {
        rw_recur(w, b, old);
        return;
    }
    DimTab *t = w->p->dims;
    RecId *operand = rw_operands(w, old);
    Cut k = {.w = w, .b = b, .plan = how, .size = dim_const(t, pass->size), .seq = operand + op->nstate, .state = operand};
    k.n = count_of_chunks(w->p, op->length, pass->size);
    k.rest = dim_sub(t, op->length, dim_mul(t, k.n, k.size));
    k.out = NEWN(w->p->arena, RecId, op->nout + 1);
    k.out_rest = NEWN(w->p->arena, RecId, op->nout + 1);
    if (op->reverse)
        run_rest(&k);
    run_chunks(&k);
    if (!op->reverse)
        run_rest(&k);
    RecId *result = pass->result[old] = NEWN(w->p->arena, RecId, op->nstate + op->nout + 1);
    memcpy(result, k.state, op->nstate * sizeof *result);
    for (uint32_t i = 0; i < op->nout; i++)
        result[op->nstate + i] = join_sequence(b, k.out[i], k.out_rest[i]);
    w->to[old] = result[0];
}

static RecId chunk_op(Rewrite *w, RecBuild *b, RecId old, RecOp op)
{
    const Pass *pass = w->cx;
    RecId recur = op.kind == REC_PROJ ? w->old.op.p[old].use[0].v : REC_NONE;
    return recur != REC_NONE && pass->result[recur] ? pass->result[recur][op.index] : pass_push(b, op);
}

void rec_chunk(RecProg *p)
{
    if (p->form.kind != REC_FORM_CHUNK)
        return;
    Pass pass = {.size = p->form.chunk, .result = NEWN(p->arena, RecId *, p->op.n + 1)};
    Rewrite w = {.cx = &pass, .recur = chunk_recur, .op = chunk_op};
    rw_run(&w, p);
}
