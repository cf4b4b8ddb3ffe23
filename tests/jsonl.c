/* jsonl.c - test data: a JSON object a line, plain or as .xz. */
#include "jsonl.h"
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include "test.h"

/* Appends what the decoder gives for the bytes it has been given to text, which grows as needed. */
static lzma_ret decode(lzma_stream *s, lzma_action action, char **text, size_t *room)
{
    lzma_ret r;
    do {
        if (*room - s->total_out < 2) {
            char *bigger = realloc(*text, *room * 2);
            if (!bigger)
                return LZMA_MEM_ERROR;
            *text = bigger;
            *room *= 2;
        }
        s->next_out = (uint8_t *)*text + s->total_out;
        s->avail_out = *room - (size_t)s->total_out - 1;
        r = lzma_code(s, action);
    } while (r == LZMA_OK && (s->avail_in || !s->avail_out));
    return r;
}

static char *unpack(FILE *f)
{
    static uint8_t packed[1 << 16];
    lzma_stream s = LZMA_STREAM_INIT;
    size_t room = 1 << 20;
    char *text = malloc(room);
    lzma_ret r = text ? lzma_stream_decoder(&s, UINT64_MAX, 0) : LZMA_MEM_ERROR;
    while (r == LZMA_OK) {
        s.next_in = packed;
        s.avail_in = fread(packed, 1, sizeof packed, f);
        r = decode(&s, s.avail_in ? LZMA_RUN : LZMA_FINISH, &text, &room);
    }
    if (r == LZMA_STREAM_END) {
        text[s.total_out] = 0;
    } else {
        free(text);
        text = NULL;
    }
    lzma_end(&s);
    return text;
}

static char *whole(FILE *f)
{
    size_t room = 1 << 16, used = 0;
    char *text = malloc(room + 1);
    for (size_t n; text && (n = fread(text + used, 1, room - used, f)) > 0;) {
        used += n;
        char *bigger = used < room ? text : realloc(text, (room *= 2) + 1);
        if (!bigger)
            free(text);
        text = bigger;
    }
    if (text)
        text[used] = 0;
    return text;
}

bool jsonl_open(jsonl *from, const char *path)
{
    size_t n = strlen(path);
    FILE *f = fopen(path, "rb");
    *from = (jsonl){ 0 };
    if (f) {
        from->text = n > 3 && !strcmp(path + n - 3, ".xz") ? unpack(f) : whole(f);
        fclose(f);
    }
    from->next = from->text;
    CHECK(from->text, "%s: cannot be read", path);
    return from->text;
}

json_t *jsonl_next(jsonl *from)
{
    char *start = from->next;
    if (!start || !*start)
        return NULL;
    size_t n = strcspn(start, "\n");
    json_error_t error;
    from->next = start + n + (start[n] == '\n');
    from->line++;
    json_t *record = json_loadb(start, n, 0, &error);
    CHECK(record, "line %d: %s", from->line, error.text);
    return record;
}

void jsonl_close(jsonl *from)
{
    free(from->text);
    *from = (jsonl){ 0 };
}

const char *jsonl_text(const json_t *record, const char *key)
{
    const char *s = json_string_value(json_object_get(record, key));
    return s ? s : "";
}

double jsonl_number(const json_t *record, const char *key) { return json_number_value(json_object_get(record, key)); }
