/* Making a program's body anew: see pass.h. Old ops are read from w->old, which keeps the vectors of before. */
#include "ir/rec/pass.h"

RecId *pass_ids(Arena *a, uint32_t n)
{
    RecId *ids = NEWN(a, RecId, n + 1);
    for (uint32_t i = 0; i < n; i++)
        ids[i] = REC_NONE;
    return ids;
}

static void count_uses(Rewrite *w)
{
    const RecProg *p = &w->old;
    for (uint32_t v = 0; v < p->op.n; v++)
        for (uint32_t i = 0; i < p->op.p[v].nuse; i++)
            w->nuse[p->op.p[v].use[i].v]++;
    for (uint32_t r = 0; r < p->region.n; r++)
        for (uint32_t i = 0; i < p->region.p[r].result.n; i++)
            w->nuse[p->region.p[r].result.p[i]]++;
    for (uint32_t i = 0; i < p->out.n; i++)
        w->nuse[p->out.p[i].value]++;
}

void rw_begin(Rewrite *w, RecProg *p)
{
    w->old = *p;
    w->p = p;
    w->changed = false;
    w->to = pass_ids(p->arena, p->op.n);
    w->result = NEWN(p->arena, RecId *, p->op.n + 1);
    w->nuse = NEWN(p->arena, uint32_t, p->op.n + 1);
    count_uses(w);
    memset(&p->op, 0, sizeof p->op);
    memset(&p->region, 0, sizeof p->region);
    p->op.cap = w->old.op.n + 8; /* most passes give about as many */
    p->op.p = NEWN(p->arena, RecOp, p->op.cap);
    for (int i = 0; i < REC_NFN; i++)
        vec_push(p->arena, &p->region, (RecRegionInfo){.owner = REC_NONE});
}

void rw_end(Rewrite *w)
{
    for (uint32_t i = 0; i < w->p->arg.n; i++)
        w->p->arg.p[i].value = w->to[w->p->arg.p[i].value];
    for (uint32_t i = 0; i < w->p->out.n; i++)
        w->p->out.p[i].value = w->to[w->p->out.p[i].value];
}

RecBuild rw_build(const Rewrite *w, RecRegion into, RecId old)
{
    const RecOp *op = &w->old.op.p[old];
    return (RecBuild){w->p, into, op->at, op->name};
}

RecId pass_push(RecBuild *b, RecOp op)
{
    RecProg *p = b->prog;
    op.home = b->region;
    vec_push(p->arena, &p->op, op);
    vec_push(p->arena, &p->region.p[b->region].op, p->op.n - 1);
    return p->op.n - 1;
}

/* The new value of a result of a RECUR that is replaced by something else. */
static bool replaced(const Rewrite *w, const RecOp *op, RecId *now)
{
    const RecId *result = op->kind == REC_PROJ && w->result ? w->result[op->use[0].v] : NULL;
    if (result)
        *now = result[op->index];
    return result != NULL;
}

RecId pass_copy(RecBuild *b, RecOp op, PassValue *value, void *cx)
{
    RecUse *use = NEWN(b->prog->arena, RecUse, op.nuse + 1);
    for (uint32_t i = 0; i < op.nuse; i++) {
        use[i] = op.use[i];
        use[i].v = value(cx, op.use[i].v);
    }
    op.use = use;
    return pass_push(b, op);
}

RecId rw_op(Rewrite *w, RecBuild *b, RecId old)
{
    RecOp op = w->old.op.p[old];
    if (replaced(w, &op, &w->to[old]))
        return w->to[old];
    RecUse *use = NEWN(w->p->arena, RecUse, op.nuse + 1);
    for (uint32_t i = 0; i < op.nuse; i++) {
        use[i] = op.use[i];
        use[i].v = w->to[use[i].v];
        if (use[i].v == REC_NONE)
            ice("rec: op %u is used before it is made", op.use[i].v);
    }
    op.use = use;
    b->at = op.at;
    b->name = op.name;
    return w->to[old] = w->op ? w->op(w, b, old, op) : pass_push(b, op);
}

void rw_region(Rewrite *w, RecRegion from, RecRegion into)
{
    const RecRegionInfo *r = &w->old.region.p[from];
    for (uint32_t i = 0; i < r->op.n; i++) {
        RecId v = r->op.p[i];
        RecBuild b = rw_build(w, into, v);
        RecKind kind = w->old.op.p[v].kind;
        if (kind == REC_RECUR)
            (w->recur ? w->recur : rw_recur)(w, &b, v);
        else if (kind != REC_REGARG)
            rw_op(w, &b, v);
    }
}

void pass_mark(RecOp *recur, const RecOp *like)
{
    recur->chunk = like->chunk;
    recur->until = like->until;
    recur->pieces = like->pieces;
    recur->is_operator = like->is_operator;
}

RecId rw_open(Rewrite *w, RecBuild *b, RecId old, const RecId *operand, RecRegion *region)
{
    const RecOp *op = &w->old.op.p[old];
    const RecRegionInfo *from = &w->old.region.p[op->region];
    RecRegion into;
    RecId v = op->grid ? rec_grid_open(b, operand, op->nstate, operand + op->nstate, op->nseq, op->grid, &into)
                       : rec_recur_open(b, operand, op->nstate, operand + op->nstate, op->nseq, op->length, op->reverse, &into);
    pass_mark(rec_op(w->p, v), op);
    *region = into;
    for (uint32_t i = 0; i < from->arg.n; i++) {
        RecId arg = w->p->region.p[into].arg.p[i];
        w->to[from->arg.p[i]] = arg;
        rec_op(w->p, arg)->name = w->old.op.p[from->arg.p[i]].name;
        rec_op(w->p, arg)->at = w->old.op.p[from->arg.p[i]].at;
    }
    return w->to[old] = v;
}

