/* rec.convolution: a constant step s' = A s + b u of which sums y = r.s are read, in chunks of C places, all chunks at once.
 * With S as a chunk finds the state, and places counted from its begin:
 *
 *   y_t = (r A^t).S + sum over s < t of (r A^(t-1-s) b) u_s
 *   S'  = A^v S + sum over s < v of (A^(v-1-s) b) u_s
 *
 * v being how many places of the chunk the sequence has. So the states are made once a chunk and not once a place, and the
 * rest is products with a Toeplitz matrix and two others. The powers of A are made by doubling. The last chunk is filled
 * with places that the sequence does not have. A cut between s and t takes u_s out of the sum, one before t takes S out.
 * Its derivative is that of these equations. */
#include "ir/rec/chunk.h"
#include "ir/rec/convolution.h"

enum { CHUNK = 0, AT = 1, FROM = 2, AXES = 8 }; /* labels: chunks, places t and s, axes of the state */
#define BIT(LABEL) (1u << (LABEL))

typedef struct Conv {
    Rewrite *w;
    RecBuild *b;
    const Convolution *c;
    Chunk all; /* all places */
    Dim length, n, size, padded;
    uint32_t places; /* of a chunk */
    Dim dim[LABEL_COUNT];
    RecId *state; /* by state: as the recurrence finds it, and as it leaves it */
    Part *power;  /* [n,n] at AT: from 0 to C */
    Part valid, counts, cuts; /* at AT: the sequence has the place; cuts before it; cuts in the chunk (v REC_NONE: no cuts) */
    Part have;    /* places that it has */
    Part *begin;  /* by state: as each chunk finds it */
    Part *input;  /* by group: u at FROM, 0 where it does not count */
} Conv;

static uint32_t axes(uint32_t bits)
{
    return bits << AXES;
}

static Part none(void)
{
    return (Part){.v = REC_NONE};
}

static Part plus(Conv *x, Part a, Part b)
{
    return a.v == REC_NONE ? b : b.v == REC_NONE ? a : part_map(x->b, FUN_ADD, a, b);
}

static Part times(Conv *x, Part a, Part b)
{
    return a.v == REC_NONE || b.v == REC_NONE ? none() : part_map(x->b, FUN_MUL, a, b);
}

static Part whole(Conv *x, double number)
{
    return part_number(x->b, DT_INT, number);
}

static Part places_at(Conv *x, uint32_t label)
{
    return part_of(rec_iota(x->b, x->size), BIT(label));
}

static Part zero_unless(Conv *x, Part condition, Part a)
{
    return part_where(x->b, condition, a, part_number(x->b, rec_type(x->b->prog, a.v)->dt, 0));
}

/* ---- factors ---- */

/* Axes of a term as those of the state. */
static Part as_state(const Conv *x, const Term *t, Part p)
{
    for (uint8_t i = 0; i < rec_type(x->b->prog, p.v)->rank; i++) {
        uint8_t label = p.label[i];
        for (uint8_t k = 0; k < x->c->type.rank; k++)
            if (label == LABEL_AXIS + (t->state == REC_NONE ? k : t->axis[k]))
                p.label[i] = (uint8_t)(AXES + k);
    }
    return p;
}

static Part product(Conv *x, const Term *t, uint32_t select)
{
    return chunk_product(&x->all, t, select, EVERY_FACTOR);
}

/* The factors that are the same at all places, as a number with the term's sign. */
static Part coefficient(Conv *x, const ConvTerm *t)
{
    Part p = as_state(x, &t->term, product(x, &t->term, t->fixed));
    return t->term.sign < 0 ? part_map1(x->b, FUN_NEG, p) : p;
}

static Part sum_of(Conv *x, const ConvTerms *terms, uint32_t from, uint32_t to, uint32_t group)
{
    Part sum = none();
    for (uint32_t i = 0; i < terms->n; i++)
        if (terms->p[i].from == from && terms->p[i].to == to && terms->p[i].group == group)
            sum = plus(x, sum, coefficient(x, &terms->p[i]));
    return sum;
}

/* The places of all chunks, those that the sequence does not have being 0 or false. */
static Part in_chunks(Conv *x, Part p, uint8_t label)
{
    Dim size[LABEL_COUNT] = {[LABEL_PLACE] = x->length};
    p = part_expand(x->b, p, BIT(LABEL_PLACE), size);
    Type t = *rec_type(x->b->prog, p.v);
    Dim dim[MAXRANK] = {x->n, x->size};
    memcpy(dim + 2, t.dim + 1, (t.rank - 1u) * sizeof(Dim));
    RecId filled = rec_pad(x->b, p.v, 0, DIM_ZERO, x->padded);
    Part r = {.v = rec_reshape(x->b, filled, (uint8_t)(t.rank + 1), dim), .label = {CHUNK, label}};
    memcpy(r.label + 2, p.label + 1, t.rank - 1u);
    return r;
}

