# The shape of the kernels: how many there are, and what the one that runs over time loads and stores in each step. Nothing
# is kept in a thread's own memory, and no function is called.
. "$SRC/tests/lib.sh"

# holds FILE COUNT PATTERN: as many lines of the file
holds() {
  got=$(grep -cE -e "$3" "$1")
  [ "$got" = "$2" ] || { echo "$got lines with $3, not $2"; return 1; }
}

# the n-th kernel of the forward function of k.ptx
kernel() {
  sed -n "/^\.visible \.entry k_forward_$1(/,/^}/p" k.ptx >"$1.ptx"
}

build() {
  "$RNNC" build "$SRC/tests/ptx/diagonal.rnn" --target=ptx --prefix=k --form="$1" -o k
}

check "sequential" build sequential
check "no memory of threads" holds k.ptx 0 '\.local|\.shared'
check "no calls" holds k.ptx 0 'call'
check "seven kernels forward, three backward" sh -c '[ "$(grep -c "entry k_forward" k.ptx)" = 7 ] && [ "$(grep -c "entry k_backward" k.ptx)" = 3 ]'
kernel 5
check "the step: a, b, the old state" holds 5.ptx 3 'ld\.global(\.nc)?\.f32'
check "a and b through the cache for what is only read" holds 5.ptx 2 'ld\.global\.nc\.f32'
check "a sequence's length, its reset" holds 5.ptx 2 'ld\.global\.nc\.(u32|u8|s8)'
check "the step: h and the new state" holds 5.ptx 2 'st\.global'
check "a product and a sum, rounded apart" sh -c 'grep -q "mul.rn.f32" 5.ptx && grep -q "add.rn.f32" 5.ptx && ! grep -q "fma" 5.ptx'

check "scan" build scan:8
check "fourteen kernels forward, eleven backward" sh -c '[ "$(grep -c "entry k_forward" k.ptx)" = 14 ] && [ "$(grep -c "entry k_backward" k.ptx)" = 11 ]'
kernel 7
check "eight pieces side by side" sh -c 'grep "k_forward_7" k.json | grep -q "\"threads\": \"8\*B\*H\", \"partial_results\": 1,"'
check "a and b of a piece, at first and when its state is known; the state in front of all" holds 7.ptx 5 'ld\.global\.nc\.f32'
check "what is told: a sum, a state" holds 7.ptx 2 'st\.release\.gpu'
check "what is asked" holds 7.ptx 1 'ld\.acquire\.gpu'
check "a ticket for a block" holds 7.ptx 1 'atom\.global\.add'
check "the state goes back the same way" sh -c '[ "$(grep -c "ld.acquire.gpu" k.ptx)" = 2 ]'
check "no looking back without pieces" sh -c '"$RNNC" build "$SRC/tests/ptx/diagonal.rnn" --target=ptx --form=sequential -o s && ! grep -q acquire s.ptx'
check "the manifest has the number of chunks" sh -c 'grep -q "\"quotient_of\": \"T\", \"by\": \"8\", \"floor\": true" k.json'

check "single precision: exponentials without double arithmetic" sh -c '
  "$RNNC" build "$SRC/tests/ptx/gates.rnn" --target=ptx -o g && sed "/entry gates_init/,/^}/d" g.ptx >calls.ptx && ! grep -q "\.f64" calls.ptx && grep -q "fma.rn.f32" calls.ptx && grep -q "sqrt.rn.f32" g.ptx'
check "no fast approximations" sh -c '"$RNNC" build "$SRC/tests/ptx/functions.rnn" --target=ptx -o g && ! grep -qE "approx|ftz" g.ptx && grep -q "div.rn.f32" g.ptx'
check "the lowest version: sm_75" sh -c '"$RNNC" build "$SRC/tests/ptx/gates.rnn" --target=ptx --arch=sm_75 -o g && grep -q "^\.version 6\.3" g.ptx'
check "the lowest version: sm_80" sh -c '"$RNNC" build "$SRC/tests/ptx/gates.rnn" --target=ptx --arch=sm_80 -o g && grep -q "^\.version 7\.0" g.ptx'
check "the same bytes again" sh -c '"$RNNC" build "$SRC/tests/ptx/gates.rnn" --target=ptx -o a && "$RNNC" build "$SRC/tests/ptx/gates.rnn" --target=ptx -o b &&
  cmp a.ptx b.ptx && cmp a.json b.json'
# Barriers are neither dropped nor multiplied; what other threads of a block write is not read through the cache for what nobody writes.
loop() {
  "$RNNC" build "$SRC/stdlib/gru.rnn" --target=ptx --prefix=k -o k && sed -n "/^\.visible \.entry k_$1(/,/^}/p" k.ptx >part.ptx
}
check "GRU, the loop over time" loop forward_6
check "two barriers a step" holds part.ptx 2 'bar\.sync'
check "the product, and the state of three lines" holds part.ptx 5 'ld\.global\.f32'
check "GRU, weights that stay" loop forward_6_kept
check "loads from memory: all weights and biases, once, and the state of a step" holds part.ptx 13 'ld\.global(\.nc)?\.f32'
check "of what is kept" holds part.ptx 5 'ld\.shared\.f32'
check "GRU backward, the loop over time" loop backward_1
check "one barrier a step" holds part.ptx 1 'bar\.sync'
check "16 bits stay 16 bits" sh -c '"$RNNC" build "$SRC/stdlib/gru.rnn" --target=ptx --precision=bf16 --products=bf16 --prefix=k -o k && sed -n "/^\.visible \.entry k_forward_[0-9]*_kept(/,/^}/p" k.ptx >part.ptx &&
  grep -q "st\.shared\.[bu]16" part.ptx && grep -q "ld\.shared\.[bu]16" part.ptx && ! grep -q "shared\.f32" part.ptx && grep -q "\"type\": \"rnn_bf16\", \"elements\": \"3\*H\*H + 24\*H\"" k.json'
check "sums over threads: through shared memory" sh -c '"$RNNC" build "$SRC/stdlib/rwkv7.rnn" --target=ptx -o e && grep -q "st\.shared" e.ptx &&
  grep -q "ld\.shared" e.ptx && grep -q "\"partial_results\": 1" e.json && ! grep -q "\.local" e.ptx'
check "a dense layer" sh -c '"$RNNC" build "$SRC/stdlib/linear.rnn" --entry=dense --target=ptx --prefix=k -o k'
# Sixteen elements of a thread: four places of depth at a time, and one for what is left.
check "its three products add without rounding between" holds k.ptx $((3 * 16 * (4 + 1))) 'fma\.rn\.f32'
check "panels of both factors, in three kernels of whole blocks" sh -c '[ "$(grep -c "^.\.shared \.align 128" k.ptx)" = 6 ] && [ "$(grep -c "\.reqntid 256" k.ptx)" = 3 ] &&
  [ "$(grep -c "\"block\": 256, \"tile\": \[64, 64\]" k.json)" = 3 ]'
finish
