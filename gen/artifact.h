/* artifact: an artifact that pack wrote, read again: what its manifest says, and whether that still
 * holds. pack.h lists its files. */
#ifndef PIPEWRIGHT_ARTIFACT_H
#define PIPEWRIGHT_ARTIFACT_H

#include <jansson.h>

#include "gen/base/error.h"
#include "gen/base/region.h"

/* The manifest of an artifact, or NULL. */
json_t *artifact_manifest(Region *region, const char *folder, Error *error);

/* Checks every file of an artifact against its manifest, and the compiled trainer against what the
 * build script noted; or only the files in inputs/, which readers of its forms trust to belong
 * together. Names the first that differs. */
bool artifact_verify(Region *region, const char *folder, Error *error);
bool artifact_verify_inputs(Region *region, const char *folder, Error *error);

#endif
