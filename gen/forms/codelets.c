/* codelets: prints, reads and checks the codelet table; see the header. A line a thing:
 *     codelet pre_forward_all pre forward all both
 *       operand input value read token 32 x 4 shift 0 weight -1
 *       temporary qkv 256 a token
 *       room matmul_forward 128 a token of 252 and 32768
 *       line rmsnorm_forward $normed, $scale, $input, $w_attn_norm, call->tokens
 *       work 4096 flops a token 0 a pair 1024 bytes a token
 *       from models/llama.lua, operations 2 to 4 */
#include "gen/forms/codelets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/forms/operations.h"
#include "runtime/kernel.h"

const char *const        level_names[NLEVELS]         = {"all", "lean", "input", "none"};
static const char *const direction_names[NDIRECTIONS] = {"forward",  "rebuild", "backward",
                                                         "evaluate", "sample",  "update"};
static const char *const half_names[NHALVES]          = {"both", "dx", "dw"};
static const char *const row_names[]                  = {"token", "context", "segment", "one"};
static const char *const access_names[]               = {"read", "write", "add"};
static const char *const role_names[NROLES]           = {
              "tokens",  "value", "gradient", "kv",   "dkv",   "weight", "dweight", "moment1",
              "moment2", "loss",  "norm",     "clip", "table", "next",   "scratch"};

int64_t codelet_scratch(const Codelet *codelet, int64_t tokens)
{
    int64_t bytes = 0, most = 0;
    for (int i = 0; i < codelet->ntemporaries; i++)
        bytes += pw_align(codelet->temporaries[i].token_bytes * tokens);
    for (const CodeletRoom *room = codelet->rooms; room < codelet->rooms + codelet->nrooms;
         room++) {
        bool    few  = room->most_tokens == 0 || tokens < room->most_tokens;
        int64_t need = room->token_bytes * (few ? tokens : room->most_tokens) + room->fixed_bytes;
        most         = need > most ? need : most;
    }
    return bytes + pw_align(most);
}

static int find_exactly(const Codelets *table, Part part, Direction direction, Level level,
                        Half half)
{
    for (int i = 0; i < table->count; i++) {
        const Codelet *codelet = &table->items[i];
        if (codelet->direction != DIRECTION_UPDATE && codelet->part == part &&
            codelet->direction == direction && codelet->level == level && codelet->half == half)
            return i;
    }
    return -1;
}

int codelet_find(const Codelets *table, Part part, Direction direction, Level level, Half half)
{
    const Level levels[] = {level == LEVEL_NONE ? LEVEL_INPUT : level, LEVEL_ALL, LEVEL_BARE};
    for (int i = 0; i < COUNT(levels); i++) {
        int found = find_exactly(table, part, direction, levels[i], half);
        if (found >= 0)
            return found;
    }
    if (half == HALF_DX)
        return codelet_find(table, part, direction, level, HALF_BOTH);
    if (direction == DIRECTION_REBUILD && half == HALF_BOTH)
        return find_exactly(table, part, DIRECTION_FORWARD, LEVEL_ALL, HALF_BOTH);
    return -1;
}

const char *codelet_function(Region *region, const Codelet *codelet)
{
    bool taken = kernel_exists(codelet->name);
    return taken ? region_format(region, "%s_codelet", codelet->name) : codelet->name;
}

int codelet_named(const Codelets *table, const char *name)
{
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->items[i].name, name) == 0)
            return i;
    return -1;
}

int codelet_operand(const Codelet *codelet, const char *name)
{
    for (int i = 0; i < codelet->noperands; i++)
        if (strcmp(codelet->operands[i].name, name) == 0)
            return i;
    return -1;
}

/* ---- print ---- */

static void print_operand(const CodeletOperand *operand, Text *out)
{
    text_add(out, "  operand %s %s %s %s %lld x %d shift %d weight %d\n", operand->name,
             role_names[operand->role], access_names[operand->access], row_names[operand->rows],
             (long long)operand->columns, operand->element_bytes, operand->shift, operand->weight);
}

