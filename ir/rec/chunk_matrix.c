/* A matrix stage, S' = d*S + c a (b.S) + k v, for all places of a chunk at once (the WY or UT form of products of
 * Householder-like factors; Bischof & Van Loan 1987; for linear attention Yang et al. 2024). With S0 as the chunk finds
 * it and everything between two places times the decays between them:
 *
 *   u_t = b_t.S_{t-1} = (decays * b_t).S0 + sum over s < t of (b_t.a_s) c_s u_s + (b_t.k_s) v_s
 *   q_t.S_{t-1}       = (decays * q_t).S0 + sum over s < t of (q_t.a_s) c_s u_s + (q_t.k_s) v_s
 *   S                 = decays * S0 + sum over s of (decays * a_s) c_s u_s + (decays * k_s) v_s
 *
 * Terms with one vector a or k are one product, of the sum of their c u and v, their row. All of it is matrix products but a
 * triangular solve, for these rows if each u is part of another one, else for u. Where q is b, what b meets is made once.
 *
 * Conditions of a rank-one term (the place is within its sequence; the next one does not begin anew) are taken after the products,
 * row by row: b itself need not make sense where they do not hold, and garbage there must not reach other rows. The derivative is
 * that of these equations. */
#include "ir/rec/chunk.h"

typedef struct Stage {
    Chunk *c;
    const Matrix *m;
    Decays *decays;
    Part *entering;     /* by state */
    uint32_t nwriter;   /* different vectors that are written with */
    uint32_t *writer;   /* by rank-one term, then by source term: its vector */
    Standing *standing; /* by vector */
    uint32_t *sum;      /* likewise: what its row is summed over, as axes */
    Part *given, *row;  /* likewise: the sum of its v; that and its c u. v REC_NONE for none */
    Part *low, *scale;  /* by rank-one term: b, c */
    bool own_rows;      /* each rank-one term has a row of its own */
    Part **query;       /* by read-out, by term */
    Dim size[LABEL_COUNT];
} Stage;

static uint32_t axes(uint32_t bits)
{
    return bits << LABEL_AXIS;
}

static uint32_t label_k(const Stage *s)
{
    return axes(1u << s->m->k);
}

/* A product over a term's axes as one over the state's; `k` is the term's axis that the state's axis k is here. */
static Part as_state(const Stage *s, const Term *t, Part x, uint8_t k)
{
    uint8_t from[LABEL_COUNT];
    const RecBuild *b = s->c->b;
    for (uint8_t l = 0; l < LABEL_COUNT; l++)
        from[l] = l;
    for (uint8_t i = 0; i < s->m->type.rank; i++)
        from[LABEL_AXIS + (i == s->m->k ? k : t->state == REC_NONE ? i : t->axis[i])] = (uint8_t)(LABEL_AXIS + i);
    for (uint8_t i = 0; i < rec_type(b->prog, x.v)->rank; i++)
        x.label[i] = from[x.label[i]];
    return x;
}

static Part placed(Stage *s, Part x, uint32_t labels)
{
    return part_expand(s->c->b, x, labels | 1u << LABEL_PLACE, s->size);
}

static Part signed_part(Stage *s, const Term *t, Part x)
{
    return t->sign < 0 ? part_map1(s->c->b, FUN_NEG, x) : x;
}

/* Both sides have the axes that are summed last. */
static Part placed_with_sum(Stage *s, const Split *x, Part p, uint32_t labels)
{
    for (uint8_t i = x->term.rank; i < x->term.nit; i++)
        if (x->sum >> i & 1)
            s->size[LABEL_AXIS + i] = x->term.space[i];
    return placed(s, p, labels | axes(x->sum));
}

/* The factors of one side that meets k. */
static Part vector(Stage *s, const Split *x, uint32_t select, uint8_t k)
{
    Part p = as_state(s, &x->term, chunk_product(s->c, &x->term, select, 1u << k | x->sum), k);
    return placed_with_sum(s, x, p, label_k(s));
}

