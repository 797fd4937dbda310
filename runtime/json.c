/* json: recursive descent over the text. A value stands first in its container or after a comma, so
 * the brackets and commas of the text bound the number of nodes: one allocation holds all of them,
 * the decoded strings, and a place to sort an object's names when duplicates are looked for. */
#include "runtime/json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

typedef struct Reader {
    const char  *start, *at, *end, *name;
    PwJson      *node;    /* the next one                                                     */
    const char **sorted;  /* [nodes]: scratch                                                 */
    char        *strings; /* where the next decoded string goes                               */
    PwError     *error;
    int          depth;
} Reader;

static bool read_value(Reader *reader, PwJson *value);

static bool refuse(Reader *reader, const char *what)
{
    int line = 1;
    for (const char *c = reader->start; c < reader->at && c < reader->end; c++)
        line += *c == '\n';
    return pw_input(reader->error, "%s:%d: %s (byte %zu)", reader->name, line, what,
                    (size_t)(reader->at - reader->start));
}

static void skip_space(Reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' ||
                                        *reader->at == '\n' || *reader->at == '\r'))
        reader->at++;
}

static bool take(Reader *reader, char c)
{
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

/* The number of bytes of the UTF-8 character at `c`, or 0: overlong forms, surrogates and what is
 * beyond U+10FFFF are invalid. */
static int utf8_length(const unsigned char *c, size_t left)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    int n = c[0] < 0x80 ? 1 : c[0] >> 5 == 6 ? 2 : c[0] >> 4 == 14 ? 3 : c[0] >> 3 == 30 ? 4 : 0;
    if (n <= 1 || (size_t)n > left)
        return n == 1;
    uint32_t code = c[0] & (0x7f >> n);
    for (int i = 1; i < n; i++) {
        if (c[i] >> 6 != 2)
            return 0;
        code = code << 6 | (c[i] & 0x3f);
    }
    return code >= least[n] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? n : 0;
}

static bool read_hexadecimal(Reader *reader, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++, reader->at++) {
        char c     = reader->at < reader->end ? *reader->at : 0;
        int  digit = c >= '0' && c <= '9'   ? c - '0'
                     : c >= 'a' && c <= 'f' ? c - 'a' + 10
                     : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                            : -1;
        if (digit < 0)
            return refuse(reader, "expected four hexadecimal digits after \\u");
        *code = *code << 4 | (uint32_t)digit;
    }
    return true;
}

static bool read_unicode(Reader *reader)
{
    uint32_t code, low;
    if (!read_hexadecimal(reader, &code))
        return false;
    if (code >= 0xdc00 && code <= 0xdfff)
        return refuse(reader, "a lone low surrogate");
    if (code >= 0xd800 && code <= 0xdbff) {
        if (!take(reader, '\\') || !take(reader, 'u'))
            return refuse(reader, "a lone high surrogate");
        if (!read_hexadecimal(reader, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return refuse(reader, "a lone high surrogate");
        code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
    }
    int n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, code >>= 6)
        reader->strings[i] = (char)(0x80 | (code & 0x3f));
    reader->strings[0] = (char)(n == 1 ? code : (0xf00u >> n & 0xff) | code);
    reader->strings += n;
    return true;
}

static bool read_escape(Reader *reader)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (take(reader, 'u'))
        return read_unicode(reader);
    const char *found = reader->at < reader->end && *reader->at ? strchr(from, *reader->at) : NULL;
    if (!found)
        return refuse(reader, "an unknown escape");
    *reader->strings++ = to[found - from];
    reader->at++;
    return true;
}

static bool read_string(Reader *reader, const char **text, size_t *length)
{
    if (!take(reader, '"'))
        return refuse(reader, "expected a string");
    char *start = reader->strings;
    while (!take(reader, '"')) {
        if (reader->at == reader->end)
            return refuse(reader, "a string without an end");
        int n = utf8_length((const unsigned char *)reader->at, (size_t)(reader->end - reader->at));
        if (n == 0)
            return refuse(reader, "invalid UTF-8");
        if ((unsigned char)*reader->at < 0x20)
            return refuse(reader, "a control character in a string");
        if (take(reader, '\\')) {
            if (!read_escape(reader))
                return false;
            continue;
        }
        memcpy(reader->strings, reader->at, (size_t)n);
        reader->strings += n;
        reader->at += n;
    }
    *text              = start;
    *length            = (size_t)(reader->strings - start);
    *reader->strings++ = 0;
    return true;
}

static int skip_digits(Reader *reader)
{
    int n = 0;
    for (; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; n++)
        reader->at++;
    return n;
}

