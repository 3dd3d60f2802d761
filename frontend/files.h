/* Whole files in and out. Writing is all or nothing: a reader sees the old file or the new one, never half of it. */
#ifndef FRONTEND_FILES_H
#define FRONTEND_FILES_H

#include "lang/base.h"

typedef struct Bytes {
    unsigned char *p;
    size_t n;
} Bytes;

/* "-" is standard input. False, and a message with the path, when it cannot be read. One NUL stands behind the bytes. */
bool file_read(Arena *a, Str path, Bytes *out, Str *error);
/* "-" is standard output; what is no regular file (a pipe, a device) is written to directly. */
bool file_write(Arena *a, Str path, const void *p, size_t n, Str *error);
typedef struct FileOut {
    Str path;
    const void *p;
    size_t n;
} FileOut;
/* Files that belong together: all are there afterwards, or none has changed. They are replaced in order. */
bool files_write(Arena *a, const FileOut *file, uint32_t n, Str *error);
Str path_extension(Str path);              /* "npz" of "a/b.npz", or empty */
Str path_stem(Str path);                   /* "b" of "a/b.npz" */
Str path_without_extension(Str path);      /* "a/b" of "a/b.npz" */
Str path_beside(Arena *a, Str path, Str name); /* "a/x" for "a/b.rnn" and "x"; an absolute name is itself */

#endif
