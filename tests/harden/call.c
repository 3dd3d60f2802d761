#include "call.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const group_name[NGROUP] = {
    [SIZES] = "sizes",           [PARAMS] = "params", [INPUTS] = "inputs",           [OUTPUTS] = "outputs",
    [COTANGENTS] = "cotangents", [GRADS] = "grads",   [INPUT_GRADS] = "input_grads", [WEIGHTS] = "weights",
    [CARRY] = "carry",
};

static const char *const function_names[NFUNCTION] = {
    [INIT] = "init",         [FORWARD] = "forward", [TRAIN] = "forward for training",
    [BACKWARD] = "backward", [CHUNK] = "chunk",     [STEP] = "step",
};

const char *function_name(Function f)
{
    return function_names[f];
}

/* ---- opening ---- */

/* Data pointers to code pointers, which ISO C keeps apart. */
static void find_function(void *handle, const char *prefix, const char *name, void *fn, size_t size)
{
    char symbol[256];
    snprintf(symbol, sizeof symbol, "%s_%s", prefix, name);
    void *at = dlsym(handle, symbol);
    memcpy(fn, &at, size);
}

static void find_groups(Model *m)
{
    for (int g = 0; g < NGROUP; g++)
        for (int i = 0; i < m->info->narrays; i++)
            if (!strcmp(m->info->arrays[i].group, group_name[g])) {
                m->first[g] = m->count[g] ? m->first[g] : i;
                m->count[g]++;
            }
    m->narray = m->info->narrays;
}

static void prefix_of(char *out, size_t n, const char *path)
{
    const char *base = strrchr(path, '/');
    snprintf(out, n, "%s", base ? base + 1 : path);
    out[strcspn(out, ".")] = 0;
}

bool model_open(Model *m, const char *path)
{
    char prefix[200];
    const rnn_info *(*info)(void) = NULL;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    memset(m, 0, sizeof *m);
    m->path = path;
    if (!handle) {
        fprintf(stderr, "%s\n", dlerror());
        return false;
    }
    prefix_of(prefix, sizeof prefix, path);
#define FIND(name) find_function(handle, prefix, #name, &m->name, sizeof m->name)
    FIND(workspace);
    FIND(packed_workspace);
    FIND(init);
    FIND(forward);
    FIND(backward);
    FIND(chunk);
    FIND(step);
#undef FIND
    find_function(handle, prefix, "info", &info, sizeof info);
    if (!info || !m->forward || !m->chunk || !m->step || !m->workspace) {
        fprintf(stderr, "%s: a function of %s is missing\n", path, prefix);
        return false;
    }
    m->info = info();
    find_groups(m);
    m->offsets = model_array(m, INPUTS, "offsets");
    return m->narray < MAXARRAY && m->count[SIZES] <= MAXSIZE;
}

int model_size(const Model *m, const char *name)
{
    int row = model_array(m, SIZES, name);
    return row < 0 ? -1 : row - m->first[SIZES];
}

int model_array(const Model *m, Group g, const char *name)
{
    for (int i = m->first[g]; i < m->first[g] + m->count[g]; i++)
        if (!strcmp(m->info->arrays[i].name, name))
            return i;
    return -1;
}

static Group group_of(const Model *m, int row)
{
    int g = 0;
    while (g < NGROUP && (row < m->first[g] || row >= m->first[g] + m->count[g]))
        g++;
    return (Group)g;
}

bool is_real(const rnn_array *a)
{
    return !strcmp(a->type, "float") || !strcmp(a->type, "double");
}

static bool is_narrow(const rnn_array *a)
{
    return !strcmp(a->type, "rnn_bf16") || !strcmp(a->type, "rnn_f16");
}

static size_t element_bytes(const rnn_array *a)
{
    return !strcmp(a->type, "double") ? 8 : !strcmp(a->type, "uint8_t") ? 1 : is_narrow(a) ? 2 : 4;
}

/* ---- sizes: "[T, B, 2*H + 1]" is a product of sums of products of numbers and names ---- */

static void skip_blanks(const char **p)
{
    while (**p == ' ')
        ++*p;
}

static int64_t factor(const char **p, const Model *m, const int64_t *size)
{
    char name[64];
    size_t n = 0;
    skip_blanks(p);
    if (isdigit((unsigned char)**p)) {
        char *end;
        int64_t number = strtoll(*p, &end, 10);
        *p = end;
        return number;
    }
    while (n + 1 < sizeof name && **p && !strchr("*+-,] ", **p))
        name[n++] = *(*p)++;
    name[n] = 0;
    if (!strncmp(name, "chunks.", 7)) /* whole parts of so many places */
        return size[model_size(m, "T")] / strtoll(name + 7, NULL, 10);
    int i = model_size(m, name);
    if (i < 0) {
        fprintf(stderr, "%s: a shape mentions `%s`, which is no size\n", m->path, name);
        exit(1);
    }
    return size[i];
}

