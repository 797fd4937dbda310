/* base: the ground that all else stands on. */
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/base/process.h"
#include "gen/base/random.h"
#include "gen/base/text.h"
#include "tests/support/own_folder.h"

TestSuite(base, .init = open_folder, .fini = close_folder);

Test(base, region_memory_is_zeroed_aligned_and_apart)
{
    unsigned char *blocks[2000];
    size_t         sizes[2000];
    uint64_t       seed = 3;
    for (int i = 0; i < 2000; i++) {
        sizes[i]  = (size_t)random_below(&seed, i % 50 == 0 ? 100000 : 200);
        blocks[i] = region_alloc(region, sizes[i]);
        cr_assert_eq((uintptr_t)blocks[i] % 16, 0);
        for (size_t j = 0; j < sizes[i]; j++)
            cr_assert_eq(blocks[i][j], 0);
        memset(blocks[i], i % 255 + 1, sizes[i]);
    }
    for (int i = 0; i < 2000; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            cr_assert_eq(blocks[i][j], i % 255 + 1);
}

Test(base, appending_keeps_what_was_there)
{
    int *numbers = NULL, count = 0, room = 0;
    for (int i = 0; i < 1000; i++)
        REGION_APPEND(region, numbers, count, room, i);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(numbers[i], i);
}

Test(base, text_grows_and_keeps_bytes_of_zero)
{
    Text text = text_new(region);
    for (int i = 0; i < 500; i++)
        text_add(&text, "%d,", i);
    cr_assert_eq(text.length, 10 * 2 + 90 * 3 + 400 * 4);
    cr_assert_eq(strlen(text.at), text.length);
    text_bytes(&text, "a\0b", 3);
    cr_assert_eq(memcmp(text.at + text.length - 3, "a\0b", 4), 0);
}

Test(base, doubles_read_back_to_the_same_bits)
{
    uint64_t seed = 11;
    cr_assert_str_eq(text_double(region, 0.1), "0.1");
    cr_assert_str_eq(text_double(region, 1e-5), "1e-05");
    cr_assert_str_eq(text_double(region, 3), "3");
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = random_next(&seed);
        double   value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        double   back = strtod(text_double(region, value), NULL);
        uint64_t back_bits;
        memcpy(&back_bits, &back, sizeof back);
        cr_assert_eq(back_bits, bits);
    }
}

Test(base, token_counts_are_exact)
{
    static const struct {
        const char *text;
        int64_t     tokens; /* -1: refused */
    } cases[] = {
        {"2K", 2048},
        {"1 M", 1 << 20},
        {"3G", INT64_C(3) << 30},
        {"0.5K", 512},
        {"1.5 K", 1536},
        {"17", 17},
        {"17 tokens", 17},
        {"0.1K", -1},
        {"2 KiB", -1},
        {"", -1},
        {"-1", -1},
        {"1.", -1},
        {".5K", -1},
        {"1e3", -1},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775808", -1},
        {"9000000000G", -1},
        {"4 k", -1},
        {" 4", -1},
        {"1.2.3K", -1},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        int64_t tokens = -1;
        bool    read   = text_to_tokens(cases[i].text, &tokens);
        cr_assert_eq(read, cases[i].tokens >= 0, "%s", cases[i].text);
        cr_assert(!read || tokens == cases[i].tokens, "%s", cases[i].text);
    }
}

Test(base, markup_in_a_name_is_shown_as_it_is)
{
    cr_assert_str_eq(text_markup(region, "a<b>&c"), "a&lt;b&gt;&amp;c");
    cr_assert_str_eq(text_markup(region, ""), "");
}

Test(base, a_path_loses_its_ending_once)
{
    cr_assert_str_eq(path_without(region, "a/b.lua", ".lua"), "a/b");
    cr_assert_str_eq(path_without(region, "a.lua.lua", ".lua"), "a.lua");
    cr_assert_str_eq(path_without(region, "ajob", ".lua"), "ajob");
    cr_assert_str_eq(path_without(region, ".lua", ".lua"), ".lua");
}

Test(base, a_program_that_fails_is_an_error_of_its_kind)
{
    static const char *const good[]    = {"sh", "-c", "exit 0", NULL};
    static const char *const input[]   = {"sh", "-c", "exit 2", NULL};
    static const char *const killed[]  = {"sh", "-c", "kill -9 $$", NULL};
    static const char *const missing[] = {"/nowhere/at/all", NULL};
    Error                    error     = {0};
    cr_expect(process_must_run(good, &error));
    cr_expect(!process_must_run(input, &error) && error.status == EXIT_INPUT);
    cr_expect(!process_must_run(killed, &error) && error.status == EXIT_FAILED);
    cr_expect(strstr(error.text, "status 137"), "%s", error.text);
    cr_expect(!process_must_run(missing, &error) && error.status == EXIT_FAILED);
    cr_expect(strstr(error.text, "cannot be started"), "%s", error.text);
}

