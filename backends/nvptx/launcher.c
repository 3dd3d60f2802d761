/* The generated launcher: C99 over the CUDA driver's API. The entry's tables and public functions are written here; what is the
 * same for all entries is launch_table.h and launch_code.h, which stand in front of them. */
#include "backends/nvptx/program.h"

typedef struct Out {
    Text *t;
    Arena *a;
    const NvPlan *p;
    const KernProg *k;
    const NvProgram *program;
    Iface *f;
    Str prefix;
} Out;

/* ---- tables ---- */

/* A table without rows has one, for C. */
static void end_table(Out *x, bool any, const char *empty)
{
    text_add(x->t, "%s};\n\n", any ? "" : empty);
}

static Str dim_text(Out *x, cuda_dim d)
{
    return str_fmt(x->a, "{%d, %d}", d.first, d.n);
}

static void put_ints(Out *x, const char *name, const int *row, int n)
{
    text_add(x->t, "static const int %s[] = {", name);
    for (int i = 0; i < n; i++)
        text_add(x->t, "%d, ", row[i]);
    text_add(x->t, "0};\n\n");
}

static void put_terms(Out *x)
{
    text_add(x->t, "static const cuda_term term_table[] = {\n");
    for (uint32_t i = 0; i < x->program->nterm; i++) {
        const cuda_term *t = &x->program->tables.term[i];
        text_add(x->t, "    {%lld, %d, {", (long long)t->coef, t->n);
        for (int s = 0; s < t->n; s++)
            text_add(x->t, s ? ", %d" : "%d", t->symbol[s]);
        text_add(x->t, t->n ? "}},\n" : "0}},\n");
    }
    end_table(x, x->program->nterm, "    {0, 0, {0}},\n");
}

static void put_derived(Out *x)
{
    const cuda_program *p = &x->program->tables;
    text_add(x->t, "static const cuda_derived derived_table[] = {\n");
    for (int i = 0; i < p->nderived; i++) {
        const cuda_derived *d = &p->derived[i];
        text_add(x->t, "    {%d, %d, %.*s, %.*s},\n", d->symbol, d->rounded, STRF(dim_text(x, d->num)), STRF(dim_text(x, d->den)));
    }
    end_table(x, p->nderived, "    {0, 0, {0, 0}, {0, 0}},\n");
    text_add(x->t, "static const cuda_dim need_table[] = {\n");
    for (int i = 0; i < p->nneed; i++)
        text_add(x->t, "    %.*s,\n", STRF(dim_text(x, p->need[i])));
    end_table(x, p->nneed, "    {0, 0},\n");
    text_add(x->t, "static const cuda_dim work_table[] = {\n");
    for (uint32_t i = 0; i < x->program->nwork; i++)
        text_add(x->t, "    %.*s,\n", STRF(dim_text(x, p->work[i])));
    end_table(x, x->program->nwork, "    {0, 0},\n");
}

static void put_arrays(Out *x, const char *name, const cuda_array *row, int n)
{
    text_add(x->t, "static const cuda_array %s[] = {\n", name);
    for (int i = 0; i < n; i++)
        text_add(x->t, "    {%d, %d, %d, %.*s},\n", row[i].flags, row[i].uses, row[i].bytes, STRF(dim_text(x, row[i].size)));
    end_table(x, n, "    {0, 0, 0, {0, 0}},\n");
}

static void put_buffers(Out *x)
{
    const cuda_program *p = &x->program->tables;
    text_add(x->t, "static const cuda_buffer buffer_table[] = {\n");
    for (int i = 0; i < p->nbuf; i++) {
        const cuda_buffer *b = &p->buf[i];
        text_add(x->t, "    {%d, %d, %d, %d, %d, %.*s},\n", b->kind, b->slot, b->shares, b->bytes, b->uses, STRF(dim_text(x, b->size)));
    }
    end_table(x, p->nbuf, "    {0, 0, 0, 0, 0, {0, 0}},\n");
}

static void put_members(Out *x)
{
    const cuda_member *row = x->program->tables.member;
    text_add(x->t, "static const cuda_member member_table[] = {\n");
    for (uint32_t i = 0; i < x->program->nmember; i++)
        text_add(x->t, "    {%d, %d},\n", row[i].argument, row[i].output);
    end_table(x, x->program->nmember, "    {-1, -1},\n");
}

