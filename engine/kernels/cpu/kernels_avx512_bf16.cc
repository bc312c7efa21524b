#define TOME_ISA cpu_avx512_bf16
#define TOME_ISA_NAME "AVX-512-BF16"
#include "engine/kernels/cpu/kernels.inc.h"
