# cmake --install: the command, its man page, the CMake package and pkg-config file, used from outside.
. "$SRC/tests/lib.sh"
check "install" cmake --install "$BUILD" --prefix "$PWD/there"
check "the command" there/bin/rnnc version
check "the man page" test -s there/share/man/man1/rnnc.1
check "the standard library" test -s there/share/rnnc/lstm.rnn
check "pkg-config" sh -c 'PKG_CONFIG_PATH=$PWD/there/share/pkgconfig pkg-config --modversion rnnc'
check "pkg-config knows where the command is" sh -c '"$(PKG_CONFIG_PATH=$PWD/there/share/pkgconfig pkg-config --variable=rnnc rnnc)" version'
check "and the standard library" sh -c 'test -s "$(PKG_CONFIG_PATH=$PWD/there/share/pkgconfig pkg-config --variable=stdlib rnnc)/lstm.rnn"'
check "and finds both again when they are moved" sh -c 'mv there moved; "$(PKG_CONFIG_PATH=$PWD/moved/share/pkgconfig pkg-config --variable=rnnc rnnc)" version; got=$?; mv moved there; exit $got'
mkdir user && cd user || exit 1
cat > CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C)
find_package(rnnc REQUIRED)
rnnc_add_library(kernels SOURCES total.rnn mean.rnn DEFINES D=3)
add_executable(user main.c)
target_link_libraries(user PRIVATE kernels)
rnnc_add_library(launchers SOURCES total.rnn mean.rnn DEFINES D=3 TARGET cuda ARCH sm_75)
add_executable(gpu gpu.c)
target_link_libraries(gpu PRIVATE launchers)
END
cat > total.rnn <<'END'
cell total[D] over t (x: real[D]) -> s {
  state s: real[D]
  s = s[t-1] + x
}
END
sed 's/total/mean/; s/+ x/+ 0.5 * x/' total.rnn > mean.rnn
cat > main.c <<'END'
#include "mean.h"
#include "total.h"
int main(void)
{
    total_sizes a = {.T = 2, .B = 1};
    mean_sizes b = {.T = 2, .B = 1};
    return total_workspace(&a, RNN_FORWARD) == (size_t)-1 || mean_workspace(&b, RNN_FORWARD) == (size_t)-1;
}
END
cat > gpu.c <<'END'
#include "mean.h"
#include "total.h"
int main(void)
{
    total_cuda a;
    mean_sizes b = {.T = 2, .B = 1};
    return total_open_cuda(&a, "./no.so") != RNN_CUDA || mean_workspace_cuda(&b, RNN_FORWARD) == (size_t)-1;
}
END
check "find_package" cmake -G Ninja -B build -Drnnc_DIR="$PWD/../there/lib/cmake/rnnc" -DCMAKE_PREFIX_PATH="$PWD/../there" .
check "rnnc_add_library" cmake --build build
check "the program" build/user
check "the program with launchers" build/gpu
check "for its architecture" grep -q "^.target sm_75" build/launchers.dir/mean.ptx
refuses "a target that there is not" 1 "TARGET is cpu or cuda, not opencl" sh -c 'mkdir -p other && sed "s/TARGET cuda/TARGET opencl/" CMakeLists.txt >other/CMakeLists.txt &&
  cmake -S other -B other/build -Drnnc_DIR="$PWD/../there/lib/cmake/rnnc" -DCMAKE_PREFIX_PATH="$PWD/../there"'
check "an edit of a .rnn file builds again" sh -c 'touch total.rnn && cmake --build build >out && [ "$(grep -c "rnnc total.rnn" out)" = 2 ]'
finish
