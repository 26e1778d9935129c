"""`make demo`: one sign-in, headless, step by step; leaves the evidence in var/demo/signin/.

The steps are those of docs/flows/enrolment.md, notification.md and sign-in.md. Everything is real but Entra, the push
service and the phone's hardware, which are strict stand-ins: the Entra stand-in, a program of its own, verifies the
token by an independent path. The phone is BlokKey's page in Chromium; without Chromium, a phone in software.
"""

import argparse
import json
import sys
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path

import uvloop
from playwright.async_api import Error as PlaywrightError

from deploy.local import tenant
from deploy.local.backing import BackingServiceFailed, BackingServiceMissing, mongod, rabbitmq
from deploy.local.backing.port import free_port
from deploy.local.browser import Browser, Page, Unexpected
from deploy.local.demo_phone import DemoPhone, SoftwarePhone, chromium_phone
from deploy.local.entra import entra_standin
from deploy.local.platform import make_keys
from deploy.local.running_system import RunningSystem, many_processes, one_process
from deploy.local.settings import local_settings
from deploy.standins.chromium import is_there
from deploy.standins.phone.phone import PhoneError, SoftPhone
from services.admin import handlers as admin
from shared.contracts.admin import AccountStatus
from shared.errors import Blok365Error
from shared.ids import SystemIds
from shared.log import configure
from shared.testing.waiting import eventually


def step(number: str, text: str) -> None:
    """Print one step of the demo."""
    print(f"  {number:>4}  {text}", flush=True)


async def demo(var: Path, mongo_url: str, bus_url: str, *, in_chromium: bool) -> None:
    """The walk. Raises Unexpected, PhoneError, TimeoutError, Blok365Error, and Playwright's Error."""
    ids = SystemIds()
    port, entra_port, push_port = free_port(), free_port(), free_port()
    push_local = [f"127.0.0.1:{push_port}"] if in_chromium else []
    prefix = "demo_" + ids.random_bytes(6).hex()
    settings = local_settings(var, port, mongo_url, bus_url=bus_url, database_prefix=prefix)
    make_keys(settings, ids)
    out = var / "signin"
    out.mkdir(parents=True, exist_ok=True)
    running_system = (
        one_process(settings, port=port, entra_port=entra_port, push_local=push_local)
        if bus_url == "memory:"
        else many_processes(
            settings, port=port, entra_port=entra_port, logs=var / "log", push_local=push_local
        )
    )
    async with running_system as on, AsyncExitStack() as stack:
        await tenant.seed(on)
        federation = var / "entra.json"
        await tenant.tell_entra(on, federation)
        entra = await stack.enter_async_context(entra_standin(entra_port, federation))
        browser = await stack.enter_async_context(Browser())
        phone: DemoPhone
        if in_chromium:
            phone = await stack.enter_async_context(chromium_phone(push_port, partial(step, "")))
        else:
            phone = SoftwarePhone(await stack.enter_async_context(SoftPhone(ids=ids)))
        await enrol(on, phone)
        await sign_in(on, browser, phone, entra, out)
    for file in sorted(out.iterdir()):
        print(f"        {file}  {file.stat().st_size} octets")


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
