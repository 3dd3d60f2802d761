/* Whether the new values of a stage are multiples of one sum: see rank_one.h. Terms are compared as products of
 * factors, each taken apart as far as it is a product: what all terms of a value share goes out, and what is left must
 * be the same for all values.
 *
 * Making states where they are read takes the sequences that they are made of, moved; so it pays where a state is large
 * beside these, as a matrix is beside the vectors that are written to it.
 *
 * Row by row is what is taken where nobody asks, so there the sum must be as safe as the equations are: it is taken where
 * it adds up old states and nothing else, for then it is no larger than they are together. */
#include "ir/rec/rank_one.h"

#include <float.h>
#include <math.h>

/* Measured for pLSTM's P-mode with one thread: with 16 x 16 numbers in a state, 3 for each that is moved, the sum was
 * slower; with 64 x 64, 15 for each, training was 1.2 to 1.4 times as fast in waves and scans, and forward the same; row
 * by row training was 1.4 times as fast, and forward alone took a tenth longer. Training decides. */
static const double least_state = 8, open_size = 64;

typedef struct Find {
    LinearCx cx;
    const RecOp *recur;
    const RecRegionInfo *step;
    const Stages *stages;
    uint32_t stage;
    Terms *term;    /* by row: those that are compared */
    Factor **share; /* by row: what its terms have in common */
    uint32_t *nshare;
    RankOne *out;
} Find;

/* ---- factors ---- */

/* Takes one like f out of the list. */
static bool take(const RecProg *p, Factor *list, uint32_t *n, const Factor *f)
{
    for (uint32_t i = 0; i < *n; i++)
        if (linear_same_factor(p, &list[i], f)) {
            list[i] = list[--*n];
            return true;
        }
    return false;
}

static Factor *copied(const Find *x, const Term *t, uint32_t *n)
{
    Factor *copy = NEWN(x->cx.arena, Factor, t->factor.n + 1);
    *n = t->factor.n;
    if (*n)
        memcpy(copy, t->factor.p, *n * sizeof *copy);
    return copy;
}

/* What is in both lists, in the order of the first. */
static uint32_t shared(const Find *x, Factor *list, uint32_t n, const Term *t)
{
    uint32_t left, kept = 0;
    Factor *other = copied(x, t, &left);
    for (uint32_t i = 0; i < n; i++)
        if (take(x->cx.p, other, &left, &list[i]))
            list[kept++] = list[i];
    return kept;
}

static Term without(const Find *x, const Term *t, const Factor *gone, uint32_t ngone)
{
    Term rest = *t;
    uint32_t n;
    Factor *left = copied(x, t, &n);
    for (uint32_t i = 0; i < ngone; i++)
        if (!take(x->cx.p, left, &n, &gone[i]))
            ice("rec.rank_one: a shared factor is not there");
    memset(&rest.factor, 0, sizeof rest.factor);
    for (uint32_t i = 0; i < n; i++)
        vec_push(x->cx.arena, &rest.factor, left[i]);
    return rest;
}

/* Numbers apart. */
static bool same_product(const Find *x, const Term *a, const Term *b)
{
    uint32_t n = a->factor.n;
    Factor *list = copied(x, a, &(uint32_t){0});
    return a->state == b->state && n == b->factor.n && shared(x, list, n, b) == n;
}

/* ---- terms ---- */

static bool in_place(const RecProg *p, const Term *t)
{
    return t->state == REC_NONE ? t->nit == t->rank : linear_in_place(p, t);
}

/* Products become their factors; a sum stays one factor. */
static Term taken_apart(const Find *x, Term t)
{
    for (uint32_t i = 0; i < t.factor.n;) {
        Terms parts = {0};
        if (linear_expand(&x->cx, &t, i, &parts) && parts.n == 1 && parts.p[0].nit == t.nit)
            t = parts.p[0];
        else
            i++;
    }
    return t;
}

/* Numbers that are multiplied and divided here stay what they are in every precision. */
static bool in_range(double number)
{
    return fabs(number) >= FLT_MIN && fabs(number) <= FLT_MAX;
}

