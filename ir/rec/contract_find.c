/* rec.contract_find: sums of products become CONTRACT, whatever the notation: `sum(i: a[i] * b[i, j])`, `@`, an outer
 * product added up over time. A sum of a CONTRACT sums inside it; a sum of a SCATTER scatters what would be added up.
 * An axis that only one operand has is summed in that operand first. */
#include "ir/rec/pass.h"

typedef struct Sum {
    uint8_t rank, nit; /* result axes, then summed axes */
    Dim space[MAXIT];
} Sum;

static Sum sum_of(const RecOp *op)
{
    Sum s = {op->type.rank, op->nit, {0}};
    memcpy(s.space, op->space, op->nit * sizeof *op->space);
    return s;
}

/* Without the axes of `gone`; the axes of both uses are renumbered. */
static Sum without(const RecProg *p, Sum s, uint32_t gone, RecUse *use)
{
    Sum r = {0};
    uint8_t now[MAXIT] = {0};
    for (uint8_t i = 0; i < s.nit; i++) {
        if (gone >> i & 1)
            continue;
        now[i] = r.nit;
        r.rank = (uint8_t)(r.rank + (i < s.rank));
        r.space[r.nit++] = s.space[i];
    }
    for (uint8_t u = 0; u < 2; u++)
        for (uint8_t k = 0; k < rec_type(p, use[u].v)->rank; k++)
            use[u].axis[k] = now[use[u].axis[k]];
    return r;
}

/* Sums u over the axes in `over`, which only it names; the others stay in their order. */
static RecUse summed_first(RecBuild *b, RecUse u, uint32_t over, const Sum *s)
{
    Type t = *rec_type(b->prog, u.v);
    RecUse inner = {.v = u.v}, outer = {0};
    Dim space[MAXIT];
    uint8_t rank = 0, nit;
    for (uint8_t k = 0; k < t.rank; k++)
        if (!(over >> u.axis[k] & 1)) {
            space[rank] = t.dim[k];
            outer.axis[rank] = u.axis[k];
            inner.axis[k] = rank++;
        }
    nit = rank;
    for (uint8_t i = 0; i < s->nit; i++) {
        if (!(over >> i & 1))
            continue;
        for (uint8_t k = 0; k < t.rank; k++)
            if (u.axis[k] == i)
                inner.axis[k] = nit;
        space[nit++] = s->space[i];
    }
    outer.v = rec_reduce(b, RED_SUM, inner, rank, nit, space);
    return outer;
}

/* The sum of the product of two uses over a space, as well as it can be said; REC_NONE if not at all. */
static RecId sum_of_product(RecBuild *b, RecUse x, RecUse y, Sum s)
{
    RecUse use[2] = {x, y};
    uint32_t all = (1u << s.nit) - 1, reduced = all & ~((1u << s.rank) - 1);
    uint32_t names[2] = {pass_names(b->prog, x), pass_names(b->prog, y)};
    if ((names[0] | names[1]) != all || rec_type(b->prog, x.v)->dt == DT_BOOL)
        return REC_NONE;
    uint32_t only[2] = {reduced & names[0] & ~names[1], reduced & names[1] & ~names[0]};
    for (int i = 0; i < 2; i++)
        if (only[i])
            use[i] = summed_first(b, use[i], only[i], &s);
    s = without(b->prog, s, only[0] | only[1], use);
    if (s.nit == s.rank)
        return rec_map(b, FUN_MUL, use, s.rank, s.space);
    return rec_contract(b, use[0], use[1], s.rank, s.nit, s.space);
}

/* A sum of a sum or of a contraction: the inner op's reduced axes join the outer's. */
static bool joined(const RecOp *inner, RecUse outer, Sum *s, uint8_t *to)
{
    uint8_t extra = (uint8_t)(inner->nit - inner->type.rank);
    if (s->nit + extra > MAXIT)
        return false;
    for (uint8_t i = 0; i < inner->type.rank; i++)
        to[i] = outer.axis[i];
    for (uint8_t i = inner->type.rank; i < inner->nit; i++) {
        to[i] = s->nit;
        s->space[s->nit++] = inner->space[i];
    }
    return true;
}

static RecUse through(const RecProg *p, RecUse u, const uint8_t *to)
{
    RecUse r = {.v = u.v};
    for (uint8_t k = 0; k < rec_type(p, u.v)->rank; k++)
        r.axis[k] = to[u.axis[k]];
    return r;
}

/* A sum over axes of a SCATTER that are not indexed: those axes are left out of its result. */
static RecId sum_of_scatter(RecBuild *b, const RecOp *sum, const RecOp *scatter)
{
    RecOp op = *scatter;
    uint8_t n = 0;
    for (uint8_t k = 0; k < scatter->type.rank; k++) {
        uint8_t at = sum->use[0].axis[k];
        bool gone = at >= sum->type.rank;
        if ((gone && k < op.nindex) || (!gone && at != n))
            return REC_NONE;
        if (gone)
            continue;
        op.out_axis[n] = scatter->out_axis[k];
        op.type.dim[n++] = scatter->type.dim[k];
    }
    op.type.rank = n;
    return pass_push(b, op);
}

static RecId find(Rewrite *w, RecBuild *b, RecId old, RecOp op)
{
    RecId was = op.nuse ? w->old.op.p[old].use[0].v : REC_NONE;
    if (op.kind != REC_REDUCE || op.red != RED_SUM || w->nuse[was] != 1)
        return pass_push(b, op);
    RecOp inner = *rec_op(w->p, op.use[0].v);
    Sum s = sum_of(&op);
    uint8_t to[MAXIT];
    RecId v = REC_NONE;
    if (inner.home != b->region)
        return pass_push(b, op);
    if (inner.kind == REC_SCATTER)
        v = sum_of_scatter(b, &op, &inner);
    else if (inner.kind == REC_MAP && inner.fun == FUN_MUL)
        v = sum_of_product(b, pass_compose(w->p, inner.use[0], op.use[0]), pass_compose(w->p, inner.use[1], op.use[0]),
                           s);
    else if (inner.kind == REC_CONTRACT && joined(&inner, op.use[0], &s, to))
        v = sum_of_product(b, through(w->p, inner.use[0], to), through(w->p, inner.use[1], to), s);
    else if (inner.kind == REC_REDUCE && inner.red == RED_SUM && joined(&inner, op.use[0], &s, to))
        v = rec_reduce(b, RED_SUM, through(w->p, inner.use[0], to), s.rank, s.nit, s.space);
    w->changed |= v != REC_NONE;
    return v == REC_NONE ? pass_push(b, op) : v;
}

void rec_contract_find(RecProg *p)
{
    Rewrite w;
    do {
        w = (Rewrite){.op = find};
        rw_run(&w, p);
    } while (w.changed);
}
