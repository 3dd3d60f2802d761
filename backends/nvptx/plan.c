/* Which kernels a function becomes, and what they need. */
#include "backends/nvptx/plan.h"

#include "backends/backend.h"

/* ---- what a kernel reads ---- */

static void use_dim(Map *m, Dim d)
{
    for (uint32_t i = 0; i < dim_nterms(m->k->dims, d); i++)
        for (uint32_t s = 0; s < dim_term(m->k->dims, d, i)->nsym; s++)
            m->sizes[dim_term(m->k->dims, d, i)->sym[s]] = true;
}

static void use_access(void *cx, KBufId buf, KIndex *at)
{
    Map *m = cx;
    m->touched[buf] = true;
    use_dim(m, at->base);
    for (uint32_t i = 0; i < at->n; i++)
        use_dim(m, at->term[i].stride);
}

static void use_var(void *cx, KVar *v)
{
    Map *m = cx;
    m->needs[*v] = true;
}

static void use_stmt(Map *m, KStmt *s)
{
    for (uint32_t i = 0; kern_body(s) && i < kern_body(s)->n; i++)
        use_stmt(m, kern_body(s)->p[i]);
    switch (s->kind) {
    case K_LOOP:
        use_dim(m, s->loop.extent);
        use_dim(m, s->loop.by);
        return;
    case K_SIZE: use_dim(m, s->size.dim); break;
    case K_GIVEN: m->given[s->given.arg] = true; break;
    case K_CHECK:
        use_dim(m, s->check.bound);
        m->checks = true;
        break;
    case K_STORE: m->writes[s->mem.buf] = true; break;
    case K_RANDOM: m->random = true; break;
    default: break;
    }
    kern_each_use(s, use_var, m);
    kern_each_access(s, use_access, m);
}

/* The scalars in front of the statements, from the last on: what one needs stands in front of it. */
static void find_before(Map *m, const KBlock *b, uint32_t at)
{
    KBlock *before = &m->kernel->before;
    for (uint32_t i = at; i-- > 0;) {
        KStmt *s = b->p[i];
        if (!nv_is_scalar(s) || !m->needs[kern_defines(s)])
            continue;
        use_stmt(m, s);
        vec_push(m->a, before, s);
    }
    for (uint32_t i = 0; i < before->n / 2; i++) {
        KStmt *s = before->p[i];
        before->p[i] = before->p[before->n - 1 - i];
        before->p[before->n - 1 - i] = s;
    }
}

static void list_params(Map *m)
{
    NvKernel *kernel = m->kernel;
    for (KBufId b = 0; b < m->k->buf.n; b++)
        if (m->touched[b] && m->k->buf.p[b].kind != K_BLOCK)
            vec_push(m->a, &kernel->param, (NvParam){NV_BUFFER, b, m->writes[b]});
    for (DimSym s = 0; s < dim_nsyms(m->k->dims); s++)
        if (m->sizes[s] && dim_sym_info(m->k->dims, s)->kind != DIM_PART)
            vec_push(m->a, &kernel->param, (NvParam){NV_SIZE, s, false});
    for (uint32_t i = 0; i < m->k->arg.n; i++)
        if (m->given[i])
            vec_push(m->a, &kernel->param, (NvParam){NV_GIVEN, i, false});
    for (uint32_t i = 0; i < kernel->cut.n; i++)
        vec_push(m->a, &kernel->param, (NvParam){NV_PIECE, i, false});
    if (kernel->shared) {
        vec_push(m->a, &kernel->param, (NvParam){NV_TEAM, 0, false});
        vec_push(m->a, &kernel->param, (NvParam){NV_COUNTERS, 0, true});
    }
    if (m->random)
        vec_push(m->a, &kernel->param, (NvParam){NV_SEED, 0, false});
    if (m->checks)
        vec_push(m->a, &kernel->param, (NvParam){NV_TROUBLE, 0, true});
}

/* ---- pieces ---- */

enum { BLOCK = 256 }; /* threads, to choose a piece for */

/* Iterations of a chain for one place of an axis, if that is a number and not a size; else 0. Axes inside of it have their pieces, those
 * around one place each. */
static int64_t per_place(const Map *m, const NvNode *n, const NvCut *cut)
{
    Dim quotient, count = n->count;
    int64_t times = 0;
    for (uint32_t i = 0; i < m->kernel->cut.n; i++) {
        const NvCut *other = &m->kernel->cut.p[i];
        if (other != cut)
            count = dim_subst(m->k->dims, count, other->part, dim_const(m->k->dims, other > cut ? other->piece : 1));
    }
    if (!dim_div(m->k->dims, count, dim_of(m->k->dims, cut->part), &quotient))
        return 0;
    return dim_is_const(m->k->dims, quotient, &times) ? times : 0;
}

