"""The WS-MetadataExchange document: a WSDL that offers no endpoint at all.

Entra ID's federation settings name an address for it, and older clients read it to find where to post a
password. There is no password here, so there is no port, no binding and no policy to find.
"""

from services.wsfed.domain.xmltext import attribute_text, element_text, require_xml_text

_DOCUMENT = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" name="SecurityTokenService"'
    ' targetNamespace="{namespace}">\n'
    "  <wsdl:documentation>{documentation}</wsdl:documentation>\n"
    '  <wsdl:service name="SecurityTokenService"></wsdl:service>\n'
    "</wsdl:definitions>\n"
)


def mex_document(*, issuer: str, passive_url: str) -> bytes:
    """WSDL 1.1 in UTF-8, with one service that has no ports. Raises BadInput `not_xml`."""
    documentation = f"Sign-in is passive WS-Federation at {passive_url}; passwords are not accepted anywhere."
    return _DOCUMENT.format(
        namespace=attribute_text(require_xml_text(issuer, "issuer")),
        documentation=element_text(require_xml_text(documentation, "sign-in address")),
    ).encode()
