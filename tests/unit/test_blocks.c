/* Plans for GPUs without a GPU: every thread of every block goes through its nodes, one thread after the other, in several
 * orders, and every access is looked at. Two threads that touch one element, one of them writing, with no barrier and no end
 * of a kernel between them, are an error, whatever came out. What comes out is what the interpreter says of the program
 * before it was mapped. And a barrier that is taken away must be missed. */
#include <dirent.h>

#include "backends/nvptx/nvptx.h"
#include "ir/kern/run.h"
#include "tests/unit/kern_data.h"

/* ---- a machine ---- */

/* What was done to an element. Times count barriers, blocks and kernels. */
typedef struct Seen {
    int64_t write_time, read_time, first_read; /* first_read: in this kernel */
    int64_t writer, reader;
    bool readers; /* several, at read_time */
    int64_t team_read; /* since which barrier of the team, */
    unsigned ranks;    /* by which of its blocks */
} Seen;

enum { MOST_TEAM = 3 };

typedef struct Grid {
    Arena *a;
    const NvPlan *plan;
    const NvKernel *kernel;
    KernRun run;
    double **buf; /* those of run */
    double ***kept; /* by block of a team and number of what is kept */
    Seen ***kept_seen;
    int64_t threads, blocks, piece[NV_MAXCUT]; /* threads of a block; blocks, or teams of them */
    int64_t team, all;              /* blocks of a team, and their threads */
    double **var;                   /* by thread, KVar */
    double **before;                /* likewise, of accumulators */
    double *slot;                   /* shared memory */
    Seen *slot_seen, **seen;        /* by KBufId */
    int64_t *only;
    int64_t now, kernel_start, block_start, team_start; /* times; team_start: of the last barrier of the team */
    int64_t block, thread;
    uint64_t random;
    const NvNode *removed; /* a barrier that is not there, */
    bool weaker;           /* or one of the block, and not of the team */
    bool left;
    Str race;              /* the first one */
} Grid;

static uint64_t draw_order(Grid *g)
{
    uint64_t z = g->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    return z ^ z >> 27;
}

/* n numbers in some order: as they are, backwards, or by chance. */
static int64_t *order(Grid *g, int64_t n)
{
    int64_t *at = NEWN(g->a, int64_t, n + 1);
    uint64_t how = draw_order(g) % 4;
    for (int64_t i = 0; i < n; i++)
        at[i] = how == 1 ? n - 1 - i : i;
    for (int64_t i = n - 1; i > 0 && how > 1; i--) {
        int64_t j = (int64_t)(draw_order(g) % (uint64_t)(i + 1)), x = at[i];
        at[i] = at[j];
        at[j] = x;
    }
    return at;
}

/* ---- races ---- */

static void report(Grid *g, const char *what, const char *name, int64_t at)
{
    if (!g->race.n)
        g->race = str_fmt(g->a, "%.*s: %s of %s[%d] by two threads, block %d", STRF(g->kernel->name), what, name, (int)at, (int)g->block);
}

static int64_t rank_of(const Grid *g, int64_t thread)
{
    return thread % g->all / g->threads;
}

/* Whether something at that time in this kernel, by that thread, is not in order with what happens now. */
static bool is_unordered(const Grid *g, int64_t time, int64_t by)
{
    int64_t since = rank_of(g, by) == rank_of(g, g->thread) ? g->now : g->team_start;
    return time >= g->kernel_start && (time < g->block_start || time >= since);
}

/* By blocks of the team. */
static void see_read(const Grid *g, Seen *s)
{
    if (s->team_read != g->team_start)
        s->ranks = 0;
    s->team_read = g->team_start;
    s->ranks |= 1u << rank_of(g, g->thread);
}

static bool other_rank_reads(const Grid *g, const Seen *s)
{
    return s->team_read == g->team_start && (s->ranks & ~(1u << rank_of(g, g->thread)));
}

static void see(Grid *g, Seen *s, const char *name, int64_t at, bool write)
{
    int64_t me = g->block * g->all + g->thread;
    if (is_unordered(g, s->write_time, s->writer) && s->writer != me)
        report(g, write ? "two writes" : "a write and a read", name, at);
    if (!write) {
        s->readers = s->read_time == g->now && (s->readers || s->reader != me);
        s->first_read = s->first_read < g->kernel_start ? g->now : s->first_read;
        s->read_time = g->now;
        s->reader = me;
        see_read(g, s);
        return;
    }
    bool other_block = s->first_read >= g->kernel_start && s->first_read < g->block_start;
    if (other_block || other_rank_reads(g, s) || (s->read_time == g->now && (s->readers || s->reader != me)))
        report(g, "a read and a write", name, at);
    s->write_time = g->now;
    s->writer = me;
}

static void touch(void *cx, KBufId b, int64_t at, bool write)
{
    Grid *g = cx;
    const KernProg *k = g->plan->k;
    KBufId memory = k->buf.p[b].shares != K_NONE ? k->buf.p[b].shares : b;
    if (!g->seen[memory])
        g->seen[memory] = NEWN(g->a, Seen, g->run.size[memory]);
    see(g, &g->seen[memory][at], str_fmt(g->a, "b%u", memory).p, at, write);
}

static void see_slot(Grid *g, int64_t at, bool write)
{
    see(g, &g->slot_seen[at], "a partial result", at, write);
}

/* ---- nodes ---- */

