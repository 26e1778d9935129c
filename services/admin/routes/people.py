"""People: the list, a person's page, and what administrators do to them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from services.admin.domain.accounts import MAX_DISPLAY_NAME, UNDO, check_email, check_location, check_upn
from services.admin.domain.directory import licences_typed
from services.admin.domain.names import check_name
from services.admin.domain.roles import Act, Actor
from services.admin.domain.tenants import Tenant
from services.admin.handlers import console_people as people
from services.admin.handlers.accounts import Details, NewAccount
from services.admin.handlers.console_provisioning import faulty_people, require_location
from services.admin.handlers.directory import chosen_licences
from services.admin.handlers.recording import list_changes
from services.admin.pages.views import (
    Confirm,
    Crumb,
    DetailsForm,
    Form,
    FormPage,
    PeopleList,
    PersonPage,
    refused,
)
from services.admin.ports import Dependencies
from services.admin.routes.guard import ConsoleRoute, TenantRoute, TenantVisit, redirect
from shared.contracts.admin import AccountStatus
from shared.contracts.provisioning import Fault
from shared.errors import BadInput, Blok365Error, Conflict, NotFound

PEOPLE = "/t/{tenant}/people"
PERSON = f"{PEOPLE}/{{account}}"
NEW_FIELDS = ("first", "last", "upn", "email")
DETAILS = ("first", "last", "display", "email")
_CHANGED = "admin.account.changed"
"""The error of a form that shows an account as it was before somebody else changed it."""
FAULT = "fault"
"""What the filter of states says for people whose provisioning has failed."""
LATEST_CHANGES = 10
"""How many changes a person's page shows. It links to all of them."""


async def list_people(visit: TenantVisit) -> web.Response:
    """The list, with what is looked for, and one page of it."""
    asked = visit.request.query
    query, cursor = asked.get("q", ""), asked.get("after") or None
    faults: Mapping[str, Fault | None] | None = None
    status = None
    if asked.get("status") == FAULT:
        found = await faulty_people(visit.deps, visit.actor, query=query, cursor=cursor)
        page, faults = found.page, found.faults
    else:
        status = _status(asked.get("status", ""))
        page = await people.find_people(visit.deps, visit.actor, query=query, status=status, cursor=cursor)
    following = None
    if page.cursor:
        kept = {"q": query, "status": asked.get("status", ""), "after": page.cursor}
        following = visit.path(f"/people?{urlencode({k: v for k, v in kept.items() if v})}")
    view = PeopleList(
        frame=visit.frame("people"),
        accounts=page.accounts,
        query=query,
        status=status,
        faults=faults,
        next=following,
        first=cursor is None,
        may_create=visit.actor.may(Act.CREATE_ACCOUNT),
    )
    return visit.render("people.html", view)


def _status(text: str) -> AccountStatus | None:
    try:
        return AccountStatus(text) if text else None
    except ValueError as error:
        raise BadInput("admin.console.filter") from error


async def new_person(visit: TenantVisit) -> web.Response:
    """The form for a new person."""
    return await _new_person(visit, Form({"invite": "yes"}))


async def _new_person(visit: TenantVisit, form: Form) -> web.Response:
    view = FormPage(
        frame=visit.frame("people"),
        crumbs=(_list(visit),),
        form=form,
        action=visit.path("/people/new"),
        back=visit.path("/people"),
        domains=tuple(each.name for each in visit.tenant.domains),
        connection=await visit.deps.directory.connection(visit.actor.tenant),
    )
    return visit.render("person-new.html", view, status=400 if form.errors else 200)