/* Numbers leave the factors; false where one of them, or what they make, is out of range. */
static bool take_numbers(const Find *x, Term *term)
{
    Term t = *term;
    Factor *list = copied(x, &t, &(uint32_t){0});
    uint32_t n = t.factor.n;
    double number;
    memset(&t.factor, 0, sizeof t.factor);
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].kind > FACTOR_OVER || !pass_const(x->cx.p, list[i].use.v, &number)) {
            vec_push(x->cx.arena, &t.factor, list[i]);
            continue;
        }
        t.sign = list[i].kind == FACTOR_TIMES ? t.sign * number : t.sign / number;
        if (!in_range(number) || !in_range(t.sign))
            return false;
    }
    *term = t;
    return true;
}

/* The terms of each row's value: of states, or all of them; the others are its own. */
static bool find_terms(Find *x, bool all)
{
    for (uint32_t k = 0; k < x->out->nrow; k++) {
        Terms terms = {0};
        RecId why;
        if (!linear_terms(&x->cx, x->out->row[k].value, &terms, &why))
            return false;
        memset(&x->term[k], 0, sizeof x->term[k]);
        memset(&x->out->row[k].own, 0, sizeof x->out->row[k].own);
        for (uint32_t i = 0; i < terms.n; i++) {
            if (!in_place(x->cx.p, &terms.p[i]))
                return false;
            if (all || terms.p[i].state != REC_NONE) {
                Term t = taken_apart(x, terms.p[i]);
                if (!take_numbers(x, &t))
                    return false;
                vec_push(x->cx.arena, &x->term[k], t);
            } else
                vec_push(x->cx.arena, &x->out->row[k].own, terms.p[i]);
        }
        if (!x->term[k].n)
            return false;
    }
    return true;
}

/* ---- rows ---- */

static void find_shares(Find *x)
{
    for (uint32_t k = 0; k < x->out->nrow; k++) {
        const Terms *t = &x->term[k];
        x->share[k] = copied(x, &t->p[0], &x->nshare[k]);
        for (uint32_t i = 1; i < t->n; i++)
            x->nshare[k] = shared(x, x->share[k], x->nshare[k], &t->p[i]);
    }
}

static Term left_over(const Find *x, uint32_t k, uint32_t i)
{
    return without(x, &x->term[k].p[i], x->share[k], x->nshare[k]);
}

/* What stands before term i of row k in the sum, where term `first` of the row stands alone. */
static double number_in_sum(const Find *x, uint32_t k, uint32_t i, uint32_t first)
{
    return x->term[k].p[i].sign / x->term[k].p[first].sign;
}

/* The term of row k that is term i of row 0 but for the number of the row, UINT32_MAX if there is none. `first` is the
 * one that term 0 was. */
static uint32_t like(const Find *x, uint32_t k, uint32_t i, uint32_t first, const bool *used)
{
    Term want = left_over(x, 0, i);
    double number = number_in_sum(x, 0, i, 0);
    for (uint32_t j = 0; j < x->term[k].n; j++) {
        Term t = left_over(x, k, j);
        if (!used[j] && same_product(x, &want, &t) && number == number_in_sum(x, k, j, first == UINT32_MAX ? j : first))
            return j;
    }
    return UINT32_MAX;
}

static void differs(Find *x, uint32_t k, RecId state)
{
    x->out->is = RANK_ONE_DIFFERS;
    x->out->at = x->out->row[k].value;
    x->out->read = state;
}

/* A state that row k has a term of which row 0 has not. */
static RecId odd_one(const Find *x, uint32_t k, const bool *used)
{
    for (uint32_t j = 0; j < x->term[k].n; j++)
        if (!used[j])
            return x->term[k].p[j].state;
    return REC_NONE;
}

static bool is_multiple(Find *x, uint32_t k)
{
    bool *used = NEWN(x->cx.arena, bool, x->term[k].n + 1);
    uint32_t first = UINT32_MAX;
    for (uint32_t i = 0; i < x->term[0].n; i++) {
        uint32_t j = like(x, k, i, first, used);
        if (j == UINT32_MAX) {
            differs(x, k, x->term[0].p[i].state);
            return false;
        }
        first = i ? first : j;
        used[j] = true;
    }
    if (x->term[k].n > x->term[0].n) {
        differs(x, k, odd_one(x, k, used));
        return false;
    }
    Term *out = &x->out->row[k].out;
    *out = x->term[k].p[first];
    out->state = REC_NONE;
    memset(&out->factor, 0, sizeof out->factor);
    for (uint32_t i = 0; i < x->nshare[k]; i++)
        vec_push(x->cx.arena, &out->factor, x->share[k][i]);
    return true;
}

