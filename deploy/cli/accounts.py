"""The commands `blok365 account ...`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, TypeVar

import typer

from deploy.cli import output
from deploy.cli.options import InTenant, Json, Yes, group
from deploy.cli.session import with_admin
from services.admin import handlers
from services.admin.domain.accounts import Account
from services.admin.domain.authenticators import Reason
from services.admin.domain.browsers import Browser
from services.admin.domain.devices import Freeze, ListedDevice
from services.admin.domain.roles import Act
from services.admin.handlers import Details, DetailsChanged, InvitationLink, NewAccount
from services.admin.handlers.operator import operate, operate_on
from services.admin.handlers.recording import Record, note_details
from services.admin.ports import Dependencies
from shared.clock import iso_millis
from shared.contracts.admin import AccountStatus, AuthenticatorStatus

T = TypeVar("T")

accounts = group("People of a tenant, their invitations and phones.")

REASONS = {
    Reason.WITHDRAWN: "its invitation was withdrawn",
    Reason.EXPIRED: "its invitation had expired",
    Reason.USED: "its invitation was used for another phone",
    Reason.KNOWN_KEY: "its key is or was another phone's",
    Reason.ADMINISTRATOR: "removed by an administrator",
    Reason.PERSON: "removed by the person",
    Reason.ACCOUNT_REMOVED: "the account was removed",
    Reason.DEVICE_REMOVED: "removed on the phone",
}

ShowLink = Annotated[
    bool, typer.Option("--show-link", help="Print the link here, once, and mail nothing.", show_default=False)
]
Who = Annotated[str, typer.Argument(help="User name (or account id).")]


@accounts.command("add")
def add(
    context: typer.Context,
    upn: Annotated[str, typer.Argument(help="The new Microsoft 365 user name.")],
    tenant: InTenant,
    first: Annotated[str, typer.Option(help="First name.")],
    last: Annotated[str, typer.Option(help="Last name.")],
    email: Annotated[str, typer.Option(help="Address the invitation is sent to; may be a private one.")],
    display: Annotated[str, typer.Option(help="Display name; first and last name unless given.")] = "",
    invite: Annotated[bool, typer.Option(help="Invite the person at once.")] = True,
    show_link: ShowLink = False,
    json: Json = False,
) -> None:
    """Make an account, and mail its invitation (or print the link, the only time that it is seen)."""
    new = NewAccount(upn, first, last, email, display)

    async def work(admin: Dependencies) -> tuple[Account, InvitationLink | None]:
        async def create(record: Record) -> Account:
            made = await handlers.create_account(admin, tenant, new)
            record.subject_id, record.subject = made.id, made.upn
            record.after["status"] = made.status.value
            return made

        account = await operate(admin, tenant, Act.CREATE_ACCOUNT, create, subject=upn)
        return account, await _invite(admin, tenant, account.id, show_link) if invite else None

    account, link = with_admin(context.obj, work)
    if json:
        output.as_json(_plain(account) | (_plain_link(link, show_link) if link else {}))
        return
    output.line(f"{account.upn} is {account.status.value}.")
    if link:
        _print_link(link, show_link)


@accounts.command("invite")
def invite(
    context: typer.Context, who: Who, tenant: InTenant, show_link: ShowLink = False, json: Json = False
) -> None:
    """Mail a new invitation and withdraw the one before. Its link is kept nowhere."""
    link = with_admin(context.obj, lambda admin: _invite(admin, tenant, who, show_link))
    if json:
        output.as_json(_plain_link(link, show_link))
    else:
        _print_link(link, show_link)


async def _invite(admin: Dependencies, tenant: str, who: str, show_link: bool) -> InvitationLink:
    return await operate_on(
        admin,
        tenant,
        Act.INVITE,
        who,
        lambda account, _: handlers.invite(admin, tenant, account, send_mail=not show_link),
    )


@accounts.command("list")
def list_accounts(
    context: typer.Context,
    tenant: InTenant,
    status: Annotated[AccountStatus | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(help="1 to 200.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    json: Json = False,
) -> None:
    """List people in the order of their user names."""
    page = with_admin(
        context.obj,
        lambda admin: handlers.list_accounts(admin, tenant, cursor=cursor, limit=limit, status=status),
    )
    if json:
        output.as_json({"accounts": [_plain(a) for a in page.accounts], "cursor": page.cursor})
        return
    output.table(
        ("user name", "name", "status", "e-mail"),
        [(a.upn, a.display_name, a.status.value, a.email) for a in page.accounts],
        empty=f"No such accounts in {tenant}. Add one: blok365 account add",
    )
    if page.cursor:
        typer.echo(f"More: blok365 account list -t {tenant} --cursor {page.cursor}", err=True)


@accounts.command("show")
def show(context: typer.Context, who: Who, tenant: InTenant, json: Json = False) -> None:
    """Show one person's account, and whether "This isn't me" has frozen its notifications."""

    async def work(admin: Dependencies) -> tuple[Account, Freeze | None]:
        account = await handlers.show_account(admin, tenant, who)
        return account, await handlers.show_freeze(admin, tenant, account.id)

    account, freeze = with_admin(context.obj, work)
    frozen = {"notifications_frozen_since": None if freeze is None else iso_millis(freeze.since)}
    plain = _plain(account) | frozen
    if json:
        output.as_json(plain)
        return
    output.fields(
        [(name.replace("_", " "), "no" if value is None else str(value)) for name, value in plain.items()]
    )
    if freeze is not None:
        typer.echo(
            f'Somebody answered "This isn\'t me" to a sign-in request of {account.upn}. When it is settled who asked: '
            f"blok365 account unfreeze {account.upn}",
            err=True,
        )


