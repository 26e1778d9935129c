"""One person's job: its steps, one after the other, until nothing is left to do or something stands in the way
(docs/flows/provisioning.md, steps 4 to 7).

Before each step it is known what the directory has, or it is looked up. A process may be killed anywhere: what it has
not written is looked up again by whoever claims the job when its lease is over.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from services.provisioning.domain import requests
from services.provisioning.domain.answers import Meaning, SignInFailed, Verdict, meaning
from services.provisioning.domain.connection import Connection, failed, works
from services.provisioning.domain.person import (
    Fault,
    Person,
    advanced,
    claimed,
    finished,
    postponed,
    released,
    roles_read,
    stopped,
    wait_after,
)
from services.provisioning.domain.requests import GraphAnswer, GraphRequest
from services.provisioning.domain.steps import (
    NotOurs,
    Step,
    found,
    is_known,
    linked,
    next_step,
    precheck,
    sessions_revoked,
    succeeded,
)
from services.provisioning.domain.wanted import Presence, Wanted, wanted
from services.provisioning.handlers.connections import sign_in_fault
from services.provisioning.handlers.looking_up import HeldByOurs, NotAnswered, find
from services.provisioning.ports import Dependencies, StoredPerson, Target
from shared.directory import FaultKey
from shared.errors import Unavailable
from shared.ids import b64u
from shared.text import clean_line

log = structlog.get_logger(__name__)

MAX_STEPS = 20
"""Steps under one claim; more is a fault of ours, and the job would go round in circles."""
MAX_PAGES = 10
"""Empty pages of directory roles that are passed over; behind more of them the roles count as unreadable."""
HELD_WAIT = timedelta(seconds=10)
CONNECTION_WAIT = timedelta(seconds=5)
"""How long a job rests whose connection has failed; it is claimed again only when the connection is tried again."""

Learn = Callable[[Person], Person]


def _at_once(person: Person, now: datetime) -> Person:
    """The job, still under way, that whoever comes first claims now."""
    return replace(person, next_at=now, attempts=0)


class _Over(Exception):
    """The job is written down, and this process has nothing more to do with it."""


async def work(deps: Dependencies, connection: Connection, target: Target, stored: StoredPerson) -> bool:
    """Claim the job and work on it. False: somebody else has it, or has changed it. Raises Unavailable."""
    job = await _claim(deps, connection, target, stored)
    if job is None:
        return False
    try:
        for _ in range(MAX_STEPS):
            await job.step()
        await job.postpone(FaultKey.OWN_FAULT, None)
    except _Over:
        pass
    except SignInFailed as error:
        await job.sign_in_failed(error)
    except Unavailable:
        raise
    except Exception as error:
        # Only the exception's name is logged: its text may hold a secret.
        log.error("job.fault", job=stored.value.id, error=type(error).__name__)  # noqa: TRY400
        with suppress(_Over):
            await job.postpone(FaultKey.OWN_FAULT, None)
    return True


async def _claim(
    deps: Dependencies, connection: Connection, target: Target, stored: StoredPerson
) -> "_Job | None":
    person = stored.value
    sought = await _wanted(deps, connection, person)
    creating = sought is not None and sought[0].presence is Presence.PRESENT and not person.object_id
    taken = claimed(person, deps.clock.now(), creating=creating, lease=deps.lease)
    mine = await deps.people.claim(stored, taken)
    return None if mine is None else _Job(deps, connection, target, mine, sought)


Sought = tuple[Wanted, int, int]
"""How the user is to be, and the orders of the account and the profile that it was made from."""


async def _wanted(deps: Dependencies, connection: Connection, person: Person) -> Sought | None:
    """None: admin no longer has the account, so nothing is done about its user."""
    account = await deps.accounts.get(person.tenant, person.account)
    profile = await deps.accounts.profile(person.tenant, person.account)
    if account is None or profile is None:
        return None
    return wanted(account, profile, connection.policy), account.order, profile.order


class _Job:
    """A claimed job. `stored` is as it was written last, `person` as it is known here; `learnt` is what was found out
    and is not written yet.
    """

    def __init__(
        self,
        deps: Dependencies,
        connection: Connection,
        target: Target,
        stored: StoredPerson,
        sought: Sought | None,
    ) -> None:
        self._deps = deps
        self._connection = connection
        self._target = target
        self._stored = stored
        self._person = stored.value
        self._sought = sought
        self._learnt: list[Learn] = []
        self._step = Step.FIND
        self._created = False
        """Whether the user was made under this claim."""

    async def step(self) -> None:
        """Take one step. Raises _Over when it was the last one for now; SignInFailed."""
        if self._sought is None:
            await self._finish()
            return
        sought, person = self._sought[0], self._person
        step = next_step(sought, person)
        if step is None:
            await self._finish()
            return
        self._step = step
        if (fault := precheck(step, sought, person)) is not None:
            await self._stop(fault, None)
        if step is Step.FIND:
            await self._find(sought)
        else:
            await self._take(step, sought)

    async def _find(self, sought: Wanted) -> None:
        try:
            finding = await find(self._deps, self._target, sought, self._person)
            known, candidate = found(finding, sought, self._person)
        except NotAnswered as error:
            await self._settle(meaning(Step.FIND, error.answer, self._person.attempts), error.answer)
            return
        except HeldByOurs:
            await self._write(
                lambda p: postponed(p, self._fault(FaultKey.NAME_TAKEN, None), HELD_WAIT, self._now, "create")
            )
            raise _Over from None
        except NotOurs as error:
            await self._stop(error.key, None)
            return
        if candidate is None:
            self._learn(lambda person: found(finding, sought, person)[0])
            return
        # Somebody else made it with this ImmutableID, or we did and the answer was lost. Holders of directory roles are
        # never taken over; what was made since we began is, also where roles cannot be read.
        self._step = Step.ADOPT
        answer = await self._roles_of(candidate.object_id)
        what = meaning(Step.ADOPT, answer, self._person.attempts)
        ours = is_known(candidate, self._person)
        if what.verdict is not Verdict.DONE and not (ours and what.key is FaultKey.ROLES_UNREADABLE):
            await self._settle(what, answer)
        elif answer.values:
            self._learn(lambda person: roles_read(person, candidate.object_id, holds=True))
            await self._stop(FaultKey.HOLDS_ROLE, answer)
        elif answer.ok and not answer.ends_list:
            await self._stop(FaultKey.ROLES_UNREADABLE, answer)
        else:
            log.info("person.adopted", tenant=known.tenant, account=known.account, user=candidate.object_id)
            since = None if ours else self._now
            self._learn(lambda person: linked(person, candidate, sought, since))

    async def _roles_of(self, user: str) -> GraphAnswer:
        """The first page of the user's directory roles that has any, or else the last one that was asked for."""
        answer = await self._call(requests.directory_roles(user))
        for _ in range(MAX_PAGES):
            following = requests.next_page(answer)
            if not answer.ok or answer.values or following is None:
                break
            answer = await self._call(following)
        return answer

    async def _take(self, step: Step, sought: Wanted) -> None:
        # The look-up may have taken long: nobody else may begin meanwhile. And a deleted user can no longer be shown to
        # be the account's, so that it is ours is written down before.
        late = self._person.next_at - self._now < self._deps.step_time
        if late or (step is Step.DELETE and self._learnt):
            await self._write(lambda person: replace(person, next_at=self._now + self._deps.lease))
        answer = await self._call(self._request(step, sought))
        what = meaning(step, answer, self._person.attempts)
        object_id = str(answer.body.get("id") or "")
        if step is Step.CREATE and what.verdict is Verdict.DONE and not object_id:
            what = Meaning(Verdict.LOOK, FaultKey.NO_ANSWER)
        if what.verdict is not Verdict.DONE:
            await self._settle(what, answer)
            return
        self._created = self._created or step is Step.CREATE
        now, ended = self._now, self._person.to_revoke
        if step is Step.REVOKE:
            self._learn(lambda person: sessions_revoked(person, sought.epoch, ended))
        else:
            self._learn(lambda person: succeeded(step, sought, person, now, object_id))
        log.info("person.step", tenant=self._person.tenant, account=self._person.account, step=step.value)
        if next_step(sought, self._person) is not None:
            await self._write(lambda person: advanced(person, now, answer.request_id, self._deps.lease))
            await self._renew()
        else:
            await self._finish(answer.request_id)

    def _request(self, step: Step, sought: Wanted) -> GraphRequest:
        person, facts = self._person, sought.facts
        match step:
            case Step.CREATE:
                # At least one of each kind of character, whatever a password policy wants.
                return requests.create(sought, f"{b64u(self._deps.ids.random_bytes(24))}aA1~")
            case Step.DELETE:
                return requests.delete(person.object_id)
            case Step.RESTORE:
                return requests.restore(person.object_id)
            case Step.REVOKE:
                return requests.revoke_sessions(person.object_id)
            case Step.RENAME:
                return requests.rename(person.object_id, facts.upn)
            case Step.DISABLE | Step.ENABLE:
                return requests.enable(person.object_id, facts.enabled)
        assert person.applied is not None
        if step is Step.LICENSE:
            return requests.assign_licences(person.object_id, facts, person.applied)
        assert step is Step.UPDATE
        return requests.update(person.object_id, facts, person.applied)

    async def _call(self, request: GraphRequest) -> GraphAnswer:
        answer = await self._deps.directory.call(self._target, request)
        self._deps.queue.heard(self._target.tenant, answer)
        return answer

    async def _settle(self, what: Meaning, answer: GraphAnswer) -> None:
        """Write down that the step did not succeed. Raises _Over."""
        assert what.key is not None
        match what.verdict:
            case Verdict.STOP:
                await self._stop(what.key, answer)
            case Verdict.PAUSE:
                await self._connection_failed(self._fault(what.key, answer))
            case Verdict.CONFLICT:
                self._learn(lambda person: replace(person, sure=False, conflicts=person.conflicts + 1))
                await self.postpone(what.key, answer)
            case Verdict.LOOK:
                self._learn(lambda person: replace(person, sure=False))
                await self.postpone(what.key, answer)
            case _:
                await self.postpone(what.key, answer)

    async def postpone(self, key: FaultKey, answer: GraphAnswer | None) -> None:
        """Leave the job to a later attempt. Raises _Over."""
        asked = answer.retry_after if answer is not None else None
        wait = wait_after(self._person.attempts, asked, self._deps.fraction())
        fault = self._fault(key, answer)
        step = self._step.value
        await self._write(lambda person: postponed(person, fault, wait, self._now, step))
        raise _Over

    async def sign_in_failed(self, error: SignInFailed) -> None:
        """Leave the job as if nobody had claimed it, since nobody's goes on without a token."""
        fault = sign_in_fault(self._deps, error)
        if not error.is_transient:
            try:
                await self._connection_failed(fault)
            except _Over:
                return
        until = self._deps.queue.hold(self._target.tenant)
        await self._write(lambda person: released(person, until))

    async def _connection_failed(self, fault: Fault) -> None:
        """It concerns the whole connection: pause that. Raises _Over."""
        log.warning("connection.failed", tenant=self._target.tenant, key=fault.key.value, code=fault.code)
        now, revision = self._now, self._connection.revision
        await self._deps.connections.change(
            self._target.tenant, lambda before: failed(before, fault, revision, now)
        )
        await self._write(lambda person: released(person, now + CONNECTION_WAIT))
        raise _Over

    async def _stop(self, key: FaultKey, answer: GraphAnswer | None) -> None:
        """Trying again would not help. Raises _Over, SignInFailed."""
        if key is FaultKey.PERSON_REFUSED:  # so does Entra with holders of roles
            await self._read_roles()
        fault, step, now = self._fault(key, answer), self._step.value, self._now
        log.warning(
            "person.failed",
            tenant=self._person.tenant,
            account=self._person.account,
            key=key.value,
            step=step,
        )
        revoking, set_anew = self._person.to_revoke, await self._is_set_anew()

        def stop(person: Person) -> Person:
            if set_anew or self._has_news(person) or person.to_revoke != revoking:
                return _at_once(person, now)
            return stopped(person, fault, now, step)

        await self._write(stop)
        raise _Over

    async def _read_roles(self) -> None:
        """Find out whether the user holds a directory role, for whoever protects such accounts. One that was just made
        holds none. Without an answer what is known stays. Raises SignInFailed.
        """
        user = self._person.object_id
        if not user or self._person.deleted or not self._connection.reads_roles:
            return
        holds = False
        if not self._created:
            answer = await self._roles_of(user)
            if not answer.ok or not (answer.values or answer.ends_list):
                return
            holds = bool(answer.values)
        self._learn(lambda person: roles_read(person, user, holds=holds))

    async def _finish(self, request_id: str = "") -> None:
        """Nothing is left to do. Raises _Over, SignInFailed."""
        await self._read_roles()
        now = self._now
        if self._connection.fault is not None:
            revision = self._connection.revision
            await self._deps.connections.change(self._target.tenant, lambda before: works(before, revision))

        set_anew = await self._is_set_anew()

        def finish(person: Person) -> Person:
            sought = self._sought
            more = sought is not None and next_step(sought[0], person) is not None
            if set_anew or more or self._has_news(person):
                return _at_once(person, now)
            return finished(replace(person, request_id=request_id or person.request_id), now)

        await self._write(finish)
        raise _Over

    async def _is_set_anew(self) -> bool:
        """Whether the connection was set since: its sweep may have passed this job by while it was under way."""
        connection = await self._deps.connections.get(self._target.tenant)
        if connection is None or connection.state == "off":
            return False
        return connection.revision != self._connection.revision

    def _has_news(self, person: Person) -> bool:
        """Whether the account has changed since it was read here."""
        if self._sought is None:
            return False
        _, account, profile = self._sought
        return person.seen_account > account or person.seen_profile > profile

    async def _renew(self) -> None:
        """Read the account again when it has changed since."""
        if self._has_news(self._person):
            self._sought = await _wanted(self._deps, self._connection, self._person)

    def _learn(self, learn: Learn) -> None:
        self._learnt.append(learn)
        self._person = learn(self._person)

    async def _write(self, end: Learn) -> None:
        """Write down what was learnt and how the job stands. Raises _Over when another claim has come since."""
        learnt = list(self._learnt)

        def step(person: Person) -> Person:
            for learn in learnt:
                person = learn(person)
            return end(person)

        written = await self._deps.people.settle(self._stored, step)
        if written is None:
            log.warning("person.overtaken", tenant=self._person.tenant, account=self._person.account)
            raise _Over
        self._stored, self._person, self._learnt = written, written.value, []

    def _fault(self, key: FaultKey, answer: GraphAnswer | None) -> Fault:
        if answer is None:
            return Fault(key, self._now)
        code, words = answer.error
        return Fault(
            key,
            self._now,
            code=clean_line(code or (f"HTTP {answer.status}" if answer.status else ""), 120),
            words=clean_line(words, 500),
            request_id=clean_line(answer.request_id, 64),
        )

    @property
    def _now(self) -> datetime:
        return self._deps.clock.now()
