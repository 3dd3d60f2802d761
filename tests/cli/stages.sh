# Every stage can be the last, and rec and kern can be the first: text that is printed reads back to the same object.
. "$SRC/tests/lib.sh"
gru=$SRC/stdlib/gru.rnn
for stage in tokens ast rec kern ll s; do
  check "--emit=$stage" sh -c "\"\$RNNC\" build '$gru' --entry=gru --emit=$stage -o gru.$stage && [ -s gru.$stage ]"
done
check "rec reads back" sh -c "\"\$RNNC\" build '$gru' --entry=gru -D D=3 -D H=4 --emit=rec --stop-after=lower -o low.rec &&
  \"\$RNNC\" build -x rec low.rec --emit=rec --stop-after=lower -o again.rec && cmp low.rec again.rec"
check "kern reads back" sh -c "\"\$RNNC\" build '$gru' --entry=gru --emit=kern -o a.kern && \"\$RNNC\" build -x kern a.kern --emit=kern -o b.kern &&
  cmp a.kern b.kern"
check "--dump-after goes on" sh -c "\"\$RNNC\" build '$gru' --entry=gru --dump-after=rec.hoist -o d.o 2>dump && grep -q recur dump && [ -s d.o ]"
refuses "bad rec" 1 "bad.rec: " sh -c 'echo nonsense > bad.rec; "$RNNC" build -x rec bad.rec'
refuses "bad kern" 1 "bad.kern: " sh -c 'echo nonsense > bad.kern; "$RNNC" build -x kern bad.kern'
finish
