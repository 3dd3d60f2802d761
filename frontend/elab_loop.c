/* Loops inside a step of a cell: `for j in J { state P: real[K] = e; P = ... }` is a recurrence of its own in the step. Its states
 * begin as `e` in every step, `P[j-1]` is the round before, and after the block `P` is the last one. A loop runs when one of its
 * last values is first needed. What a round reads at `[j]` of a value from around the loop comes as a sequence, element by
 * element; `j` itself is a sequence of ints. In a cell over a graph a loop runs for all nodes of a block together: its states have
 * the index axis of the nodes. */
#include "frontend/elab_internal.h"

/* ---- making loops ---- */

static bool taken_index(Elab *e, Scope *s, Ident name)
{
    const Sym *other = scope_find(s, name.text);
    if (!other || (other->kind != SYM_PLACE && other->kind != SYM_COUNTER))
        return false;
    diag_also(diag(e->diags, E_DUPLICATE, name.at, str_c(e->arena, name.text)), other->name.at, STR("this index is in use around the loop"));
    return true;
}

static void add_loop_state(Elab *e, Inst *inst, Loop *loop, const Decl *d)
{
    StateDef *st = state_new(e, inst, loop->round, d);
    if (!st) {
        scope_add_failed(e, loop->around, d->name);
        return;
    }
    st->loop = loop;
    vec_push(e->arena, &loop->state, st);
    Sym *last = scope_add(e, loop->around, d->name, SYM_LAST);
    last->last.loop = loop;
    last->last.state = loop->state.n - 1;
    last->has_place = true;
}

static void add_statement(Elab *e, Inst *inst, Loop *loop, const Stmt *s)
{
    switch (s->kind) {
    case ST_STATE:
        for (uint32_t i = 0; i < s->decls.n; i++)
            add_loop_state(e, inst, loop, &s->decls.decl[i]);
        return;
    case ST_LET: bind_let(e, loop->round, s); return;
    case ST_FOR: vec_push(e->arena, &loop->inner, loop_new(e, inst, loop->round, s)); return;
    case ST_FN: bind_fn(e, loop->round, s->fn); return;
    case ST_EQUATION: return;
    case ST_PARAM:
    case ST_USE: break;
    }
    diag(e->diags, E_UNSUPPORTED, s->at, "a loop inside a step holds states, `let`s, equations, functions and loops: this stands outside");
}

Loop *loop_new(Elab *e, Inst *inst, Scope *around, const Stmt *s)
{
    Loop *loop = NEW(e->arena, Loop);
    *loop = (Loop){.stmt = s, .around = around, .round = scope_new(e, around), .recur = REC_NONE, .counter = REC_NONE};
    loop->depth = around->loop ? around->loop->depth + 1 : 0;
    loop->round->loop = loop;
    if (s->loop.until)
        diag(e->diags, E_UNSUPPORTED, s->loop.until->at, "a loop inside a step runs all its rounds: `until` is not supported yet");
    if (!taken_index(e, around, s->loop.var))
        scope_add(e, loop->round, s->loop.var, SYM_COUNTER)->counts = loop;
    for (uint32_t i = 0; i < s->loop.n; i++)
        add_statement(e, inst, loop, s->loop.body[i]);
    add_equations(e, loop->round, s->loop.var.text, s->loop.body, s->loop.n);
    need_equations(e, loop->state.p, loop->state.n);
    return loop;
}

/* ---- running ---- */

/* The nodes of a block, NULL where there are none. */
static IndexVar *nodes_of(const Loop *loop)
{
    const Inst *inst = loop->around->inst;
    return inst && inst->nodes ? inst->nodes->var : NULL;
}

static Val carried(const Loop *loop, const StateDef *st, const RecId *part)
{
    Val v = val_of_parts(st->type.dt, part);
    v.nfree = nodes_of(loop) != NULL;
    v.free[0] = nodes_of(loop);
    return v;
}

/* The round before, as carried. */
static Val before(const StateDef *st)
{
    return carried(st->loop, st, (RecId[]){st->prev[PART_RE][0], st->prev[PART_IM][0]});
}

/* A complex state is carried as its two parts. */
static void start(Elab *e, Loop *loop)
{
    RecId *init = NEWN(e->arena, RecId, 2 * loop->state.n + 1);
    RecRegion round;
    uint32_t n = 0;
    for (uint32_t i = 0; i < loop->state.n; i++) {
        StateDef *st = loop->state.p[i];
        e->b.name = st->decl->name.text;
        Val v = start_value(e, loop->around, st, nodes_of(loop));
        for (uint32_t part = 0; part < nparts(st->type.dt); part++)
            init[n++] = val_part(e, v, part).v;
    }
    e->b.at = loop->stmt->at;
    e->b.name = (Str){0};
    loop->recur = rec_recur_open(&e->b, init, n, NULL, 0, loop->length, false, &round);
    loop->round->region = round;
    n = 0;
    for (uint32_t i = 0; i < loop->state.n; i++) {
        StateDef *st = loop->state.p[i];
        for (uint32_t part = 0; part < nparts(st->type.dt); part++) {
            st->prev[part][0] = e->prog->region.p[round].arg.p[n++];
            rec_op(e->prog, st->prev[part][0])->name = part_name(e, st->decl->name.text, st->type.dt, part);
        }
    }
}