static void be(Grid *g, int64_t thread)
{
    const NvKernel *kernel = g->kernel;
    int64_t rank = thread / g->threads;
    g->thread = thread;
    g->run.var = g->var[thread];
    for (uint32_t i = 0; i < kernel->kept.n; i++) {
        g->buf[kernel->kept.p[i]] = g->kept[rank][i];
        g->seen[kernel->kept.p[i]] = g->kept_seen[rank][i];
    }
    if (!kernel->shared)
        return;
    int64_t axis = kern_run_dim(&g->run, kernel->team.axis), piece = (axis + g->team - 1) / g->team, rest = axis - rank * piece;
    g->run.dim_value[kernel->team.part] = rest < 0 ? 0 : rest < piece ? rest : piece;
    g->run.var[kernel->team.first] = (double)(rank * piece);
}

static void run_stmt(Grid *g, KStmt *s)
{
    kern_run_block(&g->run, &(KBlock){.p = &s, .n = 1});
}

/* All of them leave a loop, or none. */
static void run_each(Grid *g, const NvNode *n)
{
    int64_t *at = order(g, g->all), leaving = 0;
    for (int64_t i = 0; i < g->all; i++) {
        be(g, at[i]);
        run_stmt(g, n->s);
        leaving += g->run.left;
        g->run.left = false;
    }
    cr_assert(leaving == 0 || leaving == g->all || g->race.n, "%.*s: %d of %d threads leave a loop", STRF(g->kernel->name),
              (int)leaving, (int)g->all);
    g->left = leaving > 0;
}

static void take(Grid *g, const NvNode *n, int64_t number)
{
    for (uint32_t l = n->nlevel; l-- > 0;) {
        int64_t extent = kern_run_dim(&g->run, n->extent[l]);
        for (uint32_t i = 0; i < n->axis.n; i++)
            if (n->axis.p[i].level == l)
                g->only[n->axis.p[i].loop->loop.var] = number % extent;
        number /= extent;
    }
}

static void run_iterations(Grid *g, const NvNode *n, int64_t first, int64_t step)
{
    int64_t count = kern_run_dim(&g->run, n->count);
    for (int64_t i = first; i < count; i += step) {
        take(g, n, i);
        run_stmt(g, n->s);
    }
    for (uint32_t i = 0; i < n->axis.n; i++)
        g->only[n->axis.p[i].loop->loop.var] = -1;
}

static void share(Grid *g, const NvNode *n, int64_t thread)
{
    be(g, thread);
    for (uint32_t i = 0; i < n->sum.n; i++) {
        const KStmt *s = n->sum.p[i];
        g->before[thread][s->acc.var] = g->run.var[s->acc.var];
        g->run.var[s->acc.var] = kern_run_neutral(s->acc.red, g->plan->k->var.p[s->acc.var].dt);
    }
    bool blocks = g->kernel->blocks;
    run_iterations(g, n, blocks ? thread % g->threads : g->block * g->threads + thread, blocks ? g->threads : g->threads * g->blocks);
    for (uint32_t i = 0; i < n->sum.n; i++) {
        see_slot(g, i * g->threads + thread, true);
        g->slot[i * g->threads + thread] = g->run.var[n->sum.p[i]->acc.var];
    }
}

/* Which thread of a warp brings, or keeps, an element is nobody's business: any may. */
static int64_t owner(const Grid *g, int64_t element, int64_t threads)
{
    uint64_t z = (uint64_t)(element + 1) * 0x9E3779B97F4A7C15u ^ (uint64_t)(g->kernel->blocks ? g->now : g->kernel_start) * 0xBF58476D1CE4E5B9u;
    return (int64_t)((z ^ z >> 29) * 0x94D049BB133111EBu >> 33) % threads;
}

static void tiles(Grid *g, const NvNode *n, int64_t thread)
{
    bool blocks = g->kernel->blocks;
    int64_t me = blocks ? thread % g->threads : g->block * g->threads + thread, all = blocks ? g->threads : g->threads * g->blocks;
    be(g, thread);
    for (int64_t i = 0, count = kern_run_dim(&g->run, n->count); i < count; i++)
        if (owner(g, i, all) == me)
            run_iterations(g, n, i, count);
}

static void combine(Grid *g, const NvNode *n, int64_t thread)
{
    int64_t count = kern_run_dim(&g->run, n->count), with_results = count < g->threads ? count : g->threads;
    be(g, thread);
    for (uint32_t i = 0; i < n->sum.n; i++) {
        const KStmt *s = n->sum.p[i];
        double all = g->before[thread][s->acc.var];
        for (int64_t t = 0; t < with_results; t++) {
            see_slot(g, i * g->threads + t, false);
            all = kern_run_reduce(s->acc.red, all, g->slot[i * g->threads + t]);
        }
        g->run.var[s->acc.var] = all;
    }
}

static void by_all(Grid *g, const NvNode *n, void (*does)(Grid *, const NvNode *, int64_t))
{
    int64_t *at = order(g, g->all);
    for (int64_t i = 0; i < g->all; i++)
        does(g, n, at[i]);
}

static void run_nodes(Grid *g, const NvNodes *nodes);