async def create_person(visit: TenantVisit) -> web.Response:
    """Make the account, and mail the invitation if that was wished."""
    values = {name: visit.form.get(name, "") for name in (*NEW_FIELDS, "invite", "location", "skus")}
    values |= {name: "yes" for name in visit.form if name.startswith("licence.")}
    upn = values["upn"].strip()
    domains = visit.tenant.domains
    if upn and "@" not in upn and len(domains) == 1:
        upn = f"{upn}@{domains[0].name}"
    wrong = _wrong_fields({**values, "upn": upn}, visit.tenant)
    invite, licences = values["invite"] == "yes", licences_typed(values)
    try:
        require_location(values["location"], licences)
        check_location(values["location"])
    except BadInput as error:
        wrong["location"] = error
    if wrong:
        return await _new_person(visit, Form(values, wrong))
    try:
        known = await visit.deps.directory.connection(visit.actor.tenant)
        new = NewAccount(
            upn,
            values["first"],
            values["last"],
            values["email"],
            usage_location=values["location"],
            licences=chosen_licences(licences, known),
        )
        account = await people.create_person(visit.deps, visit.actor, new, invite=invite)
    except (BadInput, Conflict) as error:
        return await _new_person(visit, refused(values, error, otherwise="last"))
    return redirect(visit.path(f"/people/{account.id}"), said="created_invited" if invite else "created")


def _wrong_fields(
    values: dict[str, str], tenant: Tenant, names: Sequence[str] = NEW_FIELDS
) -> dict[str, Blok365Error]:
    """What is wrong with those fields of a person, in their order: all of it at once."""
    checks: dict[str, Callable[[str], str]] = {
        "first": lambda text: check_name(text, "first name"),
        "last": lambda text: check_name(text, "last name"),
        "upn": lambda text: check_upn(text, tenant),
        "email": check_email,
    }
    wrong: dict[str, Blok365Error] = {}
    for name in names:
        if not values[name].strip():
            wrong[name] = BadInput("admin.console.empty")
            continue
        try:
            checks[name](values[name])
        except BadInput as error:
            wrong[name] = error
    return wrong


async def show_person(visit: TenantVisit) -> web.Response:
    """A person's page."""
    person = await people.show_person(visit.deps, visit.actor, _account(visit))
    sees = visit.actor.may(Act.SEE_CHANGES)
    changes = (
        (
            await list_changes(
                visit.deps, visit.actor.tenant, subject=person.account.id, limit=LATEST_CHANGES
            )
        ).changes
        if sees
        else ()
    )
    view = PersonPage(
        frame=visit.frame("people"),
        crumbs=(_list(visit),),
        person=person,
        offered=frozenset(act for act in Act if people.allowed(visit.actor, act, person)),
        changes=changes,
        sees_changes=sees,
    )
    return visit.render("person.html", view)


def _account(visit: TenantVisit) -> str:
    return visit.request.match_info["account"]


def _list(visit: TenantVisit) -> Crumb:
    return Crumb(visit.path("/people"), key="nav.people")


def _back(visit: TenantVisit) -> str:
    return visit.path(f"/people/{_account(visit)}")


Step = Callable[[Dependencies, Actor, str], Awaitable[Any]]


def _does(step: Step, said: str) -> Callable[[TenantVisit], Awaitable[web.Response]]:
    """The handler of a post that is one act on the person; then back to their page."""

    async def handle(visit: TenantVisit) -> web.Response:
        await step(visit.deps, visit.actor, _account(visit))
        return redirect(_back(visit), said=said)

    return handle


def _asks(act: str) -> Callable[[TenantVisit], Awaitable[web.Response]]:
    """The handler of a page that asks before an act on the person."""

    async def handle(visit: TenantVisit) -> web.Response:
        return await _ask(visit, act)

    return handle


async def _ask(visit: TenantVisit, act: str, form: Form | None = None) -> web.Response:
    person = await people.show_person(visit.deps, visit.actor, _account(visit))
    back = _back(visit)
    view = Confirm(
        frame=visit.frame("people"),
        crumbs=(_list(visit), Crumb(back, name=person.account.display_name)),
        act=act,
        subject=person.account.display_name,
        action=f"{back}/{act}",
        back=back,
        counts={
            "phones": sum(each.may_count for each in person.devices),
            "browsers": len(person.browsers),
            "upn": person.account.upn,
            "days": UNDO.days,
        },
        typed=person.account.upn if act == "remove" else "",
        form=form or Form(),
    )
    return visit.render("confirm.html", view, status=400 if form else 200)


async def remove_person(visit: TenantVisit) -> web.Response:
    """Remove the account, when its user name was typed."""
    typed = visit.form.get("typed", "")
    try:
        await people.remove_person(visit.deps, visit.actor, _account(visit), typed=typed)
    except BadInput as error:
        return await _ask(visit, "remove", refused({"typed": typed}, error, otherwise="typed"))
    return redirect(_back(visit), said="removed")


