/* What a thread writes stays its own until it releases, and what it reads is as old as its last acquire. So what others may not count on does not
 * happen: a release or an acquire that is missing shows at once, and not once in a thousand runs.
 *
 * Memory itself is up to date. A log has what stood there before each change, by the time of the change; a thread reads what was there at its own
 * time. */
#include "weak.h"

#include <stdlib.h>
#include <string.h>

enum { WORD = 4 };

/* Bytes of a word: those of the mask. */
struct piece {
    unsigned char byte[WORD], mask;
};

struct change {
    int64_t time;
    struct piece old;
    struct change *later; /* of the same word */
};

/* By the word's address, open addressing; address 0: free. */
struct row {
    uint64_t at;
    struct piece own;      /* of a thread: what it knows, since it has written that */
    unsigned char dirty;   /* of its bytes: not released yet */
    struct change *first;  /* of a launch */
};

struct rows {
    struct row *row;
    size_t n, room;
};

struct weak_memory {
    struct rows words;
    int64_t time;
};

struct weak_thread {
    struct rows words;
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

struct weak_memory *weak_memory_new(void)
{
    return calloc(1, sizeof(struct weak_memory));
}

struct weak_thread *weak_thread_new(void)
{
    return calloc(1, sizeof(struct weak_thread));
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
    free(m->words.row);
    free(m);
}

void weak_thread_free(struct weak_thread *t)
{
    free(t->words.row);
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

void weak_read(const struct weak_memory *m, const struct weak_thread *t, uint64_t at, void *to, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++, at++) {
        const struct row *own = find(&t->words, at / WORD * WORD);
        ((unsigned char *)to)[i] = own && own->own.mask >> at % WORD & 1 ? own->own.byte[at % WORD] : byte_at(m, at, t->time);
    }
}

void weak_write(struct weak_thread *t, uint64_t at, const void *from, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++, at++) {
        struct row *own = row_of(&t->words, at / WORD * WORD);
        own->own.byte[at % WORD] = ((const unsigned char *)from)[i];
        own->own.mask |= (unsigned char)(1 << at % WORD);
        own->dirty |= (unsigned char)(1 << at % WORD);
    }
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

void weak_release(struct weak_memory *m, struct weak_thread *t)
{
    size_t i;
    m->time++;
    for (i = 0; i < t->words.room; i++)
        if (t->words.row[i].dirty) {
            struct piece p = t->words.row[i].own;
            p.mask = t->words.row[i].dirty;
            change(m, t->words.row[i].at, &p);
            t->words.row[i].dirty = 0;
        }
}

void weak_acquire(const struct weak_memory *m, struct weak_thread *t)
{
    size_t i;
    for (i = 0; i < t->words.room && t->time < m->time; i++)
        t->words.row[i].own.mask &= t->words.row[i].dirty;
    t->time = m->time;
}
