/* interpret.h - runs a graph on the definitions, in double: the judge of gradients. */
#ifndef INTERPRET_H
#define INTERPRET_H
#include "graph/graph.h"

/* Values of outputs[i], dense, to be freed; inputs[k]: dense values of input number k.  False: out of memory. */
bool interpret(tg_graph *g, tg *const *outputs, int n, double *const *inputs, double **values);

#endif
