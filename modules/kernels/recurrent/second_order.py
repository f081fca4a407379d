"""Steps of recurrent layers along a direction: how a step changes (R{forward}), and how its gradients do (R{backward}).

Array expressions over the rows of a step; v_ is the change along the direction, r_ that of a gradient. `carry`
(4, n, H) has grad_h, its change, grad_c and its change; `grads` (4, n, G) the gradients of the product with x and their
change, those of the product with h and their change. What a step leaves in carry[0] and carry[1] is what of the
gradient of the h before it does not pass through W_hh.

Source: Pearlmutter, Fast exact multiplication by the Hessian (1994), section 3, of recurrent networks, too.
"""


def lstm_tangent(values, cell, tanh_cell, v_values, v_cell, v_next_cell, v_tanh_cell, v_hidden):
    """v_i = i (1 - i) v_a, ... v_c' = v_f c + f v_c + v_i g + i v_g, v_h' = v_o tanh c' + o (1 - tanh² c') v_c'.

    v_values (n, 4 H): of the gates before their functions, v_a; they become those after them.
    """
    h = cell.shape[1]
    i, f, g, o = values[:, :h], values[:, h : 2 * h], values[:, 2 * h : 3 * h], values[:, 3 * h :]
    v_values[:, :h] *= i * (1 - i)
    v_values[:, h : 2 * h] *= f * (1 - f)
    v_values[:, 2 * h : 3 * h] *= 1 - g * g
    v_values[:, 3 * h :] *= o * (1 - o)
    v_i, v_f, v_g, v_o = v_values[:, :h], v_values[:, h : 2 * h], v_values[:, 2 * h : 3 * h], v_values[:, 3 * h :]
    v_next_cell[:] = v_f * cell + f * v_cell + v_i * g + i * v_g
    v_tanh_cell[:] = (1 - tanh_cell * tanh_cell) * v_next_cell
    v_hidden[:] = v_o * tanh_cell + o * v_tanh_cell


def lstm_change(values, cell, tanh_cell, v_values, v_cell, v_tanh_cell, carry, grads):
    """The gradients of `lstm_step_bprop`, and how they change."""
    h = cell.shape[1]
    i, f, g, o = values[:, :h], values[:, h : 2 * h], values[:, 2 * h : 3 * h], values[:, 3 * h :]
    v_i, v_f, v_g, v_o = v_values[:, :h], v_values[:, h : 2 * h], v_values[:, 2 * h : 3 * h], v_values[:, 3 * h :]
    grad_h, r_grad_h, slope = carry[0], carry[1], 1 - tanh_cell * tanh_cell
    grad_c = carry[2] + grad_h * o * slope
    r_grad_c = carry[3] + r_grad_h * o * slope + grad_h * (v_o * slope - 2 * o * tanh_cell * v_tanh_cell)
    grads[0][:, 3 * h :] = grad_h * tanh_cell * o * (1 - o)
    grads[1][:, 3 * h :] = (r_grad_h * tanh_cell + grad_h * v_tanh_cell) * o * (1 - o)
    grads[1][:, 3 * h :] += grad_h * tanh_cell * v_o * (1 - 2 * o)
    grads[0][:, h : 2 * h] = grad_c * cell * f * (1 - f)
    grads[1][:, h : 2 * h] = (r_grad_c * cell + grad_c * v_cell) * f * (1 - f) + grad_c * cell * v_f * (1 - 2 * f)
    grads[0][:, :h] = grad_c * g * i * (1 - i)
    grads[1][:, :h] = (r_grad_c * g + grad_c * v_g) * i * (1 - i) + grad_c * g * v_i * (1 - 2 * i)
    grads[0][:, 2 * h : 3 * h] = grad_c * i * (1 - g * g)
    grads[1][:, 2 * h : 3 * h] = (r_grad_c * i + grad_c * v_i) * (1 - g * g) - 2 * grad_c * i * g * v_g
    grads[2:4] = grads[0:2]
    carry[0:2] = 0
    carry[2] = grad_c * f
    carry[3] = r_grad_c * f + grad_c * v_f


def gru_tangent(values, inner, old, v_values, v_inner, v_old, v_hidden):
    """v_r = r (1 - r) v_a, ... v_h' = v_n + v_z (h - n) + z (v_h - v_n).

    v_values (n, 3 H): of the gates before their functions, without r inner in n; they become those after them.
    """
    h = old.shape[1]
    r, z, n = values[:, :h], values[:, h : 2 * h], values[:, 2 * h :]
    v_values[:, :h] *= r * (1 - r)
    v_values[:, h : 2 * h] *= z * (1 - z)
    v_r, v_z = v_values[:, :h], v_values[:, h : 2 * h]
    v_values[:, 2 * h :] = (v_values[:, 2 * h :] + v_r * inner + r * v_inner) * (1 - n * n)
    v_n = v_values[:, 2 * h :]
    v_hidden[:] = v_n + v_z * (old - n) + z * (v_old - v_n)


def gru_change(values, inner, old, v_values, v_inner, v_old, carry, grads):
    """The gradients of `gru_step_bprop`, and how they change."""
    h = old.shape[1]
    r, z, n = values[:, :h], values[:, h : 2 * h], values[:, 2 * h :]
    v_r, v_z, v_n = v_values[:, :h], v_values[:, h : 2 * h], v_values[:, 2 * h :]
    grad_h, r_grad_h, slope = carry[0], carry[1], 1 - n * n
    grad_n = grad_h * (1 - z) * slope
    r_grad_n = (r_grad_h * (1 - z) - grad_h * v_z) * slope - 2 * grad_h * (1 - z) * n * v_n
    grads[0][:, h : 2 * h] = grad_h * (old - n) * z * (1 - z)
    grads[1][:, h : 2 * h] = (r_grad_h * (old - n) + grad_h * (v_old - v_n)) * z * (1 - z)
    grads[1][:, h : 2 * h] += grad_h * (old - n) * v_z * (1 - 2 * z)
    grads[0][:, :h] = grad_n * inner * r * (1 - r)
    grads[1][:, :h] = (r_grad_n * inner + grad_n * v_inner) * r * (1 - r) + grad_n * inner * v_r * (1 - 2 * r)
    grads[0][:, 2 * h :], grads[1][:, 2 * h :] = grad_n, r_grad_n
    grads[2:4] = grads[0:2]
    grads[2][:, 2 * h :], grads[3][:, 2 * h :] = grad_n * r, r_grad_n * r + grad_n * v_r
    carry[1] = r_grad_h * z + grad_h * v_z
    carry[0] *= z


def rnn_tangent(hidden, rectified, v_values, v_hidden):
    """v_h' = f' v_a, in both."""
    if rectified:
        v_values *= hidden > 0
    else:
        v_values *= 1 - hidden * hidden
    v_hidden[:] = v_values


def rnn_change(hidden, rectified, v_values, carry, grads):
    """The gradients of `rnn_step_bprop`, and how they change."""
    if rectified:
        grads[0], grads[1] = carry[0] * (hidden > 0), carry[1] * (hidden > 0)
    else:
        slope = 1 - hidden * hidden
        grads[0], grads[1] = carry[0] * slope, carry[1] * slope - 2 * carry[0] * hidden * v_values
    grads[2:4] = grads[0:2]
    carry[0:2] = 0
