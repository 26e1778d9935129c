"""How administrators come into the console, and out of it (docs/flows/console-sign-in.md)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from services.admin.domain.administrators import (
    SEEN_EVERY,
    Administrator,
    ConsoleSession,
    Passkey,
)
from services.admin.domain.ceremonies import (
    Console,
    PostedAssertion,
    PostedKey,
    VerifiedUse,
    verify_new_passkey,
    verify_use,
)
from services.admin.domain.challenges import NONCE_OCTETS, make_challenge
from services.admin.domain.names import check_name
from services.admin.domain.roles import Act, Actor, require_recent_use
from services.admin.domain.teams import Team, TeamInvitation, secret_digest
from services.admin.domain.tenants import Tenant
from services.admin.handlers.recording import recorded, recorded_in_each
from services.admin.ports import Dependencies
from shared.contracts.notify import Language
from shared.errors import Conflict, Forbidden, Gone, NotFound
from shared.ids import new_id, new_secret, unb64u
from shared.store.aggregate import NotUnique

log = structlog.get_logger(__name__)

SIGN_IN = "sign-in"
"""What a challenge is for, when an administrator signs in."""


@dataclass(frozen=True, slots=True)
class AskingBrowser:
    """From where a request comes: its address, or `unknown`, the browser in a few words, and the language that the page
    has in it.
    """

    address: str
    agent: str
    language: Language


class OpenedSession:
    """A session that was just opened, with its secret, which goes into the cookie and is kept nowhere."""

    __slots__ = ("secret", "session")

    def __init__(self, session: ConsoleSession, secret: str) -> None:
        self.session = session
        self.secret = secret

    def __repr__(self) -> str:  # log lines and tracebacks show this, so it must not hold the secret
        return f"OpenedSession({self.session.id})"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: an administrator in a session that holds now, with every team that they are in now."""

    administrator: Administrator
    session: ConsoleSession
    teams: Sequence[Team]

    def actor(self, tenant: str, address: str) -> Actor:
        """The administrator in that tenant. Raises NotFound: the same for a tenant that is not theirs and for none."""
        for team in self.teams:
            member = team.member(self.administrator.id)
            if team.tenant == tenant and member is not None:
                return Actor(
                    administrator=self.administrator.id,
                    name=self.administrator.name,
                    email=self.administrator.email,
                    tenant=tenant,
                    role=member.role,
                    account=member.account,
                    session=self.session.id,
                    proven_at=self.session.proven_at,
                    address=address,
                )
        raise NotFound

    def actors(self, address: str) -> Sequence[Actor]:
        """The administrator in each of their tenants."""
        return [self.actor(team.tenant, address) for team in self.teams]


def challenge(deps: Dependencies, purpose: str) -> bytes:
    """What a passkey is to sign for that purpose, good for five minutes. Nothing is stored."""
    return make_challenge(
        deps.console_keys[0], purpose, deps.ids.random_bytes(NONCE_OCTETS), deps.clock.now()
    )


def joining(invitation: str, administrator: str) -> str:
    """The purpose of the challenge for the first passkey of a new administrator."""
    return f"join {invitation} {administrator}"


def adding(session: ConsoleSession) -> str:
    """The purpose of the challenge for a further passkey."""
    return f"add {session.id}"


def stepping_up(session: ConsoleSession) -> str:
    """The purpose of the challenge for an act that asks for a recent use."""
    return f"step-up {session.id}"


# steps 2 to 5: from the link to the first session


async def show_team_invitation(
    deps: Dependencies, slug: str, invitation: str
) -> tuple[Tenant, TeamInvitation]:
    """Step 2: what the link is for. Raises Gone, the same for what is used, expired, or was never there."""
    tenant = await deps.tenants.get(slug)
    if tenant is None:
        raise Gone("admin.team.invitation_over", code="invitation_over")
    team = await deps.teams.get(slug)
    return tenant, team.invitation(invitation, deps.clock.now())


async def accept_invitation(
    deps: Dependencies,
    slug: str,
    invitation: str,
    *,
    secret: str,
    administrator: str,
    posted: PostedKey,
    name: str,
    passkey_name: str,
    browser: AskingBrowser,
) -> OpenedSession:
    """Steps 4 and 5: make the administrator with their first passkey, and spend the invitation.

    The administrator is written first and can do nothing yet; the team's write spends the invitation and makes the
    member. Raises Gone, Forbidden, BadInput, Conflict.
    """
    _, found = await show_team_invitation(deps, slug, invitation)
    octets = _octets(secret)
    if secret_digest(octets) != found.secret_sha256:
        raise Gone("admin.team.invitation_over", code="invitation_over")
    now = deps.clock.now()
    verified = verify_new_passkey(
        posted,
        console=_console(deps),
        purpose=joining(invitation, administrator),
        name=_passkey_name(passkey_name, browser),
        now=now,
    )
    await _spend(deps, verified.challenge)
    made = Administrator(
        id=administrator,
        name=check_name(name, "name"),
        email=found.email,
        passkeys=(verified.passkey,),
        created_at=now,
        language=browser.language,
    )
    async with _joining(deps, slug, found, made, browser.address):
        if not await deps.administrators.add(made):
            raise Forbidden("admin.console.passkey_refused", code="passkey_refused")
        try:
            await deps.teams.change(slug, lambda team: _accepted(team, invitation, octets, made, deps))
        except (Gone, Conflict):  # somebody else was first with the same link
            await deps.administrators.remove(administrator)
            raise
    log.info("console.joined", tenant=slug, administrator=administrator, role=found.role.value)
    return await _open_session(deps, made, verified.passkey, browser)