static Part from_chunks(Conv *x, Part p)
{
    Type t = *rec_type(x->b->prog, p.v);
    Dim dim[MAXRANK] = {x->padded};
    memcpy(dim + 1, t.dim + 2, (t.rank - 2u) * sizeof(Dim));
    RecId all = rec_reshape(x->b, p.v, (uint8_t)(t.rank - 1), dim);
    Part r = {.v = rec_slice(x->b, all, 0, DIM_ZERO, x->length), .label = {LABEL_PLACE}};
    memcpy(r.label + 1, p.label + 2, t.rank - 2u);
    return r;
}

/* Whether all of these conditions of a term hold. */
static Part condition(Conv *x, const Term *t, uint32_t select)
{
    return part_map(x->b, FUN_NE, product(x, t, select), part_number(x->b, DT_REAL, 0));
}

/* ---- powers ---- */

static void multiply(Conv *x, const Part *a, const Part *b, Part *out)
{
    uint32_t n = x->c->n;
    for (uint32_t i = 0; i < n * n; i++) {
        out[i] = none();
        for (uint32_t l = 0; l < n; l++)
            out[i] = plus(x, out[i], times(x, a[i / n * n + l], b[l * n + i % n]));
    }
}

static Part behind(Conv *x, Part a, Part b, uint32_t labels, Dim count)
{
    Dim size[LABEL_COUNT];
    memcpy(size, x->dim, sizeof size);
    size[AT] = count;
    a = part_expand(x->b, a.v == REC_NONE ? part_number(x->b, DT_REAL, 0) : a, labels | BIT(AT), size);
    b = part_expand(x->b, b.v == REC_NONE ? part_number(x->b, DT_REAL, 0) : b, labels | BIT(AT), size);
    a.v = rec_concat(x->b, (RecId[]){a.v, b.v}, 2, 0);
    return a;
}

/* A^0 to A^C: as many again, multiplied by the power that comes next, until there are enough. */
static void make_powers(Conv *x)
{
    uint32_t n = x->c->n, labels = 0;
    Arena *a = x->w->p->arena;
    Part *next = NEWN(a, Part, n * n), *more = NEWN(a, Part, n * n);
    x->power = NEWN(a, Part, n * n);
    for (uint32_t i = 0; i < n * n; i++) {
        next[i] = sum_of(x, &x->c->step, i % n, i / n, 0);
        x->power[i] = i / n == i % n ? part_number(x->b, DT_REAL, 1) : none();
        labels |= next[i].v == REC_NONE ? 0 : part_labels(x->b, next[i]);
    }
    for (uint32_t m = 1; m <= x->places; m *= 2) {
        multiply(x, x->power, next, more);
        for (uint32_t i = 0; i < n * n; i++)
            x->power[i] = behind(x, x->power[i], more[i], labels, dim_const(x->w->p->dims, m));
        multiply(x, next, next, more);
        memcpy(next, more, n * n * sizeof *next);
    }
    for (uint32_t i = 0; i < n * n; i++)
        x->power[i].v = rec_slice(x->b, x->power[i].v, 0, DIM_ZERO, dim_const(x->w->p->dims, x->places + 1));
}

/* What stands at AT (or at `label`), at the places that `index` says. */
static Part picked(Conv *x, Part table, Part index)
{
    Dim size[LABEL_COUNT], dim[MAXIT];
    uint32_t own = part_labels(x->b, index) | (part_labels(x->b, table) & ~BIT(AT));
    Part r = none();
    RecUse use[2] = {{.v = table.v}, {.v = index.v}};
    uint8_t at[LABEL_COUNT], n = 0;
    memcpy(size, x->dim, sizeof size);
    for (uint8_t l = 0; l < LABEL_COUNT; l++)
        if (own >> l & 1) {
            at[l] = n;
            r.label[n] = l;
            dim[n++] = size[l];
        }
    for (uint8_t i = 1; i < rec_type(x->b->prog, table.v)->rank; i++)
        use[0].axis[i] = at[table.label[i]];
    for (uint8_t i = 0; i < rec_type(x->b->prog, index.v)->rank; i++)
        use[1].axis[i] = at[index.label[i]];
    r.v = rec_gather(x->b, use, 2, n, dim);
    return r;
}

