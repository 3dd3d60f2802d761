/* The generated header. It is the manual of its entry: every array with its shape in the names of the .rnn file, every
 * default, every status. Plain C99 that is C++11 too. */
#include "backends/backend.h"

typedef struct Head {
    Text *t;
    Arena *a;
    const KernProg *k;
    Iface *f;
    const HeaderOptions *o;
    Str prefix;
} Head;

/* ---- text inside comments ---- */

/* Marks that change the direction of text would let a comment look like code. */
static bool is_direction_mark(const char *p, uint32_t left)
{
    const unsigned char *u = (const unsigned char *)p;
    return left >= 3 && u[0] == 0xe2 &&
           ((u[1] == 0x80 && u[2] >= 0xaa && u[2] <= 0xae) || (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9));
}

/* The user's words on one line, so that they cannot end or open a comment. */
Str iface_comment(Arena *a, Str s)
{
    Text t = {.arena = a};
    for (uint32_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool closes = t.n && ((t.p[t.n - 1] == '*' && c == '/') || (t.p[t.n - 1] == '/' && c == '*') ||
                              (t.p[t.n - 1] == '?' && c == '?'));
        if (is_direction_mark(s.p + i, s.n - i)) {
            text_add(&t, "?");
            i += 2;
        } else if (c < 32 || c == 127)
            text_add(&t, " ");
        else
            text_add(&t, "%s%c", closes ? " " : "", c);
    }
    while (t.n && t.p[t.n - 1] == ' ')
        t.p[--t.n] = 0;
    return text_str(&t);
}

static Str base_name(Str path)
{
    for (uint32_t i = path.n; i > 0; i--)
        if (path.p[i - 1] == '/')
            return (Str){path.p + i, path.n - i};
    return path;
}

/* ---- types that all generated headers share ---- */

static void put_status(Head *h)
{
    text_add(h->t, "typedef enum rnn_status {\n");
#define STATUS(ENUM, NUMBER, TEXT) text_add(h->t, "    %-14s = %d, /* %s */\n", "RNN_" #ENUM, NUMBER, TEXT);
#include "backends/status.def"
#undef STATUS
    text_add(h->t, "} rnn_status;\n\n");
}

static const char shared_types[] =
    "/* Runs task(task_context, i) for every i in 0..n-1, in any order, on any threads, and returns when all are "
    "done.\n"
    " * NULL is fine: one thread does everything. Results do not depend on it, bit for bit. */\n"
    "typedef void (*rnn_parallel_for)(void *context, int64_t n, void (*task)(void *task_context, int64_t i), void "
    "*task_context);\n"
    "\n"
    "#ifdef _OPENMP\n"
    "/* For rnn_call.parallel: the threads of OpenMP, where the program is compiled with it. */\n"
    "static inline void rnn_openmp(void *context, int64_t n, void (*task)(void *task_context, int64_t i), void "
    "*task_context)\n"
    "{\n"
    "    int64_t i;\n"
    "    (void)context;\n"
    "#pragma omp parallel for schedule(dynamic, 1)\n"
    "    for (i = 0; i < n; i++)\n"
    "        task(task_context, i);\n"
    "}\n"
    "#endif\n"
    "\n"
    "enum { RNN_FORWARD = 1, RNN_TRAIN = 3 };\n"
    "\n"
    "typedef struct rnn_call {\n"
    "    void *workspace;           /* any alignment; a multiple of 64 is best */\n"
    "    size_t bytes;              /* of the workspace: at least what ..._workspace() says */\n"
    "    int passes;                /* RNN_FORWARD, or RNN_TRAIN to keep what backward needs */\n"
    "    rnn_parallel_for parallel; /* may be NULL */\n"
    "    void *context;             /* given to parallel */\n"
    "} rnn_call;\n"
    "\n"
    "typedef struct rnn_array {\n"
    "    const char *name;   /* of the member */\n"
    "    const char *group;  /* of the struct: \"sizes\", \"params\", \"inputs\", ... */\n"
    "    const char *type;   /* of an element, in C */\n"
    "    const char *shape;  /* \"[T, B, D]\"; \"\" for one number */\n"
    "    int optional;       /* may be NULL */\n"
    "} rnn_array;\n"
    "\n"
    "typedef struct rnn_info {\n"
    "    int abi;                 /* grows when a generated interface changes its meaning */\n"
    "    int narrays;\n"
    "    const char *name;        /* of the entry */\n"
    "    const char *version;     /* of rnnc */\n"
    "    const char *precision;   /* \"single\" or \"double\" */\n"
    "    const char *levels;      /* processors that there is code for: \"baseline avx2 avx512\" */\n"
    "    const rnn_array *arrays; /* every member of every struct */\n"
    "} rnn_info;\n"
    "\n"
    "typedef char rnn_needs_64_bits[sizeof(void *) == 8 && sizeof(size_t) == 8 ? 1 : -1];\n";

