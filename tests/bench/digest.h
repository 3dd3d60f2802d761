/* What contestants say of their results, compared. */
#ifndef TESTS_BENCH_DIGEST_H
#define TESTS_BENCH_DIGEST_H

#include "turns.h"

enum { NUMBERS = 32 };

/* Largest difference of two digests: of the products with noise, over the norm. */
static double digest_difference(const double *a, const double *b)
{
    double worst = 0;
    for (int i = 0; i < NUMBERS && !isnan(b[i]); i += 2) {
        double d = fabs(a[i] - b[i]) / sqrt(b[i + 1]);
        if (!(d <= worst))
            worst = d;
    }
    return worst;
}

static int read_digest(Contestant *c, double *numbers)
{
    char line[2048], *p = line + 6, *end;
    for (int i = 0; i < NUMBERS; i++)
        numbers[i] = NAN;
    if (!ask(c, line, sizeof line, "digest\n") || strncmp(line, "digest", 6))
        return c->alive = 0;
    for (int i = 0; i < NUMBERS; i++, p = end) {
        double x = strtod(p, &end);
        if (end == p)
            break;
        numbers[i] = x;
    }
    return 1;
}

#endif
