/* command.h - running the timm command, or any other, as a user does: what it prints and how it ends. */
#ifndef COMMAND_H
#define COMMAND_H
#include <stdbool.h>
#include <stddef.h>

typedef struct command_result {
    int code;                       /* exit status; 128 + n: ended by signal n */
    char *out, *err;                /* all of stdout and stderr, as strings; "" if none */
    double seconds;
} command_result;

/* Runs a shell command.  "timm" at its beginning is the one just built. */
command_result command_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void command_free(command_result *r);
bool command_has(const char *text, const char *part);             /* strstr that takes NULL for "" */
/* Did a sanitizer complain, or a signal end it? */
bool command_crashed(const command_result *r);
char *command_slurp(const char *path);                            /* a file as a string; NULL: not readable */
extern const bool command_sanitized;                              /* built with the address sanitizer */

#endif
