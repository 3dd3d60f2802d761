/* The generated launcher: C99 over the CUDA driver's API. The entry's tables and public functions are written here; what is the
 * same for all entries is launch_code.h, which stands in front of them. */
#include "backends/backend.h"
#include "backends/nvptx/nvptx.h"

typedef struct Out {
    Text *t;
    Arena *a;
    const NvPlan *p;
    const KernProg *k;
    const NvOptions *o;
    Iface *f;
    Str prefix;
    uint32_t nterm, nmember, nparam;
    Text terms; /* rows of all polynomials, in the order in which they are used */
} Out;

static const IfaceStruct structs[] = {IF_PARAMS, IF_INPUTS, IF_OUTPUTS, IF_COTANGENTS, IF_GRADS, IF_INPUT_GRADS};
enum { NSTRUCT = sizeof structs / sizeof *structs };

/* ---- polynomials ---- */

static void add_term(Out *x, const DimTerm *t)
{
    text_add(&x->terms, "    {%lld, %u, {", (long long)t->coef, t->nsym);
    for (uint32_t s = 0; s < t->nsym; s++)
        text_add(&x->terms, s ? ", %u" : "%u", t->sym[s]);
    text_add(&x->terms, t->nsym ? "}},\n" : "0}},\n");
    x->nterm++;
}

/* `{first, n}`: where its terms are. */
static Str dim_of_table(Out *x, Dim d)
{
    uint32_t first = x->nterm, n = dim_nterms(x->k->dims, d);
    for (uint32_t i = 0; i < n; i++)
        add_term(x, dim_term(x->k->dims, d, i));
    return str_fmt(x->a, "{%u, %u}", first, n);
}

static uint32_t bytes_of(const Out *x, DType dt)
{
    return dt == DT_REAL ? (x->o->f64 ? 8 : 4) : dt == DT_INT ? 4 : 1;
}

/* ---- tables ---- */

/* A table without rows has one, for C. */
static void end_table(Out *x, uint32_t n, const char *empty)
{
    text_add(x->t, "%s};\n\n", n ? "" : empty);
}

static void put_sizes(Out *x)
{
    uint32_t n = x->f->member[IF_SIZES].n;
    text_add(x->t, "static const int size_table[] = {");
    for (uint32_t i = 0; i < n; i++)
        text_add(x->t, "%u, ", x->f->member[IF_SIZES].p[i].sym);
    text_add(x->t, "0};\n\nstatic const int bounded_table[] = {");
    for (uint32_t i = 0; i < n; i++)
        text_add(x->t, "%d, ", dim_sym_info(x->k->dims, x->f->member[IF_SIZES].p[i].sym)->kind == DIM_TIME);
    text_add(x->t, "0};\n\n");
}

static void put_derived(Out *x)
{
    text_add(x->t, "static const cuda_derived derived_table[] = {\n");
    for (uint32_t i = 0; i < x->k->derived.n; i++) {
        const struct RecDerivedDim *d = &x->k->derived.p[i];
        Str num = dim_of_table(x, d->num), den = dim_of_table(x, d->den);
        text_add(x->t, "    {%u, %d, %.*s, %.*s},\n", d->sym, d->floor, STRF(num), STRF(den));
    }
    end_table(x, x->k->derived.n, "    {0, 0, {0, 0}, {0, 0}},\n");
    text_add(x->t, "static const cuda_dim need_table[] = {\n");
    for (uint32_t i = 0; i < x->k->need.n; i++)
        text_add(x->t, "    %.*s,\n", STRF(dim_of_table(x, x->k->need.p[i].dim)));
    end_table(x, x->k->need.n, "    {0, 0},\n");
}

static uint32_t uses_of(const Out *x, KBufKind kind, uint32_t slot)
{
    uint32_t uses = 0;
    for (KBufId b = 0; b < x->k->buf.n; b++)
        if (x->k->buf.p[b].kind == kind && x->k->buf.p[b].slot == slot)
            uses |= x->k->buf.p[b].used_by & 3;
    return uses;
}

static Dim elements(const Out *x, const Type *type, bool batched)
{
    Dim dim[MAXRANK + 1], all = DIM_ONE;
    for (uint32_t i = 0, n = iface_array_dims(x->k, type, batched, dim); i < n; i++)
        all = dim_mul(x->k->dims, all, dim[i]);
    return all;
}