static void run_steps(Grid *g, const NvNode *n)
{
    const KStmt *s = n->s;
    int64_t count = kern_run_dim(&g->run, s->loop.extent), by = kern_run_dim(&g->run, s->loop.by);
    int64_t start = by ? (int64_t)g->var[0][s->loop.from] * by : 0;
    for (int64_t i = 0; i < count && !g->left; i++) {
        for (int64_t t = 0; t < g->all; t++)
            g->var[t][s->loop.var] = (double)(start + (s->loop.reverse ? count - 1 - i : i));
        run_nodes(g, &n->body);
    }
    g->left = false;
}

/* ---- looking back ---- */

/* Everything so far is in order with what comes. */
static void in_order(Grid *g)
{
    g->kernel_start = g->block_start = g->team_start = ++g->now;
}

static void take_part(Grid *g, const NvNode *n, uint32_t first, int64_t piece, int64_t number)
{
    for (uint32_t l = n->nlevel; l-- > first;) {
        int64_t extent = kern_run_dim(&g->run, n->extent[l]);
        for (uint32_t i = 0; i < n->axis.n; i++)
            if (n->axis.p[i].level == l)
                g->only[n->axis.p[i].loop->loop.var] = number % extent;
        number /= extent;
    }
    for (uint32_t i = 0; i < n->axis.n && first; i++)
        if (n->axis.p[i].level == 0)
            g->only[n->axis.p[i].loop->loop.var] = piece;
}

/* Each thread is a block of its own. */
static void be_piece(Grid *g, int64_t number)
{
    g->block = number;
    g->block_start = g->team_start = ++g->now;
    be(g, 0);
}

static void run_part(Grid *g, const NvNode *n, uint32_t first, KStmt *s, int64_t piece, int64_t number)
{
    take_part(g, n, first, piece, number);
    run_stmt(g, s);
    for (uint32_t i = 0; i < n->axis.n; i++)
        g->only[n->axis.p[i].loop->loop.var] = -1;
}

/* Of pieces in order, numbered as loops have them. */
static int64_t by_number(Grid *g, const NvLook *k, int64_t piece)
{
    return k->loop->loop.reverse ? kern_run_dim(&g->run, k->loop->loop.extent) - 1 - piece : piece;
}

/* From any piece before that somebody could have found, or from the start. */
static void run_back(Grid *g, const NvLook *k, int64_t piece, int64_t number)
{
    int64_t found = (int64_t)(draw_order(g) % (uint64_t)(piece + 1)) - 1;
    double *var = g->var[0];
    in_order(g);
    var[k->own] = (double)by_number(g, k, piece);
    var[k->found] = (double)by_number(g, k, found);
    run_part(g, k->step, 0, found < 0 ? k->start : k->take, 0, number);
    for (int64_t p = found + 1; p <= piece; p++) {
        var[k->loop->loop.var] = (double)by_number(g, k, p);
        kern_run_block(&g->run, &k->around);
        run_part(g, k->step, 0, k->step->s, 0, number);
    }
}

/* Threads of pieces and of the rest run in any order, states in theirs. */
static void run_look(Grid *g, const NvLook *k)
{
    int64_t width = kern_run_dim(&g->run, k->step->count), pieces = kern_run_dim(&g->run, k->loop->loop.extent);
    int64_t *at = order(g, width * pieces);
    for (int64_t i = 0; i < width * pieces; i++) {
        be_piece(g, at[i]);
        run_part(g, k->pieces, 1, k->pieces->s, at[i] / width, at[i] % width);
    }
    for (int64_t i = 0; i < width * pieces; i++) {
        be_piece(g, i);
        run_back(g, k, i / width, i % width);
    }
    in_order(g);
    at = order(g, width * pieces);
    for (int64_t i = 0; i < width * pieces; i++) {
        be_piece(g, at[i]);
        run_part(g, k->rest, 1, k->rest->s, at[i] / width, at[i] % width);
    }
}

static void run_barrier(Grid *g, const NvNode *n)
{
    if (n == g->removed && !g->weaker)
        return;
    g->now++;
    g->team_start = n->team && n != g->removed ? g->now : g->team_start;
}

static void run_nodes(Grid *g, const NvNodes *nodes)
{
    for (uint32_t i = 0; i < nodes->n && !g->left; i++) {
        const NvNode *n = nodes->p[i];
        switch (n->kind) {
        case NV_EACH: run_each(g, n); break;
        case NV_ONE:
            be(g, 0);
            run_stmt(g, n->s);
            break;
        case NV_SHARE: by_all(g, n, share); break;
        case NV_PANELS:
        case NV_TILES: by_all(g, n, tiles); break;
        case NV_COMBINE: by_all(g, n, combine); break;
        case NV_LOOK:
            if (g->block == 0)
                run_look(g, n->look);
            break;
        case NV_STEPS: run_steps(g, n); break;
        case NV_BARRIER:
            run_barrier(g, n);
            break;
        }
    }
}

/* ---- kernels ---- */

static int64_t pieces_of(Grid *g, uint32_t cut)
{
    return (kern_run_dim(&g->run, g->kernel->cut.p[cut].axis) + g->piece[cut] - 1) / g->piece[cut];
}

/* The first place along each axis, and how many; a block beyond the end has none. */
static void find_pieces(Grid *g, int64_t block, int64_t *at)
{
    for (uint32_t i = 0; i < g->kernel->cut.n; i++) {
        const NvCut *cut = &g->kernel->cut.p[i];
        int64_t n = i + 1 < g->kernel->cut.n ? pieces_of(g, i) : INT64_MAX;
        n = n ? n : 1;
        at[i] = block % n * g->piece[i];
        block /= n;
        int64_t rest = kern_run_dim(&g->run, cut->axis) - at[i];
        g->run.dim_value[cut->part] = rest < 0 ? 0 : rest < g->piece[i] ? rest : g->piece[i];
    }
}

