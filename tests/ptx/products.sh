# Products of rounded factors: which kernels multiply by warps, and that none does where float32 is meant; ptxas takes them, and keeps
# all of it in registers; what an architecture or a target lacks.
. "$SRC/tests/lib.sh"

# multiplies WORD: the kernels of k.ptx that do, by functions: "forward 2 backward 4"; each by that instruction
multiplies() {
  awk -v word="$1" '/^\.visible \.entry/ { at = /_forward_/ ? 0 : 1; done = 0 }
    /mma\.sync/ { if (index($0, word) == 0) exit 1; if (!done) n[at]++; done = 1 }
    END { print "forward " n[0] + 0 " backward " n[1] + 0 }' k.ptx
}

# holds WHAT WORD FILE OPTIONS...: what multiplies says
holds() {
  what=$1 word=$2 file=$3
  shift 3
  "$RNNC" build "$SRC/stdlib/$file.rnn" --entry="$file" --target=ptx --prefix=k "$@" -o k || return 1
  got=$(multiplies "$word")
  [ "$got" = "$what" ] || { echo "$got, not $what"; return 1; }
}

check "float32 is float32" holds "forward 0 backward 0" none lstm
check "also where it is asked for" holds "forward 0 backward 0" none lstm --products=f32
check "double" holds "forward 0 backward 0" none lstm --precision=f64
check "bf16 in memory: the inputs' product is exact" holds "forward 1 backward 0" .m16n8k16.row.col.f32.bf16.bf16.f32 lstm --precision=bf16
check "f16 in memory" holds "forward 1 backward 0" .m16n8k16.row.col.f32.f16.f16.f32 gru --precision=f16
# The kernel of the steps is there three times, with the weights in shared memory of a block, and of several.
check "bf16, all products" holds "forward 4 backward 6" .m16n8k16.row.col.f32.bf16.bf16.f32 lstm --precision=bf16 --products=bf16
check "tf32, all products" holds "forward 4 backward 6" .m16n8k8.row.col.f32.tf32.tf32.f32 lstm --products=tf32
check "lanes meet in front of each in steps" sh -c '[ "$(grep -c "bar.warp.sync" k.ptx)" = 6 ]'
check "outside of them blocks do" sh -c '[ "$(grep -c "\.reqntid 256" k.ptx)" = 4 ] && [ "$(grep -c "\"tile\": \[128, 64\]" k.json)" = 4 ]'
check "chunks" holds "forward 1 backward 1" .m16n8k16.row.col.f32.f16.f16.f32 gla --form=chunk:16 --products=f16
# A tile's four pieces, once more where lanes may read several places at once, and for what is left of the depth; 16 places leave
# nothing, and 16 columns are two pieces. What does not run along the depth is read one by one.
check "three products forward, six backward" sh -c '[ "$(grep -c mma.sync k.ptx)" = $((4 + 12 + 8 + 3 * 12 + 6 + 2 * 4)) ]'
check "several at once" sh -c 'grep -q "ld.global.v4.f32" k.ptx && "$RNNC" build "$SRC/stdlib/lstm.rnn" --entry=lstm --target=ptx --precision=bf16 -o k && grep -q "cp\.async\.cg\.shared\.global.*, 16, %r" k.ptx'
check "no wide copy of what is multiplied as it is" sh -c '"$RNNC" build "$SRC/stdlib/lstm.rnn" --entry=lstm --target=ptx --precision=bf16 --emit=kern -o a.kern &&
  grep -q "gemm m B\*T n 4\*H k D b[0-9]*\[0\] rows 4\*H cols 1 = b3\[0\] rows D cols 1 @ b0\[0\] rows 1 cols D factors bf16" a.kern &&
  "$RNNC" build "$SRC/stdlib/lstm.rnn" --entry=lstm --precision=bf16 --emit=kern -o b.kern && ! grep -q factors b.kern'
check "kern as input" sh -c '"$RNNC" build -x kern a.kern --target=ptx -o a && "$RNNC" build "$SRC/stdlib/lstm.rnn" --entry=lstm --target=ptx --precision=bf16 -o b && cmp a.ptx b.ptx'

# ---- the oldest ----
check "sm_75: f16, by half as much depth" holds "forward 4 backward 6" .m16n8k8.row.col.f32.f16.f16.f32 lstm --products=f16 --arch=sm_75
check "which needs a newer PTX" grep -q '^\.version 6\.5' k.ptx
check "sm_75: bf16 in memory, plain products" holds "forward 0 backward 0" none lstm --precision=bf16 --arch=sm_75
check "of the lowest version" grep -q '^\.version 6\.3' k.ptx
for factor in bf16 tf32; do
  refuses "sm_75: $factor" 1 "\`lstm\` cannot be built for ptx: its forward function has a matrix product of factors rounded to $factor, which sm_75 does not have, line" \
    "$RNNC" build "$SRC/stdlib/lstm.rnn" --entry=lstm --target=ptx --arch=sm_75 --products=$factor -o x
