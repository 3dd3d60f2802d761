/* Images of an arrow and a disc, by the rule of the arrow-pointing task (Poeppel et al. 2025, arXiv 2506.11997): does the arrow point at
 * the disc? Drawn at SIDE x SIDE pixels, or another side with things as large as they are there; then 4 x 4 pixels become one. */
#ifndef DRAW_H
#define DRAW_H

#include <stdint.h>

enum {
    SIDE = 192,   /* pixels before halving */
    PATCH = 24,   /* pixels of a patch, likewise: one place of the grid */
    SHRINK = 4,   /* how many of them become one */
    POINTS = (PATCH / SHRINK) * (PATCH / SHRINK), /* numbers of a place */
};

typedef struct Random {
    uint64_t state;
} Random;

double random_between(Random *r, double low, double high);

/* Where everything is, in pixels. */
typedef struct Scene {
    int points; /* the arrow points at the disc */
    double x, y, phi, length, width;
    double disc_x, disc_y, radius;
} Scene;

Scene scene_draw(Random *r, double side);

/* The arrow: its shaft, and two strokes back from its tip. */
typedef struct Stroke {
    double x, y, to_x, to_y;
} Stroke;
void scene_strokes(const Scene *s, Stroke arrow[3]);

/* How dark each of the (side / SHRINK)^2 points is, 0 to 1, as patches: point p of the place in row i and column j is at
 * place[(i * (side / PATCH) + j) * stride + p]. */
void scene_paint(const Scene *s, int side, float *place, int64_t stride);

#endif
