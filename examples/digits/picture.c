#include "picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 12, ROWS = 6, CELL = 80, LEFT = 20, TOP = 76, WIDTH = 2 * LEFT + COLUMNS * CELL, LINE = 104 };
enum { HEIGHT = TOP + ROWS * LINE + 10, DOT = 8 };

static int is_wrong(const Images *s, int *const guess[2], size_t i)
{
    return guess[0][i] != s->image[i].label || guess[1][i] != s->image[i].label;
}

/* Which images are shown: the wrong ones, then the others. */
static size_t choose(const Images *s, int *const guess[2], size_t shown[ROWS * COLUMNS])
{
    size_t n = 0;
    for (int wrong = 1; wrong >= 0; wrong--)
        for (size_t i = 0; i < s->nheld && n < (size_t)(ROWS * COLUMNS); i++)
            if (is_wrong(s, guess, i) == wrong)
                shown[n++] = i;
    return n;
}

static void draw_pixels(FILE *f, const Image *m, int x, int y)
{
    fprintf(f, "<g transform=\"translate(%d %d)\"><rect width=\"%d\" height=\"%d\" fill=\"#f1f4f8\"/>\n", x, y,
            SIDE * DOT, SIDE * DOT);
    for (int i = 0; i < PIXELS; i++)
        if (m->pixel[i] > 0)
            fprintf(f, "<path d=\"M%d %dh%dv%dh-%dz\" opacity=\"%.2f\"/>\n", i % SIDE * DOT, i / SIDE * DOT, DOT, DOT,
                    DOT, (double)m->pixel[i]);
    fprintf(f, "</g>\n");
}

/* What one model says, red and struck through where it is wrong. */
static void draw_guess(FILE *f, int x, int y, int guess, int label)
{
    int wrong = guess != label;
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\"%s>%d</text>\n", x, y,
            wrong ? " fill=\"#d1495b\" font-weight=\"bold\" text-decoration=\"line-through\"" : "", guess);
}

/* Around a digit that one of them got wrong, with its label below. */
static void draw_frame(FILE *f, int x, int y, int label)
{
    fprintf(
        f, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#d1495b\" stroke-width=\"2\"/>\n",
        x, y, SIDE * DOT, SIDE * DOT);
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"#667\">(%d)</text>\n", x + SIDE * DOT / 2,
            y + SIDE * DOT + 18, label);
}

static void draw_digit(FILE *f, const Images *s, int *const guess[2], size_t i, int at)
{
    int x = LEFT + at % COLUMNS * CELL + (CELL - SIDE * DOT) / 2, y = TOP + at / COLUMNS * LINE,
        label = s->image[i].label;
    draw_pixels(f, &s->image[i], x, y);
    if (is_wrong(s, guess, i))
        draw_frame(f, x, y, label);
    draw_guess(f, x + 8, y + SIDE * DOT + 18, guess[0][i], label);
    draw_guess(f, x + SIDE * DOT - 8, y + SIDE * DOT + 18, guess[1][i], label);
}

static void draw_title(FILE *f, const char *const name[2])
{
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
            "font-size=\"14\" fill=\"#223\">\n<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    fprintf(f, "<text x=\"%d\" y=\"30\" font-size=\"17\">Handwritten digits that nothing was fitted on</text>\n",
            LEFT + 8);
    fprintf(f,
            "<text x=\"%d\" y=\"54\" fill=\"#667\">Below each what the %s (left) and the %s (right) take it for. "
            "Framed: one of them is wrong; the label is between them.</text>\n",
            LEFT + 8, name[0], name[1]);
}

void picture_draw(const char *path, const Images *s, const char *const name[2], int *const guess[2])
{
    size_t shown[ROWS * COLUMNS], n = choose(s, guess, shown);
    FILE *f = fopen(path, "w");
    if (!f)
        die(path, strerror(errno));
    draw_title(f, name);
    for (size_t i = 0; i < n; i++)
        draw_digit(f, s, guess, shown[i], (int)i);
    fprintf(f, "</svg>\n");
    if (ferror(f) | fclose(f))
        die(path, "could not be written");
}
