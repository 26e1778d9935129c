"""The stand-in's one page, for people: the directories that it holds, and who is in each. It changes nothing.

It is no part of what Microsoft has, and is not counted as a request.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from deploy.standins.graph.model import User
from deploy.standins.graph.tenant import Tenant

STYLE = Path(__file__).with_name("style.css").read_text("utf-8")
POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
MOST = 500
"""Users of one tenant on the page, the latest first. It says when there are more."""

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Users in Entra",
        "stand_in": "This is a stand-in for Microsoft Graph, not Microsoft.",
        "text": "Blok365's provisioning makes and changes these users. Reload the page to see the latest.",
        "tenants": "There is no directory yet.",
        "nobody": "There is nobody in this directory yet.",
        "more": "The latest {shown} of {count} users.",
        "name": "Name",
        "upn": "User name",
        "state": "State",
        "licences": "Licences",
        "location": "Usage location",
        "enabled": "Enabled",
        "disabled": "Disabled",
        "deleted": "Deleted",
        "none": "none",
    },
    "fr": {
        "title": "Utilisateurs dans Entra",
        "stand_in": "Ceci est un simulateur de Microsoft Graph, ce n'est pas Microsoft.",
        "text": "Le provisionnement de Blok365 les crée et les modifie. Actualisez la page pour voir les derniers.",
        "tenants": "Il n'y a pas encore d'annuaire.",
        "nobody": "Il n'y a encore personne dans cet annuaire.",
        "more": "Les {shown} derniers utilisateurs sur {count}.",
        "name": "Nom",
        "upn": "Nom d'utilisateur",
        "state": "État",
        "licences": "Licences",
        "location": "Emplacement d'utilisation",
        "enabled": "Activé",
        "disabled": "Désactivé",
        "deleted": "Supprimé",
        "none": "aucune",
    },
}


def users_page(tenants: Iterable[Tenant], accept_language: str) -> str:
    """The page as HTML, in French where that is the browser's first language."""
    language = "fr" if accept_language.strip().lower().startswith("fr") else "en"
    words = WORDS[language]
    parts = [_of(tenant, words) for tenant in tenants] or [f"<p>{words['tenants']}</p>"]
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{words["title"]}</title><link rel="stylesheet" href="/style.css"></head>\n<body>\n'
        f'<p class="stand-in"><strong>{words["stand_in"]}</strong></p>\n<main>\n'
        f"<h1>{words['title']}</h1>\n<p>{words['text']}</p>\n{''.join(parts)}\n</main>\n</body>\n</html>\n"
    )


def _of(tenant: Tenant, words: Mapping[str, str]) -> str:
    everybody = sorted([*tenant.users(), *tenant.deleted_users()], key=lambda user: -user.number)
    shown = everybody[:MOST]
    heading = f"<h2>{escape(tenant.name)} <small>{escape(', '.join(sorted(tenant.domains)))}</small></h2>"
    if not shown:
        return f"<section>{heading}<p>{words['nobody']}</p></section>"
    more = words["more"].format(shown=len(shown), count=len(everybody)) if len(shown) < len(everybody) else ""
    names = {sku.sku_id: sku.part_number for sku in tenant.skus.values()}
    columns = "".join(
        f'<th scope="col">{words[key]}</th>' for key in ("name", "upn", "state", "licences", "location")
    )
    rows = "".join(_row(user, names, words) for user in shown)
    return (
        f"<section>{heading}{f'<p>{more}</p>' if more else ''}\n"
        f'<div class="scroll"><table><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def _row(user: User, names: Mapping[str, str], words: Mapping[str, str]) -> str:
    enabled = user.properties.get("accountEnabled") is not False
    state = "deleted" if user.deleted else "enabled" if enabled else "disabled"
    licences: Sequence[str] = sorted({names.get(each.sku_id, each.sku_id) for each in user.licences})
    cells = (
        str(user.properties.get("displayName", "")),
        user.upn,
        words[state],
        ", ".join(licences) or words["none"],
        str(user.properties.get("usageLocation") or ""),
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
