/* kern.home: a state whose places need one slot lives in the caller's array for its final value.
 *
 * Inference begins a recurrence by copying the initial state into the workspace, and ends it by copying the final state out. A step
 * that goes on from a carry would spend most of its time so where states are matrices. So the slot is the caller's array, where there is
 * one: what copied it out has nothing to do then, and where the initial state is the same array, as in a carry, what copied it in has
 * neither (the target sees at run time that both sides are the same). One recurrence may hand its slot on to the next, as the rounds
 * behind whole chunks go on from those: then both have the same home.
 *
 * It is done where the array is written by one copy of the slot, behind all else that touches the slot; where the initial state
 * is read, if at all, up to the statement that fills the slot and there element by element; and where no index is checked, since a
 * call that fails leaves a carry as it was. Training keeps all slots, and has them in the workspace. */
#include "ir/kern/depend.h"

typedef struct Home {
    KernProg *p;
    const KBlock *top; /* forward */
    KBufId final;
} Home;

static bool has_checks(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_CHECK || (kern_body(b->p[i]) && has_checks(kern_body(b->p[i]))))
            return true;
    return false;
}

/* ---- who touches a buffer ---- */

typedef struct Touch {
    KBufId buf;
    uint32_t n;
} Touch;

static void count(void *cx, KBufId b, KIndex *at)
{
    Touch *t = cx;
    (void)at;
    t->n += b == t->buf;
}

static uint32_t touches(KStmt *s, KBufId b)
{
    Touch t = {b, 0};
    kern_each_access(s, count, &t);
    return t.n;
}

/* The outermost statement that is the first to touch it, or the last; the number of all statements if there is none. */
static uint32_t first_touch(const Home *h, KBufId b)
{
    uint32_t i = 0;
    while (i < h->top->n && !touches(h->top->p[i], b))
        i++;
    return i;
}

static uint32_t last_touch(const Home *h, KBufId b)
{
    uint32_t i = h->top->n;
    while (i > 0 && !touches(h->top->p[i - 1], b))
        i--;
    return i ? i - 1 : h->top->n;
}

/* ---- copies, element by element ---- */

static Dim in_inference(const KernProg *p, Dim d)
{
    return dim_subst(p->dims, d, p->keep, DIM_ZERO);
}

/* The same element, in inference. */
static bool same_place(const KernProg *p, const KIndex *a, const KIndex *b)
{
    if (a->n != b->n || in_inference(p, a->base) != in_inference(p, b->base))
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (a->term[i].var != b->term[i].var || a->term[i].stride != b->term[i].stride)
            return false;
    return true;
}

static const KStmt *maker_of(const KBlock *b, KVar v)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (kern_defines(b->p[i]) == v)
            return b->p[i];
    return NULL;
}

const KStmt *kern_chosen_load(const KBlock *b, KVar v)
{
    const KStmt *s = maker_of(b, v);
    if (!s || s->kind == K_LOAD)
        return s;
    if (s->kind != K_LET || s->let.fun != FUN_WHERE)
        return NULL;
    const KStmt *yes = kern_chosen_load(b, s->let.arg[1]), *no = kern_chosen_load(b, s->let.arg[2]);
    return yes && no ? NULL : yes ? yes : no;
}

/* The store into `to`, the only one in s, of what is loaded from the same place of another buffer; `chosen`: or of something else, where
 * a condition says so. */
static const KStmt *copy_into(const Home *h, const KBlock *b, KBufId to, bool chosen, KBufId *from)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i], *load;
        if (kern_body(b->p[i])) {
            const KStmt *inner = copy_into(h, kern_body(b->p[i]), to, chosen, from);
            if (inner)
                return inner;
        }
        if (s->kind != K_STORE || s->mem.buf != to || s->mem.add)
            continue;
        load = chosen ? kern_chosen_load(b, s->mem.var) : maker_of(b, s->mem.var);
        if (!load || load->kind != K_LOAD || !same_place(h->p, &load->mem.at, &s->mem.at))
            return NULL;
        *from = load->mem.buf;
        return s;
    }
    return NULL;
}