void codelets_print(const Codelets *table, const Model *model, Text *out)
{
    text_add(out, "codelets %d of %s, %lld layers\n", table->count, model->family,
             (long long)model->layers);
    for (const Codelet *c = table->items; c < table->items + table->count; c++) {
        text_add(out, "codelet %s %s %s %s %s\n", c->name, part_names[c->part],
                 direction_names[c->direction], level_names[c->level], half_names[c->half]);
        for (int i = 0; i < c->noperands; i++)
            print_operand(&c->operands[i], out);
        for (int i = 0; i < c->ntemporaries; i++)
            text_add(out, "  temporary %s %lld a token\n", c->temporaries[i].name,
                     (long long)c->temporaries[i].token_bytes);
        for (int i = 0; i < c->nrooms; i++)
            text_add(out, "  room %s %lld a token of %lld and %lld\n", c->rooms[i].kernel,
                     (long long)c->rooms[i].token_bytes, (long long)c->rooms[i].most_tokens,
                     (long long)c->rooms[i].fixed_bytes);
        for (int i = 0; i < c->nlines; i++)
            text_add(out, "  line %s %s\n", c->lines[i].kernel, c->lines[i].arguments);
        text_add(out, "  work %s flops a token %s a pair %s bytes a token\n",
                 text_double(out->region, c->flops_per_token),
                 text_double(out->region, c->flops_per_pair),
                 text_double(out->region, c->bytes_per_token));
        text_add(out, "  from %s\n", c->origin);
    }
}

/* ---- explain ---- */

/* The parts that have a codelet of this direction. */
static void list_parts(const Codelets *table, Direction direction, Text *out)
{
    int part = -1;
    for (const Codelet *c = table->items; c < table->items + table->count; c++) {
        if (c->direction != direction)
            continue;
        if (direction == DIRECTION_UPDATE)
            text_add(out, " %s", c->name);
        else if ((int)c->part != part)
            text_add(out, " %s", part_names[c->part]);
        part = (int)c->part;
    }
}

void codelets_explain(const Codelets *table, Text *out)
{
    static const char *const why[NDIRECTIONS] = {
        [DIRECTION_FORWARD]  = "all, lean or bare by a chunk's level; bare at input and none",
        [DIRECTION_REBUILD]  = "ahead of the backward of a chunk at level input or none",
        [DIRECTION_BACKWARD] = "after a forward that kept all, or lean; whole, or dx and dw apart",
        [DIRECTION_EVALUATE] = "held-out documents, `evaluate`",
        [DIRECTION_SAMPLE]   = "`generate`",
        [DIRECTION_UPDATE]   = "the end of every step"};
    text_add(
        out,
        "# %d codelets are emitted: every level and half that a plan may ask of a chunk, "
        "whoever made it.\n# Tokens, context and segments are arguments of each: no length has "
        "code of its own.\n",
        table->count);
    for (int direction = 0; direction < NDIRECTIONS; direction++) {
        text_add(out, "#   %-8s", direction_names[direction]);
        list_parts(table, (Direction)direction, out);
        text_add(out, ": %s\n", why[direction]);
    }
}

/* ---- read ---- */

typedef struct Reader {
    Region     *region;
    const char *name;
    int         line;
    char      **words; /* of this line */
    int         nwords, word_room;
    const char *rest; /* of this line, from its third word on */
    Codelets   *table;
    int         item_room, operand_room, line_room, temporary_room, room_room;
    Error      *error;
} Reader;

static bool complain(Reader *reader, const char *found, const char *expected)
{
    Place place = {reader->name, reader->line};
    return error_at(reader->error, place, .field = "codelets", .found = found,
                    .expected = expected);
}

static void split_words(Reader *reader, const char *text)
{
    reader->nwords = 0;
    while (*(text += strspn(text, " "))) {
        size_t length = strcspn(text, " ");
        REGION_APPEND(reader->region, reader->words, reader->nwords, reader->word_room,
                      region_format(reader->region, "%.*s", (int)length, text));
        if (reader->nwords == 3)
            reader->rest = text;
        text += length;
    }
}

static bool find_word(Reader *reader, int word, const char *const *names, int count, int *index)
{
    for (*index = 0; *index < count; ++*index)
        if (strcmp(names[*index], reader->words[word]) == 0)
            return true;
    return complain(reader, reader->words[word], "a name that the table knows");
}

