"""What would be the toy's row in shared/services.py."""

from shared.services import SERVICES, Host, Mount, ServiceRow, table

ROW = ServiceRow(
    name="toy",
    mounts=(Mount(Host.KIOSK, "/"),),
    cookies=("blok365-toy",),
    replicas=2,
)
WITH_TOY = table(*SERVICES.values(), ROW)