static void put_kernels(Out *x)
{
    const cuda_program *p = &x->program->tables;
    int n = (int)nv_kernels(x->p);
    text_add(x->t, "static const cuda_param param_table[] = {\n");
    for (uint32_t i = 0; i < x->program->nparam; i++)
        text_add(x->t, "    {%d, %d},\n", p->param[i].kind, p->param[i].index);
    end_table(x, x->program->nparam, "    {0, 0},\n");
    text_add(x->t, "static const cuda_kernel kernel_table[] = {\n");
    for (int i = 0; i < n; i++) {
        const cuda_kernel *k = &p->kernel[i];
        text_add(x->t, "    {\"%s\", %d, %d, %d, %d, %d, %.*s, %.*s, %d, %d, %d, %d, %.*s, %d, %d, %d, %.*s, %.*s, {%d, %d, %.*s}, {", k->name, k->blocks, k->cuts, k->each,
                 k->tile_rows, k->tile_cols, STRF(dim_text(x, k->rows)), STRF(dim_text(x, k->cols)), k->sums, k->full, k->first_work, k->works,
                 STRF(dim_text(x, k->threads)), k->first, k->n, k->instead, STRF(dim_text(x, k->steps)), STRF(dim_text(x, k->kept)), k->team.part,
                 k->team.piece, STRF(dim_text(x, k->team.axis)));
        for (int c = 0; c < CUDA_CUTS; c++)
            text_add(x->t, c ? ", {%d, %d, %.*s}" : "{%d, %d, %.*s}", k->cut[c].part, k->cut[c].piece, STRF(dim_text(x, k->cut[c].axis)));
        text_add(x->t, "}},\n");
    }
    end_table(x, n, "    {\"\", 0, 0, 0, 0, 0, {0, 0}, {0, 0}, 0, 0, 0, 0, {0, 0}, 0, 0, 0, {0, 0}, {0, 0}, {-1, 0, {0, 0}}, {{0, 0, {0, 0}}, {0, 0, {0, 0}}, {0, 0, {0, 0}}}},\n");
}

/* As numbers: C99 has no strings of that length. Drivers want machine code at a multiple of 8. */
static void put_code(Out *x)
{
    Str code = x->program->code;
    text_add(x->t, "static const union {\n    unsigned char byte[%u];\n    uint64_t aligned;\n} code = {{", code.n + 1);
    for (uint32_t i = 0; i < code.n; i++)
        text_add(x->t, i % 24 ? "%u," : "\n    %u,", (unsigned char)code.p[i]);
    text_add(x->t, "\n    0}};\n\n");
}

static void put_program(Out *x)
{
    const cuda_program *p = &x->program->tables;
    text_add(x->t, "static const cuda_program program = {\n    code.byte, %d, %d, %d, %d,\n", p->major, p->minor, p->only, p->clusters);
    text_add(x->t, "    %d, %d, %d, %d, %d, %d, %d, {%d, %d, %d}, %d,\n", p->nsymbol, p->nsize, p->nderived, p->nneed, p->narg, p->nout, p->nbuf,
             p->nkernel[0], p->nkernel[1], p->nkernel[2], p->nextent);
    text_add(x->t, "    size_table, bounded_table, %d, %d, %d, extent_table, term_table, derived_table, need_table, work_table, arg_table, out_table,\n"
                   "    member_table, buffer_table, kernel_table, param_table};\n\n", p->keep, p->batch, p->time);
    text_add(x->t, "#define RUN(R) \\\n"
                   "    int64_t sizes_of_run[%d]; \\\n"
                   "    uint64_t arg_of_run[%d] = {0}, out_of_run[%d] = {0}, buf_of_run[%d] = {0}, value_of_run[%u]; \\\n"
                   "    void *pointer_of_run[%u]; \\\n"
                   "    cuda_run R = {&program, sizes_of_run, arg_of_run, out_of_run, buf_of_run, value_of_run, pointer_of_run, {0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}\n\n",
             p->nsymbol + 1, p->narg + 1, p->nout + 1, p->nbuf + 1, x->program->most_params + 1, x->program->most_params + 1);
}

static void put_tables(Out *x)
{
    const cuda_program *p = &x->program->tables;
    put_ints(x, "size_table", p->size, p->nsize);
    put_ints(x, "bounded_table", p->bounded, p->nsize);
    put_ints(x, "extent_table", p->extent, p->nextent);
    put_terms(x);
    put_derived(x);
    put_arrays(x, "arg_table", p->arg, p->narg);
    put_arrays(x, "out_table", p->out, p->nout);
    put_buffers(x);
    put_members(x);
    put_kernels(x);
    put_code(x);
    put_program(x);
}

