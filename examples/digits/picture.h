#ifndef PICTURE_H
#define PICTURE_H

#include "images.h"

/* Draws held-out digits, those that a model got wrong first: guess[m][i] is what model m took image i for. */
void picture_draw(const char *path, const Images *s, const char *const name[2], int *const guess[2]);

#endif