/* Statement `at` as such a copy, and nothing else of it touches `to`. */
static bool is_copy(const Home *h, uint32_t at, KBufId to, bool chosen, KBufId *from)
{
    KBlock one = {&h->top->p[at], 1, 1};
    return touches(h->top->p[at], to) == 1 && copy_into(h, &one, to, chosen, from) && touches(h->top->p[at], *from) == 1;
}

/* ---- homes ---- */

static bool is_slot(const Home *h, KBufId b)
{
    const KBuf *x = &h->p->buf.p[b], *final = &h->p->buf.p[h->final];
    return x->kind == K_WORK && x->shares == K_NONE && x->home == K_NONE && x->dt == final->dt && in_inference(h->p, x->size) == final->size;
}

/* The initial state is not read later than where it fills the slot. */
static bool start_is_over(const Home *h, KBufId slot, uint32_t filled)
{
    const KernProg *p = h->p;
    for (KBufId b = 0; b < p->buf.n; b++) {
        KBufId from;
        bool start = p->buf.p[b].kind == K_ARG && p->arg.p[p->buf.p[b].slot].role == ROLE_START && p->arg.p[p->buf.p[b].slot].of == p->buf.p[h->final].slot;
        uint32_t last = start ? last_touch(h, b) : h->top->n;
        if (last == h->top->n)
            continue;
        if (last > filled || kern_arg_narrow(p, p->buf.p[b].slot))
            return false;
        if (last == filled && (!is_copy(h, filled, slot, true, &from) || from != b))
            return false;
    }
    return true;
}

/* The slots that end in the final array: the last one, and those that hand on to it. */
static void find_slots(Home *h)
{
    KBufId slot, found[8];
    uint32_t n = 0, at = first_touch(h, h->final);
    if (at == h->top->n || last_touch(h, h->final) != at || !is_copy(h, at, h->final, false, &slot))
        return;
    while (n < 8 && is_slot(h, slot) && last_touch(h, slot) == at) {
        found[n++] = slot;
        at = first_touch(h, slot);
        if (!is_copy(h, at, slot, false, &slot))
            break;
    }
    if (n == 0 || !start_is_over(h, found[n - 1], at))
        return;
    for (uint32_t i = 0; i < n; i++)
        h->p->buf.p[found[i]].home = h->final;
}

/* The final array that a buffer may be the same memory as, or K_NONE. */
static KBufId home_of(const KernProg *p, KBufId b)
{
    const KBuf *x = &p->buf.p[b];
    if (x->kind == K_WORK)
        return x->home;
    if (x->kind == K_OUT)
        return p->out.p[x->slot].role == OUT_FINAL ? b : K_NONE;
    for (KBufId i = 0; i < p->buf.n && p->arg.p[x->slot].role == ROLE_START; i++)
        if (p->buf.p[i].kind == K_OUT && p->buf.p[i].slot == p->arg.p[x->slot].of)
            return i;
    return K_NONE;
}

const KStmt *kern_self_copy(const KernProg *p, const KBlock *b, const KStmt *store)
{
    const KStmt *load = store->mem.add ? NULL : kern_chosen_load(b, store->mem.var);
    KBufId home = home_of(p, store->mem.buf);
    bool same = load && home != K_NONE && home_of(p, load->mem.buf) == home && same_place(p, &load->mem.at, &store->mem.at);
    return same ? load : NULL;
}

void kern_home(KernProg *p)
{
    for (KBufId b = 0; b < p->buf.n; b++)
        p->buf.p[b].home = K_NONE;
    if (has_checks(&p->fn[REC_FORWARD]))
        return;
    for (KBufId b = 0; b < p->buf.n; b++) {
        const KBuf *x = &p->buf.p[b];
        Home h = {p, &p->fn[REC_FORWARD], b};
        if (x->kind == K_OUT && p->out.p[x->slot].role == OUT_FINAL && !kern_out_narrow(p, x->slot))
            find_slots(&h);
    }
}
