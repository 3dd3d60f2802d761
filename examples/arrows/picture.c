#include "picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { CELL = 150, LEFT = 12, TOP = 44, LINE = CELL + 34 };

static void draw_scene(FILE *f, const Shown *s, int side, int x, int y)
{
    Stroke arrow[3];
    int wrong = (s->points > 0.5) != s->scene.points;
    scene_strokes(&s->scene, arrow);
    fprintf(f, "<svg x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", x, y, CELL - 10, CELL - 10, side, side);
    fprintf(f, "<rect width=\"%d\" height=\"%d\" fill=\"#f1f4f8\"/>\n", side, side);
    fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n", s->scene.disc_x, s->scene.disc_y, s->scene.radius);
    for (int i = 0; i < 3; i++)
        fprintf(f, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"#000\" stroke-width=\"%.0f\"/>\n", arrow[i].x, arrow[i].y, arrow[i].to_x,
                arrow[i].to_y, s->scene.width);
    fprintf(f, "</svg>\n<text x=\"%d\" y=\"%d\"%s>%.0f %%%s</text>\n", x, y + CELL + 6, wrong ? " fill=\"#d1495b\" font-weight=\"bold\"" : "",
            100 * s->points, wrong ? ", wrong" : "");
}

void picture_write(const char *path, const Shown small[SHOWN], const Shown large[SHOWN])
{
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        exit(1);
    }
    fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"13\">\n",
            2 * LEFT + SHOWN * CELL, TOP + 2 * LINE);
    fprintf(f, "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<text x=\"%d\" y=\"26\" font-size=\"15\">How sure the model is that the "
               "arrow points at the disc: at the size of training (above) and at twice the size</text>\n",
            LEFT);
    for (int i = 0; i < SHOWN; i++) {
        draw_scene(f, &small[i], SIDE, LEFT + i * CELL, TOP);
        draw_scene(f, &large[i], 2 * SIDE, LEFT + i * CELL, TOP + LINE);
    }
    fprintf(f, "</svg>\n");
    if (ferror(f) | fclose(f)) {
        perror(path);
        exit(1);
    }
}
