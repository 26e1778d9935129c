"""var/bench.json and the table of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.files import replace_file

Result = Mapping[str, Any]
AIMS: tuple[tuple[str, str, str, float], ...] = (
    # name, where it stands in the result, sense, aim
    ("token_sign_vs_rsa", "token_sign_vs_rsa.ratio", ">=", 0.9),
    ("sso_reissue_vs_node_wsfed", "sso_reissue_vs_node_wsfed.ratio", ">=", 1.5),
    ("signins_per_core_second", "signins_per_core_second", ">=", 100),
    ("signins_per_core_second_all", "signins_per_core_second_all", ">=", 60),
    ("approval_to_token_ms p99", "approval_to_token_ms.p99", "<=", 50),
    ("cost_growth", "cost_growth.ratio", "<=", 1.1),
    ("console_ms slowest page", "console_ms.page", "<=", 150),
    ("console_ms slowest search", "console_ms.search", "<=", 200),
    ("provisioning people/s", "provisioning.per_second", ">=", 20),
    ("provisioning cpu_ms", "provisioning.cpu_ms", "<=", 5),
    ("throttled seconds", "provisioning_throttled.seconds", "<=", 600),
)


def write(result: Result, path: Path) -> None:
    """Write the file as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(result, indent=2) + "\n", mode=0o644)


def table(result: Result) -> str:
    """For people: each aim with what was measured and from what."""
    lines = [f"{'':30}{'measured':>10}  {'aim':>8}   from"]
    for name, place, sense, aim in AIMS:
        value = find(result, place)
        if value is None:
            continue
        met = "met" if (value >= aim if sense == ">=" else value <= aim) else "missed"
        lines.append(f"{name:30}{value:>10.2f}  {sense} {aim:<5g} {met:6}  {_from(name, result)}")
    if memory := result.get("rss_mb"):
        each = ", ".join(f"{name} {m['idle']:.0f} -> {m['after_load']:.0f}" for name, m in memory.items())
        lines.append(f"{'rss_mb, idle -> after load':30}{'':>10}  {'':8} {each}")
    if counted := result.get("per_signin"):
        each = ", ".join(f"{value:.1f} {name.replace('_', ' ')}" for name, value in counted.items())
        lines.append(f"{'one sign-in':30}{'':>10}  {'':8} {each}")
    machine = result["machine"]
    lines.append(
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, {machine['kernel']}, "
        f"fsync {result['fsync_ms']:.2f} ms, load before {machine['load_1min_before']}"
    )
    return "\n".join(lines)


def find(result: Result, place: str) -> float | None:
    """The number at `a.b`; None where that part was not run."""
    value: Any = result
    for step in place.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def _from(name: str, result: Result) -> str:
    """Both sides of a ratio, or the samples behind a figure."""
    if name == "token_sign_vs_rsa":
        each = result[name]
        return (
            f"{each['tokens']['per_second']:.0f} tokens, {each['raw_rsa_2048']['per_second']:.0f} bare signatures, "
            f"signxml {each['signxml_reference']['per_second']:.0f} a second"
        )
    if name == "sso_reissue_vs_node_wsfed":
        each = result[name]
        ours, theirs = each["blok365"], each["node_wsfed"]
        return (
            f"{ours['per_second']:.0f} against {theirs['per_second']:.0f} a second; "
            f"{ours['per_cpu_second']:.0f} against {theirs['per_cpu_second']:.0f} a CPU second"
        )
    if name.startswith("signins"):
        best = result["saturation"]["best"]
        cpu = best["cpu_ms_all" if name.endswith("all") else "cpu_ms"]
        return f"{cpu:.1f} ms CPU each, {best['per_second']:.0f} a second, {best['samples']} sign-ins"
    if name == "cost_growth":
        each = result[name]
        small, large = each["small"], each["large"]
        return (
            f"{large['cpu_ms']:.1f} ms at {large['accounts']:,} accounts, "
            f"{small['cpu_ms']:.1f} ms at {small['accounts']:,}; {small['samples']} sign-ins each"
        )
    if name.startswith("console"):
        each = result["console_ms"]
        searches = name.endswith("search")
        shown = ((what, ms) for what, ms in each["each"].items() if what.startswith("search") == searches)
        times = ", ".join(f"{what} {ms:.0f}" for what, ms in shown)
        return f"{each['accounts']:,} accounts: {times}"
    if name.startswith(("provisioning", "throttled")):
        each = result["provisioning" if name.startswith("provisioning") else "provisioning_throttled"]
        memory = each["rss_mb"]
        return (
            f"{each['people']:,} people in {each['seconds']:.0f} s, {each['cpu_ms']:.1f} ms CPU each "
            f"({each['cpu_ms_all']:.1f} with MongoDB and RabbitMQ), {memory['idle']:.0f} -> "
            f"{memory['after_load']:.0f} MiB, {each['requests']:,} requests, {each['refused']} times 429"
        )
    each = result["approval_to_token_ms"]
    return f"p50 {each['p50']:.1f}, {each['samples']} sign-ins at {each['arrivals_per_second']:.0f} a second"
