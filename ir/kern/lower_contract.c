/* CONTRACT to K_GEMM: C[m,n] = sum over k of A[m,k] * B[k,n].
 *
 * Iteration axes fall into four classes: in both operands and the result (batch), in a and the result (rows), in b and
 * the result (columns), reduced (depth). Neighbouring axes of a class merge when memory allows. The last axis of each
 * class becomes the product's; what is left runs in loops around it, batch, rows and columns parallel, depth serial and
 * adding. */
#include "ir/kern/lower.h"

typedef enum Class { BATCH, ROW, COLUMN, DEPTH, NCLASS } Class;
enum { OPA, OPB, OPC, NOP };

typedef struct Axis {
    Dim size, stride[NOP];
} Axis;

typedef struct Product {
    Axis axis[NCLASS][MAXIT];
    uint32_t n[NCLASS];
    View view[NOP];
} Product;

static Dim stride_along(Lower *l, const View *v, const RecUse *u, uint32_t axis)
{
    Dim sum = DIM_ZERO;
    for (uint32_t k = 0; k < rec_type(l->rec, u->v)->rank; k++)
        if (u->axis[k] == axis)
            sum = dim_add(l->dims, sum, v->stride[k]);
    return sum;
}

static bool names(const Lower *l, const RecUse *u, uint32_t axis)
{
    for (uint32_t k = 0; k < rec_type(l->rec, u->v)->rank; k++)
        if (u->axis[k] == axis)
            return true;
    return false;
}

static Class class_of(const Lower *l, const RecOp *op, uint32_t axis)
{
    if (axis >= op->type.rank)
        return DEPTH;
    bool a = names(l, &op->use[0], axis), b = names(l, &op->use[1], axis);
    return a && b ? BATCH : a ? ROW : COLUMN;
}

static void classify(Lower *l, const RecOp *op, Product *p)
{
    for (uint32_t i = 0; i < op->nit; i++) {
        if (op->space[i] == DIM_ONE)
            continue;
        Class c = class_of(l, op, i);
        Axis *x = &p->axis[c][p->n[c]++];
        x->size = op->space[i];
        x->stride[OPA] = stride_along(l, &p->view[OPA], &op->use[0], i);
        x->stride[OPB] = stride_along(l, &p->view[OPB], &op->use[1], i);
        x->stride[OPC] = i < op->type.rank ? p->view[OPC].stride[i] : DIM_ZERO;
    }
}

/* ---- merging ---- */

static bool nests_in(Lower *l, const Axis *outer, const Axis *inner)
{
    for (uint32_t i = 0; i < NOP; i++)
        if (outer->stride[i] != dim_mul(l->dims, inner->stride[i], inner->size))
            return false;
    return true;
}

static bool merge_one(Lower *l, Axis *x, uint32_t *n)
{
    for (uint32_t i = 0; i < *n; i++)
        for (uint32_t j = 0; j < *n; j++)
            if (i != j && nests_in(l, &x[i], &x[j])) {
                x[j].size = dim_mul(l->dims, x[j].size, x[i].size);
                for (--*n; i < *n; i++)
                    x[i] = x[i + 1];
                return true;
            }
    return false;
}

/* Depth axes merge in their own order only, so that a sum's order does not depend on the merging. */
static bool merge_neighbours(Lower *l, Axis *x, uint32_t *n)
{
    for (uint32_t i = 0; i + 1 < *n; i++)
        if (nests_in(l, &x[i], &x[i + 1])) {
            x[i + 1].size = dim_mul(l->dims, x[i + 1].size, x[i].size);
            for (--*n; i < *n; i++)
                x[i] = x[i + 1];
            return true;
        }
    return false;
}

static void merge(Lower *l, Product *p)
{
    for (uint32_t c = 0; c < DEPTH; c++)
        while (merge_one(l, p->axis[c], &p->n[c]))
            ;
    while (merge_neighbours(l, p->axis[DEPTH], &p->n[DEPTH]))
        ;
}

/* ---- the product ---- */

/* Takes a class's innermost axis out; a size of 1 where there is none. */
static Axis take(Product *p, Class c)
{
    if (!p->n[c])
        return (Axis){.size = DIM_ONE};
    return p->axis[c][--p->n[c]];
}