@accounts.command("suspend")
def suspend(context: typer.Context, who: Who, tenant: InTenant, yes: Yes = False) -> None:
    """Suspend a person: no sign-in until resumed, and what was begun is over for good; phones stay enrolled."""
    if not yes:
        typer.confirm(f"Suspend {who}, and sign them out everywhere?", abort=True)
    _print_status(_act(context, Act.SUSPEND, handlers.suspend, tenant, who))


@accounts.command("resume")
def resume(context: typer.Context, who: Who, tenant: InTenant) -> None:
    """End a person's suspension."""
    _print_status(_act(context, Act.RESUME, handlers.resume, tenant, who))


@accounts.command("sign-out-everywhere")
def sign_out_everywhere(
    context: typer.Context,
    who: Who,
    tenant: InTenant,
    yes: Yes = False,
) -> None:
    """End a person's sessions, known browsers, open invitation and sign-ins under way; phones stay enrolled."""
    if not yes:
        typer.confirm(f"Sign {who} out everywhere?", abort=True)
    account = _act(context, Act.SIGN_OUT_EVERYWHERE, handlers.sign_out_everywhere, tenant, who)
    output.line(
        f"{account.upn} is signed out of Blok365 everywhere within seconds. "
        "A sign-in page that waits for the phone says so only when its time is over; it signs nobody in."
    )
    output.line(
        "Microsoft's own sessions are revoked too where a connection to Entra is on "
        "(blok365 provisioning show); otherwise they go on."
    )


@accounts.command("rename")
def rename(
    context: typer.Context,
    who: Who,
    upn: Annotated[str, typer.Argument(help="The new Microsoft 365 user name.")],
    tenant: InTenant,
) -> None:
    """Give a person another user name; phones and ImmutableID stay. Without a connection to Entra, rename there too."""
    account = _act(context, Act.RENAME, partial(handlers.rename, upn=upn), tenant, who)
    output.line(f"The user name is {account.upn}; the ImmutableID is still {account.immutable_id}.")


