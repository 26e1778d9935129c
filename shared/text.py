"""Names that come from somebody else and are shown to people, signed or mailed.

Control characters end a line or begin a header; format characters (direction overrides, zero width) make one name
read as another; lone surrogates have no octets. General categories: Unicode Standard, section 4.5.
"""

import unicodedata

_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_JOINERS = "\u200c\u200d"
"""Format characters that are part of the spelling in some scripts."""


def has_invisible(text: str) -> bool:
    """Whether it holds a character that nobody sees, joiners apart: for names that are refused rather than changed."""
    return any(unicodedata.category(c) in _INVISIBLE and c not in _JOINERS for c in text)


def clean_line(text: str, longest: int) -> str:
    """The visible part as one line of at most `longest` characters; perhaps empty.

    Each run of white space, control, format, private and unassigned characters becomes one space, joiners too: a name
    made only of those would be invisible. Looks at the first 4 * `longest` characters.
    """
    shown = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text[: 4 * longest])
    return " ".join(shown.split())[:longest].rstrip()
