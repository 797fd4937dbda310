/* recorder: events in arrays, a place for each of the last steps, used in turn. The trace is
 * Chrome's JSON: a process for each rank, its computation and its waiting on tracks of their own
 * (slices of one track must nest), an arrow for each message, the arena's bytes in use. */
#include "runtime/recorder.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/disk.h"
#include "runtime/json.h"

enum { TRACK_COMPUTE, TRACK_MESSAGES, TRACK_OPERATIONS };

int64_t pw_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

bool pw_recorder_open(PwRecorder *recorder, PwTransport *transport, int keep, int64_t first,
                      int64_t last, PwError *error)
{
    int nranks = transport->nranks;
    *recorder  = (PwRecorder){.transport = transport,
                              .nranks    = nranks,
                              .keep      = keep,
                              .first     = first,
                              .last      = last,
                              .steps     = calloc((size_t)keep, sizeof(int64_t)),
                              .records   = calloc((size_t)keep * (size_t)nranks, sizeof(PwRecord))};
    if (!recorder->steps || !recorder->records)
        return pw_fail(error, "no memory to record %d steps", keep);
    for (int i = 0; i < keep; i++)
        recorder->steps[i] = -1;
    return true;
}

static bool make_room(PwRecord *record, int64_t needed)
{
    record->nevents = 0;
    if (needed <= record->room)
        return true;
    free(record->events);
    record->room   = needed + needed / 2;
    record->events = malloc((size_t)record->room * sizeof(PwEvent));
    if (!record->events)
        record->room = 0;
    return record->events != NULL;
}

static bool make_all_room(const PwRecorder *recorder, int place, const PwProgram *program)
{
    PwRecord *records = recorder->records + (size_t)place * (size_t)recorder->nranks;
    for (int rank = 0; rank < recorder->nranks; rank++)
        if (pw_is_mine(recorder->transport, rank) &&
            !make_room(&records[rank], (int64_t)pw_program_rank(program, rank)->ninstructions))
            return false;
    return true;
}

PwRecord *pw_recorder_begin(PwRecorder *recorder, const PwProgram *program)
{
    int64_t step = program->step;
    if (recorder->keep == 0 || step < recorder->first || step > recorder->last)
        return NULL;
    int place              = (int)(step % recorder->keep);
    recorder->steps[place] = -1;
    /* The places that are still empty as well: later steps find them ready. */
    for (int i = 0; i < recorder->keep; i++)
        if (recorder->steps[i] < 0 && !make_all_room(recorder, i, program))
            return NULL; /* no memory: the step is not recorded, and runs all the same */
    recorder->steps[place] = step;
    return recorder->records + (size_t)place * (size_t)recorder->nranks;
}

double pw_recorder_waited(const PwRecorder *recorder, const PwRecord *records)
{
    int64_t waited = 0;
    for (int rank = 0; records && rank < recorder->nranks; rank++)
        for (int64_t i = 0; i < records[rank].nevents; i++) {
            const PwEvent *event = &records[rank].events[i];
            if (event->instruction.kind == PW_SENT || event->instruction.kind == PW_WAIT)
                waited += event->end - event->begin;
        }
    return pw_sum(recorder->transport, (double)waited) / 1e9 / recorder->nranks;
}

static int track_of(int kind)
{
    return kind >= PW_SEND && kind <= PW_WAIT ? TRACK_MESSAGES : TRACK_COMPUTE;
}

static void add_slice(PwJsonText *text, const PwEvent *event, const PwJob *job, int rank,
                      int64_t step, int64_t origin)
{
    const PwInstruction *instruction = &event->instruction;
    char                 what[200];
    pw_describe(instruction, job, what, sizeof what);
    pw_json_add(text, ",\n{\"ph\":\"X\",\"name\":");
    pw_json_add_string(text, instruction->kind == PW_CALL ? job->codelets[instruction->codelet].name
                                                          : pw_instruction_name(instruction->kind));
    pw_json_add(text,
                ",\"cat\":\"step\",\"pid\":%d,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,\"args\":{"
                "\"step\":%lld,\"layer\":%d,\"chunk\":%d,\"tokens\":%d,\"predicted_us\":%.3f,"
                "\"what\":",
                rank, track_of(instruction->kind), (double)(event->begin - origin) / 1e3,
                (double)(event->end - event->begin) / 1e3, (long long)step, instruction->layer,
                instruction->chunk, instruction->tokens, instruction->predicted * 1e6);
    pw_json_add_string(text, what);
    pw_json_add(text, "}}");
}

/* From a mark to the next one: an operation of the plan. */
static void add_operation(PwJsonText *text, const PwEvent *mark, int64_t end, int rank,
                          int64_t origin)
{
    const PwInstruction *instruction = &mark->instruction;
    pw_json_add(text, ",\n{\"ph\":\"X\",\"name\":\"%.4s", instruction->letter);
    if (instruction->chunk >= 0)
        pw_json_add(text, "%d", instruction->chunk);
    pw_json_add(text, "\",\"cat\":\"operation\",\"pid\":%d,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f}",
                rank, TRACK_OPERATIONS, (double)(mark->begin - origin) / 1e3,
                (double)(end - mark->begin) / 1e3);
}

