# The same kernels from a plain Makefile.
command -v make >/dev/null || { echo "skipped: no make"; exit 77; }
cp -r "$SRC/examples/makefile" "$SRC/examples/sunspots" . && cd makefile && make -s run RNNC="$RNNC" RUNFLAGS=--short
