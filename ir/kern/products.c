/* Which products a target may make from rounded factors, by the units that GPUs have for matrices. Their results differ from those of
 * other products: the product of two such factors is exact, but sums are made in an order that nobody promises.
 *
 * Where both factors stand in the caller's arrays of 16 bits they are such numbers already: nothing is rounded, and nobody has to ask
 * for it. All other products are of single precision unless `products` names something shorter, which is a permission: what has a
 * single row, column or place of depth stays as it is, since a tile would be nearly empty. */
#include "ir/kern/kern.h"

static FactorType factor_of(const KernProg *p, const KStmt *s)
{
    Narrow a = kern_buf_narrow(p, s->gemm.a.buf), b = kern_buf_narrow(p, s->gemm.b.buf);
    if (s->gemm.m == DIM_ONE || s->gemm.n == DIM_ONE || s->gemm.k == DIM_ONE)
        return FACTOR_REAL;
    return a == b && a != NARROW_NONE ? factor_of_narrow(a) : p->products;
}

static void mark(const KernProg *p, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i];
        if (kern_body(s))
            mark(p, kern_body(s));
        else if (s->kind == K_GEMM && !s->gemm.factor && s->gemm.when == DIM_ZERO)
            s->gemm.factor = factor_of(p, s);
    }
}

static bool rounds(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if ((b->p[i]->kind == K_GEMM && b->p[i]->gemm.factor) || (kern_body(b->p[i]) && rounds(kern_body(b->p[i]))))
            return true;
    return false;
}

bool kern_rounds(const KernProg *p)
{
    bool any = p->rounds;
    for (uint32_t f = 0; f < REC_NFN; f++)
        any |= p->has_fn[f] && rounds(&p->fn[f]);
    return any;
}

void kern_mark_products(KernProg *p)
{
    for (uint32_t f = 0; f < REC_NFN && p->tiles; f++)
        if (p->has_fn[f])
            mark(p, &p->fn[f]);
    p->rounds = kern_rounds(p);
}
