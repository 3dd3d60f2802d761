/* Lowering, first step: how each value comes to be (Form), from its op and from what uses it. */
#include "ir/kern/lower.h"

/* How many elementwise ops may be repeated at every use. Conditions and indices mostly belong to outer loops. */
enum { MAXINLINE = 4, MAXINLINE_INT = 12 };

RecFn lower_fn(const Lower *l, RecRegion r)
{
    while (l->rec->region.p[r].owner != REC_NONE)
        r = l->rec->op.p[l->rec->region.p[r].owner].home;
    return (RecFn)r;
}

bool lower_is_identity(const RecUse *u, uint32_t rank, uint32_t nit)
{
    for (uint32_t i = 0; i < rank; i++)
        if (u->axis[i] != i)
            return false;
    return rank == nit;
}

/* ---- counts ---- */

static void count_uses(Lower *l)
{
    const RecProg *p = l->rec;
    for (RecId v = 0; v < p->op.n; v++)
        for (uint32_t i = 0; i < p->op.p[v].nuse; i++)
            l->val[p->op.p[v].use[i].v].nuse++;
    for (uint32_t i = 0; i < p->out.n; i++)
        if (p->out.p[i].value != REC_NONE)
            l->val[p->out.p[i].value].nuse++;
    for (RecRegion r = REC_NFN; r < p->region.n; r++)
        for (uint32_t i = 0; i < p->region.p[r].result.n; i++)
            l->val[p->region.p[r].result.p[i]].nuse++;
}

/* ---- products ---- */

static uint32_t names(const RecProg *p, const RecUse *u)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < rec_type(p, u->v)->rank; i++)
        bits |= 1u << u->axis[i];
    return bits;
}

static bool is_step(const RecProg *p, RecRegion r)
{
    RecId owner = p->region.p[r].owner;
    return owner != REC_NONE && !rec_op(p, owner)->chunk;
}

uint32_t lower_step_matrix(const RecProg *p, const RecOp *op)
{
    if (op->kind != REC_CONTRACT || !is_step(p, op->home))
        return K_NONE;
    for (uint32_t i = 0; i < 2; i++) {
        const RecOp *m = rec_op(p, op->use[i].v);
        if (m->type.rank == op->nit && m->home == op->home && names(p, &op->use[i]) == (1u << op->nit) - 1)
            return i;
    }
    return K_NONE;
}

/* Without a reduced axis it is an elementwise product; without rows and columns, or of ints, a sum. So is a matrix that
 * the step itself makes or carries times a vector: one look at each element, which whatever makes it can have. */
static Form contract_form(const RecProg *p, const RecOp *op)
{
    if (op->nit == op->type.rank)
        return F_NEST;
    uint32_t a = names(p, &op->use[0]), b = names(p, &op->use[1]);
    uint32_t result = (1u << op->type.rank) - 1;
    bool product = op->type.dt == DT_REAL && ((a ^ b) & result);
    return product && lower_step_matrix(p, op) == K_NONE ? F_GEMM : F_REDUCE;
}

/* ---- views ---- */

static bool passes_on(const RecOp *op)
{
    return op->kind == REC_MAP && (op->fun == FUN_ID || op->fun == FUN_STOP || op->fun == FUN_CHOSEN);
}

/* Whether memory of v, if v has any, is surely in row-major order without gaps. */
static bool dense_source(Lower *l, RecId v)
{
    const RecOp *op = rec_op(l->rec, v);
    if (passes_on(op))
        return lower_is_identity(&op->use[0], rec_type(l->rec, op->use[0].v)->rank, op->type.rank) &&
               dense_source(l, op->use[0].v);
    if (op->kind == REC_SLICE)
        return op->along == 0 && dense_source(l, op->use[0].v);
    if (op->kind == REC_RESHAPE)
        return dense_source(l, op->use[0].v);
    if (op->kind == REC_REGARG) {
        const RecOp *recur = rec_op(l->rec, l->rec->region.p[op->home].owner);
        return op->index < recur->nstate || dense_source(l, recur->use[op->index].v);
    }
    return true;
}

RecId lower_source(const Lower *l, RecId v)
{
    const RecOp *op = rec_op(l->rec, v);
    if (op->kind == REC_REGARG)
        return rec_op(l->rec, l->rec->region.p[op->home].owner)->use[op->index].v;
    return op->use[0].v;
}

static bool is_view(Lower *l, RecId v)
{
    const RecOp *op = rec_op(l->rec, v);
    switch (op->kind) {
    case REC_MAP: return passes_on(op);
    case REC_SLICE: return true;
    case REC_RESHAPE:
        return reshape_splits(l, rec_type(l->rec, op->use[0].v), &op->type) || dense_source(l, op->use[0].v);
    case REC_REGARG: return op->index >= rec_op(l->rec, l->rec->region.p[op->home].owner)->nstate;
    default: return false;
    }
}

static void mark_memory(Lower *l, RecId v)
{
    if (l->val[v].memory)
        return;
    l->val[v].memory = true;
    if (is_view(l, v))
        mark_memory(l, lower_source(l, v));
}

