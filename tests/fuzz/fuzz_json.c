/* fuzz_json: any bytes as JSON for the runtime's reader. Jansson judges: what the reader accepts is
 * JSON, and a tree that counts right. Numbers too large for jansson are the one difference. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check(const PwJson *value, int depth)
{
    int nchildren = 0;
    if (depth > 64 || (value->kind == PW_JSON_STRING && value->text[value->length]))
        abort();
    for (const PwJson *child = value->first; child; child = child->next, nchildren++) {
        if ((value->kind == PW_JSON_OBJECT) != (child->key != NULL))
            abort();
        check(child, depth + 1);
    }
    if (value->kind >= PW_JSON_ARRAY && nchildren != value->count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    PwError error = {0};
    PwJson *root  = pw_json_read((const char *)bytes, count, "fuzz", &error);
    if (!root)
        return 0;
    json_error_t where;
    size_t       flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t      *tree  = json_loadb((const char *)bytes, count, flags, &where);
    if (!tree && json_error_code(&where) != json_error_numeric_overflow)
        abort();
    json_decref(tree);
    check(root, 0);
    free(root);
    return 0;
}
