# Verbs, options, exit codes, help.
. "$SRC/tests/lib.sh"

check "version" "$RNNC" version
check "--version" "$RNNC" --version
check "help" "$RNNC" --help
for verb in check explain build run test tune bench fmt targets version; do
  check "help of $verb" "$RNNC" $verb --help
  check "the man page knows $verb" sh -c "\"\$RNNC\" --man | grep -q '^.B $verb'"
  check "completion knows $verb" sh -c "\"\$RNNC\" --completion | grep -q '    $verb)'"
done
check "targets name the baseline" sh -c '"$RNNC" targets | grep -q baseline'
refuses "no verb" 2 "verb is missing" "$RNNC"
refuses "unknown verb" 2 "did you mean build" "$RNNC" biuld
refuses "unknown option" 2 "did you mean --entry" "$RNNC" build x.rnn --enrty=h
refuses "wrong choice" 2 "takes f32\|f64\|bf16\|f16" "$RNNC" build x.rnn --precision=f8
refuses "missing value" 2 "needs a value" "$RNNC" build x.rnn -o
refuses "bad binding" 2 "NAME=VALUE" "$RNNC" build x.rnn -D H
refuses "binding too large" 2 "H=99999999999999999999: the number is too large" "$RNNC" build x.rnn -D H=99999999999999999999
refuses "a prefix that is no name" 2 "C identifier, not .1-a" "$RNNC" build x.rnn --prefix=1-a
refuses "no prefix" 2 "C identifier" "$RNNC" build x.rnn --prefix=
check "help says what is meant without --entry" sh -c '"$RNNC" run --help | grep -e --entry | grep -q "named as the file"'
refuses "negative binding" 2 "NAME=VALUE" "$RNNC" build x.rnn -D H=-2
refuses "two values for a dimension" 2 "-D gives K two values, 3 and 4" "$RNNC" build x.rnn -D K=3 -D K=4
refuses "two sizes" 2 "--sizes gives T two values, 3 and 4" "$RNNC" tune x.rnn --sizes T=3,T=4
check "the same value twice" "$RNNC" check "$SRC/stdlib/gru.rnn" -D H=3 -D H=3
refuses "an option of another verb" 2 "means nothing to" "$RNNC" check x.rnn --grad
refuses "no file" 2 "usage" "$RNNC" build
refuses "two files to build" 2 "usage" "$RNNC" build a.rnn b.rnn
refuses "unknown pass" 2 "did you mean rec.hoist" "$RNNC" build "$SRC/stdlib/gru.rnn" --entry=gru --stop-after=rec.hosit
refuses "unknown dimension" 1 "no such dimension" "$RNNC" build "$SRC/stdlib/gru.rnn" --entry=gru -D Hidden=4
refuses "unknown entry" 1 "did you mean gru" "$RNNC" build "$SRC/stdlib/gru.rnn" --entry=gruu
for word in grids graphs edges lengths pairs; do
  check "the man page tells of $word" sh -c '"$RNNC" --man | sed -n "/^.SH ARRAYS/,/^.SH EXIT/p" | grep -qw "$0"' $word
done
check "man page is troff without complaints" sh -c 'command -v man >/dev/null || exit 0; "$RNNC" --man > m.1 && [ -z "$(man --warnings -l m.1 2>&1 >/dev/null)" ]'
if command -v bash >/dev/null; then
  check "completion is bash" sh -c '"$RNNC" --completion > c.bash && bash -n c.bash'
fi
finish
