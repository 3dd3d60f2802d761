/* A machine for plans: see blocks.h */
#include "tests/ptx/blocks.h"

#include <dirent.h>

#include "ir/kern/run.h"

/* ---- a machine ---- */

/* Who did something last, and when; likewise the last other one. */
typedef struct Last {
    int64_t time[2], by[2];
} Last;

/* What was done to an element. Times count barriers, blocks and kernels. */
typedef struct Seen {
    Last write[2], read[2]; /* by thread, by block of a team */
    int64_t write_time, read_time, first_read; /* first_read: in this kernel */
    int64_t writer, reader;
    bool readers; /* several, at read_time */
    int64_t team_read; /* since which barrier of the team, */
    unsigned ranks;    /* by which of its blocks */
} Seen;

enum { MOST_TEAM = 3 };

/* Since time `since` no barrier but this one. */
typedef struct Passed {
    const NvNode *barrier;
    int64_t since;
    Need *need;
} Passed;

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
    Needs *needs;
    Passed block_barrier, team_barrier; /* at any, at one of the team */
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

/* ---- which barriers are needed ---- */

static int64_t last_of_others(const Last *l, int64_t by)
{
    return l->by[0] != by ? l->time[0] : l->time[1];
}

static void see_last(Last *l, int64_t time, int64_t by)
{
    if (l->by[0] != by) {
        l->time[1] = l->time[0];
        l->by[1] = l->by[0];
    }
    l->time[0] = time;
    l->by[0] = by;
}

static bool is_between(const Grid *g, const Passed *p, int64_t time, int64_t now)
{
    return p->need && time >= g->block_start && time >= p->since && time < now;
}

/* An access now, and earlier ones by others, in order by a single barrier. 0 is nobody. */
static void see_between(Grid *g, const Last *by, int64_t me, int64_t rank)
{
    if (is_between(g, &g->block_barrier, last_of_others(&by[0], me), g->now))
        g->block_barrier.need->needed = true;
    if (is_between(g, &g->team_barrier, last_of_others(&by[1], rank), g->team_start))
        g->team_barrier.need->needed = g->team_barrier.need->needed_for_team = true;
}

static void see_needs(Grid *g, Seen *s, bool write)
{
    int64_t me = 1 + g->block * g->all + g->thread, rank = 1 + rank_of(g, g->thread);
    see_between(g, s->write, me, rank);
    if (write)
        see_between(g, s->read, me, rank);
    see_last(write ? &s->write[0] : &s->read[0], g->now, me);
    see_last(write ? &s->write[1] : &s->read[1], g->now, rank);
}

static Need *need_of(const Needs *needs, const NvNode *barrier)
{
    for (uint32_t i = 0; i < needs->n; i++)
        if (needs->p[i].barrier == barrier)
            return &needs->p[i];
    return NULL;
}

static void pass(Grid *g, Passed *p, const NvNode *barrier, int64_t time)
{
    if (p->barrier != barrier)
        *p = (Passed){barrier, time, need_of(g->needs, barrier)};
}

static void see(Grid *g, Seen *s, const char *name, int64_t at, bool write)
{
    int64_t me = g->block * g->all + g->thread;
    if (g->needs)
        see_needs(g, s, write);
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
    if (g->needs)
        pass(g, &g->block_barrier, n, g->now);
    if (g->needs && n->team)
        pass(g, &g->team_barrier, n, g->team_start);
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
    g->block_barrier = g->team_barrier = (Passed){0};
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
        uint32_t drawn = i + (uint32_t)(draw_order(g) % (next - i)); /* in any case, so that what is drawn next is the same */
        chosen = chosen == K_NONE ? drawn : chosen;
        run_kernel(g, &fn->kernel.p[chosen]);
    }
}