/* The sum of some decays; v REC_NONE for none. */
static Part decay(Stage *s, const Terms *of)
{
    Part sum = {.v = REC_NONE};
    for (uint32_t i = 0; i < of->n; i++) {
        Part x = signed_part(s, &of->p[i], chunk_product(s->c, &of->p[i], EVERY_FACTOR, 0));
        sum = sum.v == REC_NONE ? x : part_map(s->c->b, FUN_ADD, sum, x);
    }
    return sum.v == REC_NONE ? sum : placed(s, sum, 0);
}

static Part plus(Stage *s, Part x, Part y)
{
    return x.v == REC_NONE ? y : part_map(s->c->b, FUN_ADD, x, y);
}

/* Conditions that name axes of neither side, as bits. */
static uint32_t conditions(const Split *x)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < x->term.factor.n; i++)
        bits |= (uint32_t)((x->first & x->second) >> i & 1 && matrix_is_condition(&x->term.factor.p[i])) << i;
    return bits;
}

/* p, and zero where the conditions do not hold, whatever p is there. */
static Part under_conditions(Stage *s, const Split *x, Part p)
{
    RecBuild *b = s->c->b;
    Part zero = part_number(b, DT_REAL, 0);
    uint32_t these = conditions(x);
    for (uint32_t i = 0; i < x->term.factor.n; i++) {
        const Factor *f = &x->term.factor.p[i];
        if (!(these >> i & 1))
            continue;
        Part c = as_state(s, &x->term, chunk_factor(s->c, f), s->m->k);
        p = f->kind == FACTOR_IF ? part_where(b, c, p, zero) : part_where(b, c, zero, p);
    }
    return p;
}

/* The factors of the columns' side, and of neither. */
static Part across(Stage *s, const Split *x)
{
    Part p = as_state(s, &x->term, chunk_product(s->c, &x->term, x->second | x->scale, x->sum), s->m->k);
    return placed_with_sum(s, x, p, 0);
}

/* What multiplies a rank-one term, zero where its conditions do not hold. */
static Part scale(Stage *s, const Split *x)
{
    Part c = as_state(s, &x->term, chunk_product(s->c, &x->term, x->scale, 0), s->m->k);
    return signed_part(s, &x->term, placed(s, under_conditions(s, x, c), 0));
}

static void make_low(Stage *s, uint32_t i)
{
    const Split *x = &s->m->low.p[i];
    s->low[i] = vector(s, x, x->first & ~conditions(x), x->term.axis[s->m->k]);
    s->scale[i] = scale(s, x);
}

/* What term i writes with: a vector of its own, or an earlier term's. */
static void make_writer(Stage *s, uint32_t i)
{
    const Matrix *m = s->m;
    bool low = i < m->low.n;
    const Split *x = low ? &m->low.p[i] : &m->source.p[i - m->low.n];
    if (m->writes[i] == i) {
        s->standing[s->nwriter] = (Standing){vector(s, x, low ? x->second : x->first, m->k), x->to};
        s->sum[s->nwriter] = low ? 0 : axes(x->sum);
        s->given[s->nwriter].v = REC_NONE;
        s->writer[i] = s->nwriter++;
    } else {
        s->writer[i] = s->writer[m->writes[i]];
    }
    if (!low)
        s->given[s->writer[i]] = plus(s, s->given[s->writer[i]], signed_part(s, &x->term, across(s, x)));
}

static void make_vectors(Stage *s)
{
    Arena *a = s->c->w->p->arena;
    uint32_t nlow = s->m->low.n, n = nlow + s->m->source.n;
    s->standing = NEWN(a, Standing, n + 1);
    s->writer = NEWN(a, uint32_t, n + 1);
    s->sum = NEWN(a, uint32_t, n + 1);
    s->given = NEWN(a, Part, n + 1);
    s->row = NEWN(a, Part, n + 1);
    s->low = NEWN(a, Part, nlow + 1);
    s->scale = NEWN(a, Part, nlow + 1);
    for (uint32_t i = 0; i < nlow; i++)
        make_low(s, i);
    for (uint32_t i = 0; i < n; i++)
        make_writer(s, i);
}

