/* Decays inside a chunk: what stands at place s counts at a later place t times the product of the decays between.
 *
 * The products are carried along by a small recurrence over the places: entry s of a row is set at place s and multiplied
 * by each decay that follows. So there are no logarithms, no quotients and no exponentials: decays of 0 or below, cuts
 * between sequences (a decay of 0), and any length of chunk are exact, nothing can overflow that does not overflow step by
 * step, and the derivative of a decay needs no division by it. One decay for all k costs a number for each pair of
 * places; decays that differ along k take the vectors themselves along, and are contracted at each place. In these k is the last
 * axis: the derivative of a decay is then a sum of vectors, and not a sum along each of them. */
#include "ir/rec/chunk.h"

/* A product of several readers, one behind the other along the places, with something. */
typedef struct Joint {
    RecId with;
    Part product;
} Joint;

/* Readers of one shape. */
typedef struct Group {
    VEC(Part) reader;
    VEC(Joint) joint;
} Group;

struct Decays {
    Chunk *c;
    const Matrix *m;
    RecId recur;    /* over the places of the chunk */
    RecRegion step;
    uint32_t n, nstanding;
    const Standing *standing;
    /* Carried, as the step finds them. Rows: by origin and state, where an origin is what stands somewhere, or a bare
     * number in each state. Products of all decays so far: [n, n]. */
    uint32_t norigin;
    Part *row, *product, *before;
    VEC(Group) group;
};

static uint32_t batch_labels(const Matrix *m)
{
    return m->batch << LABEL_AXIS;
}

static uint8_t k_label(const Matrix *m)
{
    return (uint8_t)(LABEL_AXIS + m->k);
}

/* As the recurrence over the places has it. */
static Part inside(const Decays *d, Part x)
{
    return d->m->diagonal ? part_relabel(d->c->b, x, k_label(d->m), LABEL_ALONG) : x;
}

static void sizes(const Decays *d, Dim *size)
{
    for (uint32_t y = 0; y < d->nstanding; y++) {
        const Type *t = rec_type(d->c->b->prog, d->standing[y].v.v);
        for (uint8_t i = 0; i < t->rank; i++)
            size[d->standing[y].v.label[i]] = t->dim[i];
    }
    size[LABEL_PLACE] = size[LABEL_OTHER] = d->c->size;
    for (uint8_t i = 0; i < d->m->type.rank; i++)
        size[LABEL_AXIS + i] = d->m->type.dim[i];
    size[LABEL_ALONG] = size[k_label(d->m)];
}

static RecId start(const Decays *d, RecBuild *b, uint32_t labels, double number)
{
    Dim size[LABEL_COUNT] = {0};
    sizes(d, size);
    return part_expand(b, part_number(b, DT_REAL, number), labels, size).v;
}

/* A part of all places of the chunk as the step of a recurrence over them sees it. */
static Part at_place(const Decays *d, Part x, uint32_t labels)
{
    Dim size[LABEL_COUNT] = {0};
    sizes(d, size);
    x = part_expand(d->c->b, inside(d, x), labels | 1u << LABEL_PLACE, size);
    uint32_t step = part_labels(d->c->b, x) & ~(1u << LABEL_PLACE);
    return part_of(rec_recur_add_seq(d->c->w->p, d->recur, x.v), step);
}

static uint32_t whole_labels(const Decays *d)
{
    return batch_labels(d->m) | (d->m->diagonal ? 1u << LABEL_ALONG : 0);
}

/* Of the rows of an origin; those of what stands somewhere have all its labels. */
static uint32_t row_labels(const Decays *d, uint32_t origin)
{
    uint32_t own = d->m->diagonal ? part_labels(d->c->b, inside(d, d->standing[origin].v)) & ~(1u << LABEL_PLACE) : 0;
    return whole_labels(d) | 1u << LABEL_OTHER | own;
}

/* Without the places: as what is outside has it. */
static Part outside(const Decays *d, RecId v, uint32_t labels)
{
    return part_relabel(d->c->b, part_of(v, labels), LABEL_ALONG, k_label(d->m));
}

static uint32_t state_of_origin(const Decays *d, uint32_t origin)
{
    return d->m->diagonal ? d->standing[origin].to : origin;
}

