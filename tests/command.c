/* command.c - a shell command with its two streams kept apart in files of the test's folder. */
#include "command.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include "test.h"

#if defined(__SANITIZE_ADDRESS__)
const bool command_sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
const bool command_sanitized = true;
#else
const bool command_sanitized = false;
#endif
#else
const bool command_sanitized = false;
#endif

char *command_slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0, room = 0, got = 0;
    if (!f)
        return NULL;
    do {
        if (size + 4096 >= room) {
            char *more = realloc(text, room = 2 * room + 8192);
            if (!more)
                break;
            text = more;
        }
        got = fread(text + size, 1, 4096, f);
        size += got;
    } while (got);
    fclose(f);
    if (text)
        text[size] = 0;
    return text;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

command_result command_run(const char *fmt, ...)
{
    command_result r = { .code = 127 };
    const char *out = test_temp("stdout"), *err = test_temp("stderr");
    char line[16384], all[20480];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    bool ours = !strncmp(line, "timm", 4) && strchr(" ", line[4]);
    snprintf(all, sizeof all, "{ %s%s\n} >%s 2>%s </dev/null", ours ? TEST_TIMM : "", line + (ours ? 4 : 0), out, err);
    double start = now();
    int status = system(all);
    r.seconds = now() - start;
    if (status != -1)
        r.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    r.out = command_slurp(out);
    r.err = command_slurp(err);
    return r;
}

void command_free(command_result *r)
{
    free(r->out);
    free(r->err);
    *r = (command_result){ 0 };
}

bool command_has(const char *text, const char *part) { return strstr(text ? text : "", part); }

bool command_crashed(const command_result *r)
{
    return r->code >= 126 || command_has(r->err, "Sanitizer") || command_has(r->err, "runtime error:");
}
