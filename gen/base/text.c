/* text: a growing string, sizes and numbers. No part of Pipewright calls setlocale, so printf and
 * strtod are those of the C locale. */
#include "gen/base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Text text_new(Region *region)
{
    return (Text){.region = region, .at = region_alloc(region, 64), .room = 64};
}

void text_clear(Text *text)
{
    text->length = 0;
    *text->at    = 0;
}

static void make_room(Text *text, size_t more)
{
    if (text->length + more + 1 <= text->room)
        return;
    size_t room = 2 * text->room;
    while (room < text->length + more + 1)
        room *= 2;
    text->at   = region_grow(text->region, text->at, text->length + 1, room);
    text->room = room;
}

void text_add(Text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    size_t left   = text->room - text->length;
    size_t length = (size_t)vsnprintf(text->at + text->length, left, format, arguments);
    if (length >= left) {
        text->at[text->length] = 0;
        make_room(text, length);
        vsnprintf(text->at + text->length, length + 1, format, again);
    }
    text->length += length;
    va_end(again);
    va_end(arguments);
}

void text_bytes(Text *text, const void *bytes, size_t count)
{
    make_room(text, count);
    if (count)
        memcpy(text->at + text->length, bytes, count);
    text->length += count;
    text->at[text->length] = 0;
}

const char *text_size(Region *region, int64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int64_t                  unit    = 1;
    int                      i       = 0;
    while (i + 1 < COUNT(units) && (bytes >= unit * 1024 || bytes <= -unit * 1024)) {
        unit *= 1024;
        i++;
    }
    if (bytes % unit == 0)
        return region_format(region, "%lld %s", (long long)(bytes / unit), units[i]);
    return region_format(region, "%.2f %s", (double)bytes / (double)unit, units[i]);
}

const char *text_seconds(Region *region, double seconds)
{
    double size = seconds < 0 ? -seconds : seconds;
    if (size == 0)
        return "0 s";
    if (size < 1e-3)
        return region_format(region, "%.1f us", seconds * 1e6);
    if (size < 1)
        return region_format(region, "%.2f ms", seconds * 1e3);
    if (size < 120)
        return region_format(region, "%.2f s", seconds);
    if (size < 7200)
        return region_format(region, "%.1f min", seconds / 60);
    return region_format(region, "%.1f h", seconds / 3600);
}

const char *text_count(Region *region, int64_t count, const char *what)
{
    return region_format(region, "%lld %s%s", (long long)count, what, count == 1 ? "" : "s");
}

const char *text_double(Region *region, double value)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return region_copy(region, text);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Letters to insert, remove, change or swap with their neighbour (optimal string alignment), for
 * words below the limit's length; anything longer counts as far. */
static int distance(const char *a, const char *b)
{
    enum { LIMIT = 64 };
    int rows = (int)strnlen(a, LIMIT), columns = (int)strnlen(b, LIMIT);
    if (rows == LIMIT || columns == LIMIT)
        return LIMIT;
    int table[LIMIT][LIMIT];
    for (int i = 0; i <= rows; i++)
        for (int j = 0; j <= columns; j++) {
            if (i == 0 || j == 0) {
                table[i][j] = i + j;
                continue;
            }
            int differs = tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]);
            table[i][j] =
                least(least(table[i - 1][j], table[i][j - 1]) + 1, table[i - 1][j - 1] + differs);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                table[i][j] = least(table[i][j], table[i - 2][j - 2] + 1);
        }
    return table[rows][columns];
}

const char *text_nearest(const char *word, const char *const *names)
{
    const char *nearest          = NULL;
    int         third            = (int)strlen(word) / 3; /* further away is another word */
    int         nearest_distance = third > 1 ? third : 1;
    for (; *names; names++) {
        int far = distance(word, *names);
        if (far < nearest_distance || (far == nearest_distance && !nearest)) {
            nearest          = *names;
            nearest_distance = far;
        }
    }
    return nearest;
}

const char *text_markup(Region *region, const char *text)
{
    Text out = text_new(region);
    for (; *text; text++)
        switch (*text) {
        case '<':
            text_add(&out, "&lt;");
            break;
        case '>':
            text_add(&out, "&gt;");
            break;
        case '&':
            text_add(&out, "&amp;");
            break;
        default:
            text_bytes(&out, text, 1);
        }
    return out.at;
}

bool text_ends(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* DIGITS[.DIGITS] [spaces] UNIT. The number may have a fraction where the product is whole: it is
 * computed in integers, so that "0.5K" is 512 tokens and nothing is rounded. */
bool text_to_tokens(const char *text, int64_t *tokens)
{
    static const struct {
        const char *name;
        int64_t     size;
    } units[]       = {{"", 1}, {"tokens", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}};
    __int128 number = 0, divisor = 1;
    bool     fraction = false;
    if (!isdigit((unsigned char)*text))
        return false;
    for (; isdigit((unsigned char)*text) || (*text == '.' && !fraction); text++) {
        if (*text == '.') {
            fraction = true;
            continue;
        }
        number  = number * 10 + (*text - '0');
        divisor = fraction ? divisor * 10 : divisor;
        if (number > INT64_MAX || divisor > INT64_MAX)
            return false;
    }
    if (text[-1] == '.')
        return false;
    while (*text == ' ')
        text++;
    for (int i = 0; i < COUNT(units); i++) {
        if (strcmp(text, units[i].name) != 0)
            continue;
        __int128 product = number * units[i].size;
        if (product % divisor != 0 || product / divisor > INT64_MAX)
            return false;
        *tokens = (int64_t)(product / divisor);
        return true;
    }
    return false;
}
