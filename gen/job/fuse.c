/* fuse: two neighbouring calls that one kernel does become one.
 *   reads    a codelet table; PW_FUSION of templates/kernels.def
 *   writes   lines and temporaries of its codelets; never across two codelets, so that bits do not
 *            depend on which rank runs which part
 *   fails    a call that has no kernel and found no product to join
 *   stands   after differentiate, ahead of everything that counts bytes
 * The second call adds the first one's result, a temporary that nobody else reads, to something. */
#include <string.h>

#include "gen/forms/operations.h"
#include "gen/job/job_passes.h"

enum { MAX_ARGUMENTS = 20 };

typedef struct Arguments {
    const char *at[MAX_ARGUMENTS];
    int         count;
} Arguments;

static Arguments split(Region *region, const char *text)
{
    Arguments arguments = {0};
    while (*text && arguments.count < MAX_ARGUMENTS) {
        size_t length                   = strcspn(text, ",");
        arguments.at[arguments.count++] = region_format(region, "%.*s", (int)length, text);
        text += length;
        text += strspn(text, ", ");
    }
    return arguments;
}

static const char *join(Region *region, const Arguments *arguments)
{
    Text text = text_new(region);
    for (int i = 0; i < arguments->count; i++)
        text_add(&text, "%s%s", i ? ", " : "", arguments->at[i]);
    return text.at;
}

static int count_uses(Region *region, const Codelet *codelet, const char *argument)
{
    int uses = 0;
    for (int i = 0; i < codelet->nlines; i++) {
        Arguments arguments = split(region, codelet->lines[i].arguments);
        for (int j = 0; j < arguments.count; j++)
            uses += strcmp(arguments.at[j], argument) == 0;
    }
    return uses;
}

static void drop_temporary(Codelet *codelet, const char *name)
{
    int kept = 0;
    for (int i = 0; i < codelet->ntemporaries; i++) {
        if (strcmp(codelet->temporaries[i].name, name) != 0)
            codelet->temporaries[kept++] = codelet->temporaries[i];
        else /* it is neither written nor read any more */
            codelet->bytes_per_token -= 2 * (double)codelet->temporaries[i].token_bytes;
    }
    codelet->ntemporaries = kept;
}

/* Joins lines i and i + 1 if `fusion` allows it. */
static bool fuse_lines(Region *region, Codelet *codelet, int i, const Fusion *fusion)
{
    CodeletLine *line = &codelet->lines[i];
    if (strcmp(line[0].kernel, fusion->kernel) != 0 || strcmp(line[1].kernel, fusion->taken) != 0)
        return false;
    Arguments first = split(region, line[0].arguments), second = split(region, line[1].arguments);
    if (!first.at[0] || !first.at[fusion->argument] || !second.at[1] || !second.at[2])
        return false;
    const char *result = first.at[0];
    int         other  = strcmp(second.at[1], result) == 0 ? 2 : 1;
    if (*result != '@' || strcmp(second.at[3 - other], result) != 0 ||
        strcmp(first.at[fusion->argument], "NULL") != 0 || count_uses(region, codelet, result) != 2)
        return false;
    first.at[0]                = second.at[0];
    first.at[fusion->argument] = second.at[other];
    line[0].arguments          = join(region, &first);
    drop_temporary(codelet, result + 1);
    for (int j = i + 1; j + 1 < codelet->nlines; j++)
        codelet->lines[j] = codelet->lines[j + 1];
    codelet->nlines--;
    return true;
}

bool fuse(Region *region, Codelets *codelets, const Model *model, Error *error)
{
    for (Codelet *codelet = codelets->items; codelet < codelets->items + codelets->count; codelet++)
        for (int i = 0; i + 1 < codelet->nlines; i++)
            for (int j = 0; j < nfusions; j++)
                if (i + 1 < codelet->nlines && fuse_lines(region, codelet, i, &fusions[j]))
                    j = -1;
    return codelets_check(codelets, model, error);
}
