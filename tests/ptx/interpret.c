/* PTX as LLVM writes it for kernels of one dimension: text to instructions over 64-bit slots, and a loop that runs
 * them. A called function has slots of its own; what goes to it and comes back stands in a few words of the thread.
 *
 * The slots of a thread are: tid, ntid, ctaid, nctaid; parameters; registers; constants of the text. So every operand
 * is a slot, and a value is read from it by its instruction's type. */
#include "interpret.h"
#include "weak.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef __int128 wide;
__extension__ typedef unsigned __int128 uwide;

enum type { PRED, U8, S8, U16, S16, U32, S32, U64, S64, F32, F64, NO_TYPE };
enum op {
    MOV,
    LD,
    ST,
    ADD,
    ADDC,
    SUB,
    MUL,
    MAD,
    FMA,
    DIV,
    REM,
    MIN,
    MAX,
    ABS,
    NEG,
    AND,
    OR,
    XOR,
    NOT,
    SHL,
    SHR,
    SETP,
    SELP,
    CVT,
    SQRT,
    RCP,
    BFE,
    BAR,
    BRA,
    RET,
    CALL,
    ATOM,  /* add, and what was there */
    RED,   /* add */
    ROUND, /* of reals to short ones, see shorten */
    TILES, /* a product by a warp */
    MEET,  /* of a warp */
    ARRIVE, /* at a barrier of a cluster */
    AWAIT_CLUSTER,
    COPY,  /* from global to shared memory, sooner or later */
    COMMIT,
    AWAIT, /* copies */
    SHOW,  /* what the thread has written to shared memory, to products of groups */
    GROUP_FENCE,
    GROUP_PRODUCT, /* by four warps */
    GROUP_COMMIT,
    GROUP_WAIT,
    NO_OP
};
enum compare { EQ, NE, LT, LE, GT, GE, EQU, NEU, LTU, LEU, GTU, GEU, NUM, NOT_A_NUMBER };
enum part { WHOLE, LO, WIDE, HI };
enum round { NEAREST, DOWN, UP, TO_ZERO, INT_NEAREST };
enum { TID, NTID, CTAID, NCTAID, SPECIALS };
enum space { GLOBAL, SHARED, PASSED };
enum { WEAK, RELAXED, ACQUIRE, RELEASE }; /* how an access is in order with those of other threads */
enum { STATIC = 1 << 17 }; /* the address of a function's own arrays in shared memory */
enum { RESULT = 64, PASSED_BYTES = 128 }; /* param0, param1, ...: 8 bytes each; retval0 */

struct instruction {
    unsigned char op, type, from /* of cvt */, compare, part, round, space, unless, carries, align /* of memory, in bytes; 0: the type says */;
    unsigned char order, fixed /* nobody writes there */;
    int when;       /* the predicate, or -1 */
    int to, in[3];  /* slots */
    int64_t from_offset; /* of a copy */
    int64_t offset; /* of memory; of a branch or call: the instruction or function, before that is found the number of
                       its name */
};

/* mma.sync: registers of a lane; `short_as` says what factors are. */
struct tiles {
    int short_as, depth;
    int d[4], a[4], b[2], c[4]; /* slots */
};

/* wgmma.mma_async m64n64k16: registers of a thread. */
enum { GROUP_SUMS = 32, GROUP_SIDE = 64, GROUP_DEPTH = 16 };
struct group_product {
    int short_as, fenced; /* fenced: nothing stands between it and its fence but others of these */
    int d[GROUP_SUMS], a, b, add; /* slots */
};

struct label {
    char name[96];
    int at;
};

struct array { /* in shared memory */
    char name[96];
    int at;
};

struct kernels;

struct function {
    char name[96];
    int nparam, base[6], nslot, ncode, nlabel, ntarget, ntiles, tells /* its threads tell each other something */;
    int nstatic, statics; /* arrays in shared memory, and their bytes */
    unsigned threads;     /* that a block must have; 0: any number */
    struct array *array;
    int ngroup;
    struct group_product *group;
    struct tiles *tiles;
    struct instruction *code;
    struct label *label, *target; /* target: where branches and calls go */
    uint64_t *start;              /* slots of a thread as it begins */
    const struct kernels *of;
};

struct table { /* of constants */
    char name[96];
    unsigned char byte[1024];
    size_t n;
    struct table *next;
};

struct kernels {
    int n;
    struct function *function;
    struct table *table;
};

/* ---- reading ---- */

struct reader {
    struct kernels *k;
    struct function *f;
    int calling; /* between `call` and its end; 2: its name has been read */
    char line[512];
    char tiles[1024]; /* the lines of an mma.sync so far */
};

static int fail(const struct reader *r, const char *what)
{
    fprintf(stderr, "ptx: %s: %s\n", what, r->line);
    return -1;
}

static void *grown(void *p, int n, size_t size)
{
    if (n & (n - 1))
        return p;
    p = realloc(p, size * (size_t)(n ? 2 * n : 1));
    if (!p)
        abort();
    return p;
}

static int slot_new(struct function *f, uint64_t value)
{
    f->start = grown(f->start, f->nslot, sizeof *f->start);
    f->start[f->nslot] = value;
    return f->nslot++;
}

static const char *const classes[] = {"p", "rs", "r", "rd", "f", "fd"};

static int class_of(const char *letters, size_t n)
{
    int i;
    for (i = 0; i < 6; i++)
        if (strlen(classes[i]) == n && memcmp(classes[i], letters, n) == 0)
            return i;
    return -1;
}

/* .reg .b64 %rd<16>; */
static int declare(struct reader *r, const char *text)
{
    const char *name = strchr(text, '%');
    size_t n = name ? strcspn(name + 1, "<") : 0;
    int class = n ? class_of(name + 1, n) : -1, count = class < 0 ? 0 : atoi(name + 2 + n), i;
    if (class < 0)
        return fail(r, "registers of an unknown kind");
    r->f->base[class] = r->f->nslot;
    for (i = 0; i < count; i++)
        slot_new(r->f, 0xfdfdfdfdfdfdfdfdu);
    return 0;
}

static int special(const char *text)
{
    static const char *const name[] = {"%tid.x", "%ntid.x", "%ctaid.x", "%nctaid.x"};
    int i;
    for (i = 0; i < SPECIALS; i++)
        if (strcmp(name[i], text) == 0)
            return i;
    return -1;
}

static int register_slot(struct reader *r, const char *text)
{
    size_t n = strspn(text + 1, "abcdefghijklmnopqrstuvwxyz");
    int class = class_of(text + 1, n), s = special(text);
    if (s >= 0)
        return s;
    return class < 0 ? fail(r, "an unknown register") : r->f->base[class] + atoi(text + 1 + n);
}

/* The block's memory, words of a call, a table. */
static int named(struct reader *r, const char *text)
{
    const struct table *t = r->k->table;
    int i;
    if (strcmp(text, "partial_results") == 0)
        return slot_new(r->f, 0);
    for (i = 0; i < r->f->nstatic; i++)
        if (strcmp(r->f->array[i].name, text) == 0)
            return slot_new(r->f, STATIC + (uint64_t)r->f->array[i].at);
    if (strncmp(text, "param", 5) == 0 && isdigit((unsigned char)text[5]))
        return slot_new(r->f, 8 * (uint64_t)atoi(text + 5));
    if (strcmp(text, "retval0") == 0 || strcmp(text, "func_retval0") == 0)
        return slot_new(r->f, RESULT);
    while (t && strcmp(t->name, text) != 0)
        t = t->next;
    return t ? slot_new(r->f, (uint64_t)(uintptr_t)t->byte) : fail(r, "an unknown operand");
}

/* %rd4, 12, -3, 0f3F800000, 0d3FF0000000000000, a name */
static int operand(struct reader *r, const char *text)
{
    char *end;
    if (*text == '%')
        return register_slot(r, text);
    if (strncmp(text, "0f", 2) == 0 || strncmp(text, "0d", 2) == 0)
        return slot_new(r->f, strtoull(text + 2, NULL, 16));
    if (isdigit((unsigned char)*text) || *text == '-') {
        uint64_t value = *text == '-' ? (uint64_t)strtoll(text, &end, 0) : strtoull(text, &end, 0);
        return *end ? fail(r, "an unknown number") : slot_new(r->f, value);
    }
    return named(r, text);
}

/* [%rd4+8] */
static int address(struct reader *r, char *text, struct instruction *c)
{
    char *end = strchr(text, ']'), *plus = strchr(text, '+');
    if (*text != '[' || !end)
        return fail(r, "an unknown address");
    *end = 0;
    if (plus) {
        *plus = 0;
        c->offset = strtoll(plus + 1, NULL, 0);
    }
    return c->in[0] = operand(r, text + 1);
}

/* gru_forward_0_param_12 */
static int parameter(struct reader *r, char *text)
{
    char *number = strstr(text, "_param_");
    return *text == '[' && number && !strchr(number, '+') ? SPECIALS + atoi(number + 7)
                                                          : fail(r, "an unknown parameter");
}

static int find(const char *const *names, int n, const char *word)
{
    int i;
    for (i = 0; i < n; i++)
        if (strcmp(names[i], word) == 0)
            return i;
    return -1;
}

static int type_of(const char *word)
{
    static const char *const name[] = {"pred", "u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64"};
    static const char *const bits[] = {"b8", "b16", "b32", "b64"};
    static const enum type of_bits[] = {U8, U16, U32, U64};
    int i = find(bits, 4, word);
    return i >= 0 ? (int)of_bits[i] : find(name, 11, word);
}

