/* record: PREFIX.json, what is known of a token set beside its tokens: what it was made from, and
 * the SHA-256 of its .bin with the size and the time at which it was that. The .bin may be large;
 * it is read again only where its size or its time are other ones. The trainer reads the same
 * record (runtime/dataset.c). */
#ifndef PIPEWRIGHT_RECORD_H
#define PIPEWRIGHT_RECORD_H

#include "gen/data/documents.h"

bool record_exists(Region *region, const char *prefix);
bool record_remove(Region *region, const char *prefix, Error *error);

/* Of a set that was just made: `from` is what the job says of its data, `sources` the hash of the
 * files that it stood for. */
bool record_write(Region *region, const DataReport *report, const char *from, const char *sources,
                  const char *index_hash, Error *error);

/* What the job said of its data when the set was made; "nothing known" where no record says it. */
const char *record_from(Region *region, const char *prefix);

/* Whether the token set that stands there was made from these sources and is still what it was;
 * then `report` is its record's. Anything odd only means that it is made again. */
bool record_stands(Region *region, const char *from, const char *sources, DataReport *report);

/* SHA-256 of PREFIX.bin; kept for the next time where that can be. NULL on error, also where a set
 * that `data` made is no longer what was made. */
const char *record_tokens_hash(Region *region, const char *prefix, Error *error);

#endif
