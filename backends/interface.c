/* The public interface of a program: which C structs there are, what they hold, and what everything is called. */
#include "backends/backend.h"

/* What a member, function or type must not be called: words of C and C++, and macros that their headers define. */
static const char *const taken[] = {
    "alignas",
    "alignof",
    "and",
    "and_eq",
    "asm",
    "auto",
    "bitand",
    "bitor",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "char16_t",
    "char32_t",
    "char8_t",
    "class",
    "co_await",
    "co_return",
    "co_yield",
    "compl",
    "concept",
    "const",
    "const_cast",
    "consteval",
    "constexpr",
    "constinit",
    "continue",
    "decltype",
    "default",
    "delete",
    "do",
    "double",
    "dynamic_cast",
    "else",
    "enum",
    "explicit",
    "export",
    "extern",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "if",
    "inline",
    "int",
    "long",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "not_eq",
    "nullptr",
    "operator",
    "or",
    "or_eq",
    "private",
    "protected",
    "public",
    "register",
    "reinterpret_cast",
    "requires",
    "restrict",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "static_assert",
    "static_cast",
    "struct",
    "switch",
    "template",
    "this",
    "thread_local",
    "throw",
    "true",
    "try",
    "typedef",
    "typeid",
    "typename",
    "typeof",
    "typeof_unqual",
    "union",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "wchar_t",
    "while",
    "xor",
    "xor_eq",
    "NULL",
    "errno",
    "assert",
    "stdin",
    "stdout",
    "stderr",
    "linux",
    "unix",
    "i386",
    "offsetof",
    "complex",
    "imaginary",
    "noreturn",
    "rnn_bf16",
    "rnn_f16",
    "rnn_info",
    "rnn_array",
    "rnn_call",
    "rnn_status",
};

static bool is_taken(Str s)
{
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (str_is(s, taken[i]))
            return true;
    return false;
}

Str iface_c_name(Arena *a, Str text)
{
    char *p = arena_alloc(a, (size_t)text.n + 2);
    for (uint32_t i = 0; i < text.n; i++)
        p[i] = text.p[i] == '.' ? '_' : text.p[i];
    Str name = {p, text.n};
    if (is_taken(name))
        p[name.n++] = '_';
    return name;
}

Str iface_prefix(const KernProg *k, Str prefix)
{
    return prefix.n ? prefix : k->name;
}

static const char *const struct_name[IF_NSTRUCT] = {
    [IF_SIZES] = "sizes",           [IF_PARAMS] = "params", [IF_INPUTS] = "inputs",           [IF_OUTPUTS] = "outputs",
    [IF_COTANGENTS] = "cotangents", [IF_GRADS] = "grads",   [IF_INPUT_GRADS] = "input_grads", [IF_WEIGHTS] = "weights",
    [IF_CARRY] = "carry",
};

const char *iface_struct_name(IfaceStruct s)
{
    return struct_name[s];
}

static const IfaceFnInfo fn_info[IFN_COUNT] = {
    [IFN_WORKSPACE] = {"workspace", 1, {IF_SIZES}, false},
    [IFN_PACKED] = {"packed_workspace", 1, {IF_SIZES}, false},
    [IFN_FORWARD] = {"forward", 4, {IF_SIZES, IF_PARAMS, IF_INPUTS, IF_OUTPUTS}, true},
    [IFN_BACKWARD] = {"backward", 6, {IF_SIZES, IF_PARAMS, IF_INPUTS, IF_COTANGENTS, IF_GRADS, IF_INPUT_GRADS}, true},
    [IFN_CHUNK] = {"chunk", 5, {IF_SIZES, IF_PARAMS, IF_INPUTS, IF_OUTPUTS, IF_CARRY}, true},
    [IFN_STEP] = {"step", 5, {IF_SIZES, IF_PARAMS, IF_INPUTS, IF_OUTPUTS, IF_CARRY}, true},
    [IFN_INIT] = {"init", 2, {IF_SIZES, IF_WEIGHTS}, false},
    [IFN_INFO] = {"info", 0, {0}, false},
};

const IfaceFnInfo *iface_fn(IfaceFn f)
{
    return &fn_info[f];
}

bool iface_has_fn(const KernProg *k, IfaceFn f)
{
    switch (f) {
    case IFN_PACKED: return iface_packs(k);
    case IFN_BACKWARD: return k->has_fn[REC_BACKWARD];
    case IFN_INIT: return k->has_fn[REC_INIT];
    default: return true;
    }
}

RecFace iface_face(const KernProg *k)
{
    RecFace f = rec_face(k->dims, k->open.p, k->open.n);
    f.derived = k->derived.p, f.nderived = k->derived.n;
    f.arg = k->arg.p, f.narg = k->arg.n;
    f.out = k->out.p, f.nout = k->out.n;
    return f;
}