/* A word behind the operation that is no type. */
static int modifier(struct instruction *c, const char *word)
{
    static const char *const compares[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                           "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};
    static const char *const parts[] = {"", "lo", "wide", "hi"}, *const rounds[] = {"rn", "rmi", "rpi", "rzi", "rni"};
    static const char *const others[] = {"global", "nc", "uni", "sync", "to", "gpu"};
    static const char *const orders[] = {"relaxed", "acquire", "release"};
    int i;
    if (c->op == SETP && (i = find(compares, 14, word)) >= 0)
        c->compare = (unsigned char)i;
    else if ((c->op == MUL || c->op == MAD) && (i = find(parts, 4, word)) > 0)
        c->part = (unsigned char)i;
    else if ((i = find(rounds, 5, word)) >= 0)
        c->round = (unsigned char)i;
    else if ((c->op == ADD || c->op == ADDC) && strcmp(word, "cc") == 0)
        c->carries = 1;
    else if ((i = find(orders, 3, word)) >= 0 && (c->op == LD || c->op == ST || c->op == RED))
        c->order = (unsigned char)(i + 1);
    else if (c->op == LD && strcmp(word, "nc") == 0)
        c->fixed = 1;
    else if ((c->op == ATOM || c->op == RED) && strcmp(word, "add") == 0)
        c->order = c->order ? c->order : RELAXED;
    else if (strcmp(word, "shared") == 0 || strcmp(word, "param") == 0)
        c->space = *word == 's' ? SHARED : PASSED;
    else
        return find(others, 6, word);
    return 0;
}

/* add.s64, ld.global.nc.f32, cvt.rn.f32.f64 */
static int operation(struct reader *r, char *word, struct instruction *c)
{
    static const char *const ops[] = {"mov", "ld",   "st",   "add", "addc", "sub", "mul", "mad", "fma", "div",
                                      "rem", "min",  "max",  "abs", "neg",  "and", "or",  "xor", "not", "shl",
                                      "shr", "setp", "selp", "cvt", "sqrt", "rcp", "bfe", "bar", "bra", "ret", "atom", "red"};
    char *next = strchr(word, '.'), *end;
    int op, type;
    if (next)
        *next++ = 0;
    op = strcmp(word, "cvta") == 0 ? MOV : find(ops, CALL + 2, word);
    op = op >= CALL ? op + 1 : op; /* calls are read elsewhere */
    if (op < 0)
        return fail(r, "an unknown operation");
    c->op = (unsigned char)op;
    c->type = c->from = NO_TYPE;
    for (; next; next = end) {
        if ((end = strchr(next, '.')))
            *end++ = 0;
        type = type_of(next);
        if (type >= 0 && c->type == NO_TYPE)
            c->type = (unsigned char)type;
        else if (type >= 0 && c->op == CVT)
            c->from = (unsigned char)type;
        else if (type >= 0 || modifier(c, next) < 0)
            return fail(r, "an unknown form of it");
    }
    return (op == ADDC || c->carries) && c->type != U64 && c->type != S64 ? fail(r, "a carry of other words") : 0;
}

static int name_add(struct label **list, int *n, const char *text, int length, int at)
{
    struct label l = {.at = at};
    snprintf(l.name, sizeof l.name, "%.*s", length, text);
    *list = grown(*list, *n, sizeof l);
    (*list)[*n] = l;
    return (*n)++;
}

static int target(struct function *f, const char *text, int length)
{
    return name_add(&f->target, &f->ntarget, text, length, 0);
}

/* Operands: what is written first, then what is read. */
static int operands(struct reader *r, struct instruction *c, char **text, int n)
{
    int i, param = c->op == LD && c->space == PASSED && strstr(text[1], "_param_");
    if (c->op == BRA) {
        c->offset = target(r->f, text[0], (int)strlen(text[0]));
        return 0;
    }
    if (c->op == RET || c->op == BAR)
        return 0;
    if (c->op == ST || c->op == RED)
        return address(r, text[0], c) < 0 ? -1 : (c->in[1] = operand(r, text[1]));
    if ((c->to = operand(r, text[0])) < 0)
        return -1;
    if (param)
        c->op = MOV;
    if (c->op == ATOM)
        return address(r, text[1], c) < 0 ? -1 : (c->in[1] = operand(r, text[2]));
    if (c->op == LD)
        return address(r, text[1], c);
    for (i = 1; i < n; i++)
        if ((c->in[i - 1] = param ? parameter(r, text[i]) : operand(r, text[i])) < 0)
            return -1;
    return 0;
}

static void append(struct function *f, struct instruction c)
{
    f->tells |= c.order != WEAK;
    f->code = grown(f->code, f->ncode, sizeof c);
    f->code[f->ncode++] = c;
}

/* @!%p1 bra $L; */
static int instruction(struct reader *r, char *text)
{
    struct instruction c = {.when = -1};
    char none[] = "", *part[6] = {none, none, none, none, none, none}, *word = strtok(text, " \t");
    int n = 0;
    if (*word == '@') {
        c.unless = word[1] == '!';
        c.when = register_slot(r, word + 1 + c.unless);
        word = strtok(NULL, " \t");
    }
    while (n < 5 && (part[n] = strtok(NULL, " \t,")))
        n++;
    if (!word || operation(r, word, &c) < 0 || operands(r, &c, part, n) < 0)
        return -1;
    append(r->f, c);
    return 0;
}

/* ---- short reals ---- */

enum { BF16X2, F16X2, F16, TF32, SHORTS };

/* cvt.rn.bf16x2.f32 %r1, %f1, %f2 */
static int shorten(struct reader *r, char *text)
{
    static const char *const name[] = {"cvt.rn.bf16x2.f32", "cvt.rn.f16x2.f32", "cvt.rn.f16.f32", "cvt.rna.tf32.f32"};
    struct instruction c = {.op = ROUND, .type = U32, .when = -1};
    char *word = strtok(text, " \t,"), *to = strtok(NULL, " \t,"), *a = strtok(NULL, " \t,"), *b = strtok(NULL, " \t,");
    int as = find(name, SHORTS, word);
    if (as < 0 || !to || !a || (as <= F16X2) != (b != NULL))
        return fail(r, "an unknown rounding");
    c.part = (unsigned char)as;
    if ((c.to = operand(r, to)) < 0 || (c.in[0] = operand(r, a)) < 0 || (b && (c.in[1] = operand(r, b)) < 0))
        return -1;
    append(r->f, c);
    return 0;
}

/* {%r1, %r2}: so many registers */
static int registers(struct reader *r, char **text, int n, int *slot)
{
    char *word = strchr(*text, '{'), *end = word ? strchr(word, '}') : NULL;
    int i;
    if (!end)
        return fail(r, "no registers");
    *end = 0;
    *text = end + 1;
    for (i = 0, word = strtok(word + 1, ", "); word && i < n; word = strtok(NULL, ", "))
        if ((slot[i++] = operand(r, word)) < 0)
            return -1;
    return word || i < n ? fail(r, "another number of registers") : 0;
}

/* mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {d}, {a}, {b}, {c}; a line for each. */
static int tiles(struct reader *r, const char *line)
{
    static const struct { const char *name; int as, depth, a; } form[] = {{"m16n8k16.row.col.f32.bf16.bf16.f32", BF16X2, 16, 4},
                                                                          {"m16n8k16.row.col.f32.f16.f16.f32", F16X2, 16, 4},
                                                                          {"m16n8k8.row.col.f32.f16.f16.f32", F16X2, 8, 2},
                                                                          {"m16n8k8.row.col.f32.tf32.tf32.f32", TF32, 8, 4}};
    struct instruction c = {.op = TILES, .when = -1};
    struct tiles t = {0};
    char *text = r->tiles;
    size_t i;
    if (strlen(r->tiles) + strlen(line) >= sizeof r->tiles)
        return fail(r, "a long product");
    strcat(r->tiles, line);
    if (!strchr(line, ';'))
        return 0;
    for (i = 0; i < sizeof form / sizeof *form && !strstr(text, form[i].name); i++)
        ;
    if (i == sizeof form / sizeof *form || strncmp(text, "mma.sync.aligned.", 17) != 0)
        return fail(r, "an unknown product");
    t.short_as = form[i].as, t.depth = form[i].depth;
    if (registers(r, &text, 4, t.d) < 0 || registers(r, &text, form[i].a, t.a) < 0 || registers(r, &text, form[i].a / 2, t.b) < 0 ||
        registers(r, &text, 4, t.c) < 0)
        return -1;
    r->tiles[0] = 0;
    r->f->tiles = grown(r->f->tiles, r->f->ntiles, sizeof t);
    r->f->tiles[r->f->ntiles] = t;
    c.offset = r->f->ntiles++;
    append(r->f, c);
    return 0;
}

/* wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {d}, %rd1, %rd2, %p1, 1, 1, 0, 0; and what stands around it */
static int group_product(struct reader *r, char *text)
{
    struct instruction c = {.op = GROUP_PRODUCT, .when = -1};
    struct group_product m = {.short_as = strstr(text, ".m64n64k16.f32.bf16.bf16 ") ? BF16X2 : strstr(text, ".m64n64k16.f32.f16.f16 ") ? F16X2 : -1};
    char a[16], b[16], add[16];
    int i = r->f->ncode;
    if (m.short_as < 0 || registers(r, &text, GROUP_SUMS, m.d) < 0)
        return fail(r, "an unknown product of a group");
    if (sscanf(text, ", %15[^,], %15[^,], %15[^,], 1, 1, 0, 0", a, b, add) != 3 || !strstr(text, ", 1, 1, 0, 0"))
        return fail(r, "an unknown form of it");
    if ((m.a = operand(r, a)) < 0 || (m.b = operand(r, b)) < 0 || (m.add = operand(r, add)) < 0)
        return -1;
    while (i > 0 && r->f->code[i - 1].op == GROUP_PRODUCT)
        i--;
    m.fenced = i > 0 && r->f->code[i - 1].op == GROUP_FENCE;
    r->f->group = grown(r->f->group, r->f->ngroup, sizeof m);
    r->f->group[r->f->ngroup] = m;
    c.offset = r->f->ngroup++;
    append(r->f, c);
    return 0;
}

static int of_group(struct reader *r, char *text)
{
    static const struct { const char *text; int op; } form[] = {{"fence.proxy.async.shared::cta", SHOW},
                                                                {"wgmma.fence.sync.aligned", GROUP_FENCE},
                                                                {"wgmma.commit_group.sync.aligned", GROUP_COMMIT},
                                                                {"wgmma.wait_group.sync.aligned 0", GROUP_WAIT}};
    struct instruction c = {.when = -1};
    size_t i = 0;
    if (strncmp(text, "wgmma.mma_async.sync.aligned.", 29) == 0)
        return group_product(r, text);
    while (i < sizeof form / sizeof *form && strcmp(form[i].text, text) != 0)
        i++;
    if (i == sizeof form / sizeof *form)
        return fail(r, "an unknown step of a product of a group");
    c.op = (unsigned char)form[i].op;
    append(r->f, c);
    return 0;
}

/* bar.warp.sync -1; of all lanes */
static int meet(struct reader *r, const char *text)
{
    struct instruction c = {.op = MEET, .when = -1};
    if (atoll(text + 13) != -1)
        return fail(r, "a part of a warp");
    append(r->f, c);
    return 0;
}

/* cp.async.ca.shared.global [%rd1], [%rd2], 4; with %r3 at its end only so many bytes, and zeros; cp.async.commit_group; cp.async.wait_group 1 */
static int copies(struct reader *r, char *text)
{
    struct instruction c = {.op = COMMIT, .space = SHARED, .when = -1}, from = {0};
    char *to = strchr(text, '['), *at = to ? strchr(to + 1, '[') : NULL, *bytes = at ? strchr(at, ',') : NULL, *some = bytes ? strchr(bytes + 1, ',') : NULL;
    if (strncmp(text, "cp.async.wait_group ", 20) == 0) {
        c.op = AWAIT, c.offset = atoi(text + 20);
    } else if (strncmp(text, "cp.async.ca.shared.global ", 26) == 0 || strncmp(text, "cp.async.cg.shared.global ", 26) == 0) {
        c.op = COPY, c.align = bytes ? (unsigned char)atoi(bytes + 1) : 0;
        if ((c.align != 4 && c.align != 8 && c.align != 16) || (text[10] == 'g' && c.align != 16))
            return fail(r, "a copy of so many bytes");
        c.in[2] = some ? operand(r, some + 1 + strspn(some + 1, " ")) : slot_new(r->f, c.align);
        if (c.in[2] < 0 || address(r, at, &from) < 0 || address(r, to, &c) < 0)
            return -1;
        c.in[1] = from.in[0], c.from_offset = from.offset;
    } else if (strcmp(text, "cp.async.commit_group") != 0)
        return fail(r, "an unknown copy");
    append(r->f, c);
    return 0;
}

/* barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned, which release and acquire */
static int cluster(struct reader *r, const char *text)
{
    static const char *const name[] = {"barrier.cluster.arrive.aligned", "barrier.cluster.arrive.relaxed", "barrier.cluster.wait.aligned"};
    static const unsigned char order[] = {RELEASE, RELAXED, ACQUIRE};
    int i = find(name, 3, text);
    if (i < 0)
        return fail(r, "another barrier of a cluster");
    append(r->f, (struct instruction){.op = i < 2 ? ARRIVE : AWAIT_CLUSTER, .order = order[i], .when = -1});
    return 0;
}

/* ld.global.nc.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1+16]: several words, from an address that is a multiple of them all */
static int words(struct reader *r, char *text)
{
    char *v = strstr(text, ".v"), *end = strchr(text, '}'), *word = strchr(text, '{'), one[512], *at[4];
    int n = v[2] - '0', size, i, type = type_of(strtok(v + 4, " \t"));
    if (!end || !word || type < 0 || (n != 2 && n != 4))
        return fail(r, "an unknown vector");
    size = type == F32 || type == U32 ? 4 : type == F64 || type == U64 ? 8 : 2;
    *v = *end = 0;
    for (i = 0, word = strtok(word + 1, ", "); word && i < n; word = strtok(NULL, ", "))
        at[i++] = word;
    if (i < n || word)
        return fail(r, "another number of words");
    for (i = 0; i < n; i++) {
        snprintf(one, sizeof one, "%s.%s %s%s", text, v + 4, at[i], end + 1);
        if (instruction(r, one) < 0)
            return -1;
        r->f->code[r->f->ncode - 1].offset += i * size;
        r->f->code[r->f->ncode - 1].align = i ? 0 : (unsigned char)(n * size);
    }
    return 0;
}

/* ld.param.v2.f64 {%fd1, %fd2}, [retval0+0]; st.param.v2.f64 [func_retval0+0], {%fd1, %fd2}; two of one word each */
static int two(struct reader *r, const char *text)
{
    char type[8], a[16], b[16], name[96], one[160], other[160];
    int at;
    if (sscanf(text, "ld.param.v2.%7[a-z0-9] {%15[^,], %15[^}]}, [%95[^+]+%d]", type, a, b, name, &at) == 5) {
        snprintf(one, sizeof one, "ld.param.%s %s, [%s+%d]", type, a, name, at);
        snprintf(other, sizeof other, "ld.param.%s %s, [%s+%d]", type, b, name, at + 8);
    } else if (sscanf(text, "st.param.v2.%7[a-z0-9] [%95[^+]+%d], {%15[^,], %15[^}]}", type, name, &at, a, b) == 5) {
        snprintf(one, sizeof one, "st.param.%s [%s+%d], %s", type, name, at, a);
        snprintf(other, sizeof other, "st.param.%s [%s+%d], %s", type, name, at + 8, b);
    } else
        return fail(r, "an unknown vector");
    if (strcmp(type + 1, "64") != 0)
        return fail(r, "a vector of other words");
    return instruction(r, one) < 0 ? -1 : instruction(r, other);
}

/* call.uni (retval0), / NAME, / ( / param0 / ); */
static void call(struct reader *r, const char *text)
{
    struct instruction c = {.op = CALL, .when = -1};
    if (r->calling == 1) {
        c.offset = target(r->f, text, (int)strcspn(text, ", "));
        append(r->f, c);
    }
    r->calling = strchr(text, ';') ? 0 : 2;
}

static void label(struct reader *r, const char *text)
{
    name_add(&r->f->label, &r->f->nlabel, text, (int)strcspn(text, ":"), r->f->ncode);
}

/* In the order of the text; a function that is only declared has no code. */
static int function_of(const struct kernels *k, const char *name)
{
    int i;
    for (i = 0; i < k->n; i++)
        if (k->function[i].ncode && strcmp(k->function[i].name, name) == 0)
            return i;
    return -1;
}

static int find_target(const struct kernels *k, const struct function *f, const struct instruction *c)
{
    const char *name = f->target[c->offset].name;
    int i;
    if (c->op == CALL)
        return function_of(k, name);
    for (i = 0; i < f->nlabel; i++)
        if (strcmp(name, f->label[i].name) == 0)
            return f->label[i].at;
    return -1;
}

static int link_function(struct reader *r, struct function *f)
{
    int i;
    for (i = 0; i < f->ncode; i++) {
        struct instruction *c = &f->code[i];
        if (c->op != BRA && c->op != CALL)
            continue;
        c->offset = find_target(r->k, f, c);
        if (c->offset < 0)
            return fail(r, "a branch to nowhere");
    }
    return 0;
}

/* .visible .entry NAME(, .func (...) NAME( */
static int entry(struct kernels *k, struct reader *r, const char *text)
{
    struct function f = {.of = k};
    int i;
    snprintf(f.name, sizeof f.name, "%.*s", (int)strcspn(text, "( \t"), text);
    k->function = grown(k->function, k->n, sizeof f);
    k->function[k->n] = f;
    r->f = &k->function[k->n++];
    for (i = 0; i < SPECIALS; i++)
        slot_new(r->f, 0);
    return 0;
}

/* What says nothing to us. */
static int is_idle(const char *text)
{
    static const char *const words[] = {".version",
                                        ".target",
                                        ".address_size",
                                        ".extern .shared .align 8 .b8 partial_results[]",
                                         ".extern .shared .align 16 .b8 partial_results[]",
                                         ".minnctapersm",
                                        ".file",
                                        ".loc",
                                        ".section",
                                        "{",
                                        "}",
                                        "(",
                                        ")",
                                        ";"};
    size_t i;
    for (i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(text, words[i], strlen(words[i])) == 0)
            return *text == '.' || !text[1 + strspn(text + 1, " \t")];
    return !*text;
}

/* .global .align 8 .b8 NAME[160] = {0, 0, 41}; */
static int table(struct kernels *k, const char *text)
{
    struct table *t = calloc(1, sizeof *t);
    const char *value = strchr(text, '{');
    char *end;
    if (!t || !value || sscanf(text, ".global .align %*d .b8 %95[^[]", t->name) != 1) {
        free(t);
        return -1;
    }
    for (; *value != '}' && t->n < sizeof t->byte; value = end)
        t->byte[t->n++] = (unsigned char)strtoul(value + 1, &end, 10);
    t->next = k->table;
    k->table = t;
    return *value == '}' ? 0 : -1;
}

static int parameters(struct reader *r, const char *text)
{
    if (strchr(text, ';')) /* of a call */
        return 0;
    if (strncmp(text, ".param .u64", 11) != 0 && strncmp(text, ".param .b64", 11) != 0)
        return fail(r, "a parameter of another type");
    r->f->nparam++;
    slot_new(r->f, 0);
    return 0;
}

/* .shared .align 16 .b8 NAME[8704]; */
static int array(struct reader *r, const char *text)
{
    struct array a;
    int align, bytes;
    if (!r->f || sscanf(text, ".shared .align %d .b8 %95[^[][%d]", &align, a.name, &bytes) != 3)
        return fail(r, "an unknown array");
    a.at = (r->f->statics + align - 1) / align * align;
    r->f->statics = a.at + bytes;
    r->f->array = grown(r->f->array, r->f->nstatic, sizeof a);
    r->f->array[r->f->nstatic++] = a;
    return 0;
}

/* .reqntid 256, 1, 1 */
static int need_threads(struct reader *r, const char *text)
{
    return r->f && sscanf(text, ".reqntid %u, 1, 1", &r->f->threads) == 1 ? 0 : fail(r, "blocks of more dimensions");
}

/* { .reg .b16 tmp; mov.b32 {%rs1, tmp}, %r2; }: one half of a word */
static int half(struct reader *r, const char *text)
{
    char low[16], high[16], word[16], one[96];
    if (!r->f || sscanf(text, "{ .reg .b16 tmp; mov.b32 {%15[^,], %15[^}]}, %15[^;]; }", low, high, word) != 3 || (strcmp(low, "tmp") == 0) == (strcmp(high, "tmp") == 0))
        return fail(r, "unknown braces");
    snprintf(one, sizeof one, strcmp(low, "tmp") == 0 ? "shr.u32 %s, %s, 16" : "cvt.u16.u32 %s, %s", *low == '%' ? low : high, word);
    return instruction(r, one);
}

static int statement(struct kernels *k, struct reader *r, char *text)
{
    char *end = strstr(text, "//");
    if (end)
        *end = 0;
    text += strspn(text, " \t");
    if (r->calling)
        return call(r, text), 0;
    if (r->f && (*r->tiles || strncmp(text, "mma.", 4) == 0))
        return tiles(r, text);
    if (strncmp(text, "bar.warp.sync", 13) == 0)
        return meet(r, text);
    if (is_idle(text))
        return 0;
    if (*text == '{')
        return half(r, text);
    if (strncmp(text, ".shared ", 8) == 0)
        return array(r, text);
    if (strncmp(text, ".reqntid ", 9) == 0)
        return need_threads(r, text);
    if (strncmp(text, ".visible .entry ", 16) == 0)
        return entry(k, r, text + 16);
    if (strncmp(text, ".func ", 6) == 0 && strrchr(text, ')'))
        return entry(k, r, strrchr(text, ')') + 2);
    if (!r->f)
        return fail(r, "outside of kernels");
    if (strncmp(text, "call.uni ", 9) == 0)
        return r->calling = 1, 0;
    if (strncmp(text, ".param", 6) == 0)
        return parameters(r, text);
    if (strncmp(text, ".reg", 4) == 0)
        return declare(r, text);
    if (*text == '$')
        return label(r, text), 0;
    if (*text == '.' || !(end = strchr(text, ';')))
        return fail(r, "an unknown statement");
    *end = 0;
    if (strncmp(text, "barrier.cluster.", 16) == 0)
        return cluster(r, text);
    if (strncmp(text, "cvt.", 4) == 0 && (strstr(text, "16x2.") || strstr(text, ".f16.") || strstr(text, ".tf32.")))
        return shorten(r, text);
    if (strncmp(text, "cp.", 3) == 0)
        return copies(r, text);
    if (strncmp(text, "wgmma.", 6) == 0 || strncmp(text, "fence.", 6) == 0)
        return of_group(r, text);
    if ((strncmp(text, "ld.global.", 10) == 0 || strncmp(text, "ld.shared.", 10) == 0) && (strstr(text, ".v2.") || strstr(text, ".v4.")))
        return words(r, text);
    return strstr(text, ".v2.") ? two(r, text) : instruction(r, text);
}

struct kernels *kernels_read(const char *ptx)
{
    struct kernels *k = calloc(1, sizeof *k);
    struct reader r = {k, NULL, 0, "", ""};
    char line[512];
    int i, bad = 0;
    while (!bad && *ptx) {
        size_t n = strcspn(ptx, "\n");
        snprintf(r.line, sizeof r.line, "%.*s", (int)n, ptx);
        memcpy(line, r.line, sizeof line);
        bad = strncmp(line, ".global ", 8) == 0 ? table(k, ptx)
              : n >= sizeof line                ? fail(&r, "a long line")
                                                : statement(k, &r, line);
        bad = bad < 0;
        ptx += n + (ptx[n] == '\n');
    }
    for (i = 0; i < k->n && !bad; i++)
        bad = link_function(&r, &k->function[i]) < 0;
    if (!bad)
        return k;
    kernels_free(k);
    return NULL;
}

void kernels_free(struct kernels *k)
{
    int i;
    for (i = 0; i < k->n; i++) {
        free(k->function[i].code);
        free(k->function[i].label);
        free(k->function[i].target);
        free(k->function[i].start);
        free(k->function[i].tiles);
        free(k->function[i].array);
        free(k->function[i].group);
    }
    while (k->table) {
        struct table *next = k->table->next;
        free(k->table);
        k->table = next;
    }
    free(k->function);
    free(k);
}

const void *kernels_find(const struct kernels *k, const char *name)
{
    int i = function_of(k, name);
    return i < 0 ? NULL : &k->function[i];
}

const char *kernel_name(const void *kernel)
{
    return ((const struct function *)kernel)->name;
}

/* ---- values ---- */

static float f32(uint64_t v)
{
    uint32_t bits = (uint32_t)v;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static double f64(uint64_t v)
{
    double f;
    memcpy(&f, &v, sizeof f);
    return f;
}

static uint64_t of_f32(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static uint64_t of_f64(double f)
{
    uint64_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static int width(int type)
{
    static const int bits[] = {1, 8, 8, 16, 16, 32, 32, 64, 64, 32, 64};
    return bits[type];
}

static int is_signed(int type)
{
    return type == S8 || type == S16 || type == S32 || type == S64;
}

/* A whole number as its type has it. */
static uint64_t whole(int type, uint64_t v)
{
    switch (type) {
    case PRED: return v & 1;
    case U8: return (uint8_t)v;
    case S8: return (uint64_t)(int64_t)(int8_t)v;
    case U16: return (uint16_t)v;
    case S16: return (uint64_t)(int64_t)(int16_t)v;
    case U32: return (uint32_t)v;
    case S32: return (uint64_t)(int64_t)(int32_t)v;
    default: return v;
    }
}

/* ---- operations ---- */

static double ordered(double a, double b, int larger)
{
    if (isnan(a) || isnan(b))
        return isnan(a) ? b : a;
    if (a == b)
        return (signbit(a) != 0) == larger ? b : a;
    return (a < b) == larger ? b : a;
}

static float real32(int op, float a, float b, float c)
{
    switch (op) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV: return a / b;
    case FMA: return fmaf(a, b, c);
    case MIN: return (float)ordered(a, b, 0);
    case MAX: return (float)ordered(a, b, 1);
    case ABS: return fabsf(a);
    case NEG: return -a;
    case RCP: return 1 / a;
    default: return sqrtf(a);
    }
}

static double real64(int op, double a, double b, double c)
{
    switch (op) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV: return a / b;
    case FMA: return fma(a, b, c);
    case MIN: return ordered(a, b, 0);
    case MAX: return ordered(a, b, 1);
    case ABS: return fabs(a);
    case NEG: return -a;
    case RCP: return 1 / a;
    default: return sqrt(a);
    }
}

static uint64_t product(const struct instruction *c, uint64_t a, uint64_t b)
{
    int bits = width(c->type);
    if (c->part == HI)
        return is_signed(c->type) ? (uint64_t)(((wide)(int64_t)a * (int64_t)b) >> bits)
                                  : (uint64_t)(((uwide)a * b) >> bits);
    return a * b; /* of half the bits, or those that fit */
}

static uint64_t quotient(int type, int op, uint64_t a, uint64_t b)
{
    if (b == 0)
        return op == DIV ? ~(uint64_t)0 : a;
    if (!is_signed(type))
        return op == DIV ? a / b : a % b;
    if ((int64_t)b == -1)
        return op == DIV ? 0 - a : 0;
    return (uint64_t)(op == DIV ? (int64_t)a / (int64_t)b : (int64_t)a % (int64_t)b);
}

static uint64_t shifted(int type, int op, uint64_t a, uint64_t by)
{
    int bits = width(type);
    if (is_signed(type) && op == SHR)
        return (uint64_t)((int64_t)a >> (by < (uint64_t)bits ? by : (uint64_t)bits - 1));
    return by >= (uint64_t)bits ? 0 : op == SHL ? a << by : a >> by;
}

/* n bits from bit `from` on; a signed number's last one stands in all above. */
static uint64_t field(int type, uint64_t a, unsigned from, unsigned n)
{
    if (n == 0)
        return 0;
    unsigned msb = (unsigned)width(type) - 1, last = from + n - 1 < msb ? from + n - 1 : msb;
    uint64_t sign = is_signed(type) ? a >> last & 1 : 0, bits = from > msb ? 0 : whole(type - is_signed(type), a) >> from;
    uint64_t mask = from > msb ? 0 : ((uint64_t)2 << (last - from)) - 1;
    return whole(type, (bits & mask) | (sign ? ~mask : 0));
}

static uint64_t integer(const struct instruction *i, uint64_t a, uint64_t b, uint64_t c)
{
    int less = is_signed(i->type) ? (int64_t)a < (int64_t)b : a < b;
    switch (i->op) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return product(i, a, b);
    case MAD: return product(i, a, b) + c;
    case DIV:
    case REM: return quotient(i->type, i->op, a, b);
    case MIN: return less ? a : b;
    case MAX: return less ? b : a;
    case ABS: return (int64_t)a < 0 ? 0 - a : a;
    case NEG: return 0 - a;
    case AND: return a & b;
    case OR: return a | b;
    case XOR: return a ^ b;
    case NOT: return ~a;
    default: return 0;
    }
}

/* -1, 0, 1, or 2 where one is not a number */
static int order(int type, uint64_t a, uint64_t b)
{
    double x = type == F32 ? f32(a) : f64(a), y = type == F32 ? f32(b) : f64(b);
    if (type == F32 || type == F64)
        return isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
    a = whole(type, a);
    b = whole(type, b);
    return is_signed(type) ? ((int64_t)a > (int64_t)b) - ((int64_t)a < (int64_t)b) : (a > b) - (a < b);
}

static int holds(int compare, int order)
{
    static const unsigned char of[] = {
        /* a bit for each: less, equal, more, not a number */
        [EQ] = 2,   [NE] = 5,  [LT] = 1,   [LE] = 3,   [GT] = 4,   [GE] = 6,  [EQU] = 10,
        [NEU] = 13, [LTU] = 9, [LEU] = 11, [GTU] = 12, [GEU] = 14, [NUM] = 7, [NOT_A_NUMBER] = 8};
    return of[compare] >> (order + 1) & 1;
}

static double rounded(int round, double x)
{
    return round == DOWN          ? floor(x)
           : round == UP          ? ceil(x)
           : round == TO_ZERO     ? trunc(x)
           : round == INT_NEAREST ? nearbyint(x)
                                  : x;
}

/* Beyond the type it is the nearest that there is; what is no number is 0. */
static uint64_t to_integer(int type, double x)
{
    double most = ldexp(1, width(type) - is_signed(type)), least = is_signed(type) ? -most : 0;
    if (isnan(x))
        return 0;
    if (x >= most)
        return is_signed(type) ? ((uint64_t)1 << (width(type) - 1)) - 1 : whole(type, ~(uint64_t)0);
    x = x < least ? least : x;
    return is_signed(type) ? (uint64_t)(int64_t)x : (uint64_t)x;
}

static uint64_t converted(const struct instruction *c, uint64_t v)
{
    int real = c->from == F32 || c->from == F64;
    uint64_t n = whole(c->from, v);
    double x = real ? rounded(c->round, c->from == F32 ? f32(v) : f64(v)) : 0;
    if (c->type == F64)
        return of_f64(real ? x : is_signed(c->from) ? (double)(int64_t)n : (double)n);
    if (c->type == F32)
        return of_f32(real ? (float)x : is_signed(c->from) ? (float)(int64_t)n : (float)n);
    return real ? to_integer(c->type, x) : n;
}

/* ---- short reals ---- */

/* Half of the numbers between two short ones goes either way; ties to the even one, or away from zero. */
static double rounded_to(int bits, int least, int even, double x)
{
    int e;
    double unit, q;
    if (x == 0 || isnan(x) || isinf(x))
        return x;
    frexp(x, &e);
    unit = ldexp(1, (e - 1 < least ? least : e - 1) - (bits - 1));
    q = fabs(x) / unit;
    q = even ? nearbyint(q) : floor(q + 0.5);
    return copysign(q * unit, x);
}

static uint32_t short_of(int as, float x)
{
    int e;
    double y, m;
    if (as == BF16X2)
        return isnan(x) ? 0x7fff : (uint32_t)(of_f32((float)rounded_to(8, -126, 1, (double)x)) >> 16);
    if (as == TF32)
        return isnan(x) ? 0x7fffffff : (uint32_t)of_f32((float)rounded_to(11, -126, 0, (double)x));
    if (isnan(x))
        return 0x7fff;
    y = fabs(rounded_to(11, -14, 1, (double)x));
    if (y >= 65536)
        return 0x7c00u | (signbit(x) ? 0x8000u : 0);
    m = y < 0x1p-14 ? ldexp(y, 24) : 0;
    frexp(y, &e);
    return (uint32_t)(y < 0x1p-14 ? m : ldexp(y, 11 - e) - 1024 + 1024 * (e + 14)) | (signbit(x) ? 0x8000u : 0);
}

/* What a factor's bits say; those of tf32 that are not there are not looked at. */
static float long_of(int as, uint32_t bits)
{
    int e = (int)(bits >> 10 & 31);
    double m = (double)(bits & 1023);
    if (as == BF16X2)
        return f32(bits << 16);
    if (as == TF32)
        return f32(bits & 0xffffe000u);
    m = e == 31 ? (m != 0 ? (double)NAN : (double)INFINITY) : e ? ldexp(m + 1024, e - 25) : ldexp(m, -24);
    return (float)(bits & 0x8000 ? -m : m);
}

static uint64_t shortened(const struct instruction *c, const uint64_t *slot)
{
    uint32_t a = short_of(c->part, f32(slot[c->in[0]]));
    return c->part > F16X2 ? a : (uint64_t)(a << 16 | short_of(c->part, f32(slot[c->in[1]])));
}

#define OF(OP, TYPE) ((OP) << 4 | (TYPE))

static uint64_t computed(const struct instruction *i, const uint64_t *slot)
{
    uint64_t a = slot[i->in[0]], b = slot[i->in[1]], c = slot[i->in[2]];
    switch (OF(i->op, i->type)) { /* most of what is run, sooner */
    case OF(ADD, S64): return a + b;
    case OF(SUB, S64): return a - b;
    case OF(OR, U64): return a | b;
    case OF(AND, U64): return a & b;
    case OF(SHL, U64): return (uint32_t)b < 64 ? a << (uint32_t)b : 0;
    case OF(FMA, F32): return of_f32(fmaf(f32(a), f32(b), f32(c)));
    case OF(ADD, F32): return of_f32(f32(a) + f32(b));
    case OF(MUL, F32): return of_f32(f32(a) * f32(b));
    default: break;
    }
    switch (i->op) {
    case MOV: return a;
    case CVT: return converted(i, a);
    case ROUND: return shortened(i, slot);
    case SETP: return (uint64_t)holds(i->compare, order(i->type, a, b));
    case SELP: return c & 1 ? a : b;
    case SHL:
    case SHR: return shifted(i->type, i->op, whole(i->type, a), (uint32_t)b);
    case BFE: return field(i->type, a, (uint32_t)b & 255, (uint32_t)c & 255);
    default: break;
    }
    if (i->type == F32)
        return of_f32(real32(i->op, f32(a), f32(b), f32(c)));
    if (i->type == F64)
        return of_f64(real64(i->op, f64(a), f64(b), f64(c)));
    return integer(i, whole(i->type, a), whole(i->type, b), c);
}

/* ---- a block ---- */

enum { WARP = 32, GROUP = 4 * WARP, MOST_DEPTH = 16 };

enum state { GOES_ON, STOPS /* for others to go on */, WAITS, AWAITS /* those of the cluster */, MEETS, DONE };

/* That is on the way. */
struct copy {
    char *to;
    const char *from;
    unsigned bytes, some; /* some: from there; the others are 0 */
    int group;
};

struct piece {
    uint64_t at;
    size_t n;
};

/* A product of a group that has not been waited for. */
struct pending {
    const struct group_product *m;
    uint64_t a, b;
    int add, committed, read; /* read: factors are known */
    float x[GROUP_SIDE][GROUP_DEPTH], y[GROUP_SIDE][GROUP_DEPTH];
};

enum { MOST_PENDING = 8 };
struct group {
    struct pending pending[MOST_PENDING];
    int n;
    float sum[GROUP_SIDE][GROUP_SIDE];
};

struct thread {
    struct copy *copy;
    int ncopies, groups; /* groups: that were committed */
    struct piece *written;
    int nwritten; /* to shared memory, and not shown to products of groups */
    const struct function *f;
    uint64_t *slot;
    char *passed;
    int at;
    unsigned carry, arrived, waited; /* how often, at barriers of the cluster */
    uint64_t asked; /* where it has read last what others tell, */
    int64_t asked_at; /* and when */
    int asks_again; /* without anything new: so it goes on until somebody does something */
    enum state state;
    struct weak_thread *weak; /* NULL: nobody is told anything */
};

struct block {
    const struct function *f;
    const struct grid *g;
    const struct kernels *k;
    char *shared, *statics, *passed;
    char *shown;         /* statics, as products of groups see them */
    struct group *group; /* by four warps */
    struct thread *thread;
    uint64_t *slots;
    struct weak_memory *memory;
    struct weak_thread **weak; /* its threads' */
    uint64_t random;
    int64_t left; /* instructions until somebody asks whether this ever ends */
};

static int in_table(const struct kernels *k, uint64_t at, size_t n)
{
    const struct table *t = k->table;
    while (t && !(at >= (uint64_t)(uintptr_t)t->byte && at + n <= (uint64_t)(uintptr_t)t->byte + t->n))
        t = t->next;
    return t != NULL;
}

static char *in_room(char *memory, uint64_t room, uint64_t at, size_t n, int *error)
{
    return at <= room && n <= room - at ? memory + at : (*error = RUN_FAILED, NULL);
}

/* Where an access goes; NULL, and why. */
static char *memory(const struct block *b, const struct instruction *c, const struct thread *t, size_t n, int *error)
{
    uint64_t at = t->slot[c->in[0]] + (uint64_t)c->offset;
    if (at % (c->align ? c->align : n) != 0)
        return *error = RUN_MISALIGNED, NULL;
    if (c->space == SHARED && at >= STATIC)
        return in_room(b->statics, (uint64_t)b->f->statics, at - STATIC, n, error);
    if (c->space != GLOBAL)
        return in_room(c->space == SHARED ? b->shared : t->passed, c->space == SHARED ? b->g->shared : PASSED_BYTES, at, n, error);
    if (b->g->may_touch(at, n) || (c->op == LD && in_table(b->k, at, n)))
        return (char *)(uintptr_t)at;
    return *error = RUN_ILLEGAL_ADDRESS, NULL;
}

static void note(const struct block *b, struct thread *t, const char *at, size_t n)
{
    struct piece p = {(uint64_t)(at - b->statics), n};
    if (!b->f->ngroup || at < b->statics || at >= b->statics + b->f->statics)
        return;
    t->written = grown(t->written, t->nwritten, sizeof p);
    t->written[t->nwritten++] = p;
}

static void show(const struct block *b, struct thread *t)
{
    int i;
    for (i = 0; i < t->nwritten; i++)
        memcpy(b->shown + t->written[i].at, b->statics + t->written[i].at, t->written[i].n);
    t->nwritten = 0;
}

static void do_copy(const struct block *b, struct thread *t, const struct copy *c)
{
    memcpy(c->to, c->from, c->some);
    memset(c->to + c->some, 0, c->bytes - c->some);
    note(b, t, c->to, c->bytes);
}

/* A copy happens at once, or as late as it may: both are right, and programs must not count on either. */
static int copy_async(const struct block *b, const struct instruction *c, struct thread *t)
{
    uint64_t from = t->slot[c->in[1]] + (uint64_t)c->from_offset;
    struct copy copy = {.from = (const char *)(uintptr_t)from, .bytes = c->align, .some = (unsigned)t->slot[c->in[2]], .group = t->groups};
    int error = 0;
    copy.to = memory(b, c, t, c->align, &error);
    if (error || from % c->align != 0 || copy.some > copy.bytes || !b->g->may_touch(from, copy.some))
        return error ? error : from % c->align ? RUN_MISALIGNED : copy.some > copy.bytes ? RUN_FAILED : RUN_ILLEGAL_ADDRESS;
    if (b->g->backwards) {
        do_copy(b, t, &copy);
        return 0;
    }
    t->copy = grown(t->copy, t->ncopies, sizeof copy);
    t->copy[t->ncopies++] = copy;
    return 0;
}

/* Until no more than the last `groups` are on the way. */
static void await_copies(const struct block *b, struct thread *t, int64_t groups)
{
    int i, left = 0;
    for (i = 0; i < t->ncopies; i++)
        if (t->copy[i].group < t->groups - groups)
            do_copy(b, t, &t->copy[i]);
        else
            t->copy[left++] = t->copy[i];
    t->ncopies = left;
}

static void ask(const struct block *b, struct thread *t, uint64_t at)
{
    int64_t now = weak_time(b->memory);
    t->asks_again = t->asked == at && t->asked_at == now;
    t->asked = at, t->asked_at = now;
}

/* Flags, tickets and counters are as they are now. */
static int access_weakly(const struct block *b, const struct instruction *c, struct thread *t, uint64_t at, size_t n)
{
    uint64_t v = 0, sum;
    if ((c->op == ST || c->op == RED) && c->order == RELEASE)
        weak_release(b->memory, t->weak);
    if (c->op == ST && c->order == WEAK)
        weak_write(t->weak, at, &t->slot[c->in[1]], n);
    else if (c->op == ST)
        weak_write_now(b->memory, at, &t->slot[c->in[1]], n);
    else if (c->order == WEAK)
        weak_read(b->memory, t->weak, at, &v, n);
    else
        memcpy(&v, (const void *)(uintptr_t)at, n);
    if (c->op == ATOM || c->op == RED) {
        sum = v + t->slot[c->in[1]];
        weak_write_now(b->memory, at, &sum, n);
    }
    if (c->op == LD && c->order != WEAK)
        ask(b, t, at);
    if (c->order == ACQUIRE)
        weak_acquire(b->memory, t->weak);
    if (c->op == LD || c->op == ATOM)
        t->slot[c->to] = whole(c->type, v);
    return 0;
}

static int access_memory(const struct block *b, const struct instruction *c, struct thread *t)
{
    size_t n = (size_t)width(c->type) / 8;
    int error = 0;
    char *at = memory(b, c, t, n, &error);
    uint64_t v = 0;
    if (!at)
        return error;
    if (t->weak && c->space == GLOBAL && !c->fixed)
        return access_weakly(b, c, t, (uint64_t)(uintptr_t)at, n);
    if (c->op == ATOM || c->op == RED)
        return RUN_FAILED; /* of a function that tells nothing */
    if (c->op == ST) {
        memcpy(at, &t->slot[c->in[1]], n);
        note(b, t, at, n);
    } else {
        memcpy(&v, at, n);
        t->slot[c->to] = whole(c->type, v);
    }
    return 0;
}

/* 64 bits of a longer sum. */
static uint64_t carried(struct thread *t, const struct instruction *c)
{
    uwide sum = (uwide)t->slot[c->in[0]] + t->slot[c->in[1]] + (c->op == ADDC ? t->carry : 0);
    t->carry = c->carries ? (unsigned)(sum >> 64) : t->carry;
    return (uint64_t)sum;
}

static int call_function(struct block *b, struct thread *t, const struct function *f);

static uint64_t draw(struct block *b)
{
    b->random = b->random * 6364136223846793005u + 1442695040888963407u;
    return b->random >> 33;
}

/* Who waits for a flag lets others go on; who has told something, now and then. */
static int stops(struct block *b, const struct instruction *c)
{
    return c->op == LD || draw(b) % 2;
}

/* To the next barrier, or to the end. */
static int thread_run(struct block *b, struct thread *t)
{
    uint64_t *slot = t->slot;
    int error = 0;
    for (t->state = GOES_ON; t->state == GOES_ON && !error;) {
        const struct instruction *c = &t->f->code[t->at++];
        if (t->at > t->f->ncode || --b->left < 0)
            return t->at > t->f->ncode ? RUN_FAILED : RUN_TIMEOUT;
        if (c->when >= 0 && (slot[c->when] & 1) == c->unless)
            continue;
        if (c->op == BRA)
            t->at = (int)c->offset;
        else if (c->op == RET)
            t->state = DONE;
        else if (c->op == BAR)
            t->state = WAITS;
        else if (c->op == ARRIVE) {
            if (c->order == RELEASE)
                weak_release(b->memory, t->weak);
            t->arrived++;
            t->state = draw(b) % 2 ? STOPS : GOES_ON;
        } else if (c->op == AWAIT_CLUSTER)
            t->state = AWAITS;
        else if (c->op == TILES || c->op == MEET || c->op >= GROUP_FENCE)
            t->state = MEETS;
        else if (c->op == COPY)
            error = copy_async(b, c, t);
        else if (c->op == COMMIT)
            t->groups++;
        else if (c->op == AWAIT)
            await_copies(b, t, c->offset);
        else if (c->op == SHOW)
            show(b, t);
        else if (c->op == CALL)
            error = call_function(b, t, &b->k->function[c->offset]);
        else if (c->op == LD || c->op == ST || c->op == ATOM || c->op == RED) {
            error = access_memory(b, c, t);
            if (c->order != WEAK)
                t->state = stops(b, c) ? STOPS : GOES_ON;
        }
        else if (c->op == ADDC || c->carries)
            slot[c->to] = carried(t, c);
        else
            slot[c->to] = computed(c, slot);
    }
    return error;
}

/* A function has no barriers. */
static int call_function(struct block *b, struct thread *t, const struct function *f)
{
    struct thread inner = {.f = f, .slot = malloc((size_t)f->nslot * sizeof *inner.slot), .passed = t->passed};
    int error;
    memcpy(inner.slot, f->start, (size_t)f->nslot * sizeof *inner.slot);
    memcpy(&inner.slot[SPECIALS], t->passed, (size_t)f->nparam * 8);
    error = thread_run(b, &inner);
    error = error || inner.state == DONE ? error : RUN_FAILED;
    free(inner.slot);
    return error;
}

static void block_start(struct block *b, unsigned number)
{
    unsigned i;
    int p;
    memset(b->shared, 0xfd, b->g->shared);
    memset(b->statics, 0xfd, (size_t)b->f->statics);
    memset(b->shown, 0xfd, (size_t)b->f->statics);
    for (i = 0; b->f->ngroup && i < (b->g->threads + GROUP - 1) / GROUP; i++)
        b->group[i].n = 0;
    for (i = 0; i < b->g->threads; i++) {
        struct thread *t = &b->thread[i];
        t->f = b->f;
        t->passed = b->passed + (size_t)i * PASSED_BYTES;
        t->slot = b->slots + (size_t)i * (size_t)b->f->nslot;
        t->at = t->ncopies = t->groups = t->nwritten = 0;
        t->arrived = t->waited = 0;
        t->asked = 0, t->asks_again = 0;
        memcpy(t->slot, b->f->start, (size_t)b->f->nslot * sizeof *t->slot);
        t->slot[TID] = i, t->slot[NTID] = b->g->threads, t->slot[CTAID] = number, t->slot[NCTAID] = b->g->blocks;
        for (p = 0; p < b->f->nparam; p++)
            memcpy(&t->slot[SPECIALS + p], b->g->params[p], 8);
    }
}

/* ---- a warp ---- */

/* The element of a factor that a lane has, of rows (or columns) and depth: "PTX ISA", the layouts of m16n8k8 and m16n8k16. Register
 * by register the upper and lower half of 16 rows take turns; lanes of four have neighbours in depth, and those further on. */
static void spread(const struct tiles *m, int lane, int reg, int half, uint32_t bits, float (*to)[MOST_DEPTH], int halves)
{
    int row = lane / 4 + 8 * half, part = halves ? reg / 2 : reg, quad = lane % 4;
    if (m->short_as == TF32) {
        to[row][quad + 4 * part] = long_of(TF32, bits);
        return;
    }
    to[row][2 * quad + 8 * part] = long_of(m->short_as, bits & 0xffff);
    to[row][2 * quad + 8 * part + 1] = long_of(m->short_as, bits >> 16);
}

/* Of exact products, in an order that programs must not count on: here it is one or the other. */
static float sum_of(const struct block *b, int depth, float start, const float *x, const float *y)
{
    int k;
    for (k = 0; k < depth; k++)
        start += x[b->g->backwards ? depth - 1 - k : k] * y[b->g->backwards ? depth - 1 - k : k];
    return start;
}

static void multiply(const struct block *b, struct thread *lane, const struct tiles *m)
{
    float x[16][MOST_DEPTH] = {{0}}, y[8][MOST_DEPTH] = {{0}};
    int i, r, nb = m->short_as == TF32 ? 2 : m->depth / 8;
    for (i = 0; i < WARP; i++) {
        for (r = 0; r < 2 * nb; r++)
            spread(m, i, r, r % 2, (uint32_t)lane[i].slot[m->a[r]], x, 1);
        for (r = 0; r < nb; r++)
            spread(m, i, r, 0, (uint32_t)lane[i].slot[m->b[r]], y, 0);
    }
    for (i = 0; i < WARP; i++) {
        uint64_t d[4]; /* c may stand where d goes */
        for (r = 0; r < 4; r++)
            d[r] = of_f32(sum_of(b, m->depth, f32(lane[i].slot[m->c[r]]), x[i / 4 + 8 * (r / 2)], y[2 * (i % 4) + r % 2]));
        for (r = 0; r < 4; r++)
            lane[i].slot[m->d[r]] = d[r];
    }
}

/* ---- four warps ---- */

/* A factor from shared memory: cores of 8 lines of 16 bytes, "PTX ISA", "Strides" of K-major matrices without swizzling. False: the descriptor is of
 * another kind, or not of what there is. */
static int read_factor(const struct block *b, int short_as, uint64_t descriptor, float (*to)[GROUP_DEPTH])
{
    uint64_t at = (descriptor & 0x3fff) << 4, along = (descriptor >> 16 & 0x3fff) << 4, across = (descriptor >> 32 & 0x3fff) << 4, place;
    int line, k;
    uint16_t bits;
    if (descriptor >> 46 || (descriptor & 0xc000c000u))
        return 0;
    for (line = 0; line < GROUP_SIDE; line++)
        for (k = 0; k < GROUP_DEPTH; k++) {
            place = at + (uint64_t)(line / 8) * across + (uint64_t)(k / 8) * along + (uint64_t)(line % 8 * 16 + k % 8 * 2);
            if (place < STATIC || place + 2 > STATIC + (uint64_t)b->f->statics)
                return 0;
            memcpy(&bits, b->shown + (place - STATIC), 2);
            to[line][k] = long_of(short_as, bits);
        }
    return 1;
}

static int read_factors(const struct block *b, struct pending *p)
{
    return p->read = p->read || (read_factor(b, p->m->short_as, p->a, p->x) && read_factor(b, p->m->short_as, p->b, p->y));
}

/* Where a thread's register of sums is. */
static float *sum_at(struct group *g, unsigned thread, int i)
{
    unsigned lane = thread % WARP;
    return &g->sum[thread / WARP * 16 + lane / 4 + 8 * (unsigned)(i % 4 / 2)][8 * (unsigned)(i / 4) + lane % 4 * 2 + (unsigned)(i % 2)];
}

/* Sums are taken over, and stay away until they are waited for. Without a fence nobody knows what they were. */
static int group_issue(const struct block *b, struct group *g, struct thread *t, const struct group_product *m)
{
    struct pending *p = &g->pending[g->n];
    unsigned i;
    int s;
    if (g->n == MOST_PENDING || (g->n && memcmp(g->pending[0].m->d, m->d, sizeof m->d) != 0))
        return RUN_FAILED;
    *p = (struct pending){.m = m, .a = t[0].slot[m->a], .b = t[0].slot[m->b], .add = (int)t[0].slot[m->add] & 1};
    for (i = 0; i < GROUP; i++)
        for (s = 0; s < GROUP_SUMS; s++) {
            if (t[i].slot[m->a] != p->a || t[i].slot[m->b] != p->b || ((int)t[i].slot[m->add] & 1) != p->add)
                return RUN_FAILED;
            if (g->n == 0 || !m->fenced)
                *sum_at(g, i, s) = m->fenced ? f32(t[i].slot[m->d[s]]) : NAN;
            t[i].slot[m->d[s]] = 0x7fc0dead;
        }
    g->n++;
    return !b->g->backwards || read_factors(b, p) ? 0 : RUN_FAILED; /* memory is read at once, or as late as it may be */
}

static int group_wait(const struct block *b, struct group *g, struct thread *t)
{
    int i, s, r, c, done = 0;
    unsigned u;
    for (; done < g->n && g->pending[done].committed; done++) {
        struct pending *p = &g->pending[done];
        if (!read_factors(b, p))
            return RUN_FAILED;
        for (r = 0; r < GROUP_SIDE; r++)
            for (c = 0; c < GROUP_SIDE; c++)
                g->sum[r][c] = sum_of(b, GROUP_DEPTH, p->add ? g->sum[r][c] : 0, p->x[r], p->y[c]);
    }
    if (done < g->n) /* they may go on for ever */
        return 0;
    for (u = 0; u < GROUP && done; u++)
        for (s = 0; s < GROUP_SUMS; s++)
            t[u].slot[g->pending[0].m->d[s]] = of_f32(*sum_at(g, u, s));
    for (i = 0; i < g->n; i++)
        g->pending[i].m = NULL;
    g->n = 0;
    return 0;
}

static int group_step(const struct block *b, struct thread *t, const struct instruction *c)
{
    struct group *g = &b->group[(t - b->thread) / GROUP];
    int i;
    for (i = 0; i < g->n && c->op == GROUP_COMMIT; i++)
        g->pending[i].committed = 1;
    return c->op == GROUP_PRODUCT ? group_issue(b, g, t, &t->f->group[c->offset]) : c->op == GROUP_WAIT ? group_wait(b, g, t) : 0;
}

/* ---- those that go together ---- */

static unsigned together_of(const struct function *f)
{
    return f->ngroup ? GROUP : WARP;
}

/* All lanes of a warp (or group) have come to the same product (or place to meet), or none has come to one. */
static int are_together(const struct thread *lane, unsigned n, unsigned meeting)
{
    unsigned i;
    for (i = 0; i < n && meeting; i++)
        if (n < together_of(lane->f) || lane[i].state != MEETS || lane[i].at != lane[0].at)
            return 0;
    return 1;
}

static int meet_at(const struct block *b, struct thread *lane, const struct instruction *c)
{
    if (c->op >= GROUP_FENCE)
        return group_step(b, lane, c);
    if (c->op == TILES)
        multiply(b, lane, &lane->f->tiles[c->offset]);
    return lane->f->ngroup ? RUN_FAILED : 0; /* one warp of a group */
}

/* To the next barrier of the block, or to the end. */
static int warp_run(struct block *b, struct thread *lane, unsigned n)
{
    unsigned i, meeting = 1;
    while (meeting) {
        meeting = 0;
        for (i = 0; i < n; i++) {
            struct thread *t = &lane[b->g->backwards ? n - 1 - i : i];
            int error = thread_run(b, t);
            if (error)
                return error;
            meeting += t->state == MEETS;
        }
        if (!are_together(lane, n, meeting))
            return RUN_FAILED;
        if (meeting && meet_at(b, lane, &lane->f->code[lane->at - 1]) != 0)
            return RUN_FAILED;
    }
    return 0;
}

static int block_run(struct block *b)
{
    unsigned i, done = 0, size = together_of(b->f), warps = (b->g->threads + size - 1) / size;
    while (done == 0) {
        for (i = 0; i < warps; i++) {
            unsigned first = size * (b->g->backwards ? warps - 1 - i : i), n = b->g->threads - first;
            int error = warp_run(b, &b->thread[first], n < size ? n : size);
            if (error)
                return error;
        }
        for (i = 0; i < b->g->threads; i++)
            done += b->thread[i].state == DONE;
        if (done > 0 && done < b->g->threads)
            return RUN_FAILED;
    }
    return 0;
}

/* ---- blocks whose threads tell each other something: side by side ---- */

enum { RESIDENT = 6 }; /* blocks, or clusters, that run at a time, at most: nobody promises more than one */

static void block_free(struct block *b)
{
    unsigned i;
    for (i = 0; i < b->g->threads; i++)
        free(b->thread[i].copy), free(b->thread[i].written);
    free(b->shown);
    free(b->group);
    free(b->shared);
    free(b->statics);
    free(b->passed);
    free(b->thread);
    free(b->slots);
}

static void block_open(struct block *b, unsigned number)
{
    b->shared = calloc(1, b->g->shared + 1);
    b->statics = calloc(1, (size_t)b->f->statics + 1);
    b->shown = calloc(1, (size_t)b->f->statics + 1);
    b->group = b->f->ngroup ? calloc((b->g->threads + GROUP - 1) / GROUP, sizeof *b->group) : NULL;
    b->passed = calloc(b->g->threads, PASSED_BYTES);
    b->thread = calloc(b->g->threads, sizeof *b->thread);
    b->slots = calloc((size_t)b->g->threads * (size_t)b->f->nslot, sizeof *b->slots);
    block_start(b, number);
}

/* A barrier is for all threads of the block. Others learn nothing by it. */
static int pass_barrier(struct block *b)
{
    unsigned i, waiting = 0, done = 0;
    for (i = 0; i < b->g->threads; i++) {
        waiting += b->thread[i].state == WAITS;
        done += b->thread[i].state == DONE;
    }
    if (waiting == 0 || waiting + done < b->g->threads)
        return 0;
    if (done)
        return RUN_FAILED;
    weak_meet(b->weak, b->g->threads);
    for (i = 0; i < b->g->threads; i++)
        b->thread[i].state = GOES_ON;
    return 0;
}

/* Warps (or groups) of which all lanes have come to a product, or to a place to meet. One that waits for its block does not come. */
static int pass_meeting(struct block *b)
{
    unsigned w, i, size = together_of(b->f);
    for (w = 0; w < b->g->threads; w += size) {
        struct thread *lane = &b->thread[w];
        unsigned n = b->g->threads - w < size ? b->g->threads - w : size, meeting = 0, coming = 0;
        for (i = 0; i < n; i++) {
            meeting += lane[i].state == MEETS;
            coming += lane[i].state == GOES_ON || lane[i].state == STOPS || lane[i].state == AWAITS;
        }
        if (meeting == 0 || coming)
            continue;
        if (!are_together(lane, n, meeting) || meet_at(b, lane, &lane->f->code[lane->at - 1]) != 0)
            return RUN_FAILED;
        for (i = 0; i < n; i++)
            lane[i].state = GOES_ON;
    }
    return 0;
}

/* Each thread that can runs on, from any one on. */
static int block_go_on(struct block *b)
{
    unsigned i, n = b->g->threads, first = (unsigned)(draw(b) % n);
    int error = 0;
    for (i = 0; i < n && !error; i++) {
        struct thread *t = &b->thread[(first + (b->g->backwards ? n - i : i)) % n];
        if (t->state == GOES_ON || t->state == STOPS)
            error = thread_run(b, t);
    }
    error = error ? error : pass_meeting(b);
    return error ? error : pass_barrier(b);
}

static int is_done(const struct block *b, unsigned blocks)
{
    unsigned i, t;
    for (i = 0; i < blocks; i++)
        for (t = 0; t < b->g->threads; t++)
            if (b[i].thread[t].state != DONE)
                return 0;
    return 1;
}

/* A barrier of a cluster is passed when all threads of all its blocks have arrived. One that has ended comes to no barrier; a GPU would count it as
 * one that has arrived, but programs must not need that. */
static int pass_cluster(struct block *b, unsigned blocks)
{
    unsigned i, t, n = b->g->threads, least = ~0u;
    for (i = 0; i < blocks; i++)
        for (t = 0; t < n; t++)
            least = b[i].thread[t].arrived < least ? b[i].thread[t].arrived : least;
    for (i = 0; i < blocks; i++)
        for (t = 0; t < n; t++) {
            struct thread *x = &b[i].thread[t];
            if (x->state == AWAITS && x->arrived == x->waited)
                return RUN_FAILED; /* it has not arrived itself */
            if (x->state == AWAITS && least > x->waited) {
                weak_acquire(b->memory, x->weak);
                x->waited++;
                x->state = GOES_ON;
            }
        }
    return 0;
}

/* Whether all threads wait for others, so that nothing ever happens: at barriers, or asking again and again. */
static int is_stuck(const struct block *b, unsigned blocks, int *asking)
{
    unsigned i, t;
    for (i = 0; i < blocks; i++)
        for (t = 0; t < b->g->threads; t++) {
            const struct thread *x = &b[i].thread[t];
            int asks = x->state == STOPS && x->asks_again && x->asked_at == weak_time(b->memory);
            if (x->state == GOES_ON || (x->state == STOPS && !asks))
                return 0;
            *asking |= asks;
        }
    return 1;
}

static void start_resident(struct block *b, unsigned number, struct weak_thread **weak)
{
    struct weak_block *known = weak_block_new();
    unsigned t;
    block_open(b, number);
    b->weak = weak;
    for (t = 0; t < b->g->threads; t++) {
        b->thread[t].weak = weak[t] = weak_thread_new(known);
        b->thread[t].state = GOES_ON;
    }
}

/* Blocks that run at a time, in clusters of `size` blocks, which may be one. */
struct crowd {
    struct block *block;
    unsigned size, running, room; /* clusters */
    unsigned next, all;
    struct weak_thread **weak;
};

static void start_cluster(struct crowd *c, const struct block *like)
{
    unsigned i, cluster = like->g->backwards ? c->all - 1 - c->next : c->next;
    for (i = 0; i < c->size; i++) {
        struct block *b = &c->block[c->running * c->size + i];
        *b = *like;
        start_resident(b, cluster * c->size + i, &c->weak[(size_t)(c->next * c->size + i) * like->g->threads]);
    }
    c->running++;
    c->next++;
}

static void end_cluster(struct crowd *c, unsigned n)
{
    unsigned i;
    c->running--;
    for (i = 0; i < c->size; i++) {
        block_free(&c->block[n * c->size + i]);
        c->block[n * c->size + i] = c->block[c->running * c->size + i];
    }
}

/* Any block of any cluster goes on. */
static int crowd_go_on(struct crowd *c, struct block *all)
{
    unsigned n = (unsigned)(draw(all) % c->running);
    struct block *cluster = &c->block[n * c->size], *b = &cluster[draw(all) % c->size];
    int error, asking = 0;
    b->left = all->left, b->random = draw(all);
    error = block_go_on(b);
    all->left = b->left;
    error = error ? error : pass_cluster(cluster, c->size);
    if (!error && is_done(cluster, c->size))
        end_cluster(c, n);
    else if (!error && is_stuck(b, 1, &asking) && is_stuck(c->block, c->running * c->size, &asking))
        error = asking ? RUN_TIMEOUT : RUN_FAILED;
    return error;
}

/* What a thread has not released is there when the kernel has ended, and not when the thread has. */
static void end_threads(struct weak_memory *m, struct weak_thread **all, unsigned blocks, unsigned threads)
{
    unsigned i, t;
    for (i = 0; i < blocks; i++) {
        struct weak_block *of = weak_block_of(all[i * threads]);
        for (t = 0; t < threads; t++) {
            weak_release(m, all[i * threads + t]);
            weak_thread_free(all[i * threads + t]);
        }
        weak_block_free(of);
    }
    free(all);
    weak_memory_free(m);
}

static int run_side_by_side(const struct function *f, const struct grid *g)
{
    struct block all = {.f = f, .g = g, .k = f->of, .left = g->most, .random = g->seed, .memory = weak_memory_new()};
    struct crowd c = {.size = g->cluster ? g->cluster : 1};
    int error = 0;
    c.all = g->blocks / c.size;
    c.room = g->cooperative ? c.all : 1 + (unsigned)(g->seed % RESIDENT);
    c.block = calloc((size_t)c.room * c.size, sizeof *c.block);
    c.weak = calloc((size_t)g->blocks * g->threads, sizeof *c.weak);
    while (!error && (c.running || c.next < c.all)) {
        while (c.running < c.room && c.next < c.all)
            start_cluster(&c, &all);
        error = crowd_go_on(&c, &all);
    }
    while (c.running)
        end_cluster(&c, 0);
    free(c.block);
    end_threads(all.memory, c.weak, c.next * c.size, g->threads);
    return error;
}

int kernel_run(const void *kernel, const struct grid *g)
{
    const struct function *f = kernel;
    struct block b = {.f = f, .g = g, .k = f->of, .left = g->most};
    unsigned i;
    int error = 0;
    if (f->threads && f->threads != g->threads)
        return RUN_FAILED;
    if (g->cluster || f->tells)
        return run_side_by_side(f, g);
    block_open(&b, 0);
    for (i = 0; i < g->blocks && !error; i++) {
        block_start(&b, g->backwards ? g->blocks - 1 - i : i);
        error = block_run(&b);
    }
    block_free(&b);
    return error;
}
