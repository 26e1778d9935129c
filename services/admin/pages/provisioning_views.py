"""What the pages of provisioning show: frozen, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from services.admin.domain.accounts import Account
from services.admin.domain.directory import DirectorySettings
from services.admin.pages.directory_words import (
    Explains,
    faults_in_words,
    known_licences,
    progress_in_words,
)
from services.admin.pages.views import Form, Page
from shared.contracts.admin import Application
from shared.contracts.provisioning import Checked, ConnectionChanged, Licence, Progress
from shared.directory import permission_cost
from shared.web.i18n import Catalogue

TabState = Literal["none", "asked", "testing", "off", "ready", "failed"]
"""`none`: never set up. `asked`: provisioning has not taken what was asked last. `testing`: the page waits for the
result of a test.
"""


@dataclass(frozen=True, kw_only=True)
class ProvisioningPage(Page, Explains):
    """The tab of an application. `check`: the test that the page waits for; empty for none."""

    application: Application
    asked: DirectorySettings
    known: ConnectionChanged | None
    in_force: bool
    check: str
    form: Form
    now: datetime
    may_change: bool
    may_see_people: bool

    @property
    def state(self) -> TabState:
        if not self.asked.has_secrets:
            return "none"
        if not self.in_force or self.known is None:
            return "asked"
        if self.check and (self.known.checked is None or self.known.checked.check != self.check):
            return "testing"
        return self.known.state

    @property
    def checked(self) -> Checked | None:
        """The result of the last test."""
        return self.known.checked if self.known is not None else None

    @property
    def progress(self) -> Progress | None:
        """How far people are; None while it is off or nobody was counted."""
        if self.known is None or self.known.state == "off":
            return None
        return self.known.progress

    @property
    def ends(self) -> datetime | None:
        """When what the connection signs in with ends; None when that is not known."""
        return self.known.credential_ends if self.known is not None and self.known.credential else None

    @property
    def ends_soon(self) -> bool:
        """Whether the page warns of it."""
        return self.ends is not None and self.ends - self.now < timedelta(days=30)

    @property
    def has_ended(self) -> bool:
        return self.ends is not None and self.ends <= self.now

    @property
    def path(self) -> str:
        """The tab's path."""
        return f"{self.frame.base}/applications/{self.application.id}/provisioning"

    def cost(self, permission: str, language: str) -> str:
        """What does not work without that permission."""
        return permission_cost(permission, language)

    @property
    def says_more(self) -> bool:
        """Whether the test's fault is another one than the connection's, which the page shows above it."""
        if self.checked is None or self.checked.fault is None:
            return False
        return (
            self.known is None or self.known.fault is None or self.known.fault.key != self.checked.fault.key
        )

    def faults(self, t: Catalogue, language: str) -> str:
        """How many people need somebody to do something; empty for nobody."""
        return faults_in_words(self.progress, t, language)

    def in_words(self, t: Catalogue, language: str) -> str:
        """How far people are."""
        return progress_in_words(self.progress, t, language)


@dataclass(frozen=True, kw_only=True)
class LicencesPage(Page):
    """The form for a person's licences."""

    account: Account
    connection: ConnectionChanged | None
    form: Form
    action: str
    back: str

    @property
    def licences(self) -> Sequence[Licence]:
        """Those of the directory, as the last test found them."""
        return known_licences(self.connection)

    @property
    def others(self) -> Sequence[str]:
        """SKU ids that the person has from here and the directory's list has not."""
        listed = {each.sku for each in self.licences}
        return [each for each in self.account.licences if each not in listed]