static int64_t blocks_of(Grid *g)
{
    int64_t blocks = 1;
    for (uint32_t i = 0; i < g->kernel->cut.n; i++) {
        g->piece[i] = 1 + (int64_t)(draw_order(g) % 3);
        blocks *= pieces_of(g, i);
    }
    return blocks + (g->kernel->cut.n ? (int64_t)(draw_order(g) % 2) : 0);
}

/* Room for what a block keeps, whatever its pieces. */
static void make_kept(Grid *g)
{
    const NvKernel *kernel = g->kernel;
    for (uint32_t i = 0; i < kernel->cut.n; i++)
        g->run.dim_value[kernel->cut.p[i].part] = kern_run_dim(&g->run, kernel->cut.p[i].axis);
    if (kernel->shared)
        g->run.dim_value[kernel->team.part] = kern_run_dim(&g->run, kernel->team.axis);
    g->kept = NEWN(g->a, double **, g->team);
    g->kept_seen = NEWN(g->a, Seen **, g->team);
    for (int64_t rank = 0; rank < g->team; rank++) {
        g->kept[rank] = NEWN(g->a, double *, kernel->kept.n + 1);
        g->kept_seen[rank] = NEWN(g->a, Seen *, kernel->kept.n + 1);
        for (uint32_t i = 0; i < kernel->kept.n; i++) {
            KBufId b = kernel->kept.p[i];
            g->run.size[b] = kern_run_dim(&g->run, g->plan->k->buf.p[b].size);
            g->kept[rank][i] = NEWN(g->a, double, g->run.size[b] + 1);
            g->kept_seen[rank][i] = NEWN(g->a, Seen, g->run.size[b] + 1);
        }
    }
}

/* Another block finds nothing there. */
static void empty_kept(Grid *g)
{
    for (int64_t rank = 0; rank < g->team; rank++)
        for (uint32_t i = 0; i < g->kernel->kept.n; i++) {
            int64_t n = g->run.size[g->kernel->kept.p[i]];
            memset(g->kept_seen[rank][i], 0, (size_t)n * sizeof ***g->kept_seen);
            for (int64_t at = 0; at < n; at++)
                g->kept[rank][i][at] = NAN;
        }
}

static void start_block(Grid *g, int64_t block)
{
    const NvKernel *kernel = g->kernel;
    int64_t at[NV_MAXCUT] = {0};
    find_pieces(g, block, at);
    g->block = block;
    g->block_start = g->team_start = ++g->now;
    empty_kept(g);
    memset(g->slot_seen, 0, (size_t)(kernel->nsum * g->threads) * sizeof *g->slot_seen);
    for (int64_t t = 0; t < g->all; t++) {
        for (uint32_t v = 0; v < g->plan->k->var.n; v++)
            g->var[t][v] = NAN;
        be(g, t);
        for (uint32_t i = 0; i < kernel->cut.n; i++)
            g->run.var[kernel->cut.p[i].first] = (double)at[i];
        kern_run_block(&g->run, &kernel->before);
    }
}

static void run_kernel(Grid *g, const NvKernel *kernel)
{
    g->kernel = kernel;
    g->kernel_start = ++g->now;
    g->slot = NEWN(g->a, double, kernel->nsum * g->threads + 1);
    g->slot_seen = NEWN(g->a, Seen, kernel->nsum * g->threads + 1);
    g->team = kernel->shared ? 2 + (int64_t)(draw_order(g) % (MOST_TEAM - 1)) : 1;
    g->all = g->threads * g->team;
    make_kept(g);
    g->blocks = kernel->blocks ? blocks_of(g) : 1 + (int64_t)(draw_order(g) % 3);
    int64_t *at = order(g, g->blocks);
    for (int64_t i = 0; i < g->blocks; i++) {
        start_block(g, at[i]);
        run_nodes(g, &kernel->node);
    }
}

static bool has_node(const NvNodes *nodes, const NvNode *n)
{
    for (uint32_t i = 0; i < nodes->n && n; i++)
        if (nodes->p[i] == n || has_node(&nodes->p[i]->body, n))
            return true;
    return false;
}

/* Of kernels that do the same, any, but that with the barrier that is not there. */
static void run_function(Grid *g, const NvFn *fn)
{
    for (uint32_t i = 0, next; i < fn->kernel.n; i = next) {
        uint32_t chosen = K_NONE;
        for (next = i; next == i || (next < fn->kernel.n && fn->kernel.p[next].instead); next++)
            chosen = has_node(&fn->kernel.p[next].node, g->removed) ? next : chosen;
        chosen = chosen == K_NONE ? i + (uint32_t)(draw_order(g) % (next - i)) : chosen;
        run_kernel(g, &fn->kernel.p[chosen]);
    }
}

