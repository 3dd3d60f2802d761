/* plain FILE.so...: calls every function with arrays in blocks from malloc, exactly as large as they are, and looks at every
 * byte of the results: for valgrind, which sees what lies beside a block and what was never set. */
#include <stdio.h>

#include "call.h"

static const int64_t small[][4] = {{4, 2, 3, 1}, {1, 1, 17, 5}, {0, 2, 2, 2}, {3, 1, 9, 8}};
enum { NSMALL = sizeof small / sizeof *small };

static void small_sizes(const Model *m, int i, Case *c)
{
    int T = model_size(m, "T");
    for (int k = 0; k < m->count[SIZES]; k++)
        c->size[k] = small[i][2 + k % 2];
    if (T >= 0)
        c->size[T] = small[i][0];
    c->size[model_size(m, "B")] = small[i][1];
}

int main(int argc, char **argv)
{
    static Run run;
    Heap heap = {{0}};
    Memory memory = heap_memory(&heap, true);
    int failed = argc < 2;
    for (int i = 1; i < argc; i++) {
        Model m;
        bool ok = model_open(&m, argv[i]);
        for (int k = 0; ok && k < NSMALL * (m.packed_workspace ? 4 : 3); k++) {
            Case c = {.given = (Given)(k % 3), .wild_ints = k % 3 == 2, .seed = (uint64_t)k + 1, .packed = k >= NSMALL * 3};
            uint64_t hash;
            small_sizes(&m, c.packed ? k % NSMALL : k / 3, &c);
            ok = run_all(&run, &m, &c, &memory, &hash);
            fprintf(stderr, "%s %d: %016llx\n", argv[i], k, (unsigned long long)hash); /* depends on every byte */
        }
        failed += !ok;
    }
    heap_free(&heap);
    return failed != 0;
}
