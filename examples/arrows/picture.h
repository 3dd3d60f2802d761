/* Images with what the model says of them, as SVG. */
#ifndef PICTURE_H
#define PICTURE_H

#include "draw.h"

enum { SHOWN = 10 }; /* of each size */

typedef struct Shown {
    Scene scene;
    double points; /* the probability that the arrow points at the disc, as the model has it */
} Shown;

/* Two rows: images of SIDE pixels, and of twice as many. */
void picture_write(const char *path, const Shown small[SHOWN], const Shown large[SHOWN]);

#endif
