/* tag.h - what timm publishes about one set of weights, "arch.tag": its PretrainedCfg as constant data.
 *
 * A family's rows stand in FAMILY.tags.h, written by tools/tags.py; an architecture's rows are neighbours and its
 * default tag comes first.  Zero is the default of every field, so that a row says only what is peculiar.  Fields that
 * no row of timm's fills (test_pool_size, hf_hub_filename, description, label_offset, ...) are not here.
 */
#ifndef ZOO_TAG_H
#define ZOO_TAG_H
#include <stdbool.h>
#include <stdint.h>

enum zoo_filter { ZOO_BICUBIC, ZOO_BILINEAR };
enum zoo_crop { ZOO_CENTER, ZOO_SQUASH, ZOO_BORDER };
enum zoo_norm { ZOO_IMAGENET, ZOO_HALF, ZOO_CLIP, ZOO_ZERO_ONE, ZOO_DPN, ZOO_SAT493M };   /* sets of mean and std */
enum { ZOO_NO_HEAD = -1 };                     /* of zoo_tag.classes */

struct zoo_tag {
    const char *name;                          /* "resnet50.a1_in1k"; without a dot: the only row, untagged */
    uint16_t input[3], test[3], min[3];        /* C, H, W of training, of testing, at least; 0: 3x224x224, none */
    bool fixed;                                /* other sizes need another network (position tables) */
    bool no_hub;                               /* not on the hub under "timm/"; without .hub and .url: no weights */
    uint8_t filter, crop, norm;                /* enum zoo_filter, zoo_crop, zoo_norm */
    uint8_t pool[2];                           /* grid before the global pool at the input size; 0: none recorded */
    int32_t classes;                           /* 0: 1000 */
    double crop_pct, test_crop_pct;            /* 0: .875, none */
    const char *first_conv, *classifier;       /* parameter prefixes, space-separated when several; NULL: none */
    const char *hub, *url;                     /* NULL: "timm/" + name, none */
    const char *license, *origin, *papers, *notes;         /* NULL: none; several papers are space-separated */
};

#endif
