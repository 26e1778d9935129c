"""`python -m deploy.compose --origin URL --entra-port N -- docker-compose -p PROJECT ...`: sign in to what runs there.

Called by deploy/setup/test-compose, which starts and removes it. Steps are those of docs/flows/enrolment.md,
sign-in.md and console-sign-in.md; in a second sign-in a replica of wsfed is killed while the phone is being asked.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

from deploy.compose.console import Administrator
from deploy.compose.containers import Containers, Fault, run
from deploy.compose.hardening import check_hardening
from deploy.local.browser import Browser, Page, Unexpected
from deploy.local.entra import entra_standin
from deploy.local.tenant import DOMAIN, PERSON, TENANT, signing_certificate
from deploy.standins.phone.phone import PhoneError, SoftPhone
from shared.clock import SystemClock
from shared.ids import SystemIds
from shared.services import SERVICES
from shared.testing.waiting import eventually
from shared.web.paths import Origins

CA = "/caddy/caddy/pki/authorities/local/root.crt"
CLOCK = SystemClock()


@contextmanager
def timed(what: str) -> Iterator[None]:
    """A line of progress, with how long it took."""
    begun = CLOCK.monotonic()
    yield
    print(f"test-compose: {CLOCK.monotonic() - begun:6.1f} s  {what}", flush=True)


@dataclass(frozen=True)
class Walk:
    """What every step of the check needs."""

    containers: Containers
    origin: str
    ca: Path

    async def ask_every_host(self) -> None:
        """Our own pages are on their hosts, the phone's earlier place leads to it, and no host reaches another's."""
        origins = Origins(
            self.origin, *(self.origin.replace("//id.", f"//{name}.") for name in ("console", "kiosk"))
        )
        async with Browser(ca=self.ca) as browser:
            for url, status, words in (
                (f"{origins.front}/", 200, "Where to go"),
                (f"{origins.phone}/", 200, "BlokKey"),
                (f"{origins.signin}/key/", 200, "BlokKey"),
                (f"{origins.console}/sign-in", 200, "Sign in to the console"),
                (f"{origins.kiosk}/", 200, "The badge kiosk is planned"),
                (f"{origins.signin}/api/challenges", 404, "That does not exist"),
                (f"{origins.phone}/signin/x", 404, "That does not exist"),
            ):
                page = await browser.get(url)
                if page.status != status or words not in page.text:
                    raise Fault(f"{page.status} {url}: {page.words()[:300]}")
            elsewhere = await browser.get(f"{origins.signin}/", headers={"Host": "elsewhere.example"})
            if elsewhere.status != 421:
                raise Fault(f"{elsewhere.status} for a host that is not ours")

    async def ready(self) -> None:
        """Each process of each service says at /readyz, which its health check asks, that it has what it needs."""
        ours = [name for row in SERVICES.values() for name in row.containers]

        async def healthy() -> bool | None:
            found = await self.containers.inspect()
            return all(found[name]["State"]["Health"]["Status"] == "healthy" for name in ours) or None

        await eventually(healthy, "every service is healthy")

    async def seed(self) -> None:
        """The demo tenant, by the operator's own commands in admin's container."""
        blok365 = self.containers.blok365
        await blok365("tenant", "add", TENANT, "--name", "Contoso")
        await blok365("domain", "add", DOMAIN, "--tenant", TENANT)
        await blok365("app", "add", "--tenant", TENANT)
        name = ("--first", "Ada", "--last", "Lovelace", "--email", "ada@private.example")
        await blok365("account", "add", PERSON, "--tenant", TENANT, *name, "--no-invite")

    async def tell_entra(self, path: Path) -> None:
        """The federation as an administrator would set it up: from what the command line and metadata say."""
        tenant = json.loads(await self.containers.blok365("tenant", "show", "--tenant", TENANT, "--json"))
        person = json.loads(
            await self.containers.blok365("account", "show", PERSON, "--tenant", TENANT, "--json")
        )
        url = f"{self.origin}/t/{TENANT}/{DOMAIN}/FederationMetadata/2007-06/FederationMetadata.xml"
        async with Browser(ca=self.ca) as browser:

            async def fetch() -> Page | None:
                page = await browser.get(url)
                return page if page.status == 200 else None

            metadata = await eventually(fetch, "wsfed knows the tenant")
        certificate = signing_certificate(metadata.text)

        async def script_has_it() -> bool:
            try:
                return certificate in await self.containers.blok365("domain", "script", DOMAIN, "-t", TENANT)
            except Fault:
                return False  # admin has not heard of the certificate yet

        await eventually(
            script_has_it, "the script for Entra has the certificate that wsfed signs with", every=1
        )
        domain = {
            "domain": DOMAIN,
            "tenant": TENANT,
            "issuerUri": tenant["domains"][0]["issuer"],
            "passiveSignInUri": f"{self.origin}/t/{TENANT}/wsfed",
            "signingCertificate": certificate,
            "federatedIdpMfaBehavior": "acceptIfMfaDoneByFederatedIdp",
        }
        user = {"immutable_id": person["immutable_id"], "upn": PERSON, "tenant": TENANT}
        await asyncio.to_thread(path.write_text, json.dumps({"domains": [domain], "users": [user]}))

    async def enrol(self, phone: SoftPhone) -> None:
        """Enrol a phone, with the steps of docs/flows/enrolment.md."""
        shown = await self.containers.blok365(
            "account", "invite", PERSON, "--tenant", TENANT, "--show-link", "--json"
        )
        await phone.enrol_once_invited(json.loads(shown)["link"])

        async def active() -> bool | None:
            account = await self.containers.blok365("account", "show", PERSON, "--tenant", TENANT, "--json")
            return json.loads(account)["status"] == "active" or None

        await eventually(active, "the account is active")

    async def sign_in(self, phone: SoftPhone, entra: str, *, lose: str = "") -> None:
        """docs/flows/sign-in.md, in a new browser. `lose`: the container killed once the page shows its code."""
        async with Browser(ca=self.ca) as browser:
            page = await browser.get(f"{entra}/start?username={PERSON}")
            page = await browser.submit(page.form("/push"))
            code, address = page.code(), page.url
            if lose:
                await run("docker", "kill", self.containers.ids[lose])

            async def approve() -> bool | None:
                try:
                    await phone.approve(code)
                except LookupError:
                    return None  # the request is still on its way
                return True

            async def issued() -> Page | None:
                now = await browser.get(address)
                if not any(form.action.endswith("/token") for form in now.forms()):
                    return None
                now = await browser.submit(now.form("/token"))
                return now if any("wresult" in form.fields for form in now.forms()) else None

            await eventually(approve, "the request reaches the phone")
            page = await eventually(issued, "the approval reaches the page")
            answer = await browser.submit(page.form("/login.srf"))
            if answer.status != 200 or PERSON not in answer.words():
                raise Fault(f"Entra's stand-in refused: {answer.words()[:600]}")

    async def administer(self) -> None:
        """docs/flows/console-sign-in.md: the first owner joins, signs out, and signs in again.

        Caddy gives each request to the next replica, so what one of them made (challenge, form, session) the other
        one takes.
        """
        named = ("--name", "Olga Owner", "--email", "olga@private.example")
        link = await self.containers.blok365("admin", "invite", "--tenant", TENANT, *named, "--json")
        async with Browser(ca=self.ca) as browser:
            owner = Administrator(browser, json.loads(link)["link"], SystemIds())
            page, key = await owner.join()
            page = await owner.sign_in(await browser.submit(page.form("/sign-out")), key)
            page = await browser.get(urljoin(page.url, f"/t/{TENANT}/people"))
            if page.status != 200 or PERSON not in page.words():
                raise Fault(f"{page.status} {page.url}: {page.words()[:600]}")


async def check(compose: Sequence[str], origin: str, entra_port: int, var: Path) -> None:
    """Check the running containers and sign in to them. Raises Fault, TimeoutError, Unexpected, PhoneError."""
    containers = await Containers.of(compose)
    ca, federation = var / "ca.crt", var / "entra.json"
    walk = Walk(containers, origin, ca)
    with timed("containers run without root, without rights, each with its own keys and data only"):
        await check_hardening(containers)
    with timed("every process of every service is ready"):
        await walk.ready()
    with timed("Caddy's certificate authority, fetched"):
        await asyncio.to_thread(ca.write_text, await containers.inside("caddy", "cat", CA))
    with timed("every host has its own pages and no other's"):
        await walk.ask_every_host()
    with timed("tenant, domain, application and person, made with blok365"):
        await walk.seed()
    with timed("every service knows them; Entra's stand-in is told"):
        await walk.tell_entra(federation)
    async with AsyncExitStack() as stack:
        entra = await stack.enter_async_context(entra_standin(entra_port, federation))
        phone = await stack.enter_async_context(SoftPhone(ca=ca))
        with timed("software phone enrolled"):
            await walk.enrol(phone)
        with timed("signed in through Caddy; Entra's stand-in verified the token"):
            await walk.sign_in(phone, entra)
        with timed("signed in again, with wsfed-1 killed while the phone was asked"):
            await walk.sign_in(phone, entra, lose="wsfed-1")
    with timed("the first owner joined the console by link and passkey, and signed in again"):
        await walk.administer()
    stopped = tuple(row.containers[-1] for row in SERVICES.values())
    with timed(f"{', '.join(stopped)} stopped in good order"):
        await run("docker", "stop", "-t", "15", *(containers.ids[service] for service in stopped))
        found = await containers.inspect()
        codes = {service: found[service]["State"]["ExitCode"] for service in stopped}
        if any(codes.values()):
            raise Fault(f"exit codes {codes}")


def main() -> int:
    """Exit code 1 and what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m deploy.compose", description=__doc__)
    parser.add_argument("--origin", required=True)
    parser.add_argument("--entra-port", type=int, required=True)
    parser.add_argument("--var", type=Path, default=Path("var/compose"))
    parser.add_argument("compose", nargs="+", help="docker-compose with its options, after --")
    options = parser.parse_args()
    options.var.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(check(options.compose, options.origin, options.entra_port, options.var))
    except (Fault, TimeoutError, Unexpected, PhoneError) as error:
        print(f"test-compose: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
