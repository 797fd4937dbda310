/* interpreter: what a program does, the slow and plain way, to judge prove by. It shares no code
 * with the compiler's passes or with prove. Every word of memory is 32 bits. A row of a value is
 * one number v, spread over its words so that any damage shows; a codelet makes v of each of its
 * outputs from its inputs by the equations of the model, so that neither recomputation nor another
 * cut of the sequences changes it. What is added (gradients of weights, keys and values; losses) is
 * added modulo 2^32, so that order does not matter. Memory begins as garbage that no two runs
 * share; ranks and messages move in random order. */
#ifndef PIPEWRIGHT_INTERPRETER_H
#define PIPEWRIGHT_INTERPRETER_H

#include "gen/forms/program.h"

typedef struct Oracle Oracle;

/* What one step of this batch must end with: computed from whole sequences, without a program. */
Oracle *oracle_of(Region *region, const Codelets *codelets, const Model *model,
                  const Layout *layout, const Batch *batch);

/* Runs the program `runs` times, each with its own interleaving, half of them with sends that are
 * buffered, half with sends that meet their receives. NULL: every run ended with the right words;
 * else what was wrong with the first that did not. */
const char *interpret(const Oracle *oracle, const Program *program, int runs, uint64_t seed);

#endif
