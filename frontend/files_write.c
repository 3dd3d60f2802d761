/* Files that belong together, written all or none. What can run out or be forbidden comes first: every file is written
 * whole under a temporary name in its own folder. Renames come last; one that fails takes the others back. */
#define _XOPEN_SOURCE 700
#include "frontend/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum Stage {
    NOTHING,   /* was made yet */
    DIRECT,    /* a pipe or a device: there is nothing to rename */
    TEMPORARY, /* waits under its temporary name */
    RENAMED,
} Stage;

typedef struct Writing {
    const FileOut *file;
    const char *target; /* behind links, so that a link stays one */
    const char *temporary;
    const char *old; /* the name under which what stood there waits; NULL if nothing did, or if it cannot be kept */
    bool is_new;     /* nothing stood there */
    bool is_ours;    /* what stands there belongs to this user */
    Stage stage;
} Writing;

static bool failed(Arena *a, Str *error, Str path)
{
    *error =
        str_fmt(a, "cannot write %.*s: %s", STRF(str_is(path, "-") ? STR("standard output") : path), strerror(errno));
    return false;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        p += put;
        n -= (size_t)put;
    }
    return true;
}

/* Some file systems say only when it is closed that a file has no room. */
static bool write_and_close(int fd, const FileOut *file)
{
    bool ok = write_all(fd, file->p, file->n);
    int why = errno;
    if (close(fd) != 0 && ok)
        return false;
    errno = why;
    return ok;
}

static bool write_directly(const Writing *w)
{
    if (str_is(w->file->path, "-"))
        return (!w->file->n || fwrite(w->file->p, 1, w->file->n, stdout) == w->file->n) && fflush(stdout) == 0;
    int fd = open(w->target, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write_and_close(fd, w->file);
}

/* Where the file really goes, and whether it can be put there by a rename. */
static bool find_target(Arena *a, Writing *w)
{
    struct stat st;
    w->target = str_c(a, w->file->path);
    w->stage = str_is(w->file->path, "-") ? DIRECT : NOTHING;
    if (w->stage == DIRECT)
        return true;
    w->is_new = stat(w->target, &st) != 0;
    if (w->is_new)
        return true;
    char *resolved = realpath(w->target, NULL);
    if (resolved)
        w->target = str_copy(a, str_of(resolved)).p;
    free(resolved);
    w->stage = S_ISREG(st.st_mode) ? NOTHING : DIRECT;
    w->is_ours = st.st_uid == geteuid();
    return access(w->target, W_OK) == 0;
}

/* A name in the target's folder that nothing has, and whose length does not depend on the target's. */
static const char *name_beside(Arena *a, const char *target, uint32_t *count)
{
    return path_beside(a, str_of(target), str_fmt(a, "rnnc.%ld.%u.tmp", (long)getpid(), (*count)++)).p;
}

static bool write_temporary(Arena *a, Writing *w, uint32_t *count)
{
    int fd;
    do {
        w->temporary = name_beside(a, w->target, count);
        fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (fd < 0 && errno == EEXIST);
    if (fd < 0)
        return false;
    w->stage = TEMPORARY;
    return write_and_close(fd, w->file);
}

/* A second name for what stands at the target, which is how a rename is taken back. Some file systems have none, and in
 * folders such as /tmp a second name of another user's file could not be removed again. */
static const char *keep_old(Arena *a, const Writing *w, uint32_t *count)
{
    const char *name;
    int result;
    if (w->is_new || !w->is_ours)
        return NULL;
    do {
        name = name_beside(a, w->target, count);
        result = link(w->target, name);
    } while (result != 0 && errno == EEXIST);
    return result == 0 ? name : NULL;
}

static bool put_in_place(Arena *a, Writing *w, uint32_t *count)
{
    w->old = keep_old(a, w, count);
    if (rename(w->temporary, w->target) != 0)
        return false;
    w->stage = RENAMED;
    return true;
}

static void take_back(const Writing *w)
{
    if (w->stage == TEMPORARY)
        unlink(w->temporary);
    if (w->stage == RENAMED && w->old)
        rename(w->old, w->target);
    else if (w->stage == RENAMED && w->is_new)
        unlink(w->target);
    else if (w->old)
        unlink(w->old);
}

static bool is_twice(const Writing *w, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++)
        if (w[k].stage != DIRECT && strcmp(w[k].target, w[i].target) == 0)
            return true;
    return false;
}

/* Everything that can be tried before a file of this name changes. */
static bool prepare(Arena *a, Writing *w, uint32_t n, uint32_t *count, Str *error)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!find_target(a, &w[i]))
            return failed(a, error, w[i].file->path);
        if (is_twice(w, i)) {
            *error = str_fmt(a, "%.*s would be written twice", STRF(w[i].file->path));
            return false;
        }
        if (w[i].stage != DIRECT && !write_temporary(a, &w[i], count))
            return failed(a, error, w[i].file->path);
    }
    return true;
}

static bool finish(Arena *a, Writing *w, uint32_t n, uint32_t *count, Str *error)
{
    for (uint32_t i = 0; i < n; i++)
        if (w[i].stage == DIRECT && !write_directly(&w[i]))
            return failed(a, error, w[i].file->path);
    for (uint32_t i = 0; i < n; i++)
        if (w[i].stage == TEMPORARY && !put_in_place(a, &w[i], count))
            return failed(a, error, w[i].file->path);
    return true;
}

bool files_write(Arena *a, const FileOut *file, uint32_t n, Str *error)
{
    Writing *w = NEWN(a, Writing, n);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        w[i].file = &file[i];
    bool ok = prepare(a, w, n, &count, error) && finish(a, w, n, &count, error);
    for (uint32_t i = 0; i < n; i++)
        if (!ok)
            take_back(&w[i]);
        else if (w[i].old)
            unlink(w[i].old);
    return ok;
}

bool file_write(Arena *a, Str path, const void *p, size_t n, Str *error)
{
    return files_write(a, &(FileOut){path, p, n}, 1, error);
}