/* ---- public functions ---- */

typedef struct Function {
    IfaceFn fn;
    const char *mode, *doc;
} Function;

static const Function functions[] = {
    {IFN_FORWARD, "CUDA_FORWARD", "All steps of all sequences, launched on call->stream; nothing is waited for. With RNN_TRAIN the workspace then holds what\n"
                                  " * backward needs."},
    {IFN_BACKWARD, "CUDA_BACKWARD",
     "Needs the same sizes, parameters, inputs and workspace as the forward call with RNN_TRAIN before it. call->passes is not read."},
    {IFN_CHUNK, "CUDA_CHUNK", "T steps that go on from the carry. Final states are left in the carry: initial and final states in inputs and outputs are\n"
                              " * not read. A carry begins as the final states of a forward call with T = 0. call->passes is not read."},
    {IFN_INIT, "CUDA_INIT", "Random parameters from a seed, as the `~` of each says: what the CPU's init draws, up to rounding. T and B in sizes are not read;\n"
                            " * a workspace for RNN_FORWARD will do."},
    {IFN_STEP, "CUDA_STEP", "One step that goes on from the carry, as chunk. sizes->T is not read: it counts as 1. Ask for its workspace with T = 1."},
};

static void put_signature(Out *x, IfaceFn f)
{
    const IfaceFnInfo *info = iface_fn(f);
    text_add(x->t, "rnn_status %.*s_%s_cuda(const %.*s_cuda *cuda", STRF(x->prefix), info->name, STRF(x->prefix));
    for (uint32_t i = 0; i < info->n; i++)
        text_add(x->t, "%s const %.*s_%s *%s", i % 3 == 2 ? ",\n   " : ",", STRF(x->prefix), iface_struct_name(info->takes[i]), iface_struct_name(info->takes[i]));
    text_add(x->t, "%s, rnn_cuda_call *call)", f == IFN_INIT ? ", uint64_t seed" : "");
}

/* What does not stream answers so at once. */
static void put_refusal(Out *x, const IfaceFnInfo *info)
{
    text_add(x->t, "\n{\n    (void)cuda, (void)call");
    for (uint32_t i = 0; i < info->n; i++)
        text_add(x->t, ", (void)%s", iface_struct_name(info->takes[i]));
    text_add(x->t, ";\n    return RNN_STREAM;\n}\n\n");
}

static void put_members_of(Out *x, IfaceStruct s)
{
    cuda_struct row = x->program->of[s];
    text_add(x->t, "    cuda_struct %s_members = {%d, %d, %d};\n", iface_struct_name(s), row.first, row.n, row.optional);
}

static void put_body(Out *x, const IfaceFnInfo *info, const char *mode)
{
    bool stream = info->takes[info->n - 1] == IF_CARRY;
    text_add(x->t, "\n{\n    RUN(r);\n    cuda_driver d;\n    rnn_status status = cuda && call ? RNN_OK : RNN_NULL;\n");
    for (uint32_t i = 1; i < info->n; i++)
        put_members_of(x, info->takes[i]);
    if (!stream)
        text_add(x->t, "    cuda_struct carry_members = {0, 0, 1};\n");
    if (info == iface_fn(IFN_INIT))
        text_add(x->t, "    r.seed = seed;\n");
    for (uint32_t i = 1; i < info->n; i++)
        text_add(x->t, "    status = status == RNN_OK ? cuda_members(&r, %s_members, %s) : status;\n", iface_struct_name(info->takes[i]),
                 iface_struct_name(info->takes[i]));
    text_add(x->t, "    status = status == RNN_OK ? cuda_prepare(&r, sizes, carry_members, call, %s) : status;\n"
                   "    if (status != RNN_OK)\n        return status;\n"
                   "    memcpy(&d, cuda->driver, sizeof d);\n"
                   "    r.shared = cuda->shared, r.together = cuda->together;\n"
                   "    return cuda_go(&r, &d, cuda->device, cuda->kernel, call, %s);\n}\n\n", mode, mode);
}

static bool is_stream(IfaceFn f)
{
    return f == IFN_CHUNK || f == IFN_STEP;
}