static void finish(Elab *e, Loop *loop)
{
    RecId *result = NEWN(e->arena, RecId, 2 * loop->state.n + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < loop->state.n; i++) {
        StateDef *st = loop->state.p[i];
        bool poisoned = is_poison(state_now(e, st));
        for (uint32_t part = 0; part < nparts(st->type.dt); part++)
            result[n++] = poisoned ? st->prev[part][0] : val_part(e, st->now, part).v;
    }
    rec_recur_close(e->prog, loop->recur, result, n);
    rec_recur_move_last(e->prog, loop->recur);
    n = 0;
    for (uint32_t i = 0; i < loop->state.n; i++) {
        const StateDef *st = loop->state.p[i];
        RecId last[2] = {REC_NONE, REC_NONE};
        for (uint32_t part = 0; part < nparts(st->type.dt); part++) {
            e->b.name = part_name(e, st->decl->name.text, st->type.dt, part);
            last[part] = rec_proj(&e->b, loop->recur, n++);
        }
        loop->last[i] = carried(loop, st, last);
    }
}

static bool count_rounds(Elab *e, Loop *loop)
{
    const Expr *count = loop->stmt->loop.count;
    if (!elab_dim(e, loop->around, count, &loop->length))
        return false;
    if (not_negative(e, loop->length, count->at))
        return true;
    diag(e->diags, E_NOT_A_SIZE, count->at, "a loop cannot have fewer than 0 rounds");
    return false;
}

void loop_run(Elab *e, Loop *loop)
{
    RecBuild build = e->b;
    if (loop->progress != NOT_YET)
        return;
    loop->progress = RUNNING;
    loop->last = NEWN(e->arena, Val, loop->state.n + 1);
    for (uint32_t i = 0; i < loop->state.n; i++)
        loop->last[i] = poison;
    e->b.region = loop->around->region;
    if (count_rounds(e, loop)) {
        start(e, loop);
        compute_scope(e, loop->round);
        for (uint32_t i = 0; i < loop->inner.n; i++)
            loop_run(e, loop->inner.p[i]);
        finish(e, loop);
    }
    e->b = build;
    loop->progress = READY;
}

Val loop_last(Elab *e, const Sym *sym)
{
    Loop *loop = sym->last.loop;
    if (loop->progress == RUNNING)
        return cyclic(e, sym->name);
    loop_run(e, loop);
    return loop->last[sym->last.state];
}

/* ---- what a round reads ---- */

/* Values for the rounds that are made around the loop. */
static RecBuild build_around(const Elab *e, const Loop *loop)
{
    RecBuild b = e->b;
    b.region = loop->around->region;
    return b;
}

Val loop_counter(Elab *e, Loop *loop)
{
    if (loop->counter == REC_NONE) {
        RecBuild around = build_around(e, loop);
        loop->counter = rec_recur_add_seq(e->prog, loop->recur, rec_iota(&around, loop->length));
    }
    return val_of(loop->counter);
}

/* The elements of v along an axis, round by round. */
static RecId element(Elab *e, Loop *loop, RecId v, uint8_t along)
{
    uint8_t order[MAXRANK], n = 0, rank = rec_type(e->prog, v)->rank;
    RecBuild around = build_around(e, loop);
    order[n++] = along;
    for (uint8_t i = 0; i < rank; i++)
        if (i != along)
            order[n++] = i;
    return rec_recur_add_seq(e->prog, loop->recur, along ? rec_transpose(&around, v, order) : v);
}

bool loop_element(Elab *e, Loop *loop, Val *v, uint8_t axis)
{
    uint8_t along = (uint8_t)(v->nfree + axis);
    if (rec_inside(e->prog, v->v, loop->round->region) || (v->is_complex && rec_inside(e->prog, v->im, loop->round->region)))
        return false;
    v->v = element(e, loop, v->v, along);
    if (v->is_complex)
        v->im = element(e, loop, v->im, along);
    return true;
}

/* `P` and `P[j-1]` inside the block, where brackets behind a state of the loop hold its index. */
bool loop_place(Elab *e, Scope *s, const Expr *x, Val *out)
{
    int64_t offset;
    const Expr *base = x->index.base;
    const Sym *sym = base->kind == EX_NAME ? scope_find(s, base->name) : NULL;
    StateDef *st = sym && sym->kind == SYM_STATE ? sym->state : NULL;
    if (!st || !st->loop || x->index.nsub != 1 || x->index.sub[0].slice)
        return false;
    const Str index = st->loop->stmt->loop.var.text;
    const Sym *var = scope_find(s, index);
    if (!var || var->kind != SYM_COUNTER || !place_offset(x->index.sub[0].lo, index, &offset))
        return false;
    if (offset == 0)
        *out = state_now(e, st);
    else if (offset == -1)
        *out = before(st);
    else {
        diag(e->diags, E_BAD_PLACE, x->at, str_c(e->arena, str_fmt(e->arena, "a round reads the round before it only: `%.*s[%.*s-1]`",
                                                                   STRF(base->name), STRF(index))));
        *out = poison;
    }
    return true;
}