/* The rows of a tile, where a block's places are rows: it reads the other factor for all of them at once. */
static bool has_rows(const Map *m, const NvNodes *nodes, const NvCut *cut)
{
    for (uint32_t i = 0; i < nodes->n; i++) {
        const NvNode *n = nodes->p[i];
        if (has_rows(m, &n->body, cut) || (n->kind == NV_TILES && dim_mentions(m->k->dims, n->tile->row->loop.extent, cut->part)))
            return true;
    }
    return false;
}

/* So long that all threads have work: one place where each has as many iterations as a size says. */
static void find_piece(Map *m, const NvNodes *nodes, NvCut *cut, bool *found)
{
    for (uint32_t i = 0; i < nodes->n; i++) {
        const NvNode *n = nodes->p[i];
        find_piece(m, &n->body, cut, found);
        if (n->kind != NV_SHARE)
            continue;
        int64_t times = per_place(m, n, cut);
        uint32_t piece = times > 0 && times < BLOCK ? (uint32_t)(BLOCK / times) : 1;
        if (!*found || piece < cut->piece)
            cut->piece = piece;
        *found = true;
    }
}

/* How far apart in memory, in elements, neighbours along an axis are at most that are written; 0: that is a size. */
static void find_stride(const Map *m, const KBlock *b, const NvCut *cut, KVar var, Dim by, int64_t *most)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        if (s->kind == K_LOOP && s->loop.by != DIM_ZERO && s->loop.from == cut->first)
            find_stride(m, &s->loop.body, cut, s->loop.var, s->loop.by, most);
        else if (s->kind == K_LOOP)
            find_stride(m, &s->loop.body, cut, var, by, most);
        for (uint32_t t = 0; s->kind == K_STORE && *most && t < s->mem.at.n; t++) {
            int64_t n = 0;
            if (s->mem.at.term[t].var != var)
                continue;
            bool known = dim_is_const(m->k->dims, dim_mul(m->k->dims, by, s->mem.at.term[t].stride), &n);
            *most = !known ? 0 : n > *most ? n : *most;
        }
    }
}

/* A warp's lanes are to touch neighbours in memory, and those may be neighbours along the axis. */
static uint32_t least_piece(const Map *m, const NvCut *cut)
{
    int64_t most = 1;
    find_stride(m, &m->kernel->root, cut, K_NONE, DIM_ZERO, &most);
    return most > 0 && most < NV_WARP ? (uint32_t)(NV_WARP / most) : 1;
}

/* From the inside to the outside. */
static void choose_pieces(Map *m)
{
    for (uint32_t i = m->kernel->cut.n; i-- > 0;) {
        NvCut *cut = &m->kernel->cut.p[i];
        bool found = false;
        find_piece(m, &m->kernel->node, cut, &found);
        uint32_t least = has_rows(m, &m->kernel->node, cut) ? NV_TILE_ROWS : i > 0 ? least_piece(m, cut) : 1;
        cut->piece = least > cut->piece ? least : cut->piece;
    }
}

/* ---- kernels ---- */

/* For all variables, sizes and buffers that there are now. */
static void make_room(Map *m)
{
    m->needs = NEWN(m->a, bool, m->k->var.n);
    m->sizes = NEWN(m->a, bool, dim_nsyms(m->k->dims));
    m->given = NEWN(m->a, bool, m->k->arg.n);
    m->touched = NEWN(m->a, bool, m->k->buf.n);
    m->writes = NEWN(m->a, bool, m->k->buf.n);
    m->checks = m->random = false;
}

static void start_kernel(Map *m, NvKernel *kernel, Str prefix)
{
    *kernel = (NvKernel){.threads = DIM_ONE};
    kernel->name = str_fmt(m->a, "%.*s_%u", STRF(prefix), m->fn->kernel.n - m->ninstead);
    m->kernel = kernel;
    m->pieces = (KernPieces){0};
}

/* Whether all threads of a grid can share the statement out. */
static bool of_threads(Map *m, KStmt *s)
{
    NvNode *panels = nv_panels(m, s), *tiles = panels ? panels : nv_tiles(m, s, NV_MOST_ROWS), *share = tiles ? tiles : nv_share(m, s);
    if (!share || share->sum.n)
        return false;
    vec_push(m->a, &m->kernel->node, share);
    m->kernel->threads = share->count;
    return true;
}

