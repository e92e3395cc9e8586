# Language level, warnings and sanitizers, for our own targets alone.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE_PROGRAM})
endif()

add_library(reins_build_flags INTERFACE)
target_compile_options(reins_build_flags INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Werror)
# GCC 12 reports std::variant and tl::expected members that are never read (GCC bug 105562), and overlapping std::string copies that are none (105651).
target_compile_options(reins_build_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized> $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(REINS_SANITIZE)
  # Line numbers for the reports and no more: full debug information takes GCC a third of its time under sanitizers.
  target_compile_options(reins_build_flags INTERFACE -fsanitize=${REINS_SANITIZE} -fno-omit-frame-pointer -g1
                         $<$<CXX_COMPILER_ID:GNU>:-fno-var-tracking>)
  target_link_options(reins_build_flags INTERFACE -fsanitize=${REINS_SANITIZE})
endif()
if(REINS_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "REINS_FUZZ needs clang and its libFuzzer: cmake --preset fuzz")
  endif()
  # Undefined behaviour ends the run too: what is only printed, no fuzzer notices.
  set(fuzz_flags -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  target_compile_options(reins_build_flags INTERFACE ${fuzz_flags} -fno-omit-frame-pointer -g1)
  target_link_options(reins_build_flags INTERFACE ${fuzz_flags})
endif()
if(CMAKE_SIZEOF_VOID_P EQUAL 4)
  # Without it, 32-bit programs cannot even look at a file whose inode number or size takes more bits.
  target_compile_definitions(reins_build_flags INTERFACE _FILE_OFFSET_BITS=64)
  # GCC notes for each function that GCC 6 would have called otherwise (-Wpsabi): nothing that old is linked.
  target_compile_options(reins_build_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-psabi>)
endif()
# REINS_ASSERT guards our own mistakes: on in tests and in CI, off only where a packager asks.
option(REINS_ASSERTS "Keep REINS_ASSERT in every build type" ON)
if(REINS_ASSERTS)
  target_compile_definitions(reins_build_flags INTERFACE REINS_ASSERTS=1)
endif()
