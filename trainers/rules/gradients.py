"""The parts of a layer's backward pass that learning rules ask for apart; compiled with the rules that call them."""

from ...modules.kernels.buffers import flat


def exchange(a, b):
    """Exchange the numbers of two C-contiguous arrays of one size."""
    a, b = flat(a), flat(b)
    for i in range(a.size):
        kept = a[i]
        a[i] = b[i]
        b[i] = kept


def copy_into(array, out):
    """Copy the numbers of an array into another one of its size; both C-contiguous."""
    array, out = flat(array), flat(out)
    for i in range(out.size):
        out[i] = array[i]


def compute_parameter_gradients(layer, grad_y):
    """Run a layer's bprop for the gradients of its parameters alone; returns an array in the place of grad_x.

    Args: layer: whose bprop runs; grad_y: the gradient of its output.
    """
    needed = layer.needs_grad_x
    layer.needs_grad_x = False
    grad_x = layer.bprop(grad_y)
    layer.needs_grad_x = needed
    return grad_x


def compute_grad_x(rule, layer, grad_y, matrix):
    """Compute a layer's grad_x with `matrix` in the place of its weight; gradients and weight stay as they are.

    Args: rule: the copy that stands at this layer; grad_y: the gradient of its output; matrix: of the weight's shape,
        C-contiguous.
    """
    exchange(rule.weight, matrix)
    if not rule.layer_leaves_gradients:
        copy_into(rule.gradients, rule.kept_gradients)
    layer.needs_grad_parameters = False
    grad_x = layer.bprop(grad_y)
    layer.needs_grad_parameters = True
    if not rule.layer_leaves_gradients:
        copy_into(rule.kept_gradients, rule.gradients)
    exchange(rule.weight, matrix)
    return grad_x
