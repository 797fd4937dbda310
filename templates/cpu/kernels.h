/* kernels.h: prototypes of all kernels, out of kernels.def. */
#ifndef PW_KERNELS_H
#define PW_KERNELS_H

#include "runtime/kernel.h"

#define PW_KERNEL_ENTRY(name, parameters) void PW_KERNEL(name) parameters;
#include "templates/kernels.def"

#endif
