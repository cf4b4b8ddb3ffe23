/* conv2d_turned_cpu.c - dx of a convolution of stride 1 as what it is: a convolution of dy, by weights turned by half a turn and with their
 * channels exchanged, where that is computed from copies of images by tiles. */
#include "kernels.h"
#include "ops/conv2d_grad.h"

/* The call as conv2d's. */
typedef struct turned { conv2d_attr attr; tg_tensor in[2]; tg_call call; } turned;

static void turn(const tg_call *c, turned *t)
{
    const conv2d_attr *a = &((const conv2d_grad_attr *)c->attr)->conv;
    const tg_tensor *w = &c->in[1];
    const int64_t *step = w->stride, *size = w->shape.dim;
    t->attr = *a;
    t->attr.e = (epilogue){ 0 };
    for (int i = 0; i < 4; i++)
        t->attr.pad[i] = (int)(size[2 + i % 2] - 1) * a->dilation[i % 2] - a->pad[i];
    t->in[0] = c->in[0];
    t->in[1] = *w;
    t->in[1].shape.dim[0] = size[1], t->in[1].stride[0] = step[1];
    t->in[1].shape.dim[1] = size[0], t->in[1].stride[1] = step[0];
    t->in[1].stride[2] = -step[2];
    t->in[1].stride[3] = -step[3];
    if (w->data)
        t->in[1].data = (float *)w->data + (size[2] - 1) * step[2] + (size[3] - 1) * step[3];
    t->call = *c;
    t->call.op = &op_conv2d;
    t->call.attr = &t->attr;
    t->call.in = t->in;
}

static const char *declines(const tg_call *c)
{
    const conv2d_attr *a = &((const conv2d_grad_attr *)c->attr)->conv;
    turned t;
    if (a->groups > 1 || a->stride[0] > 1 || a->stride[1] > 1)
        return "groups, or strides";
    if (c->in[0].dtype != TG_F32 || c->in[1].dtype != TG_F32 || c->out.dtype != TG_F32)
        return "not float";
    turn(c, &t);
    const char *why = kernel_conv2d.declines(&t.call);
    return why ? why : conv2d_shares(&t.call) ? NULL : "no instructions for it, or borders that are not shared";
}

static void prefers(const tg_call *c, tg_tensor *in, tg_tensor *out) { kernel_conv2d_grad_input.prefers(c, in, out); }

static bool prepare(const tg_call *c, tg_prep *prep)
{
    turned t;
    turn(c, &t);
    return kernel_conv2d.prepare(&t.call, prep);
}

static void run(const tg_call *c)
{
    turned t;
    turn(c, &t);
    kernel_conv2d.run(&t.call);
}

static void release(void *state) { kernel_conv2d.release(state); }

static unsigned narrow(const tg_call *c)
{
    turned t;
    turn(c, &t);
    return kernel_conv2d.narrow(&t.call);
}

const tg_kernel kernel_conv2d_turned = { .op = "conv2d_grad_input", .name = "cpu.conv2d_turned", .declines = declines, .prefers = prefers,
                                         .prepare = prepare, .run = run, .release = release, .narrow = narrow };
