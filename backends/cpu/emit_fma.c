/* Products that are rounded together with the sum they go into, at levels with such an instruction (fma): those of real numbers
 * that nothing but one sum, difference or accumulator in the same block uses. kern decides which, not LLVM, so every lane, the
 * last round of a loop and a loop made for the usual case round alike. */
#include "backends/cpu/emit.h"

typedef struct Find {
    const KernProg *k;
    const KStmt **product;
    uint8_t *uses; /* by KVar, up to 2 */
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
static bool is_fixed(const bool *changes, const KStmt *product)
{
    return !changes[product->let.arg[0]] && !changes[product->let.arg[1]];
}

static bool sums(const KStmt *s, KVar v)
{
    if (s->kind == K_UPDATE)
        return s->acc.red == RED_SUM && s->acc.value == v;
    return s->kind == K_LET && (s->let.fun == FUN_ADD || s->let.fun == FUN_SUB) && (s->let.arg[0] == v || s->let.arg[1] == v);
}

/* A sum takes one product, the first. */
static void find_in(Find *f, const KBlock *b, const bool *changes)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        if (kern_body(b->p[i]))
            find_in(f, kern_body(b->p[i]), changes);
        if (!is_product(f, s) || !is_fixed(changes, s))
            continue;
        for (uint32_t k = i + 1; k < b->n; k++)
            if (sums(b->p[k], s->let.var))
                f->product[s->let.var] = s;
    }
}

static void find_accumulators(const KBlock *b, bool *changes)
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->p[i]->kind == K_START)
            changes[b->p[i]->acc.var] = true;
        if (kern_body(b->p[i]))
            find_accumulators(kern_body(b->p[i]), changes);
    }
}

const KStmt **emit_find_products(Arena *a, const KernProg *k, const KBlock *b)
{
    Find f = {.k = k, .product = NEWN(a, const KStmt *, k->var.n), .uses = NEWN(a, uint8_t, k->var.n)};
    bool *changes = NEWN(a, bool, k->var.n);
    for (uint32_t i = 0; i < b->n; i++)
        kern_each_use(b->p[i], count_use, f.uses);
    find_accumulators(b, changes);
    find_in(&f, b, changes);
    return f.product;
}

static const KStmt *product_of(const Emit *e, KVar v)
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
    if (product_of(e, arg[0]))
        return plus(e, product_of(e, arg[0]), false, negated(&g, emit_var(e, arg[1], lanes), minus), lanes);
    if (product_of(e, arg[1]))
        return plus(e, product_of(e, arg[1]), minus, emit_var(e, arg[0], lanes), lanes);
    return NULL;
}

LLVMValueRef emit_sum_with(Emit *e, const KStmt *update, LLVMValueRef old, bool lanes)
{
    const KStmt *product = product_of(e, update->acc.value);
    return product ? plus(e, product, false, old, lanes) : NULL;
}
