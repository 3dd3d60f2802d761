#include "images.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void die(const char *what, const char *why)
{
    fprintf(stderr, "digits: %s: %s\n", what, why);
    exit(1);
}

void *room(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        die("memory", "not enough");
    return p;
}

/* ---- random numbers: splitmix64 ---- */

static uint64_t next(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void shuffle(size_t *order, size_t n, uint64_t *seed)
{
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)(next(seed) % i), swap = order[i - 1];
        order[i - 1] = order[k];
        order[k] = swap;
    }
}

/* ---- the file: 64 pixels from 0 to 16 and the label in each line ---- */

/* A number from 0 to most at *at, with what follows it. */
static long number(char **at, long most, const char *path)
{
    char *end;
    long value = strtol(*at, &end, 10);
    if (end == *at || value < 0 || value > most)
        die(path, "not 64 pixels from 0 to 16 and a label from 0 to 9 in each line");
    *at = end + (*end == ',');
    return value;
}

static Image parse(char *line, const char *path)
{
    Image m;
    for (int i = 0; i < PIXELS; i++)
        m.pixel[i] = (float)number(&line, 16, path) / 16;
    m.label = (int32_t)number(&line, CLASSES - 1, path);
    return m;
}

static void append(Images *s, Image m)
{
    if ((s->n & (s->n - 1)) == 0) { /* full: its room is the next power of two */
        size_t most = s->n ? 2 * s->n : 1;
        Image *larger = realloc(s->image, most * sizeof *larger);
        if (!larger)
            die("memory", "not enough");
        s->image = larger;
    }
    s->image[s->n++] = m;
}

static Images read_lines(const char *path)
{
    Images s = {0};
    char line[1024];
    FILE *f = fopen(path, "r");
    if (!f)
        die(path, strerror(errno));
    while (fgets(line, sizeof line, f))
        if (line[0] != '#')
            append(&s, parse(line, path));
    if (ferror(f))
        die(path, "cannot be read");
    fclose(f);
    if (s.n < 100)
        die(path, "fewer than 100 images");
    return s;
}

/* ---- what is held out ---- */

static void mix(Images *s, uint64_t seed)
{
    size_t *order = room(s->n, sizeof *order);
    Image *mixed = room(s->n, sizeof *mixed);
    for (size_t i = 0; i < s->n; i++)
        order[i] = i;
    shuffle(order, s->n, &seed);
    for (size_t i = 0; i < s->n; i++)
        mixed[i] = s->image[order[i]];
    free(order);
    free(s->image);
    s->image = mixed;
}

Images images_read(const char *path)
{
    Images s = read_lines(path);
    mix(&s, 1);
    s.nheld = s.n / 5;
    return s;
}

void images_forget_held_out(Images *s)
{
    s->n -= s->nheld;
    memmove(s->image, s->image + s->nheld, s->n * sizeof *s->image);
    s->nheld = s->n / 5;
}

void images_free(Images *s)
{
    free(s->image);
    *s = (Images){0};
}
