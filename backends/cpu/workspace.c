/* What stands in a workspace, in this order: its head, the zeros for optional arrays that are missing, the lengths, and
 * the kernels' buffers. abi_sizes.c makes the code that places them, explain says what they come to. */
#include "backends/cpu/abi.h"

uint32_t cpu_memory_of(const KernProg *k, uint32_t buf)
{
    while (k->buf.p[buf].shares != K_NONE)
        buf = k->buf.p[buf].shares;
    return buf;
}

bool cpu_memory_used(const KernProg *k, uint32_t root, RecFn fn)
{
    for (uint32_t i = 0; i < k->buf.n; i++)
        if (cpu_memory_of(k, i) == root && abi_uses(&k->buf.p[i], fn))
            return true;
    return false;
}

static Dim elements(const KernProg *k, const Type *type, bool batched)
{
    Dim dim[MAXRANK + 1], all = DIM_ONE;
    for (uint32_t i = 0, n = iface_array_dims(k, type, batched, dim); i < n; i++)
        all = dim_mul(k->dims, all, dim[i]);
    return all;
}

uint32_t cpu_stands_in(const KernProg *k, uint32_t arg)
{
    const RecArg *x = &k->arg.p[arg], *y = k->arg.p;
    Dim all = elements(k, &x->type, x->batched);
    if (x->role != ROLE_GUESS)
        return K_NONE;
    for (uint32_t i = 0; i < k->arg.n; i++)
        if (!y[i].optional && y[i].role == ROLE_INPUT && !kern_arg_narrow(k, i) && y[i].type.dt == x->type.dt && elements(k, &y[i].type, y[i].batched) == all)
            return i;
    for (uint32_t i = 0; i < k->out.n; i++) {
        const RecOut *o = &k->out.p[i];
        if (o->role == OUT_VALUE && !kern_out_narrow(k, i) && o->type.dt == x->type.dt && elements(k, &o->type, o->batched) == all)
            return k->arg.n + i;
    }
    return K_NONE;
}

bool cpu_takes_zeros(const KernProg *k, uint32_t arg, RecFn fn)
{
    if (!k->arg.p[arg].optional || k->arg.p[arg].role == ROLE_LENGTH || cpu_stands_in(k, arg) != K_NONE)
        return false;
    for (uint32_t i = 0; i < k->buf.n; i++)
        if (k->buf.p[i].kind == K_ARG && k->buf.p[i].slot == arg && abi_uses(&k->buf.p[i], fn))
            return true;
    return false;
}

/* ---- as a formula ---- */

/* The keep flag is known, and so are numbers of chunks that are 0 without it. */
static Dim in_passes(const KernProg *k, Dim d, bool train)
{
    Dim keep = dim_const(k->dims, train);
    for (uint32_t i = k->derived.n; i-- > 0;)
        if (k->derived.p[i].floor && dim_subst(k->dims, k->derived.p[i].num, k->keep, keep) == DIM_ZERO)
            d = dim_subst(k->dims, d, k->derived.p[i].sym, DIM_ZERO);
    return dim_subst(k->dims, d, k->keep, keep);
}

static Dim array_bytes(const KernProg *k, uint32_t arg, bool f64)
{
    const RecArg *x = &k->arg.p[arg];
    Dim each = dim_const(k->dims, narrow_bytes(kern_arg_narrow(k, arg), cpu_element_bytes(f64 ? PREC_F64 : PREC_F32, x->type.dt)));
    return dim_mul(k->dims, each, elements(k, &x->type, x->batched));
}

static void add_most(Arena *a, CpuWorkspace *w, Dim bytes)
{
    for (uint32_t i = 0; i < w->most.n; i++)
        if (w->most.p[i] == bytes)
            return;
    vec_push(a, &w->most, bytes);
}

static void add_arguments(Arena *a, const KernProg *k, bool f64, bool train, CpuWorkspace *w)
{
    for (uint32_t i = 0; i < k->arg.n; i++) {
        Dim bytes = in_passes(k, array_bytes(k, i, f64), train);
        if (k->arg.p[i].role == ROLE_LENGTH) {
            w->sum = dim_add(k->dims, w->sum, bytes);
            w->narrays++;
        } else if (cpu_takes_zeros(k, i, REC_FORWARD) || (train && cpu_takes_zeros(k, i, REC_BACKWARD))) {
            add_most(a, w, bytes);
        }
    }
    w->narrays += w->most.n > 0;
}

CpuWorkspace cpu_workspace(Arena *a, const KernProg *k, bool f64, bool train)
{
    CpuWorkspace w = {.sum = dim_const(k->dims, ABI_HEAD + ABI_ALIGN - 1)};
    add_arguments(a, k, f64, train, &w);
    for (uint32_t i = 0; i < k->buf.n; i++) {
        const KBuf *b = &k->buf.p[i];
        bool needed = cpu_memory_used(k, i, REC_FORWARD) || (train && cpu_memory_used(k, i, REC_BACKWARD));
        if (b->kind != K_WORK || cpu_memory_of(k, i) != i || !needed)
            continue;
        Dim bytes = dim_mul(k->dims, b->size, dim_const(k->dims, cpu_element_bytes(f64 ? PREC_F64 : PREC_F32, b->dt)));
        w.sum = dim_add(k->dims, w.sum, in_passes(k, bytes, train));
        w.narrays++;
    }
    if (w.most.n == 1)
        w.sum = dim_add(k->dims, w.sum, w.most.p[--w.most.n]);
    return w;
}
