"""The text of configs: YAML 1.2 with places, overrides, and files found by path or by name."""

import pytest
from bprop.trainers.configs import ConfigError, list_packaged_configs, load_config, parse_config
from bprop.trainers.configs.config_files import find_config, read_text
from bprop.trainers.configs.nodes import convert_to_plain, read_yaml
from bprop.trainers.configs.overrides import apply_override


def read(text):
    problems = []
    node = read_yaml(text, "c.yaml", problems)
    if problems:
        raise ConfigError(problems)
    return node


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("5.", 5.0),
        ("-.5", -0.5),
        ("+12", 12),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("'1'", "1"),
        ('"null"', "null"),
        ("1.2.3", "1.2.3"),
        ("inf", "inf"),
    ],
)
def test_words_of_yaml_1_2(word, value):
    (got,) = convert_to_plain(read(f"[{word}]" if word else "- "))
    assert (got, type(got)) == (value, type(value))


def test_nan():
    (got,) = convert_to_plain(read("- .nan"))
    assert got != got


def test_a_version_directive_changes_no_word():
    assert convert_to_plain(read("%YAML 1.1\n---\na: [no, 1e-3]")) == {"a": ["no", 1e-3]}


def test_places_count_from_one():
    node = read("# comment\na:\n  - {bé: x, c: y}\n")
    inner = node.nodes["a"].nodes[0]
    assert str(node.places["a"]) == "c.yaml:2:1"
    assert str(inner.places["c"]) == "c.yaml:3:13"
    assert str(inner.nodes["c"].place) == "c.yaml:3:16"


def test_anchors_repeat_a_value():
    assert convert_to_plain(read("a: &x [1, {b: 2}]\nc: *x")) == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: 1\nb: [1",
            "c.yaml:2:6: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'",
        ),
        (
            "a: b: c",
            "c.yaml:1:5: mapping values are not allowed here; "
            "is the line indented like those beside it, with one key in it?",
        ),
        (
            "a:\n\t- b",
            "c.yaml:2:1: while scanning for the next token, found character '\\t' that cannot start any "
            "token; lines are indented by spaces",
        ),
        ("a: 'b", "c.yaml:1:6: while scanning a quoted scalar, found unexpected end of stream"),
        ("%YAML 3.0\n---\na: 1", "c.yaml:1:1: found incompatible YAML document (version 1.* is required)"),
        ("a: 1\nb: \x01", "c.yaml:2:4: the character '\\x01' is not allowed"),
        ("a: 1\n---\nb: 2", "c.yaml:3:1: a second document starts here"),
        ("a: *b", "c.yaml:1:4: a: no '&b' is complete before this '*b'"),
        ("a: &b [*b]", "c.yaml:1:8: a.0: no '&b' is complete before this '*b'"),
        ("? [a, b]\n: 1", "c.yaml:1:3: a key is one word, got a list or a mapping"),
        (
            "a: !!python/object:os.system x",
            "c.yaml:1:4: a: a config has no tags, got 'tag:yaml.org,2002:python/object:os.system'",
        ),
        ("a: !!str 5", "c.yaml:1:4: a: a config has no tags, got 'tag:yaml.org,2002:str'"),
        ("a: !b {c: 1}", "c.yaml:1:4: a: a config has no tags, got '!b'"),
        ("a:\n  b: 1\n  c: 2\n  b: 3", "c.yaml:4:3: a.b: duplicate key (first on line 2)"),
        ("[" * 1200, "c.yaml:1:101: nested too deeply, expected at most 100 levels"),
    ],
)
def test_messages(text, message):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value) == message


def override(text, *overrides):
    node = read(text)
    for one in overrides:
        node = apply_override(node, one, addable=["trainer", "schedules"])
    return convert_to_plain(node)


OPTIMIZER = "optimizer:\n  SGD: {lr: 0.1}\nmodel:\n- Tanh\n- my.Scale: {features: 3}\ndataset: Digits\nseed:"