static Grid grid_new(Arena *a, const NvPlan *p, const Data *d, const Case *c)
{
    static const int64_t threads[] = {1, 3, 8, 5};
    Grid g = {.a = a, .plan = p, .threads = threads[c->seed % 4], .random = c->seed};
    g.run = kern_run_open(a, p->k, d->dim, d->buf, c->seed);
    g.buf = d->buf;
    g.run.touch = touch;
    g.seen = NEWN(a, Seen *, p->k->buf.n);
    g.all = g.threads, g.team = 1;
    g.var = NEWN(a, double *, MOST_TEAM * g.threads);
    g.before = NEWN(a, double *, MOST_TEAM * g.threads);
    g.only = NEWN(a, int64_t, p->k->var.n);
    memset(g.only, -1, p->k->var.n * sizeof *g.only);
    g.run.only = g.only;
    for (int64_t t = 0; t < MOST_TEAM * g.threads; t++) {
        g.var[t] = NEWN(a, double, p->k->var.n);
        g.before[t] = NEWN(a, double, p->k->var.n);
    }
    return g;
}

/* ---- against the interpreter ---- */

/* Sizes by DimSym: the plan has one more, the part of an axis. */
static Data data_of_plan(Arena *a, const NvPlan *p, const Case *c, const char *what)
{
    return data_new(a, p->k, c, what);
}

static bool same(double a, double b)
{
    return a == b || fabs(a - b) <= 1e-10 * (1 + fabs(b)) || (isnan(a) && isnan(b));
}

/* What Newton's form tells of its rounds hangs on single bits, and these on the order of sums. */
static bool is_result(const KernProg *k, const KBuf *b)
{
    return b->kind == K_OUT && k->out.p[b->slot].role != OUT_REPORT;
}

/* The first output that differs; empty if none does. */
static Str difference_of(const Data *got, const Data *want)
{
    for (KBufId b = 0; b < want->k->buf.n; b++) {
        const KBuf *x = &want->k->buf.p[b];
        for (int64_t i = 0; is_result(want->k, x) && want->buf[b] && i < size_of_buf(want, b); i++)
            if (!same(got->buf[b][i], want->buf[b][i]))
                return str_fmt(got->a, "b%u[%d] is %.17g, not %.17g", b, (int)i, got->buf[b][i], want->buf[b][i]);
    }
    return (Str){0};
}

typedef struct Pair {
    const KernProg *k; /* as it was */
    const NvPlan *plan;
    const char *what;
} Pair;

/* What is wrong with the plan on these sizes; empty: nothing. */
static Str run_case(Arena *a, const Pair *p, const Case *c, const NvNode *removed, bool weaker)
{
    Data want = data_new(a, p->k, c, p->what), got = data_of_plan(a, p->plan, c, p->what);
    Grid g = grid_new(a, p->plan, &got, c);
    g.run.cx = &g;
    g.removed = removed, g.weaker = weaker;
    for (RecFn fn = REC_FORWARD; fn <= (c->keep ? REC_BACKWARD : REC_FORWARD); fn++) {
        bool fine = kern_run(p->k, fn, want.dim, want.buf, c->seed);
        run_function(&g, &p->plan->fn[fn]);
        if (g.race.n)
            return g.race;
        if (g.run.in_range != fine)
            return STR("an index is out of range in one of the two");
        if (!fine)
            return (Str){0};
        Str differs = difference_of(&got, &want);
        if (differs.n)
            return differs;
    }
    return (Str){0};
}

static Case case_number(uint32_t i)
{
    static const int64_t T[] = {0, 1, 2, 5, 7}, B[] = {3, 1, 0, 2};
    return (Case){.T = T[i % 5], .B = B[i / 5 % 4], .keep = i & 1, .chance = i / 3 & 1, .seed = i};
}

enum { NCASE = 20 };

static void check_plan(const Pair *p)
{
    for (uint32_t i = 0; i < NCASE; i++) {
        Arena *a = arena_new();
        Case c = case_number(i);
        Str wrong = run_case(a, p, &c, NULL, false);
        cr_assert(wrong.n == 0, "%s, T %d B %d keep %d seed %d: %.*s", p->what, (int)c.T, (int)c.B, c.keep, (int)c.seed, STRF(wrong));
        arena_free(a);
    }
}

