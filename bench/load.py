"""One round of load against one address, by ghz (gRPC) or wrk (HTTP)."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from backbone.protos import SOURCE, TARGET
from bench import tools


class LoadFailed(Exception):
    """Calls were refused: a figure made of errors is none. The message shows them."""


@dataclass(frozen=True)
class Call:
    """A unary call as ghz makes it. `protoset` is what `protoset()` made."""

    protoset: Path
    method: str
    data: str
    token: str


@dataclass(frozen=True)
class Request:
    """An HTTP request as wrk makes it."""

    method: str
    path: str
    token: str
    body: str = ""


def protoset(proto: str, scratch: Path) -> Path:
    """A contract with its imports, compiled: ghz's own compiler refuses ``optional`` of proto3."""
    compiled = scratch / "protoset.binpb"
    subprocess.run(
        (
            sys.executable, "-m", "grpc_tools.protoc", f"-I{SOURCE}", f"-I{TARGET / 'include'}",
            "--include_imports", f"--descriptor_set_out={compiled}", proto,
        ),
        check=True,
    )  # fmt: skip
    return compiled


def grpc(address: str, call: Call, seconds: float, in_flight: int) -> float:
    """Calls a second that were answered OK.

    Raises:
        LoadFailed: some were not (those that the end of the round cut are not counted).
    """
    done = subprocess.run(
        (
            tools.ghz(), "--insecure", "--format=json", f"--protoset={call.protoset}",
            f"--call={call.method}", f"--data={call.data}",
            f"--metadata={json.dumps({'authorization': f'Bearer {call.token}'})}",
            f"--concurrency={in_flight}", f"--duration={seconds}s", "--duration-stop=wait", address,
        ),
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise LoadFailed(done.stderr.strip())
    report = json.loads(done.stdout)
    codes: dict[str, int] = report["statusCodeDistribution"]
    if set(codes) != {"OK"}:
        raise LoadFailed(f"{call.method}: {codes} {report.get('errorDistribution')}")
    return float(report["rps"])


def http(address: str, request: Request, seconds: float, in_flight: int, scratch: Path) -> float:
    """Requests a second that were answered 2xx.

    Raises:
        LoadFailed: some were not.
    """
    script = scratch / "request.lua"
    script.write_text(
        f"wrk.method = {json.dumps(request.method)}\n"
        f"wrk.body = {json.dumps(request.body) if request.body else 'nil'}\n"
        f'wrk.headers["Authorization"] = {json.dumps(f"Bearer {request.token}")}\n'
        'wrk.headers["Content-Type"] = "application/json"\n'
    )
    done = subprocess.run(
        (
            tools.wrk(), "--threads=1", f"--connections={in_flight}", f"--duration={seconds:g}s",
            f"--script={script}", f"http://{address}{request.path}",
        ),
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if rate is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise LoadFailed(f"{request.method} {request.path}:\n{done.stdout}{done.stderr}")
    return float(rate[1])
