/* What stays in a block over all its steps. The steps of a recurrence read the same weights each time; where a block's part of them fits into its
 * shared memory, it is loaded there once (persistent kernels: Diamos et al., "Persistent RNNs: Stashing Recurrent Weights On-Chip", 2016). Whether it
 * fits is known when sizes are, so a kernel has a second one beside it, and who launches it takes one of the two.
 *
 * A load inside of the steps stays, if nobody in the kernel writes that array, and its address moves with loops inside of a step only, not with the
 * step and not with what was computed in it. It has an array of its own, K_BLOCK, as long as those loops go: of a loop that is cut, as long as the
 * block's piece. The copies are statements as others are, so that barriers (barrier.c) and proofs know them.
 *
 * Neighbours there are neighbours among threads, which then find them in different banks. A tile's lanes take several places of the depth at once
 * (emit_tile.c); its rows lie apart by a little more than they are long, for the same reason. Numbers stay as short as they are. */
#include "backends/nvptx/plan.h"

enum { MOST_LOOPS = 16, PAD_SHORT = 8, PAD = 4 /* elements: 16 bytes */ };

/* A loop that an address moves with. */
typedef struct Digit {
    const KStmt *loop;
    Dim stride, own; /* there; in the block's array */
} Digit;

typedef struct Kept {
    const KStmt *load;
    KIndex outside; /* what is the same in all steps and iterations */
    uint32_t n;
    Digit digit[K_MAXTERM];
    Dim size;
    KBufId buf;
} Kept;

typedef struct Same {
    const KStmt *old, *copy;
} Same;

typedef struct Reside {
    Map *m;
    const KBlock *root;
    KStmt *steps;   /* the copy */
    const KStmt *around[MOST_LOOPS]; /* loops inside of the steps */
    uint32_t naround;
    VEC(Kept) kept;
    bool worth;     /* some of it is a factor of sums */
    VEC(Same) same; /* statements, and their copies */
    KBlock front;   /* what loads */
} Reside;

/* ---- which loads ---- */

static bool is_written(const Reside *x, KBufId b)
{
    unsigned does = nv_touches(x->m->k, x->steps, kern_memory(x->m->k, b));
    for (uint32_t i = 0; i < x->root->n; i++)
        does |= nv_touches(x->m->k, x->root->p[i], kern_memory(x->m->k, b));
    return (does & NV_WRITES) != 0;
}

static const KStmt *loop_of(const Reside *x, KVar v)
{
    for (uint32_t i = 0; i < x->naround; i++)
        if (x->around[i]->loop.var == v)
            return x->around[i];
    return NULL;
}

/* The address, taken apart. False: it is not the same in all steps. */
static bool take_apart(const Reside *x, const KStmt *load, Kept *to)
{
    const KIndex *at = &load->mem.at;
    *to = (Kept){.load = load, .outside = {.base = at->base}};
    for (uint32_t i = 0; i < at->n; i++) {
        const KStmt *loop = loop_of(x, at->term[i].var);
        if (loop && (loop->loop.by == DIM_ZERO || !nv_defines(x->steps, loop->loop.from)))
            to->digit[to->n++] = (Digit){loop, at->term[i].stride, DIM_ZERO};
        else if (loop || nv_defines(x->steps, at->term[i].var))
            return false;
        else
            kern_index_add(x->m->k, &to->outside, at->term[i].var, at->term[i].stride);
    }
    return to->n > 0 && 2 * to->n <= K_MAXTERM && to->n < NV_MAXLEVEL;
}

/* ---- the block's array ---- */

static const NvTile *tile_with(const Map *m, const KStmt *load)
{
    for (uint32_t i = 0; i < m->plan->tile.n; i++)
        if (m->plan->tile.p[i]->a == load || m->plan->tile.p[i]->b == load)
            return m->plan->tile.p[i];
    return NULL;
}

/* Inner loops rank below outer ones, but what neighbours are to move with comes first. */
static uint32_t rank_of(const Reside *x, const Kept *k, const KStmt *loop)
{
    const NvTile *tile = tile_with(x->m, k->load);
    uint32_t at = 0, innermost = 0;
    for (uint32_t i = 0; i < x->naround; i++) {
        innermost = x->around[i]->loop.kind != K_SERIAL ? i : innermost;
        at = x->around[i] == loop ? i : at;
    }
    bool first = tile ? loop->loop.var == tile->depth->loop.var : x->around[innermost] == loop;
    return first ? 0 : MOST_LOOPS - at;
}

