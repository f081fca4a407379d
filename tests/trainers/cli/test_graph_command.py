"""`bprop graph`."""

from xml.etree import ElementTree

from bprop.trainers.cli import main


def test_it_draws_the_net_of_a_config(tmp_path, capsys):
    assert main(["graph", "digits_mlp", "--format", "mermaid"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("flowchart TD\n")
    assert '-->|"(N, 1, 8, 8)"|' in text
    assert '["loss<br>SoftmaxCrossEntropy()"]' in text
    assert '-->|"(N,)"|' in text
    assert main(["graph", "digits_mlp", "--output", str(tmp_path / "net.svg"), "model.1.Linear.out_features=72"]) == 0
    assert "(N, 72)" in {each.text for each in ElementTree.parse(tmp_path / "net.svg").iter()}
    assert capsys.readouterr().out == ""