static bool sum_in_range(const Find *x)
{
    bool is = true;
    for (uint32_t i = 0; i < x->term[0].n; i++)
        is &= in_range(number_in_sum(x, 0, i, 0));
    return is;
}

static bool are_multiples(Find *x)
{
    find_shares(x);
    memset(&x->out->sum, 0, sizeof x->out->sum);
    x->out->is = RANK_ONE_NO_MATTER;
    if (!sum_in_range(x))
        return false;
    for (uint32_t k = 0; k < x->out->nrow; k++)
        if (!is_multiple(x, k))
            return false;
    for (uint32_t i = 0; i < x->term[0].n; i++) {
        Term t = left_over(x, 0, i);
        t.sign = number_in_sum(x, 0, i, 0);
        vec_push(x->cx.arena, &x->out->sum, t);
    }
    x->out->is = RANK_ONE_FOUND;
    return true;
}

/* ---- what can be made at another place ---- */

/* Whether something stands against it: a state of another stage, or a loop. Nothing does in what is `seen`. */
static bool is_bound(const Find *x, RecId v, bool *seen)
{
    const RecOp *op = rec_op(x->cx.p, v);
    if (seen[v] || !rec_inside(x->cx.p, v, x->recur->region) ||
        (op->kind == REC_REGARG && op->index >= x->recur->nstate))
        return false;
    bool found = op->kind == REC_REGARG || op->kind == REC_PROJ || op->kind == REC_RECUR;
    for (uint32_t i = 0; i < op->nuse && !found; i++)
        found = is_bound(x, op->use[i].v, seen);
    seen[v] = !found;
    return found;
}

static bool term_is_bound(const Find *x, const Term *t, bool *seen)
{
    bool found = false;
    for (uint32_t i = 0; i < t->factor.n && !found; i++)
        found = is_bound(x, t->factor.p[i].use.v, seen);
    return found;
}

static bool row_is_bound(const Find *x, const RankRow *row, bool *seen)
{
    bool found = term_is_bound(x, &row->out, seen);
    for (uint32_t i = 0; i < row->own.n && !found; i++)
        found = term_is_bound(x, &row->own.p[i], seen);
    return found;
}

static void look_at_rows(Find *x)
{
    bool *seen = NEWN(x->cx.arena, bool, x->cx.p->op.n + 1);
    for (uint32_t k = 0; k < x->out->nrow && x->out->is != RANK_ONE_BOUND; k++) {
        if (!row_is_bound(x, &x->out->row[k], seen))
            continue;
        x->out->is = RANK_ONE_BOUND;
        x->out->at = x->out->row[k].value;
    }
}

/* ---- whether it is worth a word ---- */

static bool is_read_at(const Find *x, RecId value, const RecOffset *by)
{
    for (uint32_t k = 0; k < x->recur->nstate; k++)
        if (x->step->result.p[k] == value && memcmp(&x->recur->grid->by[k], by, sizeof *by) == 0)
            return true;
    return false;
}

/* Whether states go out on different sides. Those that are read at the same places, such as the two parts of a complex
 * number, are no states on edges, and nobody would expect one sum of them. */
static bool go_apart(const Find *x)
{
    for (uint32_t k = 0; k < x->recur->nstate; k++)
        for (uint32_t r = 0; x->stages->of[k] == x->stage && r < x->out->nrow; r++)
            if (!is_read_at(x, x->out->row[r].value, &x->recur->grid->by[k]))
                return true;
    return false;
}

/* ---- whether it pays ---- */

static void mark_sequences(const Find *x, RecId v, bool *marked)
{
    const RecOp *op = rec_op(x->cx.p, v);
    if (marked[v] || !rec_inside(x->cx.p, v, x->recur->region))
        return;
    marked[v] = true;
    for (uint32_t i = 0; i < op->nuse; i++)
        mark_sequences(x, op->use[i].v, marked);
}

static void mark_term(const Find *x, const Term *t, bool *marked)
{
    for (uint32_t i = 0; i < t->factor.n; i++)
        mark_sequences(x, t->factor.p[i].use.v, marked);
}

