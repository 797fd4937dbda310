/* event_file: scalars as TensorBoard reads them, events.out.tfevents.SECONDS.HOST.PID in the run's
 * folder. Records of TFRecord (length, masked CRC-32C, payload, masked CRC-32C) that hold Event
 * messages of protobuf; written at the end of a file, never again. */
#ifndef PW_EVENT_FILE_H
#define PW_EVENT_FILE_H

#include <stdint.h>
#include <stdio.h>

#include "runtime/failure.h"

typedef struct PwScalar {
    const char *tag; /* "loss"                                                                 */
    float       value;
} PwScalar;

enum { PW_EVENT_SCALARS = 8, PW_EVENT_BYTES = 1024 };

/* One record as bytes; the count. `time`: seconds since 1970. Tags of at most 60 bytes. */
int pw_event_version(unsigned char record[PW_EVENT_BYTES], double time);
int pw_event_scalars(unsigned char record[PW_EVENT_BYTES], double time, int64_t step,
                     const PwScalar *scalars, int count);

/* A new file in the run's folder, with its first record. */
FILE *pw_event_open(const char *run, PwError *error);
/* Written and flushed; false where the disk does not take it. */
bool pw_event_write(FILE *file, int64_t step, const PwScalar *scalars, int count);

uint32_t pw_crc32c(const void *bytes, int64_t count);

#endif