/* ---- places, cuts and inputs ---- */

static Part counted(Conv *x, Part condition, uint32_t over)
{
    return part_reduce(x->b, RED_SUM, part_where(x->b, condition, whole(x, 1), whole(x, 0)), BIT(over));
}

static void make_places(Conv *x)
{
    const ConvTerm *t = &x->c->step.p[0];
    uint32_t valid = t->conditions & ~x->c->clear;
    Part has = x->c->holds ? as_state(x, &t->term, condition(x, &t->term, valid)) : part_number(x->b, DT_BOOL, 1);
    x->valid = in_chunks(x, has, AT);
    x->have = counted(x, x->valid, AT);
    x->counts = x->cuts = none();
    if (!x->c->clear)
        return;
    Part keeps = as_state(x, &t->term, condition(x, &t->term, x->c->clear));
    Part cut = in_chunks(x, part_map(x->b, FUN_EQ, keeps, part_number(x->b, DT_BOOL, 0)), FROM);
    Part before = part_map(x->b, FUN_LT, places_at(x, FROM), places_at(x, AT));
    x->counts = counted(x, part_map(x->b, FUN_AND, cut, before), FROM);
    x->cuts = counted(x, cut, FROM);
}

static void make_inputs(Conv *x)
{
    const Convolution *c = x->c;
    x->input = NEWN(x->w->p->arena, Part, c->source.n + 1);
    for (uint32_t g = 0; g < c->source.n; g++) {
        const ConvTerm *t = &c->source.p[g];
        if (t->group != g)
            continue;
        Part u = as_state(x, &t->term, product(x, &t->term, t->moving));
        if (t->conditions)
            u = zero_unless(x, as_state(x, &t->term, condition(x, &t->term, t->conditions)), u);
        x->input[g] = in_chunks(x, u, FROM);
    }
}

/* ---- from chunk to chunk ---- */

/* An input that stands as many places later as the sequence does not have, and only what counts at the end. */
static Part at_the_end(Conv *x, Part u)
{
    Part have = x->have;
    uint32_t labels = part_labels(x->b, have) | BIT(FROM);
    if (x->counts.v != REC_NONE)
        u = zero_unless(x, part_map(x->b, FUN_EQ, part_relabel(x->b, x->counts, AT, FROM), x->cuts), u);
    u = part_expand(x->b, u, labels, x->dim);
    Part to = part_map(x->b, FUN_SUB, part_map(x->b, FUN_ADD, places_at(x, FROM), have), whole(x, x->places));
    Part index = part_map(x->b, FUN_MAX, to, whole(x, 0));
    RecUse use[MAXRANK + 1] = {{.v = u.v}};
    uint8_t rank = rec_type(x->b->prog, u.v)->rank, order[MAXRANK], n = 0, nindex = 0;
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint8_t i = 0; i < rank; i++)
            if ((labels >> u.label[i] & 1) == !pass)
                order[n++] = i;
    use[0].v = rec_transpose(x->b, u.v, order);
    for (uint8_t i = 0; i < rank; i++) {
        uint8_t label = u.label[order[i]];
        use[0].axis[i] = order[i];
        if (!(labels >> label & 1))
            continue;
        Part by = label == FROM ? index : part_of(rec_iota(x->b, x->dim[label]), BIT(label));
        use[++nindex].v = by.v;
        for (uint8_t k = 0; k < rec_type(x->b->prog, by.v)->rank; k++)
            for (uint8_t j = 0; j < rank; j++)
                if (u.label[j] == by.label[k])
                    use[nindex].axis[k] = j;
    }
    Part moved = u;
    moved.v = rec_gather(x->b, use, nindex + 1u, rank, rec_type(x->b->prog, u.v)->dim);
    return zero_unless(x, part_map(x->b, FUN_LE, whole(x, 0), to), moved);
}

/* What state i gets from the inputs of each chunk. */
static Part gain(Conv *x, uint32_t i, Part *moved)
{
    const Convolution *c = x->c;
    Part sum = none(), back = part_map(x->b, FUN_SUB, whole(x, x->places - 1), places_at(x, FROM));
    for (uint32_t g = 0; g < c->source.n; g++) {
        Part weight = none();
        for (uint32_t j = 0; c->source.p[g].group == g && j < c->n; j++)
            weight = plus(x, weight, times(x, picked(x, x->power[i * c->n + j], back), sum_of(x, &c->source, 0, j, g)));
        if (weight.v != REC_NONE)
            sum = plus(x, sum, part_contract(x->b, weight, moved[g], BIT(FROM)));
    }
    return part_expand(x->b, sum.v == REC_NONE ? part_number(x->b, DT_REAL, 0) : sum, BIT(CHUNK), x->dim);
}

