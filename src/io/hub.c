/* hub.c - CACHE/models--ORG--NAME/refs/REVISION holds a commit, snapshots/COMMIT/FILE leads to the file.
 * Layout: the "manage your cache" guide of huggingface_hub.
 */
#include "hub.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "json.h"

enum { NAME = 256, PATH = 4096 };

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool fits(int n, size_t size, const char *what, status *st)
{
    return (n >= 0 && (size_t)n < size) || status_fail(st, TIMM_BAD_ARG, "%.200s...: the path is too long", what);
}

bool hub_cache(char *path, size_t size, status *st)
{
    static const struct { const char *variable, *below; } places[] = {
        { "HF_HUB_CACHE", "" },
        { "HUGGINGFACE_HUB_CACHE", "" },
        { "HF_HOME", "/hub" },
        { "XDG_CACHE_HOME", "/huggingface/hub" },
        { "HOME", "/.cache/huggingface/hub" },
    };
    const char *home = variable("HOME");
    for (size_t i = 0; status_ok(st) && i < sizeof places / sizeof *places; i++) {
        const char *value = variable(places[i].variable);
        if (!value)
            continue;
        bool tilde = home && value[0] == '~' && (value[1] == '/' || !value[1]);
        int n = snprintf(path, size, "%s%s%s", tilde ? home : "", value + tilde, places[i].below);
        return fits(n, size, value, st);
    }
    return status_fail(st, TIMM_NOT_FOUND, "no Hugging Face cache: neither HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME nor "
                       "HOME is set");
}

/* Names become parts of paths: nothing that could lead elsewhere, as the hub's own rules for names. */
static bool sound(const char *text, size_t n, const char *also)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        bool letter = (c | 32) >= 'a' && (c | 32) <= 'z', digit = c >= '0' && c <= '9';
        if (!letter && !digit && !strchr(also, c))
            return false;
        if (c == '.' && text[i + 1] == '.')
            return false;
    }
    return n > 0 && n < NAME && *text != '/' && text[n - 1] != '/';
}

struct place { char folder[PATH], name[2 * NAME], revision[NAME]; };         /* name: "org/name" */

static bool parse_repo(struct place *p, const char *repo, status *st)
{
    const char *slash = strchr(repo, '/'), *at = strchr(repo, '@');
    size_t n = at ? (size_t)(at - repo) : strlen(repo), org = slash ? (size_t)(slash - repo) : 0;
    if (!slash || org >= n || !sound(repo, org, "._-") || !sound(slash + 1, n - org - 1, "._-"))
        return status_fail(st, TIMM_BAD_ARG, "\"%.200s\": not a repository of the hub, which is called ORG/NAME or "
                           "ORG/NAME@REVISION", repo);
    const char *revision = at ? at + 1 : "main";
    if (!sound(revision, strlen(revision), "._-/"))
        return status_fail(st, TIMM_BAD_ARG, "\"%.200s\": \"%.200s\" is no revision", repo, revision);
    snprintf(p->name, sizeof p->name, "%.*s", (int)n, repo);
    snprintf(p->revision, sizeof p->revision, "%s", revision);
    char cache[PATH];
    if (!hub_cache(cache, sizeof cache, st))
        return false;
    int length = snprintf(p->folder, sizeof p->folder, "%s/models--%.*s--%s", cache, (int)org, repo, p->name + org + 1);
    return fits(length, sizeof p->folder, cache, st);
}

/* refs/REVISION without its newline; the revision itself when there is none: it may be a commit. */
static bool read_commit(const struct place *p, char commit[NAME], status *st)
{
    char path[PATH + NAME + 16];
    snprintf(path, sizeof path, "%s/refs/%s", p->folder, p->revision);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        strcpy(commit, p->revision);
        return true;
    }
    ssize_t n = fd < 0 ? -1 : read(fd, commit, NAME - 1);
    bool failed = n < 0 && !status_errno(st, path, "read");
    if (fd >= 0)
        close(fd);
    if (failed)
        return false;
    commit[n] = 0;
    commit[strcspn(commit, " \r\n\t")] = 0;
    return sound(commit, strlen(commit), "")
           || status_fail(st, TIMM_BAD_FILE, "%s: should hold a commit, holds \"%s\"", path, json_show(commit).text);
}

static bool missing(const struct place *p, const char *where, const char *file, status *st)
{
    bool main = !strcmp(p->revision, "main");
    return status_fail(st, TIMM_NOT_FOUND, "%s of %s is not in the Hugging Face cache (no %s); "
                       "`hf download %s %s%s%s` puts it there, or name a file you have",
                       file, p->name, where, p->name, file, main ? "" : " --revision ", main ? "" : p->revision);
}

bool hub_find(const char *repo, const char *file, char *path, size_t size, status *st)
{
    struct place *p = status_ok(st) ? calloc(1, sizeof *p) : NULL;
    char commit[NAME];
    struct stat info;
    bool ok = false;
    if (!p)
        return status_fail(st, TIMM_NO_MEMORY, "%s: out of memory", repo);
    if (!sound(file, strlen(file), "._-/"))
        status_fail(st, TIMM_BAD_ARG, "\"%.200s\": not a file of a repository", file);
    else if (parse_repo(p, repo, st) && read_commit(p, commit, st)) {
        int n = snprintf(path, size, "%s/snapshots/%s/%s", p->folder, commit, file);
        ok = fits(n, size, p->folder, st)
             && ((stat(path, &info) == 0 && S_ISREG(info.st_mode)) || missing(p, path, file, st));
    }
    free(p);
    return ok;
}
