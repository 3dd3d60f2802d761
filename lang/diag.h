/* The user's mistakes: collected, sorted by place, printed as text or JSON. Reporting never stops the compiler. */
#ifndef LANG_DIAG_H
#define LANG_DIAG_H

#include "lang/source.h"

typedef enum DiagCode {
#define DIAG(NAME, CODE, MESSAGE, HELP) E_##NAME,
#include "lang/diag.def"
#undef DIAG
    E_COUNT
} DiagCode;

typedef enum Severity { SEV_ERROR, SEV_WARNING } Severity;

typedef struct Diag {
    DiagCode code;
    Severity severity;
    Span at;
    Str message;
    Span also;     /* a second place, file 0 if none */
    Str also_note; /* what stands there */
    Str help;      /* "did you mean `h`?"; empty if none */
} Diag;

typedef struct Diags {
    Arena *arena;
    const Sources *sources;
    VEC(Diag) list;
    uint32_t nerrors;
    uint32_t nreported; /* with those that say again what was said: a mistake in a function is met by each cell that calls it */
} Diags;

Diags *diags_new(Arena *a, const Sources *sources);
/* Reports an error with the row's message; returns it so that a note or help can be added:
 *   diag_also(diag(ds, E_SHAPE, span, ...), other, "declared here"); */
Diag *diag(Diags *ds, DiagCode code, Span at, ...);
Diag *diag_also(Diag *d, Span also, Str note);
Diag *diag_help(Diag *d, Str help);
const char *diag_code_text(DiagCode c);  /* "E0103" */
const char *diag_code_help(DiagCode c);
void diags_print_text(const Diags *ds, FILE *out, bool color); /* file:line:col: error: ... with the line underlined */
void diags_print_json(const Diags *ds, FILE *out);
/* The nearest of n candidates to a misspelt name, or an empty Str when none is near. */
Str nearest(Str name, const Str *candidate, uint32_t n);

#endif
