"""A custom training loop around the compiled step: here, with a learning rate that falls from step to step."""

from bprop.datasets import Digits
from bprop.modules import Flatten, Linear, Sequential, SoftmaxCrossEntropy, Tanh, manual_seed
from bprop.trainers import SGD, compile_step

EPOCHS, BATCH_SIZE = 20, 32

manual_seed(0)
digits = Digits()
model = Sequential(Flatten(), Linear(64, 72), Tanh(), Linear(72, 10))
sgd = SGD(lr=0.2, momentum=0.9)
step = compile_step(model, SoftmaxCrossEntropy(), sgd)

for epoch in range(EPOCHS):
    total = 0.0
    for x, target in digits.train.minibatches(BATCH_SIZE, shuffle=True, seed=0, epoch=epoch):
        total += step(x, target) * len(x)
        sgd.lr *= 0.997
    print(f"epoch {epoch + 1:2d}  loss {total / len(digits.train):.4f}  lr {sgd.lr:.4f}")

x, target = digits.test[:]
accuracy = (model.fprop(x).argmax(axis=1) == target).mean()
print(f"test accuracy {accuracy:.4f}")
