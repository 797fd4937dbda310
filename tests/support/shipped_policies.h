/* shipped_policies: what lua/policies holds, so that a new policy is in every test by itself. */
#ifndef PIPEWRIGHT_TESTS_SHIPPED_POLICIES_H
#define PIPEWRIGHT_TESTS_SHIPPED_POLICIES_H

#include "gen/base/region.h"

/* Their names, in order, ended by NULL. */
char **shipped_policies(Region *region);

#endif