bool iface_packs(const KernProg *k)
{
    RecFace f = iface_face(k);
    return !k->no_packed && rec_packs(&f);
}

Str iface_public(Arena *a, Str prefix, IfaceFn f)
{
    return iface_c_name(a, str_fmt(a, "%.*s_%s", STRF(prefix), fn_info[f].name));
}

bool iface_time(const KernProg *k, DimSym *time)
{
    for (uint32_t i = 0; i < k->open.n; i++)
        if (dim_sym_info(k->dims, k->open.p[i])->kind == DIM_TIME) {
            *time = k->open.p[i];
            return true;
        }
    return false;
}

uint32_t iface_extents(const KernProg *k, const Type *lengths, DimSym *extent)
{
    uint32_t n = 0;
    int64_t most = 1;
    if (lengths->rank && !dim_is_const(k->dims, lengths->dim[0], &most))
        ice("iface: lengths of an open number of axes");
    for (uint32_t i = 0; i < k->open.n && n < most; i++)
        if (dim_sym_info(k->dims, k->open.p[i])->kind == DIM_TIME)
            extent[n++] = k->open.p[i];
    return n;
}

bool iface_counts_chunks(const KernProg *k, DimSym quotient)
{
    DimKind kind = dim_sym_info(k->dims, quotient)->kind;
    return kind != DIM_FLAG && kind != DIM_STRIP;
}

bool iface_in_order(const KernProg *k)
{
    if (kern_rounds(k))
        return false;
    for (uint32_t i = 0; i < k->derived.n; i++)
        if (k->derived.p[i].floor && iface_counts_chunks(k, k->derived.p[i].sym) &&
            dim_subst(k->dims, k->derived.p[i].num, k->keep, DIM_ZERO) != DIM_ZERO)
            return false;
    return true;
}

bool iface_streams(const KernProg *k, Str *why)
{
    DimSym time;
    *why = STR("");
    if (!iface_time(k, &time))
        return *why = STR("it has no time axis"), false;
    for (uint32_t i = 0; i < k->out.n; i++) {
        const RecOut *o = &k->out.p[i];
        if (o->role == OUT_VALUE && !o->streams)
            return *why = o->why_not, false;
    }
    return true;
}

/* The batch axis stands behind leading time axes, else in front. */
uint32_t iface_array_dims(const KernProg *k, const Type *type, bool batched, Dim out[MAXRANK + 1])
{
    uint32_t n = 0, places = type_places(k->dims, type);
    for (uint32_t i = 0; i <= type->rank; i++) {
        if (batched && i == places)
            out[n++] = dim_of(k->dims, k->batch);
        if (i < type->rank)
            out[n++] = type->dim[i];
    }
    return n;
}

Str iface_shape(Arena *a, const KernProg *k, const Type *type, bool batched)
{
    Dim dim[MAXRANK + 1];
    uint32_t n = iface_array_dims(k, type, batched, dim);
    Text t = {.arena = a};
    for (uint32_t i = 0; i < n; i++) {
        text_add(&t, i ? ", " : "[");
        dim_print(&t, k->dims, dim[i]);
    }
    text_add(&t, n ? "]" : "");
    return text_str(&t);
}

Str iface_member_shape(Arena *a, const KernProg *k, const IfaceMember *m)
{
    if (m->arg != K_NONE)
        return iface_shape(a, k, &k->arg.p[m->arg].type, k->arg.p[m->arg].batched);
    if (m->out != K_NONE)
        return iface_shape(a, k, &k->out.p[m->out].type, k->out.p[m->out].batched);
    if (m->offsets)
        return STR("[B + 1]");
    return STR("");
}

const char *iface_c_type(DType dt, bool f64)
{
    switch (dt) {
    case DT_REAL: return f64 ? "double" : "float";
    case DT_INT: return "int32_t";
    case DT_BOOL: return "uint8_t";
    case DT_COMPLEX: break;
    }
    ice("interface: element type %d", (int)dt);
}

const char *iface_stored_type(Narrow n, DType dt, bool f64)
{
    return n == NARROW_NONE ? iface_c_type(dt, f64) : narrow_c_type(n);
}

const char *iface_member_type(const KernProg *k, const IfaceMember *m, bool f64)
{
    Narrow n = m->arg != K_NONE ? kern_arg_narrow(k, m->arg) : m->out != K_NONE ? kern_out_narrow(k, m->out) : NARROW_NONE;
    return iface_stored_type(n, m->dt, f64);
}

Str iface_precision(const KernProg *k, bool f64)
{
    return k->narrow ? str_of(narrow_text(k->narrow)) : f64 ? STR("double") : STR("single");
}