async def ask_name(visit: TenantVisit) -> web.Response:
    """The form for another user name."""
    return await _rename(visit, None)


async def _rename(visit: TenantVisit, form: Form | None) -> web.Response:
    person = await people.show_person(visit.deps, visit.actor, _account(visit))
    account, back = person.account, _back(visit)
    version = account.version
    if form is not None and _CHANGED not in {e.id for e in form.errors.values()}:
        version = int(form.value("version"))
    view = FormPage(
        frame=visit.frame("people"),
        crumbs=(_list(visit), Crumb(back, name=account.display_name)),
        form=form or Form({"upn": account.upn}),
        action=f"{back}/rename",
        back=back,
        domains=tuple(each.name for each in visit.tenant.domains),
        subject=account.upn,
        version=version,
    )
    return visit.render("rename.html", view, status=400 if form else 200)


async def rename(visit: TenantVisit) -> web.Response:
    """Another user name."""
    values = {name: visit.form.get(name, "") for name in ("upn", "version")}
    version = _version(values["version"])
    try:
        await people.rename_person(
            visit.deps, visit.actor, _account(visit), values["upn"], expected_version=version
        )
    except (BadInput, Conflict) as error:
        return await _rename(visit, refused(values, error, otherwise="upn"))
    return redirect(_back(visit), said="renamed")


async def ask_details(visit: TenantVisit) -> web.Response:
    """The form for other names or another address."""
    return await _details(visit, None)


async def _details(visit: TenantVisit, form: Form | None) -> web.Response:
    person = await people.show_person(visit.deps, visit.actor, _account(visit))
    account, back = person.account, _back(visit)
    now = {
        "first": account.first_name,
        "last": account.last_name,
        "display": account.display_name if account.has_own_display_name else "",
        "email": account.email,
    }
    version = account.version
    changed_meanwhile = form is not None and _CHANGED in {e.id for e in form.errors.values()}
    if form is not None and not changed_meanwhile:
        version = int(form.value("version"))
    view = DetailsForm(
        frame=visit.frame("people"),
        crumbs=(_list(visit), Crumb(back, name=account.display_name)),
        form=form or Form(now),
        action=f"{back}/details",
        back=back,
        subject=account.display_name,
        version=version,
        now=now if changed_meanwhile else {},
    )
    return visit.render("details.html", view, status=400 if form else 200)


async def change_details(visit: TenantVisit) -> web.Response:
    """Other names or another address."""
    values = {name: visit.form.get(name, "") for name in (*DETAILS, "version")}
    version = _version(values["version"])
    wrong = _wrong_fields(values, visit.tenant, ("first", "last", "email"))
    if values["display"].strip():
        try:
            check_name(values["display"], "display name", longest=MAX_DISPLAY_NAME)
        except BadInput as error:
            wrong["display"] = error
    if wrong:
        return await _details(visit, Form(values, wrong))
    new = Details(values["first"], values["last"], values["email"], values["display"])
    try:
        changed = await people.change_persons_details(
            visit.deps, visit.actor, _account(visit), new, expected_version=version
        )
    except (BadInput, Conflict) as error:
        return await _details(visit, Form(values, {"first": error}))
    if changed.after == changed.before:
        return redirect(_back(visit), said="details_same")
    return redirect(_back(visit), said="details_withdrawn" if changed.withdrawn else "details_changed")


def _version(text: str) -> int:
    """The version of the account as the form showed it. Raises BadInput."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput("admin.console.malformed")
    return int(text)


async def ask_device_removal(visit: TenantVisit) -> web.Response:
    """Ask before a phone is taken out of use."""
    return await _ask_part(visit, "device", "devices", visit.request.match_info["device"])


async def ask_browser_removal(visit: TenantVisit) -> web.Response:
    """Ask before a browser becomes a stranger's."""
    return await _ask_part(visit, "browser", "browsers", visit.request.match_info["browser"])


