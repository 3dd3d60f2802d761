/* The passes over rec, on programs made here: every pass keeps the verifier content and the evaluator's numbers, for
 * several lengths and batch sizes; gradients agree with central differences; and what a pass is for has happened. */
#include "ir/rec/pass.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

/* ---- making programs ---- */

enum { NDIM = 6, MAXARG = 32 };

typedef struct Mk {
    Arena *a;
    DimTab *t;
    RecProg *p;
    RecBuild b; /* in front of and behind the recurrence */
    RecBuild s; /* its step */
    RecId recur;
    Dim T, H, D, V, J;
} Mk;

static RecId arg(Mk *m, const char *name, RecRole role, Type t)
{
    RecArg a = {.name = str_of(name), .role = role, .type = t, .optional = role == ROLE_START || role == ROLE_LENGTH};
    return rec_arg(&m->b, a);
}

#define TYPE(DT, RANK, ...) ((Type){.dt = (DT), .rank = (RANK), .dim = {__VA_ARGS__}})
#define REAL0 ((Type){.dt = DT_REAL})
#define REAL1(A) TYPE(DT_REAL, 1, A)
#define REAL2(A, B) TYPE(DT_REAL, 2, A, B)
#define REAL3(A, B, C) TYPE(DT_REAL, 3, A, B, C)

static RecId param(Mk *m, const char *name, Type t)
{
    return arg(m, name, ROLE_PARAM, t);
}

static void value_out(Mk *m, const char *name, RecId v)
{
    rec_out(m->p, (RecOut){.name = str_of(name), .role = OUT_VALUE, .type = *rec_type(m->p, v), .value = v});
}

static void final_out(Mk *m, const char *name, RecId v, RecId start)
{
    uint32_t of = rec_op(m->p, start)->arg, i;
    i = rec_out(m->p,
                (RecOut){.name = str_of(name), .role = OUT_FINAL, .type = *rec_type(m->p, v), .value = v, .of = of});
    m->p->arg.p[of].of = i;
}

/* Opens the step; gives its arguments. */
static const RecId *open(Mk *m, const RecId *init, uint32_t ninit, const RecId *seq, uint32_t nseq, bool reverse)
{
    m->s = m->b;
    m->recur = rec_recur_open(&m->b, init, ninit, seq, nseq, m->T, reverse, &m->s.region);
    RecId *args = NEWN(m->a, RecId, ninit + nseq + 1);
    memcpy(args, m->p->region.p[m->s.region].arg.p, (ninit + nseq) * sizeof *args);
    return args;
}

#define IDS(...)                                                                                                       \
    (const RecId[])                                                                                                    \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define COUNT(...) (uint32_t)(sizeof IDS(__VA_ARGS__) / sizeof(RecId))
#define CLOSE(M, ...) rec_recur_close((M)->p, (M)->recur, IDS(__VA_ARGS__), COUNT(__VA_ARGS__))

/* W @ x: the last axis of W with the only one of x. */
static RecId matvec(RecBuild *b, RecId W, RecId x)
{
    Type t = *rec_type(b->prog, W);
    return rec_contract(b, rec_use(W, t.rank), (RecUse){.v = x, .axis = {(uint8_t)(t.rank - 1)}}, (uint8_t)(t.rank - 1),
                        t.rank, t.dim);
}

static RecId add(RecBuild *b, RecId x, RecId y)
{
    return rec_map2(b, FUN_ADD, x, y);
}

static RecId sub(RecBuild *b, RecId x, RecId y)
{
    return rec_map2(b, FUN_SUB, x, y);
}

static RecId mul(RecBuild *b, RecId x, RecId y)
{
    return rec_map2(b, FUN_MUL, x, y);
}

static RecId num(RecBuild *b, double x)
{
    return rec_const(b, DT_REAL, x);
}

static RecId outer(RecBuild *b, RecId x, RecId y)
{
    Dim dim[2] = {rec_type(b->prog, x)->dim[0], rec_type(b->prog, y)->dim[0]};
    return rec_map(b, FUN_MUL, (RecUse[]){{.v = x, .axis = {0}}, {.v = y, .axis = {1}}}, 2, dim);
}

/* The i-th of the leading axis, taken apart as the language does: a slice, then a reshape. */
static RecId part(RecBuild *b, RecId v, int64_t i)
{
    Type t = *rec_type(b->prog, v);
    RecId s = rec_slice(b, v, 0, dim_const(b->prog->dims, i), DIM_ONE);
    return rec_reshape(b, s, (uint8_t)(t.rank - 1), t.dim + 1);
}

static RecId sum_last(RecBuild *b, RecReduce red, RecId v)
{
    Type t = *rec_type(b->prog, v);
    return rec_reduce(b, red, rec_use(v, t.rank), (uint8_t)(t.rank - 1), t.rank, t.dim);
}

static RecId seq_of(Mk *m, uint32_t index)
{
    return rec_proj(&m->b, m->recur, index);
}

/* A cell with one vector of state over x and, if asked for, with lengths. */
typedef struct Vector {
    RecId h0, n;   /* outside; n: REC_NONE for no lengths */
    RecId h, x, t; /* in the step */
} Vector;

static Vector vector_open(Mk *m, bool lengths, bool reverse)
{
    RecId x = arg(m, "x", ROLE_INPUT, REAL2(m->T, m->D)), h0 = arg(m, "h0", ROLE_START, REAL1(m->H));
    RecId n = lengths ? arg(m, "lengths", ROLE_LENGTH, TYPE(DT_INT, 0, 0)) : REC_NONE;
    const RecId *a = open(m, IDS(h0), 1, IDS(x, rec_iota(&m->b, m->T)), 2, reverse);
    return (Vector){h0, n, a[0], a[1], a[2]};
}

/* Behind a sequence's end the state stays and the output is zero. */
static void vector_close(Mk *m, const Vector *v, RecId h)
{
    RecBuild *s = &m->s;
    RecId y = h;
    if (v->n != REC_NONE) {
        RecId on = rec_map2(s, FUN_LT, v->t, v->n);
        y = rec_map3(s, FUN_WHERE, on, h, num(s, 0));
        h = rec_map3(s, FUN_WHERE, on, h, v->h);
    }
    CLOSE(m, h, y);
    value_out(m, "h", seq_of(m, 1));
    final_out(m, "hT", seq_of(m, 0), v->h0);
}

static void make_rnn(Mk *m, bool reverse, bool lengths)
{
    RecId W = param(m, "W", REAL2(m->H, m->D)), U = param(m, "U", REAL2(m->H, m->H)), bias = param(m, "b", REAL1(m->H));
    Vector v = vector_open(m, lengths, reverse);
    RecBuild *s = &m->s;
    RecId h = rec_map1(s, FUN_TANH, add(s, add(s, matvec(s, W, v.x), matvec(s, U, v.h)), bias));
    vector_close(m, &v, h);
}

static void make_tanh(Mk *m)
{
    make_rnn(m, false, false);
}

static void make_reverse(Mk *m)
{
    make_rnn(m, true, false);
}

static void make_lengths(Mk *m)
{
    make_rnn(m, false, true);
}

static void make_reverse_lengths(Mk *m)
{
    make_rnn(m, true, true);
}

static RecId gate(RecBuild *b, Fun f, RecId W, RecId x, RecId U, RecId h)
{
    return rec_map1(b, f, add(b, matvec(b, W, x), matvec(b, U, h)));
}

