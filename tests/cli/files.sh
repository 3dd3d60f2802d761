# Files that cannot be read or written: a message, exit code 1, nothing half written.
. "$SRC/tests/lib.sh"
gru=$SRC/stdlib/gru.rnn

refuses "missing source" 1 "missing.rnn.*E0221" "$RNNC" check missing.rnn
check "no excerpt of what cannot be read" sh -c '! "$RNNC" check missing.rnn 2> e.txt && [ "$(wc -l < e.txt)" = 1 ]'
refuses "missing import" 1 "nowhere.rnn" sh -c 'printf "import \"nowhere.rnn\"\n" > a.rnn; "$RNNC" check a.rnn'
refuses "a folder as source" 1 "folder.rnn" sh -c 'mkdir -p folder.rnn; "$RNNC" check folder.rnn'
printf 'cell c[H] over t (x: real[H]) -> h { state h: real[H]\n h = \377 }\n' > bad.rnn
refuses "text that is not UTF-8" 1 "E0101" "$RNNC" check bad.rnn
check "standard input" sh -c '"$RNNC" check - < "$SRC/stdlib/lstm.rnn"'
check "errors as JSON" sh -c '! "$RNNC" check bad.rnn --diagnostics=json > e.json && grep -q E0101 e.json'

refuses "no such folder to write to" 1 "No such file" "$RNNC" build "$gru" --entry=gru -o no/where.o
[ ! -e /dev/full ] || refuses "a full disk" 1 "No space left" "$RNNC" build "$gru" --entry=gru --emit=rec -o /dev/full
[ ! -e /dev/full ] || refuses "a full disk behind standard output" 1 "(No space left|cannot write)" sh -c '"$RNNC" build "$SRC/stdlib/gru.rnn" --entry=gru --emit=rec > /dev/full'
if [ "$(id -u)" != 0 ]; then
  mkdir closed && chmod 555 closed
  refuses "no permission in a folder" 1 "Permission denied" "$RNNC" build "$gru" --entry=gru -o closed/gru.o
  : > locked.o && chmod 444 locked.o
  refuses "no permission for a file" 1 "Permission denied" "$RNNC" build "$gru" --entry=gru -o locked.o
fi

check "build writes object, header and manifest" sh -c '"$RNNC" build "$SRC/stdlib/gru.rnn" --entry=gru -o gru && [ -s gru.o ] && [ -s gru.h ] && [ -s gru.json ]'
check "a file alone means build" sh -c '"$RNNC" "$SRC/stdlib/gru.rnn" -o again.o && cmp gru.o again.o'
check "the same bytes again" sh -c 'cp gru.o first.o; "$RNNC" build "$SRC/stdlib/gru.rnn" --entry=gru -o gru.o && cmp gru.o first.o'

# All files of a build, or none: whatever fails, an earlier build stays as it was.
cat > part.sh <<'END'
# part.sh COMMAND...: builds another cell under the same name, which must fail and change nothing
dir=${dir:-.}
printf 'an earlier header\n' > "$dir/p.h"
printf 'an earlier manifest\n' > "$dir/p.json"
before=$(ls "$dir")
! "$@" 2> said || exit 1
cat said
[ "$(ls "$dir")" = "$before" ] && grep -q header "$dir/p.h" && grep -q manifest "$dir/p.json"
END
build='"$RNNC" build "$SRC/stdlib/gru.rnn" --entry=gru -o'
mkdir p.d full p.o
: > said
check "the object cannot be replaced: a folder" sh part.sh sh -c "$build p"
rmdir p.o
check "the dependency file has no folder" sh part.sh sh -c "$build p -MD -MF no/where.d"
check "the dependency file cannot be replaced: a folder" sh part.sh sh -c "$build p -MD"
check "two of the files have one name" sh part.sh sh -c "$build p -MD -MF p.json"
check "there is room for the header, not for the object" sh part.sh sh -c "trap '' XFSZ; ulimit -f 60; $build p"
check "what ran out is said" grep -q "cannot write p.o: File too large" said
if [ -e /dev/full ]; then
  ln -s /dev/full full/p.o
  check "a full disk behind the object" env dir=full sh part.sh sh -c "$build full/p"
  check "a full disk behind the dependency file" sh part.sh sh -c "$build p -MD -MF /dev/full"
fi
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=64k none small 2>/dev/null; then
  check "a small disk" env dir=small sh part.sh sh -c "$build small/p"
  umount small
fi
chmod 711 .
nobody="setpriv --reuid=65534 --clear-groups"
if [ "$(id -u)" = 0 ] && mkdir sticky && chmod 1777 sticky && $nobody "$RNNC" version >/dev/null 2>&1; then
  : > sticky/p.o && chmod 666 sticky/p.o && : > sticky/p.h && : > sticky/p.json && chown 65534 sticky/p.h sticky/p.json
  check "the last rename is forbidden" env dir=sticky sh part.sh $nobody sh -c "$build sticky/p"
  check "and said so" grep -q "cannot write sticky/p.o: Operation not permitted" said
fi
check "a link stays a link" sh -c 'mkdir real; : > real/q.o; ln -s real/q.o q.o; "$RNNC" build "$SRC/stdlib/gru.rnn" --entry=gru -o q && [ -L q.o ] && cmp real/q.o gru.o'
check "no temporary files are left" sh -c '! ls *.tmp */*.tmp 2>/dev/null | grep -q .'

cp "$SRC/stdlib/lstm.rnn" lstm.rnn
printf 'import "lstm.rnn"\nmodel m[D, H](x: real[T, D]) -> y: real[T, H] {\n  use a = lstm[D, H]\n  let y = scan(a, x)\n}\n' > "m m.rnn"
check "dependencies" sh -c '"$RNNC" build "m m.rnn" -o m.o -MD && grep -qF "m\\ m.rnn" m.d && grep -q "lstm.rnn:" m.d && head -n 1 m.d | grep -q "^m.o:"'
check "dependencies under another name" sh -c '"$RNNC" build "m m.rnn" -o m.o -MD -MF deps && cmp deps m.d'
check "dependencies are a makefile" sh -c 'command -v make >/dev/null || exit 0; printf "m.o:\n\t@echo made\n-include m.d\n" > Makefile; touch -d 2000-01-01 m.o; make -s m.o | grep -q made'
refuses "a library is not written" 2 "ar rcs" "$RNNC" build "$gru" --entry=gru -o libgru.a
finish
