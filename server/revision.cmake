# cmake -D SOURCE=DIR -D VERSION=X -D OUTPUT=FILE -P revision.cmake: writes FILE with the version and the git revision
# of DIR, unless it has them already.
execute_process(
  COMMAND git -C "${SOURCE}" describe --always --dirty --abbrev=12
  OUTPUT_VARIABLE revision
  OUTPUT_STRIP_TRAILING_WHITESPACE
  ERROR_QUIET
  RESULT_VARIABLE failed)
if(failed)
  set(revision unknown)
endif()
set(content "#define TOME_VERSION \"${VERSION}\"\n#define TOME_REVISION \"${revision}\"\n")
set(present "")
if(EXISTS "${OUTPUT}")
  file(READ "${OUTPUT}" present)
endif()
if(NOT content STREQUAL present)
  file(WRITE "${OUTPUT}" "${content}")
endif()
