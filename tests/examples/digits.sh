# Two networks on a grid, in their short form: the loss must fall.
OUT=$PWD sh "$SRC/examples/digits/run.sh" --short
