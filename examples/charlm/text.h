/* A text as numbers, and its split: every tenth block of 1000 characters is held out. */
#ifndef TEXT_H
#define TEXT_H

#include <stdint.h>

enum { BLOCK = 1000, EVERY = 10 };

typedef struct Text {
    int nsymbols; /* bytes that the training part has, and 0 for all others */
    int symbol_of[256];
    unsigned char byte_of[257];
    int64_t n;
    int32_t *symbol; /* the whole text */
    int64_t ntrain;
    int32_t *train; /* the training blocks, joined */
} Text;

Text text_read(const char *path);
int is_held_out(int64_t position);
_Noreturn void die(const char *what, const char *why);

/* An order-2 character model with interpolated Kneser-Ney smoothing: bits per character on the held-out blocks. */
double order2_bits(const Text *t);

#endif
