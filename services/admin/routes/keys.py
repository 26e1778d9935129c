"""Token-signing keys: what is published, the next step of the roll-over, and the certificates as files."""

from aiohttp import web

from services.admin.domain.key_scripts import key_lines
from services.admin.domain.roles import Act
from services.admin.domain.signing_keys import KeyStep
from services.admin.handlers import console_keys as keys
from services.admin.pages.views import Crumb, Form, KeyLines, KeysPage, KeyStepPage, certificate_lines
from services.admin.routes.guard import ConsoleRoute, TenantRoute, TenantVisit, redirect
from shared.errors import BadInput, Conflict, NotFound, Unavailable

KEYS = "/t/{tenant}/signing-keys"
STEP = f"{KEYS}/steps/{{step}}"


async def show_keys(visit: TenantVisit) -> web.Response:
    """The certificates, how far the roll-over has come, and what Entra has to be told of it."""
    return await _show(visit, Form())


async def _show(visit: TenantVisit, form: Form) -> web.Response:
    shown = await keys.show_keys(visit.deps, visit.actor)
    view = KeysPage(
        frame=visit.frame("applications"),
        crumbs=_way(visit),
        shown=shown,
        lines=() if shown is None else _lines(shown),
        may_change=visit.actor.may(Act.ROLL_KEYS),
        form=form,
    )
    return visit.render("signing-keys.html", view, status=409 if form.errors else 200)


def _lines(shown: keys.ShownKeys) -> tuple[KeyLines, ...]:
    """What tells Entra of the step that was done last."""
    done = {KeyStep.SWITCH: KeyStep.NEXT, KeyStep.PROMOTE: KeyStep.SWITCH}.get(shown.due)
    if done is None:
        return ()
    return tuple(KeyLines(domain=each.domain, text=key_lines(each, done)) for each in shown.federations)


async def show_state(visit: TenantVisit) -> web.Response:
    """Whether the page would look different, for its script: `{"version", "waiting"}`. No version: not known yet."""
    shown = await keys.show_keys(visit.deps, visit.actor)
    if shown is None:
        return web.json_response({"version": None, "waiting": False})
    return web.json_response({"version": shown.certificates.version, "waiting": shown.pending is not None})


async def ask_step(visit: TenantVisit) -> web.Response:
    """The question before a step."""
    return await _ask(visit, Form())


async def _ask(visit: TenantVisit, form: Form) -> web.Response:
    step, shown = _step(visit), await keys.show_keys(visit.deps, visit.actor)
    if shown is None:
        raise Unavailable("admin.key.unknown")
    if step is not shown.due:
        raise Conflict("admin.key.not_due")
    view = KeyStepPage(
        frame=visit.frame("applications"),
        crumbs=(*_way(visit), Crumb(visit.path("/signing-keys"), key="keys.heading")),
        step=step,
        version=shown.certificates.version,
        waits=step is KeyStep.SWITCH and shown.waits,
        switch_from=shown.switch_from,
        form=form,
    )
    return visit.render("key-step.html", view, status=409 if form.errors else 200)


async def take_step(visit: TenantVisit) -> web.Response:
    """Ask wsfed for it."""
    step, at_once = _step(visit), visit.form.get("at_once") == "yes"
    try:
        await keys.take_step(
            visit.deps, visit.actor, step, version=_number(visit.form.get("version", "")), at_once=at_once
        )
    except Conflict as error:
        if error.code == "too_new":
            return await _ask(visit, Form({}, {"at_once": error}))
        return await _show(visit, Form({}, {"roll-over": error}))  # as it is now
    return redirect(visit.path("/signing-keys"), said="key_asked")


async def download(visit: TenantVisit) -> web.Response:
    """One of the certificates as a file: PEM (RFC 7468), which Windows and openssl open. Raises NotFound."""
    role = visit.request.match_info["role"]
    shown = await keys.show_keys(visit.deps, visit.actor)
    found = (
        None
        if shown is None
        else next((each for each in certificate_lines(shown.certificates) if each.role == role), None)
    )
    if found is None:
        raise NotFound("admin.key.no_certificate")
    body = "\n".join(found.text[at : at + 64] for at in range(0, len(found.text), 64))
    text = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    name = f"blok365-{visit.actor.tenant}-{found.facts.sha256[:8].lower()}.cer"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=text.encode(), content_type="application/octet-stream", headers=headers)


def _step(visit: TenantVisit) -> KeyStep:
    """Raises NotFound."""
    try:
        return KeyStep(visit.request.match_info["step"])
    except ValueError:
        raise NotFound("admin.key.no_step") from None


def _number(text: str) -> int:
    """Raises BadInput."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput("admin.console.malformed")
    return int(text)


def _way(visit: TenantVisit) -> tuple[Crumb, ...]:
    return (Crumb(visit.path("/applications"), key="nav.applications"),)


KEY_ROUTES: tuple[ConsoleRoute, ...] = (
    TenantRoute("GET", KEYS, Act.SEE_KEYS, show_keys),
    TenantRoute("GET", f"{KEYS}/state", Act.SEE_KEYS, show_state, by_itself=True),
    TenantRoute("GET", f"{KEYS}/certificates/{{role}}", Act.SEE_KEYS, download),
    TenantRoute("GET", STEP, Act.ROLL_KEYS, ask_step),
    TenantRoute("POST", STEP, Act.ROLL_KEYS, take_step, STEP),
)