static void put_array(Out *x, const char *flags, uint32_t uses, const Type *type, bool batched)
{
    Str size = dim_of_table(x, elements(x, type, batched));
    text_add(x->t, "    {%s, %u, %u, %.*s},\n", flags, uses, bytes_of(x, type->dt), STRF(size));
}

static void put_arrays(Out *x)
{
    const KernProg *k = x->k;
    text_add(x->t, "static const cuda_array arg_table[] = {\n");
    for (uint32_t i = 0; i < k->arg.n; i++) {
        const RecArg *a = &k->arg.p[i];
        const char *flags = a->role == ROLE_LENGTH ? "CUDA_LENGTHS" : a->optional ? "0" : "CUDA_MUST";
        put_array(x, flags, uses_of(x, K_ARG, i), &a->type, a->batched);
    }
    end_table(x, k->arg.n, "    {0, 0, 0, {0, 0}},\n");
    text_add(x->t, "static const cuda_array out_table[] = {\n");
    for (uint32_t i = 0; i < k->out.n; i++) {
        const RecOut *o = &k->out.p[i];
        put_array(x, o->role == OUT_VALUE ? "CUDA_MUST" : "0", uses_of(x, K_OUT, i), &o->type, o->batched);
    }
    end_table(x, k->out.n, "    {0, 0, 0, {0, 0}},\n");
}

static KBufId root_of(const KernProg *k, KBufId b)
{
    while (k->buf.p[b].shares != K_NONE)
        b = k->buf.p[b].shares;
    return b;
}

/* By what a buffer, or one in its memory, is used. */
static uint32_t memory_uses(const KernProg *k, KBufId root)
{
    uint32_t uses = 0;
    for (KBufId b = 0; b < k->buf.n; b++)
        uses |= root_of(k, b) == root ? k->buf.p[b].used_by & 3u : 0;
    return uses;
}

static void put_buffers(Out *x)
{
    static const char *const kind[] = {[K_ARG] = "CUDA_ARGUMENT", [K_OUT] = "CUDA_OUTPUT", [K_WORK] = "CUDA_WORK"};
    const KernProg *k = x->k;
    text_add(x->t, "static const cuda_buffer buffer_table[] = {\n");
    for (KBufId i = 0; i < k->buf.n; i++) {
        const KBuf *b = &k->buf.p[i];
        int shares = b->shares == K_NONE ? -1 : (int)root_of(k, i);
        text_add(x->t, "    {%s, %u, %d, %u, %u, %.*s},\n", kind[b->kind], b->kind == K_WORK ? 0 : b->slot, shares, bytes_of(x, b->dt),
                 memory_uses(k, i), STRF(dim_of_table(x, b->size)));
    }
    end_table(x, k->buf.n, "    {0, 0, 0, 0, 0, {0, 0}},\n");
}

static void put_members(Out *x)
{
    text_add(x->t, "static const cuda_member member_table[] = {\n");
    for (uint32_t s = 0; s < NSTRUCT; s++)
        for (uint32_t i = 0; i < x->f->member[structs[s]].n; i++) {
            const IfaceMember *m = &x->f->member[structs[s]].p[i];
            text_add(x->t, "    {%d, %d},\n", m->arg == K_NONE ? -1 : (int)m->arg, m->out == K_NONE ? -1 : (int)m->out);
        }
    end_table(x, 0, "    {-1, -1},\n");
    uint32_t first = 0;
    for (uint32_t s = 0; s < NSTRUCT; s++) {
        uint32_t n = x->f->member[structs[s]].n;
        text_add(x->t, "static const cuda_struct %s_struct = {%u, %u, %d};\n", iface_struct_name(structs[s]), first, n,
                 iface_may_be_null(x->f, structs[s]));
        first += n;
    }
    text_add(x->t, "\n");
}

static void put_param(Out *x, const NvParam *p)
{
    static const char *const kind[] = {[NV_BUFFER] = "CUDA_BUFFER", [NV_SIZE] = "CUDA_SIZE", [NV_GIVEN] = "CUDA_GIVEN",
                                       [NV_PIECE] = "CUDA_PIECE", [NV_TROUBLE] = "CUDA_TROUBLE"};
    text_add(x->t, "    {%s, %u},\n", kind[p->kind], p->index);
}

static void put_kernel(Out *x, const NvKernel *kernel)
{
    Str axis = dim_of_table(x, kernel->axis);
    text_add(x->t, "    {\"%.*s\", %d, %d, %u, %u, %.*s, %u, %u},\n", STRF(kernel->name), kernel->blocks, kernel->first != K_NONE,
             kernel->piece, kernel->nsum, STRF(axis), x->nparam, kernel->param.n);
    x->nparam += kernel->param.n;
}