static void put_shared(Head *h)
{
    text_add(h->t, "#ifndef RNN_TYPES_ABI\n#define RNN_TYPES_ABI %d\n\n", RNN_ABI_NUMBER);
    put_status(h);
    text_add(h->t, "%s\n", shared_types);
    text_add(h->t,
             "#elif RNN_TYPES_ABI != %d\n#error \"this header and another one come from rnnc versions that do not fit "
             "together\"\n"
             "#endif\n\n",
             RNN_ABI_NUMBER);
}

/* Each under a guard of its own: headers of several precisions may be included together. */
static void put_narrow(Head *h)
{
    static const char *const meaning[NARROW_COUNT] = {
        [NARROW_BF16] = "The upper 16 bits of a float: 1 of sign, 8 of exponent, 7 of fraction.",
        [NARROW_F16] = "binary16 of IEEE 754, as _Float16 and __fp16: 1 bit of sign, 5 of exponent, 10 of fraction."};
    const char *type = narrow_c_type(h->k->narrow);
    if (h->k->narrow)
        text_add(h->t, "#ifndef RNN_TYPE_%s\n#define RNN_TYPE_%s\n/* %s */\ntypedef uint16_t %s;\n#endif\n\n",
                 h->k->narrow == NARROW_BF16 ? "BF16" : "F16", h->k->narrow == NARROW_BF16 ? "BF16" : "F16", meaning[h->k->narrow], type);
}

/* ---- the top comment ---- */

static bool has_plan(const KernProg *k)
{
    for (uint32_t i = 0; i < k->arg.n; i++)
        if (k->arg.p[i].role == ROLE_PLAN)
            return true;
    return false;
}

