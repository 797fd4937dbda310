/* A transport under load, as a program of its own: TSan does not start under Criterion, and mpirun
 * starts programs.
 *   - many random messages between all pairs, each checked byte by byte
 *   - sends that go far ahead of their receives, and receives that are posted far ahead
 *   - threads: once spinning, once sleeping at once
 *   ranks          the transport of threads
 *   ranks FOLDER   that of FOLDER/transport_mpi.so; started by `mpirun -n 4` */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/launch.h"
#include "runtime/stored_program.h"

enum { NRANKS = 4, MESSAGES = 3000, BYTES_MAX = 700, ROUNDS = 4 };

typedef struct Message {
    int from, to, bytes;
} Message;

/* A program of a rank: its sends and receives in the order of the messages; what they complete lags
 * behind by a random number of operations. */
typedef struct Script {
    PwProgram     program;
    PwRank        ranks[NRANKS];
    PwInstruction list[NRANKS][4 * MESSAGES];
    int           count[NRANKS];
} Script;

typedef struct Game {
    PwTransport   *transport;
    const Script  *script;
    unsigned char *memory[NRANKS]; /* a slot of BYTES_MAX for each message of the rank         */
    int            wrong[NRANKS];
    double         all_wrong;
    int            length[NRANKS][MESSAGES]; /* by the rank's message number                   */
} Game;

static uint64_t next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static unsigned char letter(int from, int to, int number, int byte)
{
    return (unsigned char)(from * 31 + to * 7 + number * 13 + byte);
}

static void add(Script *script, int rank, int kind, int peer, int message, int number)
{
    script->list[rank][script->count[rank]++] =
        (PwInstruction){.kind = (uint8_t)kind, .peer = peer, .message = message, .count = number};
}

/* Completes all but the last `behind` of the rank's open messages, oldest first. */
static void complete(Script *script, int rank, int *done, int begun, int behind, const int *kinds)
{
    for (; *done < begun - behind; ++*done)
        add(script, rank, kinds[*done] == PW_SEND ? PW_SENT : PW_WAIT, 0, *done, 0);
}

static void write_script(Script *script, Game *game, uint64_t seed)
{
    static int kinds[NRANKS][MESSAGES];
    int        begun[NRANKS] = {0}, done[NRANKS] = {0}, pairs[NRANKS][NRANKS] = {{0}};
    memset(script, 0, sizeof *script);
    for (int i = 0; i < MESSAGES / 2; i++) {
        int from  = (int)(next(&seed) % NRANKS);
        int to    = (int)((uint64_t)from + 1 + next(&seed) % (NRANKS - 1)) % NRANKS;
        int bytes = (int)(next(&seed) % BYTES_MAX), number = pairs[from][to]++;
        for (int side = 0; side < 2; side++) {
            int rank = side ? to : from, kind = side ? PW_RECEIVE : PW_SEND;
            game->length[rank][begun[rank]] = bytes;
            kinds[rank][begun[rank]]        = kind;
            add(script, rank, kind, side ? from : to, begun[rank]++, number);
            complete(script, rank, &done[rank], begun[rank], (int)(next(&seed) % 40), kinds[rank]);
        }
    }
    script->program.nranks = NRANKS;
    script->program.ranks  = offsetof(Script, ranks);
    for (int rank = 0; rank < NRANKS; rank++) {
        complete(script, rank, &done[rank], begun[rank], 0, kinds[rank]);
        script->ranks[rank].instructions =
            offsetof(Script, list) + (size_t)rank * sizeof script->list[0];
        script->ranks[rank].ninstructions = (uint64_t)script->count[rank];
    }
}

static int from_of(const Script *script, int rank, int message, int *peer)
{
    for (int i = 0; i < script->count[rank]; i++)
        if (script->list[rank][i].message == message && script->list[rank][i].kind == PW_RECEIVE)
            return *peer = script->list[rank][i].peer, (int)script->list[rank][i].count;
    return -1;
}

static void check(Game *game, int rank, int message)
{
    const unsigned char *at   = game->memory[rank] + message * BYTES_MAX;
    int                  peer = 0, number = from_of(game->script, rank, message, &peer);
    for (int byte = 0; byte < game->length[rank][message]; byte++)
        game->wrong[rank] += at[byte] != letter(peer, rank, number, byte);
}

static void play(PwWorker *worker, void *context)
{
    Game        *game = context;
    PwTransport *t    = game->transport;
    int          rank = worker->rank;
    for (int i = 0; i < game->script->count[rank]; i++) {
        const PwInstruction *what  = &game->script->list[rank][i];
        unsigned char       *at    = game->memory[rank] + what->message * BYTES_MAX;
        int                  bytes = game->length[rank][what->message];
        switch (what->kind) {
        case PW_SEND:
            for (int byte = 0; byte < bytes; byte++)
                at[byte] = letter(rank, what->peer, (int)what->count, byte);
            t->send(t, rank, what->peer, what->message, at, bytes);
            break;
        case PW_RECEIVE:
            t->receive(t, rank, what->peer, what->message, at, bytes);
            break;
        case PW_SENT:
            t->sent(t, rank, what->message);
            memset(at, 0xee, (size_t)bytes); /* free to be used again */
            break;
        default:
            t->wait(t, rank, what->message);
            check(game, rank, what->message);
        }
    }
}

/* The same scripts in every process. */
static bool play_round(PwTeam *team, Game *game, Script *script, uint64_t round, PwError *error)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        write_script(script, game, seed + 10 * round);
        if (!game->transport->begin(game->transport, &script->program, error))
            return false;
        pw_team_do(team, play, game);
    }
    return true;
}

static bool play_all(const char *folder, const PwJob *job, Game *game, Script *script,
                     PwError *error)
{
    for (uint64_t round = 0; round < (folder ? 1 : ROUNDS); round++) {
        PwTeam       team      = {0};
        PwTransport *transport = folder ? pw_transport_open("mpi", folder, NRANKS, error)
                                        : pw_threads_open(NRANKS, round % 2 == 0);
        game->transport        = transport;
        if (!transport || !pw_team_open(&team, job, transport, NULL, error) ||
            !play_round(&team, game, script, round, error))
            return false;
        pw_team_close(&team);
        for (int rank = 0; rank < NRANKS; rank++) /* 0 for those of other processes */
            game->all_wrong += pw_sum(transport, game->wrong[rank]);
        memset(game->wrong, 0, sizeof game->wrong);
        transport->close(transport);
    }
    return true;
}

int main(int argc, char **argv)
{
    static Script        script;
    static Game          game;
    static const int64_t bytes[NRANKS] = {4096, 4096, 4096, 4096};
    PwJob                job   = {.nranks = NRANKS, .static_bytes = bytes, .capacity = bytes};
    PwError              error = {{0}, 0};
    for (int rank = 0; rank < NRANKS; rank++)
        game.memory[rank] = malloc((size_t)MESSAGES * BYTES_MAX);
    game.script = &script;
    if (!play_all(argc > 1 ? argv[1] : NULL, &job, &game, &script, &error))
        pw_die(PW_EXIT_FAILED, "%s", error.text);
    for (int rank = 0; rank < NRANKS; rank++)
        free(game.memory[rank]);
    printf("%.0f wrong bytes\n", game.all_wrong);
    return game.all_wrong != 0;
}
