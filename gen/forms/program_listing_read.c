/* program_listing_read: the reader of listings; program_listing.c says how they look.
 *   fails    with the listing's name and line: an unknown word, buffer, codelet or operand, a
 *            number out of range; whether the program is well made is program_check's
 * A listing may be written by hand: numbers of instructions, addresses, what stands in brackets,
 * the order, and every field whose value is the usual one may be left out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gen/forms/program.h"

typedef struct NamedBuffer {
    const char *name;
    int         index;
} NamedBuffer;

/* How many elements the array that grows now has place for. */
typedef struct Rooms {
    int64_t ranks, instructions, buffers, segments, sources, losses, order;
} Rooms;

typedef struct Reader {
    Region         *region;
    const Codelets *codelets;
    Error          *error;
    Place           place;
    char           *at; /* the rest of the line; words are cut off in place                 */
    Program        *program;
    RankProgram    *rank;        /* the one whose lines these are; NULL before the first    */
    Instruction    *instruction; /* the last one; NULL before a rank's first                */
    NamedBuffer    *names;       /* the rank's buffers by name; NULL while some may follow  */
    Rooms           rooms;
    int             stated_ranks; /* by the header; 0: not                                   */
} Reader;

static bool complain(Reader *reader, const char *field, const char *found, const char *expected)
{
    return error_at(reader->error, reader->place, .field = field,
                    .found = found ? found : "nothing", .expected = expected);
}

/* The next word: up to a space, or a comma at a word's end. NULL at the end of the line, and at a
 * round bracket, behind which everything is for people. */
static char *next_word(Reader *reader)
{
    char *word = reader->at + strspn(reader->at, " \t,");
    reader->at = word;
    if (!*word || *word == '(')
        return NULL;
    char *end  = word + strcspn(word, " \t");
    reader->at = *end ? end + 1 : end;
    *end       = 0;
    if (end > word + 1 && end[-1] == ',')
        end[-1] = 0;
    return word;
}

static bool to_integer(const char *word, int64_t least, int64_t most, int64_t *value)
{
    char *end;
    errno  = 0;
    *value = word ? strtoll(word, &end, 0) : 0;
    return word && end != word && !*end && !errno && *value >= least && *value <= most;
}

static bool read_integer(Reader *reader, const char *field, int64_t least, int64_t most,
                         int64_t *value)
{
    char *word = next_word(reader);
    return to_integer(word, least, most, value) || complain(reader, field, word, "a number");
}

static bool read_int(Reader *reader, const char *field, int least, int *value)
{
    int64_t wide = 0;
    bool    good = read_integer(reader, field, least, INT32_MAX, &wide);
    *value       = (int)wide;
    return good;
}

static bool read_double(Reader *reader, const char *field, double *value)
{
    char *word = next_word(reader), *end = NULL;
    *value = word ? strtod(word, &end) : 0;
    return (word && end != word && !*end) || complain(reader, field, word, "a number");
}

/* "[12,1400)": first and past. */
static bool to_range(const char *text, int64_t *first, int64_t *past)
{
    char *end;
    if (*text != '[')
        return false;
    *first = strtoll(text + 1, &end, 10);
    if (end == text + 1 || *end != ',')
        return false;
    text  = end + 1;
    *past = strtoll(text, &end, 10);
    return end != text && !strcmp(end, ")") && *first >= 0 && *past > *first;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const NamedBuffer *)a)->name, ((const NamedBuffer *)b)->name);
}

static bool sort_names(Reader *reader)
{
    int n         = reader->rank->nbuffers;
    reader->names = REGION_ARRAY(reader->region, NamedBuffer, n + 1);
    for (int i = 0; i < n; i++)
        reader->names[i] = (NamedBuffer){reader->rank->buffers[i].name, i};
    qsort(reader->names, (size_t)n, sizeof *reader->names, by_name);
    for (int i = 1; i < n; i++)
        if (!strcmp(reader->names[i].name, reader->names[i - 1].name))
            return complain(reader, "buffer", reader->names[i].name, "names that differ");
    return true;
}

static bool find_buffer(Reader *reader, const char *name, int *index)
{
    if (!reader->names && !sort_names(reader))
        return false;
    NamedBuffer        key = {name, 0};
    const NamedBuffer *found =
        bsearch(&key, reader->names, (size_t)reader->rank->nbuffers, sizeof key, by_name);
    *index = found ? found->index : -1;
    return found || complain(reader, "buffer", name, "one of this rank's buffers");
}

