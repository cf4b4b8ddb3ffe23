/* random_erasing.c - what is drawn for an image, and for each of its rectangles. */
#include "data/random_erasing.h"
#include <math.h>
#include <stdbool.h>
#include "base/random.h"

enum { TRIES = 10 };
/* Which number of an image's key decides what; from RECTANGLES on they are keys.  Of a rectangle's: four for a try, then a key. */
enum { WHETHER = 1, HOW_MANY, RECTANGLES };
enum { FIRST_TRY = 1, FILL = FIRST_TRY + 4 * TRIES };

typedef struct rectangle { int64_t x, y, w, h; } rectangle;

/* Of 2 to 33 % of the image, over the count; height over width is 0.3 to 1 / 0.3.  False: of those tried none fits. */
static bool draw_rectangle(uint64_t key, int64_t count, int64_t height, int64_t width, rectangle *r)
{
    for (uint64_t i = FIRST_TRY; i < FILL; i += 4) {
        double area = (.02 + (1 / 3. - .02) * random_uniform(key, i)) * (double)(width * height) / (double)count;
        double ratio = exp(log(.3) * (1 - 2 * random_uniform(key, i + 1)));
        r->h = (int64_t)nearbyint(sqrt(area * ratio));
        r->w = (int64_t)nearbyint(sqrt(area / ratio));
        if (r->w < width && r->h < height) {
            r->y = random_below(key, i + 2, height - r->h + 1);
            r->x = random_below(key, i + 3, width - r->w + 1);
            return true;
        }
    }
    return false;
}

static void fill(erase_fill how, uint64_t key, const rectangle *r, int64_t channels, int64_t height, int64_t width, float *image)
{
    float v[2] = { 0 };
    for (int64_t c = 0; c < channels; c++) {
        if (how == ERASE_RAND)
            random_normals(key, (uint64_t)c + 1, v);
        for (int64_t y = 0; y < r->h; y++) {
            float *row = image + (c * height + r->y + y) * width + r->x;
            uint64_t pairs = (uint64_t)(c * r->h + y) * (uint64_t)((r->w + 1) / 2) + 1;
            for (int64_t x = 0; x < r->w; x++) {
                if (how == ERASE_PIXEL && x % 2 == 0)
                    random_normals(key, pairs + (uint64_t)x / 2, v);
                row[x] = how == ERASE_PIXEL ? v[x % 2] : v[0];
            }
        }
    }
}

void random_erasing(const erasing *e, uint64_t key, int64_t channels, int64_t height, int64_t width, float *image)
{
    if (random_uniform(key, WHETHER) >= e->prob)
        return;
    int64_t count = 1 + random_below(key, HOW_MANY, e->count);
    for (int64_t i = 0; i < count; i++) {
        uint64_t own = random_bits(key, RECTANGLES + (uint64_t)i);
        rectangle r;
        if (draw_rectangle(own, count, height, width, &r))
            fill(e->fill, random_bits(own, FILL), &r, channels, height, width, image);
    }
}
