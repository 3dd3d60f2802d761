/* Contestant: what rnnc built of one cell in one form. */
#define CARRIES
#include "linear.h"
#include "built.h"

int main(int argc, char **argv)
{
    Task t = task_read(argc, argv, once);
    int64_t P = t.P, Q = t.Q;
    (void)Q;
    sizes = (NAME(sizes)){.T = t.T, .B = 1, GLUE(SIZES_, CELL)};
    give_arrays(&t);
    if (t.stepping)
        give_carry(&t), sizes.T = 1;
    give_workspace(&t);
    task_serve(&t, NAME(info)()->version);
    return 0;
}
