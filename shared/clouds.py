"""Microsoft's clouds, as a tenant meets them: one table for everything that differs between them.

Realm and sign-in host: "Azure AD authentication & national clouds" and the metadata of each cloud's relying party.
Graph: "National cloud deployments" (Microsoft Graph). GCC is part of the worldwide cloud; `usgov` is GCC High.
Not tried against the real ones: the reply URLs of `usgov` and `china` beyond `login.srf`, so those are not listed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CloudName = Literal["worldwide", "usgov", "china"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """One of Microsoft's clouds."""

    realm: str
    """`wtrealm` of its requests, and the audience of tokens for it."""
    reply_urls: tuple[str, ...]
    """Where its tokens may go, compared whole; the first is where they go when a request names none."""
    start_url: str
    """Where a finished, expired or lost sign-in sends the person to begin again."""
    authority: str
    """Origin of its token endpoints."""
    graph: str
    """Origin of its Microsoft Graph."""
    graph_environment: str
    """Its name for `Connect-MgGraph` (Microsoft Graph PowerShell)."""


CLOUDS: Mapping[CloudName, Cloud] = {
    "worldwide": Cloud(
        realm="urn:federation:MicrosoftOnline",
        reply_urls=(
            "https://login.microsoftonline.com/login.srf",
            "https://ccs.login.microsoftonline.com/ccs/login.srf",
            "https://ccs-sdf.login.microsoftonline.com/ccs/login.srf",
            "https://stamp2.login.microsoftonline.com/login.srf",
        ),
        start_url="https://m365.cloud.microsoft/",
        authority="https://login.microsoftonline.com",
        graph="https://graph.microsoft.com",
        graph_environment="Global",
    ),
    "usgov": Cloud(
        realm="urn:federation:MicrosoftOnline",
        reply_urls=("https://login.microsoftonline.us/login.srf",),
        start_url="https://portal.office365.us/",
        authority="https://login.microsoftonline.us",
        graph="https://graph.microsoft.us",
        graph_environment="USGov",
    ),
    "china": Cloud(
        realm="urn:federation:partner.microsoftonline.cn",
        reply_urls=("https://login.partner.microsoftonline.cn/login.srf",),
        start_url="https://portal.partner.microsoftonline.cn/",
        authority="https://login.partner.microsoftonline.cn",
        graph="https://microsoftgraph.chinacloudapi.cn",
        graph_environment="China",
    ),
}
"""Every cloud that a tenant can be configured for."""
