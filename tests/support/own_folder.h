/* own_folder: a region and an empty folder for each test of a suite.
 *   TestSuite(index, .init = open_folder, .fini = close_folder); */
#ifndef PIPEWRIGHT_OWN_FOLDER_H
#define PIPEWRIGHT_OWN_FOLDER_H

#include <criterion/criterion.h>
#include <stdlib.h>

#include "gen/base/file.h"

static Region *region;
static char    folder[] = "/tmp/pipewright_test_XXXXXX";

static void open_folder(void)
{
    region = region_new();
    cr_assert(mkdtemp(folder) != NULL);
}

static void close_folder(void)
{
    Error error;
    cr_assert(file_remove_tree(folder, &error), "%s", error.text);
    cr_assert(!file_exists(folder));
    region_free(region);
}

#endif
