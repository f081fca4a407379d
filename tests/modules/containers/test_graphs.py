"""Graphs of named nodes, tables, and weights that several modules share."""

import re

import numpy as np
import pytest
from bprop.modules import (
    BatchNorm1d,
    CAddTable,
    ConcatTable,
    CSubTable,
    Dropout,
    Flatten,
    Graph,
    Identity,
    JoinTable,
    Linear,
    MapTable,
    MeanSquaredError,
    NarrowTable,
    ParallelTable,
    Parameter,
    SelectTable,
    Sequential,
    Share,
    SoftmaxCrossEntropy,
    SplitTable,
    StackTable,
    Tanh,
    check_gradients,
)
from bprop.modules.engine.operations import Operations
from bprop.trainers import SGD, Trainer, compile_step


def diamond():
    """One input, two branches of which one is read twice, one output."""
    nodes = {
        "sum": (CAddTable(), ["left", "right", "stem"]),  # nodes may stand in any order
        "stem": ([Linear(3, 4), Tanh()], "x"),
        "left": (Linear(4, 4), "stem"),
        "right": (Share("left"), "left"),
        "out": (Linear(4, 2), "sum"),
    }
    return Graph(nodes, outputs="out")


# -- what is computed ------------------------------------------------------------------------------------------------


def test_a_compiled_step_is_all_of_it_by_hand(random):
    net, loss, labels = diamond(), SoftmaxCrossEntropy(), np.array([0, 1, 1, 0])
    other, sgd, x = net.copy(), SGD(lr=0.1, momentum=0.9), random.standard_normal((4, 3))
    step = compile_step(net, loss, SGD(lr=0.1, momentum=0.9))
    for _ in range(3):
        value = step(x, labels)
        other.zero_grad()
        by_hand = loss.copy()
        assert by_hand.fprop(other.fprop(x), labels) == pytest.approx(value, rel=1e-4)
        other.bprop(by_hand.bprop())
        sgd.update(other)
    np.testing.assert_allclose(net.flat_parameters, other.flat_parameters, 1e-4, 1e-5)
    assert np.shares_memory(net["left"].weight, net["right"].weight)
    assert net.flat_parameters.size == 16 + 20 + 10


def test_a_plan_has_no_operation_but_those_of_the_modules_and_the_sums():
    operations = Operations()
    net = diamond()
    y = net.write_fprop(operations, "x")
    net.write_bprop(operations, "grad_y")
    lines = [f"{o.target} = {type(o.module).__name__}.{o.method}({', '.join(o.arguments)})" for o in operations.items]
    assert y == "x6"
    assert lines == [
        "x0 = Linear.fprop(x)",
        "x1 = Tanh.fprop(x0)",
        "x2 = Linear.fprop(x1)",
        "x3 = Linear.fprop(x2)",
        "x4 = Sum.fprop(x2, x3)",
        "x5 = Sum.fprop(x4, x1)",
        "x6 = Linear.fprop(x5)",
        "grad7 = Linear.bprop(grad_y)",
        "grad8 = Linear.bprop(grad7)",
        "grad9 = Sum.bprop(grad7, grad8)",
        "grad10 = Linear.bprop(grad9)",
        "grad11 = Sum.bprop(grad7, grad10)",
        "grad12 = Tanh.bprop(grad11)",
        "grad13 = Linear.bprop(grad12)",
    ]


def test_several_inputs_and_outputs_are_tables(random):
    net = Graph({"a": (Linear(3, 2), "one"), "b": (CSubTable(), ["a", "two"])}, ["b", "a"], ["one", "two"])
    one, two = random.standard_normal((4, 3)), random.standard_normal((4, 2))
    y = net.fprop((one, two))
    np.testing.assert_allclose(y[0], y[1] - two, 1e-5, 1e-6)
    grad_one, grad_two = net.bprop((np.ones((4, 2)), np.ones((4, 2))))
    np.testing.assert_allclose(grad_two, -np.ones((4, 2)))
    np.testing.assert_allclose(grad_one, 2 * np.tile(net["a"].weight.sum(axis=0), (4, 1)), 1e-5)
    assert net.output_shape(((4, 3), (4, 2))) == ((4, 2), (4, 2))
    with pytest.raises(
        ValueError, match=r"^Graph\(one, two -> b, a\): grad_y has shape \(4, 2\), expected \(\(4, 2\), "
    ):
        net.fprop((one, two)), net.bprop(np.ones((4, 2)))