static void put_kernels(Out *x)
{
    text_add(x->t, "static const cuda_param param_table[] = {\n");
    for (int fn = REC_FORWARD; fn <= REC_BACKWARD; fn++)
        for (uint32_t i = 0; i < x->p->fn[fn].kernel.n; i++)
            for (uint32_t n = 0; n < x->p->fn[fn].kernel.p[i].param.n; n++)
                put_param(x, &x->p->fn[fn].kernel.p[i].param.p[n]);
    end_table(x, 0, "    {0, 0},\n");
    text_add(x->t, "static const cuda_kernel kernel_table[] = {\n");
    for (int fn = REC_FORWARD; fn <= REC_BACKWARD; fn++)
        for (uint32_t i = 0; i < x->p->fn[fn].kernel.n; i++)
            put_kernel(x, &x->p->fn[fn].kernel.p[i]);
    end_table(x, 0, "    {\"\", 0, 0, 0, 0, {0, 0}, 0, 0},\n");
}

/* As numbers: C99 has no strings of that length. */
static void put_ptx(Out *x, Str ptx)
{
    text_add(x->t, "static const char ptx_text[] = {");
    for (uint32_t i = 0; i < ptx.n; i++)
        text_add(x->t, i % 24 ? "%d," : "\n    %d,", ptx.p[i]);
    text_add(x->t, "\n    0};\n\n");
}

/* The symbols that lengths count. */
static uint32_t put_extents(Out *x)
{
    DimSym extent[MAXRANK];
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->k->arg.n; i++)
        if (x->k->arg.p[i].role == ROLE_LENGTH)
            n = iface_extents(x->k, &x->k->arg.p[i].type, extent);
    text_add(x->t, "static const int extent_table[] = {");
    for (uint32_t i = 0; i < n; i++)
        text_add(x->t, "%u, ", extent[i]);
    text_add(x->t, "0};\n\n");
    return n;
}

static uint32_t most_params(const Out *x)
{
    uint32_t most = 0;
    for (int fn = REC_FORWARD; fn <= REC_BACKWARD; fn++)
        for (uint32_t i = 0; i < x->p->fn[fn].kernel.n; i++)
            if (x->p->fn[fn].kernel.p[i].param.n > most)
                most = x->p->fn[fn].kernel.p[i].param.n;
    return most;
}

/* "sm_86": 8, 6 */
static void put_program(Out *x, uint32_t nextent)
{
    const KernProg *k = x->k;
    uint32_t n = x->o->arch.n;
    text_add(x->t, "static const cuda_term term_table[] = {\n%.*s    {0, 0, {0}},\n};\n\n", STRF(text_str(&x->terms)));
    text_add(x->t, "static const cuda_program program = {\n    ptx_text, %.*s, %c,\n", (int)n - 4, x->o->arch.p + 3, x->o->arch.p[n - 1]);
    text_add(x->t, "    %u, %u, %u, %u, %u, %u, %u, {%u, %u}, %u,\n", dim_nsyms(k->dims), x->f->member[IF_SIZES].n, k->derived.n, k->need.n,
             k->arg.n, k->out.n, k->buf.n, x->p->fn[REC_FORWARD].kernel.n, x->p->fn[REC_BACKWARD].kernel.n, nextent);
    text_add(x->t, "    size_table, bounded_table, %u, %u, extent_table, term_table, derived_table, need_table, arg_table, out_table,\n"
                   "    member_table, buffer_table, kernel_table, param_table};\n\n", k->keep, k->batch);
    text_add(x->t, "#define RUN(R) \\\n"
                   "    int64_t sizes_of_run[%u]; \\\n"
                   "    uint64_t arg_of_run[%u] = {0}, out_of_run[%u] = {0}, buf_of_run[%u] = {0}, value_of_run[%u]; \\\n"
                   "    void *pointer_of_run[%u]; \\\n"
                   "    cuda_run R = {&program, sizes_of_run, arg_of_run, out_of_run, buf_of_run, value_of_run, pointer_of_run, 0, 0, 0, 0, 0}\n\n",
             dim_nsyms(k->dims) + 1, k->arg.n + 1, k->out.n + 1, k->buf.n + 1, most_params(x) + 1, most_params(x) + 1);
}

/* ---- public functions ---- */

typedef struct Function {
    IfaceFn fn;
    const char *doc;
} Function;

