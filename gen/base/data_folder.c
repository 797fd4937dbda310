/* data_folder: see data_folder.h. */
#include "gen/base/data_folder.h"

#include <stdlib.h>

const char *data_folder(void)
{
    const char *named = getenv("PIPEWRIGHT_DATADIR");
    return named && *named ? named : PIPEWRIGHT_DATADIR;
}