/* "S2.L4.kv[0,1400)@0x28a3000"; rows and address may be missing. */
static bool to_operand(Reader *reader, char *word, Access access, Operand *operand)
{
    int64_t first = 0, past = 0, stated = -1;
    char   *address = strchr(word, '@');
    if (address && !to_integer(address + 1, 0, INT64_MAX, &stated))
        return complain(reader, "address", address, "@ and a number");
    if (address)
        *address = 0;
    char *rows = strchr(word, '[');
    if (rows && !to_range(rows, &first, &past))
        return complain(reader, "rows", rows, "[FIRST,PAST)");
    if (rows)
        *rows = 0;
    operand->access = access;
    if (!find_buffer(reader, word, &operand->buffer))
        return false;
    const Buffer *buffer = &reader->rank->buffers[operand->buffer];
    operand->row         = rows ? first : 0;
    operand->rows        = rows ? past - first : buffer->rows;
    if (operand->rows > buffer->rows || operand->row > buffer->rows - operand->rows)
        return complain(reader, "rows", rows ? "more than it has" : NULL, buffer->name);
    if (stated >= 0 && stated != buffer->offset + operand->row * buffer->row_bytes)
        return complain(reader, "address", address + 1, "the place that the buffer's line gives");
    return true;
}

/* The operand of that formal name ("input", "input+1") that has no buffer yet; -1: none. */
static int find_formal(const Instruction *instruction, const Codelet *codelet, const char *name)
{
    static const char *const load[] = {"tokens", "targets", "weights"};
    size_t                   length = strcspn(name, "+-");
    int                      shift  = (int)strtol(name + length, NULL, 10);
    for (int i = 0; i < instruction->noperands && (codelet || i < COUNT(load)); i++) {
        const char *formal = codelet ? codelet->operands[i].name : load[i];
        if (instruction->operands[i].buffer < 0 && strlen(formal) == length &&
            !strncmp(formal, name, length) && (!codelet || codelet->operands[i].shift == shift))
            return i;
    }
    return -1;
}

/* "reads a=B, c=D": the operands of a call or load, by name. */
static bool read_named_operands(Reader *reader, Access access)
{
    Instruction   *instruction = reader->instruction;
    const Codelet *codelet =
        instruction->kind == PW_CALL ? &reader->codelets->items[instruction->codelet] : NULL;
    for (char *word; (word = next_word(reader));) {
        char *value = strchr(word, '=');
        if (!value)
            return complain(reader, "operand", word, "NAME=BUFFER");
        *value++ = 0;
        int i    = find_formal(instruction, codelet, word);
        if (i < 0)
            return complain(reader, "operand", word,
                            codelet ? codelet->name : "tokens, targets, weights");
        if (!to_operand(reader, value, access, &instruction->operands[i]))
            return false;
    }
    return true;
}

/* "kv=S2.L3.kv+0" */
static bool to_rows_of(Reader *reader, char *value, int *buffer, int64_t *row)
{
    char *plus = strrchr(value, '+');
    *row       = 0;
    if (plus && !to_integer(plus + 1, 0, INT64_MAX, row))
        return complain(reader, "segment", value, "BUFFER+ROW");
    if (plus)
        *plus = 0;
    return find_buffer(reader, value, buffer);
}

/* "segment S2 row 0 [0,1400) kv=S2.L3.kv+0 dkv=S2.L3.dkv+0 kept first" */
static bool read_segment(Reader *reader)
{
    Instruction *call    = reader->instruction;
    CallSegment  segment = {.kv = -1, .dkv = -1};
    char        *word    = next_word(reader);
    int64_t      first, past, sequence;
    if (!word || *word != 'S' || !to_integer(word + 1, 0, INT32_MAX, &sequence))
        return complain(reader, "segment", word, "S and a sequence");
    segment.sequence = (int)sequence;
    while ((word = next_word(reader))) {
        if (!strcmp(word, "row")) {
            if (!read_int(reader, "row", 0, &segment.row))
                return false;
        } else if (!strncmp(word, "kv=", 3)) {
            if (!to_rows_of(reader, word + 3, &segment.kv, &segment.kv_row))
                return false;
        } else if (!strncmp(word, "dkv=", 4)) {
            if (!to_rows_of(reader, word + 4, &segment.dkv, &segment.dkv_row))
                return false;
        } else if (!strcmp(word, "kept")) {
            segment.flags |= PW_SEGMENT_KV_KEPT;
        } else if (!strcmp(word, "first")) {
            segment.flags |= PW_SEGMENT_DKV_FIRST;
        } else if (to_range(word, &first, &past) && past <= INT32_MAX) {
            segment.context = (int)first;
            segment.tokens  = (int)(past - first);
        } else {
            return complain(reader, "segment", word, "row, [FIRST,PAST), kv=, dkv=, kept or first");
        }
    }
    REGION_APPEND(reader->region, call->segments, call->nsegments, reader->rooms.segments, segment);
    return true;
}

