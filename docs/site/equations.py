"""Equations, which docstrings write in plain text for the terminal, as HTML: names, indices and exponents set apart.

A line may hold several equations side by side, three blanks or more apart; the first of each line are aligned at their
signs. Where there is no room for a line it breaks: between equations, before a sign of addition, between factors.
"""

import html
import re

APART = re.compile(r" {3,}|, {2,}")
SIGN = re.compile(r"\s*(?<![<>!=])(\+=|-=|->|→|<-|←|∝|≈|~|=)\s*(?=\S)")
WORD = re.compile(r"[^\W\d_]+(?:_[\w]+)?(?:'(?!\w))?|\d[\d.e]*|->|<-|>=|<=|!=|\+=|-=|[-*]|\s+|.", re.DOTALL)
NO_BREAK = "\u00a0"
SHORT = re.compile(r"\[[^\[\]]{0,24}\]|\([^()]{0,24}\)")
SHORT_RIGHT = 32  # letters of a right side that need not break beside other equations
RAISED = "[ᵀ⁰-⁹²³¹⁻ᵏⁿ]"
INDEXED = {"grad", "mean", "var", "std", "max", "min", "log", "sum"}
SIGNS = {"->": "→", "<-": "←", ">=": "≥", "<=": "≤", "!=": "≠", "+=": "+=", "-=": "−=", "-": "−", "*": "·"}


def typeset(lines: list[str]) -> str:
    """An HTML table of the equations; screen readers get the plain text."""
    body = "\n".join(f"<tr>{make_row(list(split_into_cells(line)))}</tr>" for line in lines)
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


def make_row(equations: list[tuple[str, str, str]]) -> str:
    """The cells of a row: the three parts of its first equation, and all others in one, which breaks between them."""
    (left, sign, right), *others = equations
    more = " ".join(f"<span>{set_equation(*each)}</span>" for each in others)
    if sign:
        first = f"<td>{set_words(left)}</td><td>{SIGNS.get(sign, sign)}</td>"
        if more:
            kind = ' class="short"' if len(right) < SHORT_RIGHT else ""
            return f'{first}<td{kind}>{set_words(right)}</td><td class="more">{more}</td>'
        return f'{first}<td colspan="2">{set_words(right)}</td>'
    if more:
        return f'<td colspan="3" class="text">{set_words(left)}</td><td class="more">{more}</td>'
    return f'<td colspan="4" class="text">{set_words(left)}</td>'


def set_equation(left: str, sign: str, right: str) -> str:
    """An equation as running text."""
    return set_words(f"{left} {SIGNS.get(sign, sign)} {right}" if sign else left)


def set_words(text: str) -> str:
    words = WORD.findall(bind(text))
    return "".join(set_word(word) for word in words)


def bind(text: str) -> str:
    """The text with blanks that do not break: in short brackets, after a sign of addition, and after a sum."""
    text = SHORT.sub(lambda inside: inside[0].replace(" ", NO_BREAK), text)
    return re.sub(r"(?<=[ \u00a0][-+·*/]) |(?<=[ΣΠ]) |(?<=[ΣΠ][ᵢⱼₖₗₘₙₜₚₒ]) ", NO_BREAK, text)


def set_word(word: str) -> str:
    """A letter in italics, a longer name upright; what follows its underscore is an index, unless it is a program's."""
    if word in SIGNS:
        return SIGNS[word]
    if not word[0].isalpha():
        return html.escape(word)
    prime = "′" if word.endswith("'") else ""
    name, _, index = word.rstrip("'").partition("_")
    bare = re.sub(RAISED + "|[ᵢⱼₖₗₘₙₜₚ₀-₉]", "", name)
    if index and len(bare) > 1 and bare not in INDEXED:  # an argument, such as ns_steps
        return html.escape(word)
    name = f"<i>{html.escape(name)}</i>" if len(bare) <= 1 else html.escape(name)
    if not index:
        return name + prime
    raised = "".join(re.findall(RAISED, index))
    index = re.sub(RAISED, "", index).replace("_", " ")
    return f"{name}<sub>{html.escape(index)}</sub>{raised}{prime}"
