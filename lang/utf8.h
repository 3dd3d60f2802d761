/* Text as bytes: what is UTF-8, and how to print what may not be. */
#ifndef LANG_UTF8_H
#define LANG_UTF8_H

#include "lang/base.h"

/* Bytes of the code point at p, or 0 if there is none: over-long forms, surrogates, and past U+10FFFF are none. */
uint32_t utf8_length(const unsigned char *p, size_t left);
Str str_printable(Arena *a, Str s); /* control characters, and bytes that are no UTF-8, as \x1b */

#endif
