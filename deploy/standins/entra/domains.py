"""The domains that the directory has not been told to federate from the start: an administrator's scripts do that.

`run_script` does what the script says that it does, in its order: checks, New or Update, read back; or back to managed.
What it federated is kept in a file, so that it outlives a restart.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from deploy.standins.entra.powershell import Script
from deploy.standins.entra.settings import Federations, FederationSettings, ManagedDomain

ENVIRONMENT = "Global"
"""The cloud that this program stands in for, by its name for `Connect-MgGraph`."""


CHANGED = frozenset({"run_federated", "run_updated", "run_managed"})
"""The reasons that say that something was changed."""


@dataclass(frozen=True)
class Change:
    """One value: what Entra had and what it has now. Empty: none."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Outcome:
    """What the script ended with. `exit_code` as the script's own; `reason`: a name in the catalogue of pages."""

    exit_code: int
    reason: str
    domain: str
    changes: tuple[Change, ...] = ()
    federation: FederationSettings | None = None
    """The domain's settings afterwards; None: it is managed, or not here."""
    issuer: str = ""
    """Of whoever the domain is federated to, where that is somebody else."""

    @property
    def changed(self) -> bool:
        """Whether the directory is another one now."""
        return self.reason in CHANGED


class ScriptedDomains:
    """What the scripts have federated, by domain. Without a file it ends with the program."""

    def __init__(self, file: Path | None) -> None:
        """Raises OSError, ValueError (ValidationError too) for a file that is not ours."""
        self._file = file
        self._federated: dict[str, FederationSettings] = {}
        if file is not None and file.exists():
            kept = [FederationSettings.model_validate(each) for each in json.loads(file.read_bytes())]
            self._federated = {each.domain: each for each in kept}

    def onto(self, told: Federations) -> Federations:
        """What the directory has: what it was told, and of its managed domains those that a script federated."""
        scripted = [each for name, each in self._federated.items() if name in told.managed]
        taken = told.by_issuer
        added = {each.domain: each for each in scripted if each.issuer_uri not in taken}
        return Federations(
            by_domain={**told.by_domain, **added},
            by_issuer={**taken, **{each.issuer_uri: each for each in added.values()}},
            managed=told.managed,
        )

    def keep(self, domain: str, federation: FederationSettings | None) -> None:
        """What a script left: None for a managed domain."""
        if federation is None:
            self._federated.pop(domain, None)
        else:
            self._federated[domain] = federation
        if self._file is not None:
            kept = [each.model_dump(mode="json", by_alias=True) for each in self._federated.values()]
            self._file.parent.mkdir(parents=True, exist_ok=True)
            written = self._file.with_suffix(".new")
            written.write_text(json.dumps(kept, indent=2))
            written.replace(self._file)


def run_script(script: Script, federations: Federations, *, what_if: bool = False) -> Outcome:
    """What running the script comes to. With `what_if` nothing is changed. Keeping the outcome is the caller's."""
    refused = Outcome(1, "", script.domain)
    if script.environment != ENVIRONMENT:
        return replace(refused, reason="run_other_cloud")
    before = federations.by_domain.get(script.domain)
    if script.domain not in federations.managed:
        return replace(refused, reason="run_told_already" if before else "run_no_domain")
    if before is not None and before.issuer_uri != script.issuer_uri:
        return replace(refused, reason="run_other_provider", issuer=before.issuer_uri, federation=before)
    if script.kind == "back-out":
        return _back_out(script, before, what_if)
    return _federate(script, before, federations, what_if)


def _back_out(script: Script, before: FederationSettings | None, what_if: bool) -> Outcome:
    if before is None:
        return Outcome(0, "run_managed_already", script.domain)
    changes = (Change("AuthenticationType", "Federated", "Managed"),)
    if what_if:
        return Outcome(0, "run_what_if", script.domain, changes, before)
    return Outcome(0, "run_managed", script.domain, changes)


def _federate(
    script: Script, before: FederationSettings | None, federations: Federations, what_if: bool
) -> Outcome:
    domain = federations.managed[script.domain]
    refused = Outcome(1, "", script.domain, federation=before)
    if blocker := _blocker(domain, before):
        return replace(refused, reason=blocker)
    settings = dict(script.settings)
    if before is not None and before.next_signing_certificate and "NextSigningCertificate" not in settings:
        settings["NextSigningCertificate"] = settings["SigningCertificate"]
    was = _values(before)
    changes = tuple(
        Change(name, was.get(name, ""), value)
        for name, value in settings.items()
        if was.get(name, "") != value
    )
    if not changes:
        return replace(refused, exit_code=0, reason="run_same")
    if what_if:
        return replace(refused, exit_code=0, reason="run_what_if", changes=changes)
    holder = federations.by_issuer.get(settings["IssuerUri"])
    if holder is not None and holder.domain != script.domain:
        return replace(refused, exit_code=2, reason="run_issuer_taken")
    try:
        after = FederationSettings.model_validate(
            {"domain": domain.domain, "tenant": domain.tenant, **{_camel(n): v for n, v in settings.items()}}
        )
    except ValidationError:
        return replace(refused, exit_code=2, reason="run_bad_values")
    read_back = _values(after)
    if any(read_back.get(name) != value for name, value in settings.items()):
        return replace(refused, exit_code=2, reason="run_bad_values")
    return Outcome(0, "run_updated" if before else "run_federated", script.domain, changes, after)


def _blocker(domain: ManagedDomain, before: FederationSettings | None) -> str:
    """Why the domain cannot be federated, in the script's order; empty when it can."""
    if not domain.is_verified:
        return "run_not_verified"
    if domain.is_initial:
        return "run_initial"
    if not domain.is_root:
        return "run_not_root"
    return "run_default" if domain.is_default and before is None else ""


def _values(federation: FederationSettings | None) -> Mapping[str, str]:
    """The settings by the names of the parameters that set them; those without a value are left out."""
    if federation is None:
        return {}
    known = federation.model_dump(by_alias=True, exclude={"domain", "tenant", "previous_signing_certificate"})
    return {f"{name[0].upper()}{name[1:]}": value for name, value in known.items() if value is not None}


def _camel(name: str) -> str:
    return f"{name[0].lower()}{name[1:]}"