static void make_queries(Stage *s)
{
    Arena *a = s->c->w->p->arena;
    s->query = NEWN(a, Part *, s->m->readout.n + 1);
    for (uint32_t i = 0; i < s->m->readout.n; i++) {
        const Splits *of = &s->m->readout.p[i].of_state;
        s->query[i] = NEWN(a, Part, of->n + 1);
        for (uint32_t k = 0; k < of->n; k++)
            s->query[i][k] = vector(s, &of->p[k], of->p[k].first, of->p[k].term.axis[s->m->k]);
    }
}

typedef VEC(Part) Parts;

/* All that meets the state and what stands at other places. */
static Parts list_readers(const Stage *s)
{
    Parts all = {0};
    for (uint32_t i = 0; i < s->m->low.n; i++)
        vec_push(s->c->w->p->arena, &all, s->low[i]);
    for (uint32_t i = 0; i < s->m->readout.n; i++)
        for (uint32_t k = 0; k < s->m->readout.p[i].of_state.n; k++)
            vec_push(s->c->w->p->arena, &all, s->query[i][k]);
    return all;
}

/* `x` summed with what stands at the other places, of `sum` too. */
static Part over_others(Stage *s, Part pairs, Part x, uint32_t sum)
{
    Part other = part_relabel(s->c->b, x, LABEL_PLACE, LABEL_OTHER);
    return part_contract(s->c->b, pairs, other, 1u << LABEL_OTHER | axes(sum));
}

/* What x meets in the state `from` that place t finds, with these rows (v REC_NONE for none): [t, batch, cols]. */
static Part meets(Stage *s, Part x, uint32_t from, const Part *row)
{
    Part sum = {.v = REC_NONE};
    for (uint32_t i = 0; i < s->m->n; i++)
        sum = plus(s, sum, decays_entering(s->decays, x, from, i, s->entering[i]));
    for (uint32_t g = 0; g < s->nwriter; g++)
        if (row[g].v != REC_NONE)
            sum = plus(s, sum, over_others(s, decays_pairs(s->decays, x, from, g), row[g], s->sum[g]));
    return sum;
}

/* ---- the triangular solve ---- */

/* Products of matrices whose rows are at `row`, and columns at LABEL_OTHER. */
static Part times(Stage *s, Part x, Part y, uint8_t row)
{
    Part left = part_relabel(s->c->b, x, LABEL_OTHER, LABEL_BETWEEN), right = part_relabel(s->c->b, y, row, LABEL_BETWEEN);
    return part_contract(s->c->b, left, right, 1u << LABEL_BETWEEN);
}

/* Whether a row and a column of n are in one block of `size`. */
static Part share_block(RecBuild *b, int64_t n, int64_t size, uint8_t row)
{
    RecId places = rec_iota(b, dim_const(b->prog->dims, n));
    Part block = part_map(b, FUN_IDIV, part_of(places, 1u << row), part_number(b, DT_INT, (double)size));
    return part_map(b, FUN_EQ, block, part_relabel(b, block, row, LABEL_OTHER));
}

/* The inverse of 1 - L, L being of n rows and zero unless s comes before t. With the inverses X of its diagonal blocks
 * of some size, those of twice the size are X + X L' X, where L' is what of L lies in the larger blocks and not in the smaller ones.
 * Blocks of one row have the inverse 1. As stable as solving row by row (Higham 2002, Accuracy and stability, 14.2). */
