# The main job, in its short form.
OUT=$PWD sh "$SRC/examples/sunspots/run.sh" --short