/* Cuts a statement into pieces, along as many axes as it can be cut along: what is proven of one holds whatever is done along others. */
static bool cut(Map *m)
{
    NvKernel *kernel = m->kernel;
    KStmt *tasks = NULL;
    while (kernel->root.n == 1 && kernel->root.p[0]->kind == K_LOOP && kernel->cut.n < NV_MAXCUT &&
           (tasks = kern_cut(m->k, kernel->root.p[0], kernel->cut.n))) {
        vec_push(m->a, &kernel->cut, ((NvCut){tasks->tasks.extent, tasks->tasks.first, tasks->tasks.part, 1}));
        vec_push(m->a, &m->pieces, ((KernPiece){tasks->tasks.part, tasks->tasks.extent}));
    }
    return kernel->cut.n > 0;
}

static void of_blocks(Map *m)
{
    NvKernel *kernel = m->kernel;
    kernel->blocks = true;
    nv_block_nodes(m, &kernel->node, &kernel->root);
    nv_barriers(m, &kernel->node);
}

/* The only loop that a block's threads go through together; NULL: there is none, or several. */
static const NvNode *only_steps(const NvKernel *kernel)
{
    const NvNode *only = NULL;
    for (uint32_t i = 0; i < kernel->node.n; i++) {
        const NvNode *n = kernel->node.p[i];
        if (n->kind == NV_STEPS && only)
            return NULL;
        only = n->kind == NV_STEPS ? n : only;
    }
    return only;
}

/* What all kernels have in common: scalars in front, parameters. */
static void end_kernel(Map *m, const KBlock *b, uint32_t at)
{
    NvKernel *kernel = m->kernel;
    make_room(m);
    for (uint32_t i = 0; i < kernel->root.n; i++)
        use_stmt(m, kernel->root.p[i]);
    for (uint32_t i = 0; i < kernel->kept.n; i++)
        use_dim(m, m->k->buf.p[kernel->kept.p[i]].size);
    for (uint32_t i = 0; i < kernel->cut.n; i++)
        use_dim(m, kernel->cut.p[i].axis);
    for (uint32_t i = 0; i < m->turn.n && kernel->shared; i++)
        m->k->buf.p[m->turn.p[i].two].used_by = (uint8_t)(1u << (m->fn - m->plan->fn));
    if (kernel->shared)
        use_dim(m, kernel->team.axis);
    find_before(m, b, at);
    list_params(m);
    vec_push(m->a, &m->fn->kernel, *kernel);
}

/* Marks what says how often, and how far, threads go. False: somebody would add up what threads of several blocks have, or do it for all of them. */
static bool see_ways(Map *m, const NvNodes *nodes)
{
    for (uint32_t i = 0; i < nodes->n; i++) {
        NvNode *n = nodes->p[i];
        if (n->kind == NV_ONE || n->kind == NV_COMBINE || !see_ways(m, &n->body))
            return false;
        if (n->kind == NV_EACH)
            use_stmt(m, n->s);
        if (n->kind == NV_STEPS) {
            use_dim(m, n->s->loop.extent);
            use_dim(m, n->s->loop.by);
        }
    }
    return true;
}

/* Whether a team can do it: all its blocks come to the same barriers. A block that did not would be waited for for ever. */
static bool is_of_team(Map *m)
{
    const NvCut *team = &m->kernel->team;
    make_room(m);
    return see_ways(m, &m->kernel->node) && !m->sizes[team->part] && !m->needs[team->first];
}

/* One that keeps what its steps read, in a block or in a team of them. Its pieces are those of the plain one. */
static void add_resident(Map *m, const NvKernel *plain, const KernPieces *pieces, const KBlock *b, uint32_t at, Str prefix, bool team)
{
    NvKernel kernel;
    const NvNode *steps = plain->blocks ? only_steps(plain) : NULL;
    if (!steps)
        return;
    start_kernel(m, &kernel, prefix);
    for (uint32_t i = 0; i < pieces->n; i++)
        vec_push(m->a, &m->pieces, pieces->p[i]);
    kernel.name = str_fmt(m->a, team ? "%.*s_team" : "%.*s_kept", STRF(plain->name));
    kernel.cut.p = plain->cut.p, kernel.cut.n = plain->cut.n;
    kernel.instead = true;
    kernel.steps = steps->s->loop.extent;
    if (!nv_reside(m, &plain->root, steps->s, team, &kernel.root))
        return;
    of_blocks(m);
    if (team && !is_of_team(m))
        return;
    end_kernel(m, b, at);
    m->ninstead++;
}