static int64_t axis(const char **p, const Model *m, const int64_t *size)
{
    int64_t sum = 0, sign = 1;
    skip_blanks(p);
    if (**p == '-') {
        sign = -1;
        ++*p;
    }
    for (;;) {
        int64_t product = sign * factor(p, m, size);
        for (; **p == '*'; product *= factor(p, m, size))
            ++*p;
        sum += product;
        skip_blanks(p);
        if (**p != '+' && **p != '-')
            return sum;
        sign = *(*p)++ == '+' ? 1 : -1;
    }
}

/* In a packed batch arrays over T have no B. */
static bool is_end_to_end(const rnn_array *a)
{
    return !strncmp(a->shape, "[T,", 3) || !strncmp(a->shape, "[T]", 3) || strstr(a->shape, "chunks.");
}

static size_t array_bytes(const Model *m, int row, const Case *c)
{
    const rnn_array *a = &m->info->arrays[row];
    const char *p = a->shape;
    size_t n = element_bytes(a);
    int64_t size[MAXSIZE];
    memcpy(size, c->size, sizeof size);
    if (c->packed && is_end_to_end(a))
        size[model_size(m, "B")] = 1;
    while (*p == '[' || *p == ',') {
        p++;
        n *= (size_t)axis(&p, m, size);
    }
    return n;
}

/* ---- what goes in ---- */

