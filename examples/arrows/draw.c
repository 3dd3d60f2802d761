#include "draw.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

static double uniform(Random *r)
{
    uint64_t z = r->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

double random_between(Random *r, double low, double high)
{
    return low + (high - low) * uniform(r);
}

/* At least two radii away from a, as on a torus of this width. */
static double away(Random *r, double a, double radius, double width)
{
    double c = a + 2 * radius + random_between(r, 0, width - 4 * radius);
    return c > width ? c - width : c;
}

Scene scene_draw(Random *r, double side)
{
    const double margin = 30, width = side - 2 * margin;
    Scene s = {.points = random_between(r, 0, 1) < 0.5};
    s.length = floor(random_between(r, 15, 30));
    s.width = floor(random_between(r, 2, 4));
    s.x = random_between(r, 0, width);
    s.y = random_between(r, 0, width);
    s.radius = random_between(r, 15, 30);
    s.disc_x = away(r, s.x, s.radius, width);
    s.disc_y = away(r, s.y, s.radius, width);
    double dx = s.disc_x - s.x, dy = s.disc_y - s.y, square = dx * dx + dy * dy;
    double radius = s.points ? s.radius / 1.2 : 1.2 * s.radius; /* what is neither a clear hit nor a clear miss is left out */
    double half = acos(sqrt(fabs((square - radius * radius) / square))), to = atan2(dy, dx);
    s.phi = s.points ? random_between(r, to - half, to + half) : random_between(r, to + half, to + 2 * pi - half);
    s.x += margin, s.y += margin, s.disc_x += margin, s.disc_y += margin;
    return s;
}

static Stroke stroke(double x, double y, double phi, double length)
{
    return (Stroke){x, y, x + length * cos(phi), y + length * sin(phi)};
}

static double square(double x, double y)
{
    return x * x + y * y;
}

/* Of a point from the stroke, squared. */
static double distance(const Stroke *s, double x, double y)
{
    double dx = s->to_x - s->x, dy = s->to_y - s->y, t = ((x - s->x) * dx + (y - s->y) * dy) / square(dx, dy);
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return square(x - s->x - t * dx, y - s->y - t * dy);
}

static int is_black(const Scene *s, const Stroke *arrow, double x, double y)
{
    if (square(x - s->disc_x, y - s->disc_y) <= square(s->radius, 0))
        return 1;
    if (square(x - s->x, y - s->y) > square(s->length, s->length))
        return 0;
    for (int i = 0; i < 3; i++)
        if (distance(&arrow[i], x, y) <= square(s->width / 2, 0))
            return 1;
    return 0;
}

void scene_strokes(const Scene *s, Stroke arrow[3])
{
    double half = floor(s->length / 2), back = floor(s->length / 2.5);
    arrow[0] = stroke(s->x - half * cos(s->phi), s->y - half * sin(s->phi), s->phi, 2 * half);
    arrow[1] = stroke(arrow[0].to_x, arrow[0].to_y, s->phi + pi - 0.5, back);
    arrow[2] = stroke(arrow[0].to_x, arrow[0].to_y, s->phi + pi + 0.5, back);
}

void scene_paint(const Scene *s, int side, float *place, int64_t stride)
{
    Stroke arrow[3];
    scene_strokes(s, arrow);
    int across = side / PATCH, small = PATCH / SHRINK;
    for (int y = 0; y < side / SHRINK; y++)
        for (int x = 0; x < side / SHRINK; x++) {
            int black = 0, i = y / small * across + x / small, p = y % small * small + x % small;
            for (int k = 0; k < SHRINK * SHRINK; k++)
                black += is_black(s, arrow, x * SHRINK + k % SHRINK + 0.5, y * SHRINK + k / SHRINK + 0.5);
            place[i * stride + p] = (float)black / (SHRINK * SHRINK);
        }
}
