/* States that are updated in place. Two slots that take turns are needed only where an element is written before its
 * old value was read for the last time. Once a step's statements are made it is seen whether that is so; if not, the
 * slots become one when all functions are made. */
#include "ir/kern/lower.h"

typedef struct Update {
    const Recur *rc;
    KBufId buf;
    KVar found, left; /* the parities of the slots that the step reads and writes */
    uint32_t reads, writes;
} Update;

static bool has_term(const KIndex *at, KVar v)
{
    for (uint32_t i = 0; i < at->n; i++)
        if (at->term[i].var == v)
            return true;
    return false;
}

static void count_slots(void *cx, KBufId b, KIndex *at)
{
    Update *u = cx;
    if (b != u->buf)
        return;
    u->reads += has_term(at, u->found);
    u->writes += has_term(at, u->left);
}

static Update counted(const Update *u, const KBlock *b)
{
    Update n = {.buf = u->buf, .found = u->found, .left = u->left};
    for (uint32_t i = 0; i < b->n; i++)
        kern_each_access(b->p[i], count_slots, &n);
    return n;
}

static bool reads(const Update *u, KStmt *s)
{
    return counted(u, &(KBlock){.p = &s, .n = 1}).reads > 0;
}

static bool writes(const Update *u, KStmt *s)
{
    return counted(u, &(KBlock){.p = &s, .n = 1}).writes > 0;
}

/* The same element of two slots. */
static bool same_element(const Update *u, const KIndex *a, const KIndex *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++) {
        KVar v = a->term[i].var, w = b->term[i].var;
        bool same = (v == w && a->term[i].stride == b->term[i].stride) || (v == u->found && w == u->left);
        if (!same)
            return false;
    }
    return true;
}

/* The store to the left slot in a nest, if it is the only one, and the innermost block that it stands in. */
static const KBlock *block_of_store(const Update *u, const KBlock *b)
{
    const KBlock *in = NULL;
    for (uint32_t i = 0; i < b->n; i++) {
        KStmt *s = b->p[i];
        if (!writes(u, s))
            continue;
        if (in || (s->kind != K_LOOP && s->kind != K_STORE) || (s->kind == K_LOOP && s->loop.kind != K_PARALLEL))
            return NULL;
        in = s->kind == K_STORE ? b : block_of_store(u, &s->loop.body);
        if (!in)
            return NULL;
    }
    return in;
}

/* Whether all reads of the found slot in a block are of the element that is stored, and stand in front of the store. */
static bool reads_first(const Update *u, const KBlock *b)
{
    const KIndex *store = NULL;
    for (uint32_t i = b->n; i-- > 0;) {
        KStmt *s = b->p[i];
        if (writes(u, s))
            store = &s->mem.at;
        else if (reads(u, s) && (!store || s->kind != K_LOAD || !same_element(u, &s->mem.at, store)))
            return false;
    }
    return true;
}

/* Whether the nest that writes a state is the last to read it, each element just before it is written. */
static bool can_update_in_place(const Update *u, const KBlock *body)
{
    uint32_t w = body->n;
    for (uint32_t i = 0; i < body->n; i++) {
        if (w < body->n && (reads(u, body->p[i]) || writes(u, body->p[i])))
            return false;
        if (writes(u, body->p[i]))
            w = i;
    }
    if (w == body->n)
        return false;
    const KBlock *nest = &(KBlock){.p = &body->p[w], .n = 1}, *in = block_of_store(u, nest);
    return in && reads_first(u, in) && counted(u, in).reads == counted(u, nest).reads;
}

void in_place_find(const RecOp *recur, const Recur *rc, const KBlock *body)
{
    for (uint32_t i = 0; i < recur->nstate; i++) {
        Update u = {.rc = rc,
                    .buf = rc->state[i].buf,
                    .found = recur->reverse ? rc->other_parity : rc->parity,
                    .left = recur->reverse ? rc->parity : rc->other_parity};
        rc->state[i].in_place = rc->state[i].turn != DIM_ZERO && can_update_in_place(&u, body);
    }
}

static void drop_turn(void *cx, KBufId b, KIndex *at)
{
    const Update *u = cx;
    uint32_t n = 0;
    for (uint32_t i = 0; i < at->n; i++) {
        KVar v = at->term[i].var;
        if (b != u->buf || (v != u->rc->parity && v != u->rc->other_parity && v != u->rc->length_parity))
            at->term[n++] = at->term[i];
    }
    at->n = (uint8_t)n;
}

static void use_one_slot(Lower *l, const RecOp *recur, const Recur *rc, uint32_t i)
{
    const Trajectory *x = &rc->state[i];
    Dim slots = dim_mul(l->dims, recur->length, x->step);
    l->k->buf.p[x->buf].size = dim_add(l->dims, type_size(l->dims, rec_type(l->rec, recur->use[i].v)), slots);
    for (uint32_t f = 0; f < REC_NFN; f++)
        for (uint32_t s = 0; s < l->k->fn[f].n; s++)
            kern_each_access(l->k->fn[f].p[s], drop_turn, &(Update){.rc = rc, .buf = x->buf});
}

void in_place_apply(Lower *l)
{
    for (RecId v = 0; v < l->rec->op.n; v++) {
        const RecOp *op = rec_op(l->rec, v);
        for (uint32_t i = 0; op->kind == REC_RECUR && l->recur[v] && i < op->nstate; i++)
            if (l->recur[v]->state && l->recur[v]->state[i].in_place)
                use_one_slot(l, op, l->recur[v], i);
    }
}
