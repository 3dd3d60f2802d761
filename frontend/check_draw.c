/* Random calls: sizes that divide nothing, lengths, resets and initial states as asked, values between -1 and 1.
 * What a cell cannot take (an index outside its table, the logarithm of a negative number) is drawn again, more narrowly. */
#include "frontend/check.h"

#include <math.h>

static uint64_t next_random(Checker *c)
{
    uint64_t z = c->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static int64_t draw_below(Checker *c, int64_t n)
{
    return n > 0 ? (int64_t)(next_random(c) % (uint64_t)n) : 0;
}

double draw_uniform(Checker *c)
{
    return (double)(float)((double)(next_random(c) >> 11) * 0x1p-52 - 1);
}

/* Of a grid, beside T places along the first one: few and odd, and sometimes none. */
static int64_t draw_other_axis(Checker *c, int64_t T)
{
    static const int64_t some[] = {3, 5, 1, 2, 7, 4, 0};
    return some[draw_below(c, T > 1 ? 6 : 7)];
}

static int64_t plan_size_or(const Frame *f, const char *name, int64_t none)
{
    DimSym s;
    return dim_find_sym(f->prog->dims, str_of(name), &s) ? f->dim[s] : none;
}

static int64_t plan_size(const Frame *f, const char *name)
{
    return plan_size_or(f, name, 1);
}

/* Of a graph of how many nodes: few to a block, and blocks that are not full, or empty; with fewer edges than could be. */
static int64_t draw_plan_size(Checker *c, const Frame *f, Str name)
{
    int64_t nodes = f->dim[f->prog->time];
    DimSym width = 0;
    if (str_is(name, "blocks"))
        return nodes - (nodes > 3 ? draw_below(c, nodes / 3) : 0);
    if (str_is(name, "slots"))
        return draw_below(c, 5);
    if (str_is(name, "olds") || str_is(name, "known"))
        return draw_below(c, 4);
    if (str_is(name, "outs")) /* none if no edge leads anywhere */
        return plan_size(f, "slots") ? 1 + draw_below(c, 4) : 0;
    if (str_is(name, "pairs"))
        return plan_size(f, "outs") ? draw_below(c, 5) : 0;
    if (str_is(name, "edges") || str_is(name, "links"))
        return 1 + draw_below(c, 6);
    (void)dim_find_sym(f->prog->dims, STR("blocks"), &width);
    int64_t blocks = f->dim[width];
    return blocks > 0 ? (nodes + blocks - 1) / blocks + draw_below(c, 3) : 1;
}

static bool draw_sizes(Checker *c, Frame *f, const Draw *how)
{
    static const int64_t some[] = {1, 2, 3, 4, 5, 7, 9};
    const RecProg *p = f->prog;
    Str ignored;
    for (uint32_t attempt = 0; attempt < 500; attempt++) {
        for (DimSym s = 0; s < dim_nsyms(p->dims); s++)
            f->dim[s] = -1;
        for (uint32_t i = 0; i < p->open.n; i++) {
            DimSym s = p->open.p[i];
            bool time = dim_sym_info(p->dims, s)->kind == DIM_TIME;
            if (time && rec_has_role(p, ROLE_PLAN))
                f->dim[s] = s == p->time ? how->T : draw_plan_size(c, f, dim_sym_info(p->dims, s)->name);
            else if (time)
                f->dim[s] = s == p->time || p->is_model ? how->T : draw_other_axis(c, how->T);
            else
                f->dim[s] = some[draw_below(c, attempt < 400 ? 7 : 2)];
        }
        for (uint32_t i = 0; i < p->derived.n; i++)
            f->dim[p->derived.p[i].sym] = -1;
        f->dim[p->batch] = how->B;
        f->dim[p->keep] = 1;
        if (dims_complete(f, &ignored) && frame_fits(f, &ignored) && dims_fit_sequences(f, &ignored))
            return true;
    }
    return false;
}

/* How narrowly: real values are positive at every other level, ints stay below a bound that shrinks. */
/* most: of a length. */
static double draw_value(Checker *c, const RecArg *x, int64_t most, uint32_t narrow)
{
    static const int64_t below[DRAW_NARROWEST + 1] = {4, 4, 3, 2, 1, 1};
    switch (x->type.dt) {
    case DT_BOOL: return draw_below(c, 4) == 0;
    case DT_COMPLEX: break;
    case DT_INT: return (double)(x->role == ROLE_LENGTH ? draw_below(c, most + 1) : draw_below(c, below[narrow]));
    case DT_REAL: {
        double u = draw_uniform(c);
        return narrow % 2 ? (double)(float)(0.1 + 0.4 * (u + 1)) : u;
    }
    }
    ice("draw_value: type %d", (int)x->type.dt);
}

static bool is_given(const RecArg *x, const Draw *how)
{
    switch (x->role) {
    case ROLE_START: return how->starts;
    case ROLE_LENGTH: return how->lengths;
    case ROLE_RESET: return how->resets;
    case ROLE_GUESS: return false;
    case ROLE_SEED: return false;
    case ROLE_PLAN:
    case ROLE_PARAM:
    case ROLE_INPUT:
    case ROLE_COTANGENT: return true;
    }
    ice("is_given: role %d", (int)x->role);
}

/* ---- plans of graphs ---- */

static double *plan_array(const Frame *f, const char *name)
{
    uint32_t i = rec_arg_named(f->prog, name);
    return i == UINT32_MAX ? NULL : f->in[i];
}

/* The nodes of one graph in any places, as many as there are; some have none. */
static void draw_nodes(Checker *c, const Frame *f, int64_t b)
{
    int64_t B = f->dim[f->prog->batch], nodes = f->dim[f->prog->time], places = plan_size(f, "blocks") * plan_size(f, "width");
    double *node = plan_array(f, "plan.node"), *slot = plan_array(f, "plan.slot");
    for (int64_t i = 0; i < places; i++)
        node[i * B + b] = -1;
    for (int64_t v = 0; v < nodes; v++) {
        int64_t at = places ? draw_below(c, places) : 0;
        for (int64_t tries = 0; places && tries < places && node[at * B + b] >= 0; tries++)
            at = (at + 1) % places;
        bool free = places && node[at * B + b] < 0;
        slot[v * B + b] = free ? (double)at : -1;
        if (free)
            node[at * B + b] = (double)v;
    }
}

/* Edges from nodes of earlier blocks to nodes of later ones, and behind them those from nodes that were there before; now and then none. */
static void draw_edges(Checker *c, const Frame *f, int64_t b)
{
    int64_t B = f->dim[f->prog->batch], width = plan_size(f, "width"), slots = plan_size(f, "slots"), known = plan_size_or(f, "known", 0);
    int64_t into = slots + plan_size_or(f, "olds", 0);
    const double *node = plan_array(f, "plan.node");
    double *head = plan_array(f, "plan.head"), *tail = plan_array(f, "plan.tail");
    for (int64_t i = 0; i < plan_size(f, "blocks") * into; i++) {
        int64_t k = i / into, to = draw_below(c, width);
        bool old = i % into >= slots;
        int64_t before = old ? known : k * width, from = before ? draw_below(c, before) : 0;
        bool is = before && draw_below(c, 4) && node[(k * width + to) * B + b] >= 0 && (old || node[from * B + b] >= 0);
        head[i * B + b] = (double)(is ? to : 0);
        tail[i * B + b] = is ? (double)from : -1;
    }
}

/* Edges that leave: any numbers, from any nodes that there are. */
static void draw_outs(Checker *c, const Frame *f, int64_t b)
{
    int64_t B = f->dim[f->prog->batch], blocks = plan_size(f, "blocks"), width = plan_size(f, "width"), outs = plan_size(f, "outs");
    const double *node = plan_array(f, "plan.node");
    double *out = plan_array(f, "plan.out"), *from = plan_array(f, "plan.from");
    for (int64_t i = 0; i < blocks * outs; i++) {
        int64_t row = draw_below(c, width);
        bool is = draw_below(c, 4) && node[(i / outs * width + row) * B + b] >= 0;
        out[i * B + b] = is ? (double)draw_below(c, plan_size(f, "edges")) : -1;
        from[i * B + b] = (double)(is ? row : 0);
    }
}

/* Where an edge's state was put out before block k; -1 where there is none. */
static int64_t draw_earlier(Checker *c, const Frame *f, int64_t k, int64_t b)
{
    int64_t before = k * plan_size(f, "outs"), at = before ? draw_below(c, before) : 0;
    return before && plan_array(f, "plan.out")[at * f->dim[f->prog->batch] + b] >= 0 ? at : -1;
}

/* Which edges lead in, and where their states were put out, where these live on edges. */
static void draw_ins(Checker *c, const Frame *f, int64_t b)
{
    int64_t B = f->dim[f->prog->batch], slots = plan_size(f, "slots"), olds = plan_size_or(f, "olds", -1);
    double *tail = plan_array(f, "plan.tail"), *edge = plan_array(f, "plan.edge"), *came = plan_array(f, "plan.came");
    for (int64_t i = 0; i < plan_size(f, "blocks") * slots; i++) {
        int64_t at = draw_earlier(c, f, i / slots, b);
        if (olds < 0)
            tail[i * B + b] = at < 0 ? -1 : tail[i * B + b];
        came[i * B + b] = (double)(at < 0 ? 0 : at);
    }
    for (int64_t i = 0; i < plan_size(f, "blocks") * (slots + (olds < 0 ? 0 : olds)); i++)
        edge[i * B + b] = (double)draw_below(c, plan_size(f, "edges"));
}

static void draw_pairs(Checker *c, const Frame *f, int64_t b)
{
    int64_t B = f->dim[f->prog->batch], outs = plan_size(f, "outs"), pairs = plan_size(f, "pairs");
    double *pair = plan_array(f, "plan.pair"), *in = plan_array(f, "plan.pair_in"), *out = plan_array(f, "plan.pair_out");
    for (int64_t i = 0; pair && i < plan_size(f, "blocks") * pairs; i++) {
        int64_t at = draw_earlier(c, f, i / pairs, b), to = outs ? draw_below(c, outs) : 0;
        bool is = at >= 0 && plan_array(f, "plan.out")[(i / pairs * outs + to) * B + b] >= 0;
        pair[i * B + b] = is ? (double)draw_below(c, plan_size(f, "links")) : -1;
        in[i * B + b] = (double)(is ? at : 0);
        out[i * B + b] = (double)(is ? to : 0);
    }
}

static void draw_plan(Checker *c, const Frame *f)
{
    for (int64_t b = 0; b < f->dim[f->prog->batch]; b++) {
        draw_nodes(c, f, b);
        draw_edges(c, f, b);
        if (!plan_array(f, "plan.edge"))
            continue;
        draw_outs(c, f, b);
        draw_ins(c, f, b);
        draw_pairs(c, f, b);
    }
}

void draw_arguments(Checker *c, Frame *f, const Draw *how, uint32_t narrow)
{
    const RecProg *p = f->prog;
    for (uint32_t i = 0; i < p->arg.n; i++) {
        const RecArg *x = &p->arg.p[i];
        int64_t extent[REC_MAXAXES] = {how->T};
        uint8_t naxes = rec_has_role(p, ROLE_LENGTH) ? frame_extents(f, extent) : 1;
        f->in[i] = is_given(x, how) ? frame_array(f, &x->type, x->batched) : NULL;
        for (int64_t k = 0, n = f->in[i] ? frame_count(f, &x->type, x->batched) : 0; k < n; k++)
            f->in[i][k] = draw_value(c, x, f->offset && x->role == ROLE_LENGTH ? frame_places_of(f, k) : extent[k % naxes], narrow);
        for (uint8_t axis = 0; x->role == ROLE_LENGTH && f->in[i] && how->fixed_lengths && axis < naxes; axis++)
            f->in[i][axis] = (double)(extent[axis] > 0 ? extent[axis] / 2 + 1 : 0);
    }
    if (rec_has_role(p, ROLE_PLAN))
        draw_plan(c, f);
    frame_round(f, c->narrow);
}

bool frame_is_number(const Frame *f)
{
    const RecProg *p = f->prog;
    for (uint32_t i = 0; i < p->out.n; i++)
        for (int64_t k = 0, n = f->out[i] ? frame_count(f, &p->out.p[i].type, p->out.p[i].batched) : 0; k < n; k++)
            if (isnan(f->out[i][k]))
                return false;
    return true;
}

Frame *draw_call(Checker *c, Arena *scratch, const Draw *how, Str *why)
{
    Frame *f = frame_new(scratch, c->reference);
    f->offset = how->offset;
    for (uint32_t narrow = 0; narrow <= DRAW_NARROWEST; narrow++) {
        if (!draw_sizes(c, f, how)) {
            *why = STR("no sizes were found that fit each other");
            return NULL;
        }
        draw_arguments(c, f, how, narrow);
        if (!frame_reference(f, c->reference->region.p[REC_BACKWARD].op.n > 0, why))
            *why = str_copy(c->arena, *why);
        else if (frame_is_number(f)) {
            frame_overflow(f, c->narrow);
            return f;
        } else
            *why = STR("no draw gives finite results");
        c->rejected++;
    }
    return NULL;
}

static double *copy_array(Arena *a, const double *from, int64_t n)
{
    if (!from)
        return NULL;
    double *to = NEWN(a, double, n);
    if (n)
        memcpy(to, from, (size_t)n * sizeof *to);
    return to;
}

Frame *frame_copy(const Frame *f)
{
    const RecProg *p = f->prog;
    Frame *g = frame_new(f->arena, p);
    g->offset = f->offset;
    memcpy(g->dim, f->dim, dim_nsyms(p->dims) * sizeof *g->dim);
    for (uint32_t i = 0; i < p->arg.n; i++)
        g->in[i] = copy_array(f->arena, f->in[i], frame_count(f, &p->arg.p[i].type, p->arg.p[i].batched));
    for (uint32_t i = 0; i < p->out.n; i++)
        g->out[i] = copy_array(f->arena, f->out[i], frame_count(f, &p->out.p[i].type, p->out.p[i].batched));
    return g;
}

Str draw_str(Arena *a, const Frame *f)
{
    const RecProg *p = f->prog;
    Text out = {.arena = a};
    text_add(&out, "B = %lld", (long long)f->dim[p->batch]);
    for (uint32_t i = 0; i < p->open.n; i++)
        if (p->open.p[i] != p->batch)
            text_add(&out, ", %.*s = %lld", STRF(dim_sym_info(p->dims, p->open.p[i])->name),
                     (long long)f->dim[p->open.p[i]]);
    for (uint32_t i = 0; i < p->arg.n; i++)
        if (f->in[i] && (p->arg.p[i].role == ROLE_LENGTH || p->arg.p[i].role == ROLE_RESET))
            text_add(&out, ", %.*s", STRF(p->arg.p[i].name));
    for (int64_t b = 0; f->offset && b <= f->dim[p->batch]; b++)
        text_add(&out, "%s%d", b ? ", " : ", packed at ", f->offset[b]);
    return text_str(&out);
}