def test_of_two_that_are_equal_each_has_half_of_the_gradient():
    from bprop.modules import CMaxTable, CMinTable

    for kind in (CMaxTable, CMinTable):
        module, a = kind(), np.array([[1.0, 2.0, np.nan]])
        y = module.fprop((a, np.array([[1.0, 3.0, 0.0]])))
        assert np.isnan(y[0, 2])
        grads = module.bprop(np.array([[4.0, 4.0, 4.0]]))
        np.testing.assert_array_equal(grads[0][:, :2], [[2, 4 * (kind is CMinTable)]])
        np.testing.assert_array_equal(grads[1][:, :2], [[2, 4 * (kind is CMaxTable)]])


def test_a_table_inside_a_table(random):
    inner = ConcatTable(Linear(3, 2), Identity())
    net = Sequential(ConcatTable(inner, Linear(3, 3)), ParallelTable(JoinTable(), Tanh()), JoinTable())
    check_gradients(net, random.standard_normal((4, 3))).raise_if_wrong()
    assert Sequential(inner.copy()).output_shape((4, 3)) == ((4, 2), (4, 3))


# -- names, and what is shown ----------------------------------------------------------------------------------------


def test_names_are_those_of_pytorch():
    net = diamond()
    assert [name for name, _ in net.named_parameters()] == [
        "stem.0.weight",
        "stem.0.bias",
        "left.weight",
        "left.bias",
        "out.weight",
        "out.bias",
    ]
    assert {"left.weight", "right.weight"} <= set(net.state_dict())
    other = diamond()
    other.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(other.flat_parameters, net.flat_parameters)


def test_it_shows_what_each_node_reads():
    assert repr(diamond()) == (
        "Graph(x -> out\n"
        "  (sum): CAddTable()  # reads left, right, stem\n"
        "  (stem): Sequential(  # reads x\n"
        "    (0): Linear(3 -> 4)  # 16 parameters\n"
        "    (1): Tanh()\n"
        "  )  # 16 parameters\n"
        "  (left): Linear(4 -> 4)  # reads stem, 20 parameters\n"
        "  (right): Linear(4 -> 4)  # reads left, the weights of model.left\n"
        "  (out): Linear(4 -> 2)  # reads sum, 10 parameters\n"
        ")  # 46 parameters"
    )
    net = diamond()
    assert list(net) == ["sum", "stem", "left", "right", "out"]
    assert len(net) == 5
    with pytest.raises(KeyError, match="there is no node 'stm'; did you mean 'stem'"):
        net["stm"]


# -- mistakes --------------------------------------------------------------------------------------------------------


