/* States that a team's blocks tell each other. A block writes its own elements of a state, and in the next step all blocks read all of them. Where the
 * new state goes where the old one was, as in inference, nobody may write before everybody has read, so a step has two barriers of the team. Here
 * what others read is in an array of its own, of two slots that take turns: one is read while the other one is written, and a step has one
 * such barrier. The state itself is written as ever, for those who come behind, and for the block's own threads.
 *
 * It takes a state of which slot t is read at step t, and the next one written (lower_recur.c), by one store; and slots, one element after the other,
 * that all addresses stay in. That is proved from addresses. */
#include "backends/nvptx/plan.h"

enum { MOST_LOOPS = 16 };

typedef struct Turns {
    Map *m;
    KernProg *k;
    KStmt *steps;
    KBufId memory;
    const KStmt *around[MOST_LOOPS];
    uint32_t naround;
    bool fail;
    KStmt *load, *store;  /* one of them, the only one */
    Dim stride, slot;     /* from step to step; elements of a slot */
    KVar found, left;     /* 0 or 1, and the other one */
    KBufId two;
} Turns;

/* ---- which states ---- */

static const KStmt *loop_of(const Turns *x, KVar v)
{
    for (uint32_t i = 0; i < x->naround; i++)
        if (x->around[i]->loop.var == v)
            return x->around[i];
    return NULL;
}

/* Beside the step and the slot, every address is below the slot's size. */
static bool is_in_slot(const Turns *x, const KIndex *at)
{
    DimTab *d = x->k->dims;
    Dim last = DIM_ZERO;
    for (uint32_t i = 0; i < at->n; i++) {
        const KStmt *loop = loop_of(x, at->term[i].var);
        if (at->term[i].var == x->steps->loop.var)
            continue;
        if (!loop || dim_has_minus(d, at->term[i].stride) || (loop->loop.by != DIM_ZERO && nv_defines(x->steps, loop->loop.from)))
            return false;
        Dim whole = kern_whole(x->k, loop->loop.extent, &x->m->pieces);
        last = dim_add(d, last, dim_mul(d, at->term[i].stride, dim_sub(d, whole, DIM_ONE)));
    }
    return at->n < K_MAXTERM && !dim_has_minus(d, dim_sub(d, dim_sub(d, x->slot, DIM_ONE), last));
}

static void see_access(Turns *x, KStmt *s)
{
    KStmt **one = s->kind == K_STORE ? &x->store : &x->load;
    x->fail |= s->mem.buf != x->memory || s->mem.add || (s->kind == K_STORE && x->store) || (*one && (*one)->mem.at.base != s->mem.at.base) ||
               kern_index_stride(&s->mem.at, x->steps->loop.var) != x->stride || !is_in_slot(x, &s->mem.at);
    *one = s;
}

static void see(Turns *x, KStmt *s)
{
    if (s->kind == K_LOOP && x->naround < MOST_LOOPS) {
        x->around[x->naround++] = s;
        for (uint32_t i = 0; i < s->loop.body.n; i++)
            see(x, s->loop.body.p[i]);
        x->naround--;
    } else if (nv_touches(x->k, s, x->memory)) {
        x->fail |= s->kind != K_LOAD && s->kind != K_STORE;
        if (!x->fail)
            see_access(x, s);
    }
}

static KStmt *find_store(const Turns *x, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i], *inside = kern_body(s) ? find_store(x, kern_body(s)) : NULL;
        if (inside || (s->kind == K_STORE && s->mem.buf == x->memory))
            return inside ? inside : s;
    }
    return NULL;
}

/* First it is read, by statements that do not write it, which may be of other places, and then written by one. */
static bool is_read_and_written(const Turns *x)
{
    bool read = false, written = false;
    for (uint32_t i = 0; i < x->steps->loop.body.n; i++) {
        unsigned does = nv_touches(x->k, x->steps->loop.body.p[i], x->memory);
        if (does && written)
            return false;
        read |= does == NV_READS;
        written |= (does & NV_WRITES) != 0;
    }
    return read && written;
}

/* From the slot of this step to that of the next. */
static bool is_next(const Turns *x)
{
    Dim first = x->steps->loop.reverse ? x->store->mem.at.base : x->load->mem.at.base;
    Dim other = x->steps->loop.reverse ? x->load->mem.at.base : x->store->mem.at.base;
    return first == DIM_ZERO && other == x->stride;
}

static bool takes_turns(Turns *x)
{
    const KBuf *buf = &x->k->buf.p[x->memory];
    DimTab *d = x->k->dims;
    const KStmt *store = find_store(x, &x->steps->loop.body);
    if (!store || buf->kind != K_WORK || buf->dt != DT_REAL || kern_buf_narrow(x->k, x->memory) || !is_read_and_written(x))
        return false;
    x->stride = kern_index_stride(&store->mem.at, x->steps->loop.var);
    x->slot = dim_sub(d, buf->size, dim_mul(d, x->stride, x->steps->loop.extent));
    for (uint32_t i = 0; i < x->steps->loop.body.n; i++)
        see(x, x->steps->loop.body.p[i]);
    return !x->fail && x->load && x->store && is_next(x);
}

/* ---- the two slots ---- */

static KIndex in_slot(const Turns *x, const KIndex *from, KVar parity)
{
    KIndex to = {.base = DIM_ZERO};
    for (uint32_t i = 0; i < from->n; i++)
        if (from->term[i].var != x->steps->loop.var)
            kern_index_add(x->k, &to, from->term[i].var, from->term[i].stride);
    kern_index_add(x->k, &to, parity, x->slot);
    return to;
}

