"""A mark in the place of a module: one with the weights of another module, see `Module.share`."""

from ..core.module import Module


class Share:
    """A module with the weights of another one, in a Graph or a Sequential; see `Module.share`.

    Args: node: the other one: the name of a node of the Graph; in a Sequential its place, 0 the first, or a path such
        as `0.tokens` into it; module: what gets those weights whose names and shapes both have, such as the Linear(D,
        V) that turns features into scores of tokens, with the weight of an Embedding(V, D); None: a module like the
        other one, with all its weights.
    """

    def __init__(self, node: str | int, module: Module | None = None):
        self.node, self.module = node, module

    def make(self, own: Module) -> Module:
        """Make the module with the weights of `own`."""
        return own.share(self.module)

    def __repr__(self) -> str:
        return f"Share({self.node!r})" if self.module is None else f"Share({self.node!r}, {self.module.label()})"
