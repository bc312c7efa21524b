#define TOME_ISA cpu_avx2
#define TOME_ISA_NAME "AVX2"
#include "engine/kernels/cpu/kernels.inc.h"
