# Generated code allocates, prints and starts nothing; it asks for nothing but three memory functions, keeps no data but one
# word, and comes out the same twice.
. "$SRC/tests/harden/lib"
program quiet "$HARDEN/call.c"

# symbols BASE ENTRY: what the object defines for others, asks for, and keeps
symbols() {
  nm "$1.o" | awk -v entry="$2" '
    $1 == "U" { if ($2 !~ /^mem(cpy|move|set)$/) { print "asks for " $2; bad = 1 }; next }
    $2 ~ /^[A-Z]$/ && ($2 != "T" || $3 !~ "^" entry "_(workspace|packed_workspace|forward|backward|chunk|step|init|info)$") {
      print "defines " $2 " " $3; bad = 1 }
    END { exit bad }' &&
    readelf -SW "$1.o" | tr -d '[]' | awk '
    $2 ~ /^\.(bss|tbss|tdata|init_array|fini_array|ctors|data($|\.[^r]))/ && $6 !~ /^0+$/ {
      if ($2 == ".bss" && ($6 == "000004" || $6 == "000008")) next
      print "keeps " $2 " of 0x" $6 " bytes"; bad = 1 }
    END { exit bad }'
}

twice() {
  mkdir again
  "$RNNC" build "$1" --entry "$2" --prefix "$2" --precision "$3" --cpu all -o "again/$2.$3.all.o" &&
    for part in o h json; do cmp "again/$2.$3.all.$part" "$2.$3.all.$part" || return 1; done
  rm -r again
}

objects f32 all
objects f64 all
entries >list
while read -r file entry; do
  for precision in f32 f64; do
    check "$entry $precision: symbols and data" symbols "$entry.$precision.all" "$entry"
    check "$entry $precision: the same bytes again" twice "$file" "$entry" $precision
  done
done <list
check "no allocation, no output, no thread, no system call" ./quiet ./*.so
finish
