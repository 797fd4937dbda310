/* field_line: reads Lua's tokens, as much of them as finding "name =" in a table needs. */
#include "gen/job/field_line.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

typedef struct Reader {
    const char *at;
    int         line;
} Reader;

/* kind: 'n' a name, 's' a text, '0' a number, '=' alone, a bracket, 'o' another character, 0 the
 * end. */
typedef struct Token {
    char        kind;
    const char *start;
    int         length, line;
} Token;

static void pass(Reader *reader, int count)
{
    for (; count > 0 && *reader->at; count--)
        if (*reader->at++ == '\n')
            reader->line++;
}

/* The length of "[==[" here, or 0. */
static int long_bracket(const char *at)
{
    int level = 0;
    if (*at != '[')
        return 0;
    while (at[1 + level] == '=')
        level++;
    return at[1 + level] == '[' ? level + 2 : 0;
}

static void pass_long(Reader *reader, int opening)
{
    pass(reader, opening);
    for (; *reader->at; pass(reader, 1)) {
        const char *at = reader->at;
        int         n  = 1;
        while (*at == ']' && at[n] == '=')
            n++;
        if (*at == ']' && n == opening - 1 && at[n] == ']') {
            pass(reader, opening);
            return;
        }
    }
}

static void pass_quoted(Reader *reader)
{
    char quote = *reader->at;
    pass(reader, 1);
    while (*reader->at && *reader->at != quote && *reader->at != '\n')
        pass(reader, *reader->at == '\\' ? 2 : 1);
    pass(reader, 1);
}

static void pass_blank(Reader *reader)
{
    for (;;) {
        if (isspace((unsigned char)*reader->at)) {
            pass(reader, 1);
        } else if (strncmp(reader->at, "--", 2) == 0) {
            pass(reader, 2);
            if (long_bracket(reader->at) > 0)
                pass_long(reader, long_bracket(reader->at));
            else
                pass(reader, (int)strcspn(reader->at, "\n"));
        } else {
            return;
        }
    }
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static Token next_token(Reader *reader)
{
    pass_blank(reader);
    const char *at    = reader->at;
    Token       token = {.kind = 'o', .start = at, .line = reader->line};
    if (!*at) {
        token.kind = 0;
    } else if (is_name(*at)) {
        int length = 1;
        while (is_name(at[length]))
            length++;
        token.kind = isdigit((unsigned char)*at) ? '0' : 'n';
        pass(reader, length);
    } else if (*at == '"' || *at == '\'') {
        token.kind = 's';
        pass_quoted(reader);
    } else if (long_bracket(at) > 0) {
        token.kind = 's';
        pass_long(reader, long_bracket(at));
    } else {
        bool pair  = strchr("=~<>", *at) && at[1] == '=';
        token.kind = !pair && strchr("={}()[]", *at) ? *at : 'o';
        pass(reader, pair ? 2 : 1);
    }
    token.length = (int)(reader->at - at);
    return token;
}

static bool is_word(Token token, const char *word, size_t length)
{
    return token.kind == 'n' && (size_t)token.length == length &&
           memcmp(token.start, word, length) == 0;
}

/* Goes on behind the '{' of the constructor's table. */
static bool find_table(Reader *reader, const char *constructor)
{
    int line = reader->line;
    for (;;) {
        Token token = next_token(reader);
        if (token.kind == 0 || token.line > line)
            return false;
        if (!is_word(token, constructor, strlen(constructor)))
            continue;
        Reader behind = *reader;
        token         = next_token(&behind);
        if (token.kind == '(')
            token = next_token(&behind);
        if (token.kind == '{') {
            *reader = behind;
            return true;
        }
    }
}

/* Goes on behind "name =" of the table that the reader is in; its line, or 0. */
static int find_field(Reader *reader, const char *name, size_t length)
{
    for (int depth = 0; depth >= 0;) {
        Token token = next_token(reader);
        if (token.kind == 0)
            return 0;
        if (token.kind == '{' || token.kind == '(' || token.kind == '[')
            depth++;
        if (token.kind == '}' || token.kind == ')' || token.kind == ']')
            depth--;
        if (depth == 0 && is_word(token, name, length)) {
            Reader behind = *reader;
            if (next_token(&behind).kind == '=') {
                *reader = behind;
                return token.line;
            }
        }
    }
    return 0;
}

int field_line(const char *source, int line, const char *constructor, const char *path)
{
    Reader reader = {.at = source, .line = 1};
    while (reader.line < line && *reader.at)
        pass(&reader, 1);
    if (!find_table(&reader, constructor))
        return 0;
    for (;;) {
        size_t length = strcspn(path, ".");
        int    found  = find_field(&reader, path, length);
        if (found == 0 || !path[length])
            return found;
        path += length + 1;
        if (next_token(&reader).kind != '{')
            return 0;
    }
}