/* Also where the parent ended before the child could ask for a signal. */
Test(base, a_child_follows_its_parent)
{
    int  ends[2];
    char answer = 0;
    cr_assert(!pipe(ends));
    pid_t parent = fork();
    if (parent == 0) {
        pid_t middle = getpid();
        if (fork() == 0) {
            while (getppid() == middle)
                usleep(1000);
            answer = process_follow(middle, SIGKILL) ? 'y' : 'n';
            _exit(write(ends[1], &answer, 1) != 1);
        }
        _exit(0);
    }
    cr_assert_eq(process_wait(parent), 0);
    cr_assert(read(ends[0], &answer, 1) == 1 && answer == 'n');
    pid_t child = fork();
    if (child == 0) {
        answer = process_follow(getppid(), SIGKILL) ? 'y' : 'n';
        _exit(write(ends[1], &answer, 1) != 1);
    }
    cr_assert_eq(process_wait(child), 0);
    cr_assert(read(ends[0], &answer, 1) == 1 && answer == 'y');
}

Test(base, sizes_are_shown_exactly_when_short)
{
    cr_assert_str_eq(text_size(region, 0), "0 bytes");
    cr_assert_str_eq(text_size(region, 1536), "1.50 KiB");
    cr_assert_str_eq(text_size(region, INT64_C(3) << 30), "3 GiB");
}

Test(base, the_nearest_name_is_near)
{
    static const char *const names[] = {"memory", "ranks", "device", NULL};
    cr_assert_str_eq(text_nearest("memroy", names), "memory");
    cr_assert_str_eq(text_nearest("rank", names), "ranks");
    cr_assert_str_eq(text_nearest("Device", names), "device");
    cr_assert_null(text_nearest("banana", names));
    cr_assert_null(text_nearest("sgd", (const char *[]){"wsd", "adamw", NULL}));
}

Test(base, a_complaint_says_all_that_it_is_given)
{
    Error error;
    cr_assert(!error_at(&error, ((Place){"longdocs.lua", 14}), .field = "cluster.memory",
                        .found = "80 GB/s", .expected = "a size in bytes",
                        .remedy = "write it as \"80 GiB\""));
    cr_assert_str_eq(error.text, "longdocs.lua:14: cluster.memory: found \"80 GB/s\", expected a "
                                 "size in bytes; write it as \"80 GiB\"");
    cr_assert_eq(error.status, EXIT_INPUT);
    error_at(&error, ((Place){"x", 0}), .found = "\x1b[31m");
    cr_assert_str_eq(error.text, "x: found \"\\x1b[31m\"");
    error_fail(&error, "again: %s", error.text);
    cr_assert_str_eq(error.text, "again: x: found \"\\x1b[31m\"");
    cr_assert_eq(error.status, EXIT_FAILED);
}

