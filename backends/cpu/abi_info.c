/* PREFIX_info: a constant that says what the object holds. Its C side stands in header.c. */
#include "backends/cpu/abi.h"

static LLVMValueRef text(Abi *a, Str s)
{
    return abi_string(a, s);
}

/* struct rnn_array { name, group, type, shape: text; int optional; } */
static LLVMTypeRef array_type(Abi *a)
{
    LLVMTypeRef field[] = {a->ptr, a->ptr, a->ptr, a->ptr, a->i32};
    return LLVMStructTypeInContext(a->cx, field, 5, false);
}

static LLVMValueRef array_row(Abi *a, IfaceStruct s, const IfaceMember *m)
{
    Str shape = iface_member_shape(a->arena, a->k, m);
    const char *type = s == IF_SIZES ? "int64_t" : iface_member_type(a->k, m, a->m->options.precision == PREC_F64);
    LLVMValueRef field[] = {text(a, m->name), text(a, str_of(iface_struct_name(s))), text(a, str_of(type)),
                            text(a, shape), abi_i32(a, m->optional)};
    return LLVMConstStructInContext(a->cx, field, 5, false);
}

static LLVMValueRef rows(Abi *a, uint32_t *n)
{
    VEC(LLVMValueRef) row = {0};
    for (int s = 0; s < IF_NSTRUCT; s++)
        for (uint32_t i = 0; i < a->iface->member[s].n; i++)
            vec_push(a->arena, &row, array_row(a, (IfaceStruct)s, &a->iface->member[s].p[i]));
    *n = row.n;
    return abi_table(a, "arrays", array_type(a), row.p, row.n);
}

static Str level_names(Abi *a)
{
    Text t = {.arena = a->arena};
    for (int l = 0; l < CPU_NLEVEL; l++)
        if (a->m->options.level[l])
            text_add(&t, "%s%s", t.n ? " " : "", cpu_level_info((CpuLevel)l)->text);
    return text_str(&t);
}

/* struct rnn_info { int abi, narrays; name, version, precision, levels: text; const rnn_array *arrays; } */
void abi_emit_info(Abi *a)
{
    uint32_t n = 0;
    LLVMValueRef table = rows(a, &n);
    LLVMValueRef field[] = {abi_i32(a, RNN_ABI_NUMBER),
                            abi_i32(a, (int32_t)n),
                            text(a, a->k->name),
                            text(a, a->m->options.version),
                            text(a, iface_precision(a->k, a->m->options.precision == PREC_F64)),
                            text(a, level_names(a)),
                            table};
    LLVMValueRef value = LLVMConstStructInContext(a->cx, field, 7, false);
    LLVMValueRef info = abi_table(a, "info", LLVMTypeOf(value), &value, 1);
    abi_fn(a, str_c(a->arena, iface_public(a->arena, a->prefix, IFN_INFO)), a->ptr, 0, NULL, true);
    LLVMBuildRet(a->b, info);
}
