/* fuzz_summary.c - any text as the summary.csv of a run that is resumed. */
#include "train/run_log.h"
#include <stdlib.h>
#include "scratch.h"

/* Two bytes choose the task and the epoch that the run goes on with; then the text. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    input in = { bytes, size };
    timm_task task = (timm_task)(input_byte(&in) % 3);
    int64_t epoch = input_byte(&in);
    status st = { 0 };
    timm_epoch *rows, next = { .epoch = epoch, .validated = true, .eval = { .task = task } };
    scratch_write("summary.csv", in);
    const char *path = scratch_path("summary.csv");
    int before = summary_read(path, task, &rows, &st), kept = 0;
    for (int i = 0; i < before; i++) {
        demand(rows[i].epoch >= 0);
        kept += rows[i].epoch < epoch;
    }
    free(rows);
    demand(summary_trim(path, task, epoch, &st) && summary_add(path, task, &next, &st));
    demand(summary_read(path, task, &rows, &st) == kept + 1 && rows[kept].epoch == epoch);
    free(rows);
    return 0;
}
