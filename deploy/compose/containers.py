"""The containers of one compose project, by docker and docker-compose's command line."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Fault(Exception):
    """A program failed, or something is not as it should be. The text says what."""


async def run(*command: str) -> str:
    """A program's standard output. Raises Fault unless it ends with 0."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise Fault(f"{' '.join(command)[:200]}: exit code {process.returncode}\n{err.decode()[-2000:]}")
    return out.decode()


@dataclass(frozen=True)
class Containers:
    """`compose`: docker-compose with its project and files; `ids`: containers by service, also those that ended."""

    compose: tuple[str, ...]
    ids: Mapping[str, str]

    @classmethod
    async def of(cls, compose: Sequence[str]) -> Self:
        """The containers that are there now. Raises Fault when a service has no container, or more than one."""
        project = compose[compose.index("-p") + 1]
        label = f"label=com.docker.compose.project={project}"
        form = '{{.ID}} {{.Label "com.docker.compose.service"}}'
        lines = (await run("docker", "ps", "-a", "--no-trunc", "--filter", label, "--format", form)).split(
            "\n"
        )
        found = [(service, container) for container, service in (line.split() for line in lines if line)]
        named = sorted((await run(*compose, "config", "--services")).split())
        if sorted(service for service, _ in found) != named:
            raise Fault(f"containers of {found}, services {named}")
        return cls(tuple(compose), dict(found))

    async def blok365(self, *arguments: str) -> str:
        """The command line in admin's container."""
        return await self.inside("admin-1", "blok365", *arguments)

    async def inside(self, service: str, *command: str) -> str:
        """A program in a running container."""
        return await run("docker", "exec", self.ids[service], *command)

    async def inspect(self) -> dict[str, dict[str, Any]]:
        """What the engine knows of each service's container."""
        found: list[dict[str, Any]] = json.loads(await run("docker", "inspect", *self.ids.values()))
        return dict(zip(self.ids, found, strict=True))
