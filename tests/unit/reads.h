/* What a reader of text must stand, whichever IR it reads. */
#ifndef TESTS_UNIT_READS_H
#define TESTS_UNIT_READS_H

#include <criterion/criterion.h>

#include "lang/base.h"

/* Whether the text was read; the program is then printed and verified, whatever comes of it. */
typedef bool Reads(Arena *a, Str text, Str *error);

/* Whatever a prefix or a changed letter makes of a text, the reader, the printer and the verifier return; a refusal has
 * a message. Most of what comes so is refused. */
static void reads_survives(Reads *reads, const char *text, const char *letters)
{
    Str whole = str_of(text);
    uint32_t refused = 0, nletter = (uint32_t)strlen(letters);
    for (uint32_t i = 0; i < whole.n; i++)
        for (uint32_t k = 0; k < 3; k++) {
            Arena *a = arena_new();
            Str damaged = str_copy(a, whole), error;
            if (k == 0)
                damaged.n = i;
            else
                ((char *)(uintptr_t)damaged.p)[i] = letters[(i * 7 + k * 5) % nletter];
            bool is_read = reads(a, damaged, &error);
            refused += !is_read;
            cr_assert(is_read || error.n);
            arena_free(a);
        }
    cr_assert_gt(refused, whole.n);
}

typedef struct BadText {
    const char *text, *error;
} BadText;

static void reads_refuses(Reads *reads, const BadText *bad, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        Arena *a = arena_new();
        Str error = {0};
        cr_assert_not(reads(a, str_of(bad[i].text), &error), "%s", bad[i].text);
        cr_assert(strstr(error.p, bad[i].error), "%s\n%s", bad[i].text, error.p);
        arena_free(a);
    }
}

#endif