static Part inverse_small(Stage *s, Part l, int64_t n, uint8_t row)
{
    RecBuild *b = s->c->b;
    Part zero = part_number(b, DT_REAL, 0), inside = share_block(b, n, 1, row), x = {.v = REC_NONE};
    for (int64_t size = 1; size < n || x.v == REC_NONE; size *= 2) {
        Part larger = share_block(b, n, 2 * size, row);
        Part new = part_where(b, inside, zero, part_where(b, larger, l, zero));
        Part unit = part_where(b, inside, part_number(b, DT_REAL, 1), zero);
        x = x.v == REC_NONE ? part_map(b, FUN_ADD, new, unit) : part_map(b, FUN_ADD, x, times(s, times(s, x, new, row), x, row));
        inside = larger;
    }
    return x;
}

/* Several parts of equal shape as one with a new axis at `along`. */
static RecId stack(Stage *s, const Part *x, uint32_t n, uint8_t along)
{
    RecId *part = NEWN(s->c->w->p->arena, RecId, n);
    for (uint32_t i = 0; i < n; i++) {
        Type t = *rec_type(s->c->b->prog, x[i].v);
        for (uint8_t k = t.rank++; k > along; k--)
            t.dim[k] = t.dim[k - 1];
        t.dim[along] = DIM_ONE;
        part[i] = rec_reshape(s->c->b, x[i].v, t.rank, t.dim);
    }
    return rec_concat(s->c->b, part, n, along);
}

/* Of the first axis, which is made of `m` times `n`, the i-th of each n. */
static RecId of_each(RecBuild *b, RecId v, Dim m, int64_t n, int64_t i)
{
    DimTab *d = b->prog->dims;
    Type t = *rec_type(b->prog, v);
    Dim split[MAXRANK] = {m, dim_const(d, n)}, own[MAXRANK] = {m};
    memcpy(split + 2, t.dim + 1, (t.rank - 1u) * sizeof(Dim));
    memcpy(own + 1, t.dim + 1, (t.rank - 1u) * sizeof(Dim));
    RecId one = rec_slice(b, rec_reshape(b, v, (uint8_t)(t.rank + 1), split), 1, dim_const(d, i), DIM_ONE);
    return rec_reshape(b, one, t.rank, own);
}

/* Of L, [t, batch, s], the blocks of `size` rows that begin at row (first + i * step) * size and column i * step * size: the batch,
 * then rows at `row`, behind an axis of blocks. */
static Part blocks(Stage *s, Part l, int64_t size, int64_t n, int64_t first, int64_t step, uint8_t row)
{
    RecBuild *b = s->c->b;
    DimTab *d = b->prog->dims;
    Part *block = NEWN(b->prog->arena, Part, n);
    Dim whole = dim_const(d, size);
    uint8_t last = (uint8_t)(rec_type(b->prog, l.v)->rank - 1);
    uint32_t labels = (part_labels(b, l) & ~(1u << LABEL_PLACE)) | 1u << row;
    s->size[row] = s->size[LABEL_OTHER] = whole;
    for (int64_t i = 0; i < n; i++) {
        Part x = l;
        x.v = rec_slice(b, rec_slice(b, l.v, 0, dim_const(d, (first + i * step) * size), whole), last, dim_const(d, i * step * size), whole);
        block[i] = part_expand(b, part_relabel(b, x, LABEL_PLACE, row), labels, s->size);
    }
    return part_of(stack(s, block, (uint32_t)n, 0), labels | 1u << LABEL_PLACE);
}

/* The inverses of blocks twice as large as those that x inverts: ((X1, 0), (X2 L21 X1, X2)). */
static Part joined(Stage *s, Part l, Part x, int64_t size, int64_t n, uint8_t row)
{
    RecBuild *b = s->c->b;
    uint32_t labels = part_labels(b, x);
    Dim pairs = dim_const(b->prog->dims, n);
    Part x1 = part_of(of_each(b, x.v, pairs, 2, 0), labels), x2 = part_of(of_each(b, x.v, pairs, 2, 1), labels);
    Part below = times(s, times(s, x2, blocks(s, l, size, n, 1, 2, row), row), x1, row);
    Type t = *rec_type(b->prog, x1.v);
    RecId top[2] = {x1.v, rec_zeros(b, &t)}, bottom[2] = {below.v, x2.v};
    RecId half[2] = {rec_concat(b, top, 2, (uint8_t)(t.rank - 1)), rec_concat(b, bottom, 2, (uint8_t)(t.rank - 1))};
    return part_of(rec_concat(b, half, 2, (uint8_t)(t.rank - 2)), labels);
}