uint64_t random_at(uint64_t seed, uint64_t i)
{
    uint64_t z = (seed * 0x2545F4914F6CDD1Du + i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* An index that every table has; or anything. */
static int32_t draw_int(const Case *c, const Model *m, bool wild, uint64_t random)
{
    int64_t least = 1 << 20;
    for (int i = 0; i < m->count[SIZES]; i++)
        if (i != model_size(m, "T") && i != model_size(m, "B") && c->size[i] < least)
            least = c->size[i];
    if (wild && random % 4 == 0)
        return (int32_t)(random >> 16);
    return (int32_t)((random >> 16) % (uint64_t)(least > 0 ? least : 1));
}

/* Where sequence b of a packed batch begins: some are empty. */
static int32_t offset_of(const Case *c, const Model *m, int64_t b)
{
    int64_t T = c->size[model_size(m, "T")], B = c->size[model_size(m, "B")], at = 0;
    for (int64_t i = 1; i <= b; i++)
        at += i == B ? T - at : (int64_t)(random_at(c->seed, (uint64_t)i) % (uint64_t)(T - at + 1)) * (i % 2);
    return (int32_t)at;
}

static int32_t draw_length(const Case *c, const Model *m, int64_t b, uint64_t random)
{
    int64_t most = c->packed ? offset_of(c, m, b + 1) - offset_of(c, m, b) : c->size[model_size(m, "T")];
    return (int32_t)(random % (uint64_t)(most + 1));
}

/* From 1/2 to 1, of either sign. */
static uint16_t draw_narrow(const rnn_array *a, uint64_t random)
{
    uint64_t most = !strcmp(a->type, "rnn_bf16") ? 0x3f7f : 0x3bff, fraction = !strcmp(a->type, "rnn_bf16") ? 0x7f : 0x3ff;
    return (uint16_t)((random & 0x8000) | (most - ((random >> 16) & fraction)));
}

/* Within +-1. */
static void draw_reals(const rnn_array *a, void *to, size_t n, uint64_t seed)
{
    size_t width = element_bytes(a);
    for (size_t i = 0; i < n; i++) {
        double u = (double)(random_at(seed, i) >> 40) * 0x1p-23 - 1;
        if (width == 8)
            ((double *)to)[i] = u;
        else if (width == 2)
            ((uint16_t *)to)[i] = draw_narrow(a, random_at(seed, i));
        else
            ((float *)to)[i] = (float)u;
    }
}

static void draw_others(const Run *r, int row, void *to, size_t width, size_t n, uint64_t seed)
{
    bool wild = r->c->wild_ints && r->now != TRAIN; /* else there is nothing to go backward from */
    bool offset = row == r->model->offsets, length = !strcmp(r->model->info->arrays[row].name, "lengths");
    for (size_t i = 0; i < n; i++) {
        uint64_t random = random_at(seed, i);
        if (width == 1)
            ((uint8_t *)to)[i] = random % 4 == 0;
        else
            ((int32_t *)to)[i] = offset   ? offset_of(r->c, r->model, (int64_t)i)
                                 : length ? draw_length(r->c, r->model, (int64_t)i, random)
                                          : draw_int(r->c, r->model, wild, random);
    }
}

static void fill(const Run *r, int row, Group g, void *to)
{
    const rnn_array *a = &r->model->info->arrays[row];
    size_t width = element_bytes(a), n = r->bytes[row] / width;
    uint64_t seed = r->c->seed + (uint64_t)row;
    if (g != OUTPUTS && g != INPUT_GRADS && g != WEIGHTS)
        is_real(a) || is_narrow(a) ? draw_reals(a, to, n, seed) : draw_others(r, row, to, width, n, seed);
    else if (!r->memory->blank)
        memset(to, 0xff, n * width);
}

static bool takes(Function f, Group g)
{
    switch (g) {
    case SIZES: return true;
    case PARAMS:
    case INPUTS: return f != INIT;
    case OUTPUTS: return f == FORWARD || f == TRAIN || f == CHUNK || f == STEP;
    case COTANGENTS:
    case GRADS:
    case INPUT_GRADS: return f == BACKWARD;
    case WEIGHTS: return f == INIT;
    case CARRY: return f == CHUNK || f == STEP;
    case NGROUP: break;
    }
    return false;
}

/* A final state that chunk and step would not write: they leave it in the carry. */
static bool is_left_alone(const Run *r, int row)
{
    return (r->now == CHUNK || r->now == STEP) && group_of(r->model, row) == OUTPUTS &&
           r->model->info->arrays[row].optional;
}

static bool is_given(const Run *r, int row)
{
    if (is_left_alone(r, row))
        return false;
    if (row == r->model->offsets)
        return r->c->packed;
    if (!r->model->info->arrays[row].optional || r->c->given == ALL)
        return true;
    return r->c->given == SOME && random_at(r->c->seed, (uint64_t)row) % 2;
}

static void lay_out(Run *r, int row, Group g)
{
    const Memory *memory = r->memory;
    r->word[row].array = NULL;
    r->bytes[row] = array_bytes(r->model, row, r->c);
    if (!is_given(r, row))
        return;
    r->word[row].array = memory->place(memory->cx, row, r->bytes[row]);
    fill(r, row, g, r->word[row].array);
    memory->seal(memory->cx, row, g > INPUTS && g != COTANGENTS);
}

static const Word *group(const Run *r, Group g)
{
    static const Word nothing;
    return r->model->count[g] ? &r->word[r->model->first[g]] : &nothing;
}

/* Backward goes on with the workspace that TRAIN has filled. */
static void lay_out_workspace(Run *r, Function f)
{
    const Memory *memory = r->memory;
    int passes = f == TRAIN || f == BACKWARD ? RNN_TRAIN : RNN_FORWARD;
    if (f == INIT || f == BACKWARD)
        return;
    r->call.bytes = r->c->packed ? r->model->packed_workspace(group(r, SIZES), r->word[r->model->offsets].array, passes)
                                 : r->model->workspace(group(r, SIZES), passes);
    if (r->call.bytes == SIZE_MAX) {
        fprintf(stderr, "%s: no workspace for these sizes\n", r->model->path);
        exit(1);
    }
    r->call.workspace = memory->place(memory->cx, r->model->narray, r->call.bytes);
    if (!memory->blank)
        memset(r->call.workspace, 0xff, r->call.bytes);
    memory->seal(memory->cx, r->model->narray, true);
    r->call.passes = passes;
}

static void from_the_last(void *cx, int64_t n, void (*task)(void *task_cx, int64_t i), void *task_cx)
{
    (void)cx;
    while (n-- > 0)
        task(task_cx, n);
}

void run_begin(Run *r, const Model *m, const Case *c, const Memory *memory, Function f)
{
    rnn_call kept = r->call;
    bool goes_on = f == BACKWARD;
    *r = (Run){.model = m, .c = c, .memory = memory, .now = f};
    if (goes_on)
        r->call = kept;
    r->call.parallel = c->threads ? c->threads : c->parallel ? from_the_last : NULL;
    r->call.context = c->context;
    for (int i = 0; i < m->count[SIZES]; i++)
        r->word[m->first[SIZES] + i].size = c->size[i];
    for (int row = 0; row < m->narray; row++) {
        Group g = group_of(m, row);
        if (g != SIZES && takes(f, g))
            lay_out(r, row, g);
    }
    lay_out_workspace(r, f);
}

int run_call(Run *r)
{
    const Word *s = group(r, SIZES), *p = group(r, PARAMS), *in = group(r, INPUTS), *out = group(r, OUTPUTS);
    const Model *m = r->model;
    switch (r->now) {
    case INIT: return m->init(s, group(r, WEIGHTS), r->c->seed);
    case FORWARD:
    case TRAIN: return m->forward(s, p, in, out, &r->call);
    case BACKWARD:
        return m->backward(s, p, in, group(r, COTANGENTS), group(r, GRADS), group(r, INPUT_GRADS), &r->call);
    case CHUNK: return m->chunk(s, p, in, out, group(r, CARRY), &r->call);
    case STEP: return m->step(s, p, in, out, group(r, CARRY), &r->call);
    case NFUNCTION: break;
    }
    return -1;
}

/* Eight at a time: each step can be undone, so that one other byte is another hash. */
static uint64_t hash_bytes(const unsigned char *p, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, p + i, n - i < 8 ? n - i : 8);
        seed = (seed ^ word) * 0x100000001b3u;
        seed ^= seed >> 32;
    }
    return seed;
}

