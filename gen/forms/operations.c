/* operations: see the header; tables straight out of templates/kernels.def, and the reader of the
 * notation in which it writes calls. What is malformed there is a bug of ours. */
#include "gen/forms/operations.h"

#include <string.h>

#include "gen/base/error.h"
#include "templates/scratch.h"

const Operation operations[] = {
#define PW_OPERATION(...) {__VA_ARGS__},
#include "templates/kernels.def"
};
const int noperations = COUNT(operations);

const Update updates[] = {
#define PW_UPDATE(name, text) {#name, text},
#include "templates/kernels.def"
};
const int nupdates = COUNT(updates);

const Fusion fusions[] = {
#define PW_FUSION(into, index, from) {#into, index, #from},
#include "templates/kernels.def"
};
const int nfusions = COUNT(fusions);

const Operation *operation_named(const char *name)
{
    for (int i = 0; i < noperations; i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    return NULL;
}

bool kernel_exists(const char *kernel)
{
    static const char *const names[] = {
#define PW_KERNEL_ENTRY(name, parameters) #name,
#include "templates/kernels.def"
    };
    for (int i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], kernel) == 0)
            return true;
    return false;
}

KernelWork kernel_work(const char *kernel, KernelShape shape)
{
    const int64_t out = shape.out, in = shape.in, width = shape.width, heads = shape.heads;
    const int64_t head_dim = shape.head_dim, vocabulary = shape.vocabulary;
    const int64_t real_bytes = shape.real_bytes;
#define PW_WORK(name, flops, pair, token_bytes, most, bytes)                                       \
    if (strcmp(kernel, #name) == 0)                                                                \
        return (KernelWork){(double)(flops), (double)(pair), token_bytes, most, bytes};
#include "templates/kernels.def"
    bug("kernel %s has no PW_WORK in kernels.def", kernel);
}

static bool is_mark(char c)
{
    return c == MARK_READ || c == MARK_WRITE || c == MARK_ADD;
}

KernelCall kernel_call(Region *region, const char *text)
{
    KernelCall  call       = {0};
    size_t      name       = strcspn(text, "(");
    bool        by_segment = false;
    const char *at         = text + name + 1;
    if (text[name] != '(')
        bug("no '(' in \"%s\"", text);
    call.kernel = region_format(region, "%.*s", (int)name, text);
    while (*at != ')') {
        size_t length = strcspn(at, ",;)");
        if (at[length] == 0 || call.narguments == CALL_MAX_ARGUMENTS)
            bug("malformed call \"%s\"", text);
        Argument *argument   = &call.arguments[call.narguments++];
        bool      marked     = is_mark(*at);
        argument->mark       = marked ? (Mark)*at : MARK_NONE;
        argument->name       = region_format(region, "%.*s", (int)length - marked, at + marked);
        argument->by_segment = by_segment;
        by_segment           = by_segment || at[length] == ';';
        at += length + (at[length] != ')');
        at += strspn(at, " ");
    }
    return call;
}

const char *word_at(Region *region, const char *words, int index)
{
    for (; *words; index--) {
        size_t length = strcspn(words, " ");
        if (index == 0)
            return region_format(region, "%.*s", (int)length, words);
        words += length;
        words += strspn(words, " ");
    }
    return NULL;
}

int word_find(const char *words, const char *word)
{
    size_t wanted = strlen(word);
    for (int index = 0; *words; index++) {
        size_t length = strcspn(words, " ");
        if (length == wanted && memcmp(words, word, length) == 0)
            return index;
        words += length;
        words += strspn(words, " ");
    }
    return -1;
}
