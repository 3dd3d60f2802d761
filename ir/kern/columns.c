/* kern.columns: sums over a matrix's rows stay in registers.
 *
 *     serial k { ...; parallel v { ...; store y[v] += x } }
 * reads and writes y once for each row. Run the other way round, as a vector loop over v with the rows inside,
 *     vector v { acc = start sum; serial k { ...; update acc sum x }; store y[v] += acc }
 * the sum of each column is an accumulator. The order in which a column is summed stays what it was. What is the same in all rows
 * goes in front of the loop over them, if there surely are any. Then loops over columns are fused once more. */
#include "ir/kern/depend.h"

/* The loop at the end of a loop's body, if all in front of it only computes scalars. */
static KStmt *loop_at_end(const KStmt *s)
{
    const KBlock *b = &s->loop.body;
    for (uint32_t i = 0; i + 1 < b->n; i++)
        switch (b->p[i]->kind) {
        case K_LET:
        case K_CONST:
        case K_SIZE:
        case K_GIVEN:
        case K_LOAD: break;
        default: return NULL;
        }
    return b->n && b->p[b->n - 1]->kind == K_LOOP ? b->p[b->n - 1] : NULL;
}

static bool moves_with(const KIndex *at, const KStmt *rows)
{
    for (uint32_t i = 0; i < at->n; i++)
        if (at->term[i].var == rows->loop.var || kern_defines_in(&rows->loop.body, at->term[i].var))
            return true;
    return false;
}

/* Adds to one element for each column: the same for all rows. */
static bool sums_a_column(const KStmt *s, const KStmt *rows, KVar column)
{
    return s->kind == K_STORE && s->mem.add && kern_index_stride(&s->mem.at, column) == DIM_ONE &&
           !moves_with(&s->mem.at, rows);
}

static bool is_simple(const KStmt *s, KVar column)
{
    switch (s->kind) {
    case K_LET:
    case K_CONST:
    case K_SIZE:
    case K_GIVEN:
    case K_LOAD: return true;
    case K_STORE: return kern_index_stride(&s->mem.at, column) == DIM_ONE;
    default: return false;
    }
}

static bool is_sum(const DependAccess *x, const KStmt *rows)
{
    return !moves_with(x->at, rows);
}

/* Whether two accesses to one memory, of which x writes, may run column by column: they meet in the same row only, and
 * there in the same column; what is summed is touched by nothing else. */
static bool is_apart(KernProg *p, const KStmt *rows, const DependAccess *x, const DependAccess *y)
{
    return !is_sum(x, rows) && !is_sum(y, rows) && y->nloop > 1 && depend_same_iteration(p, x, y);
}

static bool may_turn(KernProg *p, Arena *own, const KStmt *rows)
{
    DependList all = {0};
    if (!depend_list(own, rows, &all))
        return false;
    for (uint32_t i = 0; i < all.n; i++)
        for (uint32_t j = 0; j < all.n; j++) {
            const DependAccess *x = &all.p[i], *y = &all.p[j];
            if (i != j && x->write && depend_overlap(p, x->buf, y->buf) && !is_apart(p, rows, x, y))
                return false;
        }
    return true;
}

static bool wants_columns(KernProg *p, Arena *own, const KStmt *rows)
{
    const KStmt *columns = loop_at_end(rows);
    if (!columns || columns->loop.kind != K_PARALLEL || columns->loop.reverse)
        return false;
    bool sums = false;
    for (uint32_t i = 0; i < columns->loop.body.n; i++) {
        const KStmt *s = columns->loop.body.p[i];
        if (!is_simple(s, columns->loop.var))
            return false;
        sums = sums || sums_a_column(s, rows, columns->loop.var);
    }
    return sums && may_turn(p, own, rows);
}

/* A store that adds becomes an update; what it stored goes in front of and behind the loop over rows. */
static void accumulate(KernProg *p, KStmt *s, KBlock *before, KBlock *behind)
{
    KVar acc = kern_var(p, p->var.p[s->mem.var].dt, false, STR(""));
    KStmt store = *s;
    kern_add(p, before, (KStmt){.kind = K_START, .at = s->at, .acc = {acc, RED_SUM, K_NONE}});
    *s = (KStmt){.kind = K_UPDATE, .at = s->at, .acc = {acc, RED_SUM, store.mem.var}};
    store.mem.var = acc;
    kern_add(p, behind, store);
}

typedef struct Moving {
    bool *var; /* by variable: it differs from row to row */
    bool any;
} Moving;

static void is_moving(void *cx, KVar *v)
{
    Moving *m = cx;
    m->any = m->any || m->var[*v];
}

static bool differs_by_row(const KernProg *p, Moving *m, const KStmt *s, const KStmt *rows)
{
    m->any = s->kind == K_STORE || (s->kind == K_LOAD && depend_writes(p, rows, s->mem.buf));
    kern_each_use((KStmt *)s, is_moving, m);
    return m->any;
}

static bool has_rows(const KernProg *p, const KStmt *rows)
{
    int64_t n = 0;
    return dim_is_const(p->dims, rows->loop.extent, &n) && n > 0;
}

/* The two loops change places; the statements between them go in. */
static void turn(KernProg *p, Arena *own, KStmt *rows)
{
    KStmt *columns = loop_at_end(rows);
    KBlock before = {0}, behind = {0}, body = {0};
    Moving m = {.var = NEWN(own, bool, p->var.n + 1)};
    m.var[rows->loop.var] = true;
    for (uint32_t i = 0; i + 1 < rows->loop.body.n; i++) {
        vec_push(p->arena, &body, rows->loop.body.p[i]);
        m.var[kern_defines(rows->loop.body.p[i])] = true;
    }
    bool some = has_rows(p, rows);
    for (uint32_t i = 0; i < columns->loop.body.n; i++) {
        KStmt *s = columns->loop.body.p[i];
        bool moves = !some || differs_by_row(p, &m, s, rows);
        if (moves && kern_defines(s) != K_NONE)
            m.var[kern_defines(s)] = true;
        if (sums_a_column(s, rows, columns->loop.var))
            accumulate(p, s, &before, &behind);
        vec_push(p->arena, moves ? &body : &before, s);
    }
    KStmt inner = *rows, outer = *columns;
    inner.loop.body = body;
    inner.loop.kind = K_SERIAL;
    kern_add(p, &before, inner);
    for (uint32_t i = 0; i < behind.n; i++)
        vec_push(p->arena, &before, behind.p[i]);
    outer.loop.kind = K_VECTOR;
    outer.loop.body = before;
    *rows = outer;
}

static bool turn_block(KernProg *p, Arena *own, KBlock *b, bool in_step)
{
    bool any = false;
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i];
        if (s->kind != K_LOOP)
            continue;
        bool fits = in_step && !s->loop.reverse && s->loop.kind != K_VECTOR && wants_columns(p, own, s);
        if (fits)
            turn(p, own, s);
        else
            any |= turn_block(p, own, &s->loop.body, in_step || s->loop.kind == K_SERIAL);
        any |= fits;
    }
    return any;
}

void kern_columns(KernProg *p)
{
    Arena *own = arena_new();
    bool any = false;
    for (uint32_t f = 0; f < REC_NFN; f++)
        any |= turn_block(p, own, &p->fn[f], false);
    arena_free(own);
    if (any)
        kern_fuse(p);
}
