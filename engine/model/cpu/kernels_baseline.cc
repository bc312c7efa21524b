#define TOME_ISA cpu_baseline
#define TOME_ISA_NAME "SSE2"
#include "engine/model/cpu/kernels.inc.h"
