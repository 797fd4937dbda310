/* event_file: see event_file.h. */
#include "runtime/event_file.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/disk.h"

/* CRC-32C (Castagnoli), reflected, bit by bit: some hundred bytes a step need no table. */
uint32_t pw_crc32c(const void *bytes, int64_t count)
{
    const unsigned char *at  = bytes;
    uint32_t             crc = ~(uint32_t)0;
    for (int64_t i = 0; i < count; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    return ~crc;
}

static uint32_t masked(const void *bytes, int64_t count)
{
    uint32_t crc = pw_crc32c(bytes, count);
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

/* A message of protobuf under construction. */
typedef struct Message {
    unsigned char at[PW_EVENT_BYTES];
    int           count;
} Message;

static void add_bytes(Message *message, const void *bytes, int count)
{
    memcpy(message->at + message->count, bytes, (size_t)count);
    message->count += count;
}

static void add_varint(Message *message, uint64_t value)
{
    do {
        unsigned char byte = (unsigned char)((value & 127) | (value > 127 ? 128 : 0));
        add_bytes(message, &byte, 1);
        value >>= 7;
    } while (value);
}

/* Field numbers and wire types as one byte: (number << 3) | type. */
enum {
    EVENT_TIME    = 0x09,
    EVENT_STEP    = 0x10,
    EVENT_VERSION = 0x1a,
    EVENT_SUMMARY = 0x2a,
    SUMMARY_VALUE = 0x0a,
    VALUE_TAG     = 0x0a,
    VALUE_SIMPLE  = 0x15,
};

static void add_text(Message *message, int field, const void *bytes, int count)
{
    add_varint(message, (uint64_t)field);
    add_varint(message, (uint64_t)count);
    add_bytes(message, bytes, count);
}

static void add_time(Message *event, double time)
{
    add_varint(event, EVENT_TIME);
    add_bytes(event, &time, sizeof time);
}

static int frame(unsigned char record[PW_EVENT_BYTES], const Message *event)
{
    uint64_t length     = (uint64_t)event->count;
    uint32_t length_crc = masked(&length, sizeof length), crc = masked(event->at, event->count);
    memcpy(record, &length, sizeof length);
    memcpy(record + 8, &length_crc, sizeof length_crc);
    memcpy(record + 12, event->at, (size_t)event->count);
    memcpy(record + 12 + event->count, &crc, sizeof crc);
    return 16 + event->count;
}

int pw_event_version(unsigned char record[PW_EVENT_BYTES], double time)
{
    static const char version[] = "brain.Event:2";
    Message           event     = {.count = 0};
    add_time(&event, time);
    add_text(&event, EVENT_VERSION, version, (int)sizeof version - 1);
    return frame(record, &event);
}

int pw_event_scalars(unsigned char record[PW_EVENT_BYTES], double time, int64_t step,
                     const PwScalar *scalars, int count)
{
    Message event = {.count = 0}, summary = {.count = 0};
    for (int i = 0; i < count; i++) {
        Message value = {.count = 0};
        add_text(&value, VALUE_TAG, scalars[i].tag, (int)strlen(scalars[i].tag));
        add_varint(&value, VALUE_SIMPLE);
        add_bytes(&value, &scalars[i].value, sizeof scalars[i].value);
        add_text(&summary, SUMMARY_VALUE, value.at, value.count);
    }
    add_time(&event, time);
    add_varint(&event, EVENT_STEP);
    add_varint(&event, (uint64_t)step);
    add_text(&event, EVENT_SUMMARY, summary.at, summary.count);
    return frame(record, &event);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool put(FILE *file, const unsigned char *record, int count)
{
    return fwrite(record, 1, (size_t)count, file) == (size_t)count && fflush(file) == 0;
}

FILE *pw_event_open(const char *run, PwError *error)
{
    unsigned char record[PW_EVENT_BYTES];
    char          host[128] = "unknown", name[256], path[PW_PATH_MAX];
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "events.out.tfevents.%lld.%s.%d", (long long)now(), host,
             (int)getpid());
    if (!pw_disk_join(path, run, name, error))
        return NULL;
    FILE *file = fopen(path, "ae");
    if (file && put(file, record, pw_event_version(record, now())))
        return file;
    pw_fail(error, "%s: %s", path, strerror(errno));
    if (file)
        fclose(file);
    return NULL;
}

bool pw_event_write(FILE *file, int64_t step, const PwScalar *scalars, int count)
{
    unsigned char record[PW_EVENT_BYTES];
    return put(file, record, pw_event_scalars(record, now(), step, scalars, count));
}