static KernProg *lowered(Arena *a, const Entry *e, RecForm form, FactorType products)
{
    RecProg *rec = make_entry(a, e);
    rec->form = form;
#define PASS(IR, NAME, ...) IR##_##NAME(rec);
#include "ir/rec/passes.def"
#undef PASS
    if (rec->form_missing != WHY_NONE)
        return NULL;
    KernProg *k = rec_to_kern(a, rec);
    k->tiles = true;
    k->products = products;
#define PASS(IR, NAME, ...)                                                                                            \
    if (!kern_is_of_cpu(IR##_##NAME))                                                                                  \
        IR##_##NAME(k);
#include "ir/kern/passes.def"
#undef PASS
    return k;
}

/* Factors are not rounded here: it is about who does what, and when. */
static bool pair_new(Arena *a, const Entry *e, RecForm form, FactorType products, Pair *out)
{
    KernProg *k = lowered(a, e, form, FACTOR_REAL), *mapped = lowered(a, e, form, products);
    if (!k)
        return false;
    NvPlan *plan = nv_plan(a, mapped, &(NvOptions){.arch = STR("sm_90")});
    *out = (Pair){k, plan, str_fmt(a, "%s, form %d:%u", e->name, (int)form.kind, form.size).p};
    for (int fn = 0; fn < REC_NFN; fn++)
        cr_assert_eq(plan->fn[fn].refused.n, 0, "%s: %.*s", out->what, STRF(plan->fn[fn].refused));
    return true;
}

/* ---- barriers that are taken away ---- */

static bool is_missed(const Pair *p, const NvNode *barrier, bool weaker)
{
    bool wrong = false;
    for (uint32_t i = 0; i < 4 * NCASE && !wrong; i++) {
        Arena *a = arena_new();
        Case c = case_number(i);
        wrong = run_case(a, p, &c, barrier, weaker).n > 0;
        arena_free(a);
    }
    return wrong;
}

static void check_barriers(const Pair *p, Str kernel, const NvNodes *nodes, uint32_t *all, uint32_t *missed)
{
    for (uint32_t i = 0; i < nodes->n; i++) {
        const NvNode *n = nodes->p[i];
        check_barriers(p, kernel, &n->body, all, missed);
        for (int weaker = 0; n->kind == NV_BARRIER && weaker <= n->team; weaker++) {
            bool is = is_missed(p, n, weaker);
            ++*all;
            *missed += is;
            if (!is)
                printf("%s: barrier %u of %.*s is not missed%s\n", p->what, *all, STRF(kernel), weaker ? " as one of the team" : "");
        }
    }
}

static void check_all_barriers(const Pair *p, uint32_t *all, uint32_t *missed)
{
    for (int fn = 0; fn < REC_NFN; fn++)
        for (uint32_t i = 0; i < p->plan->fn[fn].kernel.n; i++)
            check_barriers(p, p->plan->fn[fn].kernel.p[i].name, &p->plan->fn[fn].kernel.p[i].node, all, missed);
}

/* ---- files ---- */

static void check_entry(const Entry *e, RecForm form, FactorType products, bool barriers)
{
    Arena *a = arena_new();
    Pair p;
    if (pair_new(a, e, form, products, &p)) {
        uint32_t all = 0, missed = 0;
        check_plan(&p);
        if (barriers)
            check_all_barriers(&p, &all, &missed);
        cr_assert_eq(all, missed, "%s: %u of %u barriers are needed", p.what, missed, all);
    }
    arena_free(a);
}

#define SEQUENTIAL (RecForm){.kind = REC_FORM_SEQUENTIAL}

static void check_tiled(const char *file, RecForm form, FactorType products)
{
    Arena *a = arena_new();
    Sources *s = sources_new(a);
    Unit *u = unit_load(a, s, diags_new(a, s), str_of(file));
    cr_assert(u, "%s", file);
    for (uint32_t i = 0; i < unit_entries(u); i++)
        check_entry(&(Entry){file, str_c(a, unit_entry_name(u, i))}, form, products, false);
    arena_free(a);
}

static void check_file(const char *file, RecForm form)
{
    check_tiled(file, form, FACTOR_REAL);
}

static bool is_source(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".rnn") == 0;
}

/* Every entry of a folder that has the form. */
static void check_folder(const char *folder, RecForm form)
{
    Arena *a = arena_new();
    DIR *d = opendir(folder);
    cr_assert(d, "%s", folder);
    for (struct dirent *file = readdir(d); file; file = readdir(d))
        if (is_source(file->d_name))
            check_file(str_fmt(a, "%s/%s", folder, file->d_name).p, form);
    closedir(d);
    arena_free(a);
}

Test(blocks, library) { check_folder("stdlib", SEQUENTIAL); }
Test(blocks, cells) { check_folder("tests/cells", SEQUENTIAL); }
Test(blocks, together) { check_file("tests/ptx/together.rnn", SEQUENTIAL); }
Test(blocks, scan) { check_folder("stdlib", (RecForm){.kind = REC_FORM_SCAN, .size = 3}); }
Test(blocks, chunk) { check_folder("stdlib", (RecForm){.kind = REC_FORM_CHUNK, .size = 3}); }
Test(blocks, convolution) { check_folder("stdlib", (RecForm){.kind = REC_FORM_CONVOLUTION, .size = 3}); }

static void check_files(const char *const *file, size_t n, RecForm form)
{
    for (size_t i = 0; i < n; i++)
        check_file(file[i], form);
}

Test(blocks, newton)
{
    static const char *const files[] = {"stdlib/pararnn.rnn", "stdlib/elman.rnn", "stdlib/deltanet.rnn", "stdlib/slstm.rnn"};
    check_files(files, sizeof files / sizeof *files, (RecForm){.kind = REC_FORM_NEWTON, .size = 3});
}

Test(blocks, wavefront)
{
    static const char *const files[] = {"stdlib/mdrnn.rnn", "stdlib/grid_lstm.rnn"};
    check_files(files, sizeof files / sizeof *files, (RecForm){.kind = REC_FORM_WAVEFRONT});
}

Test(blocks, grids_in_blocks) { check_file("tests/cells/inside/blocks.rnn", (RecForm){.kind = REC_FORM_BLOCK, .size = 2}); }

/* Several forms in one program, where sizes decide. */
Test(blocks, usual_form)
{
    static const char *const files[] = {"stdlib/gla.rnn", "stdlib/mlstm.rnn", "stdlib/h3.rnn", "stdlib/rwkv7.rnn", "stdlib/mamba2.rnn"};
    check_files(files, sizeof files / sizeof *files, (RecForm){.kind = REC_FORM_AUTO});
}

/* Each barrier is needed. */
Test(blocks, barriers)
{
    static const Entry needed[] = {
        {"stdlib/elman.rnn", "elman"},       {"stdlib/gru.rnn", "gru"},           {"stdlib/lstm.rnn", "lstm"},
        {"stdlib/jordan.rnn", "jordan"},     {"stdlib/slstm.rnn", "slstm"},       {"stdlib/lstm_projection.rnn", "lstm_projection"},
        {"stdlib/lstm_heads.rnn", "lstm_heads"}, {"stdlib/gated_deltanet.rnn", "gated_deltanet"},
        {"stdlib/leaky.rnn", "leaky"},       {"stdlib/mamba.rnn", "mamba"},       {"stdlib/mamba2.rnn", "mamba2"},
        {"stdlib/mlstm.rnn", "mlstm"},       {"stdlib/retnet.rnn", "retnet"},     {"stdlib/deltanet.rnn", "deltanet"},
        {"stdlib/titans.rnn", "titans"},     {"stdlib/hmm.rnn", "viterbi"},       {"stdlib/plstm.rnn", "plstm_graph"},
        {"stdlib/mdlstm.rnn", "mdlstm"},     {"stdlib/stacked.rnn", "gru2"},      {"tests/ptx/together.rnn", "flipped"},
        {"tests/ptx/together.rnn", "everyone"},
    };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        check_entry(&needed[i], SEQUENTIAL, FACTOR_REAL, true);
}

/* ---- products by warps ---- */

Test(blocks, tiles)
{
    static const char *const files[] = {"stdlib/lstm.rnn", "stdlib/gru_reset_before.rnn", "stdlib/lstm_heads.rnn", "stdlib/jordan.rnn"};
    static const char *const chunked[] = {"stdlib/gla.rnn", "stdlib/deltanet.rnn"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        check_tiled(files[i], SEQUENTIAL, FACTOR_BF16);
    for (size_t i = 0; i < sizeof chunked / sizeof *chunked; i++)
        check_tiled(chunked[i], (RecForm){.kind = REC_FORM_CHUNK, .size = 3}, FACTOR_TF32);
}

/* Each barrier is needed here, too: lanes have other elements than the threads before and behind. */
Test(blocks, barriers_around_tiles)
{
    static const Entry needed[] = {{"stdlib/elman.rnn", "elman"}, {"stdlib/gru.rnn", "gru"}, {"stdlib/lstm.rnn", "lstm"}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        check_entry(&needed[i], SEQUENTIAL, FACTOR_BF16, true);
}

/* ---- what a plan looks like ---- */

/* From the line of a kernel to its end. */
static Str text_of(Arena *a, const NvPlan *p, const char *kernel)
{
    Text t = {.arena = a};
    nv_print(&t, p);
    const char *all = str_c(a, text_str(&t)), *at = strstr(all, kernel), *end = at ? strstr(at, "\n\n") : NULL;
    cr_assert(at, "%s\nhas no %s", all, kernel);
    return (Str){at, (uint32_t)(end ? (size_t)(end - at) : strlen(at))};
}

/* Two barriers a step: the product needs all of the last state, and what it gives is needed by others. */
Test(blocks, plan_of_gru)
{
    Arena *a = arena_new();
    Pair p;
    cr_assert(pair_new(a, &(Entry){"stdlib/gru.rnn", "gru"}, SEQUENTIAL, FACTOR_REAL, &p));
    Str forward = text_of(a, p.plan, "gru_forward_6"), backward = text_of(a, p.plan, "gru_backward_1");
    cr_assert(str_is(forward, "gru_forward_6, blocks of B, piece 1\n"
                              "  steps %4 < T\n"
                              "    barrier\n"
                              "    share 3*H*part.1 writes b33\n"
                              "    each\n"
                              "    each\n"
                              "    each\n"
                              "    barrier\n"
                              "    share H*part.1 writes b31 b14 b28 b30 b32 b29"), "%.*s", STRF(forward));
    cr_assert(str_is(backward, "gru_backward_1, blocks of B, piece 1\n"
                               "  steps %0 < T\n"
                               "    each\n"
                               "    each\n"
                               "    share H*part.1 writes b25 b24 b25 b24 b25 b24 b27\n"
                               "    barrier\n"
                               "    share H*part.1 writes b26\n"
                               "    each\n"
                               "    share H*part.1 writes b23"), "%.*s", STRF(backward));
    arena_free(a);
}

/* Heads see nothing of each other: there are as many blocks as heads and sequences. */
Test(blocks, plan_of_heads)
{
    Arena *a = arena_new();
    Pair p;
    cr_assert(pair_new(a, &(Entry){"stdlib/lstm_heads.rnn", "lstm_heads"}, SEQUENTIAL, FACTOR_REAL, &p));
    Str forward = text_of(a, p.plan, "lstm_heads_forward_5");
    cr_assert(str_is(forward, "lstm_heads_forward_5, blocks of B, piece 1 x N, piece 1\n"
                              "  steps %4 < T\n"
                              "    barrier\n"
                              "    share 4*K*part.1*part.2 writes b34\n"
                              "    each\n"
                              "    each\n"
                              "    barrier\n"
                              "    share K*part.1*part.2 writes b14 b13 b28 b27 b29 b31 b32 b33 b30"), "%.*s", STRF(forward));
    arena_free(a);
}

static NvPlan *plan_for(Arena *a, const Entry *e, const char *arch)
{
    return nv_plan(a, lowered(a, e, SEQUENTIAL, FACTOR_REAL), &(NvOptions){.arch = str_of(arch)});
}

/* On all GPUs; barriers where a block has them by itself, too, for all or for each of its blocks. Not where threads add up what others have. */
Test(blocks, plan_of_teams)
{
    Arena *a = arena_new();
    for (uint32_t i = 0; nv_arch(i); i++) {
        Str steps = text_of(a, plan_for(a, &(Entry){"stdlib/elman.rnn", "elman"}, nv_arch(i)), "elman_forward_6_team");
        cr_assert(str_is(steps, "elman_forward_6_team, blocks of B, piece 1, in teams along H, keeps H*part.2 + 4*part.2, part.2\n"
                                "  share part.1*part.2 writes b31 b31\n"
                                "  share H*part.2 writes b32\n"
                                "  share part.2 writes b33\n"
                                "  steps %4 < T\n"
                                "    each\n"
                                "    each\n"
                                "    each\n"
                                "    each\n"
                                "    barrier of the team\n"
                                "    share part.1*part.2 writes b25\n"
                                "    each\n"
                                "    each\n"
                                "    share part.1*part.2 writes b12 b23 b31 b24"), "%.*s", STRF(steps));
    }
    Text t = {.arena = a};
    nv_print(&t, plan_for(a, &(Entry){"stdlib/gated_deltanet.rnn", "gated_deltanet"}, "sm_90"));
    cr_assert(strstr(str_c(a, text_str(&t)), "combine") && !strstr(str_c(a, text_str(&t)), "_team"));
    arena_free(a);
}

static uint32_t times_of(const char *text, const char *what)
{
    uint32_t n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

/* A team waits for all of its blocks once a step: what one gate tells another stays in a block, and states take turns. */
Test(blocks, barriers_of_teams)
{
    static const struct {
        const char *file, *entry, *kernel;
        uint32_t team, block;
    } of[] = {{"stdlib/lstm.rnn", "lstm", "lstm_forward_6_team", 1, 1},
              {"stdlib/lstm.rnn", "lstm", "lstm_backward_1_team", 1, 0},
              {"stdlib/gru.rnn", "gru", "gru_forward_6_team", 1, 1},
              {"stdlib/gru.rnn", "gru", "gru_backward_1_team", 1, 1},
              {"stdlib/gru_reset_before.rnn", "gru_reset_before", "gru_reset_before_forward_6_team", 2, 0}};
    for (uint32_t i = 0; i < sizeof of / sizeof *of; i++) {
        Arena *a = arena_new();
        const char *text = str_c(a, text_of(a, plan_for(a, &(Entry){of[i].file, of[i].entry}, "sm_75"), of[i].kernel));
        cr_assert_eq(times_of(text, "barrier of the team\n"), of[i].team, "%s", text);
        cr_assert_eq(times_of(text, "barrier\n"), of[i].block, "%s", text);
        arena_free(a);
    }
}

/* Pieces side by side, and what may come before or behind them out of the way. */
Test(blocks, plan_of_scan)
{
    Arena *a = arena_new();
    Pair p, none;
    cr_assert(pair_new(a, &(Entry){"tests/ptx/diagonal.rnn", "diagonal"}, (RecForm){.kind = REC_FORM_SCAN, .size = 5}, FACTOR_REAL, &p));
    Str forward = text_of(a, p.plan, "diagonal_forward_7"), backward = text_of(a, p.plan, "diagonal_backward_5");
    cr_assert(str_is(forward, "diagonal_forward_7, threads for 5*B*H\n  look back over 5 pieces: b24 b23, then b28 b20, then b21 b20"), "%.*s", STRF(forward));
    cr_assert(str_is(backward, "diagonal_backward_5, threads for 5*B*H\n  look back over 5 pieces: b17 b16, then b30 b12, then b13 b12 b14"), "%.*s", STRF(backward));
    cr_assert(pair_new(a, &(Entry){"stdlib/plstm.rnn", "plstm"}, (RecForm){.kind = REC_FORM_SCAN, .size = 5}, FACTOR_REAL, &none));
    Text t = {.arena = a};
    nv_print(&t, none.plan); /* steps composed as matrices */
    cr_assert_null(strstr(str_c(a, text_str(&t)), "look back"));
    arena_free(a);
}

/* The rows of a tile are places of the batch; outside of steps they are all places, of which blocks make tiles. */
Test(blocks, plan_of_tiles)
{
    Arena *a = arena_new();
    Pair p;
    cr_assert(pair_new(a, &(Entry){"stdlib/gru.rnn", "gru"}, SEQUENTIAL, FACTOR_BF16, &p));
    Str steps = text_of(a, p.plan, "gru_forward_6"), inputs = text_of(a, p.plan, "gru_forward_4");
    cr_assert(str_is(steps, "gru_forward_6, blocks of B, piece 16\n"
                            "  steps %4 < T\n"
                            "    barrier\n"
                            "    tiles of 16 x 32, bf16, share 3*H*part.1 writes b33\n"
                            "    each\n"
                            "    each\n"
                            "    each\n"
                            "    barrier\n"
                            "    share H*part.1 writes b31 b14 b28 b30 b32 b29"), "%.*s", STRF(steps));
    cr_assert(str_is(inputs, "gru_forward_4, threads for 3*B*T*H\n"
                             "  panels for tiles of 128 x 64, bf16, share 3*B*T*H writes b34"), "%.*s", STRF(inputs));
    arena_free(a);
}