async def join_team(
    deps: Dependencies, slug: str, invitation: str, *, secret: str, visitor: Visitor, address: str
) -> None:
    """Step 4, for somebody who is an administrator already: no new passkey. Raises Gone, Conflict."""
    _, found = await show_team_invitation(deps, slug, invitation)
    octets = _octets(secret)
    if secret_digest(octets) != found.secret_sha256:
        raise Gone("admin.team.invitation_over", code="invitation_over")
    async with _joining(deps, slug, found, visitor.administrator, address, visitor.session.id):
        await deps.teams.change(
            slug, lambda team: _accepted(team, invitation, octets, visitor.administrator, deps)
        )
    log.info("console.joined", tenant=slug, administrator=visitor.administrator.id)


@asynccontextmanager
async def _joining(
    deps: Dependencies,
    slug: str,
    invitation: TeamInvitation,
    administrator: Administrator,
    address: str,
    session: str = "",
) -> AsyncIterator[None]:
    """The record that a one-time link was used, whose secret is found to be right."""
    actor = Actor(
        administrator=administrator.id,
        name=administrator.name,
        email=administrator.email,
        tenant=slug,
        role=invitation.role,
        account=invitation.account,
        session=session,
        proven_at=deps.clock.now(),
        address=address,
    )
    async with recorded(
        deps, actor, Act.JOIN, subject_id=administrator.id, subject=administrator.name
    ) as record:
        yield
        record.after["role"] = invitation.role.value


def _accepted(
    team: Team, invitation: str, secret: bytes, administrator: Administrator, deps: Dependencies
) -> Team:
    return team.accepted(
        invitation,
        secret,
        deps.clock.now(),
        administrator=administrator.id,
        name=administrator.name,
        email=administrator.email,
    )


# steps 6 to 8: sign-in and sessions


async def sign_in(deps: Dependencies, posted: PostedAssertion, browser: AskingBrowser) -> OpenedSession:
    """Steps 6 and 7: a session by a passkey. Raises Forbidden, the same whatever was wrong with it; BadInput."""
    administrator = await deps.administrators.by_passkey(posted.credential_id[:2000])
    passkey = None if administrator is None else administrator.passkey(posted.credential_id)
    if administrator is None or passkey is None:
        raise Forbidden("admin.console.passkey_refused", code="passkey_refused")
    used = verify_use(posted, passkey, console=_console(deps), purpose=SIGN_IN, now=deps.clock.now())
    await _use(deps, administrator.id, used, browser.language)
    log.info("console.signed_in", administrator=administrator.id)
    return await _open_session(deps, administrator, passkey, browser)


async def _open_session(
    deps: Dependencies, administrator: Administrator, passkey: Passkey, browser: AskingBrowser
) -> OpenedSession:
    secret, now = new_secret(deps.ids), deps.clock.now()
    session = ConsoleSession(
        digest=secret_digest(secret.encode()),
        id=new_id(deps.ids),
        administrator=administrator.id,
        passkey=passkey.credential_id,
        begun_at=now,
        seen_at=now,
        proven_at=now,
        agent=browser.agent,
        address=browser.address,
    )
    await deps.console_sessions.add(session)
    return OpenedSession(session, secret)


async def visit(deps: Dependencies, secret: str | None, *, used: bool = True) -> Visitor | None:
    """Step 8, at each request: who holds the session, as everything stands at this moment; None for nobody.

    `used`: whether the request is somebody's. What a page asks by itself, without anybody there, lengthens no session.
    A session whose passkey was removed is over, and so is one of an administrator who is gone.
    """
    if secret is None:
        return None
    session, now = await deps.console_sessions.get(secret_digest(secret.encode())), deps.clock.now()
    if session is None or not session.holds(now):
        return None
    administrator = await deps.administrators.get(session.administrator)
    if administrator is None or administrator.passkey(session.passkey) is None:
        return None
    if used and now - session.seen_at >= SEEN_EVERY:
        await deps.console_sessions.seen(session.digest, now)
        session = replace(session, seen_at=now)
    return Visitor(administrator, session, await deps.teams.of(administrator.id))


async def sign_out(deps: Dependencies, visitor: Visitor) -> None:
    """End this session."""
    await deps.console_sessions.end(visitor.administrator.id, visitor.session.id)


