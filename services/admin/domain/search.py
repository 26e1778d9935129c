"""How people are found: by the beginning of any word of their name, user name or address. Pure.

The store keeps the short beginnings of an account's words in an indexed array, so that a search reads accounts that
begin alike, in the order of the list; whether one really matches what was typed is decided here.
"""

import re
import unicodedata
from collections.abc import Iterable

from services.admin.domain.accounts import Account

LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
"""Lengths of the beginnings that are indexed: few for each word, and still few accounts that share a long one."""
MAX_QUERY = 100
_WORD = re.compile(r"\w+")


def fold(text: str) -> str:
    """The text as it is compared: no accents, no case. `Zoé` becomes `zoe`."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def words_of(account: Account) -> frozenset[str]:
    """Everything that a search finds the account by: words, and the user name and the address as wholes."""
    texts = (account.first_name, account.last_name, account.display_name, account.upn, account.email)
    found = {word for text in texts for word in _WORD.findall(fold(text))}
    return frozenset(found | {fold(account.upn), fold(account.email)})


def prefixes(words: Iterable[str]) -> list[str]:
    """The beginnings of those words that are indexed, sorted."""
    return sorted({word[:length] for word in words for length in LENGTHS if length <= len(word)})


def indexed(words: Iterable[str]) -> tuple[str, ...]:
    """Of each word that is looked for the longest beginning that is indexed; the longest first, none twice."""
    longest = {word[: max(length for length in LENGTHS if length <= len(word))] for word in words}
    return tuple(sorted(longest, key=lambda each: (-len(each), each)))


def wanted(query: str) -> tuple[str, ...]:
    """What was typed as the words to look for, the longest first; empty when there is nothing to look for.

    A word with an @ in it is taken as it is: part of a user name or an address.
    """
    pieces = fold(query[:MAX_QUERY]).split()
    found = {word for piece in pieces for word in ([piece] if "@" in piece else _WORD.findall(piece))}
    return tuple(sorted(found, key=lambda word: (-len(word), word)))


def matches(account: Account, words: Iterable[str]) -> bool:
    """Whether each of the words begins one of the account's."""
    own = words_of(account)
    return all(any(each.startswith(word) for each in own) for word in words)