static const Function functions[] = {
    {IFN_FORWARD, "All steps of all sequences, launched on call->stream; nothing is waited for. With RNN_TRAIN the workspace then holds what\n"
                  " * backward needs."},
    {IFN_BACKWARD, "Needs the same sizes, parameters, inputs and workspace as the forward call with RNN_TRAIN before it. call->passes is not read."},
};

static void put_signature(Out *x, IfaceFn f)
{
    const IfaceFnInfo *info = iface_fn(f);
    text_add(x->t, "rnn_status %.*s_%s_cuda(const %.*s_cuda *cuda", STRF(x->prefix), info->name, STRF(x->prefix));
    for (uint32_t i = 0; i < info->n; i++)
        text_add(x->t, "%s const %.*s_%s *%s", i % 3 == 2 ? ",\n   " : ",", STRF(x->prefix), iface_struct_name(info->takes[i]), iface_struct_name(info->takes[i]));
    text_add(x->t, ", rnn_cuda_call *call)");
}

static void put_call(Out *x, IfaceFn f)
{
    const IfaceFnInfo *info = iface_fn(f);
    put_signature(x, f);
    text_add(x->t, "\n{\n    RUN(r);\n    cuda_driver d;\n    rnn_status status = cuda && call ? RNN_OK : RNN_NULL;\n");
    for (uint32_t i = 1; i < info->n; i++)
        text_add(x->t, "    status = status == RNN_OK ? cuda_members(&r, %s_struct, %s) : status;\n", iface_struct_name(info->takes[i]),
                 iface_struct_name(info->takes[i]));
    text_add(x->t, "    status = status == RNN_OK ? cuda_prepare(&r, sizes, call, %d) : status;\n"
                   "    if (status != RNN_OK)\n        return status;\n"
                   "    memcpy(&d, cuda->driver, sizeof d);\n"
                   "    return cuda_go(&r, &d, cuda->device, cuda->kernel, call, %d);\n}\n\n", f == IFN_BACKWARD, f == IFN_BACKWARD);
}

static const char open_code[] =
    "{\n    cuda_driver d;\n    rnn_status status;\n    if (!cuda)\n        return RNN_NULL;\n"
    "    memset(cuda, 0, sizeof *cuda);\n"
    "    status = cuda_load_driver(&cuda->library, &d, driver, &cuda->error);\n"
    "    status = status == RNN_OK ? cuda_check_device(&d, &program, &cuda->device, &cuda->error) : status;\n"
    "    status = status == RNN_OK ? cuda_load(&d, &program, &cuda->module, cuda->kernel, &cuda->error) : status;\n"
    "    if (status == RNN_OK)\n        memcpy(cuda->driver, &d, sizeof d);\n"
    "    else if (cuda->module)\n        d.cuModuleUnload(cuda->module);\n"
    "    if (status != RNN_OK)\n        cuda->module = NULL;\n"
    "    return status;\n}\n\n";

static const char close_code[] =
    "{\n    cuda_driver d;\n    if (!cuda)\n        return;\n    memcpy(&d, cuda->driver, sizeof d);\n"
    "    if (cuda->module)\n        d.cuModuleUnload(cuda->module);\n"
    "    if (cuda->library)\n        dlclose(cuda->library);\n"
    "    memset(cuda, 0, sizeof *cuda);\n}\n\n";

static const char workspace_code[] =
    "{\n    RUN(r);\n    int train = passes == RNN_TRAIN;\n    int64_t bytes;\n"
    "    if (cuda_measure(&r, sizes, train) != RNN_OK)\n        return SIZE_MAX;\n"
    "    bytes = cuda_layout(&r, 0, train ? 3 : 1);\n"
    "    return r.bad ? SIZE_MAX : (size_t)bytes;\n}\n\n";

static void put_functions(Out *x)
{
    text_add(x->t, "rnn_status %.*s_open_cuda(%.*s_cuda *cuda, const char *driver)\n%s", STRF(x->prefix), STRF(x->prefix), open_code);
    text_add(x->t, "void %.*s_close_cuda(%.*s_cuda *cuda)\n%s", STRF(x->prefix), STRF(x->prefix), close_code);
    text_add(x->t, "size_t %.*s_workspace_cuda(const %.*s_sizes *sizes, int passes)\n%s", STRF(x->prefix), STRF(x->prefix), workspace_code);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (iface_has_fn(x->k, functions[i].fn))
            put_call(x, functions[i].fn);
}

