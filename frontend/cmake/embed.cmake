# Writes a C table of the files FILES (paths below DIR) to OUT: see frontend/elab.h.
set(bodies "")
set(rows "")
set(n 0)
foreach(file IN LISTS FILES)
  file(READ "${DIR}/${file}" hex HEX)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(REGEX REPLACE "('.x..',)('.x..',)('.x..',)('.x..',)('.x..',)('.x..',)('.x..',)('.x..',)"
                       "\\1\\2\\3\\4\\5\\6\\7\\8\n" bytes "${bytes}")
  string(APPEND bodies "static const char text_${n}[] = {\n${bytes}0};\n")
  string(APPEND rows "    {\"${file}\", text_${n}},\n")
  math(EXPR n "${n} + 1")
endforeach()
file(WRITE "${OUT}" "/* Generated from the standard library. */\n#include \"frontend/elab.h\"\n\n${bodies}\n"
  "const EmbeddedFile embedded_stdlib[] = {\n${rows}    {NULL, NULL},\n};\nconst uint32_t embedded_stdlib_count = ${n};\n")
