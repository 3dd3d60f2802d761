# tune: what it prints and writes, and what later commands make of it. Nothing here depends on how long anything takes.
. "$SRC/tests/lib.sh"
{
  grep -v '^test' "$SRC/stdlib/gla.rnn"
  cat <<'END'
cell curved[H] over t (x: real[H]) -> h {
  state h: real[H]
  h = tanh(x + h[t-1])
}
END
} > m.rnn
sizes=T=24,N=1,K=4,V=4,H=4
check "tune" sh -c '"$RNNC" tune m.rnn --cpu=baseline --sizes T=24,N=1,K=4,V=4 --sizes H=4 > table.txt 2> said.txt'
check "nothing but the table is said" sh -c '[ ! -s said.txt ]'
for form in sequential scan:16 chunk:16 chunk:32 chunk:64 newton:64; do
  check "$form is in the table" grep -qE "^  $form +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+(  taken)?$" table.txt
done
check "newton where there is another parallel form" grep -qx "  newton       no: there is another parallel form" table.txt
check "one form of each entry is taken" sh -c '[ "$(grep -c "  taken$" table.txt)" = 2 ]'
check "the best is 1" sh -c 'grep -E "  taken$" table.txt | grep -qE " 1\.0[0-3]  taken$"'
check "a form that does not exist, once, with its reason" sh -c '[ "$(grep -c "^  chunk  *no: the step is not affine.*F05.*line" table.txt)" = 1 ]'
check "one line for each entry" sh -c '[ "$(grep -vc "^#" m.rnn.tune)" = 2 ]'
check "what was taken is written" sh -c 'for e in gla curved; do
  taken=$(sed -n "/^$e:/,/taken/p" table.txt | sed -nE "s/^  ([a-z:0-9]+) .*taken$/\1/p"); grep -q "^$e $taken T=24,B=1," m.rnn.tune || exit 1; done'
