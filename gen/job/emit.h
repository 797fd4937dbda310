/* emit: what its files share. emit.c decides which files there are and prints job.c; emit_c.c
 * prints codelets in C. */
#ifndef PIPEWRIGHT_EMIT_H
#define PIPEWRIGHT_EMIT_H

#include "gen/job/job_passes.h"

void emit_c_shapes(const Model *model, int real_bytes, Text *out);
void emit_c_header(const Codelets *codelets, Text *out);
void emit_c_codelets(const Codelets *codelets, const Model *model, Text *out);

/* config.json: the model as Hugging Face's tools read it, in the words of its family's Lua file. */
void emit_config(const Model *model, Text *out);

#endif
