/* Calls any generated object through rnn_info alone: opens it, finds the size of every array, fills what goes in from a
 * seed, and calls every function. Where an array lies is the caller's to say. elman.h is any generated header: the types
 * that all of them share. */
#ifndef TESTS_HARDEN_CALL_H
#define TESTS_HARDEN_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elman.h"

enum { MAXARRAY = 192, MAXSIZE = 16 };

typedef enum Group { SIZES, PARAMS, INPUTS, OUTPUTS, COTANGENTS, GRADS, INPUT_GRADS, WEIGHTS, CARRY, NGROUP } Group;
typedef enum Function { INIT, FORWARD, TRAIN, BACKWARD, CHUNK, STEP, NFUNCTION } Function;

/* Every struct of the interface is a row of these. */
typedef union Word {
    int64_t size;
    void *array;
} Word;

typedef size_t WorkspaceFn(const Word *sizes, int passes);
typedef size_t PackedFn(const Word *sizes, const int32_t *offsets, int passes);
typedef int InitFn(const Word *sizes, const Word *weights, uint64_t seed);
typedef int Call4(const Word *, const Word *, const Word *, const Word *, const rnn_call *);
typedef int Call5(const Word *, const Word *, const Word *, const Word *, const Word *, const rnn_call *);
typedef int Call6(const Word *, const Word *, const Word *, const Word *, const Word *, const Word *, const rnn_call *);

typedef struct Model {
    const char *path;
    const rnn_info *info;
    int first[NGROUP], count[NGROUP]; /* its rows in info->arrays */
    int narray;
    WorkspaceFn *workspace;
    PackedFn *packed_workspace; /* NULL where there are no packed batches */
    int offsets;                /* their row, or -1 */
    InitFn *init; /* NULL where there is none; backward too */
    Call4 *forward;
    Call6 *backward;
    Call5 *chunk, *step;
} Model;

/* Which of the optional arrays are given. */
typedef enum Given { ALL, NONE, SOME } Given;

/* What one set of calls is made of. */
typedef struct Case {
    int64_t size[MAXSIZE];
    Given given;
    bool wild_ints; /* indices from the data are anything */
    bool parallel;  /* with a callback, which runs the tasks in an order of its own */
    uint64_t seed;
    rnn_parallel_for threads; /* that callback, if not the one that is built in; and what it takes */
    void *context;
    bool packed; /* T is of all sequences together, end to end */
} Case;

/* Room for array `slot` of the model (narray: the workspace); `written` by generated code, else only read. It is filled
 * before it is sealed. */
typedef struct Memory {
    void *(*place)(void *cx, int slot, size_t bytes);
    void (*seal)(void *cx, int slot, bool written);
    void *cx;
    bool blank; /* what is only written is left as it is, for tools that know what was never set */
} Memory;

typedef struct Run {
    const Model *model;
    const Case *c;
    const Memory *memory;
    Word word[MAXARRAY];    /* by row of info->arrays */
    size_t bytes[MAXARRAY]; /* of arrays */
    Function now;           /* what is being called */
    rnn_call call;
} Run;

bool model_open(Model *m, const char *path); /* NAME.so, whose functions begin with NAME up to the first dot */
int model_size(const Model *m, const char *name); /* index of a size, -1 if there is none */
int model_array(const Model *m, Group g, const char *name); /* row of info->arrays, -1 if there is none */
const char *function_name(Function f);
bool is_real(const rnn_array *a);

/* Lays out and fills everything that function f takes. */
void run_begin(Run *r, const Model *m, const Case *c, const Memory *memory, Function f);
int run_call(Run *r); /* the status */
/* After the call: one number from all bytes that were written for the caller. */
uint64_t run_hash(const Run *r, uint64_t seed);
/* All functions, one after the other; false, and a message, when a status is not what it should be. `hash` gets a number
 * from all results. */
bool run_all(Run *r, const Model *m, const Case *c, const Memory *memory, uint64_t *hash);

/* Arrays in blocks of their own from malloc, exactly as large as they are; freed by heap_free. */
typedef struct Heap {
    void *block[MAXARRAY];
} Heap;
Memory heap_memory(Heap *h, bool blank);
void heap_free(Heap *h);

/* Sizes of case number i of a model; false past the last one. */
bool case_sizes(const Model *m, int i, Case *c);
void case_print(char *out, size_t n, const Model *m, const Case *c, const char *function);
uint64_t random_at(uint64_t seed, uint64_t i);

#endif