async def list_sessions(deps: Dependencies, visitor: Visitor) -> Sequence[ConsoleSession]:
    """The administrator's sessions that hold now, the one that began last first."""
    now = deps.clock.now()
    return [each for each in await deps.console_sessions.of(visitor.administrator.id) if each.holds(now)]


async def end_session(deps: Dependencies, visitor: Visitor, session: str, address: str) -> None:
    """End one of the administrator's own sessions. Raises NotFound."""
    found = next((each for each in await list_sessions(deps, visitor) if each.id == session), None)
    if found is None:
        raise NotFound
    async with recorded_in_each(deps, visitor.actors(address), Act.END_SESSION) as records:
        if not await deps.console_sessions.end(visitor.administrator.id, session):
            raise NotFound
        for record in records:
            record.before["browser"] = found.agent


async def end_other_sessions(deps: Dependencies, visitor: Visitor, address: str) -> None:
    """End all of the administrator's sessions but this one."""
    async with recorded_in_each(deps, visitor.actors(address), Act.END_SESSION) as records:
        ended = await deps.console_sessions.end_others(visitor.administrator.id, visitor.session.id)
        for record in records:
            record.before["sessions"] = str(ended)


# step 9: a recent use of the passkey


async def step_up(deps: Dependencies, visitor: Visitor, posted: PostedAssertion) -> None:
    """Step 9: a passkey of the same administrator was used in this session now. Raises Forbidden, BadInput."""
    passkey = visitor.administrator.passkey(posted.credential_id)
    if passkey is None:
        raise Forbidden("admin.console.passkey_refused", code="passkey_refused")
    now = deps.clock.now()
    used = verify_use(posted, passkey, console=_console(deps), purpose=stepping_up(visitor.session), now=now)
    await _use(deps, visitor.administrator.id, used)
    await deps.console_sessions.proven(visitor.session.digest, now)


def require_recent(deps: Dependencies, visitor: Visitor) -> None:
    """For what an administrator does to their own passkeys. Raises StepUpNeeded."""
    require_recent_use(visitor.session.proven_at, deps.clock.now())


async def add_passkey(
    deps: Dependencies, visitor: Visitor, posted: PostedKey, name: str, browser: AskingBrowser
) -> Passkey:
    """A further passkey of the administrator. Raises StepUpNeeded, Forbidden, BadInput, Conflict."""
    require_recent(deps, visitor)
    now = deps.clock.now()
    verified = verify_new_passkey(
        posted,
        console=_console(deps),
        purpose=adding(visitor.session),
        name=check_name(name or visitor.administrator.default_name(browser.agent, now), "name"),
        now=now,
    )
    await _spend(deps, verified.challenge)
    async with recorded_in_each(deps, visitor.actors(browser.address), Act.ADD_PASSKEY) as records:
        try:
            await deps.administrators.change(
                visitor.administrator.id, lambda before: before.with_passkey(verified.passkey)
            )
        except NotUnique as error:
            raise Forbidden("admin.console.passkey_refused", code="passkey_refused") from error
        for record in records:
            record.after["passkey"] = verified.passkey.name
    return verified.passkey


async def remove_passkey(deps: Dependencies, visitor: Visitor, credential_id: str, address: str) -> None:
    """Take a passkey of the administrator's own away; sessions that it opened are over with it.

    Raises StepUpNeeded, NotFound, Conflict (the last one).
    """
    require_recent(deps, visitor)
    passkey = visitor.administrator.passkey(credential_id)
    if passkey is None:
        raise NotFound("admin.console.no_passkey")
    async with recorded_in_each(deps, visitor.actors(address), Act.REMOVE_PASSKEY) as records:
        await deps.administrators.change(
            visitor.administrator.id, lambda before: before.without_passkey(credential_id)
        )
        for record in records:
            record.before["passkey"] = passkey.name


def _console(deps: Dependencies) -> Console:
    return Console(deps.console_origin, deps.console_rp_id, deps.console_keys)


async def _use(
    deps: Dependencies, administrator: str, used: VerifiedUse, language: Language | None = None
) -> None:
    """Spend the challenge and raise the counter. `language`: to be kept, where one is known. Raises Forbidden."""
    await _spend(deps, used.challenge)
    now = deps.clock.now()
    try:
        changed = await deps.administrators.change(
            administrator,
            lambda before: before.used(used.passkey.credential_id, used.sign_count, now).reading(language),
        )
    except (NotFound, Conflict) as error:
        raise Forbidden("admin.console.passkey_refused", code="passkey_refused") from error
    if changed is None:
        raise Forbidden("admin.console.passkey_refused", code="passkey_refused")


async def _spend(deps: Dependencies, signed: bytes) -> None:
    if not await deps.used_challenges.spend(signed, deps.clock.now()):
        raise Forbidden("admin.console.challenge", code="challenge")


def _octets(secret: str) -> bytes:
    try:
        return unb64u(secret)
    except ValueError as error:
        raise Gone("admin.team.invitation_over", code="invitation_over") from error


def _passkey_name(name: str, browser: AskingBrowser) -> str:
    return check_name(name or browser.agent, "name")
