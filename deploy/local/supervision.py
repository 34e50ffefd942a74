"""supervisord: the program that keeps the components running, and how it is spoken to."""

import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from deploy.local.component import Component
from deploy.local.errors import StackError
from deploy.local.install import tail
from deploy.local.paths import LOCAL, LOG, ROOT, RUN, write_private

CONFIGURATION = RUN / "supervisord.conf"
PID = RUN / "supervisord.pid"
# Inherited by everything that the supervisor starts: how `sweep` knows what is ours.
MARK = "BACKBONE_STACK"
STOPPED = ("STOPPED", "EXITED", "FATAL")


def socket_path() -> Path:
    """The control socket; elsewhere when the checkout lies too deep for the 107 bytes that a
    socket's path may have.
    """
    path = RUN / "supervisor.sock"
    if len(str(path)) < 90:
        return path
    return (
        Path(tempfile.gettempdir())
        / f"backbone-{hashlib.sha256(str(RUN).encode()).hexdigest()[:12]}.sock"
    )


def configuration(components: Iterable[Component]) -> str:
    """supervisord's file for these components: started when told to, and again whenever they end by
    themselves.
    """
    sections = [
        f"[unix_http_server]\nfile={socket_path()}\nchmod=0700\n",
        f"[supervisord]\npidfile={PID}\nlogfile={LOG / 'supervisord.log'}\nlogfile_maxbytes=5MB\n"
        f"logfile_backups=1\ndirectory={ROOT}\n",
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
    ]
    for component in components:
        if component.command:
            variables = ",".join(
                f'{name}="{value}"' for name, value in component.environment.items()
            )
            lines = {
                "command": shlex.join(component.command),
                "environment": variables,
                "autostart": "false",
                "autorestart": "true",
                "startsecs": "1",
                "startretries": "60",
                "stopsignal": component.stop_signal,
                "stopwaitsecs": "30",
                "killasgroup": "true",
                "redirect_stderr": "true",
                "stdout_logfile": str(log_path(component.name)),
                "stdout_logfile_maxbytes": "10MB",
                "stdout_logfile_backups": "2",
            }
            # `%` is the file's own interpolation sign.
            body = "\n".join(f"{name}={value.replace('%', '%%')}" for name, value in lines.items())
            sections.append(f"[program:{component.name}]\n{body}\n")
    return "\n".join(sections)


def log_path(name: str) -> Path:
    """Where a component's words go."""
    return LOG / f"{name}.log"


class Supervisor:
    """This stack's supervisord."""

    def _call(self, method: str, *arguments: Any) -> Any:
        # A connection for each call: one is neither shared between threads nor usable after a
        # refusal.
        transport = SupervisorTransport(None, None, serverurl=f"unix://{socket_path()}")
        calls = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
        try:
            return getattr(calls, method)(*arguments)
        finally:
            transport.close()

    def running(self) -> bool:
        """True when it answers."""
        try:
            self._call("getPID")
        except OSError:  # no socket, or nobody behind it
            return False
        return True

    def apply(self, components: Iterable[Component]) -> None:
        """Have it run with these components: start it, or make it stop what changed and take the
        new definition.
        """
        LOG.mkdir(parents=True, exist_ok=True)
        write_private(CONFIGURATION, configuration(components))
        if not self.running():
            self._launch()
            return
        added, changed, removed = self._call("reloadConfig")[0]
        for name in (*changed, *removed):
            self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        for name in (*added, *changed):
            self._call("addProcessGroup", name)

    def states(self) -> dict[str, tuple[str, int]]:
        """The state and the process id (0 when none) of each component."""
        return {
            each["name"]: (each["statename"], each["pid"])
            for each in self._call("getAllProcessInfo")
        }

    def start(self, name: str) -> None:
        """Start a component, without waiting; one that runs is left alone."""
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.ALREADY_STARTED:
                raise StackError(
                    f"{name} did not start: {fault.faultString}", f"see {log_path(name)}"
                ) from fault

    def stop(self, name: str) -> None:
        """Ask a component to stop, wait until it has, kill it after 30 s; one that does not run is
        left alone.
        """
        try:
            self._call("stopProcess", name, True)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.NOT_RUNNING:
                raise

    def shutdown(self) -> None:
        """End it, and wait until it is gone."""
        process = psutil.Process(self._call("getPID"))
        self._call("shutdown")
        process.wait(timeout=60)

    def _launch(self) -> None:
        RUN.mkdir(parents=True, exist_ok=True)
        launched = subprocess.run(
            (sys.executable, "-m", "supervisor.supervisord", "-c", str(CONFIGURATION)),
            cwd=ROOT,
            env=_environment(),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if launched.returncode:
            raise StackError(
                f"supervisord did not start: {launched.stderr or launched.stdout}",
                f"see {CONFIGURATION}",
            )
        deadline = time.monotonic() + 15
        while not self.running():
            if time.monotonic() > deadline:
                log = LOG / "supervisord.log"
                raise StackError(f"supervisord does not answer:\n{tail(log)}", f"see {log}")
            time.sleep(0.05)


def sweep() -> list[int]:
    """Kill whatever a supervisor of this stack started and left behind (it was killed itself); tell
    which.
    """
    left = [each for each in psutil.process_iter() if _ours(each)]
    for process in left:
        process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=10)
    for process in stubborn:
        process.kill()
    psutil.wait_procs(stubborn, timeout=5)
    return [process.pid for process in left]


def _ours(process: psutil.Process) -> bool:
    try:
        return bool(process.environ().get(MARK) == str(LOCAL))
    except (psutil.Error, OSError):  # it ended meanwhile, or belongs to someone else
        return False


def _environment() -> dict[str, str]:
    return os.environ | {MARK: str(LOCAL)}