Test(base, sha256_of_known_texts)
{
    cr_assert_str_eq(hash_bytes(region, "abc", 3),
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    Error error;
    char *path = path_join(region, folder, "abc");
    cr_assert(file_write(path, "abc", 3, &error), "%s", error.text);
    cr_assert_str_eq(hash_file(region, path, &error), hash_bytes(region, "abc", 3));
    cr_assert_null(hash_file(region, path_join(region, folder, "none"), &error));
}

Test(base, files_come_back_and_limits_hold)
{
    Error  error;
    size_t length;
    char  *path = path_join(region, folder, "f");
    cr_assert(file_write(path, "a\0bc", 4, &error), "%s", error.text);
    cr_assert_eq(memcmp(file_read(region, path, 4, &length, &error), "a\0bc", 5), 0);
    cr_assert_eq(length, 4);
    cr_assert_null(file_read(region, path, 3, NULL, &error));
    cr_assert_eq(error.status, EXIT_INPUT);
    cr_assert_null(file_read(region, folder, 100, NULL, &error));
    cr_assert_null(file_read(region, path_join(region, folder, "none"), 3, NULL, &error));
    cr_assert(!file_write(path_join(region, folder, "no/f"), "", 0, &error));
    cr_assert_eq(error.status, EXIT_FAILED);
}

/* A line that is too long is refused at the bound, not after it was read. */
Test(base, lines_are_read_up_to_their_bound)
{
    const char *path = path_join(region, folder, "lines");
    Error       error;
    FileLine    line = {0};
    cr_assert(file_write(path, "ab\n\nc\0d\n123456789\nlast", 22, &error));
    FILE *stream = fopen(path, "rb");
    cr_assert(stream && file_line(stream, region, 8, &line));
    cr_expect(line.length == 3 && memcmp(line.at, "ab\n", 3) == 0);
    cr_assert(file_line(stream, region, 8, &line) && line.length == 1);
    cr_assert(file_line(stream, region, 8, &line));
    cr_expect(line.length == 4 && memcmp(line.at, "c\0d\n", 4) == 0);
    cr_assert(file_line(stream, region, 8, &line) && line.length == 9);
    cr_expect_eq(ftell(stream), 17);
    cr_assert(file_line(stream, region, 8, &line) && line.length == 1);
    cr_assert(file_line(stream, region, 8, &line) && line.length == 4);
    cr_expect(memcmp(line.at, "last", 4) == 0);
    cr_expect(!file_line(stream, region, 8, &line) && !ferror(stream));
    fclose(stream);
}

Test(base, an_abandoned_file_leaves_nothing)
{
    Error   error;
    FileOut out;
    int     count;
    cr_assert(file_out_open(&out, region, path_join(region, folder, "f"), &error));
    cr_assert(file_out_write(&out, "abc", 3, &error));
    file_out_abandon(&out);
    file_out_abandon(&out);
    cr_assert(file_names(region, folder, &count, &error) != NULL);
    cr_assert_eq(count, 0);
}

Test(base, folders_are_made_listed_and_copied_from)
{
    Error error;
    int   count;
    char *deep = path_join(region, folder, "a/b/c");
    cr_assert(file_make_folders(deep, &error), "%s", error.text);
    cr_assert(file_make_folders(deep, &error), "%s", error.text);
    cr_assert(file_write(path_join(region, deep, "z"), "1", 1, &error));
    cr_assert_eq(chmod(path_join(region, deep, "z"), 0755), 0);
    cr_assert(file_copy(path_join(region, deep, "z"), path_join(region, deep, "B"), &error));
    char **names = file_names(region, deep, &count, &error);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(names[0], "B");
    cr_assert_str_eq(names[1], "z");
    cr_assert_null(names[2]);
    cr_assert_eq(access(path_join(region, deep, "B"), X_OK), 0);
    cr_assert(!file_make_folders(path_join(region, deep, "z/d"), &error));
}

Test(base, removing_a_tree_does_not_follow_links)
{
    Error error;
    char *kept = path_join(region, folder, "kept"), *gone = path_join(region, folder, "gone");
    cr_assert(file_make_folders(kept, &error) && file_make_folders(gone, &error));
    cr_assert(file_write(path_join(region, kept, "f"), "", 0, &error));
    cr_assert_eq(symlink(kept, path_join(region, gone, "link")), 0);
    cr_assert(file_remove_tree(gone, &error), "%s", error.text);
    cr_assert(!file_exists(gone) && file_exists(path_join(region, kept, "f")));
}

Test(base, paths)
{
    cr_assert_str_eq(path_join(region, "a", "b"), "a/b");
    cr_assert_str_eq(path_join(region, "a/", "b"), "a/b");
    cr_assert_str_eq(path_join(region, ".", "b"), "b");
    cr_assert_str_eq(path_join(region, "a", "/b"), "/b");
    cr_assert_str_eq(path_trim(region, "a/b"), "a/b");
    cr_assert_str_eq(path_trim(region, "a/b//"), "a/b");
    cr_assert_str_eq(path_trim(region, "/"), "/");
    cr_assert_str_eq(path_trim(region, ""), "");
    cr_assert_str_eq(path_folder(region, "a/b/c"), "a/b");
    cr_assert_str_eq(path_folder(region, "c"), ".");
    cr_assert_str_eq(path_folder(region, "/c"), "/");
    cr_assert_str_eq(path_name("a/b/c"), "c");
}

Test(base, random_numbers_are_even_and_repeat)
{
    uint64_t seed = 5, again = 5;
    int      seen[7] = {0};
    for (int i = 0; i < 70000; i++)
        seen[random_below(&seed, 7)]++;
    for (int i = 0; i < 7; i++)
        cr_assert(seen[i] > 9500 && seen[i] < 10500, "%d: %d", i, seen[i]);
    for (int i = 0; i < 70000; i++)
        random_below(&again, 7);
    cr_assert_eq(random_next(&seed), random_next(&again));
    double unit = random_unit(&seed);
    cr_assert(unit >= 0 && unit < 1);
    cr_assert_eq(random_at(1, 2), random_at(1, 2));
    cr_assert_neq(random_at(1, 2), random_at(2, 1));
}
