/* onednn_backend.c - kernels by oneDNN, where it is installed. */
#include "backend/backend.h"

static bool open_onednn(void) { return false; }

const tg_backend backend_onednn = { .name = "onednn", .open = open_onednn };
