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
check "no temporary files are left" sh -c '! ls *.tmp closed/*.tmp 2>/dev/null | grep -q .'

cp "$SRC/stdlib/lstm.rnn" lstm.rnn
printf 'import "lstm.rnn"\nmodel m[D, H](x: real[T, D]) -> y: real[T, H] {\n  use a = lstm[D, H]\n  let y = scan(a, x)\n}\n' > "m m.rnn"
check "dependencies" sh -c '"$RNNC" build "m m.rnn" -o m.o -MD && grep -qF "m\\ m.rnn" m.d && grep -q "lstm.rnn:" m.d && head -n 1 m.d | grep -q "^m.o:"'
check "dependencies under another name" sh -c '"$RNNC" build "m m.rnn" -o m.o -MD -MF deps && cmp deps m.d'
check "dependencies are a makefile" sh -c 'command -v make >/dev/null || exit 0; printf "m.o:\n\t@echo made\n-include m.d\n" > Makefile; touch -d 2000-01-01 m.o; make -s m.o | grep -q made'
refuses "a library is not written" 2 "ar rcs" "$RNNC" build "$gru" --entry=gru -o libgru.a
finish
