/* fuzz_safetensors: any bytes as a file of weights. Whatever is accepted is read to its last
 * element, and its tensors, each found by its name, are as many bytes as the file has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static int64_t read_through(const PwSafetensors *file, const PwStoredTensor *tensor)
{
    volatile double last;
    if (pw_safetensors_find(file, tensor->name) != tensor)
        abort();
    for (int64_t i = 0; pw_stored_is_float(tensor) && i < tensor->elements; i++)
        last = pw_stored_element(tensor, i);
    (void)last;
    for (int64_t i = 0; i < tensor->end - tensor->begin; i++)
        last = tensor->data[i];
    return tensor->end - tensor->begin;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    PwSafetensors file;
    PwError       error      = {0};
    int           descriptor = memfd_create("fuzz", 0);
    char          path[64];
    if (descriptor < 0 || write(descriptor, bytes, count) != (ssize_t)count)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (pw_safetensors_open(&file, path, &error)) {
        uint64_t header;
        int64_t  data = 0;
        memcpy(&header, bytes, sizeof header);
        for (int i = 0; i < file.ntensors; i++)
            data += read_through(&file, &file.tensors[i]);
        if (sizeof header + header + (uint64_t)data != count)
            abort();
        pw_safetensors_close(&file);
    }
    close(descriptor);
    return 0;
}
