"""Examples of bprop.modules.containers, for the reference."""

import numpy as np
from bprop.modules import (
    LSTM,
    CAddTable,
    CDivTable,
    CMaxTable,
    CMinTable,
    CMulTable,
    Concat,
    ConcatTable,
    CSubTable,
    Embedding,
    Graph,
    Identity,
    JoinTable,
    LastStep,
    Linear,
    MapTable,
    NarrowTable,
    Padded,
    Parallel,
    ParallelTable,
    ReLU,
    Residual,
    Sequential,
    Share,
    SplitTable,
    StackTable,
    Tanh,
)

# %% bprop.modules.CAddTable
layer = CAddTable()
print(layer.fprop((np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]]))))
print(layer.bprop(np.ones((1, 2))))

# %% bprop.modules.CDivTable
layer = CDivTable()
print(layer.fprop((np.array([[1.0, 2.0]]), np.array([[4.0, 5.0]]))))
print(layer.bprop(np.ones((1, 2))))

# %% bprop.modules.CMaxTable
layer = CMaxTable()
print(layer.fprop((np.array([[1.0, 7.0]]), np.array([[3.0, 5.0]]))))
print(layer.bprop(np.ones((1, 2))))

# %% bprop.modules.CMinTable
layer = CMinTable()
print(layer.fprop((np.array([[1.0, 7.0]]), np.array([[3.0, 5.0]]))))
print(layer.bprop(np.ones((1, 2))))

# %% bprop.modules.CMulTable
layer = CMulTable()
print(layer.fprop((np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]]))))
print(layer.bprop(np.ones((1, 2))))

# %% bprop.modules.CSubTable
layer = CSubTable()
print(layer.fprop((np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]]))))
print(layer.bprop(np.ones((1, 2))))

# %% bprop.modules.Concat
net = Concat(Linear(3, 2), Sequential(Linear(3, 4), ReLU()))
y = net.fprop(np.ones((5, 3), np.float32))
print(y.shape, net.bprop(y).shape)

# %% bprop.modules.ConcatTable
net = Sequential(ConcatTable(Linear(3, 2), Identity()), JoinTable())
print(net.fprop(np.ones((5, 3), np.float32)).shape)

# %% bprop.modules.Graph
net = Graph(
    {"hidden": ([Linear(4, 8), Tanh()], "x"), "skip": (Linear(4, 3), "x"), "sum": (CAddTable(), ["scores", "skip"])}
    | {"scores": (Linear(8, 3), "hidden")},
    outputs="sum",
)
y = net.fprop(np.ones((2, 4), np.float32))
print(y.shape, net.bprop(y).shape)

# %% bprop.modules.JoinTable
layer = JoinTable()
print(layer.fprop((np.array([[1.0, 2.0]]), np.array([[3.0]]))))
print(layer.bprop(np.array([[1.0, 2.0, 3.0]])))

# %% bprop.modules.MapTable
net = MapTable(2, Linear(3, 2))
left, right = net.fprop((np.ones((4, 3), np.float32), np.zeros((4, 3), np.float32)))
print(left.shape, right.shape)

# %% bprop.modules.NarrowTable
layer = NarrowTable([2, 1])
print(layer.fprop(np.array([[1.0, 2.0, 3.0]])))

# %% bprop.modules.Padded
net = Padded(LSTM(3, 4), LastStep(), Linear(4, 2))
x, lengths = np.random.default_rng(0).standard_normal((2, 5, 3)), np.array([5, 2])
y = net.fprop((x, lengths))
grad_x, _ = net.bprop(np.ones_like(y))
print(y.shape, np.abs(grad_x[1]).sum(axis=1) > 0)

# %% bprop.modules.Parallel
net = Parallel(Linear(3, 2), Linear(3, 4))
print(net.fprop(np.ones((5, 2, 3), np.float32)).shape)  # one row of x for each branch

# %% bprop.modules.ParallelTable
net = ParallelTable(Linear(3, 2), Tanh())
y = net.fprop((np.ones((4, 3), np.float32), np.ones((4, 5), np.float32)))
print(y[0].shape, y[1].shape)

# %% bprop.modules.Residual
net = Residual(Linear(3, 8), ReLU(), Linear(8, 3))
y = net.fprop(np.ones((2, 3), np.float32))
print(y.shape, net.bprop(y).shape)

# %% bprop.modules.Sequential
net = Sequential(Linear(4, 8), ReLU(), Linear(8, 3))
y = net.fprop(np.ones((2, 4), np.float32))
grad_x = net.bprop(np.ones_like(y))
print(net)
print(net[0].grad_weight.shape)

# %% bprop.modules.Share
net = Sequential(Embedding(10, 4), Share(0, Linear(4, 10, bias=False)))
print(net.fprop(np.array([[1, 2, 3]])).shape, np.shares_memory(net[1].weight, net[0].weight))

# %% bprop.modules.SplitTable
layer = SplitTable(2)
first, second = layer.fprop(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
print(first, second)

# %% bprop.modules.StackTable
layer = StackTable()
print(layer.fprop((np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]]))).shape)
