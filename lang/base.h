/* The bottom of everything: arenas that own, strings that borrow, growable arrays, and our own mistakes. */
#ifndef LANG_BASE_H
#define LANG_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- arena: memory that is freed all at once ---- */
typedef struct Arena Arena;
Arena *arena_new(void);
void arena_free(Arena *a);
void *arena_alloc(Arena *a, size_t bytes); /* zeroed, aligned to 16 */

#define NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define NEWN(arena, type, n) ((type *)arena_alloc((arena), sizeof(type) * (size_t)(n)))

/* ---- strings: pointer and length, borrowed unless a comment says otherwise; not NUL-terminated ---- */
typedef struct Str {
    const char *p;
    uint32_t n;
} Str;

#define STR(lit) ((Str){(lit), (uint32_t)(sizeof(lit) - 1)})
#define STRF(s) (int)(s).n, (s).p /* for "%.*s" */

Str str_of(const char *cstr); /* borrows */
bool str_eq(Str a, Str b);
bool str_is(Str a, const char *cstr);
Str str_copy(Arena *a, Str s);
const char *str_c(Arena *a, Str s);                                               /* NUL-terminated copy */
Str str_fmt(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* NUL-terminated too */
uint32_t str_hash(Str s);

/* ---- growable text, in an arena ---- */
typedef struct Text {
    Arena *arena;
    char *p; /* NUL-terminated */
    size_t n, cap;
} Text;

void text_add(Text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_put(Text *t, const char *p, size_t n);
Str text_str(const Text *t);

/* ---- growable arrays: VEC(int) v = {0}; vec_push(arena, &v, 3); v.p[i], v.n ---- */
#define VEC(type)                                                                                                      \
    struct {                                                                                                           \
        type *p;                                                                                                       \
        uint32_t n, cap;                                                                                               \
    }
#define vec_push(arena, v, ...)                                                                                        \
    do {                                                                                                               \
        if ((v)->n == (v)->cap)                                                                                        \
            (v)->p = vec_grow((arena), (v)->p, &(v)->cap, sizeof *(v)->p);                                             \
        (v)->p[(v)->n++] = (__VA_ARGS__);                                                                              \
    } while (0)
void *vec_grow(Arena *a, void *p, uint32_t *cap, size_t elem);

/* ---- our own mistake: prints "rnnc: internal error: ..." with where to report it, exits 70 ---- */
_Noreturn void ice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