static Part lasting(Conv *x, uint32_t i)
{
    Part p = picked(x, x->power[i], x->have);
    if (x->cuts.v != REC_NONE)
        p = zero_unless(x, part_map(x->b, FUN_EQ, x->cuts, whole(x, 0)), p);
    return part_expand(x->b, p, BIT(CHUNK), x->dim);
}

static Part without_chunk(Part p, RecId v)
{
    memmove(p.label, p.label + 1, sizeof p.label - 1);
    p.v = v;
    return p;
}

static void carry(Conv *x)
{
    uint32_t n = x->c->n, count = n * n + n, all = axes((1u << x->c->type.rank) - 1);
    RecProg *p = x->w->p;
    Part *seq = NEWN(p->arena, Part, count), *moved = NEWN(p->arena, Part, x->c->source.n + 1);
    RecId *value = NEWN(p->arena, RecId, count), *next = NEWN(p->arena, RecId, n);
    for (uint32_t g = 0; g < x->c->source.n; g++)
        if (x->c->source.p[g].group == g)
            moved[g] = at_the_end(x, x->input[g]);
    for (uint32_t i = 0; i < count; i++) {
        seq[i] = i < n * n ? lasting(x, i) : gain(x, i - n * n, moved);
        value[i] = seq[i].v;
    }
    RecRegion step;
    RecId recur = rec_recur_open(x->b, x->state, n, value, count, x->n, false, &step);
    RecBuild in = {p, step, x->b->at, {0}};
    const RecId *arg = p->region.p[step].arg.p;
    for (uint32_t i = 0; i < n; i++) {
        Part sum = without_chunk(seq[n * n + i], arg[n + n * n + i]);
        for (uint32_t l = 0; l < n; l++)
            sum = part_map(&in, FUN_ADD, sum,
                           part_map(&in, FUN_MUL, without_chunk(seq[i * n + l], arg[n + i * n + l]), part_of(arg[l], all)));
        next[i] = part_expand(&in, sum, all, x->dim).v;
    }
    rec_recur_close(p, recur, next, n);
    x->begin = NEWN(p->arena, Part, n);
    for (uint32_t i = 0; i < n; i++) {
        x->begin[i] = part_of(rec_recur_export(p, recur, p->region.p[step].arg.p[i]), all | BIT(CHUNK));
        x->state[i] = rec_proj(x->b, recur, i);
    }
}

/* ---- what is read ---- */

/* r A^t: what is read at place t of state j at the begin. */
static Part query(Conv *x, const ConvRead *r, uint32_t j)
{
    Part sum = none();
    for (uint32_t i = 0; i < x->c->n; i++)
        sum = plus(x, sum, times(x, sum_of(x, &r->of_state, i, 0, 0), x->power[i * x->c->n + j]));
    if (sum.v == REC_NONE)
        return sum;
    sum.v = rec_slice(x->b, sum.v, 0, DIM_ZERO, x->size);
    return part_expand(x->b, sum, axes(x->c->sum), x->dim);
}

static Part toeplitz(Conv *x, Part kernel)
{
    Part t = places_at(x, AT), s = places_at(x, FROM), back = part_map(x->b, FUN_SUB, part_map(x->b, FUN_SUB, t, s), whole(x, 1));
    Part m = picked(x, kernel, part_map(x->b, FUN_MAX, back, whole(x, 0)));
    return zero_unless(x, part_map(x->b, FUN_LE, whole(x, 0), back), m);
}

static Part from_inputs(Conv *x, const Part *queries)
{
    const Convolution *c = x->c;
    Part sum = none();
    for (uint32_t g = 0; g < c->source.n; g++) {
        Part kernel = none();
        for (uint32_t j = 0; c->source.p[g].group == g && j < c->n; j++) {
            Part by = sum_of(x, &c->source, 0, j, g);
            if (by.v != REC_NONE && queries[j].v != REC_NONE)
                kernel = plus(x, kernel, part_contract(x->b, queries[j], by, axes(c->sum)));
        }
        if (kernel.v == REC_NONE)
            continue;
        Part u = x->input[g];
        if (x->counts.v != REC_NONE)
            u = zero_unless(x, part_map(x->b, FUN_EQ, x->counts, part_relabel(x->b, x->counts, AT, FROM)), u);
        sum = plus(x, sum, part_contract(x->b, toeplitz(x, kernel), u, BIT(FROM)));
    }
    return sum;
}