enum { SMALL = 16 }; /* rows, whose inverse is made by products of all of them */

/* The inverse of 1 - L, L being [t, batch, s] of n rows and zero unless s comes before t: of small blocks, all at once, then of blocks
 * that double. */
static Part inverse(Stage *s, Part l, Dim n)
{
    RecBuild *b = s->c->b;
    int64_t rows, size;
    if (!dim_is_const(b->prog->dims, n, &rows))
        ice("rec.chunk: the number of places is not known");
    for (size = rows; size > SMALL && size % 2 == 0; size /= 2)
        ;
    if (size == rows)
        return inverse_small(s, l, rows, LABEL_PLACE);
    uint8_t row = (uint8_t)(LABEL_AXIS + s->m->k); /* no axis of L */
    Dim k = s->size[row], other = s->size[LABEL_OTHER];
    Part x = inverse_small(s, blocks(s, l, size, rows / size, 0, 1, row), size, row);
    for (; size < rows; size *= 2)
        x = joined(s, l, x, size, rows / size / 2, row);
    s->size[row] = k;
    s->size[LABEL_OTHER] = other;
    Type t = *rec_type(b->prog, x.v);
    Part all = part_of(rec_reshape(b, x.v, (uint8_t)(t.rank - 1), t.dim + 1), part_labels(b, x) & ~(1u << LABEL_PLACE));
    return part_relabel(b, all, row, LABEL_PLACE);
}

/* Axis `along` and the one behind it as one. */
static RecId merge_axes(Stage *s, RecId v, uint8_t along)
{
    Type t = *rec_type(s->c->b->prog, v);
    t.dim[along] = dim_mul(s->c->b->prog->dims, t.dim[along], t.dim[along + 1]);
    t.rank--;
    for (uint8_t k = (uint8_t)(along + 1); k < t.rank; k++)
        t.dim[k] = t.dim[k + 1];
    return rec_reshape(s->c->b, v, t.rank, t.dim);
}

/* For several rank-one terms the rows are (place, term). All parts have LABEL_PLACE first. */
static Part stack_rows(Stage *s, const Part *x, uint32_t n)
{
    return (Part){.v = merge_axes(s, stack(s, x, n, 1), 0), .label = {0}};
}

/* What the row of term j at the other places gives to that of term i, or to what i reads if j's row is not its own. */
static Part lower(Stage *s, uint32_t i, uint32_t j)
{
    const Split *x = &s->m->low.p[i];
    Part pairs = under_conditions(s, x, decays_pairs(s->decays, s->low[i], x->from, s->writer[j]));
    Part by = s->own_rows ? s->scale[i] : part_relabel(s->c->b, s->scale[j], LABEL_PLACE, LABEL_OTHER);
    return part_map(s->c->b, FUN_MUL, pairs, by);
}

static Part stack_lower(Stage *s, uint32_t n)
{
    RecBuild *b = s->c->b;
    Part *row = NEWN(b->prog->arena, Part, n), *block = NEWN(b->prog->arena, Part, n);
    uint32_t labels = 0;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++) {
            block[j] = lower(s, i, j);
            labels |= part_labels(b, block[j]);
        }
        for (uint32_t j = 0; j < n; j++)
            block[j] = part_expand(b, block[j], labels, s->size);
        uint8_t rank = rec_type(b->prog, block[0].v)->rank;
        row[i] = block[0];
        row[i].v = merge_axes(s, stack(s, block, n, rank), (uint8_t)(rank - 1));
    }
    return part_of(stack_rows(s, row, n).v, labels);
}