check "with sizes, precision, level and machine" grep -qE "^curved sequential T=24,B=1,H=4 f32 baseline, .+$" m.rnn.tune
check "tune of one entry leaves the others" sh -c 'sed "s/^curved .*/curved sequential T=9,B=1,H=9 f64 some machine/" m.rnn.tune > t && mv t m.rnn.tune &&
  "$RNNC" tune m.rnn --entry=gla --cpu=baseline --precision=f64 --sizes T=8,N=1 -D K=2 -D V=2 > table.txt && grep -qx "curved sequential T=9,B=1,H=9 f64 some machine" m.rnn.tune &&
  grep -qE "^gla [a-z:0-9]+ T=8,B=1,N=1,K=2,V=2 f64 baseline" m.rnn.tune && [ "$(grep -vc "^#" m.rnn.tune)" = 2 ]'
check "tune of all replaces a broken file" sh -c 'echo nonsense > m.rnn.tune && "$RNNC" tune m.rnn --cpu=baseline --sizes '$sizes' > table.txt && ! grep -q nonsense m.rnn.tune'
{ cat m.rnn; echo 'schedule curved { forward sequential }'; } > s.rnn
check "a schedule that goes before it is named" sh -c '"$RNNC" tune s.rnn --entry=curved --cpu=baseline --sizes T=8,H=2 | grep -q "the schedule in line .* goes before it: sequential"'
check "no empty sizes are needed" "$RNNC" tune m.rnn --entry=curved --cpu=baseline --sizes T=0,B=0,H=0

# ---- what is read ----
# written LINE...: m.rnn.tune with those lines
written() {
  { echo "# a comment"; echo; for line; do echo "$line"; done; } > m.rnn.tune
}
# rec FLAGS...: the program that build makes of gla
rec() {
  "$RNNC" build m.rnn --entry=gla --emit=rec "$@"
}
rec --form=chunk:8 > chunk.rec
rec --form=sequential > sequential.rec
written "gla chunk:8 T=1,B=1 f32 here"
rec > said.rec
check "build takes what was measured" cmp said.rec chunk.rec
rec --form=sequential > said.rec
check "--form goes before it" cmp said.rec sequential.rec
{ cat m.rnn; echo 'schedule gla { forward sequential }'; } > s.rnn
cp m.rnn.tune s.rnn.tune
"$RNNC" build s.rnn --entry=gla --emit=rec > said.rec
check "a schedule goes before it" cmp said.rec sequential.rec
"$RNNC" build - --entry=gla --emit=rec < m.rnn > said.rec
rm m.rnn.tune
rec > nobody.rec
check "standard input has no file beside it" cmp said.rec nobody.rec
written "gla chunk:8 T=1,B=1 f32 here"
check "explain names it" sh -c '"$RNNC" explain m.rnn --entry=gla | grep -q "taken: chunk:8, from m.rnn.tune, line 3$"'
check "the tests take it" sh -c '"$RNNC" test m.rnn --entry=gla --precision=f64 --cpu=baseline | grep -q "gla: step and chunks equal forward$"'
"$RNNC" run m.rnn --entry=gla -i "$SRC/stdlib/gla.npz" -o a.npz > /dev/null 2>&1
"$RNNC" run m.rnn --entry=gla --form=chunk:8 -i "$SRC/stdlib/gla.npz" -o b.npz > /dev/null 2>&1
"$RNNC" run m.rnn --entry=gla --form=sequential -i "$SRC/stdlib/gla.npz" -o c.npz > /dev/null 2>&1
check "run takes it" sh -c 'cmp a.npz b.npz && ! cmp -s a.npz c.npz'
check "build depends on it" sh -c '"$RNNC" build m.rnn --entry=gla -o m.o -MD && grep -q "^m.o:.* m.rnn.tune" m.d && grep -q "^m.rnn.tune:" m.d'
check "but not where it is not read" sh -c '"$RNNC" build m.rnn --entry=gla -o m.o -MD --form=chunk:8 && ! grep -q tune m.d'

# ---- what is broken or stale ----
# broken WHAT PLACE SAYS LINE...: build refuses that tune file
broken() {
  what=$1 place=$2 says=$3
  shift 3
  written "$@"
  refuses "$what" 1 "m.rnn.tune:$place: error: .*$says.*E0223" "$RNNC" build m.rnn --entry=gla -o no.o
}
broken "an entry that is not there" 3:1 "m.rnn has no cell or model .glaa." "glaa chunk:8 T=1 f32 here"
broken "a form that does not exist" 3:5 "a form is sequential, chunk:N" "gla chnk:8 T=1 f32 here"
broken "a form without its size" 3:5 "a form is sequential, chunk:N" "gla chunk T=1 f32 here"
broken "no form" 3:4 "a form is" "gla"
broken "no sizes" 3:12 "sizes are expected here" "gla chunk:8"
broken "sizes that are none" 3:13 "sizes are expected here" "gla chunk:8 T=1,B= f32 here"
broken "no precision" 3:16 "f32, f64, bf16 or f16" "gla chunk:8 T=1"
broken "another precision" 3:17 "f32, f64, bf16 or f16" "gla chunk:8 T=1 f8 here"
broken "no machine" 3:20 "machine is expected" "gla chunk:8 T=1 f32"
broken "two lines of one entry" 4:1 "has a second line" "gla chunk:8 T=1 f32 here" "gla chunk:8 T=1 f32 here"
broken "another entry's line" 4:8 "a form is" "gla chunk:8 T=1 f32 here" "curved chnk T=1 f32 here"
for verb in check explain test; do
  refuses "$verb of another entry's broken line" 1 "m.rnn.tune:4:8: error: a form is.*E0223" "$RNNC" $verb m.rnn --entry=gla
done
check "nothing is written then" sh -c '[ ! -e no.o ]'
written "gla chunk:8 T=1 f32 here" "curved chunk:8 T=1 f32 here"
for verb in check explain build test; do
  refuses "$verb: a form that the entry does not have any more" 1 "m.rnn.tune:4:8: error: .curved. has no form chunk:8: .*E0223" \
    "$RNNC" $verb m.rnn --entry=curved
done
check "which another entry does not mind" sh -c '"$RNNC" build m.rnn --entry=gla -o m.o'
check "nor --form" sh -c '"$RNNC" build m.rnn --entry=curved --form=sequential -o m.o'
refuses "tune of one entry beside broken lines" 1 "m.rnn.tune:3:1: error" sh -c 'printf "\n\nx y\n" > m.rnn.tune; "$RNNC" tune m.rnn --entry=gla'
if [ "$(id -u)" != 0 ]; then
  written "gla chunk:8 T=1,B=1 f32 here"
  chmod 000 m.rnn.tune
  refuses "no permission to read it" 1 "m.rnn.tune.*Permission denied" "$RNNC" build m.rnn --entry=gla
  chmod 644 m.rnn.tune
fi
rm -f m.rnn.tune
mkdir m.rnn.tune
refuses "a folder of that name" 1 "cannot read m.rnn.tune: it is no regular file" "$RNNC" build m.rnn --entry=gla
rmdir m.rnn.tune

# ---- what cannot be measured or written ----
refuses "standard input" 2 "standard input" "$RNNC" tune -
refuses "a size that nothing has" 1 "sizes Q: no such size is open" "$RNNC" tune m.rnn --sizes T=8,Q=2
refuses "a size that -D binds" 1 "sizes H: no such size is open" "$RNNC" tune m.rnn --entry=curved -D H=2 --sizes H=2
refuses "sizes that are none" 2 "sizes takes NAME=VALUE with a whole number from 0, not .H." "$RNNC" tune m.rnn --sizes T=8,H
refuses "a size that is too large" 2 "sizes T=99999999999999999999: the number is too large" "$RNNC" tune m.rnn --sizes T=99999999999999999999
refuses "arrays that are too large" 1 "curved: .*would be too large" "$RNNC" tune m.rnn --entry=curved --cpu=baseline --sizes T=1000000,B=1000000,H=1000
refuses "an entry that is not there" 1 "m.rnn has no cell or model nobody" "$RNNC" tune m.rnn --entry=nobody
refuses "an option of other verbs" 2 "means nothing to" "$RNNC" tune m.rnn --form=scan
refuses "a file with errors" 1 "bad.rnn:1:1: error" sh -c 'echo "nonsense" > bad.rnn; "$RNNC" tune bad.rnn'
check "nothing is written then" sh -c '[ ! -e m.rnn.tune ] && [ ! -e bad.rnn.tune ]'
sed -n '/^cell curved/,$p' m.rnn > c.rnn
if [ -e /dev/full ]; then
  ln -s /dev/full c.rnn.tune
  refuses "a full disk" 1 "cannot write c.rnn.tune: No space left" "$RNNC" tune c.rnn --cpu=baseline --sizes T=8,H=2
  rm c.rnn.tune
fi
if [ "$(id -u)" != 0 ]; then
  mkdir closed && cp c.rnn closed && chmod 555 closed
  refuses "no permission in a folder" 1 "cannot write closed/c.rnn.tune: Permission denied" "$RNNC" tune closed/c.rnn --cpu=baseline --sizes T=8,H=2
  check "nothing is left there" sh -c '[ "$(ls closed)" = c.rnn ]'
  chmod 755 closed
fi
finish
