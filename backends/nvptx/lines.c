/* Lines of the .rnn file in the text of kernels, as .file and .loc: what ptxas -lineinfo makes tables of, for profilers. They are no debug
 * information: nothing but instructions has a place, and the code is the same without. */
#include "backends/nvptx/lines.h"

#include <llvm-c/DebugInfo.h>

/* Of DICompileUnit::DebugEmissionKind; the C interface has no name for it. */
#define DIRECTIVES_ONLY ((LLVMDWARFEmissionKind)3)

struct NvLines {
    Arena *arena;
    LLVMContextRef context;
    LLVMDIBuilderRef b;
    const Sources *sources;
    LLVMMetadataRef *file;  /* by file of sources; NULL: not made yet */
    LLVMMetadataRef *scope; /* likewise: the current kernel, as far as it stands in that file */
    LLVMMetadataRef kernel, type;
    uint32_t home;          /* the file that the current kernel begins in */
};

static LLVMMetadataRef file_of(NvLines *l, uint32_t file)
{
    if (!l->file[file]) {
        Str path = l->sources->file.p[file].path;
        l->file[file] = LLVMDIBuilderCreateFile(l->b, path.p, path.n, "", 0);
    }
    return l->file[file];
}

NvLines *nv_lines_open(Arena *a, LLVMContextRef context, LLVMModuleRef module, const Sources *sources)
{
    static const char flag[] = "Debug Info Version", who[] = "rnnc";
    NvLines *l = NEW(a, NvLines);
    LLVMValueRef version = LLVMConstInt(LLVMInt32TypeInContext(context), LLVMDebugMetadataVersion(), false);
    *l = (NvLines){.arena = a, .context = context, .b = LLVMCreateDIBuilder(module), .sources = sources};
    l->file = NEWN(a, LLVMMetadataRef, sources->file.n);
    l->scope = NEWN(a, LLVMMetadataRef, sources->file.n);
    LLVMMetadataRef home = file_of(l, 1);
    LLVMAddModuleFlag(module, LLVMModuleFlagBehaviorWarning, flag, sizeof flag - 1, LLVMValueAsMetadata(version));
    LLVMDIBuilderCreateCompileUnit(l->b, LLVMDWARFSourceLanguageC99, home, who, sizeof who - 1, true, "", 0, 0, "", 0, DIRECTIVES_ONLY, 0, false,
                                   false, "", 0, "", 0);
    l->type = LLVMDIBuilderCreateSubroutineType(l->b, home, NULL, 0, LLVMDIFlagZero);
    return l;
}

void nv_lines_kernel(NvLines *l, LLVMValueRef fn, Str name, Span at)
{
    l->home = at.file ? at.file : 1;
    unsigned line = at.file ? source_place(l->sources, at).line : 0;
    LLVMMetadataRef file = file_of(l, l->home);
    memset(l->scope, 0, l->sources->file.n * sizeof *l->scope);
    l->kernel = LLVMDIBuilderCreateFunction(l->b, file, name.p, name.n, name.p, name.n, file, line, l->type, false, true, line, LLVMDIFlagZero, true);
    l->scope[l->home] = l->kernel;
    LLVMSetSubprogram(fn, l->kernel);
}

LLVMMetadataRef nv_line(void *lines, Span at)
{
    NvLines *l = lines;
    if (!at.file)
        return NULL;
    LineCol place = source_place(l->sources, at);
    if (!l->scope[at.file])
        l->scope[at.file] = LLVMDIBuilderCreateLexicalBlockFile(l->b, l->kernel, file_of(l, at.file), 0);
    return LLVMDIBuilderCreateDebugLocation(l->context, place.line, place.col, l->scope[at.file], NULL);
}

void nv_lines_close(NvLines *l)
{
    LLVMDIBuilderFinalize(l->b);
    LLVMDisposeDIBuilder(l->b);
}
