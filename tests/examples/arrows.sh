# A pLSTM on drawn images, in its short form: it builds without a warning, trains, tests at two sizes and draws.
OUT=$PWD sh "$SRC/examples/arrows/run.sh" --short && grep -q '</svg>' arrows.svg