/* Statements at..end of b. False: they have become several statements, and nothing was done yet. */
static bool add_kernel(Map *m, KBlock *b, uint32_t at, uint32_t end, Str prefix)
{
    NvKernel kernel;
    start_kernel(m, &kernel, prefix);
    for (uint32_t i = at; i <= end; i++)
        vec_push(m->a, &kernel.root, b->p[i]);
    if (at < end || !of_threads(m, b->p[at])) {
        if (!cut(m) && at == end && nv_split(m, b, at))
            return false;
        of_blocks(m);
        choose_pieces(m);
    }
    end_kernel(m, b, at);
    KernPieces pieces = m->pieces;
    add_resident(m, &kernel, &pieces, b, at, prefix, false);
    add_resident(m, &kernel, &pieces, b, at, prefix, true);
    return true;
}

/* The three from statement `at` on, and what they need. */
static void add_look_kernel(Map *m, KBlock *b, uint32_t at, NvNode *node, Str prefix)
{
    NvKernel kernel;
    const NvLook *look = node->look;
    start_kernel(m, &kernel, prefix);
    make_room(m);
    KStmt *const part[] = {look->pieces->s, look->step->s, look->start, look->take, look->rest->s};
    for (uint32_t i = 0; i < look->around.n; i++)
        vec_push(m->a, &kernel.root, look->around.p[i]);
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        vec_push(m->a, &kernel.root, part[i]);
    for (uint32_t i = 0; i < kernel.root.n; i++)
        use_stmt(m, kernel.root.p[i]);
    use_dim(m, node->count);
    use_dim(m, look->loop->loop.extent);
    m->touched[look->flag] = m->writes[look->flag] = true;
    vec_push(m->a, &kernel.node, node);
    kernel.threads = node->count;
    kernel.nsum = 1; /* room for the ticket */
    find_before(m, b, at);
    list_params(m);
    vec_push(m->a, &m->fn->kernel, kernel);
}

/* ---- statements that become one kernel ---- */

/* Whether a function may write to it, in another kernel for instance. */
static bool can_change(const KernProg *k, KBufId b)
{
    return k->buf.p[b].kind != K_ARG || k->arg.p[k->buf.p[b].slot].role == ROLE_START;
}

typedef struct Uses {
    const bool *local;
    bool any;
} Uses;

static void see_use(void *cx, KVar *v)
{
    Uses *u = cx;
    u->any |= u->local[*v];
}

static bool reads_local(KStmt *s, const bool *local)
{
    Uses u = {local, false};
    kern_each_use(s, see_use, &u);
    return u.any;
}

/* A scalar that cannot be computed again in front of any kernel. */
static bool stays(const Map *m, const KStmt *s)
{
    return s->kind == K_START || s->kind == K_CHECK || (s->kind == K_LOAD && can_change(m->k, s->mem.buf));
}

/* The last statement that needs what statement `at` has found, or what was found from that. */
static uint32_t last_of(Map *m, const KBlock *b, uint32_t at)
{
    bool *local = NEWN(m->a, bool, m->k->var.n);
    uint32_t last = at;
    for (uint32_t i = at; i < b->n; i++) {
        KStmt *s = b->p[i];
        bool reads = reads_local(s, local), makes = kern_defines(s) != K_NONE;
        if (makes && (reads || (i <= last && stays(m, s))))
            local[kern_defines(s)] = true;
        if (reads)
            last = i;
    }
    return last;
}

static bool is_alone(const Map *m, const KStmt *s)
{
    return nv_is_scalar(s) && !stays(m, s);
}

enum { LOOKS = 3 }; /* statements of an NV_LOOK */

static void map_function(Map *m, KBlock *b, Str prefix)
{
    if (!nv_loops(m, b))
        return;
    NvNode *look = NULL;
    for (uint32_t i = 0; i < b->n;) {
        uint32_t end = last_of(m, b, i);
        NvNode *found = !look && end == i ? nv_look(m, b, i) : NULL;
        look = found ? found : look;
        if (look && b->p[i] == look->look->first) {
            add_look_kernel(m, b, i, look, prefix);
            look = NULL;
            i += LOOKS;
        } else if (!found && (is_alone(m, b->p[i]) || add_kernel(m, b, i, end, prefix)))
            i = end + 1;
    }
}

NvPlan *nv_plan(Arena *a, KernProg *k, const NvOptions *o)
{
    static const char *const name[REC_NFN] = {"forward", "backward", "init"};
    NvPlan *p = NEW(a, NvPlan);
    *p = (NvPlan){.arena = a, .k = k, .arch = o->arch};
    k->no_packed = true;
    for (int fn = 0; fn < REC_NFN; fn++) {
        Map m = {.a = a, .k = k, .plan = p, .fn = &p->fn[fn]};
        Str prefix = str_fmt(a, "%.*s_%s", STRF(iface_prefix(k, o->prefix)), name[fn]);
        if (k->has_fn[fn])
            map_function(&m, &k->fn[fn], prefix);
    }
    return p;
}
