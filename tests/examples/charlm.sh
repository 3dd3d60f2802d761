# The character model, in its short form.
[ -n "$(find /usr/share/common-licenses -type f 2>/dev/null)" ] || { echo "skipped: no licence texts here"; exit 77; }
OUT=$PWD sh "$SRC/examples/charlm/run.sh" --short
