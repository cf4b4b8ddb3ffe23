/* attention_cpu.h - what the kernels of attention and of its gradient share. */
#ifndef ATTENTION_CPU_H
#define ATTENTION_CPU_H
#include "gemm.h"
#include "kernels.h"
#include "ops/attention.h"

const char *attention_declines(const tg_call *c);
void attention_prefers(const tg_call *c, tg_tensor *in, tg_tensor *out);
/* By instructions for bfloat16: NULL, or that keys are too few to pay for splitting numbers into two or three parts. */
const char *attention_doubts(const tg_call *c, int64_t few_of_two, int64_t few_of_three);
/* A thread's scratch begins with the number of the head whose keys and values lie packed in it, as the next piece of work is often of the same. */
enum { ATTENTION_HELD = 64 };
void attention_forget(const tg_call *c, size_t thread);                 /* none; thread: bytes of one */
/* What is added to row i of head h of image b. */
const float *attention_bias_row(const tg_tensor *bias, int64_t b, int64_t h, int64_t i);

/* Of the gradient: images fall into lots, as many as the shapes say and whatever the threads, and tasks are some heads of a lot; where the bias has a
 * gradient and is one for all images, each lot sums its own, and the lots' sums are added in their order. */
typedef struct attention_grad_frame {       /* a kernel's state begins with it */
    int64_t b, h, n, d, lots;
    size_t thread, bias;                    /* bytes of scratch: of a thread; of one lot's sums for the bias */
    /* The gradients of one head with `room`, a thread's scratch.  dbias: where the bias's goes, NULL: nowhere; add: to what is there. */
    void (*head)(const tg_call *c, int64_t b, int64_t h, char *room, float *dbias, bool add);
    void (*enter)(void), (*leave)(void);    /* around heads on one thread; may be NULL */
} attention_grad_frame;
const char *attention_grad_declines(const tg_call *c);
void attention_grad_prefers(const tg_call *c, tg_tensor *in, tg_tensor *out);
attention_grad_frame attention_grad_begin(const tg_call *c);            /* head and thread are left to be set */
size_t attention_grad_scratch(const tg_call *c, const attention_grad_frame *f);
void attention_grad_run(const tg_call *c);

#endif
