#include "lang/base.h"

#include <stdlib.h>

/* An arena is a list of blocks; a request larger than a block gets a block of its own. */
typedef struct Block Block;
struct Block {
    Block *next;
    size_t used, size;
};

enum { BLOCK_BYTES = 64 * 1024, ALIGN = 16 };

struct Arena {
    Block *top;
};

static void *checked(void *p)
{
    if (!p)
        ice("out of memory");
    return p;
}

Arena *arena_new(void)
{
    return checked(calloc(1, sizeof(Arena)));
}

void arena_free(Arena *a)
{
    if (!a)
        return;
    for (Block *b = a->top, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(a);
}

static size_t rounded(size_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

void *arena_alloc(Arena *a, size_t bytes)
{
    size_t need = rounded(bytes ? bytes : 1), head = rounded(sizeof(Block));
    if (!a->top || a->top->size - a->top->used < need) {
        size_t size = head + (need > BLOCK_BYTES ? need : BLOCK_BYTES);
        Block *b = checked(calloc(1, size));
        *b = (Block){.next = a->top, .used = head, .size = size};
        a->top = b;
    }
    void *p = (char *)a->top + a->top->used;
    a->top->used += need;
    return p;
}

Str str_of(const char *cstr)
{
    return (Str){cstr, (uint32_t)strlen(cstr)};
}

bool str_eq(Str a, Str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_is(Str a, const char *cstr)
{
    return str_eq(a, str_of(cstr));
}

const char *str_c(Arena *a, Str s)
{
    char *p = arena_alloc(a, (size_t)s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

Str str_copy(Arena *a, Str s)
{
    return (Str){str_c(a, s), s.n};
}

Str str_fmt(Arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return (Str){p, (uint32_t)n};
}

uint32_t str_hash(Str s)
{
    uint32_t h = 2166136261u;
    for (uint32_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 16777619u;
    return h;
}

static void text_room(Text *t, size_t more)
{
    if (t->n + more + 1 <= t->cap)
        return;
    size_t cap = t->cap ? t->cap * 2 : 256;
    while (cap < t->n + more + 1)
        cap *= 2;
    char *p = arena_alloc(t->arena, cap);
    if (t->n)
        memcpy(p, t->p, t->n);
    t->p = p;
    t->cap = cap;
}

void text_put(Text *t, const char *p, size_t n)
{
    text_room(t, n);
    if (n)
        memcpy(t->p + t->n, p, n);
    t->n += n;
    t->p[t->n] = 0;
}

void text_add(Text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    text_room(t, (size_t)n);
    va_start(ap, fmt);
    vsnprintf(t->p + t->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    t->n += (size_t)n;
}

Str text_str(const Text *t)
{
    return (Str){t->p ? t->p : "", (uint32_t)t->n};
}

void *vec_grow(Arena *a, void *p, uint32_t *cap, size_t elem)
{
    uint32_t old = *cap;
    *cap = old ? old * 2 : 8;
    void *q = arena_alloc(a, *cap * elem);
    if (old)
        memcpy(q, p, old * elem);
    return q;
}

void ice(const char *fmt, ...)
{
    va_list ap;
    fputs("rnnc: internal error: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputs("\nrnnc: this is a fault of the compiler, not of your file; please report it with the file that shows it\n",
          stderr);
    exit(70);
}
