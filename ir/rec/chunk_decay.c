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
    uint32_t nvector;
    const Part *vector;
    Part *row;      /* carried, as the step finds it: one for each vector, or a single one of bare products */
    Part product;   /* carried, as the step finds it: of all decays so far */
    Part before;    /* the same for all places */
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
    for (uint32_t y = 0; y < d->nvector; y++) {
        const Type *t = rec_type(d->c->b->prog, d->vector[y].v);
        for (uint8_t i = 0; i < t->rank; i++)
            size[d->vector[y].label[i]] = t->dim[i];
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

/* Of row y; those of vectors have all labels of the vector. */
static uint32_t row_labels(const Decays *d, uint32_t y)
{
    uint32_t own = d->m->diagonal ? part_labels(d->c->b, d->vector[y]) & ~(1u << LABEL_PLACE) : 0;
    return batch_labels(d->m) | 1u << LABEL_OTHER | (d->m->diagonal ? k_label(d->m) : 0) | own;
}

static void open(Decays *d)
{
    const RecOp *old = rec_op(&d->c->w->old, d->c->recur);
    RecBuild *b = d->c->b;
    uint32_t nrow = d->m->diagonal ? d->nvector : 1;
    RecId *init = NEWN(b->prog->arena, RecId, nrow + 1);
    uint32_t whole = batch_labels(d->m) | (d->m->diagonal ? k_label(d->m) : 0);
    for (uint32_t i = 0; i < nrow; i++)
        init[i] = start(d, b, row_labels(d, i), 0);
    init[nrow] = start(d, b, whole, 1);
    d->recur = rec_recur_open(b, init, nrow + 1, NULL, 0, d->c->size, old->reverse, &d->step);
    d->row = NEWN(b->prog->arena, Part, nrow);
    for (uint32_t i = 0; i < nrow; i++)
        d->row[i] = part_of(b->prog->region.p[d->step].arg.p[i], row_labels(d, i));
    d->product = part_of(b->prog->region.p[d->step].arg.p[nrow], whole);
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

Decays *decays_new(Chunk *c, const Matrix *m, Part decay, const Part *vector, uint32_t nvector)
{
    Decays *d = NEW(c->w->p->arena, Decays);
    uint32_t nrow = m->diagonal ? nvector : 1, whole = batch_labels(m) | (m->diagonal ? k_label(m) : 0);
    *d = (Decays){.c = c, .m = m, .nvector = nvector, .vector = vector};
    open(d);
    RecBuild in = {c->w->p, d->step, c->b->at, {0}};
    Part by = at_place(d, decay, part_labels(c->b, decay)), now = here(d, &in);
    RecId *result = NEWN(c->w->p->arena, RecId, nrow + 1);
    for (uint32_t i = 0; i < nrow; i++) {
        Part own = m->diagonal ? at_place(d, vector[i], whole) : part_number(&in, DT_REAL, 1);
        Part next = part_where(&in, now, own, part_map(&in, FUN_MUL, d->row[i], by));
        result[i] = in_order(d, &in, next, row_labels(d, i));
    }
    result[nrow] = in_order(d, &in, part_map(&in, FUN_MUL, d->product, by), whole);
    rec_recur_close(c->w->p, d->recur, result, nrow + 1);
    d->before = part_of(rec_recur_export(c->w->p, d->recur, d->product.v), whole | 1u << LABEL_PLACE);
    return d;
}

static Part as_other(const Decays *d, Part x)
{
    return part_relabel(d->c->b, x, LABEL_PLACE, LABEL_OTHER);
}

/* The products for all pairs of places, when they are the same for all k. */
static Part bare_pairs(Decays *d)
{
    RecId v = rec_recur_export(d->c->w->p, d->recur, d->row[0].v);
    return part_of(v, row_labels(d, 0) | 1u << LABEL_PLACE);
}

Part decays_pairs(Decays *d, Part x, uint32_t y)
{
    RecBuild *b = d->c->b;
    if (!d->m->diagonal) {
        Part score = part_contract(b, x, as_other(d, d->vector[y]), k_label(d->m));
        return part_map(b, FUN_MUL, score, bare_pairs(d));
    }
    RecBuild in = {b->prog, d->step, b->at, {0}};
    Part own = at_place(d, x, k_label(d->m));
    Part pairs = part_contract(&in, own, d->row[y], k_label(d->m));
    uint32_t labels = part_labels(&in, pairs) | 1u << LABEL_PLACE;
    return part_of(rec_recur_export(b->prog, d->recur, pairs.v), labels);
}

Part decays_before(Decays *d, Part x)
{
    return part_map(d->c->b, FUN_MUL, x, d->before);
}

Part decays_whole(const Decays *d)
{
    uint32_t nrow = d->m->diagonal ? d->nvector : 1;
    uint32_t labels = batch_labels(d->m) | (d->m->diagonal ? k_label(d->m) : 0);
    return part_of(rec_proj(d->c->b, d->recur, nrow), labels);
}

Part decays_to_end(Decays *d, uint32_t y)
{
    Part row = part_of(rec_proj(d->c->b, d->recur, d->m->diagonal ? y : 0), row_labels(d, y));
    return d->m->diagonal ? row : part_map(d->c->b, FUN_MUL, as_other(d, d->vector[y]), row);
}
