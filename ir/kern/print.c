/* kern as text, one statement a line. The form is described in kern.md; read.c reads it back. Variables and buffers
 * keep their numbers. */
#include "ir/kern/text.h"
#include "ir/rec/text.h"

const char *const kern_kind_text[K_KIND_COUNT] = {
    [K_LOOP] = "loop",   [K_LET] = "let",     [K_CONST] = "const",   [K_SIZE] = "size",     [K_LOAD] = "load",
    [K_STORE] = "store", [K_START] = "start", [K_UPDATE] = "update", [K_RANDOM] = "random", [K_GIVEN] = "given",
    [K_CHECK] = "check", [K_GEMM] = "gemm",   [K_PACK] = "pack",   [K_FILL] = "fill",     [K_COPY] = "copy",
    [K_TASKS] = "tasks",  [K_STRIPS] = "strips", [K_LEAVE] = "leave",
};
const char *const kern_loop_text[KERN_NLOOPKIND] = {"serial", "parallel", "vector"};
const char *const kern_buf_text[KERN_NBUFKIND] = {"arg", "out", "work"};

/* ---- words ---- */

static void dim(Text *out, const KernProg *p, Dim d)
{
    dim_print(out, p->dims, d);
}

/* `b3[2*H, %1 by 4*H, %2 by 1]`: the base, then each variable with its stride */
static void element(Text *out, const KernProg *p, KBufId buf, const KIndex *at)
{
    text_add(out, "b%u[", buf);
    dim(out, p, at->base);
    for (uint32_t i = 0; i < at->n; i++) {
        text_add(out, ", %%%u by ", at->term[i].var);
        dim(out, p, at->term[i].stride);
    }
    text_add(out, "]");
}

/* `b3[0] rows H cols 1` */
static void view(Text *out, const KernProg *p, const KView *v)
{
    element(out, p, v->buf, &v->at);
    text_add(out, " rows ");
    dim(out, p, v->row_stride);
    text_add(out, " cols ");
    dim(out, p, v->col_stride);
}

static void defines(Text *out, const KernProg *p, KVar v)
{
    text_add(out, "%%%u : %s = ", v, v < p->var.n ? dtype_name(p->var.p[v].dt) : "?");
}

/* ---- statements ---- */

static void let(Text *out, const KernProg *p, const KStmt *s)
{
    defines(out, p, s->let.var);
    const FunInfo *f = fun_info(s->let.fun);
    text_add(out, "%s(", f->text);
    for (uint32_t i = 0; i < f->arity; i++)
        text_add(out, "%s%%%u", i ? ", " : "", s->let.arg[i]);
    text_add(out, ")");
}

static void gemm(Text *out, const KernProg *p, const KStmt *s)
{
    text_add(out, "gemm m ");
    dim(out, p, s->gemm.m);
    text_add(out, " n ");
    dim(out, p, s->gemm.n);
    text_add(out, " k ");
    dim(out, p, s->gemm.k);
    text_add(out, " ");
    view(out, p, &s->gemm.c);
    text_add(out, s->gemm.add ? " += " : " = ");
    view(out, p, &s->gemm.a);
    text_add(out, " @ ");
    view(out, p, &s->gemm.b);
    if (s->gemm.factor)
        text_add(out, " factors %s", factor_text(s->gemm.factor));
    if (s->gemm.least)
        text_add(out, " least %u", s->gemm.least);
    if (s->gemm.when == DIM_ZERO)
        return;
    text_add(out, " packed ");
    element(out, p, s->gemm.packed, &s->gemm.packed_at);
    text_add(out, " when ");
    dim(out, p, s->gemm.when);
}

static void pack(Text *out, const KernProg *p, const KStmt *s)
{
    text_add(out, "pack ");
    element(out, p, s->pack.buf, &s->pack.at);
    text_add(out, " = k ");
    dim(out, p, s->pack.k);
    text_add(out, " n ");
    dim(out, p, s->pack.n);
    text_add(out, " ");
    view(out, p, &s->pack.b);
    text_add(out, " when ");
    dim(out, p, s->pack.when);
}

static void loop(Text *out, const KernProg *p, const KStmt *s)
{
    text_add(out, "%s %%%u < ", kern_loop_text[s->loop.kind], s->loop.var);
    dim(out, p, s->loop.extent);
    text_add(out, s->loop.reverse ? " reverse" : "");
    if (s->loop.by == DIM_ZERO)
        return;
    text_add(out, " from %%%u by ", s->loop.from);
    dim(out, p, s->loop.by);
}

static void pieces(Text *out, const KernProg *p, const char *what, KVar first, DimSym part)
{
    Str name = part < dim_nsyms(p->dims) ? dim_sym_info(p->dims, part)->name : STR("?");
    text_add(out, "%s %%%u %.*s < ", what, first, STRF(name));
}

static void strips(Text *out, const KernProg *p, const KStmt *s)
{
    pieces(out, p, "strips", s->strips.first, s->strips.part);
    dim(out, p, s->strips.extent);
    text_add(out, " length ");
    dim(out, p, s->strips.length);
    text_add(out, s->strips.reverse ? " reverse" : "");
}

static void tasks(Text *out, const KernProg *p, const KStmt *s)
{
    pieces(out, p, "tasks", s->tasks.first, s->tasks.part);
    dim(out, p, s->tasks.extent);
    text_add(out, " grain %u work ", s->tasks.grain);
    dim(out, p, s->tasks.work);
    text_add(out, " least %u", s->tasks.least);
}

