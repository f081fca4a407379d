"""The scanner of YAML's library, which takes a tab for the beginning of a word, with tabs where YAML 1.2 allows them.

A tab indents nothing. But like a blank it may separate words, end a line, and stand before a comment (YAML 1.2.2, 6.2).
"""

import re

from ruamel.yaml.scanner import Scanner

__all__ = ["TabScanner"]

LINE_ENDS = "\0\r\n\x85\u2028\u2029"
BLOCK_HEADER = re.compile(r"[|>][-+0-9]*([ \t]+)")


class TabScanner(Scanner):
    """A scanner that skips tabs between words."""

    def scan_to_next_token(self) -> None:
        super().scan_to_next_token()
        while self.skip_tabs():
            super().scan_to_next_token()

    def skip_tabs(self) -> bool:
        """Skip blanks and tabs, unless they indent what follows; whether there were any."""
        reader, count = self.reader, 0
        while reader.peek(count) in " \t":
            count += 1
        if count == 0 or (reader.peek(count) not in LINE_ENDS + "#" and self.is_indentation(count)):
            return False
        reader.forward(count)
        return True

    def is_indentation(self, count: int) -> bool:
        """Whether blanks and tabs begin a line, or stand before the dash of a list within a list."""
        reader = self.reader
        line = reader.buffer[reader.buffer.rfind("\n", 0, reader.pointer) + 1 : reader.pointer]
        return not line.strip(" \t") or (reader.peek(count) == "-" and reader.peek(count + 1) in " \t" + LINE_ENDS)

    def scan_block_scalar(self, style, rt=False):
        """Scan the text below `|` or `>`, after which tabs may stand before a comment."""
        reader = self.reader
        match = BLOCK_HEADER.match(reader.buffer, reader.pointer)
        if match and "\t" in match[1]:
            start, end = match.span(1)
            reader.buffer = reader.buffer[:start] + " " * (end - start) + reader.buffer[end:]
        return super().scan_block_scalar(style, rt)