/* "source document 5 [0,1400) row 0 sequence 2 context 0" */
static bool read_source(Reader *reader)
{
    Instruction *load   = reader->instruction;
    PwSource     source = {.document = -1};
    for (char *word; (word = next_word(reader));) {
        int64_t past;
        bool    good = true;
        if (!strcmp(word, "document"))
            good = read_integer(reader, word, -1, INT64_MAX, &source.document);
        else if (!strcmp(word, "row"))
            good = read_int(reader, word, 0, &source.row);
        else if (!strcmp(word, "sequence"))
            good = read_int(reader, word, 0, &source.sequence);
        else if (!strcmp(word, "context"))
            good = read_int(reader, word, 0, &source.context);
        else if (to_range(word, &source.start, &past) && past - source.start <= INT32_MAX)
            source.tokens = (int32_t)(past - source.start);
        else
            return complain(reader, "source", word,
                            "document, [FIRST,PAST), row, sequence, context");
        if (!good)
            return false;
    }
    REGION_APPEND(reader->region, load->sources, load->nsources, reader->rooms.sources, source);
    return true;
}

static bool read_attribute(Reader *reader, const char *word)
{
    Instruction *instruction = reader->instruction;
    if (!strcmp(word, "chunk"))
        return read_int(reader, word, -1, &instruction->chunk);
    if (!strcmp(word, "layer"))
        return read_int(reader, word, -2, &instruction->layer);
    if (!strcmp(word, "tokens"))
        return read_int(reader, word, 0, &instruction->tokens);
    if (!strcmp(word, "operation"))
        return read_int(reader, word, -1, &instruction->operation);
    if (!strcmp(word, "count"))
        return read_integer(reader, word, 0, INT64_MAX, &instruction->count);
    if (!strcmp(word, "predicted"))
        return read_double(reader, word, &instruction->predicted);
    if (!strcmp(word, "live"))
        return read_integer(reader, word, 0, INT64_MAX, &instruction->live);
    if (!strcmp(word, "from") || !strcmp(word, "to"))
        return read_int(reader, word, 0, &instruction->peer);
    if (!strcmp(word, "first")) {
        instruction->flags |= PW_CALL_FIRST;
        return true;
    }
    return complain(reader, "instruction", word,
                    "chunk, layer, tokens, operation, count, predicted, live, from, to or first");
}

/* "F0.1": letter, chunk, stage; "E" alone. */
static bool read_operation(Reader *reader)
{
    Instruction *mark = reader->instruction;
    char        *word = next_word(reader), *end;
    mark->operation   = -1;
    if (!word || !*word)
        return complain(reader, "mark", word, "an operation, F0.1");
    mark->letter = *word;
    if (!word[1])
        return true;
    mark->chunk = (int)strtol(word + 1, &end, 10);
    if (*end == '.')
        mark->stage = (int)strtol(end + 1, &end, 10);
    return !*end || complain(reader, "mark", word, "an operation, F0.1");
}

static Operand *missing_operands(Reader *reader, const Codelet *codelet, int count)
{
    Operand *operands = REGION_ARRAY(reader->region, Operand, count);
    for (int i = 0; i < count; i++)
        operands[i] =
            (Operand){.buffer = -1, .access = codelet ? codelet->operands[i].access : ACCESS_WRITE};
    return operands;
}

