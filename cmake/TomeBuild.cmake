# Compiler settings, and the two functions that every folder uses to declare its target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

find_program(TOME_CCACHE ccache)
if(TOME_CCACHE)
  # Precompiled headers stay cacheable only when ccache is told to ignore their time stamps.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${TOME_CCACHE})
endif()

add_library(tome_compile_options INTERFACE)
target_compile_options(tome_compile_options INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 warns of std::string's own code (PR 105651).
  target_compile_options(tome_compile_options INTERFACE -Wno-restrict)
endif()
if(TOME_SANITIZERS)
  add_compile_options(-fsanitize=${TOME_SANITIZERS} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TOME_SANITIZERS})
endif()

# tome_library(NAME SOURCES... DEPS...): one target per folder. Includes are written from the project's root.
function(tome_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE} tome_compile_options)
endfunction()

# tome_test(NAME SOURCES... LIBS...): a GoogleTest binary and its ctest entry (one entry per binary).
function(tome_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} GTest::gmock GTest::gtest_main tome_compile_options)
  # What is tested is optimised; the tests themselves compile in half the time without.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  target_compile_definitions(${name} PRIVATE TOME_SOURCE_DIR="${PROJECT_SOURCE_DIR}" TOME_DEPS_DIR="${TOME_DEPS}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  add_test(NAME ${name} COMMAND ${name})
  # Tests run side by side: compute threads that spin at each barrier would slow each other down a hundredfold.
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
                                          ENVIRONMENT "GOMP_SPINCOUNT=1000")
endfunction()

# tome_torch_sources(TARGET): for engine targets (and their tests) that use libtorch. Its parallel loops need OpenMP.
# The engine's own targets, compiled alike, share one precompiled header.
function(tome_torch_sources target)
  target_compile_options(${target} PRIVATE -fopenmp)
  target_link_libraries(${target} PRIVATE tome_torch)
  target_link_options(${target} PUBLIC -fopenmp)
  get_target_property(type ${target} TYPE)
  if(target STREQUAL "tome_kernels")
    target_precompile_headers(${target} PRIVATE <ATen/ATen.h> <ATen/Parallel.h>)
  elseif(type STREQUAL "STATIC_LIBRARY")
    target_precompile_headers(${target} REUSE_FROM tome_kernels)
  endif()
endfunction()