static void gru(Mk *m, bool lengths)
{
    const char *name[6] = {"Wz", "Wr", "Wn", "Uz", "Ur", "Un"};
    RecId w[6];
    for (int i = 0; i < 6; i++)
        w[i] = param(m, name[i], REAL2(m->H, i < 3 ? m->D : m->H));
    Vector v = vector_open(m, lengths, false);
    RecBuild *s = &m->s;
    RecId z = gate(s, FUN_SIGMOID, w[0], v.x, w[3], v.h), r = gate(s, FUN_SIGMOID, w[1], v.x, w[4], v.h);
    RecId c = gate(s, FUN_TANH, w[2], v.x, w[5], mul(s, r, v.h));
    RecId h = add(s, mul(s, sub(s, num(s, 1), z), c), mul(s, z, v.h));
    vector_close(m, &v, h);
}

static void make_gru(Mk *m)
{
    gru(m, false);
}

static void make_gru_lengths(Mk *m)
{
    gru(m, true);
}

static RecId lstm(Mk *m, const char *prefix, RecId x, Dim D, bool peep)
{
    Dim four = dim_const(m->t, 4);
    RecId W = param(m, str_c(m->a, str_fmt(m->a, "%sW", prefix)), REAL3(four, m->H, D));
    RecId U = param(m, str_c(m->a, str_fmt(m->a, "%sU", prefix)), REAL3(four, m->H, m->H));
    RecId bias = param(m, str_c(m->a, str_fmt(m->a, "%sb", prefix)), REAL2(four, m->H));
    RecId h0 = arg(m, str_c(m->a, str_fmt(m->a, "%sh0", prefix)), ROLE_START, REAL1(m->H));
    RecId c0 = arg(m, str_c(m->a, str_fmt(m->a, "%sc0", prefix)), ROLE_START, REAL1(m->H));
    const RecId *a = open(m, IDS(h0, c0), 2, IDS(x), 1, false);
    RecBuild *s = &m->s;
    RecId pre = add(s, add(s, matvec(s, W, a[2]), matvec(s, U, a[0])), bias);
    RecId i = part(s, pre, 0), f = part(s, pre, 1), g = part(s, pre, 2), o = part(s, pre, 3);
    if (peep)
        i = add(s, i, a[1]);
    RecId c = add(s, mul(s, rec_map1(s, FUN_SIGMOID, f), a[1]),
                  mul(s, rec_map1(s, FUN_SIGMOID, i), rec_map1(s, FUN_TANH, g)));
    RecId h = mul(s, rec_map1(s, FUN_SIGMOID, o), rec_map1(s, FUN_TANH, c));
    CLOSE(m, h, c, h);
    RecId y = seq_of(m, 2);
    final_out(m, str_c(m->a, str_fmt(m->a, "%shT", prefix)), seq_of(m, 0), h0);
    final_out(m, str_c(m->a, str_fmt(m->a, "%scT", prefix)), seq_of(m, 1), c0);
    return y;
}

static void make_lstm(Mk *m)
{
    value_out(m, "h", lstm(m, "", arg(m, "x", ROLE_INPUT, REAL2(m->T, m->D)), m->D, false));
}

static void make_stacked(Mk *m)
{
    RecId y = lstm(m, "a.", arg(m, "x", ROLE_INPUT, REAL2(m->T, m->D)), m->D, false);
    value_out(m, "h", lstm(m, "b.", y, m->H, true));
}

/* S' = a S + beta (v - a S k) k^T; y = S' q */
static void make_delta(Mk *m)
{
    RecId q = arg(m, "q", ROLE_INPUT, REAL2(m->T, m->D)), k = arg(m, "k", ROLE_INPUT, REAL2(m->T, m->D));
    RecId v = arg(m, "v", ROLE_INPUT, REAL2(m->T, m->H)), beta = arg(m, "beta", ROLE_INPUT, REAL1(m->T));
    RecId alpha = arg(m, "alpha", ROLE_INPUT, REAL1(m->T)), P = param(m, "P", REAL2(m->H, m->H));
    RecId S0 = arg(m, "S0", ROLE_START, REAL2(m->H, m->D));
    const RecId *a = open(m, IDS(S0), 1, IDS(q, k, v, beta, alpha), 5, false);
    RecBuild *s = &m->s;
    RecId kept = mul(s, a[5], a[0]);
    RecId S = add(s, kept, mul(s, a[4], outer(s, sub(s, matvec(s, P, a[3]), matvec(s, kept, a[2])), a[2])));
    CLOSE(m, S, matvec(s, S, a[1]));
    value_out(m, "y", seq_of(m, 1));
    final_out(m, "ST", seq_of(m, 0), S0);
}

/* table[label] into a recurrence, softmax out of it. */
static void make_embedding(Mk *m)
{
    RecId E = param(m, "E", REAL2(m->V, m->H)), U = param(m, "U", REAL2(m->H, m->H)),
          O = param(m, "O", REAL2(m->V, m->H));
    RecId label = arg(m, "label", ROLE_INPUT, TYPE(DT_INT, 1, m->T)), h0 = arg(m, "h0", ROLE_START, REAL1(m->H));
    const RecId *a = open(m, IDS(h0), 1, IDS(label), 1, false);
    RecBuild *s = &m->s;
    RecId e = rec_gather(s, (RecUse[]){{.v = E, .axis = {0, 0}}, {.v = a[1]}}, 2, 1, &m->H);
    RecId h = rec_map1(s, FUN_TANH, add(s, e, matvec(s, U, a[0])));
    RecId z = matvec(s, O, h), ex = rec_map1(s, FUN_EXP, sub(s, z, sum_last(s, RED_MAX, z)));
    CLOSE(m, h, rec_map2(s, FUN_DIV, ex, sum_last(s, RED_SUM, ex)));
    value_out(m, "y", seq_of(m, 1));
    final_out(m, "hT", seq_of(m, 0), h0);
}

/* A logarithm that must not be looked at where x <= 0, and a quotient where x is 0. */
static void make_guarded(Mk *m)
{
    RecId w = param(m, "w", REAL1(m->D)), x = arg(m, "x", ROLE_INPUT, REAL2(m->T, m->D));
    RecId h0 = arg(m, "h0", ROLE_START, REAL1(m->D));
    const RecId *a = open(m, IDS(h0), 1, IDS(x), 1, false);
    RecBuild *s = &m->s;
    RecId pos = rec_map2(s, FUN_LT, num(s, 0), a[1]);
    RecId l = mul(s, w, rec_map1(s, FUN_LOG, a[1])), g = rec_map3(s, FUN_WHERE, pos, l, num(s, 0));
    RecId any = rec_map2(s, FUN_LT, num(s, 0), sum_last(s, RED_MAX, a[1]));
    RecId d = rec_map3(s, FUN_WHERE, any, sum_last(s, RED_SUM, mul(s, w, rec_map1(s, FUN_SQRT, a[1]))), num(s, 0));
    RecId safe = rec_map3(s, FUN_WHERE, rec_map2(s, FUN_EQ, d, d), d, num(s, 0));
    RecId h = add(s, mul(s, num(s, 0.5), a[0]), add(s, g, safe));
    CLOSE(m, h, mul(s, h, h));
    value_out(m, "y", seq_of(m, 1));
    final_out(m, "hT", seq_of(m, 0), h0);
}