static void sort_digits(const Reside *x, Kept *k)
{
    for (uint32_t i = 1; i < k->n; i++)
        for (uint32_t j = i; j > 0 && rank_of(x, k, k->digit[j].loop) < rank_of(x, k, k->digit[j - 1].loop); j--) {
            Digit d = k->digit[j];
            k->digit[j] = k->digit[j - 1];
            k->digit[j - 1] = d;
        }
}

/* False: a size of too many factors. */
static bool lay_out(const Reside *x, Kept *k)
{
    DimTab *d = x->m->k->dims;
    int64_t pad = tile_with(x->m, k->load) ? kern_buf_narrow(x->m->k, k->load->mem.buf) ? PAD_SHORT : PAD : 0;
    sort_digits(x, k);
    k->size = DIM_ONE;
    for (uint32_t i = 0; i < k->n; i++) {
        k->digit[i].own = k->size;
        k->size = dim_mul(d, k->size, k->digit[i].loop->loop.extent);
        if (i == 0 && k->n > 1)
            k->size = dim_add(d, k->size, dim_const(d, pad));
        if (k->size == DIM_HUGE)
            return false;
    }
    return true;
}

static bool same_loop(const KStmt *a, const KStmt *b)
{
    return a->loop.extent == b->loop.extent && a->loop.by == b->loop.by && (a->loop.by == DIM_ZERO || a->loop.from == b->loop.from);
}

/* The same elements in the same order. */
static bool is_same(const Kept *a, const Kept *b)
{
    bool same = a->n == b->n && a->size == b->size && a->load->mem.buf == b->load->mem.buf && kern_index_eq(&a->outside, &b->outside);
    for (uint32_t i = 0; i < a->n && same; i++)
        same = same_loop(a->digit[i].loop, b->digit[i].loop) && a->digit[i].stride == b->digit[i].stride && a->digit[i].own == b->digit[i].own;
    return same;
}

/* Where an element is, by the variables of loops: var, or those of the digits. */
static KIndex own_index(const Reside *x, const Kept *k, const KVar *var)
{
    KernProg *p = x->m->k;
    KIndex at = {0};
    for (uint32_t i = 0; i < k->n; i++) {
        const Digit *d = &k->digit[i];
        kern_index_add(p, &at, var ? var[i] : d->loop->loop.var, d->own);
        if (d->loop->loop.by != DIM_ZERO)
            kern_index_add(p, &at, d->loop->loop.from, dim_sub(p->dims, DIM_ZERO, dim_mul(p->dims, d->own, d->loop->loop.by)));
    }
    return at;
}

/* ---- loading ---- */

static void add_front(Reside *x, const Kept *k)
{
    KernProg *p = x->m->k;
    KBlock *to = &x->front;
    KVar var[K_MAXTERM], value = kern_var(p, p->buf.p[k->buf].dt, false, STR(""));
    KIndex from = k->outside;
    for (uint32_t i = k->n; i-- > 0;) {
        KStmt loop = {.kind = K_LOOP, .at = k->load->at, .loop = {.kind = K_PARALLEL, .var = kern_var(p, DT_INT, true, STR(""))}};
        loop.loop.extent = k->digit[i].loop->loop.extent;
        loop.loop.from = k->digit[i].loop->loop.from, loop.loop.by = k->digit[i].loop->loop.by;
        var[i] = loop.loop.var;
        kern_index_add(p, &from, var[i], k->digit[i].stride);
        to = &kern_add(p, to, loop)->loop.body;
    }
    kern_add(p, to, (KStmt){.kind = K_LOAD, .at = k->load->at, .mem = {.var = value, .buf = k->load->mem.buf, .at = from}});
    kern_add(p, to, (KStmt){.kind = K_STORE, .at = k->load->at, .mem = {.var = value, .buf = k->buf, .at = own_index(x, k, var)}});
}

/* Inside of a serial loop that stands in a shared one: a thread reads many of them in a step, and other threads the same. */
static bool is_in_sum(const Reside *x)
{
    bool shared = false, serial = false;
    for (uint32_t i = 0; i < x->naround; i++) {
        serial |= shared && x->around[i]->loop.kind == K_SERIAL;
        shared |= x->around[i]->loop.kind != K_SERIAL;
    }
    return serial;
}

