/* Which places a cell reads: how far back each state and input goes, and in which direction the cell runs. Found by a
 * walk over the syntax before the recurrence is opened, since its carried states must be known then. */
#include "frontend/elab_internal.h"

typedef struct Walk {
    Elab *e;
    Inst *inst;
    Scope *scope;           /* of what is walked: the step's, or that of a loop in it */
    bool start;             /* it is a start value */
    Span forward, backward; /* a read of [t-1], of [t+1] */
} Walk;

static void walk_expr(Walk *w, const Expr *x);

static void too_far(Walk *w, Span at)
{
    diag(w->e->diags, E_BAD_PLACE, at, str_c(w->e->arena, str_fmt(w->e->arena, "a place at most %d steps away can be read", MAX_DELAY - 1)));
}

static void note_state(Walk *w, StateDef *st, int64_t offset, Span at)
{
    int64_t lag = offset < 0 ? -offset : offset;
    if (lag >= MAX_DELAY) {
        too_far(w, at);
        return;
    }
    if (offset < 0)
        w->forward = at;
    if (offset > 0)
        w->backward = at;
    if (lag > (int64_t)st->nlag)
        st->nlag = (uint32_t)lag;
}

static void note_input(Walk *w, DelayDef *d, int64_t offset, const Expr *x)
{
    int64_t lag = offset < 0 ? -offset : offset;
    if (lag == 0)
        return;
    if (lag >= MAX_DELAY) {
        too_far(w, x->at);
        return;
    }
    uint32_t *far = offset < 0 ? &d->nlag : &d->nahead;
    if (lag > (int64_t)*far)
        *far = (uint32_t)lag;
    if (x->index.otherwise)
        w->inst->uses_count = true;
}

static void note_place(Walk *w, const Expr *x, const int64_t *by)
{
    const Expr *base = x->index.base;
    Sym *sym = base->kind == EX_NAME ? scope_find(w->scope, base->name) : NULL;
    StateDef *st = !sym ? child_state(w->scope, base) : sym->kind == SYM_STATE ? sym->state : NULL;
    DelayDef *input = sym && sym->kind == SYM_VALUE ? sym->delay : NULL;
    if (w->inst->cell->domain == DOMAIN_GRID)
        note_grid_read(w->e, st, input, by, x->at);
    else if (st)
        note_state(w, st, by[0], x->at);
    else if (input)
        note_input(w, input, by[0], x);
}

static void walk_index(Walk *w, const Expr *x)
{
    int64_t offset[REC_MAXAXES];
    if (!w->start && is_place(w->e, w->scope, x, offset))
        note_place(w, x, offset);
    else {
        walk_expr(w, x->index.base);
        for (uint32_t i = 0; i < x->index.nsub; i++) {
            if (x->index.sub[i].lo)
                walk_expr(w, x->index.sub[i].lo);
            if (x->index.sub[i].hi)
                walk_expr(w, x->index.sub[i].hi);
        }
    }
    if (x->index.otherwise)
        walk_expr(w, x->index.otherwise);
}

static void walk_name(Walk *w, const Expr *x)
{
    const Cell *cell = w->inst->cell;
    for (uint32_t i = 0; !w->start && i < cell->nindex; i++)
        w->inst->uses_index |= str_eq(x->name, cell->index[i].text);
    for (uint32_t i = 0; w->start && i < cell->ninput; i++)
        if (str_eq(x->name, cell->input[i].name.text))
            w->inst->start_reads = x->at;
}

static void walk_expr(Walk *w, const Expr *x)
{
    switch (x->kind) {
    case EX_NAME: walk_name(w, x); return;
    case EX_UNARY: walk_expr(w, x->un.a); return;
    case EX_BINARY:
        walk_expr(w, x->bin.a);
        walk_expr(w, x->bin.b);
        return;
    case EX_INDEX: walk_index(w, x); return;
    case EX_FIELD: walk_expr(w, x->field.base); return;
    case EX_CALL:
        for (uint32_t i = 0; i < x->call.narg; i++)
            walk_expr(w, x->call.arg[i].value);
        return;
    case EX_REDUCE: walk_expr(w, x->reduce.body); return;
    case EX_LIST:
        for (uint32_t i = 0; i < x->list.n; i++)
            walk_expr(w, x->list.item[i]);
        return;
    default: return;
    }
}

static void walk_body(Walk *w, Stmt *const *body, uint32_t n);

static void walk_loops(Walk *w, Loop *const *loop, uint32_t n)
{
    Scope *around = w->scope;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < loop[i]->state.n; k++)
            if (loop[i]->state.p[k]->decl->init)
                walk_expr(w, loop[i]->state.p[k]->decl->init);
        w->scope = loop[i]->round;
        walk_body(w, loop[i]->stmt->loop.body, loop[i]->stmt->loop.n);
        walk_loops(w, loop[i]->inner.p, loop[i]->inner.n);
        w->scope = around;
    }
}

static void walk_body(Walk *w, Stmt *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const Stmt *st = body[i];
        if (st->kind == ST_LET || st->kind == ST_EQUATION)
            walk_expr(w, st->let.value);
        if (st->kind == ST_FN && st->fn->value)
            walk_expr(w, st->fn->value);
        if (st->kind == ST_FN)
            walk_body(w, st->fn->body, st->fn->nbody);
    }
}

static void walk_starts(Walk w)
{
    w.start = true;
    for (uint32_t i = 0; i < w.inst->state.n; i++)
        if (w.inst->state.p[i]->decl->init)
            walk_expr(&w, w.inst->state.p[i]->decl->init);
}

void find_places(Elab *e, Inst *inst)
{
    Walk w = {.e = e, .inst = inst, .scope = inst->scope};
    walk_starts(w);
    walk_body(&w, inst->cell->body, inst->cell->nbody);
    walk_loops(&w, inst->loop.p, inst->loop.n);
    inst->reverse = w.backward.file && !w.forward.file;
    for (uint32_t i = 0; i < inst->child.n; i++) {
        inst->reverse |= inst->child.p[i]->reverse;
        inst->uses_index |= inst->child.p[i]->uses_index;
    }
    for (uint32_t i = 0; i < inst->delay.n && inst->reverse; i++) { /* what was ahead lies behind */
        uint32_t lag = inst->delay.p[i]->nlag;
        inst->delay.p[i]->nlag = inst->delay.p[i]->nahead;
        inst->delay.p[i]->nahead = lag;
    }
    if (w.forward.file && w.backward.file)
        diag_also(diag(e->diags, E_DIRECTION, w.backward,
                       "states that run forward and states that run backward in one cell are not supported yet: use two cells"),
                  w.forward, STR("this one runs forward"));
}
