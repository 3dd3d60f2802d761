/* Products that are rounded together with the sum they go into, at levels with such an instruction (fma): those of real numbers
 * that nothing but one sum, difference or accumulator in the same block uses. Not where both terms are products: x*x - z*z is 0
 * where x is z. kern decides which, not LLVM, so every lane, the last round of a loop and a loop made for the usual case round
 * alike. */
#include "backends/cpu/emit.h"

typedef struct Find {
    const KernProg *k;
    const KStmt **product;
    uint8_t *uses; /* by KVar, up to 2 */
    bool *changes, *times; /* by KVar: an accumulator, a product */
} Find;

static void count_use(void *cx, KVar *v)
{
    uint8_t *uses = cx;
    uses[*v] = (uint8_t)(uses[*v] ? 2 : 1);
}

static bool is_product(const Find *f, const KStmt *s)
{
    return s->kind == K_LET && s->let.fun == FUN_MUL && f->k->var.p[s->let.var].dt == DT_REAL && f->uses[s->let.var] == 1;
}

/* An accumulator can change between the product and the sum. */
static bool is_fixed(const Find *f, const KStmt *product)
{
    return !f->changes[product->let.arg[0]] && !f->changes[product->let.arg[1]];
}

/* v and something that is no product. */
static bool sums(const Find *f, const KStmt *s, KVar v)
{
    if (s->kind == K_UPDATE)
        return s->acc.red == RED_SUM && s->acc.value == v;
    if (s->kind != K_LET || (s->let.fun != FUN_ADD && s->let.fun != FUN_SUB))
        return false;
    return (s->let.arg[0] == v && !f->times[s->let.arg[1]]) || (s->let.arg[1] == v && !f->times[s->let.arg[0]]);
}

static void find_in(Find *f, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        if (kern_body(b->p[i]))
            find_in(f, kern_body(b->p[i]));
        if (!is_product(f, s) || !is_fixed(f, s))
            continue;
        for (uint32_t k = i + 1; k < b->n; k++)
            if (sums(f, b->p[k], s->let.var))
                f->product[s->let.var] = s;
    }
}

static void look_at(Find *f, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        if (s->kind == K_START)
            f->changes[s->acc.var] = true;
        if (s->kind == K_LET && s->let.fun == FUN_MUL)
            f->times[s->let.var] = true;
        if (kern_body(b->p[i]))
            look_at(f, kern_body(b->p[i]));
    }
}

const KStmt **emit_find_products(Arena *a, const KernProg *k, const KBlock *b)
{
    Find f = {.k = k, .product = NEWN(a, const KStmt *, k->var.n), .uses = NEWN(a, uint8_t, k->var.n)};
    f.changes = NEWN(a, bool, k->var.n);
    f.times = NEWN(a, bool, k->var.n);
    for (uint32_t i = 0; i < b->n; i++)
        kern_each_use(b->p[i], count_use, f.uses);
    look_at(&f, b);
    find_in(&f, b);
    return f.product;
}

const KStmt *emit_product_of(const Emit *e, KVar v)
{
    return e->product ? e->product[v] : NULL;
}

static LLVMValueRef negated(const CpuGen *g, LLVMValueRef v, bool negative)
{
    return negative ? LLVMBuildFNeg(g->b, v, "") : v;
}

/* The product, negated or not, plus v. */
static LLVMValueRef plus(Emit *e, const KStmt *product, bool negative, LLVMValueRef v, bool lanes)
{
    CpuGen g = emit_gen(e, lanes);
    LLVMValueRef a = emit_var(e, product->let.arg[0], lanes), b = emit_var(e, product->let.arg[1], lanes);
    return gen_fma(&g, negated(&g, a, negative), b, v);
}

LLVMValueRef emit_sum(Emit *e, const KStmt *s, bool lanes)
{
    if (s->let.fun != FUN_ADD && s->let.fun != FUN_SUB)
        return NULL;
    const KVar *arg = s->let.arg;
    bool minus = s->let.fun == FUN_SUB;
    CpuGen g = emit_gen(e, lanes);
    if (emit_product_of(e, arg[0]))
        return plus(e, emit_product_of(e, arg[0]), false, negated(&g, emit_var(e, arg[1], lanes), minus), lanes);
    if (emit_product_of(e, arg[1]))
        return plus(e, emit_product_of(e, arg[1]), minus, emit_var(e, arg[0], lanes), lanes);
    return NULL;
}

LLVMValueRef emit_sum_with(Emit *e, const KStmt *update, LLVMValueRef old, bool lanes)
{
    return plus(e, emit_product_of(e, update->acc.value), false, old, lanes);
}