async def _ask_part(visit: TenantVisit, act: str, folder: str, part: str) -> web.Response:
    person = await people.show_person(visit.deps, visit.actor, _account(visit))
    names = {each.id: each.name for each in person.devices if each.may_count} if act == "device" else {}
    names |= {each.id: each.agent for each in person.browsers} if act == "browser" else {}
    if part not in names:
        raise NotFound
    back = _back(visit)
    view = Confirm(
        frame=visit.frame("people"),
        crumbs=(_list(visit), Crumb(back, name=person.account.display_name)),
        act=act,
        subject=names[part] or part,
        action=f"{back}/{folder}/{part}/remove",
        back=back,
        counts={"name": person.account.display_name},
    )
    return visit.render("confirm.html", view)


async def remove_device(visit: TenantVisit) -> web.Response:
    """Take a phone out of use."""
    device = visit.request.match_info["device"]
    await people.remove_persons_device(visit.deps, visit.actor, _account(visit), device)
    return redirect(_back(visit), said="device_removed")


async def remove_browser(visit: TenantVisit) -> web.Response:
    """Make a browser a stranger's."""
    browser = visit.request.match_info["browser"]
    await people.remove_persons_browser(visit.deps, visit.actor, _account(visit), browser)
    return redirect(_back(visit), said="browser_removed")


_DEVICE = f"{PERSON}/devices/{{device}}/remove"
_BROWSER = f"{PERSON}/browsers/{{browser}}/remove"

PEOPLE_ROUTES: tuple[ConsoleRoute, ...] = (
    TenantRoute("GET", PEOPLE, Act.SEE_PEOPLE, list_people),
    TenantRoute("GET", f"{PEOPLE}/new", Act.CREATE_ACCOUNT, new_person),
    TenantRoute("POST", f"{PEOPLE}/new", Act.CREATE_ACCOUNT, create_person),
    TenantRoute("GET", PERSON, Act.SEE_PEOPLE, show_person),
    TenantRoute("POST", f"{PERSON}/invite", Act.INVITE, _does(people.invite_person, "invited")),
    TenantRoute(
        "POST", f"{PERSON}/withdraw", Act.WITHDRAW_INVITATION, _does(people.withdraw_invitation, "withdrawn")
    ),
    TenantRoute("GET", f"{PERSON}/suspend", Act.SUSPEND, _asks("suspend")),
    TenantRoute("POST", f"{PERSON}/suspend", Act.SUSPEND, _does(people.suspend_person, "suspended")),
    TenantRoute("POST", f"{PERSON}/resume", Act.RESUME, _does(people.resume_person, "resumed")),
    TenantRoute("GET", f"{PERSON}/sign-out", Act.SIGN_OUT_EVERYWHERE, _asks("sign-out")),
    TenantRoute(
        "POST", f"{PERSON}/sign-out", Act.SIGN_OUT_EVERYWHERE, _does(people.sign_person_out, "signed_out")
    ),
    TenantRoute("POST", f"{PERSON}/unfreeze", Act.UNFREEZE, _does(people.unfreeze_person, "unfrozen")),
    TenantRoute("GET", f"{PERSON}/rename", Act.RENAME, ask_name),
    TenantRoute("POST", f"{PERSON}/rename", Act.RENAME, rename),
    TenantRoute("GET", f"{PERSON}/details", Act.CHANGE_DETAILS, ask_details),
    TenantRoute("POST", f"{PERSON}/details", Act.CHANGE_DETAILS, change_details),
    TenantRoute("GET", f"{PERSON}/remove", Act.REMOVE_ACCOUNT, _asks("remove")),
    TenantRoute("POST", f"{PERSON}/remove", Act.REMOVE_ACCOUNT, remove_person),
    TenantRoute("GET", f"{PERSON}/restore", Act.RESTORE_ACCOUNT, _asks("restore")),
    TenantRoute(
        "POST",
        f"{PERSON}/restore",
        Act.RESTORE_ACCOUNT,
        _does(people.restore_person, "restored"),
        form=f"{PERSON}/restore",
    ),
    TenantRoute("GET", _DEVICE, Act.REMOVE_DEVICE, ask_device_removal),
    TenantRoute("POST", _DEVICE, Act.REMOVE_DEVICE, remove_device),
    TenantRoute("GET", _BROWSER, Act.REMOVE_BROWSER, ask_browser_removal),
    TenantRoute("POST", _BROWSER, Act.REMOVE_BROWSER, remove_browser),
)