static void open(Decays *d)
{
    const RecOp *old = rec_op(&d->c->w->old, d->c->recur);
    RecBuild *b = d->c->b;
    Arena *a = b->prog->arena;
    uint32_t n = d->n, nrow = d->norigin * n, count = nrow + n * n;
    RecId *init = NEWN(a, RecId, count + 1);
    d->row = NEWN(a, Part, nrow + 1);
    d->product = NEWN(a, Part, n * n);
    d->before = NEWN(a, Part, n * n);
    for (uint32_t i = 0; i < nrow; i++)
        init[i] = start(d, b, row_labels(d, i / n), 0);
    for (uint32_t i = 0; i < n * n; i++)
        init[nrow + i] = start(d, b, whole_labels(d), i / n == i % n ? 1 : 0);
    d->recur = rec_recur_open(b, init, count, NULL, 0, d->c->size, old->reverse, &d->step);
    const RecId *arg = b->prog->region.p[d->step].arg.p;
    for (uint32_t i = 0; i < nrow; i++)
        d->row[i] = part_of(arg[i], row_labels(d, i / n));
    for (uint32_t i = 0; i < n * n; i++)
        d->product[i] = part_of(arg[nrow + i], whole_labels(d));
}

/* Whether an entry of a row is that of this place. */
static Part here(const Decays *d, RecBuild *in)
{
    RecId places = rec_iota(d->c->b, d->c->size);
    Part at = part_of(rec_recur_add_seq(d->c->w->p, d->recur, places), 0);
    Part all = part_of(rec_iota(in, d->c->size), 1u << LABEL_OTHER);
    return part_map(in, FUN_EQ, all, at);
}

static RecId in_order(const Decays *d, RecBuild *in, Part x, uint32_t labels)
{
    Dim size[LABEL_COUNT] = {0};
    sizes(d, size);
    return part_expand(in, x, labels, size).v;
}

/* State i after the step's decays, of states x[0], x[stride], ... */
static Part decayed(const Decays *d, RecBuild *in, const Part *by, uint32_t i, const Part *x, uint32_t stride)
{
    Part sum = {.v = REC_NONE};
    for (uint32_t j = 0; j < d->n; j++) {
        if (by[i * d->n + j].v == REC_NONE)
            continue;
        Part more = part_map(in, FUN_MUL, x[j * stride], by[i * d->n + j]);
        sum = sum.v == REC_NONE ? more : part_map(in, FUN_ADD, sum, more);
    }
    return sum.v == REC_NONE ? part_number(in, DT_REAL, 0) : sum;
}

/* What an origin adds to state i at its own place. */
static Part own_entry(const Decays *d, RecBuild *in, uint32_t origin, uint32_t i)
{
    if (state_of_origin(d, origin) != i)
        return part_number(in, DT_REAL, 0);
    return d->m->diagonal ? at_place(d, d->standing[origin].v, whole_labels(d)) : part_number(in, DT_REAL, 1);
}

static void close(Decays *d, const Part *decay)
{
    RecBuild in = {d->c->w->p, d->step, d->c->b->at, {0}};
    uint32_t n = d->n, nrow = d->norigin * n;
    RecId *result = NEWN(in.prog->arena, RecId, nrow + n * n);
    Part *by = NEWN(in.prog->arena, Part, n * n), now = here(d, &in);
    for (uint32_t i = 0; i < n * n; i++)
        by[i] = decay[i].v == REC_NONE ? decay[i] : at_place(d, decay[i], part_labels(d->c->b, inside(d, decay[i])));
    for (uint32_t o = 0; o < d->norigin; o++)
        for (uint32_t i = 0; i < n; i++) {
            Part next = decayed(d, &in, by, i, d->row + o * n, 1);
            result[o * n + i] = in_order(d, &in, part_where(&in, now, own_entry(d, &in, o, i), next), row_labels(d, o));
        }
    for (uint32_t i = 0; i < n * n; i++)
        result[nrow + i] = in_order(d, &in, decayed(d, &in, by, i / n, d->product + i % n, n), whole_labels(d));
    rec_recur_close(in.prog, d->recur, result, nrow + n * n);
}

/* ---- what readers meet ---- */

static bool same_shape(const RecBuild *b, Part x, Part y)
{
    const Type *s = rec_type(b->prog, x.v), *t = rec_type(b->prog, y.v);
    if (s->rank != t->rank || s->dt != t->dt)
        return false;
    for (uint8_t i = 0; i < s->rank; i++)
        if (s->dim[i] != t->dim[i] || x.label[i] != y.label[i])
            return false;
    return x.label[0] == LABEL_PLACE;
}

static void add_reader(Decays *d, Part x)
{
    Arena *a = d->c->w->p->arena;
    for (uint32_t i = 0; i < d->group.n; i++) {
        Group *g = &d->group.p[i];
        if (!same_shape(d->c->b, g->reader.p[0], x))
            continue;
        for (uint32_t k = 0; k < g->reader.n; k++)
            if (g->reader.p[k].v == x.v)
                return;
        vec_push(a, &g->reader, x);
        return;
    }
    vec_push(a, &d->group, (Group){0});
    vec_push(a, &d->group.p[d->group.n - 1].reader, x);
}