@accounts.command("change")
def change(
    context: typer.Context,
    who: Who,
    tenant: InTenant,
    first: Annotated[str | None, typer.Option(help="First name.", show_default=False)] = None,
    last: Annotated[str | None, typer.Option(help="Last name.", show_default=False)] = None,
    email: Annotated[
        str | None,
        typer.Option(help="Address that invitations are sent to from now on.", show_default=False),
    ] = None,
    display: Annotated[
        str | None,
        typer.Option(help='Display name; "" for first and last name.', show_default=False),
    ] = None,
) -> None:
    """Change a person's names or e-mail address; an invitation to the address of before no longer works."""
    if first is last is email is display is None:
        raise typer.BadParameter("Say what changes: --first, --last, --email or --display.")
    new = Details(first, last, email, display)

    async def work(admin: Dependencies) -> DetailsChanged:
        async def change(account: str, record: Record) -> DetailsChanged:
            changed = await handlers.change_details(admin, tenant, account, new)
            note_details(record, changed)
            return changed

        return await operate_on(admin, tenant, Act.CHANGE_DETAILS, who, change)

    changed = with_admin(context.obj, work)
    account = changed.after
    if account == changed.before:
        output.line("Nothing differs.")
        return
    output.line(f"{account.upn} is {account.display_name}; invitations go to {account.email}.")
    if changed.withdrawn:
        output.line(
            "The open invitation had gone to the address of before and no longer works. "
            f"Invite again: blok365 account invite {account.upn} -t {tenant}"
        )


@accounts.command("remove")
def remove(
    context: typer.Context,
    who: Who,
    tenant: InTenant,
    yes: Yes = False,
) -> None:
    """Remove a person. For 30 days it can be undone and the user name stays taken; phones are gone for good."""
    if not yes:
        typer.confirm(f"Remove {who}, and every phone of theirs for good?", abort=True)
    account = _act(context, Act.REMOVE_ACCOUNT, handlers.remove, tenant, who)
    _print_status(account)
    if account.removal is not None:
        output.line(
            f"Until {iso_millis(account.removal.final_at)}: blok365 account restore {account.upn} -t {tenant}"
        )


@accounts.command("restore")
def restore(context: typer.Context, who: Who, tenant: InTenant) -> None:
    """Undo a removal. The person has no phone then: invite them again."""
    account = _act(context, Act.RESTORE_ACCOUNT, handlers.restore, tenant, who)
    _print_status(account)
    if account.status is AccountStatus.INVITED:
        output.line(f"Their phones do not come back: blok365 account invite {account.upn} -t {tenant}")


@accounts.command("devices")
def devices(context: typer.Context, who: Who, tenant: InTenant, json: Json = False) -> None:
    """List a person's phones, also those that were refused or removed, and why."""
    found = with_admin(context.obj, lambda admin: handlers.list_devices(admin, tenant, who))
    if json:
        output.as_json({"devices": [_plain_phone(phone) for phone in found]})
        return
    output.table(
        ("device", "name", "enrolled", "backed up", "notifications", "status", "reason"),
        [
            (
                p.id,
                p.name,
                iso_millis(p.since),
                "yes" if p.backed_up else "no",
                p.notifications,
                _status(p),
                _reason(p),
            )
            for p in found
        ],
        empty=f"{who} has no phone. Invite: blok365 account invite",
    )
    if any(p.status is AuthenticatorStatus.REFUSED for p in found):
        typer.echo(f"A refused phone needs a new invitation: blok365 account invite {who}", err=True)


@accounts.command("remove-device")
def remove_device(
    context: typer.Context,
    who: Who,
    tenant: InTenant,
    device: Annotated[str | None, typer.Argument(help="Its id from `blok365 account devices`.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All phones of this person.")] = False,
    yes: Yes = False,
) -> None:
    """Take a lost phone out of use: its requests, its approvals and the sessions that it opened end."""
    if (device is None) is not every:
        raise typer.BadParameter("Name one device, or say --all.")
    if not yes:
        typer.confirm(f"Remove {device or 'all phones'} of {who}?", abort=True)

    async def work(admin: Dependencies, slug: str, account: str) -> Sequence[ListedDevice]:
        return await handlers.remove_device(admin, slug, account, device)

    found = _act(context, Act.REMOVE_DEVICE, work, tenant, who)
    for phone in found:
        output.line(f"{phone.name} ({phone.id}) is out of use.")


