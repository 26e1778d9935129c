"""Provisioning: the application's tab, and what a person's page has of it (docs/flows/provisioning.md)."""

from datetime import datetime
from typing import Any, get_args

from aiohttp import web

from services.admin.domain.directory import licences_typed, read_end
from services.admin.domain.roles import Act
from services.admin.handlers import console_people as people
from services.admin.handlers import console_provisioning as provisioning
from services.admin.handlers.directory import DirectoryView
from services.admin.pages.directory_words import link_state
from services.admin.pages.provisioning_views import LicencesPage, ProvisioningPage
from services.admin.pages.views import Crumb, Form, refused
from services.admin.routes.applications import APPLICATION
from services.admin.routes.guard import ConsoleRoute, TenantRoute, TenantVisit, redirect
from services.admin.routes.people import PERSON
from shared.contracts.admin import Application
from shared.contracts.provisioning import WhenRemoved, WhenSuspended
from shared.errors import BadInput, Conflict, NotFound
from shared.web.i18n import choose

TAB = f"{APPLICATION}/provisioning"
FIELDS = ("enabled", "properties", "secret_ends", "when_suspended", "when_removed", "revision")
MAX_CHECK = 64


async def show_provisioning(visit: TenantVisit) -> web.Response:
    """The tab: the connection, its test, how far people are, and the form."""
    return await _tab(visit, None)


async def _tab(visit: TenantVisit, form: Form | None) -> web.Response:
    application = _application(visit)
    view = await provisioning.show_connection(visit.deps, visit.actor)
    page = ProvisioningPage(
        frame=visit.frame("applications"),
        crumbs=(Crumb(visit.path("/applications"), key="nav.applications"),),
        application=application,
        asked=view.asked,
        known=view.known,
        in_force=view.in_force,
        check=_check(visit),
        form=form or _filled(view),
        now=visit.deps.clock.now(),
        may_change=visit.actor.may(Act.CHANGE_PROVISIONING),
        may_see_people=visit.actor.may(Act.SEE_PEOPLE),
    )
    return visit.render("provisioning.html", page, status=400 if form else 200)


def _application(visit: TenantVisit) -> Application:
    """Raises NotFound."""
    wanted = visit.request.match_info["application"]
    found = next((each for each in visit.tenant.applications if each.id == wanted), None)
    if found is None:
        raise NotFound("admin.application.unknown")
    return found


def _check(visit: TenantVisit) -> str:
    """The test that this page waits for; empty for none."""
    return visit.request.query.get("check", "")[:MAX_CHECK]


def _filled(view: DirectoryView) -> Form:
    """The form as it is first shown. Properties that are in force are not in it: they are kept nowhere here."""
    ends = _end_known(view)
    return Form(
        {
            "enabled": "yes" if view.asked.enabled or not view.asked.has_secrets else "",
            "secret_ends": "" if ends is None else f"{ends:%Y-%m-%d}",
            "when_suspended": view.asked.when_suspended,
            "when_removed": view.asked.when_removed,
            "revision": str(view.asked.revision),
        }
    )


def _end_known(view: DirectoryView) -> datetime | None:
    """When the secret ends, the one that was saved last; None for a certificate, whose end nobody types."""
    if not view.in_force:
        return view.asked.secret_ends_at
    if view.known is None or view.known.credential != "secret":
        return None
    return view.known.credential_ends


async def change_provisioning(visit: TenantVisit) -> web.Response:
    """Keep the settings; properties that were typed are sealed at once, and a page that refuses them has them no more
    than once: in its answer to whoever typed them.
    """
    application = _application(visit)
    values = {name: visit.form.get(name, "") for name in FIELDS}
    view = await provisioning.show_connection(visit.deps, visit.actor)
    try:
        await _change(visit, values, view)
    except (BadInput, Conflict) as error:
        if error.id == "admin.connection.changed":  # the next press is about what is shown now
            values["revision"] = str(view.asked.revision)
        return await _tab(visit, refused(values, error, otherwise="properties"))
    return redirect(visit.path(f"/applications/{application.id}/provisioning"), said="connection_set")


async def _change(visit: TenantVisit, values: dict[str, str], view: DirectoryView) -> None:
    """Raises BadInput, Conflict."""
    suspended: WhenSuspended | None = _one_of(values["when_suspended"], get_args(WhenSuspended))
    removed: WhenRemoved | None = _one_of(values["when_removed"], get_args(WhenRemoved))
    revision = values["revision"]
    if suspended is None or removed is None or not (revision.isascii() and revision.isdigit()):
        raise BadInput("admin.console.malformed")
    ends = _end_known(view)
    is_new = bool(values["properties"].strip()) or ends is None or f"{ends:%Y-%m-%d}" != values["secret_ends"]
    await provisioning.change_connection(
        visit.deps,
        visit.actor,
        properties=values["properties"],
        enabled=values["enabled"] == "yes",
        when_suspended=suspended,
        when_removed=removed,
        secret_ends_at=read_end(values["secret_ends"], visit.deps.clock.now()) if is_new else ends,
        expected_revision=int(revision[:10]),
    )