void kern_print_stmt(Text *out, const KernProg *p, const KStmt *s)
{
    switch (s->kind) {
    case K_LOOP: loop(out, p, s); break;
    case K_TASKS: tasks(out, p, s); break;
    case K_STRIPS: strips(out, p, s); break;
    case K_LET: let(out, p, s); break;
    case K_CONST:
        defines(out, p, s->constant.var);
        text_add(out, "const ");
        out_real(out, s->constant.number);
        break;
    case K_SIZE:
        defines(out, p, s->size.var);
        text_add(out, "size ");
        dim(out, p, s->size.dim);
        break;
    case K_LOAD:
        defines(out, p, s->mem.var);
        text_add(out, "load ");
        element(out, p, s->mem.buf, &s->mem.at);
        break;
    case K_STORE:
        text_add(out, "store ");
        element(out, p, s->mem.buf, &s->mem.at);
        text_add(out, " %s %%%u", s->mem.add ? "+=" : "=", s->mem.var);
        break;
    case K_START:
        defines(out, p, s->acc.var);
        text_add(out, "start %s", rec_reduce_text[s->acc.red]);
        break;
    case K_UPDATE: text_add(out, "update %%%u %s %%%u", s->acc.var, rec_reduce_text[s->acc.red], s->acc.value); break;
    case K_RANDOM:
        defines(out, p, s->random.var);
        text_add(out, "random %u %%%u", s->random.stream, s->random.counter);
        break;
    case K_GIVEN:
        defines(out, p, s->given.var);
        text_add(out, "given %u", s->given.arg);
        break;
    case K_CHECK:
        defines(out, p, s->check.var);
        text_add(out, "check %%%u < ", s->check.index);
        dim(out, p, s->check.bound);
        break;
    case K_LEAVE: text_add(out, "leave %%%u", s->leave.var); break;
    case K_GEMM: gemm(out, p, s); break;
    case K_PACK: pack(out, p, s); break;
    case K_FILL:
        text_add(out, "fill ");
        element(out, p, s->fill.buf, &s->fill.at);
        text_add(out, " count ");
        dim(out, p, s->fill.count);
        text_add(out, " = ");
        out_real(out, s->fill.number);
        break;
    case K_COPY:
        text_add(out, "copy ");
        element(out, p, s->copy.dst, &s->copy.to);
        text_add(out, " = ");
        element(out, p, s->copy.src, &s->copy.from);
        text_add(out, " count ");
        dim(out, p, s->copy.count);
        break;
    case K_KIND_COUNT: break;
    }
}

static void block(Text *out, const KernProg *p, const KBlock *b, int depth)
{
    for (uint32_t i = 0; i < b->n; i++) {
        text_add(out, "%*s", depth * 2, "");
        kern_print_stmt(out, p, b->p[i]);
        const KBlock *body = kern_body(b->p[i]);
        text_add(out, body ? " {\n" : "\n");
        if (!body)
            continue;
        block(out, p, body, depth + 1);
        text_add(out, "%*s}\n", depth * 2, "");
    }
}

/* ---- what stands around ---- */

static void dims(Text *out, const KernProg *p)
{
    for (DimSym s = 0; s < dim_nsyms(p->dims); s++)
        out_new_dim(out, p->dims, s);
    for (uint32_t i = 0; i < p->open.n; i++)
        text_add(out, "open %.*s\n", STRF(dim_sym_info(p->dims, p->open.p[i])->name));
    for (uint32_t i = 0; i < p->derived.n; i++)
        rec_print_derived(out, p->dims, &p->derived.p[i]);
    for (uint32_t i = 0; i < p->need.n; i++)
        rec_print_need(out, p->dims, p->need.p[i].dim);
}

static void arg(Text *out, const KernProg *p, const RecArg *a)
{
    text_add(out, "arg ");
    out_quoted(out, a->name);
    text_add(out, " ");
    out_type(out, p->dims, &a->type);
    text_add(out, " %s of %u", rec_role_text[a->role], a->of);
    rec_print_arg_marks(out, a);
    text_add(out, "\n");
}

static void output(Text *out, const KernProg *p, const RecOut *o)
{
    text_add(out, "out ");
    out_quoted(out, o->name);
    text_add(out, " ");
    out_type(out, p->dims, &o->type);
    text_add(out, " %s of %u", rec_out_role_text[o->role], o->of);
    rec_print_out_marks(out, o);
    text_add(out, "\n");
}

static void buffer(Text *out, const KernProg *p, KBufId id)
{
    const KBuf *b = &p->buf.p[id];
    text_add(out, "buf b%u %s", id, kern_buf_text[b->kind]);
    if (b->kind != K_WORK)
        text_add(out, " %u", b->slot);
    text_add(out, " %s ", dtype_name(b->dt));
    dim(out, p, b->size);
    text_add(out, " used %u%s", b->used_by, b->kept ? " kept" : "");
    if (b->shares != K_NONE)
        text_add(out, " shares b%u", b->shares);
    if (b->home != K_NONE)
        text_add(out, " home b%u", b->home);
    text_add(out, " ");
    out_quoted(out, b->name);
    text_add(out, "\n");
}

void kern_print(Text *out, const KernProg *p)
{
    text_add(out, "kern ");
    out_quoted(out, p->name);
    text_add(out, p->narrow ? " narrow %s\n" : "\n", narrow_text(p->narrow));
    dims(out, p);
    for (uint32_t i = 0; i < p->arg.n; i++)
        arg(out, p, &p->arg.p[i]);
    for (uint32_t i = 0; i < p->out.n; i++)
        output(out, p, &p->out.p[i]);
    for (KBufId i = 0; i < p->buf.n; i++)
        buffer(out, p, i);
    for (uint32_t f = 0; f < REC_NFN; f++)
        if (p->has_fn[f]) {
            text_add(out, "%s {\n", rec_fn_text[f]);
            block(out, p, &p->fn[f], 1);
            text_add(out, "}\n");
        }
}
