"""Every part by hand: forward, loss, backward, update. What lies between can be read, printed and changed."""

import numpy as np
from bprop.modules import Linear, MeanSquaredError, Sequential, Tanh, manual_seed
from bprop.trainers import SGD

manual_seed(0)
x = np.linspace(-3, 3, 64).reshape(64, 1)
target = np.sin(x)

model = Sequential(Linear(1, 16), Tanh(), Linear(16, 1))
loss, sgd = MeanSquaredError(), SGD(lr=0.1, momentum=0.9)

for number in range(1, 401):
    model.zero_grad()
    y = model.fprop(x)
    value = loss.fprop(y, target)
    grad_y = loss.bprop()  # the loss's gradient with respect to y
    grad_x = model.bprop(grad_y)  # and to x; the parameters' gradients are added up on the way
    if number % 100 == 1:
        print(f"step {number}: loss {value:.5f}")
        for name, gradient in model.named_gradients():
            print(f"    |gradient of {name}| = {np.linalg.norm(gradient):.5f}")
    sgd.update(model)

print(f"loss {loss.fprop(model.fprop(x), target):.5f}")
