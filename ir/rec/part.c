/* Labelled values: see part.h. */
#include "ir/rec/part.h"

Part part_of(RecId v, uint32_t labels)
{
    Part x = {.v = v};
    uint8_t n = 0;
    for (uint8_t l = 0; l < LABEL_COUNT; l++)
        if (labels >> l & 1)
            x.label[n++] = l;
    return x;
}

uint32_t part_labels(const RecBuild *b, Part x)
{
    uint32_t bits = 0;
    for (uint8_t i = 0; i < rec_type(b->prog, x.v)->rank; i++)
        bits |= 1u << x.label[i];
    return bits;
}

Part part_relabel(const RecBuild *b, Part x, uint8_t from, uint8_t to)
{
    for (uint8_t i = 0; i < rec_type(b->prog, x.v)->rank; i++)
        if (x.label[i] == from)
            x.label[i] = to;
    return x;
}

Part part_number(RecBuild *b, DType dt, double number)
{
    return (Part){.v = rec_const(b, dt, number)};
}

/* ---- iteration spaces over labels ---- */

typedef struct Space {
    uint8_t n, at[LABEL_COUNT]; /* by label: its axis */
    Dim dim[MAXIT];
    uint8_t label[MAXIT];
} Space;

static void note_sizes(const RecBuild *b, Part x, Dim *size)
{
    const Type *t = rec_type(b->prog, x.v);
    for (uint8_t i = 0; i < t->rank; i++)
        size[x.label[i]] = t->dim[i];
}

/* First the labels of `own`, then those of `over`, each in order. */
static Space space_of(uint32_t own, uint32_t over, const Dim *size)
{
    Space s = {0};
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint8_t l = 0; l < LABEL_COUNT; l++) {
            if (!((pass ? over : own) >> l & 1))
                continue;
            if (s.n == MAXIT)
                ice("rec: a product over too many axes");
            s.at[l] = s.n;
            s.label[s.n] = l;
            s.dim[s.n++] = size[l];
        }
    return s;
}

static RecUse use_in(const RecBuild *b, Part x, const Space *s)
{
    RecUse u = {.v = x.v};
    for (uint8_t i = 0; i < rec_type(b->prog, x.v)->rank; i++)
        u.axis[i] = s->at[x.label[i]];
    return u;
}

static Part result(RecId v, const Space *s)
{
    Part r = {.v = v};
    memcpy(r.label, s->label, sizeof r.label);
    return r;
}

static Part map(RecBuild *b, Fun f, const Part *x, uint32_t n)
{
    Dim size[LABEL_COUNT] = {0};
    RecUse use[3];
    uint32_t labels = 0;
    for (uint32_t i = 0; i < n; i++) {
        note_sizes(b, x[i], size);
        labels |= part_labels(b, x[i]);
    }
    Space s = space_of(labels, 0, size);
    for (uint32_t i = 0; i < n; i++)
        use[i] = use_in(b, x[i], &s);
    return result(rec_map(b, f, use, s.n, s.dim), &s);
}

Part part_map(RecBuild *b, Fun f, Part x, Part y)
{
    return map(b, f, (Part[]){x, y}, 2);
}

Part part_map1(RecBuild *b, Fun f, Part x)
{
    return map(b, f, &x, 1);
}

Part part_where(RecBuild *b, Part condition, Part x, Part y)
{
    return map(b, FUN_WHERE, (Part[]){condition, x, y}, 3);
}

Part part_chosen(RecBuild *b, Part x, Part y)
{
    return map(b, FUN_CHOSEN, (Part[]){part_map1(b, FUN_STOP, x), y, part_number(b, DT_REAL, 1)}, 3);
}

Part part_gather(RecBuild *b, Part table, const Part *index, uint8_t n)
{
    const Type *t = rec_type(b->prog, table.v);
    Dim size[LABEL_COUNT] = {0};
    uint32_t labels = 0;
    for (uint8_t i = n; i < t->rank; i++) {
        labels |= 1u << table.label[i];
        size[table.label[i]] = t->dim[i];
    }
    for (uint8_t i = 0; i < n; i++) {
        labels |= part_labels(b, index[i]);
        note_sizes(b, index[i], size);
    }
    Space s = space_of(labels, 0, size);
    RecUse use[MAXRANK + 1] = {{.v = table.v}};
    for (uint8_t i = n; i < t->rank; i++)
        use[0].axis[i] = s.at[table.label[i]];
    for (uint8_t i = 0; i < n; i++)
        use[i + 1] = use_in(b, index[i], &s);
    return result(rec_gather(b, use, n + 1u, s.n, s.dim), &s);
}

Part part_reduce(RecBuild *b, RecReduce red, Part x, uint32_t over)
{
    Dim size[LABEL_COUNT] = {0};
    note_sizes(b, x, size);
    uint32_t own = part_labels(b, x) & ~over;
    Space s = space_of(own, over, size);
    uint8_t rank = (uint8_t)__builtin_popcount(own);
    return result(rec_reduce(b, red, use_in(b, x, &s), rank, s.n, s.dim), &s);
}

Part part_contract(RecBuild *b, Part x, Part y, uint32_t over)
{
    Dim size[LABEL_COUNT] = {0};
    note_sizes(b, x, size);
    note_sizes(b, y, size);
    uint32_t own = (part_labels(b, x) | part_labels(b, y)) & ~over;
    Space s = space_of(own, over, size);
    uint8_t rank = (uint8_t)__builtin_popcount(own);
    return result(rec_contract(b, use_in(b, x, &s), use_in(b, y, &s), rank, s.n, s.dim), &s);
}

Part part_expand(RecBuild *b, Part x, uint32_t labels, const Dim *size)
{
    Dim all[LABEL_COUNT] = {0};
    memcpy(all, size, sizeof all);
    note_sizes(b, x, all);
    Space s = space_of(labels | part_labels(b, x), 0, all);
    RecUse u = use_in(b, x, &s);
    if (pass_is_identity(b->prog, u, s.n))
        return x;
    return result(rec_map(b, FUN_ID, &u, s.n, s.dim), &s);
}
