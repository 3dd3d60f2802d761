/* Decays inside a chunk: what stands at place s counts at a later place t times the product of the decays between.
 *
 * The products are carried along by a small recurrence over the places: entry s of a row is set at place s and multiplied
 * by each decay that follows. So there are no logarithms, no quotients and no exponentials: decays of 0 or below, cuts
 * between sequences (a decay of 0), and any length of chunk are exact, nothing can overflow that does not overflow step by
 * step, and the derivative of a decay needs no division by it. One decay for all k costs a number for each pair of
 * places; decays that differ along k take the vectors themselves along, and are contracted at each place. */
#include "ir/rec/chunk.h"

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
};

static uint32_t batch_labels(const Matrix *m)
{
    return m->batch << LABEL_AXIS;
}

static uint32_t k_label(const Matrix *m)
{
    return 1u << (LABEL_AXIS + m->k);
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
    x = part_expand(d->c->b, x, labels | 1u << LABEL_PLACE, size);
    uint32_t step = part_labels(d->c->b, x) & ~(1u << LABEL_PLACE);
    return part_of(rec_recur_add_seq(d->c->w->p, d->recur, x.v), step);
}

/* Of the rows of an origin; those of what stands somewhere have all its labels. */
static uint32_t row_labels(const Decays *d, uint32_t origin)
{
    uint32_t own = d->m->diagonal ? part_labels(d->c->b, d->standing[origin].v) & ~(1u << LABEL_PLACE) : 0;
    return batch_labels(d->m) | 1u << LABEL_OTHER | (d->m->diagonal ? k_label(d->m) : 0) | own;
}

static uint32_t whole_labels(const Decays *d)
{
    return batch_labels(d->m) | (d->m->diagonal ? k_label(d->m) : 0);
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
        by[i] = decay[i].v == REC_NONE ? decay[i] : at_place(d, decay[i], part_labels(d->c->b, decay[i]));
    for (uint32_t o = 0; o < d->norigin; o++)
        for (uint32_t i = 0; i < n; i++) {
            Part next = decayed(d, &in, by, i, d->row + o * n, 1);
            result[o * n + i] = in_order(d, &in, part_where(&in, now, own_entry(d, &in, o, i), next), row_labels(d, o));
        }
    for (uint32_t i = 0; i < n * n; i++)
        result[nrow + i] = in_order(d, &in, decayed(d, &in, by, i / n, d->product + i % n, n), whole_labels(d));
    rec_recur_close(in.prog, d->recur, result, nrow + n * n);
}

Decays *decays_new(Chunk *c, const Matrix *m, const Part *decay, const Standing *standing, uint32_t nstanding)
{
    Decays *d = NEW(c->w->p->arena, Decays);
    *d = (Decays){.c = c, .m = m, .n = m->n, .standing = standing, .nstanding = nstanding};
    d->norigin = m->diagonal ? nstanding : m->n;
    open(d);
    close(d, decay);
    for (uint32_t i = 0; i < d->n * d->n; i++)
        d->before[i] = part_of(rec_recur_export(c->w->p, d->recur, d->product[i].v), whole_labels(d) | 1u << LABEL_PLACE);
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
        Part score = part_contract(b, x, as_other(d, d->standing[y].v), k_label(d->m));
        return part_map(b, FUN_MUL, score, part_of(all, row_labels(d, 0) | 1u << LABEL_PLACE));
    }
    RecBuild in = {b->prog, d->step, b->at, {0}};
    Part own = at_place(d, x, k_label(d->m));
    Part pairs = part_contract(&in, own, d->row[row], k_label(d->m));
    uint32_t labels = part_labels(&in, pairs) | 1u << LABEL_PLACE;
    return part_of(rec_recur_export(b->prog, d->recur, pairs.v), labels);
}

Part decays_entering(Decays *d, Part x, uint32_t from, uint32_t to, Part state)
{
    Part before = d->before[from * d->n + to];
    if (d->m->diagonal)
        return part_contract(d->c->b, part_map(d->c->b, FUN_MUL, x, before), state, k_label(d->m));
    return part_map(d->c->b, FUN_MUL, part_contract(d->c->b, x, state, k_label(d->m)), before);
}

Part decays_whole(const Decays *d, uint32_t from, uint32_t to)
{
    return part_of(rec_proj(d->c->b, d->recur, (d->norigin + from) * d->n + to), whole_labels(d));
}

Part decays_to_end(Decays *d, uint32_t y, uint32_t from)
{
    uint32_t row = row_of(d, y, from);
    Part end = part_of(rec_proj(d->c->b, d->recur, row), row_labels(d, row / d->n));
    end = part_relabel(d->c->b, end, LABEL_OTHER, LABEL_PLACE);
    return d->m->diagonal ? end : part_map(d->c->b, FUN_MUL, d->standing[y].v, end);
}