static Grid grid_new(Arena *a, const NvPlan *p, const Data *d, const Case *c)
{
    static const int64_t threads[] = {1, 3, 8, 5, 64, 17, 4, 2};
    Grid g = {.a = a, .plan = p, .threads = threads[c->seed % (c->seed < 2 * NCASE ? 4 : 8)], .random = c->seed};
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

/* Whether a call with such sizes would not be refused. */
static bool are_allowed(Arena *a, const KernProg *k, const Case *c)
{
    int64_t n, *dim = NEWN(a, int64_t, dim_nsyms(k->dims));
    for (DimSym s = 0; s < dim_nsyms(k->dims); s++)
        dim[s] = dim_value(k, s, c);
    for (uint32_t i = 0; i < k->need.n; i++)
        if (!dim_eval(k->dims, k->need.p[i].dim, dim, &n))
            return false;
    return true;
}

static bool has_check(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_CHECK || (kern_body(b->p[i]) && has_check(kern_body(b->p[i]))))
            return true;
    return false;
}

static Str run_with(Arena *a, const Pair *p, const Case *of, const NvNode *removed, bool weaker, Needs *needs)
{
    Case same = *of, *c = &same;
    if (has_check(&p->k->fn[REC_FORWARD]))
        c->none = 0; /* no index is in an axis without places, and then the first one is read */
    if (!are_allowed(a, p->k, c))
        return (Str){0};
    Data want = data_new(a, p->k, c, p->what), got = data_of_plan(a, p->plan, c, p->what);
    Grid g = grid_new(a, p->plan, &got, c);
    g.run.cx = &g;
    g.removed = removed, g.weaker = weaker, g.needs = needs;
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

Str run_case(Arena *a, const Pair *p, const Case *c)
{
    return run_with(a, p, c, NULL, false, NULL);
}

Str run_case_without(Arena *a, const Pair *p, const Case *c, const NvNode *barrier, bool weaker)
{
    return run_with(a, p, c, barrier, weaker, NULL);
}

Str run_case_for_needs(Arena *a, const Pair *p, const Case *c, Needs *needs)
{
    return run_with(a, p, c, NULL, false, needs);
}

/* ---- entries, and cases ---- */

/* Behind the first ones: larger ones, some with a size of 0 or with arrays that begin with NaN, so that loops over windows of a scan, and what stands
 * behind loops without a round or behind ones that do not converge, are run, too. */
Case case_number(uint32_t i)
{
    static const int64_t T[] = {0, 1, 2, 5, 7}, B[] = {3, 1, 0, 2}, long_T[] = {4, 17, 6, 13, 34}, more_B[] = {3, 1, 4, 2};
    Case c = {.T = T[i % 5], .B = B[i / 5 % 4], .keep = i & 1, .chance = i / 3 & 1, .seed = i};
    if (i < 2 * NCASE)
        return c;
    c.T = long_T[i % 5], c.B = more_B[i / 5 % 4], c.keep = i % 4 > 0;
    c.more = i % 10 == 9 ? 4 : i % 2 ? 1 + i / 7 % 2 : 0;
    c.none = i % 4 == 2 ? 1 + i / 4 % 8 : 0;
    c.nan = i % 8 < 4 ? 0 : i % 4 == 1 ? 1 : 2;
    return c;
}

KernProg *lowered(Arena *a, const Entry *e, RecForm form, FactorType products)
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

bool pair_new(Arena *a, const Entry *e, RecForm form, FactorType products, Pair *out)
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

uint32_t each_entry(const char *file, RecForm form, FactorType products, EntryCheck *check)
{
    Arena *a = arena_new();
    uint32_t sum = 0;
    Sources *s = sources_new(a);
    Unit *u = unit_load(a, s, diags_new(a, s), str_of(file));
    cr_assert(u, "%s", file);
    for (uint32_t i = 0; i < unit_entries(u); i++)
        sum += check(&(Entry){file, str_c(a, unit_entry_name(u, i))}, form, products);
    arena_free(a);
    return sum;
}

static bool is_source(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".rnn") == 0;
}

uint32_t each_file(const char *folder, RecForm form, EntryCheck *check)
{
    Arena *a = arena_new();
    uint32_t sum = 0;
    DIR *d = opendir(folder);
    cr_assert(d, "%s", folder);
    for (struct dirent *file = readdir(d); file; file = readdir(d))
        if (is_source(file->d_name))
            sum += each_entry(str_fmt(a, "%s/%s", folder, file->d_name).p, form, FACTOR_REAL, check);
    closedir(d);
    arena_free(a);
    return sum;
}
