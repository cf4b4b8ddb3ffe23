/* ref_backend.c - no kernels: every op runs its definition. */
#include "backend/backend.h"

const tg_backend backend_ref = { .name = "ref" };
