/* cost: measured seconds of each codelet and message on one device, `pipewright-cost-1`.
 *   made by    tune, or a machine profile;  read by decide, simulate, expand (variants)
 *   printed    as JSON, which reads back; hashed; frozen for the life of a run
 * A codelet's time is piecewise linear in tokens; attention's is a constant plus, for each segment,
 * a table by (length, context). Beyond the last point the last slope goes on. */
#ifndef PIPEWRIGHT_COST_H
#define PIPEWRIGHT_COST_H

#include "gen/forms/codelets.h"

typedef struct CostPoint {
    int64_t tokens;
    double  seconds;
} CostPoint;

typedef struct CodeletCost {
    const char *codelet;
    CostPoint  *points; /* by tokens, rising; updates: by elements                              */
    int         npoints;
    /* core only */
    double   constant;
    int64_t *lengths, *contexts; /* rising                                                     */
    int      nlengths, ncontexts;
    double  *seconds; /* [nlengths][ncontexts]                                                 */
} CodeletCost;

typedef struct Cost {
    const char  *name;   /* "cpu profile", or the machine that was measured                    */
    const char  *device; /* "cpu"                                                              */
    CodeletCost *codelets;
    int          ncodelets;
    double       latency, seconds_per_byte; /* of a message between two ranks                  */
    double       probe; /* seconds of the probe product when the table was measured; 0: none   */
} Cost;

Cost *cost_read(Region *region, const char *text, const char *name, Error *error);
void  cost_print(const Cost *cost, Text *out);

#endif