void rw_close(Rewrite *w, RecId old)
{
    const RecRegionInfo *from = &w->old.region.p[w->old.op.p[old].region];
    RecId *result = NEWN(w->p->arena, RecId, from->result.n + 1);
    for (uint32_t i = 0; i < from->result.n; i++)
        result[i] = w->to[from->result.p[i]];
    rec_recur_close(w->p, w->to[old], result, from->result.n);
}

RecId *rw_operands(Rewrite *w, RecId old)
{
    const RecOp *op = &w->old.op.p[old];
    RecId *operand = NEWN(w->p->arena, RecId, op->nuse + 1);
    for (uint32_t i = 0; i < op->nuse; i++)
        operand[i] = w->to[op->use[i].v];
    return operand;
}

void rw_recur(Rewrite *w, RecBuild *b, RecId old)
{
    RecRegion into;
    rw_open(w, b, old, rw_operands(w, old), &into);
    rw_region(w, w->old.op.p[old].region, into);
    rw_close(w, old);
}

RecId rw_recur_over(Rewrite *w, RecBuild *b, RecId old, const RecId *state, const RecId *seq, Dim length)
{
    const RecOp *op = &w->old.op.p[old];
    RecRegion step;
    RecId recur = rec_recur_open(b, state, op->nstate, seq, op->nseq, length, op->reverse, &step);
    for (uint32_t i = 0; i < op->nuse; i++)
        w->to[w->old.region.p[op->region].arg.p[i]] = w->p->region.p[step].arg.p[i];
    w->to[old] = recur;
    rw_region(w, op->region, step);
    rw_close(w, old);
    return recur;
}

void rw_run(Rewrite *w, RecProg *p)
{
    rw_begin(w, p);
    for (RecRegion r = 0; r < REC_NFN; r++)
        rw_region(w, r, r);
    rw_end(w);
    rec_compact(p);
}

/* ---- uses ---- */

bool pass_is_identity(const RecProg *p, RecUse u, uint8_t rank)
{
    if (rec_type(p, u.v)->rank != rank)
        return false;
    for (uint8_t i = 0; i < rank; i++)
        if (u.axis[i] != i)
            return false;
    return true;
}

RecUse pass_with(RecUse u, RecId v)
{
    u.v = v;
    return u;
}

RecId pass_use_value(RecBuild *b, RecUse u, uint8_t rank, const Dim *dim)
{
    return pass_is_identity(b->prog, u, rank) ? u.v : rec_map(b, FUN_ID, &u, rank, dim);
}

RecRegion pass_root(const RecProg *p, RecRegion r)
{
    while (p->region.p[r].owner != REC_NONE)
        r = rec_op(p, p->region.p[r].owner)->home;
    return r;
}

uint32_t pass_names(const RecProg *p, RecUse u)
{
    uint32_t bits = 0;
    for (uint8_t i = 0; i < rec_type(p, u.v)->rank; i++)
        bits |= 1u << u.axis[i];
    return bits;
}

RecUse pass_compose(const RecProg *p, RecUse inner, RecUse outer)
{
    RecUse u = {.v = inner.v};
    for (uint8_t i = 0; i < rec_type(p, inner.v)->rank; i++)
        u.axis[i] = outer.axis[inner.axis[i]];
    return u;
}

bool pass_const(const RecProg *p, RecId v, double *number)
{
    const RecOp *op = rec_op(p, v);
    while (op->kind == REC_MAP && op->fun == FUN_ID)
        op = rec_op(p, op->use[0].v);
    *number = op->kind == REC_CONST ? op->number : 0;
    return op->kind == REC_CONST;
}

bool pass_zeros(const RecProg *p, RecId v)
{
    double number;
    return pass_const(p, v, &number) && number == 0;
}

void pass_made_of(const RecProg *p, RecRegion r, bool *is)
{
    const RecRegionInfo *body = &p->region.p[r];
    for (uint32_t i = 0; i < body->op.n; i++) {
        const RecOp *op = rec_op(p, body->op.p[i]);
        if (op->kind == REC_RECUR) {
            pass_made_of(p, op->region, is);
            const RecRegionInfo *inner = &p->region.p[op->region];
            for (uint32_t k = 0; k < inner->op.n; k++)
                is[body->op.p[i]] |= is[inner->op.p[k]];
        }
        for (uint32_t k = 0; k < op->nuse; k++)
            is[body->op.p[i]] |= is[op->use[k].v];
    }
}

bool pass_looks_back(const RecProg *p, RecRegion r)
{
    const RecRegionInfo *body = &p->region.p[r];
    for (uint32_t i = 0; i < body->op.n; i++)
        if (rec_op(p, body->op.p[i])->kind == REC_HISTORY)
            return true;
    return false;
}

bool pass_iterates(RecKind k)
{
    return k == REC_MAP || k == REC_REDUCE || k == REC_CONTRACT || k == REC_GATHER || k == REC_SCATTER;
}

bool pass_heavy(const RecOp *op)
{
    if (op->kind != REC_MAP)
        return pass_iterates(op->kind);
    switch (op->fun) {
    case FUN_EXP:
    case FUN_EXPM1:
    case FUN_LOG:
    case FUN_LOG1P:
    case FUN_TANH:
    case FUN_SIGMOID:
    case FUN_SIN:
    case FUN_COS:
    case FUN_ERF:
    case FUN_POW:
    case FUN_SQRT:
    case FUN_DIV: return true;
    default: return false;
    }
}