static KStmt product(const Product *p, Axis m, Axis n, Axis k)
{
    KStmt s = {.kind = K_GEMM};
    s.gemm.m = m.size;
    s.gemm.n = n.size;
    s.gemm.k = k.size;
    s.gemm.a = (KView){p->view[OPA].buf, p->view[OPA].at, m.stride[OPA], k.stride[OPA]};
    s.gemm.b = (KView){p->view[OPB].buf, p->view[OPB].at, k.stride[OPB], n.stride[OPB]};
    s.gemm.c = (KView){p->view[OPC].buf, p->view[OPC].at, m.stride[OPC], n.stride[OPC]};
    return s;
}

static KView transposed(KView v)
{
    return (KView){v.buf, v.at, v.col_stride, v.row_stride};
}

/* B's and C's rows are dense: lanes run along n. */
static bool lanes_along_n(const KView *b, const KView *c)
{
    return b->col_stride == DIM_ONE && c->col_stride == DIM_ONE;
}

/* Whether C' = B' A' is the better way round: lanes along n, else a result with dense rows. A single row becomes a
 * column, so that its depth is dense in both operands or in none. */
static bool prefers_transposed(const KStmt *s, const KView *tb, const KView *tc)
{
    if (lanes_along_n(&s->gemm.b, &s->gemm.c))
        return false;
    if (lanes_along_n(tb, tc) || s->gemm.m == DIM_ONE)
        return true;
    return s->gemm.n != DIM_ONE && s->gemm.c.col_stride != DIM_ONE && tc->col_stride == DIM_ONE;
}

static void orient(KStmt *s)
{
    KView ta = transposed(s->gemm.b), tb = transposed(s->gemm.a), tc = transposed(s->gemm.c);
    if (!prefers_transposed(s, &tb, &tc))
        return;
    Dim m = s->gemm.m;
    s->gemm.m = s->gemm.n;
    s->gemm.n = m;
    s->gemm.a = ta;
    s->gemm.b = tb;
    s->gemm.c = tc;
}

static KBlock *loop_over(Lower *l, KBlock *to, KLoopKind kind, const Axis *x, KStmt *s, Span at)
{
    KVar var = kern_var(l->k, DT_INT, true, STR(""));
    kern_index_add(l->k, &s->gemm.a.at, var, x->stride[OPA]);
    kern_index_add(l->k, &s->gemm.b.at, var, x->stride[OPB]);
    kern_index_add(l->k, &s->gemm.c.at, var, x->stride[OPC]);
    KStmt loop = {.kind = K_LOOP, .at = at, .loop = {.kind = kind, .var = var, .extent = x->size}};
    return &kern_add(l->k, to, loop)->loop.body;
}

void lower_contract(Lower *l, uint32_t group)
{
    RecId v = l->group.p[group].op;
    const RecOp *op = rec_op(l->rec, v);
    const Val *x = lower_val(l, v);
    Product p = {0};
    p.view[OPC] = x->mem;
    if (!storage_view(l, op->use[0].v, &p.view[OPA]) || !storage_view(l, op->use[1].v, &p.view[OPB]))
        ice("rec_to_kern: a product of what is not in memory");
    classify(l, op, &p);
    merge(l, &p);
    Axis m = take(&p, ROW), n = take(&p, COLUMN), k = take(&p, DEPTH);
    KStmt s = product(&p, m, n, k);
    s.at = op->at;
    s.gemm.add = x->add || p.n[DEPTH];
    if (p.n[DEPTH] && !x->add)
        lower_fill(l, &x->mem, &op->type, 0, op->at);
    KBlock *to = l->block;
    const Class around[] = {BATCH, ROW, COLUMN, DEPTH};
    for (uint32_t c = 0; c < NCLASS; c++)
        for (uint32_t i = 0; i < p.n[around[c]]; i++)
            to = loop_over(l, to, around[c] == DEPTH ? K_SERIAL : K_PARALLEL, &p.axis[around[c]][i], &s, op->at);
    orient(&s);
    kern_add(l->k, to, s);
}