done

# ---- sm_90a: products of groups, outside of steps, of factors of 16 bits ----
check "bf16 in memory" holds "forward 0 backward 0" none lstm --precision=bf16 --arch=sm_90a
check "is a product of groups" sh -c '[ "$(grep -c "wgmma.mma_async.*m64n64k16.f32.bf16.bf16" k.ptx)" = 2 ] && grep -q "^\.target sm_90a" k.ptx && grep -q "\"arch\": \"sm_90a\"" k.json'
check "f16, all products: in steps by warps" holds "forward 3 backward 3" .m16n8k16.row.col.f32.f16.f16.f32 lstm --products=f16 --arch=sm_90a
check "else by groups" sh -c '[ "$(grep -c "wgmma.mma_async.*m64n64k16.f32.f16.f16" k.ptx)" = 8 ] && [ "$(grep -c "fence.proxy.async" k.ptx)" = 4 ]'
check "tf32, by warps" holds "forward 4 backward 6" .m16n8k8.row.col.f32.tf32.tf32.f32 lstm --products=tf32 --arch=sm_90a
check "none on sm_90" sh -c '"$RNNC" build "$SRC/stdlib/lstm.rnn" --entry=lstm --target=ptx --arch=sm_90 --products=f16 -o k && ! grep -q wgmma k.ptx'
check "no later card" sh -c '"$RNNC" targets | grep -q "^ptx  sm_90a .*of this architecture, and no later one"'

# ---- elsewhere ----
refuses "a CPU" 2 '\-\-products=bf16 means nothing with --target=cpu, whose factors are never rounded' "$RNNC" build "$SRC/stdlib/lstm.rnn" --entry=lstm --products=bf16 -o x
refuses "a CPU's test" 2 '\-\-products=tf32 means nothing with --target=cpu' "$RNNC" test "$SRC/stdlib/lstm.rnn" --products=tf32
refuses "a CPU's kern" 1 'a.kern: products of rounded factors are of --target=ptx and cuda' "$RNNC" build -x kern a.kern -o x
refuses "double precision of a kern" 1 'a.kern: products of rounded factors are not of --precision=f64' "$RNNC" build -x kern a.kern --target=ptx --precision=f64 -o x
refuses "Newton's form" 1 '`lstm`: --products=tf32 is not for the form newton' "$RNNC" build "$SRC/stdlib/lstm.rnn" --entry=lstm --target=ptx --form=newton:16 --products=tf32 -o x
refuses "double" 2 '\-\-products=f16 means nothing with --precision=f64' "$RNNC" build "$SRC/stdlib/lstm.rnn" --entry=lstm --target=ptx --products=f16 --precision=f64 -o x
check "a CPU's float32" "$RNNC" build "$SRC/stdlib/lstm.rnn" --entry=lstm --products=f32 -o x

# ---- ptxas ----
command -v ptxas >/dev/null || { echo "skipped: ptxas is not installed"; finish; }

# assembles ARCH FILE OPTIONS...: and nothing is kept outside of registers
assembles() {
  arch=$1 file=$2
  shift 2
  "$RNNC" build "$SRC/stdlib/$file.rnn" --entry="$file" --target=ptx --arch=sm_"$arch" "$@" -o k && grep -qE "mma.sync|wgmma.mma_async" k.ptx || return 1
  ptxas -arch=sm_"$arch" -v k.ptx -o k.cubin >ptxas.out 2>&1 || { cat ptxas.out; return 1; }
  [ "$(grep -c '\.entry' k.ptx)" = "$(grep -c ' 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads' ptxas.out)" ] || { cat ptxas.out; return 1; }
}

check "sm_75, f16" assembles 75 lstm --products=f16
check "sm_80, bf16 from bf16" assembles 80 lstm --precision=bf16 --products=bf16
check "sm_86, tf32 in chunks" assembles 86 gla --form=chunk:16 --products=tf32
check "sm_80, bf16 in chunks with many products" assembles 80 deltanet --form=chunk:16 --products=bf16
check "sm_87, f16 from f32" assembles 87 gru --products=f16
check "sm_89, bf16 from f16" assembles 89 gru --precision=f16 --products=bf16
check "sm_90a, bf16" assembles 90a lstm --precision=bf16
check "sm_90a, f16 from f32" assembles 90a lstm --products=f16
check "sm_90a, bf16 from f16" assembles 90a gru --precision=f16 --products=bf16
check "for no other" sh -c '! ptxas -arch=sm_90 k.ptx -o k.cubin 2>/dev/null'
check "sm_90, tf32 from bf16" assembles 90 lstm --precision=bf16 --products=tf32
finish