@accounts.command("browsers")
def browsers(context: typer.Context, who: Who, tenant: InTenant, json: Json = False) -> None:
    """List the browsers in which a person is known, and since when and by what. Times are days."""
    found = with_admin(context.obj, lambda admin: handlers.list_browsers(admin, tenant, who))
    if json:
        output.as_json({"browsers": [_plain_browser(browser) for browser in found]})
        return
    output.table(
        ("browser", "what", "known by", "since", "first seen", "last seen"),
        [
            (b.id, b.agent, b.method, *(f"{d:%Y-%m-%d}" for d in (b.known_since, b.first_seen, b.last_seen)))
            for b in found
        ],
        empty=f"{who} is known in no browser.",
    )


@accounts.command("remove-browser")
def remove_browser(
    context: typer.Context,
    who: Who,
    browser: Annotated[str, typer.Argument(help="Its id from `account browsers`.")],
    tenant: InTenant,
    yes: Yes = False,
) -> None:
    """End a person's session in one browser, which is a stranger from then on."""
    if not yes:
        typer.confirm(f"Remove {browser} of {who}?", abort=True)

    async def work(admin: Dependencies, slug: str, account: str) -> Browser:
        return await handlers.remove_browser(admin, slug, account, browser)

    found = _act(context, Act.REMOVE_BROWSER, work, tenant, who)
    output.line(f"{found.agent} ({found.id}) will be unknown within seconds.")


@accounts.command("unfreeze")
def unfreeze(context: typer.Context, who: Who, tenant: InTenant) -> None:
    """Let unknown browsers ask for notifications again after somebody answered "This isn't me"."""
    _act(context, Act.UNFREEZE, handlers.unfreeze, tenant, who)
    output.line(f"Notifications to {who} are no longer frozen.")


def _act(
    context: typer.Context,
    act: Act,
    handler: Callable[[Dependencies, str, str], Awaitable[T]],
    tenant: str,
    who: str,
) -> T:
    """What the handler returns for that account, recorded as the operator's act."""

    async def work(admin: Dependencies) -> T:
        return await operate_on(admin, tenant, act, who, lambda account, _: handler(admin, tenant, account))

    return with_admin(context.obj, work)


def _print_status(account: Account) -> None:
    output.line(f"{account.upn} is {account.status.value}.")


def _print_link(link: InvitationLink, shown: bool) -> None:
    if not shown:
        output.line(
            f"The invitation is on its way by mail, good until {iso_millis(link.invitation.expires_at)}."
        )
        return
    if output.is_terminal():
        output.line(f"Good until {iso_millis(link.invitation.expires_at)}, once, shown only now:")
    output.line(link.url)
    output.qr(link.url)


def _plain(account: Account) -> dict[str, Any]:
    removal = None if account.removal is None else iso_millis(account.removal.final_at)
    return asdict(account) | {
        "status": account.status.value,
        "created_at": iso_millis(account.created_at),
        "removal": removal,
    }


def _plain_phone(phone: ListedDevice) -> dict[str, Any]:
    return {
        "device": phone.id,
        "name": phone.name,
        "enrolled_at": iso_millis(phone.since),
        "backed_up": phone.backed_up,
        "notifications": phone.notifications,
        "status": _status(phone),
        "reason": phone.reason,
    }


def _plain_browser(browser: Browser) -> dict[str, Any]:
    return {
        "browser": browser.id,
        "agent": browser.agent,
        "known_by": browser.method,
        "device": browser.device,
        "known_since": f"{browser.known_since:%Y-%m-%d}",
        "first_seen": f"{browser.first_seen:%Y-%m-%d}",
        "last_seen": f"{browser.last_seen:%Y-%m-%d}",
    }


def _status(phone: ListedDevice) -> str:
    return "undecided" if phone.status is None else phone.status.value


def _reason(phone: ListedDevice) -> str:
    if phone.status is None:
        return "run `blok365 migrate`"
    return REASONS[Reason(phone.reason)] if phone.reason else ""


def _plain_link(link: InvitationLink, shown: bool) -> dict[str, Any]:
    how = {"link": link.url} if shown else {"mailed": True}
    return how | {"expires_at": iso_millis(link.invitation.expires_at)}
