# For shell tests: each `check` is one statement that must hold; the test ends with `finish`.
failures=0

# check TEXT COMMAND...: the command must succeed
check() {
  text=$1
  shift
  if "$@" >last.out 2>&1; then
    echo "pass: $text"
  else
    echo "FAIL: $text"
    sed 's/^/    /' last.out
    failures=$((failures + 1))
  fi
}

# refuses TEXT CODE PATTERN COMMAND...: it must exit with CODE and say PATTERN on standard error
refuses() {
  text=$1 code=$2 pattern=$3
  shift 3
  got=0
  "$@" >last.out 2>last.err || got=$?
  if [ "$got" = "$code" ] && grep -qE -e "$pattern" last.err; then
    echo "pass: $text"
  else
    echo "FAIL: $text: exit code $got, expected $code with \"$pattern\""
    sed 's/^/    /' last.err
    failures=$((failures + 1))
  fi
}

skip() {
  echo "skipped: $1"
  exit 77
}

# npy TYPE SHAPE ZEROS: a file of an array, a header and zero bytes
npy() {
  header="{'descr': '$1', 'fortran_order': False, 'shape': ($2), }"
  n=$((${#header} + 1))
  printf '\223NUMPY\001\000'
  printf "$(printf '\\%03o\\%03o' $((n % 256)) $((n / 256)))"
  printf '%s\n' "$header"
  head -c "$3" /dev/zero
}

# ints SHAPE VALUE...: a file of an array of whole numbers
ints() {
  npy '<i4' "$1" 0
  shift
  for v; do
    printf "$(printf '\\%03o\\%03o\\%03o\\%03o' $((v & 255)) $((v >> 8 & 255)) $((v >> 16 & 255)) $((v >> 24 & 255)))"
  done
}

finish() {
  [ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
  exit 0
}