def _one_of(text: str, known: tuple[Any, ...]) -> Any:
    return text if text in known else None


async def test_connection(visit: TenantVisit) -> web.Response:
    """Ask for a test; the tab waits for its result."""
    application = _application(visit)
    check = await provisioning.test_connection(visit.deps, visit.actor)
    return redirect(visit.path(f"/applications/{application.id}/provisioning?check={check}#test"))


async def show_state(visit: TenantVisit) -> web.Response:
    """For the tab's script: `{"state", "text": {"progress", "faults"}, "done", "people"}` (`static/live.js`)."""
    view = await provisioning.show_connection(visit.deps, visit.actor)
    page = ProvisioningPage(
        frame=visit.frame("applications"),
        application=_application(visit),
        asked=view.asked,
        known=view.known,
        in_force=view.in_force,
        check=_check(visit),
        form=Form(),
        now=visit.deps.clock.now(),
        may_change=False,
        may_see_people=False,
    )
    progress = page.progress
    language = choose(visit.request)
    t = visit.context.pages.pages.words[language]
    return web.json_response(
        {
            "state": page.state,
            "text": {"progress": page.in_words(t, language), "faults": page.faults(t, language)},
            "done": 0 if progress is None else progress.done,
            "people": 0 if progress is None else progress.people,
        }
    )


async def show_link(visit: TenantVisit) -> web.Response:
    """For the script of a person's page: `{"state", "text": {"object_id"}}`."""
    link = await provisioning.show_link(visit.deps, visit.actor, visit.request.match_info["account"])
    return web.json_response(
        {"state": link_state(link), "text": {"object_id": "" if link is None else link.object_id}}
    )


async def retry(visit: TenantVisit) -> web.Response:
    """Try again what has failed for a person."""
    account = visit.request.match_info["account"]
    await provisioning.retry_person(visit.deps, visit.actor, account)
    return redirect(visit.path(f"/people/{account}"), said="retried")


async def ask_licences(visit: TenantVisit) -> web.Response:
    """The form for a person's licences."""
    return await _licences(visit, None)


async def _licences(visit: TenantVisit, form: Form | None) -> web.Response:
    person = await people.show_person(visit.deps, visit.actor, visit.request.match_info["account"])
    account = person.account
    filled = {"location": account.usage_location, "version": str(account.version)}
    filled |= {f"licence.{sku}": "yes" for sku in account.licences}
    back = visit.path(f"/people/{account.id}")
    page = LicencesPage(
        frame=visit.frame("people"),
        crumbs=(
            Crumb(visit.path("/people"), key="nav.people"),
            Crumb(back, name=account.display_name),
        ),
        account=account,
        connection=person.connection,
        form=form or Form(filled),
        action=f"{back}/licences",
        back=back,
    )
    return visit.render("licences.html", page, status=400 if form else 200)


async def change_licences(visit: TenantVisit) -> web.Response:
    """Keep them."""
    account = visit.request.match_info["account"]
    values = {
        name: value
        for name, value in visit.form.items()
        if name in ("location", "skus", "version") or name.startswith("licence.")
    }
    version = values.get("version", "")
    if not (version.isascii() and version.isdigit()):
        raise BadInput("admin.console.malformed")
    try:
        await provisioning.change_licences(
            visit.deps,
            visit.actor,
            account,
            usage_location=values.get("location", ""),
            licences=licences_typed(values),
            expected_version=int(version[:10]),
        )
    except (BadInput, Conflict) as error:
        if error.id == "admin.account.changed":
            values["version"] = str(
                (await people.show_person(visit.deps, visit.actor, account)).account.version
            )
        return await _licences(visit, refused(values, error, otherwise="location"))
    return redirect(visit.path(f"/people/{account}"), said="licences_changed")


PROVISIONING_ROUTES: tuple[ConsoleRoute, ...] = (
    TenantRoute("GET", TAB, Act.SEE_PROVISIONING, show_provisioning),
    TenantRoute("POST", TAB, Act.CHANGE_PROVISIONING, change_provisioning),
    TenantRoute("POST", f"{TAB}/test", Act.TEST_PROVISIONING, test_connection),
    TenantRoute("GET", f"{TAB}/state", Act.SEE_PROVISIONING, show_state, by_itself=True),
    TenantRoute("GET", f"{PERSON}/directory", Act.SEE_PEOPLE, show_link, by_itself=True),
    TenantRoute("POST", f"{PERSON}/retry", Act.RETRY_PROVISIONING, retry),
    TenantRoute("GET", f"{PERSON}/licences", Act.CHANGE_LICENCES, ask_licences),
    TenantRoute("POST", f"{PERSON}/licences", Act.CHANGE_LICENCES, change_licences),
)
