/* sandbox_syntax: what people write in place of Lua, and what to write instead. Looked at only
 * where Lua refused a script, whose own words are of symbols and bytes. */
#include <ctype.h>
#include <string.h>

#include "gen/host/sandbox_child.h"

static bool begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* What the file is as a whole. */
static const char *wrong_file(const char *text)
{
    if (begins(text, "\xef\xbb\xbf"))
        return "found a byte order mark, expected plain text; save the file as UTF-8 without one";
    if (begins(text, "\xff\xfe") || begins(text, "\xfe\xff"))
        return "found UTF-16, expected plain text; save the file as UTF-8";
    text += strspn(text, " \t\r\n");
    if (*text == '{' || *text == '[')
        return "found JSON, or a table alone, expected a Lua script; begin it with `return job {`, "
               "a policy's with `return policy {`, and write name = value";
    return NULL;
}

static const char *curly_quote(const char *line)
{
    static const char *const quotes[] = {"\u201c", "\u201d", "\u201e", "\u2018", "\u2019"};
    for (int i = 0; i < COUNT(quotes); i++)
        if (strstr(line, quotes[i]))
            return quotes[i];
    return NULL;
}

/* The name before a colon, as in `layers: 4` or `"layers": 4`; its length, or 0. */
static int name_before_colon(const char *line, const char **name)
{
    for (const char *colon = line; (colon = strchr(colon, ':')) != NULL; colon++) {
        const char *past = colon;
        while (past > line && strchr(" \t\"'", past[-1]))
            past--;
        *name = past;
        while (*name > line && (isalnum((unsigned char)(*name)[-1]) || (*name)[-1] == '_'))
            --*name;
        if (past > *name)
            return (int)(past - *name);
    }
    return 0;
}

const char *syntax_hint(Region *region, const char *text, int number, const char *said)
{
    const char *hint = wrong_file(text);
    if (hint)
        return hint;
    for (int i = 1; i < number && *text; i++) {
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    const char *line  = region_format(region, "%.*s", (int)strcspn(text, "\n"), text), *name;
    const char *quote = curly_quote(line);
    if (quote && (strstr(said, "near '<\\") || strstr(said, "unfinished string")))
        return region_format(region, "found %s, expected a plain quote, \" or '", quote);
    int length = strstr(said, "near ':'") || strstr(said, "<name> expected near")
                     ? name_before_colon(line, &name)
                     : 0;
    if (length > 0)
        return region_format(region, "found ':' behind %.*s, expected '='; write %.*s = ...",
                             length, name, length, name);
    if (strstr(said, "near '#'"))
        return "found '#', expected --, with which a comment begins";
    if (strstr(said, "'}' expected"))
        return region_format(region, "%s; is a comma missing before it?", said);
    return NULL;
}
