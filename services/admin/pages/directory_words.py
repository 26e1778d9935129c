"""How pages and their scripts say what provisioning says: states, progress, faults."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from services.admin.domain.accounts import Account
from services.admin.domain.licences import product_name
from services.admin.handlers.console_provisioning import licence_names
from shared.contracts.provisioning import ConnectionChanged, Fault, Licence, PersonChanged, Progress
from shared.directory import Explanation, explanation
from shared.web.i18n import Catalogue

LinkState = Literal["none", "waiting", "working", "linked", "nobody", "failed"]
"""`none`: provisioning has said nothing of the person. `nobody`: there is nothing to do, and no user."""

NARROW_SPACE = "\u202f"
MINUTE = 60


def grouped(number: int, language: str) -> str:
    """The number with its thousands apart, as that language writes it: `3,200` or `3 200`."""
    text = f"{number:,}"
    return text.replace(",", NARROW_SPACE) if language == "fr" else text


def progress_in_words(progress: Progress | None, t: Catalogue, language: str) -> str:
    """`People done: 3,200 of 10,000, about 12 minutes left.`; empty when nothing was counted yet."""
    if progress is None:
        return ""
    done, people = grouped(progress.done, language), grouped(progress.people, language)
    if not progress.waiting:
        return t("provisioning.progress.over", done=done, people=people)
    left = progress.seconds_left
    if left is None:
        return t("provisioning.progress", done=done, people=people)
    minutes = max(1, round(left / MINUTE))
    if minutes == 1:
        return t("provisioning.progress.minute", done=done, people=people)
    if minutes <= 90:
        return t("provisioning.progress.minutes", done=done, people=people, minutes=minutes)
    hours = max(2, round(minutes / 60))
    return t("provisioning.progress.hours", done=done, people=people, hours=hours)


def faults_in_words(progress: Progress | None, t: Catalogue, language: str) -> str:
    """`3 people couldn't be provisioned`; empty for nobody."""
    if progress is None or not progress.failed:
        return ""
    if progress.failed == 1:
        return t("provisioning.faults.one")
    return t("provisioning.faults", count=grouped(progress.failed, language))


def link_state(link: PersonChanged | None) -> LinkState:
    """How the person's user is, in one word."""
    if link is None:
        return "none"
    if link.state == "done":
        return "linked" if link.object_id else "nobody"
    return link.state


class Explains:
    """What a fault means, for templates."""

    def explained(self, fault: Fault, language: str) -> Explanation:
        """Our explanation in that language."""
        return explanation(fault.key, language)

    def words_of(self, fault: Fault) -> str:
        """Microsoft's own words with its code; Entra's begin with it, Graph's do not."""
        if fault.words.startswith(fault.code):
            return fault.words
        return f"{fault.code} {fault.words}".strip()


@dataclass(frozen=True, slots=True)
class ListedLicence:
    """A licence of the directory as pages name it."""

    sku: str
    product: str
    part_number: str
    """Microsoft's short name, which is what the directory says; empty where no product's name is known for it."""
    left: int


def known_licences(connection: ConnectionChanged | None) -> Sequence[ListedLicence]:
    """The licences of the directory, as the last test found them."""
    if connection is None or connection.checked is None:
        return ()
    return [_listed(each) for each in connection.checked.licences]


def _listed(licence: Licence) -> ListedLicence:
    product = product_name(licence.name)
    part_number = "" if product == licence.name else licence.name
    return ListedLicence(licence.sku, product, part_number, licence.left)


def licences_of(account: Account, connection: ConnectionChanged | None) -> Sequence[str]:
    """The names of the licences that the person has from here."""
    return [product_name(each) for each in licence_names(account.licences, connection)]