/* A state that is an index, moved by the input, and a table read at it. */
static void make_index_state(Mk *m)
{
    RecId E = param(m, "E", REAL2(m->V, m->H)), U = param(m, "U", REAL2(m->H, m->H));
    RecId label = arg(m, "label", ROLE_INPUT, TYPE(DT_INT, 1, m->T));
    RecId h0 = arg(m, "h0", ROLE_START, REAL1(m->H)), i0 = rec_const(&m->b, DT_INT, 1);
    const RecId *a = open(m, IDS(h0, i0), 2, IDS(label), 1, false);
    RecBuild *s = &m->s;
    RecId i = rec_map2(s, FUN_IMOD, add(s, a[1], a[2]), rec_dim(s, m->V));
    RecId e = rec_gather(s, (RecUse[]){{.v = E, .axis = {0, 0}}, {.v = i}}, 2, 1, &m->H);
    RecId h = rec_map1(s, FUN_TANH, add(s, e, matvec(s, U, a[0])));
    CLOSE(m, h, i, h);
    value_out(m, "h", seq_of(m, 2));
    final_out(m, "hT", seq_of(m, 0), h0);
}

/* Several delta-rule updates in each step: a recurrence inside a step. */
static void make_nested(Mk *m)
{
    RecId k = arg(m, "k", ROLE_INPUT, REAL3(m->T, m->J, m->D)), v = arg(m, "v", ROLE_INPUT, REAL3(m->T, m->J, m->H));
    RecId P = param(m, "P", REAL2(m->H, m->H)), S0 = arg(m, "S0", ROLE_START, REAL2(m->H, m->D));
    const RecId *a = open(m, IDS(S0), 1, IDS(k, v), 2, false);
    RecBuild *s = &m->s, in = *s;
    RecId inner = rec_recur_open(s, IDS(mul(s, num(s, 0.9), a[0])), 1, IDS(a[1], a[2]), 2, m->J, false, &in.region);
    RecId b[3];
    memcpy(b, m->p->region.p[in.region].arg.p, sizeof b);
    RecId d = sub(&in, matvec(&in, P, b[2]), matvec(&in, b[0], b[1]));
    RecId next = rec_map1(&in, FUN_TANH, add(&in, b[0], outer(&in, d, b[1])));
    rec_recur_close(m->p, inner, IDS(next), 1);
    RecId S = rec_proj(s, inner, 0);
    CLOSE(m, S, sum_last(s, RED_SUM, S));
    value_out(m, "y", seq_of(m, 1));
    final_out(m, "ST", seq_of(m, 0), S0);
}

/* Reductions of all kinds, a diagonal, a concatenation, `chosen`, and a shift of the whole input. */
static void make_medley(Mk *m)
{
    Dim T1 = dim_add(m->t, m->T, DIM_ONE);
    RecId A = param(m, "A", REAL2(m->H, m->H)), x = arg(m, "x", ROLE_INPUT, REAL2(m->T, m->H));
    RecId h0 = arg(m, "h0", ROLE_START, REAL1(m->H));
    RecId shifted = rec_slice(&m->b, rec_pad(&m->b, x, 0, DIM_ONE, T1), 0, DIM_ZERO, m->T);
    const RecId *a = open(m, IDS(h0), 1, IDS(x, shifted), 2, false);
    RecBuild *s = &m->s;
    RecId diag = rec_map(s, FUN_ID, (RecUse[]){{.v = A, .axis = {0, 0}}}, 1, &m->H);
    RecId both = rec_concat(s, IDS(a[1], a[2]), 2, 0);
    RecId r = add(s, sum_last(s, RED_PROD, both), sub(s, sum_last(s, RED_MAX, both), sum_last(s, RED_MIN, A)));
    RecId spike = rec_map2(s, FUN_MAX, a[1], mul(s, diag, a[0]));
    RecId p = rec_map2(s, FUN_POW, add(s, num(s, 1.5), rec_map1(s, FUN_TANH, a[2])), a[1]);
    RecId c = rec_map3(s, FUN_CHOSEN, rec_map1(s, FUN_STOP, spike), spike, num(s, 1));
    RecId h = add(s, mul(s, num(s, 0.5), a[0]), add(s, r, mul(s, c, p)));
    CLOSE(m, h, sum_last(s, RED_SUM, mul(s, h, rec_map1(s, FUN_STOP, num(s, 0.25)))));
    value_out(m, "y", seq_of(m, 1));
    final_out(m, "hT", seq_of(m, 0), h0);
}

/* Resets and lengths, a learned start, an input of the whole sequence, and an optional argument. */
static void make_resets(Mk *m)
{
    RecId U = param(m, "U", REAL2(m->H, m->H)), start = param(m, "start", REAL1(m->H)), g = param(m, "g", REAL0);
    RecId task = arg(m, "task", ROLE_INPUT, REAL1(m->H)), x = arg(m, "x", ROLE_INPUT, REAL2(m->T, m->H));
    RecId cut = arg(m, "resets", ROLE_RESET, TYPE(DT_BOOL, 1, m->T)),
          n = arg(m, "lengths", ROLE_LENGTH, TYPE(DT_INT, 0, 0));
    RecId h0 = arg(m, "h0", ROLE_START, REAL1(m->H));
    RecId given = rec_given(&m->b, rec_op(m->p, h0)->arg);
    RecId init = rec_map3(&m->b, FUN_WHERE, given, h0, start);
    const RecId *a = open(m, IDS(init, start), 2, IDS(x, cut, rec_iota(&m->b, m->T)), 3, false);
    RecBuild *s = &m->s;
    RecId on = rec_map2(s, FUN_LT, a[4], n);
    RecId old = rec_map3(s, FUN_WHERE, a[3], start, a[0]);
    RecId w = rec_map2(s, FUN_DIV, a[2], add(s, num(s, 2), rec_map1(s, FUN_TANH, task)));
    RecId h = rec_map1(s, FUN_TANH, add(s, matvec(s, U, w), mul(s, g, mul(s, old, w))));
    RecId c = add(s, a[1], mul(s, h, a[2]));
    CLOSE(m, rec_map3(s, FUN_WHERE, on, h, a[0]), rec_map3(s, FUN_WHERE, on, c, a[1]),
          rec_map3(s, FUN_WHERE, on, sum_last(s, RED_SUM, mul(s, c, h)), num(s, 0)));
    value_out(m, "y", seq_of(m, 2));
    value_out(m, "c", seq_of(m, 1));
    final_out(m, "hT", seq_of(m, 0), h0);
}