static const char *plan_size_meaning(Str name)
{
    static const struct {
        const char *name, *meaning;
    } row[] = {
        {"nodes", "nodes of a graph; 0 is allowed"},
        {"edges", "its edges; 0 is allowed"},
        {"links", "pairs of edges that the inputs on pairs are for"},
        {"known", "nodes that were there before, whose states are h0 and so on; 0: none"},
        {"outs", "of the plan, from rnn_edge_sizes"},
        {"pairs", "of the plan, from rnn_edge_sizes"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (str_is(name, row[i].name))
            return row[i].meaning;
    return "of the plan, from rnn_plan_sizes";
}

static const char *size_meaning(const KernProg *k, DimSym sym)
{
    const DimSymInfo *info = dim_sym_info(k->dims, sym);
    switch (info->kind) {
    case DIM_TIME:
        if (has_plan(k))
            return plan_size_meaning(info->name);
        return "places of a sequence; 0 is allowed";
    case DIM_BATCH: return "sequences at once; 0 is allowed";
    case DIM_USER:
    case DIM_KEEP:
    case DIM_FLAG:
    case DIM_STRIP:
    case DIM_PART: break;
    }
    return "";
}

/* In brackets when it is more than one name or number. */
static Str factor(Head *h, Dim d)
{
    DimSym s;
    int64_t n;
    bool plain = dim_is_sym(h->k->dims, d, &s) || dim_is_const(h->k->dims, d, &n);
    return str_fmt(h->a, plain ? "%.*s" : "(%.*s)", STRF(dim_str(h->a, h->k->dims, d)));
}

static void put_derived(Head *h)
{
    for (uint32_t i = 0; i < h->k->derived.n; i++) {
        const struct RecDerivedDim *d = &h->k->derived.p[i];
        if (d->floor)
            continue;
        text_add(h->t, " * %.*s = %.*s / %.*s must be a whole number, else RNN_SIZE.\n",
                 STRF(dim_sym_info(h->k->dims, d->sym)->name), STRF(factor(h, d->num)), STRF(factor(h, d->den)));
    }
}

/* What the source says of the entry, with its paper: line by line. */
static void put_doc(Head *h)
{
    Str doc = h->k->doc;
    for (uint32_t i = 0, end; i < doc.n; i = end + 1) {
        for (end = i; end < doc.n && doc.p[end] != '\n'; end++)
            continue;
        Str line = iface_comment(h->a, (Str){doc.p + i, end - i});
        text_add(h->t, line.n ? " * %.*s\n" : " *%.*s\n", STRF(line));
    }
    if (doc.n)
        text_add(h->t, " *\n");
}

static void put_packed(Head *h)
{
    if (iface_packs(h->k))
        text_add(h->t, " * A packed batch: with inputs->offsets, arrays over T hold all sequences end to end, [T, ...] without B, and T is "
                       "the places of\n"
                       " * all of them. Sequence b has those from offsets[b] to offsets[b + 1], maybe none; other arrays are as they "
                       "are, [B, ...]. Results\n"
                       " * are those of B calls of one sequence each.\n");
}

static const char on_device[] =
    " * All arrays are on the device; structs and sizes are the caller's. Sizes, and what must be given, are checked; lengths must lie\n"
    " * in 0..T, and written arrays may not overlap any other. Nothing is allocated, printed or waited for, and nothing is kept but in\n"
    " * the object that the caller opens.\n";

static void put_top(Head *h)
{
    text_add(h->t, "/* %.*s: generated by rnnc %.*s", STRF(h->k->name), STRF(iface_comment(h->a, h->o->version)));
    if (h->o->source_file.n)
        text_add(h->t, " from %.*s", STRF(iface_comment(h->a, base_name(h->o->source_file))));
    text_add(h->t, ", %.*s precision (real is %s%s). Not to be edited.\n *\n", STRF(iface_precision(h->k, h->o->f64)),
             iface_stored_type(h->k->narrow, DT_REAL, h->o->f64), h->k->narrow ? " or float" : "");
    put_doc(h);
    text_add(h->t, " * Arrays are dense, the last axis runs fastest, and they need the alignment of their element "
                   "only. int is int32_t,\n"
                   " * bool is uint8_t (0 or 1). An array without elements may be NULL.\n");
    if (h->k->narrow)
        text_add(h->t, " * Elements of %s are rounded to the nearest when they are written, to the even one of two. States and gradients of\n"
                       " * parameters are float, and so is all that is computed.\n",
                 narrow_c_type(h->k->narrow));
    put_derived(h);
    if (h->o->functions.n) {
        text_add(h->t, "%s */\n", on_device);
        return;
    }
    put_packed(h);
    text_add(h->t, " * Functions check their arguments and write nothing unless they return RNN_OK or RNN_INDEX. "
                   "Written arrays may not overlap\n"
                   " * any other array. Nothing is allocated, printed or kept between calls; every function may run on "
                   "many threads at once,\n"
                   " * each with a workspace of its own.\n */\n");
}

/* ---- structs ---- */

static const char *struct_intro(IfaceStruct s)
{
    switch (s) {
    case IF_SIZES: return "Sizes of all arrays.";
    case IF_PARAMS: return "Parameters, shared by all sequences.";
    case IF_INPUTS: return "What goes in.";
    case IF_OUTPUTS: return "What comes out.";
    case IF_COTANGENTS: return "Gradients of the loss by outputs and final states; one that is NULL is zero.";
    case IF_GRADS: return "Gradients of the loss by parameters: added to what the arrays hold. NULL: not wanted.";
    case IF_INPUT_GRADS: return "Gradients of the loss by inputs: overwritten. NULL: not wanted.";
    case IF_WEIGHTS: return "Parameters, to be filled.";
    case IF_CARRY: return "States between calls, read and written in place.";
    case IF_NSTRUCT: break;
    }
    return "";
}

static const char *arg_default(const RecArg *x)
{
    switch (x->role) {
    case ROLE_LENGTH: return x->type.rank ? "places of each sequence along each axis, from 0; NULL: all that there are" : "steps of each sequence, 0..T; NULL: all have T";
    case ROLE_RESET: return "nonzero: a new sequence begins here, from the declared start; NULL: nowhere";
    case ROLE_START: return "NULL: the declared start value";
    case ROLE_GUESS: return "what the state could be, place by place, such as what an earlier call gave: it saves iterations, and results stay within the tolerance whatever it is; NULL: a step from zero";
    case ROLE_COTANGENT: return "";
    case ROLE_PLAN: return str_is(x->name, "plan.node") || str_is(x->name, "plan.slot") || str_is(x->name, "plan.head") || str_is(x->name, "plan.tail")
                               ? "from rnn_plan_fill" : "from rnn_edge_fill";
    case ROLE_PARAM:
    case ROLE_INPUT:
    case ROLE_SEED: break;
    }
    return x->optional ? "NULL: zero" : "";
}

static const char *out_note(const RecOut *o)
{
    return o->role == OUT_FINAL ? "after the last step; NULL: not wanted" : o->role == OUT_REPORT ? "NULL: not wanted" : "";
}

static Str member_doc(const Head *h, IfaceStruct s, const IfaceMember *m)
{
    if (s == IF_SIZES)
        return str_of(size_meaning(h->k, m->sym));
    if (s == IF_CARRY || m->offsets)
        return STR("");
    return m->arg != K_NONE ? h->k->arg.p[m->arg].doc : h->k->out.p[m->out].doc;
}

static const char *member_note(const Head *h, IfaceStruct s, const IfaceMember *m)
{
    if (s == IF_SIZES || s == IF_CARRY)
        return "";
    if (m->offsets)
        return "where each sequence of a packed batch begins, from 0, and T; NULL: the batch is not packed";
    return m->arg != K_NONE ? arg_default(&h->k->arg.p[m->arg]) : out_note(&h->k->out.p[m->out]);
}

static const char *member_const(IfaceStruct s)
{
    return s == IF_PARAMS || s == IF_INPUTS || s == IF_COTANGENTS ? "const " : "";
}

static Str declaration(const Head *h, IfaceStruct s, const IfaceMember *m)
{
    if (s == IF_SIZES)
        return str_fmt(h->a, "int64_t %.*s;", STRF(m->name));
    return str_fmt(h->a, "%s%s *%.*s;", member_const(s), iface_member_type(h->k, m, h->o->f64), STRF(m->name));
}

static void put_member(Head *h, IfaceStruct s, const IfaceMember *m, uint32_t width)
{
    Str shape = s == IF_SIZES ? STR("") : iface_member_shape(h->a, h->k, m), doc = iface_comment(h->a, member_doc(h, s, m));
    Str code = declaration(h, s, m), note = str_of(member_note(h, s, m));
    if (s != IF_SIZES && !shape.n)
        shape = STR("one number");
    text_add(h->t, "    %.*s", STRF(code));
    if (shape.n + doc.n + note.n) {
        text_add(h->t, "%*s /* %.*s", (int)(width - code.n), "", STRF(shape));
        text_add(h->t, "%s%.*s", shape.n && doc.n ? " " : "", STRF(doc));
        text_add(h->t, "%s%.*s */", note.n && shape.n + doc.n ? "; " : "", STRF(note));
    }
    text_add(h->t, "\n");
}

static void put_struct(Head *h, IfaceStruct s)
{
    const char *name = iface_struct_name(s);
    uint32_t width = 0;
    for (uint32_t i = 0; i < h->f->member[s].n; i++) {
        uint32_t n = declaration(h, s, &h->f->member[s].p[i]).n;
        width = n > width ? n : width;
    }
    text_add(h->t, "/* %s%s */\n", struct_intro(s),
             iface_may_be_null(h->f, s) && s != IF_CARRY ? " The struct itself may be NULL." : "");
    text_add(h->t, "typedef struct %.*s_%s {\n", STRF(h->prefix), name);
    for (uint32_t i = 0; i < h->f->member[s].n; i++)
        put_member(h, s, &h->f->member[s].p[i], width);
    if (!h->f->member[s].n)
        text_add(h->t, "    void *unused;\n");
    text_add(h->t, "} %.*s_%s;\n\n", STRF(h->prefix), name);
}

static bool wanted(const Head *h, IfaceStruct s)
{
    for (int f = 0; f < IFN_COUNT; f++)
        for (uint32_t i = 0; iface_has_fn(h->k, (IfaceFn)f) && i < iface_fn((IfaceFn)f)->n; i++)
            if (iface_fn((IfaceFn)f)->takes[i] == s)
                return true;
    return false;
}

/* ---- functions ---- */

/* Parameters fill lines of at most 110 columns. */
static void put_parameter(Head *h, size_t *line, bool first, Str text)
{
    text_add(h->t, first ? "" : ",");
    if (!first && h->t->n - *line + text.n > 110) {
        text_add(h->t, "\n    ");
        *line = h->t->n - 4;
    } else {
        text_add(h->t, first ? "" : " ");
    }
    text_add(h->t, "%.*s", STRF(text));
}

static void put_prototype(Head *h, IfaceFn f, const char *result)
{
    const IfaceFnInfo *info = iface_fn(f);
    size_t line = h->t->n;
    text_add(h->t, "%s%.*s(", result, STRF(iface_public(h->a, h->prefix, f)));
    for (uint32_t i = 0; i < info->n; i++) {
        const char *name = iface_struct_name(info->takes[i]);
        put_parameter(h, &line, i == 0, str_fmt(h->a, "const %.*s_%s *%s", STRF(h->prefix), name, name));
    }
    const char *last = info->call           ? "const rnn_call *call"
                       : f == IFN_WORKSPACE ? "int passes"
                       : f == IFN_PACKED    ? "const int32_t *offsets, int passes"
                       : f == IFN_INIT      ? "uint64_t seed"
                                            : "void";
    put_parameter(h, &line, info->n == 0, str_of(last));
    text_add(h->t, ");\n\n");
}

static const char *function_doc(IfaceFn f)
{
    switch (f) {
    case IFN_WORKSPACE:
        return "Bytes of workspace for these sizes; passes is RNN_FORWARD (also for chunk and step) or RNN_TRAIN. "
               "SIZE_MAX when sizes are\n"
               " * NULL, negative, do not fit each other or overflow.";
    case IFN_PACKED:
        return "The same for a packed batch with these offsets: of one sequence after another for RNN_FORWARD, of all together for "
               "RNN_TRAIN.\n"
               " * SIZE_MAX also when the offsets are NULL, decrease, or do not go from 0 to T.";
    case IFN_FORWARD:
        return "All steps of all sequences. With T = 0 final states are the start values: so a carry begins. With "
               "RNN_TRAIN the workspace\n"
               " * then holds what backward needs.";
    case IFN_BACKWARD:
        return "Needs the same sizes, parameters, inputs and workspace as the forward call with RNN_TRAIN before it; "
               "the workspace may not\n"
               " * move between the two. call->passes is not read.";
    case IFN_CHUNK:
        return "T steps that go on from the carry. Final states are left in the carry: initial and final states in "
               "inputs and outputs are\n"
               " * not read.";
    case IFN_STEP:
        return "One step that goes on from the carry, as chunk. sizes->T is not read: it counts as 1. Ask for its "
               "workspace with T = 1.";
    case IFN_INIT: return "Random parameters from a seed, as the `~` of each says. T and B in sizes are not read.";
    case IFN_INFO: return "What the object holds.";
    case IFN_COUNT: break;
    }
    return "";
}

static void put_function(Head *h, IfaceFn f)
{
    static const char *const result[IFN_COUNT] = {[IFN_WORKSPACE] = "size_t ", [IFN_PACKED] = "size_t ", [IFN_INFO] = "const rnn_info *"};
    Str why;
    text_add(h->t, "/* %s", function_doc(f));
    if (f == IFN_CHUNK)
        text_add(h->t, " Chunks of any lengths give %s one forward call.",
                 iface_in_order(h->k) ? "the same bits as" : "the same, to rounding, as");
    if ((f == IFN_CHUNK || f == IFN_STEP) && !iface_streams(h->k, &why))
        text_add(h->t, "\n * Here it always returns RNN_STREAM%s%.*s.", why.n ? ": " : "", STRF(iface_comment(h->a, why)));
    text_add(h->t, " */\n");
    put_prototype(h, f, result[f] ? result[f] : "rnn_status ");
}

Str header_text(Arena *a, const KernProg *k, const HeaderOptions *o)
{
    Text t = {.arena = a};
    Head h = {&t, a, k, iface_of(a, k), o, iface_prefix(k, o->prefix)};
    put_top(&h);
    text_add(&t, "#ifndef RNN_%.*s_H\n#define RNN_%.*s_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n",
             STRF(h.prefix), STRF(h.prefix));
    put_shared(&h);
    put_narrow(&h);
    if (has_plan(k))
        text_add(&t, "%s\n", graph_plan_text);
    text_add(&t, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    for (int s = 0; s < IF_NSTRUCT; s++)
        if (wanted(&h, (IfaceStruct)s))
            put_struct(&h, (IfaceStruct)s);
    text_add(&t, "%.*s", STRF(o->functions));
    for (int f = 0; f < IFN_COUNT && !o->functions.n; f++)
        if (iface_has_fn(k, (IfaceFn)f))
            put_function(&h, (IfaceFn)f);
    text_add(&t, "#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    return text_str(&t);
}