/* What the new states are made of. */
static void mark_feeds(Lower *l, RecId v, RecRegion home)
{
    const RecOp *op = rec_op(l->rec, v);
    if (op->home != home || l->val[v].feeds)
        return;
    l->val[v].feeds = true;
    for (uint32_t i = 0; i < op->nuse; i++)
        mark_feeds(l, op->use[i].v, home);
}

static void find_feeds(Lower *l, RecRegion r)
{
    RecId owner = l->rec->region.p[r].owner;
    for (uint32_t i = 0; owner != REC_NONE && i < rec_op(l->rec, owner)->nstate; i++)
        mark_feeds(l, l->rec->region.p[r].result.p[i], r);
}

static void find_memory(Lower *l, RecId v)
{
    const RecOp *op = rec_op(l->rec, v);
    if (op->kind == REC_CONTRACT && contract_form(l->rec, op) == F_GEMM) {
        mark_memory(l, op->use[0].v);
        mark_memory(l, op->use[1].v);
    }
    uint32_t matrix = lower_step_matrix(l->rec, op);
    if (matrix != K_NONE && l->val[op->use[matrix].v].nuse > 1 && !l->val[v].feeds)
        mark_memory(l, op->use[matrix].v); /* not made again: the old state may be gone by then */
    if (op->kind == REC_RESHAPE && is_view(l, v) && !reshape_splits(l, rec_type(l->rec, op->use[0].v), &op->type))
        mark_memory(l, op->use[0].v);
}

/* ---- work that may be repeated ---- */

static bool is_cheap(Fun f)
{
    switch (f) {
    case FUN_NEG:
    case FUN_ADD:
    case FUN_SUB:
    case FUN_MUL:
    case FUN_MIN:
    case FUN_MAX:
    case FUN_ABS:
    case FUN_LT:
    case FUN_LE:
    case FUN_EQ:
    case FUN_NE:
    case FUN_NOT:
    case FUN_AND:
    case FUN_OR:
    case FUN_WHERE:
    case FUN_REAL:
    case FUN_INT: return true;
    default: return false;
    }
}

static Form form(Lower *l, RecId v);

/* All operands can be read or remade anywhere. Counts the ops that would be repeated. */
static bool inlines(Lower *l, RecId v)
{
    const RecOp *op = rec_op(l->rec, v);
    bool scalar = op->type.rank == 0;
    uint32_t n = 1;
    for (uint32_t i = 0; i < op->nuse; i++) {
        RecId u = op->use[i].v;
        while (form(l, u) == F_VIEW)
            u = lower_source(l, u);
        if (form(l, u) == F_NEST && rec_op(l->rec, u)->home == op->home)
            return false; /* it may stay in registers; of an outer region it is in memory */
        scalar = scalar && (form(l, u) == F_INLINE || form(l, u) == F_LEAF);
        n += l->val[u].ninline;
    }
    l->val[v].ninline = scalar ? 1 : n;
    return scalar || (is_cheap(op->fun) && n <= (op->type.dt == DT_REAL ? MAXINLINE : MAXINLINE_INT));
}

static Form map_form(Lower *l, RecId v)
{
    if (l->val[v].memory)
        return F_NEST;
    if (inlines(l, v))
        return F_INLINE;
    l->val[v].ninline = 0;
    return F_NEST;
}

static Form compute_form(Lower *l, RecId v)
{
    const RecOp *op = rec_op(l->rec, v);
    if (is_view(l, v))
        return F_VIEW;
    switch (op->kind) {
    case REC_ARG: return F_ARG;
    case REC_CONST:
    case REC_DIM:
    case REC_IOTA:
    case REC_GIVEN: return l->val[v].memory ? F_NEST : F_LEAF;
    case REC_MAP: return map_form(l, v);
    case REC_RANDOM:
    case REC_GATHER: return F_NEST;
    case REC_REDUCE: return F_REDUCE;
    case REC_CONTRACT: return contract_form(l->rec, op);
    case REC_SCATTER: return F_SCATTER;
    case REC_PAD: return F_PAD;
    case REC_CONCAT: return F_CONCAT;
    case REC_RESHAPE: return F_RESHAPE;
    case REC_RECUR: return F_RECUR;
    case REC_PROJ: return F_PROJ;
    case REC_REGARG: return F_STATE;
    case REC_HISTORY: return F_HISTORY;
    case REC_SLICE:
    case REC_KIND_COUNT: break;
    }
    ice("rec_to_kern: no form for op %u", v);
}

static Form form(Lower *l, RecId v)
{
    if (l->val[v].form == F_UNKNOWN)
        l->val[v].form = compute_form(l, v);
    return l->val[v].form;
}

void lower_classify(Lower *l)
{
    count_uses(l);
    for (RecRegion r = 0; r < l->rec->region.n; r++)
        find_feeds(l, r);
    for (RecId v = 0; v < l->rec->op.n; v++)
        find_memory(l, v);
    for (RecId v = 0; v < l->rec->op.n; v++) {
        form(l, v);
        l->val[v].level = l->val[v].floor = -1;
        l->val[v].by = l->val[v].group = K_NONE;
    }
}