/* S' = diag(g) S + k v^T over [D, H], from the last place to the first; y reads both ends of the step, z is a later stage. */
static void make_decay(Mk *m)
{
    RecId k = arg(m, "k", ROLE_INPUT, REAL2(m->T, m->D)), v = arg(m, "v", ROLE_INPUT, REAL2(m->T, m->H));
    RecId g = arg(m, "g", ROLE_INPUT, REAL2(m->T, m->D)), cut = arg(m, "resets", ROLE_RESET, TYPE(DT_BOOL, 1, m->T));
    RecId S0 = arg(m, "S0", ROLE_START, REAL2(m->D, m->H)), z0 = arg(m, "z0", ROLE_START, REAL1(m->H));
    const RecId *a = open(m, IDS(S0, z0), 2, IDS(k, v, g, cut), 4, true);
    RecBuild *s = &m->s;
    RecId old = rec_map3(s, FUN_WHERE, a[5], num(s, 0), a[0]);
    RecId kept = rec_map(s, FUN_MUL, (RecUse[]){{.v = a[4], .axis = {0}}, rec_use(old, 2)}, 2, (Dim[]){m->D, m->H});
    RecId S = add(s, kept, outer(s, a[2], a[3])), flipped = rec_transpose(s, S, (uint8_t[]){1, 0});
    RecId y = add(s, matvec(s, flipped, a[4]), matvec(s, rec_transpose(s, old, (uint8_t[]){1, 0}), a[2]));
    RecId z = add(s, mul(s, rec_map1(s, FUN_SIGMOID, a[3]), a[1]), rec_map1(s, FUN_TANH, y));
    CLOSE(m, S, z, z);
    value_out(m, "z", seq_of(m, 2));
    final_out(m, "ST", seq_of(m, 0), S0);
    final_out(m, "zT", seq_of(m, 1), z0);
}

/* Two states in blocks of two by two, with lengths; the largest of what they give, sinking as it goes, is a stage behind. */
static void make_pair(Mk *m)
{
    RecId x = arg(m, "x", ROLE_INPUT, REAL2(m->T, m->H)), g = arg(m, "g", ROLE_INPUT, REAL1(m->T));
    RecId n = arg(m, "lengths", ROLE_LENGTH, TYPE(DT_INT, 0, 0)), top0 = arg(m, "top0", ROLE_START, REAL1(m->H));
    RecId p0 = arg(m, "p0", ROLE_START, REAL1(m->H)), r0 = arg(m, "r0", ROLE_START, REAL1(m->H));
    const RecId *a = open(m, IDS(p0, r0, top0), 3, IDS(x, g, rec_iota(&m->b, m->T)), 3, false);
    RecBuild *s = &m->s;
    RecId on = rec_map2(s, FUN_LT, a[5], n);
    RecId x1 = rec_map3(s, FUN_WHERE, on, a[3], num(s, 0)), g1 = rec_map3(s, FUN_WHERE, on, a[4], num(s, 0));
    RecId p = add(s, sub(s, mul(s, num(s, 0.7), a[0]), mul(s, g1, a[1])), x1);
    RecId r = add(s, mul(s, g1, a[0]), mul(s, num(s, 0.6), a[1]));
    RecId top = rec_map2(s, FUN_MAX, sub(s, a[2], mul(s, g1, g1)), add(s, p, r));
    CLOSE(m, rec_map3(s, FUN_WHERE, on, p, a[0]), rec_map3(s, FUN_WHERE, on, r, a[1]), rec_map3(s, FUN_WHERE, on, top, a[2]),
          rec_map3(s, FUN_WHERE, on, mul(s, p, top), num(s, 0)));
    value_out(m, "y", seq_of(m, 3));
    final_out(m, "pT", seq_of(m, 0), p0);
    final_out(m, "rT", seq_of(m, 1), r0);
    final_out(m, "topT", seq_of(m, 2), top0);
}

/* Layers one upon the other: a recurrence over the layers, whose state is a sequence, with one over time in its step.
 */
static void make_layers(Mk *m)
{
    RecId U = param(m, "U", REAL3(m->J, m->H, m->H)), x = arg(m, "x", ROLE_INPUT, REAL2(m->T, m->H));
    RecId h0 = arg(m, "h0", ROLE_START, REAL2(m->J, m->H));
    RecBuild l = m->b, s = m->b;
    RecId layers = rec_recur_open(&m->b, IDS(x), 1, IDS(U, h0), 2, m->J, false, &l.region);
    RecId a[3], b[2];
    memcpy(a, m->p->region.p[l.region].arg.p, sizeof a);
    RecId scan = rec_recur_open(&l, IDS(a[2]), 1, IDS(a[0]), 1, m->T, false, &s.region);
    memcpy(b, m->p->region.p[s.region].arg.p, sizeof b);
    RecId h = rec_map1(&s, FUN_TANH, add(&s, b[1], matvec(&s, a[1], b[0])));
    rec_recur_close(m->p, scan, IDS(h, h), 2);
    RecId last = rec_proj(&l, scan, 0), y = add(&l, a[0], rec_proj(&l, scan, 1));
    rec_recur_close(m->p, layers, IDS(y, last), 2);
    value_out(m, "y", rec_proj(&m->b, layers, 0));
    final_out(m, "hT", rec_proj(&m->b, layers, 1), h0);
}

/* No recurrence: a sum over the time axis, and rows of a whole sequence. */
static void make_whole(Mk *m)
{
    RecId W = param(m, "W", REAL2(m->H, m->D)), x = arg(m, "x", ROLE_INPUT, REAL2(m->T, m->D));
    RecId rev = sub(&m->b, sub(&m->b, rec_dim(&m->b, m->T), rec_const(&m->b, DT_INT, 1)), rec_iota(&m->b, m->T));
    RecId back =
        rec_gather(&m->b, (RecUse[]){{.v = x, .axis = {0, 1}}, {.v = rev, .axis = {0}}}, 2, 2, (Dim[]){m->T, m->D});
    Dim space[3] = {m->T, m->H, m->D};
    RecUse w = {.v = W, .axis = {1, 2}}, xu = {.v = back, .axis = {0, 2}};
    RecId y = rec_contract(&m->b, xu, w, 2, 3, space);
    RecId flat = rec_reshape(&m->b, y, 1, (Dim[]){dim_mul(m->t, m->T, m->H)});
    value_out(m, "y", rec_map1(&m->b, FUN_TANH, y));
    value_out(m, "z", sum_last(&m->b, RED_SUM, mul(&m->b, flat, flat)));
}

typedef struct Case {
    const char *name;
    void (*make)(Mk *m);
    bool poison; /* inputs beyond a sequence's length are no numbers */
    bool chunk, scan; /* forms that it has */
} Case;

static const Case cases[] = {
    {.name = "tanh", .make = make_tanh},
    {.name = "reverse", .make = make_reverse},
    {.name = "lengths", .make = make_lengths, .poison = true},
    {.name = "reverse_lengths", .make = make_reverse_lengths, .poison = true},
    {.name = "gru", .make = make_gru},
    {.name = "gru_lengths", .make = make_gru_lengths, .poison = true},
    {.name = "lstm", .make = make_lstm},
    {.name = "stacked", .make = make_stacked},
    {.name = "delta", .make = make_delta, .chunk = true, .scan = true},
    {.name = "embedding", .make = make_embedding},
    {.name = "guarded", .make = make_guarded, .scan = true},
    {.name = "index_state", .make = make_index_state},
    {.name = "nested", .make = make_nested},
    {.name = "resets", .make = make_resets, .poison = true, .scan = true},
    {.name = "layers", .make = make_layers},
    {.name = "medley", .make = make_medley},
    {.name = "whole", .make = make_whole},
    {.name = "decay", .make = make_decay, .chunk = true, .scan = true},
    {.name = "pair", .make = make_pair, .poison = true, .scan = true},
};
enum { NCASE = sizeof cases / sizeof *cases };