bool iface_may_be_null(const Iface *f, IfaceStruct s)
{
    if (s == IF_SIZES || (s == IF_COTANGENTS && f->member[s].n))
        return false; /* a backward pass without a cotangent is a mistake */
    for (uint32_t i = 0; i < f->member[s].n; i++)
        if (!f->member[s].p[i].optional)
            return false;
    return true;
}

/* ---- members ---- */

typedef struct Make {
    Arena *a;
    const KernProg *k;
    Iface *f;
} Make;

/* Two names of the text that are one in C are the frontend's to refuse. */
static void add(Make *m, IfaceStruct s, Str text, IfaceMember member)
{
    member.name = iface_c_name(m->a, text);
    for (uint32_t i = 0; i < m->f->member[s].n; i++)
        if (str_eq(m->f->member[s].p[i].name, member.name))
            ice("interface of %.*s: two members of `%s` are called %.*s", STRF(m->k->name), struct_name[s],
                STRF(member.name));
    vec_push(m->a, &m->f->member[s], member);
}

static void add_size(Make *m, DimSym s)
{
    add(m, IF_SIZES, dim_sym_info(m->k->dims, s)->name,
        (IfaceMember){.arg = K_NONE, .out = K_NONE, .sym = s, .dt = DT_INT});
}

static void add_sizes(Make *m)
{
    const KernProg *k = m->k;
    for (uint32_t i = 0; i < k->open.n; i++)
        if (dim_sym_info(k->dims, k->open.p[i])->kind == DIM_TIME)
            add_size(m, k->open.p[i]);
    add_size(m, k->batch);
    for (uint32_t i = 0; i < k->open.n; i++)
        if (dim_sym_info(k->dims, k->open.p[i])->kind == DIM_USER)
            add_size(m, k->open.p[i]);
}

/* The carry of start value `h0` is the state `h`; of a part of one, `z0.re`, it is `z.re`. */
static Str carry_name(Arena *a, Str start)
{
    uint32_t n = start.n;
    if (start.p[n - 1] != '0')
        while (n > 1 && start.p[n - 1] != '.')
            n--;
    n -= n > 1 && start.p[n - 1] == '.';
    return n > 1 && start.p[n - 1] == '0' ? str_fmt(a, "%.*s%.*s", (int)n - 1, start.p, (int)(start.n - n), start.p + n)
                                          : start;
}

static void add_arg(Make *m, uint32_t i)
{
    const RecArg *x = &m->k->arg.p[i];
    IfaceMember member = {.arg = i, .out = K_NONE, .dt = x->type.dt, .optional = x->optional};
    switch (x->role) {
    case ROLE_PARAM: add(m, IF_PARAMS, x->name, member); break;
    case ROLE_PLAN:
    case ROLE_INPUT:
    case ROLE_GUESS:
    case ROLE_LENGTH:
    case ROLE_RESET: add(m, IF_INPUTS, x->name, member); break;
    case ROLE_START:
        add(m, IF_INPUTS, x->name, member);
        member.optional = false;
        member.out = x->of;
        add(m, IF_CARRY, carry_name(m->a, x->name), member);
        break;
    case ROLE_COTANGENT: add(m, IF_COTANGENTS, x->name, member); break;
    case ROLE_SEED: break;
    }
}

static void add_out(Make *m, uint32_t i)
{
    const RecOut *o = &m->k->out.p[i];
    IfaceMember member = {.arg = K_NONE, .out = i, .dt = o->type.dt, .optional = true};
    switch (o->role) {
    case OUT_VALUE:
        member.optional = false;
        add(m, IF_OUTPUTS, o->name, member);
        break;
    case OUT_REPORT:
    case OUT_FINAL: add(m, IF_OUTPUTS, o->name, member); break;
    case OUT_GRAD_PARAM: add(m, IF_GRADS, m->k->arg.p[o->of].name, member); break;
    case OUT_GRAD: add(m, IF_INPUT_GRADS, m->k->arg.p[o->of].name, member); break;
    case OUT_PARAM:
        member.optional = false;
        add(m, IF_WEIGHTS, m->k->arg.p[o->of].name, member);
        break;
    }
}

Iface *iface_of(Arena *a, const KernProg *k)
{
    Make m = {a, k, NEW(a, Iface)};
    add_sizes(&m);
    for (uint32_t i = 0; i < k->arg.n; i++)
        add_arg(&m, i);
    for (uint32_t i = 0; i < k->out.n; i++)
        add_out(&m, i);
    if (iface_packs(k))
        add(&m, IF_INPUTS, STR("offsets"), (IfaceMember){.arg = K_NONE, .out = K_NONE, .dt = DT_INT, .offsets = true, .optional = true});
    return m.f;
}
