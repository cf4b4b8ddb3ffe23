/* tensorboard.c - event files: records of length, masked CRC-32C of it, an Event message, masked CRC-32C of that.
 *
 * Event: 1 wall_time double, 2 step int64, 3 file_version string, 5 summary, 7 session_log of 1 status (START is 1).  Summary: repeated 1 value, of 1 tag string,
 * 2 simple_value float.  The fields of tensorboard/compat/proto/event.proto and summary.proto; wire format of protobuf.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "train/run_log.h"

struct events { FILE *f; char path[1024]; uint32_t table[256]; };

static uint32_t masked_crc(const events *e, const void *data, size_t n)
{
    const unsigned char *p = data;
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++)
        crc = e->table[(crc ^ p[i]) & 255] ^ crc >> 8;
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

typedef struct message { unsigned char byte[512]; size_t n; } message;

static void put_bytes(message *m, const void *bytes, size_t n)
{
    if (m->n + n <= sizeof m->byte) {
        memcpy(m->byte + m->n, bytes, n);
        m->n += n;
    }
}

static void put_varint(message *m, uint64_t v)
{
    do {
        unsigned char b = (unsigned char)((v & 127) | (v > 127 ? 128 : 0));
        put_bytes(m, &b, 1);
    } while (v >>= 7);
}

enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };
static void put_key(message *m, int field, int wire) { put_varint(m, (uint64_t)(field << 3 | wire)); }

static void put_block(message *m, int field, const void *bytes, size_t n)
{
    put_key(m, field, BYTES);
    put_varint(m, n);
    put_bytes(m, bytes, n);
}

static bool write_record(events *e, const message *m, status *st)
{
    uint64_t length = m->n;
    uint32_t of_length = masked_crc(e, &length, sizeof length), of_data = masked_crc(e, m->byte, m->n);
    bool ok = fwrite(&length, sizeof length, 1, e->f) && fwrite(&of_length, sizeof of_length, 1, e->f)
              && fwrite(m->byte, m->n, 1, e->f) && fwrite(&of_data, sizeof of_data, 1, e->f) && !fflush(e->f);
    return ok || status_errno(st, e->path, "write");
}

static message begin(int64_t step)
{
    struct timespec t;
    message m = { .n = 0 };
    clock_gettime(CLOCK_REALTIME, &t);
    double wall = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    put_key(&m, 1, FIXED64);
    put_bytes(&m, &wall, sizeof wall);
    if (step)
        put_key(&m, 2, VARINT);
    if (step)
        put_varint(&m, (uint64_t)step);
    return m;
}

events *events_open(const char *folder, int64_t step, status *st)
{
    char host[200] = "localhost";
    events *e = calloc(1, sizeof *e);
    if (!e) {
        status_fail(st, TIMM_NO_MEMORY, "out of memory for events");
        return NULL;
    }
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0x82F63B78u : c >> 1;
        e->table[i] = c;
    }
    gethostname(host, sizeof host - 1);
    snprintf(e->path, sizeof e->path, "%s/events.out.tfevents.%lld.%s.%ld", folder, (long long)time(NULL), host, (long)getpid());
    e->f = fopen(e->path, "wb");
    message m = begin(0), start = begin(step);
    put_block(&m, 3, "brain.Event:2", 13);
    put_block(&start, 7, (unsigned char[]){ 8, 1 }, 2);
    if (e->f ? write_record(e, &m, st) && (!step || write_record(e, &start, st)) : status_errno(st, e->path, "create"))
        return e;
    events_close(e);
    return NULL;
}

bool events_scalar(events *e, const char *tag, int64_t step, double value, status *st)
{
    message v = { .n = 0 }, s = { .n = 0 }, m = begin(step);
    float number = (float)value;
    put_block(&v, 1, tag, strlen(tag) < 200 ? strlen(tag) : 200);
    put_key(&v, 2, FIXED32);
    put_bytes(&v, &number, sizeof number);
    put_block(&s, 1, v.byte, v.n);
    put_block(&m, 5, s.byte, s.n);
    return write_record(e, &m, st);
}

void events_close(events *e)
{
    if (e && e->f)
        fclose(e->f);
    free(e);
}
