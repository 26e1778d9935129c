"""The first sign-in on the front page of `make run`: how far it is, and the invitation for Ada's phone.

    GET  /walk/state    what Ada has, whether she has signed in, and where to go
    POST /walk/phone    a new invitation for Ada: `{"link": ...}`

Only on the front page's host, which is this machine's own name, and only for the demo tenant: whoever can reach it may
make the demo person a phone. No other host and no other runner has these paths.
"""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from deploy.local import tenant
from deploy.local.running_system import RunningSystem
from deploy.local.status import adas_phones, approve_command, enrol_command, software_phone
from services.admin import handlers as admin
from shared.errors import NotFound, Unavailable
from shared.services import Host
from shared.web.cookies import check_same_origin


class Walk:
    """The two paths, and the system that they speak of once it runs.

    `var`: the folder of `make run`.
    """

    def __init__(self, var: Path) -> None:
        self._var = var
        self._system: RunningSystem | None = None
        self._entra = self._graph = ""

    def begin(self, system: RunningSystem, entra: str, graph: str) -> None:
        """From now on there is something to tell. `entra`: the address of the Entra stand-in; `graph`: that of
        Microsoft Graph's, empty where there is none.
        """
        self._system, self._entra, self._graph = system, entra, graph

    def routes(self) -> Sequence[web.RouteDef]:
        """URL to function, for `deploy.local.system.running`."""
        return [web.get("/walk/state", self.state), web.post("/walk/phone", self.give_phone)]

    async def state(self, request: web.Request) -> web.Response:
        """How far the walk is."""
        running = self._begun(request)
        devices = await adas_phones(running.admin)
        origin = running.settings.origins.phone
        in_software = software_phone() & {device.id for device in devices}
        return web.json_response(
            {
                "person": tenant.PERSON,
                "phones": [device.name for device in devices],
                "signed_in": await self._has_signed_in(running),
                "phone": f"{origin}/",
                "sign_in": f"{self._entra}/start?username={quote(tenant.PERSON)}",
                "enrol": enrol_command(self._var),
                "approve": approve_command(origin) if in_software else None,
                "provisioning": await self._provisioning(running) if self._graph else None,
            }
        )

    async def _provisioning(self, running: RunningSystem) -> dict[str, object]:
        """What to enter on which page of the console, where to look at the users, and whether it is on."""
        applications = (await admin.show_tenant(running.admin, tenant.TENANT)).applications
        application = f"/{applications[0].id}/provisioning" if applications else ""
        known = (await admin.show_connection(running.admin, tenant.TENANT)).known
        return {
            "tab": f"{running.settings.origins.console}/t/{tenant.TENANT}/applications{application}",
            "properties": tenant.properties(),
            "users": f"{self._graph}/",
            "on": known is not None and known.state == "ready",
        }

    async def give_phone(self, request: web.Request) -> web.Response:
        """Invite Ada anew; the link is in the answer and nowhere else."""
        running = self._begun(request)
        check_same_origin(request, f"http://{request.host}")
        link = await admin.invite(running.admin, tenant.TENANT, tenant.PERSON, send_mail=False)
        await running.flush()
        return web.json_response({"link": link.url})

    def _begun(self, request: web.Request) -> RunningSystem:
        """The system. Raises NotFound on another host, Unavailable while it starts."""
        if self._system is None:
            raise Unavailable("local.walk.starting")
        if self._system.settings.origins.host_of(request.host) is not Host.FRONT:
            raise NotFound
        return self._system

    async def _has_signed_in(self, running: RunningSystem) -> bool:
        """Whether a token was ever issued for Ada: there is a record of each."""
        assert running.system is not None, "this runs in the process of all services"
        ada = await admin.show_account(running.admin, tenant.TENANT, tenant.PERSON)
        issuances = running.system.wired["wsfed"].service.database.collection("issuances")
        return await issuances.find_one({"tenant": tenant.TENANT, "account": ada.id}) is not None
