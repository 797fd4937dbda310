/* histogram: lengths as a picture: for each power of two, the share of documents and of tokens. */
#ifndef PIPEWRIGHT_HISTOGRAM_H
#define PIPEWRIGHT_HISTOGRAM_H

#include "gen/forms/lengths.h"

void histogram_text(const Lengths *lengths, Text *out); /* at most 80 columns */
void histogram_svg(const Lengths *lengths, Text *out);  /* a whole file       */

#endif
