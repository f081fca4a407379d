"""Equations, which docstrings write in plain text for the terminal, as HTML: names, indices and exponents set apart.

A line may hold several equations side by side, three blanks or more apart; each is aligned at its sign.
"""

import html
import re

APART = re.compile(r" {3,}|, {2,}")
SIGN = re.compile(r"\s*(?<![<>!=])(\+=|-=|->|→|<-|←|∝|≈|~|=)\s*(?=\S)")
WORD = re.compile(r"[^\W\d_]+(?:_[\w]+)?(?:'(?!\w))?|\d[\d.e]*|->|<-|>=|<=|!=|\+=|-=|[-*]|\s+|.", re.DOTALL)
SIGNS = {"->": "→", "<-": "←", ">=": "≥", "<=": "≤", "!=": "≠", "+=": "+=", "-=": "−=", "-": "−", "*": "·"}


def typeset(lines: list[str]) -> str:
    """An HTML table of the equations; screen readers get the plain text."""
    rows = [list(split_into_cells(line)) for line in lines]
    columns = max(len(row) for row in rows)
    body = "\n".join(f"<tr>{''.join(cells(row, columns))}</tr>" for row in rows)
    label = html.escape("; ".join(line.strip() for line in lines), quote=True)
    return f'<table class="equations" role="math" aria-label="{label}">\n{body}\n</table>'


def split_into_cells(line: str):
    """Yield (left, sign, right) of each equation; a line that begins far to the right goes on with a comment there."""
    if len(line) - len(line.lstrip()) > 12:
        yield "", "", ""
        yield line.strip(), "", ""
    else:
        for part in split_apart(line):
            yield split_at_sign(part)


def split_apart(line: str) -> list[str]:
    """The equations of a line: blanks before a sign align it, and set nothing apart."""
    line = re.sub(r" {2,}(?=(\+=|-=|->|→|=|≈|~) )", " ", line.strip())
    return [part for part in APART.split(line) if part.strip()]


def split_at_sign(part: str) -> tuple[str, str, str]:
    sign = SIGN.search(part)
    if sign is None or depth(part[: sign.start()]):
        return part.strip(), "", ""
    return part[: sign.start()].strip(), sign[1], part[sign.end() :].strip()


def depth(text: str) -> int:
    """How many brackets are open at the end of the text."""
    return sum(text.count(c) for c in "([{") - sum(text.count(c) for c in ")]}")


def cells(row: list[tuple[str, str, str]], columns: int):
    """The cells of a row: three for each equation; text without a sign takes all three."""
    for left, sign, right in row:
        if sign:
            yield f"<td>{set_words(left)}</td><td>{SIGNS.get(sign, sign)}</td><td>{set_words(right)}</td>"
        else:
            yield f'<td colspan="3" class="text">{set_words(left)}</td>'
    for _ in range(columns - len(row)):
        yield '<td colspan="3"></td>'


def set_words(text: str) -> str:
    return "".join(set_word(word) for word in WORD.findall(text))


def set_word(word: str) -> str:
    """A letter in italics, a longer name upright, what follows an underscore as an index."""
    if word in SIGNS:
        return SIGNS[word]
    if not word[0].isalpha():
        return html.escape(word)
    prime = "′" if word.endswith("'") else ""
    name, _, index = word.rstrip("'").partition("_")
    bare = re.sub(r"[ᵢⱼₖₗₘₙₜₚ₀-₉ᵀ⁰-⁹ᵏⁿ]", "", name)
    name = f"<i>{html.escape(name)}</i>" if len(bare) <= 1 else html.escape(name)
    if not index:
        return name + prime
    return f"{name}<sub>{html.escape(index.replace('_', ' '))}</sub>{prime}"
