/* kern.once: of a loop in which all iterations but one add zeros, that one is left.
 *
 *     serial %4 < 16 {                        serial %4 < 16 {
 *       serial %8 < 16 {                        %11 : real = load b2[0, %4 by K]
 *         %10 : bool = eq(%8, %4)               store b3[0] += %11
 *         %11 : real = load b2[0, %8 by K]    }
 *         %12 : real = where(%10, %11, 0)
 *         store b3[0] += %12
 *       }
 *     }
 *
 * Such are the gradients of what is written at one place of an array. */
#include "ir/kern/kern.h"

enum { MOST_LOOPS = 16 };

typedef struct Once {
    KernProg *p;
    const KStmt **made;      /* by variable: where it is made */
    const KStmt *around[MOST_LOOPS];
    uint32_t naround;
    KVar var, is; /* of the loop that is looked at; and what it is in the only iteration, K_NONE: not known yet */
} Once;

static void find_made(Once *x, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KVar v = kern_defines(b->p[i]);
        if (v != K_NONE)
            x->made[v] = b->p[i];
        if (kern_body(b->p[i]))
            find_made(x, kern_body(b->p[i]));
    }
}

static const KStmt *let_of(const Once *x, KVar v, Fun f)
{
    const KStmt *s = x->made[v];
    return s && s->kind == K_LET && s->let.fun == f ? s : NULL;
}

/* The variable of a loop around that takes the same values: both begin at 0, and have as many iterations. */
static bool ranges_alike(const Once *x, const KStmt *loop, KVar v)
{
    for (uint32_t i = 0; i < x->naround; i++)
        if (x->around[i]->loop.var == v)
            return x->around[i]->loop.extent == loop->loop.extent && x->around[i]->loop.by == DIM_ZERO && loop->loop.by == DIM_ZERO;
    return false;
}

/* What is added in the one iteration; K_NONE: something may be in others, too. */
static KVar value_once(Once *x, const KStmt *loop, KVar v)
{
    const KStmt *where = let_of(x, v, FUN_WHERE), *equal = where ? let_of(x, where->let.arg[0], FUN_EQ) : NULL;
    if (!equal)
        return K_NONE;
    const KStmt *zero = x->made[where->let.arg[2]];
    KVar other = equal->let.arg[equal->let.arg[0] == x->var];
    bool fine = zero && zero->kind == K_CONST && zero->constant.number == 0 && (equal->let.arg[0] == x->var || equal->let.arg[1] == x->var) &&
                (x->is == K_NONE || x->is == other) && ranges_alike(x, loop, other);
    x->is = fine ? other : x->is;
    return fine ? where->let.arg[1] : K_NONE;
}

static bool adds_once(Once *x, const KStmt *loop, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        bool fine = s->kind == K_LOOP    ? s->loop.by == DIM_ZERO && adds_once(x, loop, &s->loop.body)
                    : s->kind == K_STORE ? s->mem.add && value_once(x, loop, s->mem.var) != K_NONE
                                         : s->kind == K_LET || s->kind == K_CONST || s->kind == K_SIZE || s->kind == K_LOAD;
        if (!fine)
            return false;
    }
    return true;
}

static void add_value(Once *x, const KStmt *loop, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->p[i]->kind == K_STORE)
            b->p[i]->mem.var = value_once(x, loop, b->p[i]->mem.var);
        if (b->p[i]->kind == K_LOOP)
            add_value(x, loop, &b->p[i]->loop.body);
    }
}

static void move(void *cx, KBufId b, KIndex *at)
{
    const Once *x = cx;
    Dim stride = kern_index_stride(at, x->var);
    (void)b;
    kern_index_add(x->p, at, x->var, dim_sub(x->p->dims, DIM_ZERO, stride));
    kern_index_add(x->p, at, x->is, stride);
}

static void replace(void *cx, KVar *v)
{
    const Once *x = cx;
    *v = *v == x->var ? x->is : *v;
}

/* The loop's statements take its place. */
static void unroll(Once *x, KBlock *b, uint32_t at)
{
    KStmt *loop = b->p[at];
    KBlock all = {0};
    add_value(x, loop, &loop->loop.body);
    for (uint32_t i = 0; i < loop->loop.body.n; i++) {
        kern_each_access(loop->loop.body.p[i], move, x);
        kern_each_use(loop->loop.body.p[i], replace, x);
    }
    for (uint32_t i = 0; i < b->n; i++)
        for (uint32_t k = 0; k < (i == at ? loop->loop.body.n : 1); k++)
            vec_push(x->p->arena, &all, i == at ? loop->loop.body.p[k] : b->p[i]);
    *b = all;
}

static void look(Once *x, KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i];
        if (s->kind != K_LOOP || x->naround == MOST_LOOPS)
            continue;
        x->var = s->loop.var;
        x->is = K_NONE;
        if (s->loop.kind == K_SERIAL && adds_once(x, s, &s->loop.body) && x->is != K_NONE)
            unroll(x, b, i--);
        else {
            x->around[x->naround++] = s;
            look(x, &s->loop.body);
            x->naround--;
        }
    }
}

void kern_once(KernProg *p)
{
    Arena *own = arena_new();
    Once x = {.p = p, .made = NEWN(own, const KStmt *, p->var.n + 1)};
    for (uint32_t f = 0; f < REC_NFN; f++)
        find_made(&x, &p->fn[f]);
    for (uint32_t f = REC_FORWARD; f <= REC_BACKWARD; f++)
        look(&x, &p->fn[f]);
    arena_free(own);
}