/* Numbers of the sequences at one place that a row is made of. */
static Dim row_size(const Find *x, const RankRow *row)
{
    const RecProg *p = x->cx.p;
    bool *marked = NEWN(x->cx.arena, bool, p->op.n + 1);
    Dim n = DIM_ZERO;
    mark_term(x, &row->out, marked);
    for (uint32_t i = 0; i < row->own.n; i++)
        mark_term(x, &row->own.p[i], marked);
    for (uint32_t i = x->recur->nstate; i < x->step->arg.n; i++)
        if (marked[x->step->arg.p[i]])
            n = dim_add(p->dims, n, type_size(p->dims, rec_type(p, x->step->arg.p[i])));
    return n;
}

/* Sizes that are open count as OPEN_SIZE. */
static void look_at_sizes(Find *x)
{
    DimTab *t = x->cx.p->dims;
    Dim state = DIM_ZERO;
    for (uint32_t k = 0; k < x->recur->nstate; k++)
        for (uint32_t r = 0; x->stages->of[k] == x->stage && r < x->out->nrow; r++)
            if (x->out->row[r].value == x->step->result.p[k]) {
                state = type_size(t, rec_type(x->cx.p, x->step->arg.p[k]));
                x->out->moved = dim_add(t, x->out->moved, row_size(x, &x->out->row[r]));
            }
    if (dim_about(t, state, open_size) < least_state * dim_about(t, x->out->moved, open_size))
        x->out->is = RANK_ONE_SMALL;
}

/* ---- whether it is as safe as the equations ---- */

static bool runs_in_rows(const RecProg *p)
{
    return p->form.kind == REC_FORM_SEQUENTIAL || p->form.kind == REC_FORM_AUTO;
}

/* Old states, each with a number at most, where conditions hold. */
static bool is_plain(const Terms *sum)
{
    for (uint32_t i = 0; i < sum->n; i++) {
        bool plain = sum->p[i].state != REC_NONE;
        for (uint32_t k = 0; k < sum->p[i].factor.n && plain; k++)
            plain = sum->p[i].factor.p[k].kind > FACTOR_OVER;
        if (!plain)
            return false;
    }
    return true;
}

/* ---- a stage ---- */

static bool known(const RankOne *r, RecId value)
{
    for (uint32_t k = 0; k < r->nrow; k++)
        if (r->row[k].value == value)
            return true;
    return false;
}

/* The different new values; false where states are no real arrays of one shape that are zero outside of the grid. */
static bool find_rows(Find *x)
{
    const RecProg *p = x->cx.p;
    RecId one = REC_NONE;
    for (uint32_t k = 0; k < x->recur->nstate; k++) {
        if (x->stages->of[k] != x->stage)
            continue;
        RecId arg = x->step->arg.p[k];
        one = one == REC_NONE ? arg : one;
        if (rec_type(p, arg)->dt != DT_REAL || !type_eq(rec_type(p, arg), rec_type(p, one)) ||
            !pass_zeros(p, x->recur->use[k].v))
            return false;
        if (!known(x->out, x->step->result.p[k]))
            x->out->row[x->out->nrow++].value = x->step->result.p[k];
    }
    return x->out->nrow > 1;
}

RankOne rank_one_of(const RecProg *p, Arena *a, RecId recur, const Stages *s, uint32_t stage)
{
    RankOne out = {.is = RANK_ONE_NO_MATTER, .at = REC_NONE, .read = REC_NONE, .moved = DIM_ZERO};
    const RecOp *op = rec_op(p, recur);
    Find x = {.cx = {.p = p, .arena = a, .body = op->region, .depends = s->reads[stage], .algebra = ALGEBRA_PLUS},
              .recur = op,
              .step = &p->region.p[op->region],
              .stages = s,
              .stage = stage,
              .out = &out};
    out.row = NEWN(a, RankRow, op->nstate + 1);
    if (!op->grid || !find_rows(&x))
        return out;
    x.term = NEWN(a, Terms, out.nrow);
    x.share = NEWN(a, Factor *, out.nrow);
    x.nshare = NEWN(a, uint32_t, out.nrow);
    if (!(find_terms(&x, true) && are_multiples(&x)) && find_terms(&x, false))
        are_multiples(&x);
    if (out.is == RANK_ONE_DIFFERS && !go_apart(&x))
        out.is = RANK_ONE_NO_MATTER;
    if (out.is == RANK_ONE_FOUND)
        look_at_rows(&x);
    if (out.is == RANK_ONE_FOUND)
        look_at_sizes(&x);
    if (out.is == RANK_ONE_FOUND && runs_in_rows(p) && !is_plain(&out.sum))
        out.is = RANK_ONE_IN_ROWS;
    return out;
}