static void unstack_rows(Stage *s, Part all, uint32_t n, Part *out)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = part_of(of_each(s->c->b, all.v, s->c->size, n, i), part_labels(s->c->b, all));
}

/* y = (1 - L)^-1 r. The derivative is that of y = r + L y, (1 - L)^-1 (dr + dL y), and not that of how the inverse is made. */
static Part solve_for(Stage *s, Part l, Part inverse, Part right)
{
    RecBuild *b = s->c->b;
    Part fixed = part_map1(b, FUN_STOP, inverse), y = over_others(s, fixed, right, 0);
    Part again = part_map(b, FUN_ADD, right, over_others(s, l, part_map1(b, FUN_STOP, y), 0));
    return part_chosen(b, y, over_others(s, fixed, again, 0));
}

/* (1 - L)^-1 times these, by rank-one term. */
static void solve(Stage *s, Part *right, Part *out)
{
    uint32_t n = s->m->low.n, labels = 0;
    for (uint32_t i = 0; i < n; i++)
        labels |= part_labels(s->c->b, right[i]);
    for (uint32_t i = 0; i < n; i++)
        right[i] = part_expand(s->c->b, right[i], labels, s->size);
    if (n == 1) {
        Part l = lower(s, 0, 0);
        out[0] = solve_for(s, l, inverse(s, l, s->c->size), right[0]);
        return;
    }
    Part rows = part_of(stack_rows(s, right, n).v, labels);
    Dim many = dim_mul(s->c->b->prog->dims, s->c->size, dim_const(s->c->b->prog->dims, n));
    Part l = stack_lower(s, n);
    unstack_rows(s, solve_for(s, l, inverse(s, l, many), rows), n, out);
}

/* No two rank-one terms write with one vector. */
static bool own_rows(const Stage *s)
{
    for (uint32_t i = 0; i < s->m->low.n; i++)
        for (uint32_t j = 0; j < i; j++)
            if (s->writer[i] == s->writer[j])
                return false;
    return true;
}

/* Then their rows are solved for: row_t = given_t + c_t b_t.S_{t-1}, which other rows are part of. */
static void solve_rows(Stage *s)
{
    uint32_t n = s->m->low.n;
    Arena *a = s->c->w->p->arena;
    Part *right = NEWN(a, Part, n + 1), *out = NEWN(a, Part, n + 1), *others = NEWN(a, Part, s->nwriter + 1);
    memcpy(others, s->given, s->nwriter * sizeof *others);
    for (uint32_t i = 0; i < n; i++)
        others[s->writer[i]].v = REC_NONE;
    for (uint32_t i = 0; i < n; i++) {
        const Split *x = &s->m->low.p[i];
        Part read = under_conditions(s, x, meets(s, s->low[i], x->from, others));
        right[i] = part_map(s->c->b, FUN_MUL, s->scale[i], read);
        if (s->given[s->writer[i]].v != REC_NONE)
            right[i] = part_map(s->c->b, FUN_ADD, s->given[s->writer[i]], right[i]);
    }
    solve(s, right, out);
    for (uint32_t i = 0; i < n; i++)
        s->row[s->writer[i]] = out[i];
}

/* Else what they read. */
static void solve_reads(Stage *s)
{
    uint32_t n = s->m->low.n;
    Arena *a = s->c->w->p->arena;
    Part *right = NEWN(a, Part, n + 1), *read = NEWN(a, Part, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        const Split *x = &s->m->low.p[i];
        right[i] = under_conditions(s, x, meets(s, s->low[i], x->from, s->given));
    }
    solve(s, right, read);
    for (uint32_t i = 0; i < n; i++) {
        Part *row = &s->row[s->writer[i]];
        *row = plus(s, *row, part_map(s->c->b, FUN_MUL, s->scale[i], read[i]));
    }
}

static void make_rows(Stage *s)
{
    s->own_rows = own_rows(s);
    memcpy(s->row, s->given, s->nwriter * sizeof *s->row);
    if (s->m->low.n)
        (s->own_rows ? solve_rows : solve_reads)(s);
}

