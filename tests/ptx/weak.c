/* What a thread writes stays its own until it releases, and what it reads is as old as its last acquire. So what others may not count on does not
 * happen: a release or an acquire that is missing shows at once, and not once in a thousand runs. In between stands the block: at its barriers threads
 * tell each other what they know, and how far they see, and nobody else. One of them that releases does it for all of that.
 *
 * Memory itself is up to date. A log has what stood there before each change, by the time of the change; a thread reads what was there at its own
 * time. */
#include "weak.h"

#include <stdlib.h>
#include <string.h>

enum { WORD = 4 };
#define NEVER INT64_MAX

/* Bytes of a word: those of the mask. */
struct piece {
    unsigned char byte[WORD], mask;
};

struct change {
    int64_t time;
    struct piece old;
    struct change *later; /* of the same word */
};

/* By the word's address, open addressing; address 0: free. What a thread, or a block, knows of a byte is so `until` a time: who sees as far finds it in
 * memory, or what came behind it. NEVER: it is not released yet; 0: nothing is known. */
struct row {
    uint64_t at;
    unsigned char byte[WORD];
    int64_t until[WORD];
    struct change *first;  /* of a launch */
};

struct rows {
    struct row *row;
    size_t n, room;
    uint64_t *dirty; /* words that are not released, some of them several times */
    size_t ndirty, dirty_room;
};

struct weak_memory {
    struct rows words;
    int64_t time;
};

struct weak_block {
    struct rows words;
};

struct weak_thread {
    struct rows words;
    struct weak_block *of;
    int64_t time;
};

static size_t place(const struct rows *r, uint64_t at)
{
    size_t i = (size_t)((at >> 2) * 0x9e3779b97f4a7c15u >> 20) & (r->room - 1);
    while (r->row[i].at && r->row[i].at != at)
        i = (i + 1) & (r->room - 1);
    return i;
}

static void grow(struct rows *r)
{
    struct rows old = *r;
    size_t i;
    r->room = old.room ? 2 * old.room : 64;
    r->row = calloc(r->room, sizeof *r->row);
    if (!r->row)
        abort();
    for (i = 0; i < old.room; i++)
        if (old.row[i].at)
            r->row[place(r, old.row[i].at)] = old.row[i];
    free(old.row);
}

static struct row *row_of(struct rows *r, uint64_t at)
{
    struct row *row;
    if (2 * r->n >= r->room)
        grow(r);
    row = &r->row[place(r, at)];
    r->n += row->at == 0;
    row->at = at;
    return row;
}

static const struct row *find(const struct rows *r, uint64_t at)
{
    const struct row *row = r->room ? &r->row[place(r, at)] : NULL;
    return row && row->at ? row : NULL;
}

static void know(struct rows *r, uint64_t at, unsigned char byte, int64_t until)
{
    struct row *row = row_of(r, at / WORD * WORD);
    row->byte[at % WORD] = byte;
    row->until[at % WORD] = until;
    if (until != NEVER || (r->ndirty && r->dirty[r->ndirty - 1] == row->at))
        return;
    if (r->ndirty == r->dirty_room) {
        r->dirty_room = r->dirty_room ? 2 * r->dirty_room : 64;
        r->dirty = realloc(r->dirty, r->dirty_room * sizeof *r->dirty);
        if (!r->dirty)
            abort();
    }
    r->dirty[r->ndirty++] = row->at;
}

static void free_rows(struct rows *r)
{
    free(r->row);
    free(r->dirty);
}

struct weak_memory *weak_memory_new(void)
{
    return calloc(1, sizeof(struct weak_memory));
}

struct weak_block *weak_block_new(void)
{
    return calloc(1, sizeof(struct weak_block));
}

struct weak_thread *weak_thread_new(struct weak_block *of)
{
    struct weak_thread *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    t->of = of;
    return t;
}

struct weak_block *weak_block_of(const struct weak_thread *t)
{
    return t->of;
}

int64_t weak_time(const struct weak_memory *m)
{
    return m->time;
}

void weak_memory_free(struct weak_memory *m)
{
    size_t i;
    for (i = 0; i < m->words.room; i++)
        while (m->words.row[i].first) {
            struct change *later = m->words.row[i].first->later;
            free(m->words.row[i].first);
            m->words.row[i].first = later;
        }
    free_rows(&m->words);
    free(m);
}