uint64_t run_hash(const Run *r, uint64_t seed)
{
    for (int row = 0; row < r->model->narray; row++) {
        const unsigned char *p = r->word[row].array;
        Group g = group_of(r->model, row);
        bool written = g == OUTPUTS || g == GRADS || g == INPUT_GRADS || g == WEIGHTS || g == CARRY;
        if (written && p && takes(r->now, g))
            seed = hash_bytes(p, r->bytes[row], seed);
    }
    return seed;
}

static bool is_there(const Model *m, Function f)
{
    return f == INIT ? m->init != NULL : f == BACKWARD ? m->backward != NULL : true;
}

static bool is_fine(const Run *r, int status)
{
    return status == RNN_OK || (status == RNN_STREAM && (r->now == CHUNK || r->now == STEP)) ||
           (status == RNN_INDEX && r->c->wild_ints);
}

bool run_all(Run *r, const Model *m, const Case *c, const Memory *memory, uint64_t *hash)
{
    Case one = *c;
    int T = model_size(m, "T");
    *hash = 0xcbf29ce484222325u;
    for (int f = 0; f < NFUNCTION; f++) {
        if (f == STEP && T >= 0)
            one.size[T] = 1;
        if (!is_there(m, (Function)f) || (f == TRAIN && !m->backward) || (f == STEP && c->packed))
            continue;
        run_begin(r, m, f == STEP ? &one : c, memory, (Function)f);
        int status = run_call(r);
        if (!is_fine(r, status)) {
            char text[400];
            case_print(text, sizeof text, m, c, function_name((Function)f));
            fprintf(stderr, "%s: status %d\n", text, status);
            return false;
        }
        *hash = status == RNN_STREAM ? *hash : run_hash(r, *hash + (uint64_t)status);
    }
    return true;
}

/* ---- blocks from malloc ---- */

static void *heap_place(void *cx, int slot, size_t bytes)
{
    Heap *h = cx;
    free(h->block[slot]);
    h->block[slot] = malloc(bytes);
    return h->block[slot];
}

static void heap_seal(void *cx, int slot, bool written)
{
    (void)cx;
    (void)slot;
    (void)written;
}

Memory heap_memory(Heap *h, bool blank)
{
    return (Memory){heap_place, heap_seal, h, blank};
}

void heap_free(Heap *h)
{
    for (int i = 0; i < MAXARRAY; i++) {
        free(h->block[i]);
        h->block[i] = NULL;
    }
}

/* ---- cases ---- */

static const int64_t odd[] = {1, 3, 7, 16, 17, 33};
enum { NODD = sizeof odd / sizeof *odd };
static const int64_t places[] = {5, 0, 1, 5, 1, 0, 5}, sequences[] = {3, 3, 1, 1, 3, 1, 0};
enum { NTB = sizeof places / sizeof *places, NDIMS = 2 * NODD };

/* All other sizes equal, then each another one; each with every T and B. */
bool case_sizes(const Model *m, int i, Case *c)
{
    int dims = i / NTB, T = model_size(m, "T"), B = model_size(m, "B");
    if (dims >= NDIMS)
        return false;
    for (int k = 0; k < m->count[SIZES]; k++)
        c->size[k] = odd[(dims + (dims / NODD) * k * 5) % NODD];
    if (T >= 0)
        c->size[T] = places[i % NTB];
    c->size[B] = sequences[i % NTB];
    return true;
}

void case_print(char *out, size_t n, const Model *m, const Case *c, const char *function)
{
    static const char *const given[] = {"all optional arrays", "no optional array", "some optional arrays"};
    int used = snprintf(out, n, "%s %s %s %s:", m->path, m->info->precision, m->info->levels, function);
    for (int i = 0; i < m->count[SIZES] && used < (int)n; i++)
        used += snprintf(out + used, n - (size_t)used, " %s = %lld", m->info->arrays[m->first[SIZES] + i].name,
                         (long long)c->size[i]);
    if (used < (int)n)
        snprintf(out + used, n - (size_t)used, ", %s%s%s", given[c->given], c->wild_ints ? ", wild ints" : "", c->packed ? ", packed" : "");
}
