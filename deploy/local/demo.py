"""`make demo`: two people made in Entra, and one sign-in, headless, step by step.

The evidence is left in var/demo/signin/, and every request to Microsoft Graph in var/demo/graph/requests.jsonl. The
steps are those of docs/flows/provisioning.md, enrolment.md, notification.md and sign-in.md. Everything is real but
Entra, Graph, the push service and the phone's hardware, which are strict stand-ins: whom the stand-in of Graph was not
asked to make, the Entra stand-in does not know, and it verifies the token by an independent path; both are programs of
their own. The phone is BlokKey's page in Chromium; without Chromium, a phone in software.
"""

import argparse
import json
import sys
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from playwright.async_api import Error as PlaywrightError

from deploy.local import tenant
from deploy.local.backing import BackingServiceFailed, BackingServiceMissing, mongod, rabbitmq
from deploy.local.backing.port import free_port
from deploy.local.browser import Browser, Page, Unexpected
from deploy.local.demo_phone import DemoPhone, SoftwarePhone, chromium_phone
from deploy.local.entra import entra_standin
from deploy.local.graph import (
    Registration,
    address,
    entra_settings,
    graph_standin,
    write_set_up,
)
from deploy.local.platform import make_keys
from deploy.local.running_system import RunningSystem, many_processes, one_process
from deploy.local.settings import local_settings
from deploy.standins.chromium import is_there
from deploy.standins.graph.model import new_guid
from deploy.standins.phone.phone import PhoneError, SoftPhone
from services.admin import handlers as admin
from services.admin.handlers import NewAccount
from shared.contracts.admin import AccountStatus
from shared.errors import Blok365Error
from shared.ids import SystemIds, new_secret
from shared.log import configure
from shared.testing.waiting import eventually

SECOND = "grace@contoso.example"
LICENCE = "SPE_F1"
PERMISSIONS = ("User.ReadWrite.All", "LicenseAssignment.Read.All", "Domain.Read.All")


def step(number: str, text: str) -> None:
    """Print one step of the demo."""
    print(f"  {number:>4}  {text}", flush=True)


async def demo(var: Path, mongo_url: str, bus_url: str, *, in_chromium: bool) -> None:
    """The walk. Raises Unexpected, PhoneError, TimeoutError, Blok365Error, and Playwright's Error."""
    ids = SystemIds()
    port, entra_port, graph_port, push_port = free_port(), free_port(), free_port(), free_port()
    push_local = [f"127.0.0.1:{push_port}"] if in_chromium else []
    prefix = "demo_" + ids.random_bytes(6).hex()
    settings = local_settings(var, port, mongo_url, bus_url=bus_url, database_prefix=prefix)
    make_keys(settings, ids)
    out = var / "signin"
    out.mkdir(parents=True, exist_ok=True)
    graph = address(graph_port)
    running_system = (
        one_process(settings, port=port, entra_port=entra_port, graph=graph, push_local=push_local)
        if bus_url == "memory:"
        else many_processes(
            settings,
            port=port,
            entra_port=entra_port,
            graph=graph,
            push_local=push_local,
            logs=var / "log",
        )
    )
    async with running_system as on, AsyncExitStack() as stack:
        await tenant.seed(on)
        registration = Registration(new_guid(ids), new_secret(ids), PERMISSIONS)
        set_up, requests = var / "graph" / "set-up.json", var / "graph" / "requests.jsonl"
        write_set_up(set_up, "Contoso", await tenant.settled_federation(on), registration, {LICENCE: 5})
        await stack.enter_async_context(graph_standin(graph_port, set_up, requests))
        entra = await stack.enter_async_context(entra_standin(entra_port, entra_settings(graph)))
        browser = await stack.enter_async_context(Browser())
        await provision(on, browser, registration, graph)
        phone: DemoPhone
        if in_chromium:
            phone = await stack.enter_async_context(chromium_phone(push_port, partial(step, "")))
        else:
            phone = SoftwarePhone(await stack.enter_async_context(SoftPhone(ids=ids)))
        await enrol(on, phone)
        await sign_in(on, browser, phone, entra, out)
    for file in [*sorted(out.iterdir()), requests]:
        print(f"        {file}  {file.stat().st_size} octets")


async def provision(
    running_system: RunningSystem, browser: Browser, registration: Registration, graph: str
) -> None:
    """Make two people with a licence in Entra, with the steps of docs/flows/provisioning.md."""
    print("Provisioning")
    deps = running_system.admin
    properties = {
        "client_id": registration.client_id,
        "client_secret": registration.client_secret,
        "tenant_domain": tenant.DOMAIN,
    }
    await admin.set_connection(deps, tenant.TENANT, properties=json.dumps(properties), enabled=True)
    await running_system.flush()
    step("1", f"the connection to {tenant.DOMAIN}'s directory is set; its secret is sealed for provisioning")

    asked = await admin.check_connection(deps, tenant.TENANT)
    await running_system.flush()
    found = await eventually(lambda: admin.checked(deps, tenant.TENANT, asked), "the connection is tested")
    if found.fault is not None or not found.licences:
        raise Unexpected(f"the connection's test failed: {found}")
    left = ", ".join(f"{each.name}, {each.left} left" for each in found.licences)
    step("2", f"it signs in; licences: {left}")

    grace = NewAccount(first_name="Grace", last_name="Hopper", upn=SECOND, email="grace@private.example")
    await admin.create_account(deps, tenant.TENANT, grace)
    for upn in (tenant.PERSON, SECOND):
        await admin.set_licences(deps, tenant.TENANT, upn, usage_location="FR", licences=[LICENCE])
    await running_system.flush()
    step("3", f"admin has {tenant.PERSON} and {SECOND}, each to have {LICENCE}")

    async def made() -> list[dict[str, Any]] | None:
        answer = json.loads((await browser.get(f"{graph}/control/tenants/{tenant.DOMAIN}/users")).text)
        users: list[dict[str, Any]] = answer["users"]
        for upn in (tenant.PERSON, SECOND):
            _, person = await admin.directory_person(deps, tenant.TENANT, upn)
            if person is None or person.state != "done":
                return None
        return users if all(each["assignedLicenses"] for each in users) else None

    users = await eventually(made, "both people are in Entra")
    names = sorted(each["userPrincipalName"] for each in users)
    if names != sorted((tenant.PERSON, SECOND)):
        raise Unexpected(f"in Entra are {names}")
    step("4-7", "provisioning looked for them, made both once, and gave them their licence")


