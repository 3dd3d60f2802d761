#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void die(const char *what, const char *why)
{
    fprintf(stderr, "charlm: %s: %s\n", what, why);
    exit(1);
}

int is_held_out(int64_t position)
{
    return position / BLOCK % EVERY == EVERY - 1;
}

static unsigned char *read_bytes(const char *path, int64_t *n)
{
    FILE *f = fopen(path, "rb");
    size_t size = 0, room = 1 << 16, got;
    unsigned char *p = malloc(room);
    if (!f)
        die(path, strerror(errno));
    while (p && (got = fread(p + size, 1, room - size, f)) > 0)
        if ((size += got) == room)
            p = realloc(p, room *= 2);
    if (!p || ferror(f))
        die(path, "cannot be read");
    fclose(f);
    *n = (int64_t)size;
    return p;
}

/* Symbols are numbered by the training part only: a byte that only the held-out part has is 0. */
static void number_symbols(Text *t, const unsigned char *byte)
{
    t->nsymbols = 1;
    t->byte_of[0] = '?';
    for (int64_t i = 0; i < t->n; i++)
        if (!is_held_out(i) && !t->symbol_of[byte[i]]) {
            t->byte_of[t->nsymbols] = byte[i];
            t->symbol_of[byte[i]] = t->nsymbols++;
        }
}

Text text_read(const char *path)
{
    Text t = {0};
    unsigned char *byte = read_bytes(path, &t.n);
    if (t.n < BLOCK * EVERY)
        die(path, "the text needs 10,000 characters or more");
    number_symbols(&t, byte);
    t.symbol = malloc((size_t)t.n * sizeof *t.symbol);
    t.train = malloc((size_t)t.n * sizeof *t.train);
    if (!t.symbol || !t.train)
        die("memory", "not enough");
    for (int64_t i = 0; i < t.n; i++) {
        t.symbol[i] = t.symbol_of[byte[i]];
        if (!is_held_out(i))
            t.train[t.ntrain++] = t.symbol[i];
    }
    free(byte);
    return t;
}
