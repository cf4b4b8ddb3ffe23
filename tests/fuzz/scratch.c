/* scratch.c - input cut into parts, and files that hold them. */
#include "scratch.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void demand(bool condition)
{
    if (!condition)
        abort();
}

unsigned input_byte(input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->at++;
}

input input_part(input *in)
{
    static const char mark[] = "%%%";
    const uint8_t *end = in->left ? memmem(in->at, in->left, mark, sizeof mark - 1) : NULL;
    input part = { in->at, end ? (size_t)(end - in->at) : in->left };
    size_t taken = part.left + (end ? sizeof mark - 1 : 0);
    *in = (input){ in->at + taken, in->left - taken };
    return part;
}

char *input_text(input part)
{
    char *text = calloc(part.left + 1, 1);
    demand(text);
    if (part.left)
        memcpy(text, part.at, part.left);
    return text;
}

static char folder[64];
static void remove_folder(void) { scratch_clear(""); }

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "%s/timm-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    demand(mkdtemp(folder));
    atexit(remove_folder);
}

const char *scratch_path(const char *name)
{
    static char path[8][1024];
    static int turn;
    if (!*folder)
        make_folder();
    char *to = path[turn = (turn + 1) % 8];
    demand(snprintf(to, sizeof *path, "%s%s%s", folder, *name ? "/" : "", name) < (int)sizeof *path);
    return to;
}

void scratch_write(const char *name, input part)
{
    char path[1024];
    snprintf(path, sizeof path, "%s", scratch_path(name));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (char *p = path + strlen(folder) + 1; fd < 0 && (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(path, 0700);
        *p = '/';
    }
    fd = fd < 0 ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : fd;
    if (fd < 0)
        return;                                 /* a name that no file can have, or that a folder has */
    demand(write(fd, part.at, part.left) == (ssize_t)part.left);
    close(fd);
}

static void clear(const char *path)
{
    if (!unlink(path))
        return;
    char inner[2048];
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
            snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
            clear(inner);
        }
    if (d)
        closedir(d);
    rmdir(path);
}

void scratch_clear(const char *name) { clear(scratch_path(name)); }