async def enrol(running_system: RunningSystem, phone: DemoPhone, upn: str = tenant.PERSON) -> None:
    """Enrol a phone for that person, with the steps of docs/flows/enrolment.md."""
    print("Enrolment")
    link = await admin.invite(running_system.admin, tenant.TENANT, upn)
    await running_system.flush()
    step("1-2", f"admin invites {upn}; the link's secret is in its fragment only")

    credential = await phone.enrol(link.url)
    step("3-5", f"the phone made a key and had it endorsed: credential {credential[:12]}...")

    async def active() -> bool | None:
        account = await admin.show_account(running_system.admin, tenant.TENANT, upn)
        return account.status is AccountStatus.ACTIVE or None

    await eventually(active, "the account is active")
    step("6-8", "wsfed and admin verified the chain; the account is active")


async def sign_in(
    running_system: RunningSystem, browser: Browser, phone: DemoPhone, entra: str, out: Path
) -> None:
    """One sign-in, with the steps of docs/flows/sign-in.md."""
    print("Sign-in")
    start = await browser.get(f"{entra}/start?username={tenant.PERSON}", follow=False)
    request = start.headers["Location"]
    (out / "request.txt").write_text(request + "\n")
    page = await browser.get(request)
    step("1", f"Entra's request, {len(request)} characters, is a transaction bound to this browser")
    step(
        "2", f"the sign-in page asks {page.forms()[0].action.rpartition('/')[2]}, and shows no password field"
    )
    page = await browser.submit(page.form("/push"))
    code = page.code()
    step("3-4", f"the page shows the code {code}; the phone is asked")
    proof = await phone.approve(code)
    (out / "proof.json").write_text(json.dumps(proof, indent=2) + "\n")
    step("5-7", "the phone typed the code, verified its user and signed the context")

    async def proved() -> Page | None:
        now = await browser.get(page.url)
        return now if now.state() == "proved" else None

    page = await eventually(proved, "the approval reaches the page")
    step("8-9", "wsfed verified the proof against its own transaction; the page goes on")
    page = await browser.submit(page.form("/token"))
    (out / "response.html").write_text(page.text)
    form = next((f for f in page.forms() if "wresult" in f.fields), None)
    if form is None:
        raise Unexpected(f"no token: {page.words()[:300]}")
    (out / "wresult.xml").write_text(form.fields["wresult"])
    step("10", f"issuance record, then the token: {len(form.fields['wresult'])} octets")
    await describe(running_system, browser, out)
    answer = await browser.submit(form)
    if answer.status != 200:
        raise Unexpected(f"Entra refused: {answer.words()[:600]}")
    step("11", "Entra's stand-in verified it by a path of its own: signed in")
    again = await browser.get(page.url.removesuffix("/token"))
    if any("token" in form.action for form in again.forms()):
        raise Unexpected("Back would post again")
    step("", "Back shows that it is finished, and posts nothing")


async def describe(running_system: RunningSystem, browser: Browser, out: Path) -> None:
    """What a checker needs besides the token: metadata and the signing certificate."""
    origin = running_system.settings.origin
    url = f"{origin}/t/{tenant.TENANT}/{tenant.DOMAIN}/federationmetadata/2007-06/federationmetadata.xml"
    metadata = (await browser.get(url)).text
    (out / "metadata.xml").write_text(metadata)
    base64 = tenant.signing_certificate(metadata)
    lines = [base64[i : i + 64] for i in range(0, len(base64), 64)]
    pem = "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])
    (out / "signing.pem").write_text(pem)


def main() -> int:
    """Exit code 1 and one clear line when something is not as it should be."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--bus", choices=["memory", "rabbit"], default="memory")
    parser.add_argument(
        "--phone",
        choices=["auto", "chromium", "software"],
        default="auto",
        help="auto: Chromium, if it is there",
    )
    parser.add_argument("--var", type=Path, default=Path("var/demo"))
    options = parser.parse_args()
    configure(json=False, quiet=True)
    in_chromium = options.phone == "chromium" or (options.phone == "auto" and is_there())
    if options.phone == "auto" and not in_chromium:
        print("There is no Chromium here (Debian: apt install chromium): the phone is in software.")
    try:
        with ExitStack() as parts:
            mongo = parts.enter_context(mongod(options.var / "mongo"))
            bus_url = "memory:"
            if options.bus == "rabbit":
                bus_url = parts.enter_context(rabbitmq(options.var / "rabbit")).url
            uvloop.run(demo(options.var, mongo.url, bus_url, in_chromium=in_chromium))
    except (
        Unexpected,
        PhoneError,
        TimeoutError,
        BackingServiceMissing,
        BackingServiceFailed,
        Blok365Error,
        PlaywrightError,
    ) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    print("The demo went through.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
