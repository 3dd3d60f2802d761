/* Stages that are tables (table.h) in a scan: the steps of a piece are composed for each state in which it could begin.
 * One more entry is for a beginning that is no element, as long as no step looks at it. What is looked up on the way
 * keeps inside of its axis: the piece's own run, from where it really begins, is the one that tells of an index
 * outside. */
#include "ir/rec/scan.h"

#include <limits.h>

#define OUTSIDE ((double)INT32_MIN) /* the value that this entry begins with */

typedef struct Table {
    Scan *x;
    const StageInfo *stage;
    Type type;  /* of the state */
    Chunk c;    /* in the step of a piece */
    Part *made; /* by old op that reads the state */
    Dim entries;
} Table;

static uint32_t axes(const Table *t)
{
    return ((1u << t->type.rank) - 1) << LABEL_AXIS;
}

static Part whole(RecBuild *b, double x)
{
    return part_number(b, DT_INT, x);
}

/* ---- a step, for all entries ---- */

static Part value(Table *t, RecId old);

static Part operand(Table *t, RecUse u)
{
    if (t->stage->reads[u.v])
        return value(t, u.v);
    Factor f = {.kind = FACTOR_TIMES, .use = u};
    return chunk_factor(&t->c, &f);
}

static Part mapped(Table *t, const RecOp *op)
{
    Part a = operand(t, op->use[0]);
    if (op->nuse == 1)
        return part_map1(t->c.b, op->fun, a);
    Part b = operand(t, op->use[1]);
    return op->nuse == 2 ? part_map(t->c.b, op->fun, a, b) : part_where(t->c.b, a, b, operand(t, op->use[2]));
}

static Part inside(Table *t, Part index, Dim size)
{
    RecBuild *b = t->c.b;
    Part last = part_map(b, FUN_SUB, (Part){.v = rec_dim(b, size)}, whole(b, 1));
    return part_map(b, FUN_MAX, part_map(b, FUN_MIN, index, last), whole(b, 0));
}

static Part looked_up(Table *t, const RecOp *op)
{
    Part index[MAXRANK];
    for (uint8_t i = 0; i < op->nindex; i++) {
        index[i] = operand(t, op->use[i + 1]);
        if (t->stage->reads[op->use[i + 1].v])
            index[i] = inside(t, index[i], rec_type(&t->x->w->old, op->use[0].v)->dim[i]);
    }
    t->c.lift.b = t->c.b;
    Lifted table = lift_value(&t->c.lift, op->use[0].v);
    uint8_t order[MAXRANK], n = 0, rank = rec_type(t->c.b->prog, table.v)->rank;
    Part x = {.v = REC_NONE};
    for (uint8_t i = table.placed; i < rank; i++) {
        order[n] = i;
        x.label[n++] = (uint8_t)(LABEL_AXIS + op->use[0].axis[i - table.placed]);
        if (n == op->nindex && table.placed) {
            order[n] = 0;
            x.label[n++] = LABEL_PLACE;
        }
    }
    x.v = rec_transpose(t->c.b, table.v, order);
    return part_gather(t->c.b, x, index, op->nindex);
}

static Part value(Table *t, RecId old)
{
    const RecOp *op = rec_op(&t->x->w->old, old);
    if (t->made[old].v == REC_NONE)
        t->made[old] = op->kind == REC_GATHER ? looked_up(t, op) : mapped(t, op);
    return t->made[old];
}

/* ---- the sweeps ---- */

static uint32_t entry_labels(const Table *t)
{
    return 1u << LABEL_PLACE | axes(t) | 1u << LABEL_FROM;
}

static RecId widened(const Table *t, RecBuild *b, Part x)
{
    Dim size[LABEL_COUNT] = {[LABEL_PLACE] = t->x->pieces, [LABEL_FROM] = t->entries};
    memcpy(size + LABEL_AXIS, t->type.dim, t->type.rank * sizeof *size);
    return part_expand(b, x, entry_labels(t), size).v;
}

/* Every entry is itself. */
static RecId identity(const Table *t)
{
    RecBuild *b = t->x->b;
    Part entry = part_of(rec_iota(b, t->entries), 1u << LABEL_FROM), last = {.v = rec_dim(b, t->stage->size)};
    return widened(t, b, part_where(b, part_map(b, FUN_LT, entry, last), entry, whole(b, OUTSIDE)));
}

static RecId compose(Table *t)
{
    Scan *x = t->x;
    RecProg *p = x->w->p;
    const RecRegionInfo *body = &x->w->old.region.p[x->old->region];
    uint32_t state = t->stage->state[0];
    RecId init = identity(t);
    RecRegion step;
    RecId recur = rec_recur_open(x->b, &init, 1, NULL, 0, x->length, x->old->reverse, &step);
    RecBuild in = {p, step, x->b->at, {0}};
    t->c = chunk_begin(x->w, &in, x->s, x->pieces, NULL, scan_known(x, recur));
    t->made = NEWN(p->arena, Part, x->w->old.op.n + 1);
    for (RecId v = 0; v < x->w->old.op.n; v++)
        t->made[v].v = REC_NONE;
    t->made[body->arg.p[state]] = part_of(p->region.p[step].arg.p[0], entry_labels(t));
    RecId next = widened(t, &in, operand(t, rec_use(body->result.p[state], t->type.rank)));
    rec_recur_close(p, recur, &next, 1);
    return rec_proj(x->b, recur, 0);
}

/* The entry of the composed table that a piece begins with, and what it says. */
static Part through_table(const Table *t, RecBuild *b, RecId table, RecId begin)
{
    uint8_t order[MAXRANK] = {t->type.rank};
    for (uint8_t i = 1; i <= t->type.rank; i++)
        order[i] = (uint8_t)(i - 1);
    Part by = {.v = rec_transpose(b, table, order), .label = {LABEL_FROM}};
    for (uint8_t i = 1; i <= t->type.rank; i++)
        by.label[i] = (uint8_t)(LABEL_AXIS + i - 1);
    Part from = part_of(begin, axes(t)), size = {.v = rec_dim(b, t->stage->size)};
    Part is = part_map(b, FUN_AND, part_map(b, FUN_LE, whole(b, 0), from), part_map(b, FUN_LT, from, size));
    Part entry = part_where(b, is, from, size), to = part_gather(b, by, &entry, 1);
    Part stays = part_map(b, FUN_AND, part_map1(b, FUN_NOT, is), part_map(b, FUN_EQ, to, whole(b, OUTSIDE)));
    return part_where(b, stays, from, to);
}

RecId scan_table(Scan *x, const StageInfo *stage)
{
    RecProg *p = x->w->p;
    uint32_t state = stage->state[0];
    Table t = {.x = x, .stage = stage, .type = *rec_type(&x->w->old, x->old->use[state].v)};
    t.entries = dim_add(p->dims, stage->size, DIM_ONE);
    RecId table = compose(&t);
    RecRegion step;
    RecId recur = rec_recur_open(x->b, &x->final[state], 1, &table, 1, x->pieces, x->old->reverse, &step);
    RecBuild in = {p, step, x->b->at, {0}};
    RecId begin = p->region.p[step].arg.p[0];
    RecId next = through_table(&t, &in, p->region.p[step].arg.p[1], begin).v;
    rec_recur_close(p, recur, &next, 1);
    x->final[state] = rec_proj(x->b, recur, 0);
    return rec_recur_export(p, recur, begin);
}