static Out out_new(Text *t, const NvPlan *p, const NvOptions *o)
{
    return (Out){.t = t,
                 .a = p->arena,
                 .p = p,
                 .k = p->k,
                 .o = o,
                 .f = iface_of(p->arena, p->k),
                 .prefix = iface_prefix(p->k, o->prefix),
                 .terms = {.arena = p->arena}};
}

Str nv_launcher(const NvPlan *p, const NvOptions *o, Str ptx, Str header)
{
    Text t = {.arena = p->arena};
    Out x = out_new(&t, p, o);
    text_add(&t, "/* %.*s on NVIDIA GPUs: generated by rnnc %.*s. Not to be edited; %.*s says how it is called. */\n", STRF(p->k->name),
             STRF(o->version), STRF(header));
    text_add(&t, "#include \"%.*s\"\n\n%s\n/* ---- tables ---- */\n\n", STRF(header), nv_launch_code);
    put_sizes(&x);
    put_derived(&x);
    put_arrays(&x);
    put_buffers(&x);
    put_members(&x);
    put_kernels(&x);
    put_ptx(&x, ptx);
    put_program(&x, put_extents(&x));
    put_functions(&x);
    return text_str(&t);
}

/* ---- what the header says ---- */

static const char shared_types[] =
    "#ifndef RNN_CUDA_TYPES\n#define RNN_CUDA_TYPES\n\n"
    "/* What went wrong behind RNN_CUDA. */\n"
    "typedef struct rnn_cuda_error {\n"
    "    const char *call; /* the driver's function */\n"
    "    const char *name; /* of the error: \"CUDA_ERROR_OUT_OF_MEMORY\"; or a sentence, where the driver has found none */\n"
    "    int result;       /* its number; 0: the driver has found none */\n"
    "} rnn_cuda_error;\n\n"
    "typedef struct rnn_cuda_call {\n"
    "    void *workspace;      /* on the device, at a multiple of 256 */\n"
    "    size_t bytes;         /* of the workspace: at least what ..._workspace_cuda() says */\n"
    "    int passes;           /* RNN_FORWARD, or RNN_TRAIN to keep what backward needs */\n"
    "    void *stream;         /* a CUstream, or NULL */\n"
    "    int32_t *index_error; /* on the device: set to 1 where an index is outside its axis, else left as it is; may be NULL */\n"
    "    rnn_cuda_error error; /* what RNN_CUDA means */\n"
    "} rnn_cuda_call;\n\n"
    "#endif\n\n";

static void put_context(Out *x)
{
    text_add(x->t, "/* The kernels, loaded for one device; the caller's own. Calls only read it. */\ntypedef struct %.*s_cuda {\n", STRF(x->prefix));
    text_add(x->t, "    void *library, *module, *driver[%d], *kernel[%u];\n    int device;\n    rnn_cuda_error error; /* what RNN_CUDA of "
                   "..._open_cuda means */\n} %.*s_cuda;\n\n",
             NV_DRIVER_FUNCTIONS, x->p->fn[REC_FORWARD].kernel.n + x->p->fn[REC_BACKWARD].kernel.n + 1, STRF(x->prefix));
}

Str nv_declarations(const NvPlan *p, const NvOptions *o)
{
    Text t = {.arena = p->arena};
    Out x = out_new(&t, p, o);
    text_add(&t, "%s", shared_types);
    put_context(&x);
    text_add(&t, "/* Opens the driver, by default libcuda.so.1, and loads the kernels for the device of the current context. */\n"
                 "rnn_status %.*s_open_cuda(%.*s_cuda *cuda, const char *driver);\n\n", STRF(x.prefix), STRF(x.prefix));
    text_add(&t, "/* Also behind an open that has failed. The context that was current then must be again. */\n"
                 "void %.*s_close_cuda(%.*s_cuda *cuda);\n\n", STRF(x.prefix), STRF(x.prefix));
    text_add(&t, "/* Bytes of workspace on the device. SIZE_MAX when sizes are NULL, negative, do not fit each other or overflow. */\n"
                 "size_t %.*s_workspace_cuda(const %.*s_sizes *sizes, int passes);\n\n", STRF(x.prefix), STRF(x.prefix));
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (!iface_has_fn(p->k, functions[i].fn))
            continue;
        text_add(&t, "/* %s */\n", functions[i].doc);
        put_signature(&x, functions[i].fn);
        text_add(&t, ";\n\n");
    }
    return text_str(&t);
}
