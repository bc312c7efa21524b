#define TOME_ISA cpu_avx512
#define TOME_ISA_NAME "AVX-512"
#include "engine/kernels/cpu/kernels.inc.h"
