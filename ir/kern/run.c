/* The interpreter: the meaning of kern, in double precision, one statement after another. Slow and plain; every access
 * is checked against the size of its buffer. Tests hold the lowering and every pass against it. */
#include "ir/kern/run.h"

#include <math.h>

typedef KernRun Run;

int64_t kern_run_dim(const Run *r, Dim d)
{
    int64_t n;
    if (!dim_eval(r->p->dims, d, r->dim_value, &n))
        ice("kern_run: a size is negative or too large");
    return n;
}

/* How far an address moves, which may be back. */
static int64_t stride(const Run *r, Dim d)
{
    DimTab *dims = r->p->dims;
    int64_t n;
    return dim_eval(dims, d, r->dim_value, &n) ? n : -kern_run_dim(r, dim_sub(dims, DIM_ZERO, d));
}

static int64_t offset(const Run *r, const KIndex *at)
{
    int64_t n = kern_run_dim(r, at->base);
    for (uint32_t i = 0; i < at->n; i++)
        n += (int64_t)r->var[at->term[i].var] * stride(r, at->term[i].stride);
    return n;
}

/* The element, or NULL in an array that the caller left out. */
static double *element(const Run *r, KBufId b, int64_t at, bool write)
{
    if (at < 0 || at >= r->size[b])
        ice("kern_run: element %lld of buffer b%u, which has %lld", (long long)at, b, (long long)r->size[b]);
    if (r->touch && r->buf[b])
        r->touch(r->cx, b, at, write);
    return r->buf[b] ? &r->buf[b][at] : NULL;
}

static double load(const Run *r, KBufId b, int64_t at)
{
    if (r->p->buf.p[b].kind == K_OUT)
        ice("kern_run: an output is read");
    const double *x = element(r, b, at, false);
    return x ? narrow_round(kern_buf_narrow(r->p, b), *x) : 0;
}

static void store(const Run *r, KBufId b, int64_t at, double v, bool add)
{
    double *x = element(r, b, at, true);
    if (x)
        *x = narrow_round(kern_buf_narrow(r->p, b), add ? *x + v : v);
}

double kern_run_neutral(RecReduce red, DType dt)
{
    if (dt == DT_BOOL)
        return red == RED_PROD || red == RED_MIN;
    return red == RED_SUM ? 0 : red == RED_PROD ? 1 : red == RED_MAX ? (double)-INFINITY : (double)INFINITY;
}

double kern_run_reduce(RecReduce red, double a, double b)
{
    static const Fun fun[RED_COUNT] = {
        [RED_SUM] = FUN_ADD, [RED_PROD] = FUN_MUL, [RED_MAX] = FUN_MAX, [RED_MIN] = FUN_MIN};
    return fun_eval(fun[red], a, b, 0);
}

static double let(const Run *r, const KStmt *s)
{
    double a[3] = {0};
    for (uint32_t i = 0; i < fun_info(s->let.fun)->arity; i++)
        a[i] = r->var[s->let.arg[i]];
    return fun_eval(s->let.fun, a[0], a[1], a[2]);
}

static double check(Run *r, const KStmt *s)
{
    double i = r->var[s->check.index];
    bool ok = i >= 0 && i < (double)kern_run_dim(r, s->check.bound);
    r->in_range = r->in_range && ok;
    return ok ? i : 0;
}

static int64_t cell(const Run *r, const KView *v, int64_t row, int64_t col)
{
    return offset(r, &v->at) + row * kern_run_dim(r, v->row_stride) + col * kern_run_dim(r, v->col_stride);
}

/* This target's order of a copy: column by column. */
static void pack(const Run *r, const KStmt *s)
{
    int64_t n = kern_run_dim(r, s->pack.n), k = kern_run_dim(r, s->pack.k), to = offset(r, &s->pack.at);
    for (int64_t j = 0; j < n && kern_run_dim(r, s->pack.when); j++)
        for (int64_t q = 0; q < k; q++)
            store(r, s->pack.buf, to + j * k + q, load(r, s->pack.b.buf, cell(r, &s->pack.b, q, j)), false);
}

static double gemm_b(const Run *r, const KStmt *s, int64_t q, int64_t j)
{
    if (!kern_run_dim(r, s->gemm.when))
        return load(r, s->gemm.b.buf, cell(r, &s->gemm.b, q, j));
    return load(r, s->gemm.packed, offset(r, &s->gemm.packed_at) + j * kern_run_dim(r, s->gemm.k) + q);
}

static void gemm(const Run *r, const KStmt *s)
{
    int64_t m = kern_run_dim(r, s->gemm.m), n = kern_run_dim(r, s->gemm.n), k = kern_run_dim(r, s->gemm.k);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t q = 0; q < k; q++)
                sum += factor_round(s->gemm.factor, load(r, s->gemm.a.buf, cell(r, &s->gemm.a, i, q))) * factor_round(s->gemm.factor, gemm_b(r, s, q, j));
            store(r, s->gemm.c.buf, cell(r, &s->gemm.c, i, j), sum, s->gemm.add);
        }
}

static void fill(const Run *r, const KStmt *s)
{
    int64_t at = offset(r, &s->fill.at), count = kern_run_dim(r, s->fill.count);
    for (int64_t i = 0; i < count; i++)
        store(r, s->fill.buf, at + i, s->fill.number, false);
}

