/* shipped_policies: see shipped_policies.h. */
#include "tests/support/shipped_policies.h"

#include <string.h>

#include "gen/base/data_folder.h"
#include "gen/base/file.h"

char **shipped_policies(Region *region)
{
    Error       error;
    int         count;
    const char *folder = path_join(region, data_folder(), "lua/policies");
    char      **names  = file_names(region, folder, &count, &error);
    if (!names || count == 0)
        bug("no policies in %s", folder);
    for (int i = 0; i < count; i++)
        *strrchr(names[i], '.') = 0;
    return names;
}