/* The k-th message from one rank to another: an arrow from its send to its wait. */
static void add_flow(PwJsonText *text, const PwEvent *event, int rank, int64_t step, int64_t number,
                     int64_t origin)
{
    bool start = event->instruction.kind == PW_SEND;
    pw_json_add(text,
                ",\n{\"ph\":\"%s\",\"name\":\"message\",\"cat\":\"message\",\"id\":"
                "\"%lld.%d.%d.%lld\",\"pid\":%d,\"tid\":%d,\"ts\":%.3f%s}",
                start ? "s" : "f", (long long)step, start ? rank : event->instruction.peer,
                start ? event->instruction.peer : rank, (long long)number, rank, TRACK_MESSAGES,
                (double)((start ? event->begin : event->end) - origin) / 1e3,
                start ? "" : ",\"bp\":\"e\"");
}

/* What the program says is in use; a real arena holds the same bytes. */
static void add_live(PwJsonText *text, const PwEvent *event, int rank, int64_t origin)
{
    pw_json_add(text,
                ",\n{\"ph\":\"C\",\"name\":\"arena live bytes\",\"pid\":%d,\"ts\":%.3f,"
                "\"args\":{\"bytes\":%lld}}",
                rank, (double)(event->begin - origin) / 1e3, (long long)event->instruction.live);
}

/* How many messages of the same pair and direction came before this one. */
static int64_t number_of(const PwRecord *record, const PwEvent *event)
{
    int     kind   = event->instruction.kind == PW_WAIT ? PW_RECEIVE : event->instruction.kind;
    int64_t number = 0;
    for (const PwEvent *e = record->events; e < record->events + record->nevents; e++) {
        if (e->instruction.kind != kind || e->instruction.peer != event->instruction.peer)
            continue;
        if (e->instruction.message == event->instruction.message)
            break;
        number++;
    }
    return number;
}

static void add_record(PwJsonText *text, const PwRecord *record, const PwJob *job, int rank,
                       int64_t step, int64_t origin)
{
    const PwEvent *mark = NULL, *last = record->events + record->nevents - 1;
    int64_t        live = 0;
    for (const PwEvent *event = record->events; event <= last; event++) {
        if (event->instruction.live != live)
            add_live(text, event, rank, origin);
        live = event->instruction.live;
        if (event->instruction.kind != PW_MARK) {
            add_slice(text, event, job, rank, step, origin);
        } else {
            if (mark)
                add_operation(text, mark, event->begin, rank, origin);
            mark = event;
        }
        if (event->instruction.kind == PW_SEND || event->instruction.kind == PW_WAIT)
            add_flow(text, event, rank, step, number_of(record, event), origin);
    }
    if (mark)
        add_operation(text, mark, last->end, rank, origin);
}

static void add_names(PwJsonText *text, int nranks)
{
    static const char *const tracks[] = {"compute", "messages", "operations"};
    for (int rank = 0; rank < nranks; rank++) {
        pw_json_add(text,
                    "%s{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,\"args\":"
                    "{\"name\":\"rank %d\"}}",
                    rank ? ",\n" : "", rank, rank);
        for (int track = 0; track < 3; track++)
            pw_json_add(text,
                        ",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%d,\"tid\":%d,"
                        "\"args\":{\"name\":\"%s\"}}",
                        rank, track, tracks[track]);
    }
}

/* What other processes recorded comes to the leader. */
static bool collect(PwRecorder *recorder, PwError *error)
{
    for (int i = 0; i < recorder->keep * recorder->nranks; i++) {
        PwRecord *record = &recorder->records[i];
        int       rank   = i % recorder->nranks;
        int64_t   events = record->nevents;
        pw_carry(recorder->transport, rank, 0, &events, sizeof events);
        if (pw_leads(recorder->transport) && events > record->room && !make_room(record, events))
            return pw_fail(error, "no memory for %lld events of rank %d", (long long)events, rank);
        record->nevents = events;
        pw_carry(recorder->transport, rank, 0, record->events,
                 events * (int64_t)sizeof *record->events);
    }
    return true;
}

bool pw_recorder_write(PwRecorder *recorder, const PwJob *job, const char *folder, const char *name,
                       PwError *error)
{
    PwJsonText text   = {0};
    int64_t    origin = INT64_MAX;
    int        places = recorder->keep * recorder->nranks;
    if (!collect(recorder, error))
        return false;
    if (!pw_leads(recorder->transport))
        return true;
    for (int i = 0; i < places; i++)
        if (recorder->records[i].nevents > 0 && recorder->records[i].events[0].begin < origin)
            origin = recorder->records[i].events[0].begin;
    pw_json_add(&text, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n");
    add_names(&text, recorder->nranks);
    for (int i = 0; i < places; i++)
        if (recorder->steps[i / recorder->nranks] >= 0 && recorder->records[i].nevents > 0)
            add_record(&text, &recorder->records[i], job, i % recorder->nranks,
                       recorder->steps[i / recorder->nranks], origin);
    pw_json_add(&text, "\n]}\n");
    bool good = pw_disk_replace(folder, name, text.at, error);
    free(text.at);
    return good;
}

void pw_recorder_close(PwRecorder *recorder)
{
    for (int i = 0; recorder->records && i < recorder->keep * recorder->nranks; i++)
        free(recorder->records[i].events);
    free(recorder->records);
    free(recorder->steps);
    *recorder = (PwRecorder){0};
}
