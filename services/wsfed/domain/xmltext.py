"""Text that goes into XML, written the way Canonical XML writes it.

Because we emit canonical form at once, the octets that we hash are the octets that we send, and no
serializer stands between the two.
"""

import re

from shared.errors import BadInput

# XML 1.0 section 2.2, production [2] Char, negated.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def require_xml_text(value: str, name: str) -> str:
    """`value` itself, if XML 1.0 can hold every character of it (section 2.2, Char).

    Raises BadInput `not_xml` otherwise: for control characters, lone surrogates, U+FFFE and U+FFFF. `name`
    goes into the message, `value` does not.
    """
    if _NOT_XML.search(value):
        raise BadInput("wsfed.subject.not_xml", name=name, code="not_xml")
    return value


def element_text(value: str) -> str:
    """`value` as the text of an element in canonical form (Canonical XML 1.0 section 2.3, text nodes)."""
    return (
        value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")
    )  # fmt: skip


def attribute_text(value: str) -> str:
    """`value` as it stands between double quotes in canonical form (section 2.3, attribute nodes)."""
    return (
        value.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace('"', "&quot;")
        .replace("\t", "&#x9;")
        .replace("\n", "&#xA;")
        .replace("\r", "&#xD;")
    )