static Mk *made(Arena *a, const Case *c)
{
    Mk *m = NEW(a, Mk);
    m->a = a;
    m->t = dim_tab_new(a);
    m->p = rec_prog_new(a, m->t, str_of(c->name));
    m->p->has_time = true;
    m->p->time = dim_sym_new(m->t, STR("T"), DIM_TIME);
    m->T = dim_of(m->t, m->p->time);
    m->H = dim_of(m->t, dim_sym_new(m->t, STR("H"), DIM_USER));
    m->D = dim_of(m->t, dim_sym_new(m->t, STR("D"), DIM_USER));
    m->V = dim_of(m->t, dim_sym_new(m->t, STR("V"), DIM_USER));
    m->J = dim_of(m->t, dim_sym_new(m->t, STR("J"), DIM_USER));
    vec_push(a, &m->p->open, m->p->time);
    vec_push(a, &m->p->open, m->p->batch);
    for (const char *n = "HDVJ"; *n; n++) {
        DimSym s = 0;
        dim_find_sym(m->t, (Str){n, 1}, &s);
        vec_push(a, &m->p->open, s);
    }
    m->b = (RecBuild){.prog = m->p, .region = REC_FORWARD};
    c->make(m);
    return m;
}

/* ---- sizes and data ---- */

static int64_t *sizes(Arena *a, const RecProg *p, int64_t T, int64_t B)
{
    int64_t *n = NEWN(a, int64_t, dim_nsyms(p->dims) + 1);
    for (DimSym s = 0; s < dim_nsyms(p->dims); s++) {
        const DimSymInfo *i = dim_sym_info(p->dims, s);
        char c = i->name.p[0];
        n[s] = i->kind == DIM_TIME    ? T
               : i->kind == DIM_BATCH ? B
               : i->kind == DIM_KEEP  ? 1
               : c == 'H'             ? 3
               : c == 'V'             ? 4
                                      : 2;
    }
    for (uint32_t i = 0; i < p->derived.n; i++) {
        int64_t num = 0, den = 1;
        cr_assert(dim_eval(p->dims, p->derived.p[i].num, n, &num) && dim_eval(p->dims, p->derived.p[i].den, n, &den));
        n[p->derived.p[i].sym] = num / den;
    }
    return n;
}

static int64_t count(const RecProg *p, const Type *t, const int64_t *size)
{
    int64_t n = 1, d;
    for (uint8_t i = 0; i < t->rank; i++) {
        cr_assert(dim_eval(p->dims, t->dim[i], size, &d));
        n *= d;
    }
    return n;
}

static double uniform(uint64_t *state)
{
    return rec_random_value(7, 0, (*state)++);
}

/* One sequence's arguments, cotangents included. Parameters come from stream 0, so that all sequences share them. */
static RecArray *data_of(Arena *a, const RecProg *p, const int64_t *size, int64_t T, uint32_t seq, bool poison)
{
    RecArray *x = NEWN(a, RecArray, p->arg.n + 1);
    int64_t length = T;
    for (uint32_t i = 0; i < p->arg.n; i++) {
        const RecArg *g = &p->arg.p[i];
        uint64_t at = 1000u * i + (g->role == ROLE_PARAM ? 0 : 100000u * (seq + 1));
        int64_t n = count(p, &g->type, size);
        x[i].data = NEWN(a, double, n + 1);
        for (int64_t k = 0; k < n; k++) {
            double u = uniform(&at);
            x[i].data[k] = g->role == ROLE_LENGTH  ? floor(u * (double)(T + 1))
                           : g->type.dt == DT_INT  ? floor(u * 4)
                           : g->type.dt == DT_BOOL ? u < 0.4
                                                   : 2 * u - 1;
        }
        if (g->role == ROLE_LENGTH)
            length = (int64_t)x[i].data[0];
    }
    for (uint32_t i = 0; poison && i < p->arg.n; i++) {
        if (!p->arg.p[i].type.rank || !dim_is_time(p->dims, p->arg.p[i].type.dim[0]))
            continue;
        int64_t n = count(p, &p->arg.p[i].type, size), row = T ? n / T : 0;
        for (int64_t k = length * row; p->arg.p[i].role == ROLE_INPUT && p->arg.p[i].type.dt == DT_REAL && k < n; k++)
            x[i].data[k] = NAN;
    }
    return x;
}

/* Where element k of one sequence lies in a batched array. */
static int64_t batched_place(const RecProg *p, const Type *one, int64_t n, int64_t k, int64_t T, int64_t B, int64_t b)
{
    if (one->rank && dim_is_time(p->dims, one->dim[0]) && T) {
        int64_t row = n / T;
        return (k / row) * B * row + b * row + k % row;
    }
    return b * n + k;
}

static RecArray *batched_data(Arena *a, const RecProg *p, RecArray *const *one, const int64_t *size, int64_t T,
                              int64_t B)
{
    RecArray *x = NEWN(a, RecArray, p->arg.n + 1);
    for (uint32_t i = 0; i < p->arg.n; i++) {
        const RecArg *g = &p->arg.p[i];
        int64_t n = count(p, &g->type, size);
        uint64_t at = 1000u * i;
        x[i].data = NEWN(a, double, n *B + 1);
        for (int64_t k = 0; g->role == ROLE_GUESS && k < n * B; k++)
            x[i].data[k] = k % 5 ? 2 * uniform(&at) - 1 : NAN; /* any guess will do */
        for (int64_t b = 0; g->role != ROLE_GUESS && b < B; b++)
            for (int64_t k = 0; k < n; k++)
                x[i].data[g->batched ? batched_place(p, &g->type, n, k, T, B, b) : k] = one[b][i].data[k];
    }
    return x;
}

static RecEval *evaluated(Arena *a, const RecProg *p, const int64_t *size, const RecArray *x, bool backward)
{
    Str error = {0};
    RecEval *e = rec_eval_new(a, p, size, x, 1);
    cr_assert(rec_eval_run(e, REC_FORWARD, &error), "%.*s: %.*s", STRF(p->name), STRF(error));
    if (backward)
        cr_assert(rec_eval_run(e, REC_BACKWARD, &error), "%.*s: %.*s", STRF(p->name), STRF(error));
    return e;
}

static void verified(const RecProg *p, const char *after)
{
    Text why = {.arena = p->arena};
    if (rec_verify(p, &why))
        return;
    Text text = {.arena = p->arena};
    rec_print(&text, p);
    cr_assert(false, "%.*s after %s: %s\n%s", STRF(p->name), after, why.p, getenv("RNNC_TEST_VERBOSE") ? text.p : "");
}

static bool is_forward(const RecOut *o)
{
    return o->role == OUT_VALUE || o->role == OUT_FINAL;
}

static void close_to(double got, double want, double tolerance, const RecProg *p, const char *after, Str out, int64_t k)
{
    double scale = fmax(1, fabs(want));
    cr_assert(fabs(got - want) <= tolerance * scale, "%.*s after %s: %.*s[%d] is %.17g, not %.17g", STRF(p->name),
              after, STRF(out), (int)k, got, want);
}

/* ---- gradients of the plain program ---- */

static double loss(Arena *a, const RecProg *p, const int64_t *size, const RecArray *x)
{
    RecEval *e = evaluated(a, p, size, x, false);
    double sum = 0;
    for (uint32_t i = 0; i < p->arg.n; i++) {
        if (p->arg.p[i].role != ROLE_COTANGENT)
            continue;
        const double *y = rec_eval_value(e, p->out.p[p->arg.p[i].of].value);
        for (int64_t k = 0; k < count(p, &p->arg.p[i].type, size); k++)
            sum += y[k] * x[i].data[k];
    }
    rec_eval_free(e);
    return sum;
}