static Part from_begin(Conv *x, const Part *queries)
{
    Part sum = none();
    for (uint32_t j = 0; j < x->c->n; j++)
        if (queries[j].v != REC_NONE)
            sum = plus(x, sum, part_contract(x->b, queries[j], x->begin[j], axes(x->c->sum)));
    if (sum.v != REC_NONE && x->counts.v != REC_NONE)
        sum = zero_unless(x, part_map(x->b, FUN_EQ, x->counts, whole(x, 0)), sum);
    return sum;
}

/* The state's axes as those of the result, and the factors that differ from place to place. */
static Part finished(Conv *x, const ConvTerm *t, Part p)
{
    Part r = from_chunks(x, p);
    for (uint8_t i = 1; i < rec_type(x->b->prog, r.v)->rank; i++)
        r.label[i] = (uint8_t)(LABEL_AXIS + t->term.axis[r.label[i] - AXES]);
    if (t->moving)
        r = part_map(x->b, FUN_MUL, r, product(x, &t->term, t->moving));
    return t->conditions ? zero_unless(x, condition(x, &t->term, t->conditions), r) : r;
}

static RecId read_out(Conv *x, const ConvRead *r)
{
    Part sum = none();
    const Type *t = rec_type(&x->w->old, r->v);
    Dim size[LABEL_COUNT] = {[LABEL_PLACE] = x->length};
    if (r->of_state.n) {
        Part *queries = NEWN(x->w->p->arena, Part, x->c->n);
        for (uint32_t j = 0; j < x->c->n; j++)
            queries[j] = query(x, r, j);
        sum = finished(x, &r->of_state.p[0], plus(x, from_inputs(x, queries), from_begin(x, queries)));
    }
    for (uint32_t k = 0; k < r->local.n; k++) {
        Part p = chunk_product(&x->all, &r->local.p[k], EVERY_FACTOR, 0);
        sum = plus(x, sum, r->local.p[k].sign < 0 ? part_map1(x->b, FUN_NEG, p) : p);
    }
    for (uint8_t k = 0; k < t->rank; k++)
        size[LABEL_AXIS + k] = t->dim[k];
    return part_expand(x->b, sum, BIT(LABEL_PLACE) | ((1u << t->rank) - 1) << LABEL_AXIS, size).v;
}

/* ---- the pass ---- */

static void set_sizes(Conv *x, uint32_t places)
{
    DimTab *t = x->w->p->dims;
    x->places = places;
    x->size = dim_const(t, places);
    x->n = cut_count(x->w->p, dim_add(t, x->length, dim_const(t, places - 1)), places);
    x->padded = dim_mul(t, x->n, x->size);
    x->dim[CHUNK] = x->n;
    x->dim[AT] = x->dim[FROM] = x->size;
    for (uint8_t i = 0; i < x->c->type.rank; i++)
        x->dim[AXES + i] = x->c->type.dim[i];
}

static void convolve(Rewrite *w, RecBuild *b, RecId old)
{
    const RecOp *op = rec_op(&w->old, old);
    const RecRegionInfo *body = &w->old.region.p[op->region];
    Structure s = structure_of(&w->old, w->p->arena, old);
    RecWhy why;
    RecId at;
    Convolution *c = s.loops ? NULL : convolution_of(&w->old, w->p->arena, &s, &why, &at);
    if (!c || structure_lacks(&w->old, &s, &w->old.form, &at) != WHY_NONE) {
        rw_recur(w, b, old);
        return;
    }
    Conv x = {.w = w, .b = b, .c = c, .length = op->length, .state = rw_operands(w, old)};
    x.all = chunk_begin(w, b, &s, op->length, NULL, pass_ids(w->p->arena, w->old.op.n));
    set_sizes(&x, w->old.form.size);
    make_powers(&x);
    make_places(&x);
    make_inputs(&x);
    carry(&x);
    RecId *result = w->result[old] = NEWN(w->p->arena, RecId, body->result.n + 1);
    memcpy(result, x.state, op->nstate * sizeof *result);
    for (uint32_t i = op->nstate, k = 0; i < body->result.n; i++) {
        bool reads = k < c->read.n && c->read.p[k].v == body->result.p[i];
        result[i] = reads ? read_out(&x, &c->read.p[k++]) : lift_placed(&x.all.lift, body->result.p[i]);
    }
    w->to[old] = result[0];
}

void rec_convolution(RecProg *p)
{
    if (p->form.kind != REC_FORM_CONVOLUTION || p->form_missing != WHY_NONE)
        return;
    Rewrite w = {.recur = convolve};
    rw_run(&w, p);
}
