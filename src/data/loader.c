/* loader.c - threads that make batches ahead of whoever asks for them.
 *
 * A ring of slots: batch b lies in slot b % slots.  Threads take samples one by one, in order; a slot is handed out when all its
 * samples are made.  With no threads, loader_next makes the samples itself. */
#include "data/loader.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/random.h"
#include "data/train_transform.h"
#include "data/transform.h"
#include "io/image.h"

enum { AHEAD = 3 };             /* batches made before they are asked for, and the one that is out */

typedef struct slot {
    uint8_t *pixels;
    int64_t *label, *index;
    int64_t made, count;
} slot;

struct loader {
    const dataset *d;
    loader_opts o;
    int64_t sample_bytes, channels, batches;
    int64_t epoch;
    int64_t *order;             /* of the epoch */
    slot slot[AHEAD];
    batch out;
    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t more, done;  /* work for the threads; a batch is made */
    int64_t next_sample;        /* of the epoch, the first nobody has taken */
    int64_t handed, finished;   /* batches handed out; given back: their slots are free */
    int busy;                   /* threads making a sample */
    bool stop, hold;            /* end; take nothing: the epoch is being changed */
    status failed;
    pthread_t *thread;
    int threads;
};

static int64_t epoch_samples(const loader *l)
{
    int64_t n = dataset_count(l->d);
    return l->o.drop_last ? n / l->o.batch * l->o.batch : n;
}

/* A permutation drawn for (seed, epoch): Fisher and Yates. */
static void shuffle(loader *l)
{
    int64_t n = dataset_count(l->d);
    uint64_t key = random_bits(random_bits(l->o.seed, 2), (uint64_t)l->epoch + 1);
    for (int64_t i = 0; i < n; i++)
        l->order[i] = i;
    for (int64_t i = n - 1; i > 0 && l->o.shuffle; i--) {
        int64_t k = random_below(key, (uint64_t)i, i + 1), v = l->order[i];
        l->order[i] = l->order[k];
        l->order[k] = v;
    }
}

static bool make_sample(const loader *l, int64_t epoch, int64_t index, uint8_t *to, status *st)
{
    timm_image in, out;
    int width = (int)l->o.transform.input_size[2], height = (int)l->o.transform.input_size[1];
    if (!dataset_read(l->d, index, &in, st))
        return false;
    uint64_t key = random_bits(random_bits(random_bits(l->o.seed, 3), (uint64_t)epoch + 1), (uint64_t)index + 1);
    bool ok = l->o.train ? transform_train(&in, &l->o.augment, width, height, key, &out, st) : transform_eval(&in, &l->o.transform, &out, st);
    if (ok) {
        memcpy(to, out.pixels, (size_t)l->sample_bytes);
        image_free(&out);
    }
    image_free(&in);
    return ok;
}

/* Takes the next sample, if a slot is free for it, and makes it.  Called with the lock; false: nothing to do. */
static bool one_sample(loader *l)
{
    int64_t i = l->next_sample, b = i / l->o.batch, at = i % l->o.batch;
    if (l->hold || i >= epoch_samples(l) || b >= l->finished + AHEAD || !status_ok(&l->failed))
        return false;
    slot *s = &l->slot[b % AHEAD];
    int64_t epoch = l->epoch, index = l->order[i];
    status st = { 0 };
    l->next_sample++;
    l->busy++;
    s->label[at] = dataset_label(l->d, index);
    s->index[at] = index;
    pthread_mutex_unlock(&l->lock);
    bool ok = make_sample(l, epoch, index, s->pixels + at * l->sample_bytes, &st);
    pthread_mutex_lock(&l->lock);
    l->busy--;
    if (!ok && status_ok(&l->failed))
        l->failed = st;
    s->made++;
    pthread_cond_broadcast(&l->done);
    return true;
}

static void *work(void *arg)
{
    loader *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->stop)
        if (!one_sample(l))
            pthread_cond_wait(&l->more, &l->lock);
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

