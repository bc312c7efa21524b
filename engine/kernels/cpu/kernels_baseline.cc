#define TOME_ISA cpu_baseline
#define TOME_ISA_NAME "SSE2"
#include "engine/kernels/cpu/kernels.inc.h"
