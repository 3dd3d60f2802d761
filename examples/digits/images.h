/* The images, and which of them are held out. */
#ifndef IMAGES_H
#define IMAGES_H

#include <stddef.h>
#include <stdint.h>

enum { SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 10 };

typedef struct Image {
    float pixel[PIXELS]; /* row by row, 0 to 1 */
    int32_t label;
} Image;

/* In a random order that is always the same: the first nheld are held out. */
typedef struct Images {
    Image *image;
    size_t n, nheld;
} Images;

Images images_read(const char *path);
void images_free(Images *s);

/* The training part alone, with a fifth of it held out: what settings are chosen on. */
void images_forget_held_out(Images *s);

/* A random order of n numbers (Fisher & Yates). */
void shuffle(size_t *order, size_t n, uint64_t *seed);

void *room(size_t n, size_t size);
_Noreturn void die(const char *what, const char *why);

#endif