/* ---- results ---- */

/* Labels of the state's axes as those of the axes of the read-out. */
static Part as_readout(const Stage *s, const Term *t, Part x)
{
    uint8_t rank = rec_type(s->c->b->prog, x.v)->rank;
    for (uint8_t i = 0; i < rank; i++)
        if (x.label[i] >= LABEL_AXIS && x.label[i] < LABEL_AXIS + s->m->type.rank)
            x.label[i] = (uint8_t)(LABEL_AXIS + t->axis[x.label[i] - LABEL_AXIS]);
    return x;
}

static void read_out(Stage *s, uint32_t i)
{
    const Readout *r = &s->m->readout.p[i];
    Part sum = {.v = REC_NONE};
    const Type *t = rec_type(&s->c->w->old, r->v);
    for (uint32_t k = 0; k < r->of_state.n; k++) {
        const Split *x = &r->of_state.p[k];
        Part read = meets(s, s->query[i][k], x->from, s->row);
        Part after = chunk_product(s->c, &x->term, x->second | x->scale, 0);
        read = as_readout(s, &x->term, read);
        sum = plus(s, sum, signed_part(s, &x->term, part_map(s->c->b, FUN_MUL, read, after)));
    }
    for (uint32_t k = 0; k < r->local.n; k++)
        sum = plus(s, sum, signed_part(s, &r->local.p[k], chunk_product(s->c, &r->local.p[k], EVERY_FACTOR, 0)));
    Dim size[LABEL_COUNT] = {[LABEL_PLACE] = s->c->size};
    for (uint8_t k = 0; k < t->rank; k++)
        size[LABEL_AXIS + k] = t->dim[k];
    Part all = part_expand(s->c->b, sum, 1u << LABEL_PLACE | axes((1u << t->rank) - 1), size);
    s->c->lift.made[r->v] = (Lifted){all.v, true};
}

static void leave(Stage *s, uint32_t state)
{
    const Matrix *m = s->m;
    Part sum = {.v = REC_NONE};
    for (uint32_t i = 0; i < m->n; i++)
        sum = plus(s, sum, part_map(s->c->b, FUN_MUL, decays_whole(s->decays, state, i), s->entering[i]));
    for (uint32_t g = 0; g < s->nwriter; g++)
        sum = plus(s, sum, part_contract(s->c->b, decays_to_end(s->decays, g, state), s->row[g], 1u << LABEL_PLACE | s->sum[g]));
    s->c->leaving[m->state[state]] = part_expand(s->c->b, sum, axes((1u << m->type.rank) - 1), s->size).v;
}

static void set_sizes(Stage *s)
{
    s->size[LABEL_PLACE] = s->size[LABEL_OTHER] = s->c->size;
    for (uint8_t i = 0; i < s->m->type.rank; i++)
        s->size[LABEL_AXIS + i] = s->m->type.dim[i];
}

void chunk_matrix(Chunk *c, const Matrix *m)
{
    Arena *a = c->w->p->arena;
    Stage s = {.c = c, .m = m, .entering = NEWN(a, Part, m->n)};
    Part *decays = NEWN(a, Part, m->n * m->n);
    set_sizes(&s);
    for (uint32_t i = 0; i < m->n; i++)
        s.entering[i] = part_of(c->entering[m->state[i]], axes((1u << m->type.rank) - 1));
    make_vectors(&s);
    make_queries(&s);
    for (uint32_t i = 0; i < m->n * m->n; i++)
        decays[i] = decay(&s, &m->decay[i]);
    Parts readers = list_readers(&s);
    s.decays = decays_new(c, m, decays, s.standing, s.nwriter, readers.p, readers.n);
    make_rows(&s);
    for (uint32_t i = 0; i < m->readout.n; i++)
        read_out(&s, i);
    for (uint32_t i = 0; i < m->n; i++)
        leave(&s, i);
}
