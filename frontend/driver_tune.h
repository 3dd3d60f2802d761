/* FILE.tune: the forms that `rnnc tune` found to be the fastest, as text beside the model:
 *     # comment
 *     gla chunk:64 T=4096,B=1,N=4,K=64,V=64 f32 avx512, AMD EPYC
 * The form is what counts; the rest of a line says what it was measured with. */
#ifndef FRONTEND_DRIVER_TUNE_H
#define FRONTEND_DRIVER_TUNE_H

#include "frontend/elab.h"

typedef struct TuneLine {
    Str entry;
    RecForm form;
    Str rest; /* sizes, precision, machine */
    Span at;  /* of the form */
} TuneLine;

typedef struct TuneFile {
    Str path;
    bool exists, broken; /* broken: diagnostics say why */
    VEC(TuneLine) line;
} TuneFile;

Str tune_path(Arena *a, const Unit *u);
/* The one beside the unit's file; none for standard input. Lines of entries that the unit does not have are errors. */
TuneFile tune_read(Arena *a, const Unit *u, Sources *sources, Diags *diags);
const TuneLine *tune_find(const TuneFile *f, Str entry); /* NULL if there is none */
void tune_set(Arena *a, TuneFile *f, TuneLine line);     /* instead of the entry's old line, or at the end */
bool tune_write(Arena *a, const TuneFile *f, Str *error);

#endif
