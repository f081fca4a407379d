"""Docstrings as reStructuredText: their sections as fields, their equations typeset."""

import re

from equations import typeset

SECTIONS = ("Shapes", "Args", "Returns", "Numerics", "Errors", "Source", "Yields")
NAMES = (
    rf"(?:{'|'.join(SECTIONS)})(?:, (?:{'|'.join(SECTIONS)}))*"  # "Args, Errors" are two that are as those of another
)
OPENING = re.compile(rf"^({NAMES}): ?(.*)$")
ANOTHER = re.compile(r"\b(as of) ([A-Z]\w+)")  # whose page is linked to
WITHIN = re.compile(rf"(?<=[.;]) ({'|'.join(SECTIONS)}): ")  # of a docstring in one line


def to_restructured_text(app, what, name, obj, options, lines: list[str]) -> None:
    """Rewrite the lines of a docstring in place, as Sphinx's event autodoc-process-docstring asks for."""
    lines[:] = rewrite(lines)


def rewrite(lines: list[str]) -> list[str]:
    """The lines of a docstring, as reStructuredText."""
    text = ANOTHER.sub(r"\1 `\2`", WITHIN.sub(r"\n\1: ", "\n".join(lines)))
    blocks = list(split_into_blocks(text.split("\n")))
    result: list[str] = []
    for kind, text in blocks:
        if kind == "equations":
            html = typeset([line for line in text if line.strip()])
            result += ["", ".. raw:: html", "", *("   " + line for line in html.split("\n")), ""]
        elif kind == "code":
            result += ["", "::", "", *("    " + line for line in text), ""]
        elif kind == "paragraph":
            result += ["", *map(escape, text), ""]
        elif kind == "Args" and len(items := split_arguments(" ".join(text))) > 1:
            result += [f":{kind}:", *(f"    - {escape(item)}" for item in items)]
        else:
            first, *more = text
            result += [f":{kind}: {escape(first)}", *("    " + escape(line) for line in more)]
    return [*result, ""]


def split_into_blocks(lines: list[str]):
    """Yield (kind, lines): paragraphs, equations (indented, by themselves), code, and sections by their names."""
    kind, block = "paragraph", []

    def close():
        nonlocal block
        while block and not block[-1].strip():
            block = block[:-1]
        if block:
            named = kind if kind != "indented" else "equations" if is_mathematical(block) else "code"
            yield named, block
        block = []

    for line in lines:
        opening = OPENING.match(line)
        if opening:
            yield from close()
            kind, block = opening[1], [opening[2]]
        elif kind[0].isupper() and line.strip():
            block.append(line.strip())
        elif kind == "indented" and (not line.strip() or line.startswith("    ")):
            block.append(line[4:])
        elif line.startswith("    "):
            yield from close()
            kind, block = "indented", [line[4:]]
        elif not line.strip() or kind != "paragraph":
            yield from close()
            kind, block = "paragraph", [line] if line.strip() else []
        else:
            block.append(line)
    yield from close()


NAMED = re.compile(r"(?:\w+)(?:, \*{0,2}\w+)*(?: and \w+)?: ")


def split_arguments(text: str) -> list[str]:
    """The arguments of a section by themselves, each `name: what it is`, or some names with what they are."""
    items: list[str] = []
    for part in text.split("; "):
        if NAMED.match(part) or not items:
            items.append(part)
        else:  # a semicolon within what is said of one
            items[-1] += f"; {part}"
    return items


STATEMENT = r"^\s*(import |from |with |def |class |@|print\(|return |for .*:$|if .*:$|#|\{|- |\w+: )"
CODE = re.compile(STATEMENT + r"|self\.|\.\w+\(")
PIECES = re.compile(r"(`[^`]*`)")
SPECIAL = re.compile(r"([\\*|])|(?<=\w)_(?!\w)")


def is_mathematical(block: list[str]) -> bool:
    """Whether the lines are equations: code calls methods, or has statements."""
    return not any(CODE.search(line) for line in block)


def escape(line: str) -> str:
    """Keep asterisks and the like from being taken as markup; what is in backticks stays as it is, or becomes code."""
    pieces = PIECES.split(line)
    return "".join(mark(piece) if piece.startswith("`") else SPECIAL.sub(r"\\\g<0>", piece) for piece in pieces)


def mark(piece: str) -> str:
    """The name of a class may be a link; anything else in backticks is code."""
    return piece if re.fullmatch(r"`[A-Z]\w+`", piece) else f"`{piece}`"
