# fmt is idempotent, changes no meaning, and leaves the standard library as it is.
. "$SRC/tests/lib.sh"
for file in "$SRC"/stdlib/*.rnn "$SRC"/examples/*/*.rnn; do
  name=$(basename "$file" .rnn)
  check "$name: twice is once" sh -c "\"\$RNNC\" fmt --stdout '$file' > $name.rnn && cp $name.rnn b.rnn && \"\$RNNC\" fmt b.rnn && cmp $name.rnn b.rnn"
  check "$name: the same tokens" sh -c "\"\$RNNC\" build --emit=tokens '$file' | sed 's/^[^ ]* //' > a.txt; \"\$RNNC\" build --emit=tokens $name.rnn | sed 's/^[^ ]* //' > b.txt; cmp a.txt b.txt"
done
printf 'cell c[ H ] over t (x:real[H])->h {\nstate h:real[H]\n}}\n' > broken.rnn
cp broken.rnn before.rnn
refuses "a file with errors stays as it is" 1 "E0103" "$RNNC" fmt broken.rnn
check "unchanged" cmp broken.rnn before.rnn
finish