static bool read_codelet(Reader *reader)
{
    Instruction *call = reader->instruction;
    char        *name = next_word(reader);
    call->codelet     = name ? codelet_named(reader->codelets, name) : -1;
    if (call->codelet < 0)
        return complain(reader, "call", name, "a codelet of the table");
    const Codelet *codelet = &reader->codelets->items[call->codelet];
    call->noperands        = codelet->noperands;
    call->operands         = missing_operands(reader, codelet, call->noperands);
    return true;
}

static bool read_message_number(Reader *reader)
{
    int64_t number = 0;
    char   *word   = next_word(reader);
    if (!word || *word != '#' || !to_integer(word + 1, 0, INT32_MAX, &number))
        return complain(reader, "message", word, "# and its number");
    reader->instruction->message = (int)number;
    return true;
}

/* What stands without a name: of send, receive, add, clear. */
static bool read_positional(Reader *reader, char *word)
{
    Instruction *instruction = reader->instruction;
    bool         add         = instruction->kind == PW_ADD_TO;
    int          most        = add ? 2 : 1;
    Access       access      = instruction->kind == PW_SEND || instruction->noperands ? ACCESS_READ
                               : add                                                  ? ACCESS_ADD
                                     : ACCESS_WRITE;
    if (!instruction->operands)
        instruction->operands = REGION_ARRAY(reader->region, Operand, 2);
    if (instruction->noperands == most)
        return complain(reader, "operand", word, "fewer");
    return to_operand(reader, word, access, &instruction->operands[instruction->noperands++]);
}

static bool is_attribute(const char *word)
{
    static const char *const words[] = {"chunk", "layer",     "tokens", "operation", "count",
                                        "from",  "predicted", "to",     "first",     "live"};
    for (int i = 0; i < COUNT(words); i++)
        if (!strcmp(word, words[i]))
            return true;
    return false;
}

static bool read_instruction(Reader *reader, int kind, char *note)
{
    Instruction  blank = {.kind = (PwInstructionKind)kind, .chunk = -1, .layer = -2, .note = note};
    RankProgram *rank  = reader->rank;
    REGION_APPEND(reader->region, rank->instructions, rank->ninstructions,
                  reader->rooms.instructions, blank);
    Instruction *instruction = &rank->instructions[rank->ninstructions - 1];
    reader->instruction      = instruction;
    reader->rooms.segments = reader->rooms.sources = 0;
    bool takes_operands =
        kind == PW_SEND || kind == PW_RECEIVE || kind == PW_ADD_TO || kind == PW_CLEAR;
    if (kind == PW_CALL && !read_codelet(reader))
        return false;
    if (kind == PW_MARK && !read_operation(reader))
        return false;
    if (kind == PW_LOAD) {
        instruction->noperands = 3;
        instruction->operands  = missing_operands(reader, NULL, 3);
    }
    if ((kind == PW_SEND || kind == PW_SENT || kind == PW_RECEIVE || kind == PW_WAIT) &&
        !read_message_number(reader))
        return false;
    for (char *word; (word = next_word(reader));)
        if (!(takes_operands && !is_attribute(word) ? read_positional(reader, word)
                                                    : read_attribute(reader, word)))
            return false;
    return true;
}

/* "buffer C0.L3.input [1400][1024] static at 0x2600000" */
static bool read_buffer(Reader *reader)
{
    Buffer buffer = {.offset = -1};
    char  *name   = next_word(reader);
    if (!name || strpbrk(name, "[]@=#"))
        return complain(reader, "buffer", name, "a name without [ ] @ = #");
    buffer.name = region_copy(reader->region, name);
    char *shape = next_word(reader), *end = NULL;
    if (shape && *shape == '[') {
        buffer.rows = strtoll(shape + 1, &end, 10);
        if (!strncmp(end, "][", 2))
            buffer.row_bytes = strtoll(end + 2, &end, 10);
    }
    if (!end || strcmp(end, "]") != 0 || buffer.rows <= 0 || buffer.row_bytes <= 0 ||
        buffer.rows > INT64_MAX / 2 / buffer.row_bytes)
        return complain(reader, "buffer", shape, "[ROWS][BYTES OF A ROW]");
    buffer.bytes = pw_align(buffer.rows * buffer.row_bytes);
    for (char *word; (word = next_word(reader));) {
        if (!strcmp(word, "static"))
            buffer.is_static = true;
        else if (strcmp(word, "at") != 0)
            return complain(reader, "buffer", word, "static, or at and a place");
        else if (!read_integer(reader, "at", 0, INT64_MAX / 2, &buffer.offset))
            return false;
    }
    if (reader->names)
        return complain(reader, "buffer", buffer.name, "buffers before the first instruction");
    REGION_APPEND(reader->region, reader->rank->buffers, reader->rank->nbuffers,
                  reader->rooms.buffers, buffer);
    return true;
}

