# Every number of 16 bits, and floats between them, through a kernel's loads and stores: the bits of the CPU's code. The launcher
# compiles beside a header with such arrays. The driver is the tests' own, which runs the PTX.
. "$SRC/tests/lib.sh"
cat >numbers.c <<'END'
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 0x10000 };

static float of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* numbers F16|BF16 NAME.safetensors: x has every pattern; s0 floats of any bits, ties of either format and their neighbours. */
int main(int argc, char **argv)
{
    char head[512];
    static uint16_t x[N];
    static float s0[N];
    FILE *f = argc == 3 ? fopen(argv[2], "wb") : NULL;
    uint64_t n, random = 1;
    for (uint32_t i = 0; i < N; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t bits = (uint32_t)(random >> 32), keep = i % 2 ? 16 : 13;
        uint32_t tie = ((bits >> keep << 1) | 1) << (keep - 1);
        tie = i % 2 ? tie : (tie & 0x80ffffff) | 0x38000000; /* where f16 has numbers, small ones too */
        x[i] = (uint16_t)i;
        s0[i] = i % 8 < 2 ? of_bits(bits) : of_bits(tie + (i % 8 == 7) - (i % 8 == 6));
    }
    snprintf(head, sizeof head, "{\"x\":{\"dtype\":\"%s\",\"shape\":[1,1,%d],\"data_offsets\":[0,%d]},\"s0\":{\"dtype\":\"F32\",\"shape\":[1,%d],\"data_offsets\":[%d,%d]}}",
             argv[1], N, 2 * N, N, 2 * N, 6 * N);
    n = strlen(head);
    return !f || fwrite(&n, 8, 1, f) != 1 || fwrite(head, n, 1, f) != 1 || fwrite(x, sizeof x, 1, f) != 1 || fwrite(s0, sizeof s0, 1, f) != 1 || fclose(f);
}
END
"$CC" -O1 -std=c11 -o numbers numbers.c || exit 1
cell=$SRC/tests/cells/handed_on.rnn
for type in bf16 f16; do
  ./numbers "$(echo $type | tr a-z A-Z)" $type.safetensors || exit 1
  for cpu in baseline all; do
    "$RNNC" run "$cell" --precision=$type --cpu=$cpu -i $type.safetensors -o $cpu.safetensors || exit 1
  done
  check "$type, with and without instructions for it" cmp baseline.safetensors all.safetensors
  check "$type on a GPU" env LD_LIBRARY_PATH="$BUILD/tests/driver" "$RNNC" run "$cell" --target=cuda --precision=$type -i $type.safetensors -o gpu.safetensors
  check "$type, the same bits" cmp baseline.safetensors gpu.safetensors
  "$RNNC" build "$SRC/stdlib/lstm.rnn" --entry lstm --target=cuda --precision=$type -o k_$type || exit 1
  check "$type, launcher" "$CC" -std=c99 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -c k_$type.c -o k_$type.o
done
finish