static Part joint_product(Decays *d, Group *g, Part with)
{
    Arena *a = d->c->w->p->arena;
    for (uint32_t i = 0; i < g->joint.n; i++)
        if (g->joint.p[i].with == with.v)
            return g->joint.p[i].product;
    RecId *each = NEWN(a, RecId, g->reader.n);
    for (uint32_t i = 0; i < g->reader.n; i++)
        each[i] = g->reader.p[i].v;
    Part all = g->reader.p[0];
    all.v = rec_concat(d->c->b, each, g->reader.n, 0);
    Part product = part_contract(d->c->b, all, with, 1u << k_label(d->m));
    vec_push(a, &g->joint, (Joint){with.v, product});
    return product;
}

/* The sum over k of x times what it meets. */
static Part meet(Decays *d, Part x, Part with)
{
    RecBuild *b = d->c->b;
    for (uint32_t i = 0; i < d->group.n; i++)
        for (uint32_t k = 0; k < d->group.p[i].reader.n; k++) {
            if (d->group.p[i].reader.p[k].v != x.v || d->group.p[i].reader.n == 1)
                continue;
            Part part = joint_product(d, &d->group.p[i], with);
            part.v = rec_slice(b, part.v, 0, dim_mul(b->prog->dims, d->c->size, dim_const(b->prog->dims, k)), d->c->size);
            return part;
        }
    return part_contract(b, x, with, 1u << k_label(d->m));
}

Decays *decays_new(Chunk *c, const Matrix *m, const Part *decay, const Standing *standing, uint32_t nstanding, const Part *reader, uint32_t nreader)
{
    Decays *d = NEW(c->w->p->arena, Decays);
    *d = (Decays){.c = c, .m = m, .n = m->n, .standing = standing, .nstanding = nstanding};
    for (uint32_t i = 0; i < nreader && !m->diagonal; i++)
        add_reader(d, reader[i]);
    d->norigin = m->diagonal ? nstanding : m->n;
    open(d);
    close(d, decay);
    for (uint32_t i = 0; i < d->n * d->n; i++)
        d->before[i] = outside(d, rec_recur_export(c->w->p, d->recur, d->product[i].v), whole_labels(d) | 1u << LABEL_PLACE);
    return d;
}

static Part as_other(const Decays *d, Part x)
{
    return part_relabel(d->c->b, x, LABEL_PLACE, LABEL_OTHER);
}

/* The row of an origin in state `from`. */
static uint32_t row_of(const Decays *d, uint32_t y, uint32_t from)
{
    return (d->m->diagonal ? y : d->standing[y].to) * d->n + from;
}

Part decays_pairs(Decays *d, Part x, uint32_t from, uint32_t y)
{
    RecBuild *b = d->c->b;
    uint32_t row = row_of(d, y, from);
    if (!d->m->diagonal) {
        RecId all = rec_recur_export(b->prog, d->recur, d->row[row].v);
        Part score = meet(d, x, as_other(d, d->standing[y].v));
        return part_map(b, FUN_MUL, score, part_of(all, row_labels(d, 0) | 1u << LABEL_PLACE));
    }
    RecBuild in = {b->prog, d->step, b->at, {0}};
    Part own = at_place(d, x, 1u << LABEL_ALONG);
    Part pairs = part_contract(&in, own, d->row[row], 1u << LABEL_ALONG);
    uint32_t labels = part_labels(&in, pairs) | 1u << LABEL_PLACE;
    return part_of(rec_recur_export(b->prog, d->recur, pairs.v), labels);
}

Part decays_entering(Decays *d, Part x, uint32_t from, uint32_t to, Part state)
{
    Part before = d->before[from * d->n + to];
    if (d->m->diagonal)
        return part_contract(d->c->b, part_map(d->c->b, FUN_MUL, x, before), state, 1u << k_label(d->m));
    return part_map(d->c->b, FUN_MUL, meet(d, x, state), before);
}

Part decays_whole(const Decays *d, uint32_t from, uint32_t to)
{
    return outside(d, rec_proj(d->c->b, d->recur, (d->norigin + from) * d->n + to), whole_labels(d));
}

Part decays_to_end(Decays *d, uint32_t y, uint32_t from)
{
    uint32_t row = row_of(d, y, from);
    Part end = outside(d, rec_proj(d->c->b, d->recur, row), row_labels(d, row / d->n));
    end = part_relabel(d->c->b, end, LABEL_OTHER, LABEL_PLACE);
    return d->m->diagonal ? end : part_map(d->c->b, FUN_MUL, d->standing[y].v, end);
}
