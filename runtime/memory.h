/* memory: how much this process may still take, so that too large an arena is a message and not the
 * kernel's kill. */
#ifndef PW_MEMORY_H
#define PW_MEMORY_H

#include <stdint.h>

#include "runtime/failure.h"

/* `needed` more bytes will be touched now. */
bool pw_memory_check(int64_t needed, PwError *error);

#endif