@pytest.mark.parametrize(
    ("one", "key", "value"),
    [
        ("optimizer.SGD.lr=0.01", "optimizer", {"SGD": {"lr": 0.01}}),
        ("optimizer.SGD.momentum=1e-1", "optimizer", {"SGD": {"lr": 0.1, "momentum": 0.1}}),
        ("optimizer.SGD={}", "optimizer", {"SGD": {}}),
        ("optimizer={Adam: {lr: 1}}", "optimizer", {"Adam": {"lr": 1}}),
        ("optimizer=Adam", "optimizer", "Adam"),
        ("dataset.Digits.seed=1", "dataset", {"Digits": {"seed": 1}}),
        ("model.0.Tanh.x=1", "model", [{"Tanh": {"x": 1}}, {"my.Scale": {"features": 3}}]),
        ("model.1.my.Scale.features=4", "model", ["Tanh", {"my.Scale": {"features": 4}}]),
        ("model.1=Tanh", "model", ["Tanh", "Tanh"]),
        ("trainer.epochs=2", "trainer", {"epochs": 2}),
        ("seed=3", "seed", 3),
        (" seed =", "seed", None),
        ("name=a=b", "name", "a=b"),
        ('schedules."optimizer.lr"=Cosine', "schedules", {"optimizer.lr": "Cosine"}),
        ("schedules.'optimizer.lr'={Cosine: {per: step}}", "schedules", {"optimizer.lr": {"Cosine": {"per": "step"}}}),
        ('"model"."1"."my.Scale".features=4', "model", ["Tanh", {"my.Scale": {"features": 4}}]),
    ],
)
def test_override(one, key, value):
    before = override(OPTIMIZER)
    assert override(OPTIMIZER, one) == {**before, key: value}


def test_an_override_takes_the_longest_key():
    assert override("a: {x: 1}\na.b: {x: 1}", "a.b.x=2") == {"a": {"x": 1}, "a.b": {"x": 2}}


def test_a_key_in_quotes_is_taken_as_it_stands():
    text = "schedules: {optimizer.lr: {Cosine: {per: epoch}}}"
    changed = {"schedules": {"optimizer.lr": {"Cosine": {"per": "step"}}}}
    for key in ("optimizer.lr", '"optimizer.lr"', "'optimizer.lr'"):
        assert override(text, f"schedules.{key}.Cosine.per=step") == changed
    both = {"optimizer.lr": {"Cosine": {"per": "epoch"}}, "model.0.p": "Linear"}
    assert override(text, "schedules.'model.0.p'=Linear") == {"schedules": both}
    assert override("a: {x: 1}\na.x: {x: 1}", "'a'.x=2") == {"a": {"x": 2}, "a.x": {"x": 1}}


def test_the_last_override_wins():
    assert override(OPTIMIZER, "trainer.a=1", "trainer.b=2", "trainer.a=3")["trainer"] == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("one", "message"),
    [
        ("seed", "expected key.path=value, such as optimizer.SGD.lr=0.01"),
        ("=3", "expected key.path=value, such as optimizer.SGD.lr=0.01"),
        ("optimiser.SGD.lr=1", "optimiser: there is no 'optimiser'; did you mean 'optimizer'?"),
        ("zzz.SGD.lr=1", "zzz: there is no 'zzz'; here stands optimizer, model, dataset, seed"),
        (
            "optimizer.Adam.lr=1",
            "optimizer.Adam: there is no 'Adam' in optimizer; here stands SGD, and 'optimizer={Adam: {...}}' "
            "puts another in its place",
        ),
        (
            "dataset.Digit.seed=1",
            "dataset.Digit: dataset is 'Digits', which holds no 'Digit'; did you mean 'Digits'?",
        ),
        (
            "schedules.optimizer.lr.StepSchedule.gamma=1",
            "schedules.optimizer: there is no 'optimizer' in schedules; a new path stands in quotes: "
            "'schedules.\"optimizer.lr\"={...}'",
        ),
        ("model.2.Tanh=1", "model.2: model is a list with positions 0 to 1"),
        ("model.Tanh=1", "model.Tanh: model is a list with positions 0 to 1"),
        ("optimizer.SGD.lr.x=1", "optimizer.SGD.lr.x: optimizer.SGD.lr is 0.1, which holds no 'x'"),
        ("seed=[", "seed: while parsing a flow node, expected the node content, but found '<stream end>'"),
        ("seed={a: 1, a: 2}", "seed.a: duplicate key"),
        ("'optimizer.SGD=1", "'optimizer.SGD: expected '...', then a dot and the rest of the path"),
        ("'optimizer'SGD=1", "'optimizer'SGD: expected '...', then a dot and the rest of the path"),
        ("'optimizer'.=1", "'optimizer'.: expected '...', then a dot and the rest of the path"),
        ("''=1", "'': expected '...', then a dot and the rest of the path"),
        ("seed=!!int 3", "seed: a config has no tags, got 'tag:yaml.org,2002:int'"),
    ],
)
def test_override_messages(one, message):
    with pytest.raises(ConfigError) as caught:
        override(OPTIMIZER, one)
    assert str(caught.value) == f"override {one!r}: {message}"


def test_override_of_an_empty_list():
    with pytest.raises(ConfigError, match=r"model.0: model is a list with positions none, it is empty"):
        override("model: []", "model.0=Tanh")