static bool find_number(Reader *reader, int word, int64_t *number)
{
    char *end;
    *number = strtoll(reader->words[word], &end, 10);
    return *end == 0 || complain(reader, reader->words[word], "a whole number");
}

static bool find_double(Reader *reader, int word, double *number)
{
    char *end;
    *number = strtod(reader->words[word], &end);
    return *end == 0 || complain(reader, reader->words[word], "a number");
}

static bool read_codelet(Reader *reader)
{
    int part, direction, level, half;
    if (!find_word(reader, 2, part_names, NPARTS, &part) ||
        !find_word(reader, 3, direction_names, NDIRECTIONS, &direction) ||
        !find_word(reader, 4, level_names, NLEVELS, &level) ||
        !find_word(reader, 5, half_names, NHALVES, &half))
        return false;
    Codelet codelet   = {.name = reader->words[1], .part = (Part)part, .origin = ""};
    codelet.direction = (Direction)direction;
    codelet.level     = (Level)level;
    codelet.half      = (Half)half;
    REGION_APPEND(reader->region, reader->table->items, reader->table->count, reader->item_room,
                  codelet);
    reader->operand_room = reader->line_room = 0;
    reader->temporary_room = reader->room_room = 0;
    return true;
}

static Codelet *current(Reader *reader)
{
    return &reader->table->items[reader->table->count - 1];
}

static bool read_operand(Reader *reader)
{
    Codelet *codelet = current(reader);
    int      role, access, rows;
    int64_t  columns, bytes, shift, weight;
    if (!find_word(reader, 2, role_names, NROLES, &role) ||
        !find_word(reader, 3, access_names, COUNT(access_names), &access) ||
        !find_word(reader, 4, row_names, COUNT(row_names), &rows) ||
        !find_number(reader, 5, &columns) || !find_number(reader, 7, &bytes) ||
        !find_number(reader, 9, &shift) || !find_number(reader, 11, &weight))
        return false;
    CodeletOperand operand = {reader->words[1], (Role)role, (Access)access, (Rows)rows,
                              columns,          (int)bytes, (int)shift,     (int)weight};
    REGION_APPEND(reader->region, codelet->operands, codelet->noperands, reader->operand_room,
                  operand);
    return true;
}

static bool read_temporary(Reader *reader)
{
    Codelet         *codelet   = current(reader);
    CodeletTemporary temporary = {.name = reader->words[1]};
    if (!find_number(reader, 2, &temporary.token_bytes))
        return false;
    REGION_APPEND(reader->region, codelet->temporaries, codelet->ntemporaries,
                  reader->temporary_room, temporary);
    return true;
}

static bool read_room(Reader *reader)
{
    Codelet    *codelet = current(reader);
    CodeletRoom room    = {.kernel = reader->words[1]};
    if (!find_number(reader, 2, &room.token_bytes) || !find_number(reader, 6, &room.most_tokens) ||
        !find_number(reader, 8, &room.fixed_bytes))
        return false;
    REGION_APPEND(reader->region, codelet->rooms, codelet->nrooms, reader->room_room, room);
    return true;
}

static bool read_line(Reader *reader)
{
    Codelet    *codelet = current(reader);
    CodeletLine line    = {reader->words[1], region_copy(reader->region, reader->rest)};
    REGION_APPEND(reader->region, codelet->lines, codelet->nlines, reader->line_room, line);
    return true;
}

static bool read_work(Reader *reader)
{
    Codelet *codelet = current(reader);
    return find_double(reader, 1, &codelet->flops_per_token) &&
           find_double(reader, 5, &codelet->flops_per_pair) &&
           find_double(reader, 8, &codelet->bytes_per_token);
}

static bool read_origin(Reader *reader)
{
    Codelet *codelet = current(reader);
    codelet->origin  = region_format(reader->region, "%s %s", reader->words[1], reader->rest);
    return true;
}