static void check_gradients(const Case *c, int64_t T)
{
    Arena *a = arena_new();
    Mk *m = made(a, c);
    verified(m->p, "making it");
    rec_backward(m->p);
    verified(m->p, "backward");
    const int64_t *size = sizes(a, m->p, T, 1);
    RecArray *x = data_of(a, m->p, size, T, 0, c->poison);
    RecEval *e = evaluated(a, m->p, size, x, true);
    for (uint32_t i = 0; i < m->p->out.n; i++) {
        RecOut *o = &m->p->out.p[i];
        for (int64_t k = 0; !is_forward(o) && k < count(m->p, &o->type, size); k++) {
            double *at = &x[o->of].data[k], was = *at, h = 1e-5;
            *at = was + h;
            double up = loss(a, m->p, size, x);
            *at = was - h;
            double down = loss(a, m->p, size, x);
            *at = was;
            close_to(rec_eval_value(e, o->value)[k], (up - down) / (2 * h), 2e-7, m->p, "differences", o->name, k);
        }
    }
    rec_eval_free(e);
    arena_free(a);
}

Test(passes, gradients_are_differences)
{
    for (uint32_t i = 0; i < NCASE; i++)
        for (int64_t T = 0; T <= 4; T += T ? 3 : 1)
            check_gradients(&cases[i], T);
}

/* ---- every pass keeps the numbers ---- */

typedef struct Pass {
    const char *name;
    void (*run)(RecProg *p);
} Pass;

static const Pass pipeline[] = {
#define PASS(IR, NAME, DOES) {#NAME, IR##_##NAME},
#include "ir/rec/passes.def"
#undef PASS
};

enum { MAXSEQ = 3 };

/* What the plain program gives for each sequence. */
typedef struct Truth {
    Arena *a;
    const Case *c;
    Mk *m;
    int64_t T, B;
    RecArray *x[MAXSEQ];
    RecEval *e[MAXSEQ];
} Truth;

static Truth truth(Arena *a, const Case *c, int64_t T, int64_t B)
{
    Truth t = {.a = a, .c = c, .m = made(a, c), .T = T, .B = B};
    rec_backward(t.m->p);
    const int64_t *size = sizes(a, t.m->p, T, B);
    for (uint32_t b = 0; b < B; b++) {
        t.x[b] = data_of(a, t.m->p, size, T, b, c->poison);
        t.e[b] = evaluated(a, t.m->p, size, t.x[b], true);
    }
    return t;
}

static double truth_of(const Truth *t, uint32_t out, int64_t b, int64_t k)
{
    return rec_eval_value(t->e[b], t->m->p->out.p[out].value)[k];
}

static void check_output(const Truth *t, const RecProg *p, const RecEval *e, uint32_t i, const int64_t *size,
                         const char *after)
{
    const RecOut *o = &p->out.p[i];
    const double *got = rec_eval_value(e, o->value);
    int64_t n = count(p, &o->type, size);
    for (int64_t k = 0; k < n; k++) {
        double sum = 0;
        for (int64_t b = 0; b < t->B; b++) {
            sum += truth_of(t, i, b, k);
            if (o->batched)
                close_to(got[p->batched ? batched_place(p, &o->type, n, k, t->T, t->B, b) : k], truth_of(t, i, b, k),
                         1e-13, p, after, o->name, k);
        }
        if (!o->batched)
            close_to(got[k], sum, 1e-12, p, after, o->name, k);
    }
}

static void check_stage(const Truth *t, const RecProg *p, const char *after)
{
    bool backward = p->region.p[REC_BACKWARD].op.n > 0;
    const int64_t *size = sizes(t->a, p, t->T, t->B);
    RecArray *x = p->batched ? batched_data(t->a, p, t->x, size, t->T, t->B) : t->x[0];
    RecEval *e = evaluated(t->a, p, size, x, backward);
    for (uint32_t i = 0; i < p->out.n; i++)
        if (p->out.p[i].role != OUT_REPORT && (p->batched || t->B == 1))
            check_output(t, p, e, i, size, after);
    rec_eval_free(e);
}

static void check_pipeline(const Case *c, RecForm form, int64_t T, int64_t B)
{
    Arena *a = arena_new();
    Truth t = truth(a, c, T, B);
    RecProg *p = made(a, c)->p;
    p->form = form;
    for (uint32_t k = 0; k < sizeof pipeline / sizeof *pipeline; k++) {
        pipeline[k].run(p);
        const char *after = str_c(a, str_fmt(a, "%u %s", k, pipeline[k].name));
        verified(p, after);
        check_stage(&t, p, after);
    }
    for (int64_t b = 0; b < B; b++)
        rec_eval_free(t.e[b]);
    arena_free(a);
}

Test(passes, pipeline_keeps_numbers)
{
    const int64_t lengths[3] = {0, 1, 5}, batches[2] = {1, 3};
    for (uint32_t i = 0; i < NCASE; i++)
        for (int k = 0; k < 6; k++)
            check_pipeline(&cases[i], (RecForm){.kind = REC_FORM_SEQUENTIAL, .size = 0}, lengths[k / 2], batches[k % 2]);
}

/* Fewer places than a part, as many, and several parts with and without a rest. */
Test(passes, pipeline_keeps_numbers_in_every_form, .timeout = 120)
{
    static const RecForm forms[] = {{.kind = REC_FORM_CHUNK, .size = 1}, {.kind = REC_FORM_CHUNK, .size = 3}, {.kind = REC_FORM_SCAN, .size = 1}, {.kind = REC_FORM_SCAN, .size = 3}};
    static const int64_t lengths[] = {0, 2, 3, 7, 9};
    for (uint32_t i = 0; i < NCASE; i++)
        for (uint32_t k = 0; k < sizeof forms / sizeof *forms; k++)
            for (uint32_t n = 0; n < sizeof lengths / sizeof *lengths; n++)
                if (forms[k].kind == REC_FORM_CHUNK ? cases[i].chunk : cases[i].scan)
                    check_pipeline(&cases[i], forms[k], lengths[n], 1 + n % 2);
}

static bool has_form(Arena *a, const Case *c, RecForm form)
{
    RecProg *p = made(a, c)->p;
    p->form = form;
    for (uint32_t k = 0; k < sizeof pipeline / sizeof *pipeline; k++)
        pipeline[k].run(p);
    return p->form_missing == WHY_NONE;
}

/* Windows of one place and of three. What has a loop inside its step, or carries an int, has no such form and stays as it is. */
Test(passes, pipeline_keeps_numbers_in_newton_form, .timeout = 120)
{
    static const int64_t lengths[] = {0, 2, 3, 7};
    for (uint32_t i = 0; i < NCASE; i++)
        for (uint32_t size = 1; size <= 3; size += 2)
            for (uint32_t n = 0; n < sizeof lengths / sizeof *lengths; n++)
                check_pipeline(&cases[i], (RecForm){.kind = REC_FORM_NEWTON, .size = size}, lengths[n], 1 + n % 2);
}

