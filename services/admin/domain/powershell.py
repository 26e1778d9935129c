"""PowerShell text that arrives as it was meant, under Windows PowerShell 5.1 and under PowerShell 7. Pure.

A script file of ours is printable ASCII and line ends, nothing else, for two reasons:

- Windows PowerShell 5.1 reads a file without a byte order mark in the code page of the machine, PowerShell 7 in UTF-8.
  A mark would serve both, but an editor or a copy from a page loses it, and then `é` arrives as two other characters,
  and reads back as what was sent. What is only ASCII is the same text in all of them.
- PowerShell takes the typographic quotation marks U+2018 to U+201B for plain ones, so that they end a string
  ("Quoting", about_Quoting_Rules; language specification 2.3.5.2). There are none in ASCII.

Lines end with CR and LF: Notepad before Windows 10 version 1809, on servers that run 5.1 to this day, shows a file with
LF alone as one line, and an administrator should read what he runs.
"""

import re

_PIECE = re.compile(r"[\x20-\x7e]+|[^\x20-\x7e]")


def literal(text: str) -> str:
    """An expression whose value is exactly this text, whatever is in it: nothing is expanded, nothing ends it early.

    Printable ASCII stands in single quotation marks, in which only the mark itself means something and is doubled. Any
    other UTF-16 code unit, line ends and halves of a surrogate pair too, is `[char]0x00E9`.
    """
    pieces = [_piece(found[0]) for found in _PIECE.finditer(text)]
    if not pieces or pieces[0].startswith("["):
        pieces.insert(0, "''")  # a text first: two characters alone would be added up as numbers
    return " + ".join(pieces)


def _piece(text: str) -> str:
    if text.isascii() and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    units = text.encode("utf-16-be", "surrogatepass")
    return " + ".join(f"[char]0x{units[i : i + 2].hex().upper()}" for i in range(0, len(units), 2))


def script_octets(script: str) -> bytes:
    """The file for a script with LF. Raises UnicodeEncodeError for one that is not ASCII, which is a fault of ours."""
    return script.replace("\n", "\r\n").encode("ascii")