static bool read_statement(Reader *reader)
{
    static const struct {
        const char *word;
        int         least, most; /* words of the line */
        bool (*read)(Reader *reader);
    } statements[] = {
        {"codelet", 6, 6, read_codelet},     {"operand", 12, 12, read_operand},
        {"temporary", 5, 5, read_temporary}, {"room", 9, 9, read_room},
        {"line", 3, 1000, read_line},        {"work", 12, 12, read_work},
        {"from", 3, 1000, read_origin},
    };
    for (int i = 0; i < COUNT(statements); i++) {
        if (strcmp(statements[i].word, reader->words[0]) != 0)
            continue;
        if (reader->nwords < statements[i].least || reader->nwords > statements[i].most)
            return complain(reader, statements[i].word, "another number of words");
        if (i > 0 && reader->table->count == 0)
            return complain(reader, statements[i].word, "a codelet line first");
        return statements[i].read(reader);
    }
    return complain(reader, reader->words[0],
                    "codelet, operand, temporary, room, line, work or from");
}

Codelets *codelets_read(Region *region, const char *text, const char *name, Error *error)
{
    Reader reader = {.region = region, .name = name, .error = error};
    reader.table  = REGION_NEW(region, Codelets);
    while (*text) {
        size_t length = strcspn(text, "\n");
        reader.line++;
        split_words(&reader, region_format(region, "%.*s", (int)length, text));
        bool skipped = reader.nwords == 0 || *reader.words[0] == '#' ||
                       strcmp(reader.words[0], "codelets") == 0;
        if (!skipped && !read_statement(&reader))
            return NULL;
        text += length + (text[length] == '\n');
    }
    return reader.table;
}

/* ---- check ---- */

static bool has_place(const Codelet *codelet, const char *argument, size_t length)
{
    const char *name  = argument + 1;
    size_t      plain = strcspn(name, "+,");
    int         shift = plain + 1 < length ? atoi(name + plain) : 0;
    if (codelet->nrooms && plain == strlen("room") && strncmp(argument, "@room", length) == 0)
        return true;
    if (*argument == '@') {
        for (int i = 0; i < codelet->ntemporaries; i++)
            if (strlen(codelet->temporaries[i].name) == plain &&
                strncmp(codelet->temporaries[i].name, name, plain) == 0)
                return true;
        return false;
    }
    for (int i = 0; i < codelet->noperands; i++)
        if (codelet->operands[i].shift == shift && strlen(codelet->operands[i].name) == plain &&
            strncmp(codelet->operands[i].name, name, plain) == 0)
            return true;
    return false;
}

static bool check_line(const Codelet *codelet, const CodeletLine *line, Error *error)
{
    if (!kernel_exists(line->kernel))
        return error_input(error, "%s: there is no kernel %s", codelet->name, line->kernel);
    for (const char *at = line->arguments; *at;) {
        size_t length = strcspn(at, ",");
        if ((*at == '$' || *at == '@') && !has_place(codelet, at, length))
            return error_input(error, "%s: %s: \"%.*s\" is neither an operand nor a temporary",
                               codelet->name, line->kernel, (int)length, at);
        at += length;
        at += strspn(at, ", ");
    }
    return true;
}

static bool check_operand(const Codelet *codelet, int index, const Model *model, Error *error)
{
    const CodeletOperand *operand = &codelet->operands[index];
    if (operand->weight < -1 || operand->weight >= model->nweights)
        return error_input(error, "%s: %s: weight %d of %d", codelet->name, operand->name,
                           operand->weight, model->nweights);
    if (operand->rows != ROWS_ONE && operand->columns <= 0)
        return error_input(error, "%s: %s: rows without columns", codelet->name, operand->name);
    for (int i = 0; i < index; i++)
        if (strcmp(codelet->operands[i].name, operand->name) == 0 &&
            codelet->operands[i].shift == operand->shift)
            return error_input(error, "%s: two operands are called %s", codelet->name,
                               operand->name);
    return true;
}

bool codelets_check(const Codelets *table, const Model *model, Error *error)
{
    for (int i = 0; i < table->count; i++) {
        const Codelet *codelet = &table->items[i];
        if (codelet_named(table, codelet->name) != i)
            return error_input(error, "two codelets are called %s", codelet->name);
        if (codelet->noperands > PW_MAX_OPERANDS)
            return error_input(error, "%s: %d operands, more than %d", codelet->name,
                               codelet->noperands, PW_MAX_OPERANDS);
        for (int j = 0; j < codelet->noperands; j++)
            if (!check_operand(codelet, j, model, error))
                return false;
        for (int j = 0; j < codelet->nlines; j++)
            if (!check_line(codelet, &codelet->lines[j], error))
                return false;
    }
    return true;
}