static void read_there(const Turns *x, KStmt *s)
{
    for (uint32_t i = 0; kern_body(s) && i < kern_body(s)->n; i++)
        read_there(x, kern_body(s)->p[i]);
    if (s->kind != K_LOAD || s->mem.buf != x->memory)
        return;
    s->mem.at = in_slot(x, &s->mem.at, x->found);
    s->mem.buf = x->two;
}

static void write_there(const Turns *x, KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->p[i] == x->store) {
            KStmt *s = NEW(x->k->arena, KStmt);
            *s = *x->store;
            s->mem.at = in_slot(x, &s->mem.at, x->left);
            s->mem.buf = x->two;
            kern_insert(x->k, b, i + 1, s);
            return;
        }
        if (kern_body(b->p[i]))
            write_there(x, kern_body(b->p[i]));
    }
}

static void add_scalar(const Turns *x, KBlock *to, KStmt s)
{
    s.at = x->steps->at;
    kern_add(x->k, to, s);
}

/* Which slot is read: steps count up or down, and so it takes turns. */
static void add_parity(Turns *x)
{
    KernProg *k = x->k;
    KBlock front = {0}, *body = &x->steps->loop.body;
    KVar one = kern_var(k, DT_INT, false, STR("")), two = kern_var(k, DT_INT, false, STR(""));
    x->found = kern_var(k, DT_INT, false, STR("")), x->left = kern_var(k, DT_INT, false, STR(""));
    add_scalar(x, &front, (KStmt){.kind = K_CONST, .constant = {one, 1}});
    add_scalar(x, &front, (KStmt){.kind = K_CONST, .constant = {two, 2}});
    add_scalar(x, &front, (KStmt){.kind = K_LET, .let = {x->found, FUN_IMOD, {x->steps->loop.var, two}}});
    add_scalar(x, &front, (KStmt){.kind = K_LET, .let = {x->left, FUN_SUB, {one, x->found}}});
    for (uint32_t i = 0; i < front.n; i++)
        kern_insert(k, body, i, front.p[i]);
}

static void take_turns(Turns *x)
{
    KBlock *body = &x->steps->loop.body;
    x->two = kern_buf(x->k, (KBuf){.kind = K_WORK, .dt = DT_REAL, .size = dim_mul(x->k->dims, x->slot, dim_const(x->k->dims, 2)), .shares = K_NONE,
                                   .home = K_NONE, .name = STR("")});
    add_parity(x);
    for (uint32_t i = 0; i < body->n; i++)
        if (nv_touches(x->k, body->p[i], x->memory) == NV_READS)
            read_there(x, body->p[i]);
    write_there(x, body);
    vec_push(x->m->a, &x->m->turn, ((NvTurn){x->memory, x->two, x->stride, x->slot}));
}

void nv_take_turns(Map *m, KStmt *steps)
{
    m->turn.n = 0;
    if (steps->loop.by != DIM_ZERO)
        return;
    for (KBufId b = 0, n = m->k->buf.n; b < n; b++) {
        Turns x = {.m = m, .k = m->k, .steps = steps, .memory = b};
        if (kern_memory(m->k, b) == b && takes_turns(&x))
            take_turns(&x);
    }
}

/* ---- in front of the first step ---- */

/* The store to `two`, and the loops around it. */
static const KStmt *find_way(Turns *x, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i], *found = NULL;
        if (s->kind == K_STORE && s->mem.buf == x->two)
            return s;
        if (s->kind != K_LOOP)
            continue;
        x->around[x->naround++] = s;
        found = find_way(x, &s->loop.body);
        if (found)
            return found;
        x->naround--;
    }
    return NULL;
}

/* Both slots, as either may be the first that is read. A block does it for its own elements. */
static KStmt *first_state(Turns *x, const NvTurn *t)
{
    KernProg *k = x->k;
    const KStmt *store = find_way(x, &x->steps->loop.body);
    KVar value = kern_var(k, DT_REAL, false, STR(""));
    KBlock all = {0}, *to = &all;
    KIndex at = {.base = DIM_ZERO};
    for (uint32_t i = 0; i < x->naround; i++) {
        KStmt loop = *x->around[i];
        Dim stride = kern_index_stride(&store->mem.at, loop.loop.var);
        if (stride == DIM_ZERO)
            continue;
        loop.loop.kind = K_PARALLEL, loop.loop.reverse = false, loop.loop.body = (KBlock){0};
        loop.loop.var = kern_var(k, DT_INT, true, STR(""));
        kern_index_add(k, &at, loop.loop.var, stride);
        to = &kern_add(k, to, loop)->loop.body;
    }
    KIndex from = at, second = at;
    from.base = x->steps->loop.reverse ? dim_mul(k->dims, x->steps->loop.extent, t->stride) : DIM_ZERO;
    second.base = t->slot;
    kern_add(k, to, (KStmt){.kind = K_LOAD, .at = store->at, .mem = {.var = value, .buf = t->state, .at = from}});
    kern_add(k, to, (KStmt){.kind = K_STORE, .at = store->at, .mem = {.var = value, .buf = t->two, .at = at}});
    kern_add(k, to, (KStmt){.kind = K_STORE, .at = store->at, .mem = {.var = value, .buf = t->two, .at = second}});
    return all.p[0];
}

void nv_first_turns(Map *m, KStmt *steps, KBlock *front)
{
    for (uint32_t i = 0; i < m->turn.n; i++) {
        Turns x = {.m = m, .k = m->k, .steps = steps, .two = m->turn.p[i].two};
        vec_push(m->k->arena, front, first_state(&x, &m->turn.p[i]));
    }
}
