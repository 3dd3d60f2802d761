/* What rec.newton has not shown to be right is made by the plain step: the places of a window, from where the window begins. Where
 * that is exact so is what comes out, in every bit; else what was off there may have grown, and the bound of the error says by how
 * much. A sequence for which it is too much is run again from its start.
 *
 * Where one window fails the next may well fail, and iterations cost more than steps. So behind a failure a sequence is not tried for a
 * window, behind the next in a row for three, then seven, up to 63: hopeless ones cost little, and what gets better is tried again
 * before twice as many windows have passed as had failed. */
#include "ir/rec/newton.h"

uint32_t newton_results(const Newton *k)
{
    return 2 * k->old->nstate + k->nmore;
}

void newton_plain(const Newton *k, RecBuild *b, const RecId *state, const RecId *seq, Dim length, RecId *result)
{
    const RecRegionInfo *body = &k->w->old.region.p[k->old->region];
    uint32_t n = k->old->nstate;
    RecId recur = rw_recur_over(k->w, b, k->s->recur, state, seq, length);
    for (uint32_t i = 0; i < n; i++) {
        result[i] = rec_proj(b, recur, i);
        result[n + i] = rec_recur_export(k->w->p, recur, k->w->to[body->result.p[i]]);
    }
    for (uint32_t i = 0; i < k->nmore; i++)
        result[2 * n + i] = rec_proj(b, recur, n + k->more[i]);
}

/* What of the sequences in `which` is `again`, else `now`. */
static RecId choose(RecBuild *b, RecId which, RecId again, RecId now)
{
    Type t = *rec_type(b->prog, now);
    uint8_t axis = newton_batch_axis(b->prog, &t);
    if (axis == NO_AXIS)
        return now;
    RecUse use[3] = {{.v = which, .axis = {axis}}, rec_use(again, t.rank), rec_use(now, t.rank)};
    return rec_map(b, FUN_WHERE, use, t.rank, t.dim);
}

/* ---- what happens only if there is need for it: a loop of one round, or none ---- */

typedef struct Once {
    RecBuild *b, in;
    RecId recur, which;
    RecId *value; /* as they are, to be replaced by what the round makes of them */
    RecId *next;
    uint32_t n;
} Once;

/* For the sequences in `which`, if there are any. */
static Once open_once(RecBuild *b, RecId which, RecId *value, uint32_t n)
{
    RecProg *p = b->prog;
    Once o = {.b = b, .which = which, .value = value, .next = NEWN(p->arena, RecId, n + 1), .n = n};
    RecUse any = {.v = which, .axis = {0}};
    Dim batch = dim_of(p->dims, p->batch);
    RecRegion step;
    RecId *init = NEWN(p->arena, RecId, n + 1);
    memcpy(init, value, n * sizeof *init);
    init[n] = rec_map1(b, FUN_NOT, rec_reduce(b, RED_MAX, any, 0, 1, &batch));
    o.recur = rec_recur_open(b, init, n + 1, NULL, 0, DIM_ONE, false, &step);
    rec_op(p, o.recur)->until = true;
    o.in = (RecBuild){p, step, b->at, {0}};
    return o;
}

/* `next` counts for the sequences in `which` alone. */
static void choose_next(Once *o, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        o->next[i] = choose(&o->in, o->which, o->next[i], o->in.prog->region.p[o->in.region].arg.p[i]);
}

static void close_once(Once *o)
{
    o->next[o->n] = rec_const(&o->in, DT_BOOL, 1);
    rec_recur_close(o->b->prog, o->recur, o->next, o->n + 1);
    for (uint32_t i = 0; i < o->n; i++)
        o->value[i] = rec_proj(o->b, o->recur, i);
}

/* ---- a window, and all places ---- */

RecId window_finish(const Newton *k, Window *x, const Window *begin, RecId *made)
{
    uint32_t all = newton_results(k), errors = x->error ? x->n : 0;
    RecId which = rec_map2(x->b, FUN_AND, x->bad, rec_map1(x->b, FUN_NOT, begin->bad));
    RecId *value = NEWN(k->w->p->arena, RecId, all + errors + 1);
    memcpy(value, made, all * sizeof *value);
    if (errors)
        memcpy(value + all, x->error, errors * sizeof *value);
    value[all + errors] = x->bad;
    Once o = open_once(x->b, which, value, all + errors + 1);
    newton_plain(k, &o.in, x->enter, x->seq, x->size, o.next);
    choose_next(&o, 0, all);
    Window y = *begin;
    y.b = &o.in;
    y.state = o.next + x->n;
    y.stepped = true;
    if (errors) {
        memcpy(o.next + all, begin->error, errors * sizeof *o.next);
        y.error = o.next + all;
        window_check(&y);
        choose_next(&o, all, all + errors);
    }
    o.next[all + errors] = y.bad;
    choose_next(&o, all + errors, all + errors + 1);
    close_once(&o);
    memcpy(made, value, all * sizeof *made);
    if (errors)
        memcpy(x->error, value + all, errors * sizeof *value);
    x->bad = value[all + errors];
    return which;
}

enum { LONGEST = 63 }; /* windows */

static RecId waits(const Window *x)
{
    return rec_map2(x->b, FUN_LT, rec_const(x->b, DT_INT, 0), x->patience[0]);
}

void window_skip(Window *x)
{
    if (x->patience)
        x->bad = rec_map2(x->b, FUN_OR, x->bad, waits(x));
}

void window_patience(const Window *x, RecId finished, RecId *next)
{
    RecBuild *b = x->b;
    RecId wait = x->patience[0], last = x->patience[1], skipped = waits(x), none = rec_const(b, DT_INT, 0), one = rec_const(b, DT_INT, 1);
    RecId twice = rec_map2(b, FUN_ADD, rec_map2(b, FUN_ADD, last, last), one), most = rec_const(b, DT_INT, LONGEST);
    RecId longer = rec_map3(b, FUN_WHERE, rec_map2(b, FUN_LT, twice, most), twice, most);
    RecId behind = rec_map3(b, FUN_WHERE, finished, longer, none);
    next[0] = rec_map3(b, FUN_WHERE, skipped, rec_map2(b, FUN_SUB, wait, one), behind);
    next[1] = rec_map3(b, FUN_WHERE, skipped, last, behind);
}

void newton_again(const Newton *k, RecId *value)
{
    Once o = open_once(k->b, k->bad, value, newton_results(k));
    newton_plain(k, &o.in, k->operand, k->seq, k->old->length, o.next);
    choose_next(&o, 0, o.n);
    close_once(&o);
}
