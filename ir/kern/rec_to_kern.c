/* From rec to kern. See lower.h for how it is planned; kern.md for what the result looks like. */
#include "ir/kern/lower.h"

/* ---- the interface's arrays ---- */

/* A batched argument's array has the axis B behind leading time axes, else in front. */
static Type caller_type(Lower *l, const Type *t, bool batched)
{
    if (!batched)
        return *t;
    uint32_t at = type_places(l->dims, t);
    Type b = {.dt = t->dt, .rank = (uint8_t)(t->rank + 1)};
    for (uint32_t i = 0; i < t->rank; i++)
        b.dim[i < at ? i : i + 1] = t->dim[i];
    b.dim[at] = dim_of(l->dims, l->k->batch);
    return b;
}

static void make_interface(Lower *l)
{
    const RecProg *p = l->rec;
    l->arg = NEWN(l->a, KBufId, p->arg.n);
    l->out = NEWN(l->a, KBufId, p->out.n);
    for (uint32_t i = 0; i < p->arg.n; i++) {
        Type t = caller_type(l, &p->arg.p[i].type, p->arg.p[i].batched);
        KBuf b = {.kind = K_ARG, .dt = t.dt, .slot = i, .size = type_size(l->dims, &t), .name = p->arg.p[i].name};
        l->arg[i] = kern_buf(l->k, b);
    }
    for (uint32_t i = 0; i < p->out.n; i++) {
        Type t = caller_type(l, &p->out.p[i].type, p->out.p[i].batched);
        KBuf b = {.kind = K_OUT, .dt = t.dt, .slot = i, .size = type_size(l->dims, &t), .name = p->out.p[i].name};
        l->out[i] = kern_buf(l->k, b);
    }
}

static RecFn fn_of_output(RecOutRole role)
{
    switch (role) {
    case OUT_VALUE:
    case OUT_REPORT:
    case OUT_FINAL: return REC_FORWARD;
    case OUT_GRAD:
    case OUT_GRAD_PARAM: return REC_BACKWARD;
    case OUT_PARAM: return REC_INIT;
    }
    ice("rec_to_kern: an output has no role");
}

static void plan_output(Lower *l, RecFn fn, uint32_t i)
{
    const RecOut *o = &l->rec->out.p[i];
    if (fn_of_output(o->role) != fn || o->value == REC_NONE)
        return;
    const Type *t = rec_type(l->rec, o->value);
    if (type_size(l->dims, t) != l->k->buf.p[l->out[i]].size)
        ice("rec_to_kern: output `%.*s` has not the size of its array", STRF(o->name));
    plan_dest(l, fn, o->value, (Dest){.view = storage_dense(l, l->out[i], t), .add = o->role == OUT_GRAD_PARAM});
}

/* ---- regions ---- */

/* High levels first; within a level in the order of the text, which planning met from its end. */
static bool comes_first(const Lower *l, uint32_t a, uint32_t b)
{
    int x = l->group.p[a].level, y = l->group.p[b].level;
    return x != y ? x > y : a > b;
}

static uint32_t *schedule(Lower *l, RecRegion r, uint32_t *count)
{
    uint32_t *g = NEWN(l->a, uint32_t, l->group.n), n = 0;
    for (uint32_t i = 0; i < l->group.n; i++) {
        if (l->group.p[i].region != r)
            continue;
        uint32_t at = n++;
        for (; at > 0 && comes_first(l, i, g[at - 1]); at--)
            g[at] = g[at - 1];
        g[at] = i;
    }
    *count = n;
    return g;
}

static void lower_group(Lower *l, uint32_t group)
{
    const Group *g = &l->group.p[group];
    if (g->op == REC_NONE) {
        lower_nest(l, group);
        return;
    }
    switch (lower_val(l, g->op)->form) {
    case F_REDUCE: lower_reduce(l, group); break;
    case F_GEMM: lower_contract(l, group); break;
    case F_SCATTER: lower_scatter(l, group); break;
    case F_PAD: lower_pad(l, group); break;
    case F_RESHAPE: lower_reshape(l, group); break;
    case F_RECUR: lower_recur(l, group); break;
    default: ice("rec_to_kern: a group of op %u", g->op);
    }
}

void lower_region(Lower *l, RecRegion r)
{
    uint32_t n;
    uint32_t *g = schedule(l, r, &n);
    recur_parities(l, r);
    for (uint32_t i = 0; i < n; i++)
        lower_group(l, g[i]);
}

/* ---- the whole ---- */

static bool has_fn(const RecProg *p, RecFn fn)
{
    if (fn == REC_FORWARD || p->region.p[fn].op.n)
        return true;
    for (uint32_t i = 0; i < p->out.n; i++)
        if (fn_of_output(p->out.p[i].role) == fn)
            return true;
    return false;
}

/* What a later function reads of the forward one must be known before that is planned. */
static void plan(Lower *l)
{
    const RecFn order[] = {REC_BACKWARD, REC_INIT, REC_FORWARD};
    for (uint32_t f = 0; f < REC_NFN; f++) {
        for (uint32_t i = l->rec->out.n; i-- > 0;)
            plan_output(l, order[f], i);
        plan_region(l, order[f]);
    }
}

KernProg *rec_to_kern(Arena *a, const RecProg *rec)
{
    if (!rec->batched)
        ice("rec_to_kern: the program has no batch axis yet");
    Lower l = {.a = a, .rec = rec, .dims = rec->dims, .k = kern_prog_new(a, rec)};
    l.val = NEWN(a, Val, rec->op.n);
    l.recur = NEWN(a, Recur *, rec->op.n);
    l.group_of = NEWN(a, uint32_t, rec->region.n);
    for (RecRegion r = 0; r < rec->region.n; r++)
        l.group_of[r] = K_NONE;
    make_interface(&l);
    lower_classify(&l);
    plan(&l);
    for (uint32_t f = 0; f < REC_NFN; f++) {
        l.fn = (RecFn)f;
        l.block = &l.k->fn[f];
        l.k->has_fn[f] = has_fn(rec, (RecFn)f);
        lower_region(&l, f);
    }
    in_place_apply(&l);
    kern_mark_uses(l.k);
    return l.k;
}
