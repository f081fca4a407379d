"""The pages of the reference: one for each public name, grouped by where it is defined."""

import ast
import importlib
import inspect
import io
from collections import defaultdict
from contextlib import redirect_stdout
from pathlib import Path

PACKAGES = ("bprop.modules", "bprop.trainers", "bprop.datasets")
EXAMPLES = Path(__file__).parent / "examples"
SECTION = "# %% "


def read_examples() -> dict[str, str]:
    """The example of each public name, `bprop.modules.Linear` say, with the imports that it needs."""
    examples = {}
    for path in sorted(EXAMPLES.glob("*.py")):
        head, *sections = path.read_text(encoding="utf-8").split(SECTION)
        imports = list_imports(head)
        for section in sections:
            name, _, code = section.partition("\n")
            examples[name.strip()] = add_imports(code.strip(), imports)
    return examples


def list_imports(head: str) -> dict[str, str]:
    """The import statement of each name that the head of a file imports."""
    imports = {}
    for statement in ast.parse(head).body:
        if isinstance(statement, ast.Import):
            imports |= {alias.asname or alias.name: ast.unparse(statement) for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            imports |= {alias.name: statement.module or "" for alias in statement.names}
    return imports


def add_imports(code: str, imports: dict[str, str]) -> str:
    """The code with the imports of the names that it uses, and no others."""
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    plain = sorted({text for name, text in imports.items() if name in used and text.startswith("import ")})
    modules = defaultdict(list)
    for name in sorted(used & imports.keys()):
        if not imports[name].startswith("import "):
            modules[imports[name]].append(name)
    lines = plain + [f"from {module} import {', '.join(names)}" for module, names in sorted(modules.items())]
    return "\n".join(lines) + "\n\n" + code if lines else code


def run(code: str) -> str:
    """What the code prints."""
    output = io.StringIO()
    with redirect_stdout(output):
        exec(compile(code, "<example>", "exec"), {"__name__": "__main__"})
    return output.getvalue()


def list_names() -> dict[str, list[tuple[str, object]]]:
    """The public names by the heading under which they stand: the package and the docstring of their folder or file."""
    groups = defaultdict(list)
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in sorted(module.__all__, key=str.lower):
            thing = getattr(module, name)
            groups[find_group(package, thing)].append((f"{package}.{name}", thing))
    return dict(groups)


def find_group(package: str, thing) -> str:
    """The dotted folder below the package in which a thing is defined, such as modules.layers.activations."""
    parts = (getattr(thing, "__module__", None) or package).removeprefix("bprop.").split(".")
    folders = parts[:-1] if not is_folder(parts) else parts
    if not folders or folders[0] != package.removeprefix("bprop."):
        folders = [package.removeprefix("bprop.")]
    return ".".join(folders)


def is_folder(parts: list[str]) -> bool:
    return hasattr(importlib.import_module(".".join(["bprop", *parts])), "__path__")


def write_reference(folder: Path) -> int:
    """Write the pages into the folder; return how many names they have. Errors: ValueError for a missing example."""
    examples, groups = read_examples(), list_names()
    missing = [name for names in groups.values() for name, _ in names if name not in examples]
    if missing:
        raise ValueError(
            f"docs/site/examples: no example of {', '.join(missing)}; add a section `{SECTION}{missing[0]}`"
        )
    folder.mkdir(parents=True, exist_ok=True)
    contents = ["# Reference", "", "Every public name, by the folder that defines it.", ""]
    listed = []
    for group in sorted(groups):
        title, about = describe_group(group)
        page = [f"# {title}", "", about, "", "| name | |", "|---|---|"]
        for name, thing in groups[group]:
            page.append(f"| [{name.rsplit('.', 1)[1]}]({name}.md) | {summarise(thing)} |")
            (folder / f"{name}.md").write_text(write_page(name, thing, examples[name]), encoding="utf-8")
        page += ["", "```{toctree}", ":hidden:", "", *(name for name, _ in groups[group]), "```", ""]
        (folder / f"{group}.md").write_text("\n".join(page), encoding="utf-8")
        contents.append(f"- [{title}]({group}.md): {', '.join(name.rsplit('.', 1)[1] for name, _ in groups[group])}")
        listed.append(group)
    contents += ["", "```{toctree}", ":hidden:", "", *listed, "```", ""]
    (folder / "index.md").write_text("\n".join(contents), encoding="utf-8")
    return sum(map(len, groups.values()))


def describe_group(group: str) -> tuple[str, str]:
    """The title of a group, and what its folder's docstring says."""
    parts = group.split(".")
    about = inspect.getdoc(importlib.import_module(f"bprop.{group}")) or ""
    title = parts[-1].replace("_", " ").capitalize()
    return title if len(parts) > 1 else f"bprop.{group}", escape_cell(about.split("\n\n")[0].replace("\n", " "))


def summarise(thing) -> str:
    """The first sentence of the docstring."""
    text = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    end = text.find(". ")
    return escape_cell(text if end < 0 else text[: end + 1])


def escape_cell(text: str) -> str:
    """Text within a table or a paragraph of Markdown."""
    return text.replace("|", r"\|").replace("*", r"\*").replace("<", r"\<").replace("$", r"\$")


def write_page(name: str, thing, example: str) -> str:
    """A page: what autodoc makes of the docstring, then the example and what it prints."""
    directive = "autoclass" if inspect.isclass(thing) else "autofunction"
    head = ["---", "html_theme.sidebar_secondary.remove: true", "---", ""]  # it has one heading
    lines = [*head, f"# {name.rsplit('.', 1)[1]}", "", "```{eval-rst}", f".. {directive}:: {name}"]
    if inspect.isclass(thing):
        lines.append("   :members:")
    lines += ["```", "", "## Example", "", "```python", example, "```", ""]
    if printed := run(example).rstrip():
        lines += ["It prints", "", "```text", printed, "```", ""]
    return "\n".join(lines)
