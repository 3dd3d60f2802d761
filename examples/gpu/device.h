/* What a caller of generated launchers needs of the CUDA driver: a context and memory. Programs with the CUDA toolkit
 * take <cuda.h> instead; this one is built without it. */
#ifndef DEVICE_H
#define DEVICE_H

#include <stddef.h>
#include <stdint.h>

typedef struct Device {
    void *library, *context;
    int number;
    char name[128];
    const char *failed; /* the call that failed; NULL: none */
    int (*init)(unsigned flags);
    int (*get)(int *device, int ordinal);
    int (*get_name)(char *name, int bytes, int device);
    int (*retain)(void **context, int device);
    int (*release)(int device);
    int (*set_current)(void *context);
    int (*wait)(void);
    int (*alloc)(uint64_t *at, size_t bytes);
    int (*free)(uint64_t at);
    int (*to)(uint64_t to, const void *from, size_t bytes);
    int (*from)(void *to, uint64_t from, size_t bytes);
} Device;

/* The first GPU, its context current; 0 when there is none, and `failed` says what did. */
int device_open(Device *d);
void device_close(Device *d);
/* The address of new memory there, with a copy of `from` (NULL: whatever it holds); NULL, and `failed`, on failure. */
void *device_new(Device *d, size_t bytes, const void *from);
void device_free(Device *d, void *at);
int device_read(Device *d, void *to, const void *at, size_t bytes); /* 0, and `failed`, on failure */
int device_wait(Device *d);                                         /* for all that was launched; likewise */

#endif
