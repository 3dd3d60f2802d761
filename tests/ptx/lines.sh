# -g: instructions have their line of the .rnn file, and are the same ones.
. "$SRC/tests/lib.sh"
cat >decay.rnn <<'END'
# a decaying sum
cell decay[H] over t (x: real[H],
                      a: real[H]) -> y {
  state s: real[H]
  let kept =
    sigmoid(a) * s[t-1]
  s = kept +
    x
  let y = tanh(s)
}
END
# lines FILE PATTERN: those of the kernels that match
lines() {
  awk -v kernel="$2" '/^\.visible \.entry/ { on = $3 ~ kernel } on && /^\t\.loc/ && $3 > 0 { print $2 ":" $3 }' "$1" | sort -u -t: -k1,1n -k2,2n | tr '\n' ' '
}
build() { "$RNNC" build "$@" --target=ptx -o k; }
check "with lines" build decay.rnn -g
check "the file" sh -c '[ "$(grep "^	\.file" k.ptx)" = "	.file	1 \"decay.rnn\"" ]'
expect() { got=$(lines k.ptx "$1"); [ "$got" = "$2" ] || { echo "lines $got, not $2"; return 1; }; }
check "forward: the cell, what it computes" expect forward "1:2 1:6 1:7 1:9 "
check "backward: the state's start, too" expect backward "1:2 1:4 1:6 1:7 1:9 "
# same ENTRY-AND-OPTIONS...: but for its lines, the text is that without
same() {
  build "$@" -g && grep -q '^	\.loc	1 [1-9]' k.ptx && sed -E '/^	\.(loc|file|section)	/d; /^\$L__(tmp|func)/d; s/ *\/\/.*//' k.ptx >with || return 1
  build "$@" && ! grep -q '\.loc' k.ptx && sed -E 's/ *\/\/.*//' k.ptx | diff - with
}
check "the same code" same decay.rnn
check "with functions" same "$SRC/tests/ptx/functions.rnn" --precision=f64
check "with tiles" same "$SRC/stdlib/lstm.rnn" --entry=lstm --precision=bf16 --products=bf16
check "chunks" same "$SRC/stdlib/gla.rnn" --form=chunk:4
check "Newton's method" same "$SRC/stdlib/pararnn.rnn" --entry=para_gru --form=newton:4
check "several files" sh -c '"$RNNC" build "$SRC/stdlib/classifier.rnn" --target=ptx -g -o k && [ "$(grep -cE "^	\.file	[12] \".*/(lstm|classifier)\.rnn\"" k.ptx)" = 2 ]'
check "each place is one of its file" sh -c '"$RNNC" build "$SRC/stdlib/classifier.rnn" --target=ptx -g -o k && for n in 1 2; do
  file=$(sed -n "s/^	\.file	$n \"\(.*\)\"/\1/p" k.ptx); [ "$(grep -cE "^	\.loc	$n [1-9]" k.ptx)" -gt 0 ] &&
  awk -v n=$n -v most="$(wc -l <"$file")" "/^	\.loc/ && \$2 == n && \$3 > most { exit 1 }" k.ptx || exit 1; done'
refuses "a CPU" 2 '\-g means nothing with --target=cpu' "$RNNC" build decay.rnn -g -o x
check "kern" "$RNNC" build decay.rnn --target=ptx --emit=kern -o d.kern
refuses "kern has no lines" 2 '\-g: what is read with -x kern has no lines' "$RNNC" build -x kern d.kern --target=ptx -g -o x
command -v ptxas >/dev/null || { echo "skipped: ptxas is not installed"; finish; }
for arch in 75 80 86 89 90; do
  check "ptxas makes a table of them, sm_$arch" sh -c '"$RNNC" build decay.rnn --target=ptx --arch=sm_$1 -g -o k && ptxas -lineinfo -arch=sm_$1 k.ptx -o k.cubin && grep -q "\.debug_line" k.cubin && grep -q "decay\.rnn" k.cubin' sh $arch
done
finish
