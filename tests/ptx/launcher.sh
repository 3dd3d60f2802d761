# Launchers as files: C99 and later without warnings, headers as C and C++, several in one program.
. "$SRC/tests/lib.sh"
warnings='-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror'

# compiles FILE ENTRY BUILD-OPTIONS...: the launcher and its header in all languages
compiles() {
  file=$1 entry=$2
  shift 2
  "$RNNC" build "$SRC/$file" --entry="$entry" --target=cuda "$@" -o "$entry" || return 1
  for std in c99 c11 c17 c2x; do
    "$CC" -std=$std $warnings -c "$entry.c" -o "$entry.o" || return 1
  done
  for std in c++11 c++14 c++17 c++20; do
    echo "#include \"$entry.h\"" >"$entry.cc"
    c++ -std=$std $warnings -fsyntax-only "$entry.cc" || return 1
  done
}

check "LSTM" compiles stdlib/lstm.rnn lstm
check "GRU, double" compiles stdlib/gru.rnn gru --precision=f64
check "a model" compiles stdlib/language_model.rnn language_model
check "a grid" compiles stdlib/mdlstm.rnn mdlstm
check "a graph" compiles stdlib/tree_lstm.rnn tree_lstm
check "chunks" compiles stdlib/gla.rnn gla --form=chunk:16
check "without parameters" compiles tests/ptx/diagonal.rnn diagonal
check "names of C" compiles stdlib/elman.rnn elman --prefix=double
check "two in one program" sh -c 'echo "#include \"lstm.h\"
#include \"gla.h\"
int main(void) { lstm_cuda a; gla_cuda b; return lstm_open_cuda(&a, \"./no.so\") != RNN_CUDA || gla_open_cuda(&b, \"./no.so\") != RNN_CUDA; }" >two.c &&
  "$CC" -std=c99 two.c lstm.o gla.o -o two -ldl && ./two'
check "the lines of README" sh -c '"$RNNC" build "$SRC/stdlib/gru.rnn" --entry=gru --target=cuda -o gru && mkdir -p fake &&
  echo "int cudaMalloc(void **, unsigned long); int cudaStreamSynchronize(void *);" >fake/cuda_runtime.h &&
  sed -n "/^#include <cuda_runtime/,/^\`\`\`/p" "$SRC/README.md" | grep -v "^\`\`\`" >lines && [ "$(wc -l <lines)" -le 20 ] && grep "^#" lines >readme.c &&
  { echo "#include <stdio.h>"; echo "int f(int T, int B, int D, int H, float *W, float *U, float *b, float *d, float *x, float *h, float *d_h,"
    echo "      float *dW, float *dU, float *db, float *dd, void *stream) {"; grep -v "^#" lines; echo "return (int)status; }"; } >>readme.c &&
  "$CC" -std=c99 -Wall -Wextra -Werror -I. -Ifake -c readme.c -o readme.o'
check "every symbol has the prefix" sh -c '! nm -g --defined-only lstm.o | grep -v " lstm_[a-z]*_cuda$"'
check "PTX and manifest are there, too" sh -c '"$RNNC" build "$SRC/stdlib/lstm.rnn" --target=ptx -o p && cmp p.ptx lstm.ptx && sed s/x/x/ lstm.json | cmp - p.json'
check "NAME.c is NAME" sh -c '"$RNNC" build "$SRC/stdlib/lstm.rnn" --target=cuda -MD -o y.c && [ -s y.c ] && [ -s y.h ] && [ -s y.ptx ] && grep -q "^y.c: " y.d && grep -q "include \"y.h\"" y.c'
check "in another folder" sh -c 'mkdir -p sub && "$RNNC" build "$SRC/stdlib/lstm.rnn" --target=cuda -o sub/z && "$CC" -c sub/z.c -o z.o'
check "the same bytes again" sh -c '"$RNNC" build "$SRC/stdlib/lstm.rnn" --target=cuda -o sub/z2 && sed s/z2/z/g sub/z2.c | cmp - sub/z.c && cmp sub/z.h sub/z2.h'
refuses "levels of a CPU" 2 '\-\-cpu means nothing with --target=cuda' "$RNNC" build "$SRC/stdlib/lstm.rnn" --target=cuda --cpu=avx2 -o x
finish
