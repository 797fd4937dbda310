/* field_line: where a field of a constructor's table is written. Lua tables have no lines: a
 * constructor knows only where it was called, so the source is read from there. */
#ifndef PIPEWRIGHT_FIELD_LINE_H
#define PIPEWRIGHT_FIELD_LINE_H

/* Line of the field `path` ("save.every": through plain tables) of the table that is given to
 * `constructor` on `line` of the Lua text; 0 where it is not written there. */
int field_line(const char *source, int line, const char *constructor, const char *path);

#endif
