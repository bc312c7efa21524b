# Third-party libraries as imported targets. scripts/setup.sh installs all of them.

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(absl REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ICU REQUIRED COMPONENTS i18n uc)
if(TOME_TESTS OR TOME_FUZZERS)
  find_package(GTest REQUIRED)
endif()
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)

foreach(path torch/lib/libtorch_cpu.so sentencepiece/lib/libsentencepiece.a googleapis/google/rpc/status.proto)
  if(NOT EXISTS "${TOME_DEPS}/${path}")
    message(FATAL_ERROR "${TOME_DEPS}/${path} is missing: run scripts/setup.sh first")
  endif()
endforeach()

# libtorch. Its include folder carries an old google/protobuf and a newer fmt, so it is searched after the system's, and
# linked PRIVATE, only by engine folders whose headers are not part of the engine's door. find_package(Torch) would
# insist on a whole CUDA toolkit.
add_library(tome_torch INTERFACE)
target_compile_options(
  tome_torch
  INTERFACE "SHELL:-idirafter ${TOME_DEPS}/torch/include"
            "SHELL:-idirafter ${TOME_DEPS}/torch/include/torch/csrc/api/include")
target_compile_definitions(tome_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
target_link_libraries(tome_torch INTERFACE "${TOME_DEPS}/torch/lib/libtorch_cpu.so" "${TOME_DEPS}/torch/lib/libc10.so")
target_link_options(tome_torch INTERFACE "-Wl,-rpath,${TOME_DEPS}/torch/lib" -Wl,--allow-shlib-undefined)

add_library(tome_sentencepiece INTERFACE)
target_include_directories(tome_sentencepiece SYSTEM INTERFACE "${TOME_DEPS}/sentencepiece/include")
target_link_libraries(
  tome_sentencepiece INTERFACE "${TOME_DEPS}/sentencepiece/lib/libsentencepiece.a" protobuf::libprotobuf-lite)

if(TOME_CUDA)
  include(TomeCuda)
endif()
