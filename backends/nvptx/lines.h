/* Inside of backends/nvptx: which line of which file code comes from. */
#ifndef BACKENDS_NVPTX_LINES_H
#define BACKENDS_NVPTX_LINES_H

#include <llvm-c/Core.h>

#include "lang/source.h"

typedef struct NvLines NvLines;
/* sources has a file, at least */
NvLines *nv_lines_open(Arena *a, LLVMContextRef context, LLVMModuleRef module, const Sources *sources);
void nv_lines_kernel(NvLines *l, LLVMValueRef fn, Str name, Span at); /* what follows is of that one */
LLVMMetadataRef nv_line(void *lines, Span at);                        /* in the current kernel; NULL: it has no place */
void nv_lines_close(NvLines *l);

#endif
