/* What the text forms of rec and kern share: words, numbers, names in quotes, sizes, types; as they are read and as
 * they are written. What reads returns false once something is wrong, with the message kept from the first time. */
#ifndef IR_TEXT_H
#define IR_TEXT_H

#include "lang/type.h"

/* ---- reading ---- */
typedef struct TextIn {
    Arena *a;
    DimTab *dims;
    const char *s, *end; /* what is left */
    uint32_t line;
    bool by_line; /* the end of a line ends a statement; else it is a blank like others */
    Str *error;   /* may be NULL */
} TextIn;

TextIn in_new(Arena *a, Str text, bool by_line, Str *error); /* with a table of dimensions of its own */
bool in_fail(TextIn *in, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

char in_peek(const TextIn *in); /* the next letter, a new line at the end of the text */
void in_blanks(TextIn *in);
bool in_accept(TextIn *in, char c);
bool in_expect(TextIn *in, char c);
Str in_word(TextIn *in); /* letters, then digits and dots too; empty when something else stands there; borrows */
bool in_accept_word(TextIn *in, const char *w);
bool in_expect_word(TextIn *in, const char *w);
bool in_one_of(TextIn *in, const char *const *text, uint32_t n, uint32_t *out); /* the index of one of n words */
bool in_number(TextIn *in, uint32_t most, uint32_t *out);
bool in_real(TextIn *in, double *out);
bool in_quoted(TextIn *in, Str *out);
bool in_name(TextIn *in, Str *out); /* a word, or anything in quotes */

bool in_dim(TextIn *in, DimSym *out);     /* the name of a dimension that there is */
bool in_new_dim(TextIn *in, DimSym *out); /* `H size`: makes it */
bool in_size(TextIn *in, Dim *out);
bool in_dtype(TextIn *in, DType *out);
bool in_type(TextIn *in, Type *out);

/* ---- writing ---- */
void out_quoted(Text *out, Str s);
void out_name(Text *out, Str s);
void out_real(Text *out, double x);                     /* the fewest digits that read back as the same double */
void out_new_dim(Text *out, const DimTab *t, DimSym s); /* `dim H size`, a line */
void out_type(Text *out, const DimTab *t, const Type *ty);

#endif
