# The CUDA build: nvcc and libraries that scripts/setup.sh --cuda put beside libtorch. A GPU is needed to run on device
# cuda, not to build and not to run on device cpu.

set(toolkit "${TOME_DEPS}/cuda/nvidia/cu13")
foreach(path "${toolkit}/bin/nvcc" "${TOME_DEPS}/torch/lib/libtorch_cuda.so" "${TOME_DEPS}/torch/lib/libtorch_nvshmem.so")
  if(NOT EXISTS "${path}")
    message(FATAL_ERROR "${path} is missing: run scripts/setup.sh --cuda first")
  endif()
endforeach()

# Ampere (A100) and Hopper (H100, H200).
set(CMAKE_CUDA_COMPILER "${toolkit}/bin/nvcc")
set(CMAKE_CUDA_ARCHITECTURES 80 90)
set(CMAKE_CUDA_STANDARD 20)
enable_language(CUDA)

# libtorch_cuda registers its kernels when it is loaded; nothing refers to it by name, so it must not be dropped.
target_compile_definitions(tome_torch INTERFACE TOME_CUDA)
target_include_directories(tome_torch SYSTEM INTERFACE "${toolkit}/include")
target_link_libraries(
  tome_torch
  INTERFACE -Wl,--no-as-needed "${TOME_DEPS}/torch/lib/libtorch_cuda.so" "${TOME_DEPS}/torch/lib/libc10_cuda.so"
            -Wl,--as-needed)