static void put_call(Out *x, const Function *f)
{
    const IfaceFnInfo *info = iface_fn(f->fn);
    Str why;
    put_signature(x, f->fn);
    if (is_stream(f->fn) && !iface_streams(x->k, &why))
        put_refusal(x, info);
    else
        put_body(x, info, f->mode);
}

static const char open_code[] =
    "{\n    cuda_driver d;\n    rnn_status status;\n    if (!cuda)\n        return RNN_NULL;\n"
    "    memset(cuda, 0, sizeof *cuda);\n"
    "    status = cuda_load_driver(&cuda->library, &d, driver, &cuda->error);\n"
    "    status = status == RNN_OK ? cuda_check_device(&d, &program, &cuda->device, &cuda->shared, &cuda->together, &cuda->error) : status;\n"
    "    status = status == RNN_OK ? cuda_load(&d, &program, cuda->shared, &cuda->module, cuda->kernel, &cuda->error) : status;\n"
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
    "    if (cuda_measure(&r, sizes, train, CUDA_FORWARD) != RNN_OK)\n        return SIZE_MAX;\n"
    "    bytes = cuda_layout(&r, 0, train ? 7 : 5);\n"
    "    return r.bad ? SIZE_MAX : (size_t)bytes;\n}\n\n";

static void put_functions(Out *x)
{
    text_add(x->t, "rnn_status %.*s_open_cuda(%.*s_cuda *cuda, const char *driver)\n%s", STRF(x->prefix), STRF(x->prefix), open_code);
    text_add(x->t, "void %.*s_close_cuda(%.*s_cuda *cuda)\n%s", STRF(x->prefix), STRF(x->prefix), close_code);
    text_add(x->t, "size_t %.*s_workspace_cuda(const %.*s_sizes *sizes, int passes)\n%s", STRF(x->prefix), STRF(x->prefix), workspace_code);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (iface_has_fn(x->k, functions[i].fn))
            put_call(x, &functions[i]);
}

static Out out_new(Text *t, const NvPlan *p, const NvOptions *o, Str code)
{
    return (Out){.t = t,
                 .a = p->arena,
                 .p = p,
                 .k = p->k,
                 .program = nv_program(p, o, code),
                 .f = iface_of(p->arena, p->k),
                 .prefix = iface_prefix(p->k, o->prefix)};
}

Str nv_launcher(const NvPlan *p, const NvOptions *o, Str code, Str header)
{
    Text t = {.arena = p->arena};
    Out x = out_new(&t, p, o, code);
    text_add(&t, "/* %.*s on NVIDIA GPUs: generated by rnnc %.*s. Not to be edited; %.*s says how it is called. */\n", STRF(p->k->name),
             STRF(o->version), STRF(header));
    text_add(&t, "#include \"%.*s\"\n\n%s\n%s\n/* ---- tables ---- */\n\n", STRF(header), nv_launch_table, nv_launch_code);
    put_tables(&x);
    put_functions(&x);
    return text_str(&t);
}

/* ---- what the header says ---- */

static void put_context(Out *x)
{
    text_add(x->t, "/* The kernels, loaded for one device; the caller's own. Calls only read it. */\ntypedef struct %.*s_cuda {\n", STRF(x->prefix));
    text_add(x->t, "    void *library, *module, *driver[%d], *kernel[%u];\n    int device, shared, together;\n    rnn_cuda_error error; /* what RNN_CUDA of "
                   "..._open_cuda means */\n} %.*s_cuda;\n\n",
             NV_DRIVER_FUNCTIONS, nv_kernels(x->p) + 1, STRF(x->prefix));
}

static void put_doc(Out *x, const Function *f)
{
    Str why;
    text_add(x->t, "/* %s", f->doc);
    if (is_stream(f->fn) && !iface_streams(x->k, &why))
        text_add(x->t, "\n * Here it always returns RNN_STREAM%s%.*s.", why.n ? ": " : "", STRF(iface_comment(x->a, why)));
    text_add(x->t, " */\n");
}

Str nv_declarations(const NvPlan *p, const NvOptions *o)
{
    Text t = {.arena = p->arena};
    Out x = out_new(&t, p, o, STR(""));
    text_add(&t, "#ifndef RNN_CUDA_TYPES\n#define RNN_CUDA_TYPES\n\n%s\n#endif\n\n", nv_launch_call);
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
        put_doc(&x, &functions[i]);
        put_signature(&x, functions[i].fn);
        text_add(&t, ";\n\n");
    }
    return text_str(&t);
}