static void copy(const Run *r, const KStmt *s)
{
    int64_t to = offset(r, &s->copy.to), from = offset(r, &s->copy.from), count = kern_run_dim(r, s->copy.count);
    for (int64_t i = 0; i < count; i++)
        store(r, s->copy.dst, to + i, load(r, s->copy.src, from + i), false);
}

/* Independent iterations run against their order, to find those that are not. */
static void loop(Run *r, const KStmt *s)
{
    bool backwards = s->loop.kind == K_SERIAL ? s->loop.reverse : !s->loop.reverse;
    int64_t n = kern_run_dim(r, s->loop.extent), by = kern_run_dim(r, s->loop.by), start = by ? (int64_t)r->var[s->loop.from] * by : 0;
    if (r->only && r->only[s->loop.var] >= 0) {
        r->var[s->loop.var] = (double)(start + r->only[s->loop.var]);
        kern_run_block(r, &s->loop.body);
        return;
    }
    for (int64_t i = 0; i < n && !r->left; i++) {
        r->var[s->loop.var] = (double)(start + (backwards ? n - 1 - i : i));
        kern_run_block(r, &s->loop.body);
    }
    r->left = false;
}

/* At most three pieces, the last first. An empty range is one piece: what the body does outside of loops is done. */
static void tasks(Run *r, const KStmt *s)
{
    int64_t n = kern_run_dim(r, s->tasks.extent), piece = (n + 2) / 3, first = piece ? (n - 1) / piece * piece : 0;
    for (; first >= 0; first -= piece ? piece : 1) {
        r->var[s->tasks.first] = (double)first;
        r->dim_value[s->tasks.part] = n - first < piece ? n - first : piece;
        kern_run_block(r, &s->tasks.body);
    }
}

static void strips(Run *r, const KStmt *s)
{
    int64_t n = kern_run_dim(r, s->strips.extent), length = kern_run_dim(r, s->strips.length), count;
    length = length > 0 ? length : 1;
    count = (n + length - 1) / length;
    for (int64_t i = 0; i < count; i++) {
        int64_t first = (s->strips.reverse ? count - 1 - i : i) * length;
        r->var[s->strips.first] = (double)first;
        r->dim_value[s->strips.part] = n - first < length ? n - first : length;
        kern_run_block(r, &s->strips.body);
    }
}

static void stmt(Run *r, const KStmt *s)
{
    switch (s->kind) {
    case K_LOOP: loop(r, s); break;
    case K_TASKS: tasks(r, s); break;
    case K_STRIPS: strips(r, s); break;
    case K_LET: r->var[s->let.var] = let(r, s); break;
    case K_CONST: r->var[s->constant.var] = s->constant.number; break;
    case K_SIZE: r->var[s->size.var] = (double)kern_run_dim(r, s->size.dim); break;
    case K_LOAD: r->var[s->mem.var] = load(r, s->mem.buf, offset(r, &s->mem.at)); break;
    case K_STORE: store(r, s->mem.buf, offset(r, &s->mem.at), r->var[s->mem.var], s->mem.add); break;
    case K_START: r->var[s->acc.var] = kern_run_neutral(s->acc.red, r->p->var.p[s->acc.var].dt); break;
    case K_UPDATE: r->var[s->acc.var] = kern_run_reduce(s->acc.red, r->var[s->acc.var], r->var[s->acc.value]); break;
    case K_RANDOM:
        r->var[s->random.var] = rec_random_value(r->seed, s->random.stream, (uint64_t)r->var[s->random.counter]);
        break;
    case K_GIVEN: r->var[s->given.var] = (double)r->dim_value[dim_nsyms(r->p->dims) + s->given.arg]; break;
    case K_CHECK: r->var[s->check.var] = check(r, s); break;
    case K_LEAVE: r->left = r->var[s->leave.var] != 0; break;
    case K_GEMM: gemm(r, s); break;
    case K_PACK: pack(r, s); break;
    case K_FILL: fill(r, s); break;
    case K_COPY: copy(r, s); break;
    case K_KIND_COUNT: break;
    }
}

void kern_run_block(Run *r, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n && !r->left; i++)
        stmt(r, b->p[i]);
}

KernRun kern_run_open(Arena *a, const KernProg *p, const int64_t *dim_value, double *const *buf, uint64_t seed)
{
    Run r = {.p = p, .buf = buf, .seed = seed, .in_range = true};
    uint32_t ndim = dim_nsyms(p->dims) + p->arg.n;
    r.dim_value = NEWN(a, int64_t, ndim);
    memcpy(r.dim_value, dim_value, ndim * sizeof *dim_value);
    r.var = NEWN(a, double, p->var.n);
    r.size = NEWN(a, int64_t, p->buf.n);
    for (KBufId b = 0; b < p->buf.n; b++)
        r.size[b] = kern_run_dim(&r, p->buf.p[b].size);
    return r;
}

bool kern_run(const KernProg *p, RecFn fn, const int64_t *dim_value, double *const *buf, uint64_t seed)
{
    Arena *own = arena_new();
    Run r = kern_run_open(own, p, dim_value, buf, seed);
    kern_run_block(&r, &p->fn[fn]);
    arena_free(own);
    return r.in_range;
}
