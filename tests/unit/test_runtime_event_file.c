/* Event files, byte for byte: records that TensorBoard's own writer makes. */
#include <criterion/criterion.h>
#include <string.h>

#include "runtime/event_file.h"

static void expect_hex(const unsigned char *bytes, int count, const char *hex)
{
    char text[2 * PW_EVENT_BYTES + 1];
    for (int i = 0; i < count; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
    cr_expect_str_eq(text, hex);
}

Test(event_file, checks_are_castagnolis)
{
    cr_expect_eq(pw_crc32c("123456789", 9), 0xe3069283u);
}

Test(event_file, begins_with_its_version)
{
    unsigned char record[PW_EVENT_BYTES];
    expect_hex(record, pw_event_version(record, 1.0),
               "1800000000000000a37f4b2209000000000000f03f1a0d627261696e2e4576656e743a3286bf577a");
}

Test(event_file, has_a_scalar_as_a_summary)
{
    unsigned char record[PW_EVENT_BYTES];
    PwScalar      loss = {"loss", 1.5f};
    expect_hex(
        record, pw_event_scalars(record, 2.0, 3, &loss, 1),
        "1a00000000000000129bd82d09000000000000004010032a0d0a0b0a046c6f7373150000c03f22bc952a");
}

Test(event_file, holds_as_many_scalars_as_it_says)
{
    unsigned char record[PW_EVENT_BYTES];
    char          tag[61];
    PwScalar      scalars[PW_EVENT_SCALARS];
    memset(tag, 'x', 60);
    tag[60] = 0;
    for (int i = 0; i < PW_EVENT_SCALARS; i++)
        scalars[i] = (PwScalar){tag, 1};
    int count = pw_event_scalars(record, 1.7e9, INT64_MAX, scalars, PW_EVENT_SCALARS);
    cr_expect(count > 0 && count <= PW_EVENT_BYTES);
}
