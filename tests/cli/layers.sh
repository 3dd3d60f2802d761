# Who may include whom: lang < ir < frontend, lang < ir < backends; LLVM in backends only; the driver sees everything.
. "$SRC/tests/lib.sh"
cd "$SRC" || exit 1
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# allow FILES PATTERN: project headers that those files may include
allow() {
  grep -nE '^#include "' $1 /dev/null | grep -vE "#include \"($2)" >>"$out"
}
allow "lang/*.h lang/*.c lang/*.def" 'lang/'
allow "ir/*.h ir/*.c" 'lang/|ir/text\.h'
allow "ir/rec/*.h ir/rec/*.c" 'lang/|ir/text\.h|ir/rec/'
allow "ir/kern/*.h ir/kern/*.c" 'lang/|ir/'
allow "backends/*.h backends/*.c" 'lang/|ir/kern/kern\.h|backends/'
allow "backends/cpu/*.h backends/cpu/*.c backends/cpu/*/*.c" 'lang/|ir/kern/kern\.h|backends/'
allow "backends/nvptx/*.h backends/nvptx/*.c" 'lang/|ir/kern/kern\.h|backends/'
driver='frontend/(main|cmd_|driver|compile|passes|run_|check|explain|trial|bench)'
language=$(ls frontend/*.h frontend/*.c | grep -vE "^$driver")
allow "$language" 'lang/|ir/rec/rec\.h|frontend/'
# what reads files of the user or is read by tools knows no compiler
allow "frontend/arrays.h frontend/arrays.c frontend/npy.c frontend/npz.c frontend/safetensors.c frontend/files.h frontend/files.c frontend/files_write.c" \
  'lang/(base|narrow|utf8)\.h|frontend/(arrays|files)\.h'
for file in $language; do
  grep -nE "#include \"$driver" "$file" /dev/null >>"$out"
done
grep -rnE '#include <llvm' lang ir frontend stdlib --include='*.[ch]' >>"$out"
if [ -s "$out" ]; then
  echo "includes against the table of layers:"
  cat "$out"
  exit 1
fi
echo "pass: layers"