loader *loader_open(const dataset *d, const loader_opts *o, status *st)
{
    const timm_transform *t = &o->transform;
    if (!status_ok(st))
        return NULL;
    if (o->batch < 1 || o->threads < 0 || t->input_size[1] < 1 || t->input_size[2] < 1) {
        status_fail(st, TIMM_BAD_ARG, "a loader of %d images in a batch, %d threads, %lld x %lld pixels", o->batch, o->threads,
                    (long long)t->input_size[2], (long long)t->input_size[1]);
        return NULL;
    }
    loader *l = calloc(1, sizeof *l);
    bool ok = l != NULL;
    if (ok) {
        l->d = d;
        l->o = *o;
        l->channels = t->input_size[0];
        l->sample_bytes = l->channels * t->input_size[1] * t->input_size[2];
        l->batches = (epoch_samples(l) + o->batch - 1) / o->batch;
        l->order = malloc((size_t)dataset_count(d) * sizeof *l->order + 1);
        l->thread = calloc((size_t)o->threads + 1, sizeof *l->thread);
        pthread_mutex_init(&l->lock, NULL);
        pthread_cond_init(&l->more, NULL);
        pthread_cond_init(&l->done, NULL);
        ok = l->order && l->thread;
    }
    for (int i = 0; ok && i < AHEAD; i++) {
        slot *s = &l->slot[i];
        s->pixels = malloc((size_t)(l->sample_bytes * o->batch));
        s->label = calloc((size_t)o->batch, sizeof *s->label);
        s->index = calloc((size_t)o->batch, sizeof *s->index);
        ok = s->pixels && s->label && s->index;
    }
    if (ok) {
        loader_seek(l, 0, 0);
        while (l->threads < o->threads && !pthread_create(&l->thread[l->threads], NULL, work, l))
            l->threads++;                                /* fewer than asked for make the same batches */
        return l;
    }
    status_fail(st, TIMM_NO_MEMORY, "out of memory for batches of %d images", o->batch);
    loader_close(l);
    return NULL;
}

void loader_close(loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->more);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->threads; i++)
        pthread_join(l->thread[i], NULL);
    for (int i = 0; i < AHEAD; i++) {
        free(l->slot[i].pixels);
        free(l->slot[i].label);
        free(l->slot[i].index);
    }
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->more);
    pthread_cond_destroy(&l->done);
    free(l->order);
    free(l->thread);
    free(l);
}

int64_t loader_batches(const loader *l) { return l->batches; }

/* What a slot must hold before it is handed out. */
static void begin_slot(loader *l, int64_t b)
{
    int64_t left = epoch_samples(l) - b * l->o.batch;
    slot *s = &l->slot[b % AHEAD];
    s->made = 0;
    s->count = left < l->o.batch ? left : l->o.batch;
}

bool loader_seek(loader *l, int64_t epoch, int64_t b)
{
    pthread_mutex_lock(&l->lock);
    l->hold = true;
    while (l->busy)
        pthread_cond_wait(&l->done, &l->lock);
    l->epoch = epoch;
    shuffle(l);
    b = b < 0 ? 0 : b > l->batches ? l->batches : b;
    l->next_sample = b * l->o.batch;
    l->handed = l->finished = b;
    l->failed = (status){ 0 };
    for (int64_t i = b; i < b + AHEAD; i++)
        begin_slot(l, i);
    l->hold = false;
    pthread_cond_broadcast(&l->more);
    pthread_mutex_unlock(&l->lock);
    return b < l->batches;
}

const batch *loader_next(loader *l, status *st)
{
    if (!status_ok(st))
        return NULL;
    pthread_mutex_lock(&l->lock);
    if (l->finished < l->handed) {                       /* the last one comes back */
        begin_slot(l, l->finished + AHEAD);
        l->finished++;
        pthread_cond_broadcast(&l->more);
    }
    slot *s = &l->slot[l->handed % AHEAD];
    const batch *out = NULL;
    if (l->handed < l->batches) {
        while (s->made < s->count && status_ok(&l->failed))
            if (l->threads || !one_sample(l))
                pthread_cond_wait(&l->done, &l->lock);
        if (status_ok(&l->failed)) {
            l->out = (batch){ s->count, l->channels, l->o.transform.input_size[1], l->o.transform.input_size[2], s->pixels, s->label, s->index };
            l->handed++;
            out = &l->out;
        } else {
            *st = l->failed;
        }
    }
    pthread_mutex_unlock(&l->lock);
    return out;
}

/* -- to floats ------------------------------------------------------------------------------------------------------------- */

typedef struct conversion { const batch *b; float (*table)[256]; float *out; } conversion;

static void convert(void *arg, int64_t from, int64_t to)
{
    const conversion *v = arg;
    int64_t n = v->b->height * v->b->width, step = v->b->channels;
    for (int64_t i = from; i < to; i++)
        for (int64_t c = 0; c < step; c++) {
            const uint8_t *in = v->b->pixels + i * n * step + c;
            float *out = v->out + (i * step + c) * n;
            for (int64_t k = 0; k < n; k++)
                out[k] = v->table[c][in[k * step]];
        }
}

void batch_to_float(const batch *b, const double mean[3], const double std[3], float *out, pool *threads)
{
    float table[3][256];
    for (int64_t c = 0; c < b->channels && c < 3; c++)
        for (int v = 0; v < 256; v++)
            table[c][v] = ((float)v / 255.f - (float)mean[c]) / (float)std[c];
    pool_run(threads, b->count, 1, convert, &(conversion){ b, table, out });
}
