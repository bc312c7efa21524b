#define TOME_ISA cpu_avx2
#define TOME_ISA_NAME "AVX2"
#include "engine/model/cpu/kernels.inc.h"