/* "rank 0: static 4096, capacity 1073741824, arena 69206016, full at 187" */
static bool read_rank(Reader *reader)
{
    char       *word  = next_word(reader);
    RankProgram blank = {.capacity = INT64_MAX / 2, .peak = -1, .peak_instruction = -1};
    int64_t     index, peak_instruction;
    if (word && *word && word[strlen(word) - 1] == ':')
        word[strlen(word) - 1] = 0;
    if (!to_integer(word, reader->program->nranks, reader->program->nranks, &index))
        return complain(reader, "rank", word, "the ranks in order");
    while ((word = next_word(reader))) {
        bool good;
        if (!strcmp(word, "static")) {
            good = read_integer(reader, word, 0, INT64_MAX / 2, &blank.static_bytes);
        } else if (!strcmp(word, "capacity")) {
            good = read_integer(reader, word, 0, INT64_MAX / 2, &blank.capacity);
        } else if (!strcmp(word, "arena")) {
            good = read_integer(reader, word, 0, INT64_MAX / 2, &blank.peak);
        } else if (!strcmp(word, "full")) {
            word = next_word(reader);
            good = word && !strcmp(word, "at") &&
                   read_integer(reader, "full at", -1, INT32_MAX, &peak_instruction);
            blank.peak_instruction = good ? (int)peak_instruction : -1;
        } else {
            return complain(reader, "rank", word, "static, capacity, arena or full at");
        }
        if (!good)
            return false;
    }
    REGION_APPEND(reader->region, reader->program->ranks, reader->program->nranks,
                  reader->rooms.ranks, blank);
    reader->rank               = &reader->program->ranks[reader->program->nranks - 1];
    reader->instruction        = NULL;
    reader->names              = NULL;
    reader->rooms.instructions = reader->rooms.buffers = 0;
    return true;
}

/* "program: train, step 12, ranks 2, sequences 3, tokens 6022, weight 6019, position 36" */
static bool read_header(Reader *reader)
{
    Program *program = reader->program;
    char    *word    = next_word(reader);
    for (program->kind = PW_TRAIN; program_kind_names[program->kind]; program->kind++)
        if (word && !strcmp(word, program_kind_names[program->kind]))
            break;
    if (!program_kind_names[program->kind])
        return complain(reader, "program", word, "train, evaluate or generate");
    while ((word = next_word(reader))) {
        bool good;
        if (!strcmp(word, "step"))
            good = read_integer(reader, word, 0, INT64_MAX, &program->step);
        else if (!strcmp(word, "ranks"))
            good = read_int(reader, word, 1, &reader->stated_ranks);
        else if (!strcmp(word, "sequences"))
            good = read_int(reader, word, 0, &program->nsequences);
        else if (!strcmp(word, "tokens"))
            good = read_integer(reader, word, 0, INT64_MAX, &program->tokens);
        else if (!strcmp(word, "position"))
            good = read_integer(reader, word, 0, INT64_MAX, &program->position);
        else if (!strcmp(word, "weight"))
            good = read_double(reader, word, &program->weight);
        else if (!strcmp(word, "predicted"))
            good = read_double(reader, word, &program->predicted_seconds);
        else
            return complain(reader, "program", word,
                            "step, ranks, sequences, tokens, weight, position or predicted");
        if (!good)
            return false;
    }
    return true;
}

static bool read_losses(Reader *reader)
{
    for (char *word; (word = next_word(reader));) {
        int64_t sequence;
        if (!to_integer(word, 0, INT32_MAX, &sequence))
            return complain(reader, "losses", word, "the sequence of each row");
        REGION_APPEND(reader->region, reader->program->loss_sequence, reader->program->nlosses,
                      reader->rooms.losses, (int32_t)sequence);
    }
    return true;
}

