# What runs PTX in these tests is itself tested.
. "$SRC/tests/lib.sh"
check "it compiles" "$CC" -std=gnu99 -Wall -Wextra -Wconversion -Werror -O1 -ffp-contract=off -I"$SRC/tests/ptx" "$SRC/tests/ptx/faults.c" "$SRC/tests/ptx/interpret.c" "$SRC/tests/ptx/weak.c" -o faults -lm
check "instructions and faults" ./faults
finish
