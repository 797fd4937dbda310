/* json: a small strict reader and a writer, because an artifact has no library. Refused: duplicate
 * names, invalid UTF-8, control characters, lone surrogates, numbers out of the grammar, more than
 * 64 levels, anything after the value. */
#ifndef PW_JSON_H
#define PW_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/failure.h"

typedef enum PwJsonKind {
    PW_JSON_NULL,
    PW_JSON_FALSE,
    PW_JSON_TRUE,
    PW_JSON_NUMBER,
    PW_JSON_STRING,
    PW_JSON_ARRAY,
    PW_JSON_OBJECT,
} PwJsonKind;

typedef struct PwJson PwJson;
struct PwJson {
    PwJsonKind  kind;
    int         count;  /* members, items                                                  */
    const char *key;    /* of a member, ended by 0                                         */
    const char *text;   /* of a string, decoded, ended by 0                                */
    size_t      length; /* of that text: a string may hold \u0000                          */
    double      number;
    int64_t     integer;    /* where is_integer: the number, exactly                           */
    bool        is_integer; /* written without fraction or exponent, and fits                  */
    PwJson     *first, *next;
};

/* The tree is one piece of memory: free(root). NULL on error; `name` stands in the message. */
PwJson *pw_json_read(const char *text, size_t length, const char *name, PwError *error);

/* NULL where there is none, or `object` is NULL or something else. */
const PwJson *pw_json_member(const PwJson *object, const char *key);
const char   *pw_json_text(const PwJson *object, const char *key); /* of a string member */
bool          pw_json_integer(const PwJson *object, const char *key, int64_t *value);

typedef struct PwJsonText {
    char  *at; /* ended by 0; free() it                                                        */
    size_t length, room;
} PwJsonText;

void pw_json_add(PwJsonText *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pw_json_add_string(PwJsonText *text, const char *string);
void pw_json_add_number(PwJsonText *text, double number); /* not finite: as a string */

#endif