void weak_block_free(struct weak_block *b)
{
    free_rows(&b->words);
    free(b);
}

void weak_thread_free(struct weak_thread *t)
{
    free_rows(&t->words);
    free(t);
}

/* The byte as it was at that time. */
static unsigned char byte_at(const struct weak_memory *m, uint64_t at, int64_t time)
{
    const struct row *row = find(&m->words, at / WORD * WORD);
    const struct change *c = row ? row->first : NULL;
    while (c && (c->time <= time || !(c->old.mask >> at % WORD & 1)))
        c = c->later;
    return c ? c->old.byte[at % WORD] : *(const unsigned char *)(uintptr_t)at;
}

/* NULL: at that time it is in memory. */
static const unsigned char *known(const struct rows *r, uint64_t at, int64_t time)
{
    const struct row *row = find(r, at / WORD * WORD);
    return row && row->until[at % WORD] > time ? &row->byte[at % WORD] : NULL;
}

void weak_read(const struct weak_memory *m, const struct weak_thread *t, uint64_t at, void *to, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++, at++) {
        const unsigned char *own = known(&t->words, at, t->time);
        own = own ? own : known(&t->of->words, at, t->time);
        ((unsigned char *)to)[i] = own ? *own : byte_at(m, at, t->time);
    }
}

void weak_write(struct weak_thread *t, uint64_t at, const void *from, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        know(&t->words, at + i, ((const unsigned char *)from)[i], NEVER);
}

static void change(struct weak_memory *m, uint64_t at, const struct piece *p)
{
    struct change *c = calloc(1, sizeof *c), **last = &row_of(&m->words, at)->first;
    int i;
    if (!c)
        abort();
    c->time = m->time;
    c->old.mask = p->mask;
    for (i = 0; i < WORD; i++)
        if (p->mask >> i & 1) {
            unsigned char *byte = (unsigned char *)(uintptr_t)at + i;
            c->old.byte[i] = *byte;
            *byte = p->byte[i];
        }
    while (*last)
        last = &(*last)->later;
    *last = c;
}

void weak_write_now(struct weak_memory *m, uint64_t at, const void *from, size_t n)
{
    struct piece p = {{0}, 0};
    size_t i;
    m->time++;
    for (i = 0; i < n; i++, at++) {
        p.byte[at % WORD] = ((const unsigned char *)from)[i];
        p.mask |= (unsigned char)(1 << at % WORD);
        if (at % WORD == WORD - 1 || i + 1 == n) {
            change(m, at / WORD * WORD, &p);
            p.mask = 0;
        }
    }
}

static void publish(struct weak_memory *m, struct rows *r)
{
    size_t i;
    for (i = 0; i < r->ndirty; i++) {
        struct row *row = row_of(r, r->dirty[i]);
        struct piece p = {{0}, 0};
        int k;
        for (k = 0; k < WORD; k++)
            if (row->until[k] == NEVER) {
                p.byte[k] = row->byte[k];
                p.mask |= (unsigned char)(1 << k);
                row->until[k] = m->time;
            }
        if (p.mask)
            change(m, row->at, &p);
    }
    r->ndirty = 0;
}

void weak_release(struct weak_memory *m, struct weak_thread *t)
{
    m->time++;
    publish(m, &t->of->words);
    publish(m, &t->words);
}

void weak_acquire(const struct weak_memory *m, struct weak_thread *t)
{
    t->time = m->time;
}

/* The block knows it, and the thread need not any more. */
static void hand_over(struct weak_thread *t, int64_t time)
{
    size_t i;
    int k;
    for (i = 0; i < t->words.room; i++)
        for (k = 0; k < WORD && t->words.row[i].at; k++)
            if (t->words.row[i].until[k] > time)
                know(&t->of->words, t->words.row[i].at + (uint64_t)k, t->words.row[i].byte[k], t->words.row[i].until[k]);
    if (t->words.n)
        memset(t->words.row, 0, t->words.room * sizeof *t->words.row);
    t->words.n = t->words.ndirty = 0;
}

void weak_meet(struct weak_thread **all, size_t n)
{
    int64_t time = 0;
    size_t i;
    for (i = 0; i < n; i++)
        time = all[i]->time > time ? all[i]->time : time;
    for (i = 0; i < n; i++) {
        hand_over(all[i], time);
        all[i]->time = time;
    }
}
