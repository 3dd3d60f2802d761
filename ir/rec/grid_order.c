/* In which order the places of a grid can run: a place at the time that is a weighted sum of its indices.
 * Small weights are tried first, so that few times are needed: the time of {up, left} is r + s, that of a row's
 * neighbours in the row before is r, that of all four earlier ones of eight neighbours 2r + s. */
#include "ir/rec/rec.h"

#include <stdlib.h>

typedef struct Search {
    const RecOffset *by;
    uint32_t n;
    uint8_t naxes;
    int32_t most; /* of a weight */
    int16_t now[REC_MAXAXES], best[REC_MAXAXES];
    int32_t cost; /* of the best; 0 for none */
} Search;

static bool in_order(const Search *s)
{
    for (uint32_t k = 0; k < s->n; k++) {
        int32_t time = 0;
        for (uint8_t i = 0; i < s->naxes; i++)
            time += s->now[i] * s->by[k].by[i];
        if (time >= 0)
            return false;
    }
    return true;
}

static void look_at(Search *s)
{
    int32_t cost = 0;
    for (uint8_t i = 0; i < s->naxes; i++)
        cost += 2 * abs(s->now[i]) + (s->now[i] < 0);
    if (!cost || (s->cost && cost >= s->cost) || !in_order(s))
        return;
    memcpy(s->best, s->now, sizeof s->best);
    s->cost = cost;
}

static void try_axis(Search *s, uint8_t axis)
{
    if (axis == s->naxes) {
        look_at(s);
        return;
    }
    for (int32_t w = -s->most; w <= s->most; w++) {
        s->now[axis] = (int16_t)w;
        try_axis(s, (uint8_t)(axis + 1));
    }
}

bool rec_grid_order(const RecOffset *by, uint32_t n, uint8_t naxes, int16_t *weight)
{
    static const int32_t limit[REC_MAXAXES + 1] = {0, 1, 1025, 32, 8};
    Search s = {.by = by, .n = n, .naxes = naxes};
    int32_t most = limit[naxes], far = 1;
    for (uint32_t k = 0; k < n; k++)
        for (uint8_t i = 0; i < naxes; i++)
            far = abs(by[k].by[i]) >= far ? abs(by[k].by[i]) + 1 : far;
    for (s.most = 1; !s.cost; s.most = 2 * s.most > most ? most : 2 * s.most) {
        try_axis(&s, 0);
        if (s.most >= most || s.most >= far * naxes)
            break;
    }
    if (s.cost)
        memcpy(weight, s.best, naxes * sizeof *weight);
    return s.cost != 0;
}
