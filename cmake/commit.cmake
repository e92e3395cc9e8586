cmake_minimum_required(VERSION 3.22)

# Writes OUT, a header that says which commit this source is, where it differs from what stands there. Without git: the
# VERSION.
execute_process(COMMAND git describe --always --dirty --abbrev=12
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit ${VERSION})
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#pragma once\n#define REINS_COMMIT \"@commit@\"\n" @ONLY)