/* "order 0:0-5 1:0": runs of one rank's instructions. */
static bool read_order(Reader *reader)
{
    Program *program = reader->program;
    for (char *word; (word = next_word(reader));) {
        char *end  = word;
        long  rank = strtol(word, &end, 10), first = -1, last = -1;
        if (*end == ':')
            first = last = strtol(end + 1, &end, 10);
        if (*end == '-')
            last = strtol(end + 1, &end, 10);
        if (*end || rank < 0 || rank >= program->nranks || first < 0 || last < first ||
            last >= program->ranks[rank].ninstructions)
            return complain(reader, "order", word, "RANK:FIRST-LAST of the instructions above");
        for (long i = first; i <= last; i++)
            REGION_APPEND(reader->region, program->order, program->norder, reader->rooms.order,
                          ((PwOrder){(int32_t)rank, (int32_t)i}));
    }
    return true;
}

static bool read_plan_hash(Reader *reader)
{
    char *word = next_word(reader);
    if (!word || strlen(word) != 64)
        return complain(reader, "plan", word, "64 hexadecimal digits");
    memcpy(reader->program->plan_hash, word, 64);
    return true;
}

/* Whether the line goes on with the last instruction: operands by name, segments, sources. */
static bool continues(Reader *reader, const char *word, bool *good)
{
    static const char *const accesses[] = {"reads", "writes", "adds"};
    const Instruction       *last       = reader->instruction;
    if (!last || (last->kind != PW_CALL && last->kind != PW_LOAD))
        return false;
    for (int access = 0; access < COUNT(accesses); access++)
        if (!strcmp(word, accesses[access])) {
            *good = read_named_operands(reader, (Access)access);
            return true;
        }
    if (last->kind == PW_CALL && !strcmp(word, "segment"))
        *good = read_segment(reader);
    else if (last->kind == PW_LOAD && !strcmp(word, "source"))
        *good = read_source(reader);
    else
        return false;
    return true;
}

static bool read_rank_line(Reader *reader, char *word, char *note)
{
    bool    good;
    int64_t number;
    if (!reader->rank)
        return complain(reader, "listing", word, "program: or rank 0:");
    if (!strcmp(word, "buffer"))
        return read_buffer(reader);
    if (continues(reader, word, &good)) {
        if (note) /* printed behind the last line of an instruction */
            reader->instruction->note = note;
        return good;
    }
    if (to_integer(word, 0, INT32_MAX, &number)) {
        if (number != reader->rank->ninstructions)
            return complain(reader, "instruction", word,
                            "the rank's next number; the numbers may also be left out");
        word = next_word(reader);
    }
    for (int kind = 0; kind < PW_NINSTRUCTIONS; kind++)
        if (word && !strcmp(word, instruction_names[kind]))
            return read_instruction(reader, kind, note);
    return complain(reader, "instruction", word,
                    "load, call, send, sent, receive, wait, add, clear "
                    "or mark");
}

static bool read_line(Reader *reader, char *line)
{
    char *note = strstr(line, " ; ");
    if (note) {
        *note = 0;
        note += 3;
    }
    reader->at = line;
    char *word = next_word(reader);
    if (!word || *word == '#')
        return true;
    if (!strcmp(word, "program:"))
        return read_header(reader);
    if (!strcmp(word, "plan"))
        return read_plan_hash(reader);
    if (!strcmp(word, "losses"))
        return read_losses(reader);
    if (!strcmp(word, "rank"))
        return read_rank(reader);
    if (!strcmp(word, "order"))
        return read_order(reader);
    return read_rank_line(reader, word, note);
}

Program *program_read(Region *region, const char *text, const char *name, const Codelets *codelets,
                      Error *error)
{
    Reader reader  = {.region = region, .codelets = codelets, .error = error, .place = {name, 0}};
    reader.program = REGION_NEW(region, Program);
    reader.program->region = region;
    char *line             = region_copy(region, text);
    while (line) {
        char *end = strchr(line, '\n');
        if (end)
            *end = 0;
        reader.place.line++;
        if (!read_line(&reader, line))
            return NULL;
        line = end ? end + 1 : NULL;
    }
    int nranks = reader.program->nranks;
    if (!nranks || (reader.stated_ranks && reader.stated_ranks != nranks)) {
        complain(&reader, "listing", region_format(region, "%d ranks", nranks),
                 "as many as its first line says, at least one");
        return NULL;
    }
    return reader.program;
}