static bool read_number(Reader *reader, PwJson *value)
{
    const char *start = reader->at;
    char        copy[64];
    bool        whole = true;
    take(reader, '-');
    if (!take(reader, '0') && skip_digits(reader) == 0)
        return refuse(reader, "expected a value");
    if (take(reader, '.')) {
        whole = false;
        if (skip_digits(reader) == 0)
            return refuse(reader, "expected a digit after the point");
    }
    if (take(reader, 'e') || take(reader, 'E')) {
        whole = false;
        if (!take(reader, '-'))
            take(reader, '+');
        if (skip_digits(reader) == 0)
            return refuse(reader, "expected a digit in the exponent");
    }
    size_t length = (size_t)(reader->at - start);
    if (length >= sizeof copy)
        return refuse(reader, "a number of more than 63 characters");
    memcpy(copy, start, length);
    copy[length]      = 0;
    value->kind       = PW_JSON_NUMBER;
    value->number     = strtod(copy, NULL);
    errno             = 0;
    value->integer    = whole ? strtoll(copy, NULL, 10) : 0;
    value->is_integer = whole && errno == 0;
    return isfinite(value->number) || refuse(reader, "a number beyond the range of a double");
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool check_names(Reader *reader, const PwJson *object)
{
    int n = 0;
    for (const PwJson *member = object->first; member; member = member->next)
        reader->sorted[n++] = member->key;
    qsort(reader->sorted, (size_t)n, sizeof *reader->sorted, compare_texts);
    for (int i = 1; i < n; i++)
        if (strcmp(reader->sorted[i - 1], reader->sorted[i]) == 0)
            return refuse(reader, "a name that occurs twice in one object");
    return true;
}

static bool read_key(Reader *reader, PwJson *member)
{
    size_t length;
    skip_space(reader);
    if (!read_string(reader, &member->key, &length))
        return false;
    if (strlen(member->key) != length)
        return refuse(reader, "a name with a zero byte");
    skip_space(reader);
    return take(reader, ':') || refuse(reader, "expected ':'");
}

static bool read_members(Reader *reader, PwJson *value, char close)
{
    PwJson **link = &value->first;
    value->kind   = close == '}' ? PW_JSON_OBJECT : PW_JSON_ARRAY;
    if (++reader->depth > DEPTH_MAX)
        return refuse(reader, "more than 64 levels");
    skip_space(reader);
    if (!take(reader, close)) {
        do {
            PwJson *member = *link = reader->node++;
            if (close == '}' && !read_key(reader, member))
                return false;
            if (!read_value(reader, member))
                return false;
            link = &member->next;
            value->count++;
            skip_space(reader);
        } while (take(reader, ','));
        if (!take(reader, close))
            return refuse(reader, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
    }
    reader->depth--;
    return close == ']' || check_names(reader, value);
}

static bool read_word(Reader *reader, PwJson *value)
{
    static const char *const words[] = {"null", "false", "true"};
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(reader->end - reader->at) >= length &&
            memcmp(reader->at, words[i], length) == 0) {
            reader->at += length;
            value->kind = (PwJsonKind)i;
            return true;
        }
    }
    return read_number(reader, value);
}

static bool read_value(Reader *reader, PwJson *value)
{
    skip_space(reader);
    if (take(reader, '{'))
        return read_members(reader, value, '}');
    if (take(reader, '['))
        return read_members(reader, value, ']');
    if (reader->at < reader->end && *reader->at == '"') {
        value->kind = PW_JSON_STRING;
        return read_string(reader, &value->text, &value->length);
    }
    return read_word(reader, value);
}

PwJson *pw_json_read(const char *text, size_t length, const char *name, PwError *error)
{
    size_t nodes = 1;
    for (size_t i = 0; i < length; i++)
        nodes += text[i] == '{' || text[i] == '[' || text[i] == ',';
    PwJson *root = calloc(1, nodes * (sizeof(PwJson) + sizeof(char *)) + length + 1);
    if (!root) {
        pw_fail(error, "%s: no memory to read it", name);
        return NULL;
    }
    Reader reader = {text,
                     text,
                     text + length,
                     name,
                     root + 1,
                     (const char **)(root + nodes),
                     (char *)(root + nodes) + nodes * sizeof(char *),
                     error,
                     0};
    bool   good   = read_value(&reader, root);
    skip_space(&reader);
    if (good && reader.at != reader.end)
        good = refuse(&reader, "something after the value");
    if (good)
        return root;
    free(root);
    return NULL;
}

const PwJson *pw_json_member(const PwJson *object, const char *key)
{
    if (!object || object->kind != PW_JSON_OBJECT)
        return NULL;
    for (const PwJson *member = object->first; member; member = member->next)
        if (strcmp(member->key, key) == 0)
            return member;
    return NULL;
}

const char *pw_json_text(const PwJson *object, const char *key)
{
    const PwJson *member = pw_json_member(object, key);
    return member && member->kind == PW_JSON_STRING ? member->text : NULL;
}

bool pw_json_integer(const PwJson *object, const char *key, int64_t *value)
{
    const PwJson *member = pw_json_member(object, key);
    if (!member || member->kind != PW_JSON_NUMBER || !member->is_integer)
        return false;
    *value = member->integer;
    return true;
}

static void make_room(PwJsonText *text, size_t more)
{
    if (text->length + more + 1 <= text->room)
        return;
    text->room = 2 * (text->length + more + 1);
    text->at   = realloc(text->at, text->room);
    if (!text->at)
        pw_die(PW_EXIT_FAILED, "no memory for a text of %zu bytes", text->room);
}

void pw_json_add(PwJsonText *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    make_room(text, (size_t)length);
    va_start(arguments, format);
    vsnprintf(text->at + text->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
}

void pw_json_add_string(PwJsonText *text, const char *string)
{
    pw_json_add(text, "\"");
    for (const char *c = string; *c; c++) {
        if (*c == '"' || *c == '\\')
            pw_json_add(text, "\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            pw_json_add(text, "\\u%04x", (unsigned)*c);
        else
            pw_json_add(text, "%c", *c);
    }
    pw_json_add(text, "\"");
}

/* The shortest of 15 to 17 digits that reads back to the same bits. */
void pw_json_add_number(PwJsonText *text, double number)
{
    char digits[40];
    if (!isfinite(number)) {
        pw_json_add(text, isnan(number) ? "\"nan\"" : number > 0 ? "\"inf\"" : "\"-inf\"");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, number);
        if (strtod(digits, NULL) == number)
            break;
    }
    pw_json_add(text, "%s", digits);
}