/* It loads from the block's array, if what it reads stays. */
static void keep(Reside *x, KStmt *load)
{
    KernProg *p = x->m->k;
    Kept k;
    if (p->buf.p[load->mem.buf].dt != DT_REAL || is_written(x, load->mem.buf) || !take_apart(x, load, &k) || !lay_out(x, &k))
        return;
    k.buf = K_NONE;
    for (uint32_t i = 0; i < x->kept.n && k.buf == K_NONE; i++)
        k.buf = is_same(&x->kept.p[i], &k) ? x->kept.p[i].buf : K_NONE;
    if (k.buf == K_NONE) {
        k.buf = kern_buf(p, (KBuf){.kind = K_BLOCK, .dt = DT_REAL, .slot = load->mem.buf, .size = k.size, .shares = K_NONE, .home = K_NONE});
        vec_push(x->m->a, &x->kept, k);
        vec_push(x->m->a, &x->m->kernel->kept, k.buf);
        add_front(x, &k);
    }
    x->worth |= is_in_sum(x);
    load->mem.buf = k.buf;
    load->mem.at = own_index(x, &k, NULL);
}

static void keep_all(Reside *x, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i];
        if (s->kind == K_LOAD)
            keep(x, s);
        if (s->kind != K_LOOP || x->naround == MOST_LOOPS)
            continue;
        x->around[x->naround++] = s;
        keep_all(x, &s->loop.body);
        x->naround--;
    }
}

/* ---- the steps again ---- */

static KStmt *copy_stmt(Reside *x, const KStmt *s);

static KBlock copy_block(Reside *x, const KBlock *b)
{
    KBlock to = {0};
    for (uint32_t i = 0; i < b->n; i++)
        vec_push(x->m->k->arena, &to, copy_stmt(x, b->p[i]));
    return to;
}

static KStmt *copy_stmt(Reside *x, const KStmt *s)
{
    KStmt *copy = NEW(x->m->k->arena, KStmt);
    *copy = *s;
    vec_push(x->m->a, &x->same, ((Same){s, copy}));
    if (s->kind == K_LOOP)
        copy->loop.body = copy_block(x, &s->loop.body);
    return copy;
}

static const KStmt *copy_of(const Reside *x, const KStmt *old)
{
    for (uint32_t i = 0; i < x->same.n; i++)
        if (x->same.p[i].old == old)
            return x->same.p[i].copy;
    return NULL;
}

static void copy_tiles(Reside *x)
{
    NvPlan *p = x->m->plan;
    for (uint32_t i = 0, n = p->tile.n; i < n; i++) {
        const NvTile *old = p->tile.p[i];
        if (!copy_of(x, old->row))
            continue;
        NvTile *tile = NEW(x->m->a, NvTile);
        *tile = (NvTile){old->factor, copy_of(x, old->row), copy_of(x, old->col), copy_of(x, old->depth),
                         copy_of(x, old->a), copy_of(x, old->b), copy_of(x, old->mul), copy_of(x, old->store)};
        vec_push(x->m->a, &p->tile, tile);
    }
}

static bool share_out(Map *m, KStmt *steps)
{
    NvKernel *kernel = m->kernel;
    Dim axis;
    if (!kern_work_axis(m->k, steps, &axis))
        return false;
    nv_fold(m, steps, axis);
    nv_take_turns(m, steps);
    m->own = NEWN(m->a, bool, m->k->buf.n);
    KStmt *tasks = kern_cut_work(m->k, steps, axis, kernel->cut.n, m->own);
    kernel->shared = true;
    kernel->team = (NvCut){tasks->tasks.extent, tasks->tasks.first, tasks->tasks.part, 1};
    vec_push(m->a, &m->pieces, ((KernPiece){tasks->tasks.part, tasks->tasks.extent}));
    return true;
}

bool nv_reside(Map *m, const KBlock *root, const KStmt *steps, bool team, KBlock *to)
{
    Reside x = {.m = m, .root = root};
    KStmt *copy = copy_stmt(&x, steps);
    if (team && (root->n != 1 || !share_out(m, copy)))
        return false;
    copy_tiles(&x);
    x.steps = copy;
    if (team)
        nv_first_turns(m, copy, &x.front);
    keep_all(&x, &copy->loop.body);
    if (!x.worth)
        return false;
    for (uint32_t i = 0; i < root->n; i++) {
        for (uint32_t j = 0; j < x.front.n && root->p[i] == steps; j++)
            vec_push(m->a, to, x.front.p[j]);
        vec_push(m->a, to, root->p[i] == steps ? copy : root->p[i]);
    }
    return true;
}
