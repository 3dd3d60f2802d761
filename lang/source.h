/* Source text and places in it. A Span says where something stands; line and column are computed only to print. */
#ifndef LANG_SOURCE_H
#define LANG_SOURCE_H

#include "lang/base.h"

typedef struct Span {
    uint32_t file;  /* index into Sources; 0 is "no place" */
    uint32_t begin; /* byte offset */
    uint32_t end;   /* past the last byte */
} Span;

typedef struct SourceFile {
    Str path; /* as the user wrote it; "<stdlib>/gru.rnn" for embedded files */
    Str text; /* followed by one NUL byte that is not counted */
} SourceFile;

typedef struct Sources {
    Arena *arena;
    VEC(SourceFile) file; /* file.p[0] is a dummy */
} Sources;

typedef struct LineCol {
    uint32_t line, col; /* from 1; col counts bytes' code points (UTF-8) */
    Str text;           /* the whole line without its newline */
} LineCol;

Sources *sources_new(Arena *a);
uint32_t source_add(Sources *s, Str path, Str text); /* copies the text, adds the NUL; returns the file index */
LineCol source_place(const Sources *s, Span at);
Span span_join(Span a, Span b); /* from the first to the last of two places in one file */

#endif