def nodes(**arguments):
    """Nodes of Linear(3 -> 3) that read what is given."""
    return {name: (Linear(3, 3), sources) for name, sources in arguments.items()}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Graph({}, "a"), "got no nodes, expected at least one"),
        (lambda: Graph(nodes(a="b", b="c", c="a"), "a"), "'a' reads 'b' reads 'c' reads 'a': a cycle"),
        (lambda: Graph(nodes(a="a"), "a"), "'a' reads 'a': a cycle"),
        (
            lambda: Graph(nodes(stem="x", a="stm"), "a"),
            "the node 'a' reads 'stm', which there is not; did you mean 'stem'?",
        ),
        (lambda: Graph(nodes(a="x"), "q"), "outputs has 'q', which there is not; known: x, a"),
        (lambda: Graph(nodes(a="x.y"), "a"), "the node 'a' reads 'x.y', which there is not; did you mean 'x'?"),
        (lambda: Graph(nodes(a="x", b="x"), "b"), "nobody reads the node 'a', and it is no output"),
        (lambda: Graph(nodes(a="x"), "a", ["x", "z"]), "nobody reads the input 'z', and it is no output"),
        (lambda: Graph(nodes(x="x"), "x"), "the node 'x' has the name of an input"),
        (lambda: Graph(nodes(fprop="x"), "fprop"), "a node is called 'fprop', expected a word that no attribute is"),
        (lambda: Graph({"a b": (Tanh(), "x")}, "a b"), "a node is called 'a b', expected a word that no attribute is"),
        (lambda: Graph({"a": Tanh()}, "a"), "the node 'a' is Tanh(), expected a module and what it reads"),
        (
            lambda: Graph({"a": (Tanh, "x")}, "a"),
            "the node 'a' has the class Tanh, expected",
        ),
        (lambda: Graph({"a": (Tanh(), [])}, "a"), "the node 'a' reads nothing, expected at least one name"),
        (lambda: Graph(nodes(a="x"), ["a", "a"]), "the name 'a' stands twice, expected each once"),
        (
            lambda: Graph({"a": (Linear(3, 3), "x"), "b": (Share("c"), "a")}, "b"),
            "the node 'b' shares the weights of 'c', which there is not; known: a",
        ),
        (
            lambda: Graph({"s": (SplitTable(2), "x"), "a": (Tanh(), "s.0")}, "a"),
            "nobody reads s.1, and it is no output",
        ),
        (
            lambda: Graph({"s": (SplitTable(2), "x"), "a": (Tanh(), "s.2")}, "a"),
            "'a' reads 's.2', but 's' makes a table of 2",
        ),
        (lambda: Graph(nodes(a="x", b="a.0"), "b"), "'b' reads 'a.0', but 'a' makes one array"),
    ],
)
def test_wrong_graphs_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=f"^Graph: {re.escape(message)}"):
        make()


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (diamond, (4, 5), "Linear(3 -> 4): x has shape (4, 5), expected (N, 3)\nin model.stem[0]"),
        (
            lambda: Graph({"a": (Linear(3, 2), "x"), "s": (CAddTable(), ["a", "x"])}, "s"),
            (4, 3),
            "CAddTable(): got arrays of shapes (4, 2) and (4, 3), expected the same shape\nin model.s",
        ),
        (
            lambda: Sequential(ConcatTable(Tanh(), Tanh()), Tanh()),
            (4, 3),
            "Tanh(): x is a table of arrays of shapes (4, 3) and (4, 3), expected one array\nin model[1]",
        ),
        (
            lambda: Sequential(Tanh(), CAddTable()),
            (4, 3),
            "CAddTable(): x has shape (4, 3), expected a table of arrays\nin model[1]",
        ),
        (
            lambda: Sequential(SplitTable(3), CSubTable()),
            (4, 3, 2),
            "CSubTable(): x is a table of 3 arrays, expected 2\nin model[1]",
        ),
        (
            lambda: Sequential(ConcatTable(Linear(3, 2), Tanh()), StackTable()),
            (4, 3),
            "StackTable(): got arrays of shapes (4, 2) and (4, 3), expected the same shape\nin model[1]",
        ),
        (
            lambda: Sequential(ConcatTable(Tanh(), Flatten()), JoinTable(1)),
            (4, 3, 2),
            "JoinTable(axis=1): array 1 has shape (4, 6), expected (4, any, 2)\nin model[1]",
        ),
    ],
)
def test_shapes_that_do_not_fit_name_the_place(make, shape, message):
    for ask in (make().output_shape, lambda shape: make().fprop(np.zeros(shape))):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            ask(shape)


def test_a_net_that_is_trained_takes_and_makes_one_array(random):
    two = Sequential(ConcatTable(Linear(3, 2), Linear(3, 2)))
    message = (
        "Sequential(): makes a table of 2 arrays, expected one; a JoinTable or StackTable after it makes one of them"
    )
    x, labels = random.standard_normal((4, 3)), np.zeros(4, np.int64)
    for train in (compile_step(two, SoftmaxCrossEntropy(), SGD(lr=0.1)), by_trainer(two)):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            train(x, labels)
    pair = Graph({"s": (CAddTable(), ["a", "b"])}, "s", ["a", "b"])
    with pytest.raises(ValueError, match=r"^Graph\(a, b -> s\): x has shape \(1, 3\), expected a table of arrays$"):
        by_trainer(pair)(x, labels)
    with pytest.raises(ValueError, match=r"^Graph\(a, b -> s\): x is a table of 3 arrays, expected 2$"):
        pair.fprop((x, x, x))