Test(passes, forms_are_those_of_the_equations)
{
    for (uint32_t i = 0; i < NCASE; i++) {
        Arena *a = arena_new();
        cr_expect_eq(has_form(a, &cases[i], (RecForm){.kind = REC_FORM_CHUNK, .size = 3}), cases[i].chunk, "%s: chunk", cases[i].name);
        cr_expect_eq(has_form(a, &cases[i], (RecForm){.kind = REC_FORM_SCAN, .size = 3}), cases[i].scan, "%s: scan", cases[i].name);
        arena_free(a);
    }
}

/* The road of the evaluator, and backward before the other passes. */
Test(passes, plain_road_keeps_numbers)
{
    const Pass plain[] = {{"compact", rec_compact},
                          {"simplify", rec_simplify},
                          {"contract_find", rec_contract_find},
                          {"backward", rec_backward},
                          {"chosen", rec_chosen},
                          {"simplify", rec_simplify},
                          {"slices", rec_slices},
                          {"hoist", rec_hoist},
                          {"sink", rec_sink},
                          {"simplify", rec_simplify},
                          {"contract_find", rec_contract_find}};
    for (uint32_t i = 0; i < NCASE; i++) {
        Arena *a = arena_new();
        Truth t = truth(a, &cases[i], 4, 1);
        RecProg *p = made(a, &cases[i])->p;
        for (uint32_t k = 0; k < sizeof plain / sizeof *plain; k++) {
            plain[k].run(p);
            verified(p, plain[k].name);
            check_stage(&t, p, plain[k].name);
        }
        rec_eval_free(t.e[0]);
        arena_free(a);
    }
}

/* ---- what each pass is for ---- */

static Str printed(Arena *a, const RecProg *p)
{
    Text t = {.arena = a};
    rec_print(&t, p);
    return text_str(&t);
}

static uint32_t kinds_in(const RecProg *p, RecRegion r, RecKind k)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->region.p[r].op.n; i++)
        n += rec_op(p, p->region.p[r].op.p[i])->kind == k;
    return n;
}

static void run_through(RecProg *p)
{
    for (uint32_t k = 0; k < sizeof pipeline / sizeof *pipeline; k++)
        pipeline[k].run(p);
}

static RecRegion step_in(const RecProg *p, RecRegion r)
{
    for (uint32_t i = 0; i < p->region.p[r].op.n; i++)
        if (rec_op(p, p->region.p[r].op.p[i])->kind == REC_RECUR)
            return rec_op(p, p->region.p[r].op.p[i])->region;
    cr_assert(false, "no recurrence");
    return 0;
}

/* Two equations of a step in one order or the other. */
static RecProg *two_equations(Arena *a, bool swapped)
{
    static const Case empty = {.name = "order", .make = make_whole};
    Mk *m = made(a, &empty);
    RecProg *p = rec_prog_new(a, m->t, STR("order"));
    m->p = p;
    m->b = (RecBuild){.prog = p};
    RecId U = param(m, "U", REAL2(m->H, m->H)), x = arg(m, "x", ROLE_INPUT, REAL2(m->T, m->H));
    RecId h0 = arg(m, "h0", ROLE_START, REAL1(m->H)), c0 = arg(m, "c0", ROLE_START, REAL1(m->H));
    const RecId *g = open(m, IDS(h0, c0), 2, IDS(x), 1, false);
    RecId h = REC_NONE, c = REC_NONE;
    for (int i = 0; i < 2; i++)
        if ((i == 0) == swapped)
            c = rec_map1(&m->s, FUN_SIGMOID, mul(&m->s, g[1], g[2]));
        else
            h = rec_map1(&m->s, FUN_TANH, add(&m->s, matvec(&m->s, U, g[0]), g[2]));
    CLOSE(m, h, c, add(&m->s, h, c), h);
    value_out(m, "y", seq_of(m, 2));
    final_out(m, "hT", seq_of(m, 0), h0);
    final_out(m, "cT", seq_of(m, 1), c0);
    return p;
}

Test(passes, compact_forgets_the_order_of_equations)
{
    Arena *a = arena_new();
    RecProg *p = two_equations(a, false), *q = two_equations(a, true);
    cr_assert(!str_eq(printed(a, p), printed(a, q)));
    rec_compact(p);
    rec_compact(q);
    verified(p, "compact");
    cr_assert(str_eq(printed(a, p), printed(a, q)), "%s\n%s", printed(a, p).p, printed(a, q).p);
    RecRegion step = step_in(p, REC_FORWARD);
    cr_assert_eq(p->region.p[step].result.n, 3, "the result that nobody uses is gone");
    arena_free(a);
}

Test(passes, compact_drops_dead_states_and_sequences)
{
    Arena *a = arena_new();
    RecProg *p = two_equations(a, false);
    p->out.p[0] = p->out.p[2]; /* cT alone */
    p->out.n = 1;
    rec_compact(p);
    RecRegion step = step_in(p, REC_FORWARD);
    cr_assert_eq(p->region.p[step].result.n, 1);
    cr_assert_eq(p->region.p[step].arg.n, 2);
    cr_assert_eq(p->region.p[step].op.n, 4);
    arena_free(a);
}

Test(passes, hoist_takes_input_products_out)
{
    Arena *a = arena_new();
    RecProg *p = made(a, &cases[0])->p;
    cr_assert_eq(kinds_in(p, step_in(p, REC_FORWARD), REC_CONTRACT), 2);
    rec_hoist(p);
    cr_assert_eq(kinds_in(p, step_in(p, REC_FORWARD), REC_CONTRACT), 1);
    cr_assert_eq(kinds_in(p, REC_FORWARD, REC_CONTRACT), 1);
    arena_free(a);
}

/* No value has the shape of a parameter for every place: gradients of parameters are summed as they are made. */
static void no_parameter_per_place(const RecProg *p)
{
    for (uint32_t i = 0; i < p->arg.n; i++) {
        const Type *t = &p->arg.p[i].type;
        if (p->arg.p[i].role != ROLE_PARAM || t->rank < 2)
            continue;
        for (RecId v = 0; v < p->op.n; v++) {
            Type per = *rec_type(p, v);
            if (per.rank != t->rank + 1 || per.dim[0] != dim_of(p->dims, p->time))
                continue;
            per.rank--;
            memmove(per.dim, per.dim + 1, per.rank * sizeof *per.dim);
            cr_assert(!type_eq(&per, t), "%.*s: a value has %.*s for every place", STRF(p->name),
                      STRF(p->arg.p[i].name));
        }
    }
}

Test(passes, parameter_gradients_are_one_product)
{
    for (uint32_t i = 0; i < NCASE; i++) {
        Arena *a = arena_new();
        RecProg *p = made(a, &cases[i])->p;
        run_through(p);
        no_parameter_per_place(p);
        arena_free(a);
    }
}

Test(passes, slices_reach_the_products)
{
    Arena *a = arena_new();
    RecProg *p = made(a, &cases[6])->p;
    run_through(p);
    for (RecId v = 0; v < p->op.n; v++) {
        const RecOp *op = rec_op(p, v);
        cr_assert(op->kind != REC_SLICE || rec_op(p, op->use[0].v)->kind != REC_MAP, "a slice of a map is left");
    }
    RecRegion back = step_in(p, REC_BACKWARD);
    cr_assert_eq(kinds_in(p, back, REC_CONCAT), 1, "the gates' gradients are joined once");
    cr_assert_eq(kinds_in(p, back, REC_PAD), 0);
    cr_assert_eq(kinds_in(p, back, REC_CONTRACT), 1);
    arena_free(a);
}

