"""`SoftPhone`: a phone as the API sees it."""

import hashlib
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from deploy.loopback import LoopbackResolver
from deploy.standins.phone.authenticator import (
    HONEST,
    Algorithm,
    Key,
    Tamper,
    assertion,
    attestation,
    make_private_key,
)
from deploy.standins.phone.request import Request, origin_of_sign_in, read_request
from shared.clock import SystemClock, iso_millis
from shared.crypto.enrolment import NewDeviceKey, endorse, is_endorsed
from shared.crypto.keys import key_from_seed, raw_public
from shared.crypto.statement import Purpose, Statement
from shared.files import replace_file
from shared.ids import Ids, SystemIds, b64u, new_secret, unb64u
from shared.testing.waiting import eventually

_TIMEOUT = aiohttp.ClientTimeout(total=30)


class PhoneError(Exception):
    """The server said no. `code` and `status` are from its problem+json."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code", ""))
        self.problem = problem
        super().__init__(f"{status} {self.code}: {problem.get('title', '')}. {problem.get('detail', '')}")


class SoftPhone:
    """One phone with any number of keys; the newest one is used unless `use` chose another.

    `store`: the file that keeps the keys (mode 0600), or None for memory only. `connect`: `http://host:port` to
    connect to instead of the origin's own name. `ca`: certificates (PEM) to trust for https instead of the
    system's. Close it, or use it with `async with`.
    """

    def __init__(
        self,
        store: Path | None = None,
        *,
        connect: str | None = None,
        ca: Path | None = None,
        ids: Ids | None = None,
        algorithm: Algorithm = "ES256",
        counts: bool = True,
    ) -> None:
        self._store = store
        self._connect = connect
        self._tls = ssl.create_default_context(cafile=ca) if ca else True
        self._ids = ids or SystemIds()
        self._algorithm = algorithm
        self._counts = counts
        self._http: aiohttp.ClientSession | None = None
        self._tokens: dict[str, str] = {}
        """Session token by credential id."""
        self.keys: list[Key] = list(self._load())
        self._current = len(self.keys) - 1
        self._unfinished: tuple[Key, str, dict[str, Any]] | None = None
        """An enrolment's key, path and body, until it is answered."""
        self._offer: tuple[str, bytes] | None = None
        """The id and the secret of the last offer to endorse a further phone."""
        self.last_credential: dict[str, Any] | None = None
        """What was sent last, for replays."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close connections; keys stay."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    @property
    def key(self) -> Key:
        """The key in use. Raises LookupError when none was enrolled."""
        if not self.keys:
            raise LookupError("no key yet: enrol first")
        return self.keys[self._current]

    def use(self, upn: str) -> None:
        """Use that account's newest key from now on. Raises LookupError."""
        found = [i for i, key in enumerate(self.keys) if key.upn == upn]
        if not found:
            raise LookupError(f"no key for {upn}")
        self._current = found[-1]

    def move(self, origin: str) -> None:
        """Look for the server of the key in use at `origin` from now on. Raises ValueError for another host.

        As a browser does: a key is bound to the host, and scheme and port may change.
        """
        key = self.key
        if urlsplit(origin).hostname != urlsplit(key.origin).hostname:
            raise ValueError(f"this phone's key is for {key.origin}, which {origin} is not")
        self.keys[self._current] = replace(key, origin=origin)

    @property
    def token(self) -> str:
        """The token of the open session of the key in use. Raises LookupError when there is none."""
        return self._tokens[self.key.credential_id]

    # enrolment

    async def enrol(self, link: str, *, name: str = "Software phone", tamper: Tamper = HONEST) -> Key:
        """Make a key for an invitation link `{origin}/#i=<invitation>.<seed>` and have it endorsed.

        When the answer was lost (PhoneError 503, aiohttp.ClientError), `enrol_again` asks for it.
        Raises ValueError (not such a link), PhoneError.
        """
        self._unfinished = None
        origin, kind, value = _read_link(link)
        invitation, _, seed = value.partition(".")
        if kind != "i" or not invitation or not seed:
            raise ValueError("not an invitation link")
        begun = await self._call(origin, "POST", "/enrolments", {"invitation": invitation})
        key = self._new_key(origin, begun, tamper)
        new = NewDeviceKey(key.tenant, key.account, invitation, key.credential_id, key.spki)
        vouched = tamper.endorsement or endorse(key_from_seed(unb64u(seed)), new)
        statement = self._statement(key, Purpose.ENROL, begun, tamper)
        credential = attestation(key, statement.digest(), tamper)
        body = {
            "statement": statement.text(),
            "credential": credential,
            "endorsement": b64u(vouched),
            "name": name,
        }
        self._unfinished = key, f"/enrolments/{begun['id']}", body
        return await self.enrol_again()

    def _new_key(self, origin: str, begun: Mapping[str, Any], tamper: Tamper) -> Key:
        return Key(
            credential_id=tamper.credential_id or b64u(self._ids.random_bytes(32)),
            private_key=make_private_key(self._algorithm, self._ids),
            origin=origin,
            rp_id=urlsplit(origin_of_sign_in(origin)).hostname or "",
            tenant=begun["tenant"],
            account=begun["account"],
            upn=begun["upn"],
            sign_count=1 if self._counts else 0,
        )

    async def enrol_once_invited(self, link: str) -> Key:
        """`enrol`, tried until the invitation has come as far as approval. Raises as `enrol` does, and TimeoutError."""

        async def attempt() -> Key | None:
            try:
                return await self.enrol(link)
            except PhoneError as error:
                if error.status in (404, 409, 410, 503):
                    return None  # the invitation is still on its way
                raise

        return await eventually(attempt, "the invitation reaches approval")

    async def ask_for_new_link(self, link: str) -> dict[str, Any]:
        """Ask for another invitation in the place of one whose link no longer works. Raises ValueError, PhoneError."""
        origin, kind, value = _read_link(link)
        if kind != "i":
            raise ValueError("not an invitation link")
        return await self._call(origin, "POST", "/new-links", {"invitation": value.partition(".")[0]})

    @property
    def waits_for_its_answer(self) -> bool:
        """Whether a key was sent for enrolment and no answer came."""
        return self._unfinished is not None

    async def enrol_again(self) -> Key:
        """Send the end of `enrol` once more, as it was. Raises LookupError (nothing is unfinished), PhoneError."""
        if self._unfinished is None:
            raise LookupError("no enrolment waits for its answer")
        key, path, body = self._unfinished
        try:
            done = await self._call(key.origin, "POST", path, body)
        except PhoneError as error:
            if error.status != 503:
                self._unfinished = None
            raise
        self._unfinished = None
        key = replace(key, device=done["device"]["id"])
        self.keys.append(key)
        self._current = len(self.keys) - 1
        self._save()
        return key

    # a further phone

    async def offer(self) -> str:
        """Offer to endorse a new phone: the link that it is to open. Raises PhoneError."""
        made = await self._in_session("POST", "/offers", {})
        seed = self._ids.random_bytes(32)
        self._offer = made["id"], seed
        return f"{self.key.origin}/#p={made['id']}.{b64u(seed)}"

    async def bring(self, link: str, *, name: str = "Further phone", tamper: Tamper = HONEST) -> str:
        """Make a key for that offer; the code that the person types on the phone that offers it.

        Raises ValueError (not such a link), PhoneError. The key is used once the other phone has endorsed it.
        """
        origin, kind, value = _read_link(link)
        offer, _, seed = value.partition(".")
        if kind != "p" or not offer or not seed:
            raise ValueError("not an offer")
        begun = await self._call(origin, "POST", f"/offers/{offer}/begin", {})
        key = self._new_key(origin, begun, tamper)
        new = NewDeviceKey(key.tenant, key.account, offer, key.credential_id, key.spki)
        statement = self._statement(key, Purpose.ENROL, begun, tamper)
        body = {
            "statement": statement.text(),
            "credential": attestation(key, statement.digest(), tamper),
            "endorsement": b64u(tamper.endorsement or endorse(key_from_seed(unb64u(seed)), new)),
            "name": name,
        }
        await self._call(origin, "POST", f"/offers/{offer}/key", body)
        self.keys.append(key)
        self._current = len(self.keys) - 1
        self._save()
        return new.code()

    async def endorse(self, code: str, *, made_at: str = "", tamper: Tamper = HONEST) -> str:
        """Endorse the key that came for this phone's offer, if it is the one with that code; the new device's id.

        `made_at`: what the phone's clock says (`iso_millis`). Raises LookupError (no offer, no key yet, another secret
        or code than this phone's), PhoneError.
        """
        if self._offer is None:
            raise LookupError("no offer")
        offer, seed = self._offer
        found = await self._in_session("GET", f"/offers/{offer}")
        if found["state"] != "taken":
            raise LookupError(f"the offer is {found['state']}")
        public_key = unb64u(found["public_key"])
        new = NewDeviceKey(self.key.tenant, self.key.account, offer, found["credential_id"], public_key)
        if not is_endorsed(raw_public(key_from_seed(seed)), new, unb64u(found["endorsement"])):
            raise LookupError("whoever brought that key has not scanned this phone's code")
        if code != new.code():
            raise LookupError("another code")
        body = self._stated(
            Purpose.ENDORSE,
            found,
            tamper,
            new_key=new.digest(),
            made_at=made_at or iso_millis(SystemClock().now()),
        )
        done = await self._in_session("POST", f"/offers/{offer}/endorse", body)
        return str(done["device"])

    # session

    async def sign_in(self, *, tamper: Tamper = HONEST) -> None:
        """Make a session by an assertion. `list` and the others do it when they need one."""
        key = self.key
        begun = await self._call(key.origin, "POST", "/sessions/nonce", {})
        body = self._stated(Purpose.SESSION, begun, tamper)
        opened = await self._call(key.origin, "POST", "/sessions", body, session=key.credential_id)
        self._tokens[key.credential_id] = opened["token"]
        if not key.device:  # a further phone hears it here first
            self.keys[self._current] = replace(self.key, device=opened["device"])
            self._save()

    async def sign_out(self) -> None:
        """End the phone's session."""
        key = self.key
        await self._call(key.origin, "DELETE", "/sessions", session=key.credential_id)
        self._tokens.pop(key.credential_id, None)

    def _stated(
        self,
        purpose: Purpose,
        begun: Mapping[str, Any],
        tamper: Tamper,
        device: str | None = None,
        **named: str,
    ) -> dict[str, Any]:
        """The answer to a nonce: a statement of the phone's own, and the assertion over it."""
        key = self.used_key()
        statement = self._statement(key, purpose, begun, tamper, device, **named)
        made = tamper.replay or assertion(key, statement.digest(), tamper)
        self.last_credential = made
        return {"id": begun["id"], "statement": statement.text(), "credential": made}

    def _statement(
        self,
        key: Key,
        purpose: Purpose,
        begun: Mapping[str, Any],
        tamper: Tamper,
        device: str | None = None,
        **named: str,
    ) -> Statement:
        honest = Statement(
            purpose=purpose,
            origin=key.origin,
            rp_id=key.rp_id,
            nonce=new_secret(self._ids),
            server_nonce=begun["server_nonce"],
            device=device,
            **named,
        )
        return replace(honest, **(tamper.statement or {}))

    # requests

    async def list(self) -> Sequence[Request]:
        """The open requests that the server lists, at most three."""
        answer = await self._in_session("GET", "/challenges")
        return [read_request(each) for each in answer["challenges"]]

    async def scan(self, text: str) -> Request:
        """The request behind the text of a QR code, `{origin}/#q=<handle>`. Raises ValueError, PhoneError."""
        parts = urlsplit(text)
        kind, _, handle = parts.fragment.partition("=")
        if kind != "q" or not handle:
            raise ValueError("not a sign-in code")
        if f"{parts.scheme}://{parts.netloc}" != self.key.origin:
            raise ValueError(f"that code is of {parts.netloc}, this phone's key is for {self.key.origin}")
        answer = await self._in_session("POST", "/challenges/by-handle", {"handle": handle})
        return read_request(answer["challenge"])

    async def approve(
        self, code: str, request: Request | str | None = None, *, tamper: Tamper = HONEST
    ) -> dict[str, str]:
        """Approve with the code from the sign-in page (empty where none is asked for); returns the proof.

        The page shows the code as two groups of digits, and people type the space between them: it is left out.
        `request`: one from `list` or `scan`, its id, or None for the first listed. The proof: `context`,
        `authenticator_data`, `client_data_json`, `signature`, `public_key` (DER), base64url without padding.
        Raises LookupError (no such request), NotShown, PhoneError.
        """
        chosen = await self._chosen(request)
        chosen.check(self.key.origin)
        context = tamper.context or chosen.with_code("".join(code.split()))
        key = self.used_key()
        made = tamper.replay or assertion(key, hashlib.sha256(context.encode()).digest(), tamper)
        self.last_credential = made
        body = {"context": context, "credential": made}
        await self._call(key.origin, "POST", f"/challenges/{chosen.id}/approve", body)
        response = made["response"]
        return {
            "context": b64u(context.encode()),
            "authenticator_data": response["authenticatorData"],
            "client_data_json": response["clientDataJSON"],
            "signature": response["signature"],
            "public_key": b64u(key.spki),
        }

    async def deny(self, request: Request | str | None = None) -> None:
        """Refuse a request."""
        chosen = await self._chosen(request)
        await self._in_session("POST", f"/challenges/{chosen.id}/deny", {})

    async def not_me(self, request: Request | str | None = None) -> None:
        """Refuse a request, and report that somebody else asked."""
        chosen = await self._chosen(request)
        await self._in_session("POST", f"/challenges/{chosen.id}/not-me", {})

    async def _chosen(self, request: Request | str | None) -> Request:
        if isinstance(request, Request):
            return request
        for each in await self.list():
            if request in (None, each.id):
                return each
        raise LookupError("no such request")

    # devices

    async def devices(self) -> Sequence[Mapping[str, Any]]:
        """The account's phones, as the server lists them."""
        devices: list[Mapping[str, Any]] = (await self._in_session("GET", "/devices"))["devices"]
        return devices

    async def remove_device(self, device: str, *, tamper: Tamper = HONEST) -> None:
        """Take one of the account's phones out of use; this phone signs for it."""
        begun = await self._in_session("POST", f"/devices/{device}/remove/nonce", {})
        body = self._stated(Purpose.REMOVE, begun, tamper, device)
        await self._in_session("POST", f"/devices/{device}/remove", body)

    # notifications

    async def push_key(self) -> str:
        """What to subscribe with at a push service: `applicationServerKey`, base64url."""
        key: str = (await self._call(self.key.origin, "GET", "/push-key"))["key"]
        return key

    async def subscribe(self, subscription: Mapping[str, Any]) -> str:
        """Ask for notifications there: `PushSubscription.toJSON()`. Its id."""
        made: str = (await self._in_session("POST", "/push-subscription", subscription))["subscription"]
        return made

    async def unsubscribe(self) -> None:
        """Give up the push subscription: no more notifications."""
        await self._in_session("DELETE", "/push-subscription")

    # the wire

    async def _in_session(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """A call that needs a session: made first when there is none, and once more when it was over."""
        origin, session = self.key.origin, self.key.credential_id
        if session in self._tokens:
            try:
                return await self._call(origin, method, path, body, session=session)
            except PhoneError as error:
                if error.status != 401:
                    raise
        await self.sign_in()
        return await self._call(origin, method, path, body, session=session)

    async def _call(
        self, origin: str, method: str, path: str, body: object = None, *, session: str = ""
    ) -> dict[str, Any]:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=LoopbackResolver()),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=_TIMEOUT,
            )
        parts = urlsplit(origin)
        base = self._connect or origin
        headers = {"Host": parts.netloc, "Origin": origin, "Accept": "application/json"}
        if session in self._tokens:
            headers["Authorization"] = f"Bearer {self._tokens[session]}"
        async with self._http.request(
            method,
            f"{base}/api{path}",
            json=body,
            headers=headers,
            allow_redirects=False,
            ssl=self._tls,
            server_hostname=parts.hostname,
        ) as response:
            text = await response.text()
            if response.status == 204:
                return {}
            try:
                answer = json.loads(text)
            except ValueError:
                answer = {"title": f"not JSON: {text[:80]!r}"}
            if response.status >= 300:
                raise PhoneError(response.status, answer)
            return dict(answer)

    def used_key(self) -> Key:
        """The key with its counter moved on, kept. Tests sign with it elsewhere (`authenticator.assertion`)."""
        self.keys[self._current] = self.key.used()
        self._save()
        return self.key

    def _load(self) -> Sequence[Key]:
        if self._store is None or not self._store.exists():
            return []
        return [Key.from_json(stored) for stored in json.loads(self._store.read_text())["keys"]]

    def _save(self) -> None:
        if self._store is None:
            return
        self._store.parent.mkdir(parents=True, exist_ok=True)
        keys = {"v": 1, "keys": [key.to_json() for key in self.keys]}
        replace_file(self._store, json.dumps(keys, indent=1))


def _read_link(link: str) -> tuple[str, str, str]:
    """Origin, kind (`i` or `q`) and value of a link's fragment."""
    parts = urlsplit(link)
    kind, _, value = parts.fragment.partition("=")
    return f"{parts.scheme}://{parts.netloc}", kind, value