def by_trainer(net):
    trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True)
    return lambda x, labels: trainer.fit((x, labels), epochs=1, batch_size=2)


def test_a_module_stands_at_one_node_only():
    layer = Linear(3, 3)
    with pytest.raises(
        ValueError, match=r"^Linear\(3 -> 3\) stands in a model already, at model.a: .* module.share\(\)"
    ):
        Graph({"a": (layer, "x"), "b": (layer, "a")}, "b")


@pytest.mark.filterwarnings("ignore:.*has jit = False:UserWarning")
def test_a_node_may_run_as_python(random):
    from ..custom import InPython

    net = Graph({"a": (Linear(3, 3), "x"), "p": (InPython(), "a"), "s": (CAddTable(), ["a", "p", "x"])}, "s")
    other, x, target = net.copy(), random.standard_normal((4, 3)), np.zeros((4, 3))
    step, loss = compile_step(net, MeanSquaredError(), SGD(lr=0.0)), MeanSquaredError()
    assert step(x, target) == pytest.approx(float(loss.fprop(other.fprop(x), target)), rel=1e-5)
    other.bprop(loss.bprop())
    np.testing.assert_allclose(net.flat_gradients, other.flat_gradients, 1e-4, 1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: JoinTable(0), "JoinTable: axis is 0, expected at least 1"),
        (lambda: NarrowTable([]), "NarrowTable: sizes is [], expected sizes of at least 1"),
        (lambda: NarrowTable([1], -1), "NarrowTable: axis is -1, expected at least 1"),
        (lambda: SplitTable(0), "SplitTable: count is 0, expected at least 1"),
        (lambda: MapTable(0, Tanh()), "MapTable: count is 0 for 1 layers, expected at least 1 of each"),
        (lambda: MapTable(2), "MapTable: count is 2 for 0 layers, expected at least 1 of each"),
        (lambda: ConcatTable(), "ConcatTable: got no branches, expected at least one module"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


# -- shared weights ----------------------------------------------------------------------------------------------------


def siamese():
    return Sequential(SplitTable(2), MapTable(2, Linear(3, 4), BatchNorm1d(4)), CSubTable(), Linear(4, 1))


def test_shared_weights_are_one_entry(random):
    net, x = siamese(), random.standard_normal((5, 2, 3))
    tower, twin = net[1]
    assert net.flat_parameters.size == net.parameter_count == 12 + 4 + 8 + 5
    net.fprop(x)
    net.bprop(np.ones((5, 1)))
    assert tower[0].weight.ctypes.data == twin[0].weight.ctypes.data
    assert tower[0].grad_weight.ctypes.data == twin[0].grad_weight.ctypes.data
    assert tower[1].running_mean.ctypes.data == twin[1].running_mean.ctypes.data
    twin[0].weight = np.zeros((4, 3))
    assert not net.flat_parameters[:12].any()
    assert "(0): Linear(3 -> 4)  # the weights of model[1][0][0]" in repr(net)


def test_a_copy_shares_within_itself_only():
    net = siamese()
    copy = net.copy().to("float64")
    copy[1][0][0].weight[...] = 7
    np.testing.assert_array_equal(copy[1][1][0].weight, np.full((4, 3), 7))
    assert not (net[1][0][0].weight == 7).any()
    lone = net[1][0].copy()
    assert not np.shares_memory(lone[0].weight, net[1][0][0].weight)


def test_the_gradients_are_those_of_pytorch(random):
    torch = pytest.importorskip("torch")
    net, x = (
        Sequential(SplitTable(2), MapTable(2, Linear(3, 4), Tanh()), JoinTable()),
        random.standard_normal((5, 2, 3)),
    )
    net.to("float64")
    linear = torch.nn.Linear(3, 4).double()
    linear.load_state_dict({"weight": torch.tensor(net[1][0][0].weight), "bias": torch.tensor(net[1][0][0].bias)})
    t = torch.tensor(x)
    y = torch.cat([torch.tanh(linear(t[:, 0])), torch.tanh(linear(t[:, 1]))], dim=1)
    np.testing.assert_allclose(net.fprop(x), y.detach(), 1e-9)
    y.square().sum().backward()
    net.bprop(2 * y.detach().numpy())
    np.testing.assert_allclose(net[1][0][0].grad_weight, linear.weight.grad, 1e-9)


def test_a_new_parameter_is_shared_too():
    first = Linear(3, 2)
    net = Sequential(first, Linear(2, 3), first.share())
    net[2].weight = Parameter(np.ones((2, 3)))
    assert np.shares_memory(net[0].weight, net[2].weight)
    assert net[0].weight.all()
    assert net.flat_parameters.size == 8 + 9


def test_it_goes_on_where_it_was_saved(random, tmp_path):
    data, nets = (random.standard_normal((20, 2, 3)), random.standard_normal((20, 1))), [siamese()]
    nets += [nets[0].copy(), nets[0].copy()]
    trainers = [Trainer(net, MeanSquaredError(), SGD(lr=0.1, momentum=0.9), quiet=True) for net in nets]
    trainers[0].fit(data, epochs=3, batch_size=5)
    trainers[1].fit(data, epochs=2, batch_size=5)
    trainers[1].save(tmp_path)
    trainers[2].load(tmp_path)
    trainers[2].fit(data, epochs=1, batch_size=5)
    np.testing.assert_array_equal(nets[0].flat_parameters, nets[2].flat_parameters)


def test_random_numbers_are_not_shared():
    dropout = Sequential(Linear(2, 2), Dropout(0.5))
    assert dropout.share()[1].key != dropout[1].key


def test_weights_are_shared_within_one_net_only():
    layer = Linear(3, 2)
    first, second = Sequential(layer), Sequential(layer.share())
    assert np.shares_memory(first[0].weight, second[0].weight)
    first.zero_grad()
    assert np.shares_memory(first[0].weight, second[0].weight)
    with pytest.raises(
        ValueError, match=r"^Linear\(3 -> 2\) shares its weights with Linear\(3 -> 2\) of another model, ex"
    ):
        second.zero_grad()


def test_a_step_adds_the_gradients_of_modules_that_clear_and_of_those_that_do_not(random):
    from ..custom import Scale

    for layer in (Scale(3), Linear(3, 3)):
        net, x = Sequential(layer, Tanh(), layer.share()), random.standard_normal((4, 3))
        other, loss, target = net.copy(), MeanSquaredError(), np.zeros((4, 3))
        step = compile_step(net, MeanSquaredError(), SGD(lr=0.0))
        step(x, target), step(x, target)
        loss.fprop(other.fprop(x), target)
        other.bprop(loss.bprop())
        np.testing.assert_allclose(net.flat_gradients, other.flat_gradients, 1e-5, 1e-7)


def test_selecting_from_a_table():
    x = np.ones((2, 3)), (2 * np.ones((2, 1)), 3 * np.ones((2, 4)))
    first, second = SelectTable(0), SelectTable(1)
    np.testing.assert_array_equal(first.fprop(x), x[0])
    grads = first.bprop(x[0])
    assert [grads[0].sum(), grads[1][0].sum(), grads[1][1].sum()] == [6, 0, 0]
    assert [each.shape for each in second.fprop(x)] == [(2, 1), (2, 4)]
    grads = second.bprop(x[1])
    assert [grads[0].sum(), grads[1][0].sum(), grads[1][1].sum()] == [0, 4, 24]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SelectTable(-1), "SelectTable: index is -1, expected at least 0"),
        (
            lambda: SelectTable(1).fprop(np.ones((2, 3))),
            "SelectTable(1): x has shape (2, 3), expected a table of arrays",
        ),
        (
            lambda: SelectTable(2).fprop((np.ones((2, 3)), np.ones((2, 3)))),
            "SelectTable(2): x is a table of 2 arrays, expected at least 3",
        ),
    ],
)
def test_wrong_selections(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
