/* kern.fuse: in a step, loops that pass over the same matrix become one, as deep as they can, so that a state is read,
 * updated and read out in one pass.
 *
 * A loop is appended to an earlier one with the same extent when each element that both touch, and one of them writes,
 * belongs to the same iteration of both. What the later loop needs and stands between the two moves in front of the
 * earlier one, if it does not depend on it. Bodies are then looked at in the same way. */
#include "ir/kern/depend.h"

typedef struct Fuse {
    KernProg *p;
    Arena *own;
} Fuse;

/* ---- kinds ---- */

static bool has_loop(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_LOOP)
            return true;
    return false;
}

/* Whether iterations may run in lanes: they are independent but for what they accumulate. */
static bool is_vector(const KStmt *s)
{
    if (s->loop.kind != K_SERIAL)
        return true;
    for (uint32_t i = 0; i < s->loop.body.n; i++) {
        KKind k = s->loop.body.p[i]->kind;
        if (k == K_STORE || k == K_START || k == K_LOOP || k == K_CHECK)
            return false;
    }
    return true;
}

static KLoopKind joint_kind(const KStmt *a, const KStmt *b)
{
    if (a->loop.kind == b->loop.kind)
        return a->loop.kind;
    bool innermost = !has_loop(&a->loop.body) && !has_loop(&b->loop.body);
    return innermost && is_vector(a) && is_vector(b) ? K_VECTOR : K_SERIAL;
}

/* ---- whether ---- */

static bool may_run_together(const Fuse *f, const DependList *a, const DependList *b)
{
    for (uint32_t i = 0; i < a->n; i++)
        for (uint32_t j = 0; j < b->n; j++) {
            const DependAccess *x = &a->p[i], *y = &b->p[j];
            if ((x->write || y->write) && depend_overlap(f->p, x->buf, y->buf) && !depend_same_iteration(f->p, x, y))
                return false;
        }
    return true;
}

/* How many axes, but the batch's, an access runs along. */
static uint32_t axes(const Fuse *f, const DependAccess *a)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->at->n; i++)
        for (uint32_t k = 0; k < a->nloop; k++)
            n += a->loop[k]->loop.var == a->at->term[i].var &&
                 a->loop[k]->loop.extent != dim_of(f->p->dims, f->p->batch);
    return n;
}

static bool share_a_matrix(const Fuse *f, const DependList *a, const DependList *b)
{
    for (uint32_t i = 0; i < a->n; i++)
        for (uint32_t j = 0; j < b->n; j++)
            if (a->p[i].buf == b->p[j].buf && axes(f, &a->p[i]) > 1 && axes(f, &b->p[j]) > 1)
                return true;
    return false;
}

static bool is_forward_loop(const KStmt *s)
{
    return s->kind == K_LOOP && !s->loop.reverse;
}

static bool can_fuse(const Fuse *f, const KStmt *a, const KStmt *b, bool inside)
{
    if (!is_forward_loop(a) || !is_forward_loop(b) || a->loop.extent != b->loop.extent)
        return false;
    if (has_loop(&a->loop.body) != has_loop(&b->loop.body)) /* the innermost loop is the one for lanes */
        return false;
    if ((a->loop.kind == K_VECTOR || b->loop.kind == K_VECTOR) && joint_kind(a, b) != K_VECTOR)
        return false;
    DependList x = {0}, y = {0};
    return depend_list(f->own, a, &x) && depend_list(f->own, b, &y) && (inside || share_a_matrix(f, &x, &y)) &&
           may_run_together(f, &x, &y);
}

/* ---- the way from the later loop to the earlier one ---- */

/* Moves what block.p[to] needs, of what stands behind block.p[from], in front of that; returns where that is then, or
 * K_NONE when something of it depends on block.p[from]. */
static uint32_t clear_way(const Fuse *f, KBlock *b, uint32_t from, uint32_t to)
{
    bool *needed = NEWN(f->own, bool, to + 1);
    needed[to] = true;
    for (uint32_t i = to; i-- > from + 1;) {
        for (uint32_t k = i + 1; k <= to && !needed[i]; k++)
            needed[i] = needed[k] && depend_conflict(f->p, b->p[i], b->p[k]);
        if (needed[i] && depend_conflict(f->p, b->p[from], b->p[i]))
            return K_NONE;
    }
    for (uint32_t i = from + 1; i < to; i++) {
        if (!needed[i])
            continue;
        KStmt *s = b->p[i];
        memmove(&b->p[from + 1], &b->p[from], (i - from) * sizeof *b->p);
        b->p[from++] = s;
    }
    return from;
}

/* ---- fusing ---- */

typedef struct Rename {
    KVar from, to;
} Rename;

static void rename_use(void *cx, KVar *v)
{
    const Rename *r = cx;
    *v = *v == r->from ? r->to : *v;
}

static void fuse_block(const Fuse *f, KBlock *b, bool inside);

static void append(const Fuse *f, KStmt *a, const KStmt *b)
{
    a->loop.kind = joint_kind(a, b);
    for (uint32_t i = 0; i < b->loop.body.n; i++) {
        kern_each_use(b->loop.body.p[i], rename_use, &(Rename){b->loop.var, a->loop.var});
        vec_push(f->p->arena, &a->loop.body, b->loop.body.p[i]);
    }
}

static void take_out(KBlock *b, uint32_t i)
{
    b->n--;
    memmove(&b->p[i], &b->p[i + 1], (b->n - i) * sizeof *b->p);
}

/* Appends to the loop b->p[*at] what follows and can be; that loop may move. */
static bool fuse_into(const Fuse *f, KBlock *b, uint32_t *at, bool inside)
{
    bool any = false;
    for (uint32_t j = *at + 1; j < b->n; j++) {
        if (!can_fuse(f, b->p[*at], b->p[j], inside))
            continue;
        uint32_t now = clear_way(f, b, *at, j);
        if (now == K_NONE)
            continue;
        *at = now;
        append(f, b->p[now], b->p[j]);
        take_out(b, j--);
        any = true;
    }
    return any;
}

static void fuse_block(const Fuse *f, KBlock *b, bool inside)
{
    for (uint32_t i = 0; i < b->n; i++) {
        uint32_t at = i;
        if (b->p[i]->kind != K_LOOP)
            continue;
        bool any = fuse_into(f, b, &at, inside);
        fuse_block(f, &b->p[at]->loop.body, inside || any);
        if (at > i) /* what now stands in front of it was not looked at yet */
            i--;
    }
}

/* Looks for steps: the bodies of serial loops that hold other loops. */
static void find_steps(const Fuse *f, KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i];
        if (s->kind != K_LOOP)
            continue;
        if (s->loop.kind == K_SERIAL && has_loop(&s->loop.body))
            fuse_block(f, &s->loop.body, false);
        else
            find_steps(f, &s->loop.body);
    }
}

void kern_fuse(KernProg *p)
{
    Fuse f = {p, arena_new()};
    depend_find_turns(p, f.own);
    for (uint32_t i = 0; i < REC_NFN; i++)
        find_steps(&f, &p->fn[i]);
    arena_free(f.own);
}