def test_find_config_by_path_then_by_name(tmp_path, monkeypatch):
    import bprop.trainers.configs.config_files as config_files

    packaged = tmp_path / "packaged"
    packaged.mkdir()
    (packaged / "digits_mlp.yaml").write_text("seed: 1")
    monkeypatch.setattr(config_files.importlib.resources, "files", lambda package: packaged)
    monkeypatch.chdir(tmp_path)
    assert list_packaged_configs() == {"digits_mlp": packaged / "digits_mlp.yaml"}
    assert find_config("digits_mlp") == packaged / "digits_mlp.yaml"
    assert find_config("digits_mlp.yaml") == packaged / "digits_mlp.yaml"
    (tmp_path / "digits_mlp").mkdir()
    assert find_config("digits_mlp") == packaged / "digits_mlp.yaml"
    (tmp_path / "digits_mlp.yaml").write_text("seed: 2")
    assert str(find_config("digits_mlp.yaml")) == "digits_mlp.yaml"
    with pytest.raises(ConfigError) as caught:
        find_config("configs/digit_mlp.yaml")
    assert str(caught.value) == (
        "configs/digit_mlp.yaml: there is no such file; did you mean 'digits_mlp'?; packaged configs: digits_mlp"
    )
    with pytest.raises(ConfigError, match="packaged: this is a folder, expected a file; packaged configs: digits_mlp"):
        find_config("packaged")


def test_the_package_lists_its_own_configs():
    assert all(path.suffix == ".yaml" and path.is_file() for path in list_packaged_configs().values())


def test_bytes_that_are_no_utf8(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"seed: 1\n# caf\xe9\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "c.yaml")
    assert str(caught.value) == f"{tmp_path / 'c.yaml'}:2:6: the byte 0xe9 is not UTF-8"


def test_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfseed: 1\n")
    assert read_text(tmp_path / "c.yaml") == "seed: 1\n"


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=": cannot be read: Is a directory"):
        read_text(tmp_path)


def test_errors_can_be_pickled():
    import pickle

    with pytest.raises(ConfigError) as caught:
        parse_config("a: [", packages=[])
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.errors) == (str(caught.value), caught.value.errors)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\t# c\nb: 2\n", {"a": 1, "b": 2}),
        ("a: 'x' \t # c", {"a": "x"}),
        ("a:\t# c\n  b: 1\t\n", {"a": {"b": 1}}),
        ("a:\t1", {"a": 1}),
        ("-\t1\n-\t2\t# c", [1, 2]),
        ("a: [1,\t2]\t# c", {"a": [1, 2]}),
        ("a: {b: 1}\t# c\n", {"a": {"b": 1}}),
        ("a:\n  - x\n\t# c\n  - y\n", {"a": ["x", "y"]}),
        ("\t# c\n\t\na: 1\n", {"a": 1}),
        ("---\t# c\na: 1", {"a": 1}),
        ("a: |\t# c\n  text\t# of it\n", {"a": "text\t# of it\n"}),
        ("a: >-2 \t# c\n  x\n", {"a": "x"}),
        ("a: 'x\t# y'", {"a": "x\t# y"}),
    ],
)
def test_a_tab_separates(text, value):
    assert convert_to_plain(read(text)) == value


@pytest.mark.parametrize("text", ["\ta: 1", "a:\n  b: 1\n\tc: 2\n", "a:\n\tb: 1", "-\t- 1"])
def test_a_tab_indents_nothing(text):
    with pytest.raises(
        ConfigError, match=r"found character .* that cannot start any token; lines are indented by spaces"
    ):
        read(text)


def test_merge_keys_are_no_part_of_yaml_1_2():
    message = "merge keys (<<) are no part of YAML 1.2; 'include' merges files, and ${key.path} repeats a value"
    with pytest.raises(ConfigError) as caught:
        read("x: &x {a: 1}\ny: {<<: *x, b: 2}\n")
    assert str(caught.value) == f"c.yaml:2:5: y.<<: {message}"


def test_paths_that_are_not_utf8_go_through_a_config(tmp_path):
    """From the command line to the data set, into the resolved config, and back."""
    path = "t\udce9-\udcff.csv"
    (tmp_path / path).write_text("a,b\n" + "".join(f"{k},{'xy'[k % 2]}\n" for k in range(40)))
    text = (
        "dataset: {CsvDataset: {path: x.csv, target: b}}\nmodel: [{Linear: {in_features: 1, out_features: 2}}]\n"
        "loss: SoftmaxCrossEntropy\noptimizer: {SGD: {lr: 0.1}}\n"
    )
    config = parse_config(text, [f"dataset.CsvDataset.path={tmp_path / path}"])
    assert str(config.specs["dataset"].arguments["path"]).endswith(path)
    again = parse_config(config.resolved())
    assert again.resolved() == config.resolved()
    assert len(again.build().dataset.train.x)
    assert convert_to_plain(read("a: \uf7e9")) == {"a": "\uf7e9"}  # private characters of a file stay what they are