/* ---- single rules of simplify: an output is made of argument x, real[H], and must become as said ---- */

static const RecProg *simplified_prog(Arena *a, RecId (*make)(RecBuild *b, RecId x))
{
    static const Case empty = {.name = "rule", .make = make_whole};
    Mk *m = made(a, &empty);
    m->p = rec_prog_new(a, m->t, STR("rule"));
    m->b = (RecBuild){.prog = m->p};
    RecId x = arg(m, "x", ROLE_INPUT, REAL1(m->H));
    value_out(m, "y", make(&m->b, x));
    rec_simplify(m->p);
    verified(m->p, "simplify");
    return m->p;
}

static const RecOp *simplified(Arena *a, RecId (*make)(RecBuild *b, RecId x))
{
    const RecProg *p = simplified_prog(a, make);
    return rec_op(p, p->out.p[0].value);
}

static RecId plus_zero_times_one(RecBuild *b, RecId x)
{
    return mul(b, num(b, 1), add(b, x, sub(b, num(b, 2), num(b, 2))));
}

static RecId twice_negative(RecBuild *b, RecId x)
{
    return rec_map1(b, FUN_NEG, rec_map1(b, FUN_NEG, x));
}

static RecId known_branch(RecBuild *b, RecId x)
{
    return rec_map3(b, FUN_WHERE, rec_map2(b, FUN_LT, num(b, 1), num(b, 2)), x, num(b, 0));
}

static RecId times_zero(RecBuild *b, RecId x)
{
    return mul(b, x, num(b, 0));
}

static RecId apart_and_together(RecBuild *b, RecId x)
{
    Dim H = rec_type(b->prog, x)->dim[0], H2 = dim_add(b->prog->dims, H, H);
    RecId both = rec_concat(b, IDS(x, rec_map1(b, FUN_NEG, x)), 2, 0);
    RecId first = rec_pad(b, rec_slice(b, both, 0, DIM_ZERO, H), 0, DIM_ZERO, H2);
    RecId second = rec_pad(b, rec_slice(b, both, 0, H, H), 0, H, H2);
    return rec_slice(b, add(b, second, first), 0, DIM_ZERO, H);
}

static RecId absorbed(RecBuild *b, RecId x)
{
    RecId low = rec_map2(b, FUN_LT, x, num(b, 0)), all = rec_map2(b, FUN_LT, x, num(b, 1));
    RecId either = rec_map2(b, FUN_OR, rec_map2(b, FUN_AND, all, low), low);
    return rec_map2(b, FUN_AND, rec_map2(b, FUN_OR, low, all), either);
}

/* Parts of a mask, each broadcast along another axis and in another shape, put together again. */
static RecId mask_of_parts(RecBuild *b, RecId x)
{
    DimTab *t = b->prog->dims;
    Dim H = rec_type(b->prog, x)->dim[0], H2 = dim_add(t, H, H), whole[] = {H2, H}, shape[] = {DIM_ONE, H, H};
    RecUse low = rec_use(rec_map2(b, FUN_LT, rec_concat(b, IDS(x, x), 2, 0), num(b, 0)), 1);
    RecId all = rec_map(b, FUN_ID, &low, 2, whole), part[2];
    for (int i = 0; i < 2; i++) {
        RecId shaped = rec_reshape(b, rec_slice(b, all, 0, i ? H : DIM_ZERO, H), 3, shape);
        part[i] = rec_pad(b, rec_reshape(b, shaped, 2, shape + 1), 0, i ? H : DIM_ZERO, H2);
    }
    return rec_map2(b, FUN_OR, part[1], part[0]);
}

/* Sums of the rows of a matrix times itself, which is 0 in some rows; or in some columns. */
static RecId sums(RecBuild *b, RecId x, uint8_t along)
{
    Dim H = rec_type(b->prog, x)->dim[0], both[] = {H, H};
    RecUse column = rec_use(x, 1), row = {.v = x, .axis = {1}};
    RecUse matrix[] = {rec_use(rec_map(b, FUN_ADD, (RecUse[]){column, row}, 2, both), 2), {.v = REC_NONE}};
    RecUse where[] = {{.v = rec_map2(b, FUN_LT, x, num(b, 0)), .axis = {along}}, matrix[0], {.v = num(b, 0)}};
    matrix[1] = rec_use(rec_map(b, FUN_WHERE, where, 2, both), 2);
    return rec_contract(b, matrix[0], matrix[1], 1, 2, both);
}

/* In a chunk, whose step gives such sums. */
static RecId sums_in_chunk(RecBuild *b, RecId x, uint8_t along)
{
    RecRegion step;
    RecId recur = rec_recur_open(b, NULL, 0, NULL, 0, rec_type(b->prog, x)->dim[0], false, &step);
    RecBuild in = *b;
    in.region = step;
    rec_op(b->prog, recur)->chunk = true;
    RecId sum = sums(&in, x, along);
    rec_recur_close(b->prog, recur, &sum, 1);
    return rec_proj(b, recur, 0);
}

static RecId some_rows(RecBuild *b, RecId x)
{
    return sums_in_chunk(b, x, 0);
}

static RecId some_columns(RecBuild *b, RecId x)
{
    return sums_in_chunk(b, x, 1);
}

/* What the step gives. */
static const RecOp *summed(Arena *a, RecId (*make)(RecBuild *b, RecId x))
{
    const RecProg *p = simplified_prog(a, make);
    const RecOp *recur = rec_op(p, rec_op(p, p->out.p[0].value)->use[0].v);
    const RecOp *sum = rec_op(p, p->region.p[recur->region].result.p[0]);
    cr_assert(sum->kind != REC_MAP || rec_op(p, sum->use[2].v)->number == 0, "0 elsewhere");
    return sum;
}

static RecId unchanged_state(RecBuild *b, RecId x)
{
    RecRegion step;
    RecId recur = rec_recur_open(b, IDS(x), 1, NULL, 0, rec_type(b->prog, x)->dim[0], false, &step);
    rec_recur_close(b->prog, recur, b->prog->region.p[step].arg.p, 1);
    return rec_proj(b, recur, 0);
}

Test(passes, simplify_rules)
{
    Arena *a = arena_new();
    cr_assert_eq(simplified(a, plus_zero_times_one)->kind, REC_ARG);
    cr_assert_eq(simplified(a, twice_negative)->kind, REC_ARG);
    cr_assert_eq(simplified(a, known_branch)->kind, REC_ARG);
    cr_assert_eq(simplified(a, apart_and_together)->kind, REC_ARG);
    cr_assert_eq(simplified(a, unchanged_state)->kind, REC_ARG);
    cr_assert_eq(simplified(a, absorbed)->fun, FUN_LT);
    cr_assert_eq(simplified(a, times_zero)->kind, REC_MAP, "x may be no number");
    cr_assert_eq(summed(a, some_rows)->kind, REC_MAP, "of the sums");
    cr_assert_eq(summed(a, some_columns)->kind, REC_CONTRACT);
    const RecOp *mask = simplified(a, mask_of_parts);
    cr_assert(mask->kind == REC_MAP && mask->fun == FUN_ID && mask->use[0].axis[0] == 0, "still broadcast, as a whole");
    arena_free(a);
}
