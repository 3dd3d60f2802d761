/* The formatter: one way to space and indent. */
#ifndef FRONTEND_FMT_H
#define FRONTEND_FMT_H

#include "lang/diag.h"

/* The file's text with the author's lines and comments, spaced and indented anew; the tokens stay what they are, and
 * formatting the result changes nothing. A file with an error in it, which is then in `ds`, comes back as it is. */
Str fmt_source(Arena *a, const Sources *src, uint32_t file, Diags *ds);

#endif
