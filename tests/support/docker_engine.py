"""A Docker engine to test containers with: the machine's own where there is one, else one in a network namespace.

The second kind needs root, what `make peers` brings, and no image registry: its `python:3.11-slim` is a Debian base
with Python, made from Debian's packages. It has bridges, addresses and packet filters of its own, so nothing of this
machine's network changes, and a port that a container publishes is taken only in there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.support.peer_files import BASE_TAR, COMPOSE_PLUGIN, DOCKER, PeersMissing

BASE_IMAGE = "python:3.11-slim"
PROGRAMS = ("dockerd", "docker", "containerd", "runc", "iptables", "ip", "nsenter", "setpriv", "slirp4netns")
BASE_SETTINGS = ("ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 'CMD ["python3"]')
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.1


class EngineFailed(Exception):
    """The engine did not start or stop; the message has the end of its log."""


def engine_missing() -> list[str]:
    """What an engine of our own lacks, by program and file."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return missing + [str(path) for path in (BASE_TAR, COMPOSE_PLUGIN) if not path.exists()]


@contextlib.contextmanager
def docker_engine() -> Iterator[dict[str, str]]:
    """The environment in which `docker` and `docker compose` reach an engine that can build this project's images.

    Raises:
        PeersMissing: there is neither a usable engine nor what it takes to run one.
        EngineFailed: it does not start.
    """
    if machine_engine_usable():
        yield dict(os.environ)
        return
    if missing := engine_missing():
        raise PeersMissing(f"no usable Docker engine, and {', '.join(missing)} not here: run `make peers` as root")
    if os.geteuid() != 0:
        raise PeersMissing("no usable Docker engine, and one of our own needs root")
    with PrivateEngine() as engine:
        yield engine.environment


def machine_engine_usable() -> bool:
    """Whether the machine's own engine answers, has compose, and has or can get the base image."""
    if shutil.which("docker") is None:
        return False
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            return False
    for command in (["docker", "image", "inspect", BASE_IMAGE], ["docker", "pull", "--quiet", BASE_IMAGE]):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return True
    return False


class PrivateEngine:
    """dockerd in a network namespace of its own, with user-space networking as its way out.

    Its images and build cache stay in `.peers`; containers, networks and sockets are gone at the end. Its processes
    end with the thread that started them, should that be killed.
    """

    def __init__(self) -> None:
        self.name = f"docker-{os.getpid()}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.folder = Path()
        self.environment: dict[str, str] = {}

    @property
    def log(self) -> Path:
        return DOCKER / "engine.log"

    def __enter__(self) -> PrivateEngine:
        self.folder = Path(tempfile.mkdtemp(prefix="docker-", dir="/run"))  # a socket's path has at most 107 characters
        self.environment = {
            **os.environ,
            "DOCKER_HOST": f"unix://{self.folder}/socket",
            "DOCKER_CONFIG": str(DOCKER / "config"),
        }
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        self.log.unlink(missing_ok=True)
        namespace = f"/run/netns/{self.name}"
        run(["ip", "netns", "add", self.name])
        run(["ip", "-netns", self.name, "link", "set", "lo", "up"])
        way_out = ["slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", "--netns-type=path"]
        self._spawn([*way_out, namespace, "tap0"])
        folders = ["--data-root", str(DOCKER / "data"), "--exec-root", f"{self.folder}/exec"]
        addresses = ["--host", self.environment["DOCKER_HOST"], "--dns", "10.0.2.3"]
        pid_file = ["--pidfile", f"{self.folder}/pid"]
        self._spawn(["nsenter", f"--net={namespace}", "dockerd", *addresses, *folders, *pid_file])
        self._wait(lambda: self.docker("info").returncode == 0, START_TIMEOUT_S, "the engine to answer")
        self._clear()
        self.docker("image", "prune", "--force", "--filter", "until=24h")  # what earlier builds have left
        if self.docker("image", "inspect", BASE_IMAGE).returncode != 0:
            changes = [word for setting in BASE_SETTINGS for word in ("--change", setting)]
            run(["docker", "import", *changes, str(BASE_TAR), BASE_IMAGE], self.environment)

    def _clear(self) -> None:
        """Takes away what users of this engine have left: it begins and ends with images only."""
        for kind, words in (("container", ("--all",)), ("volume", ())):
            if names := self.docker(kind, "ls", "--quiet", *words).stdout.decode().split():
                self.docker(kind, "rm", "--force", *names)
        self.docker("network", "prune", "--force")

    def _spawn(self, command: Sequence[str]) -> None:
        with self.log.open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    ["setpriv", "--pdeathsig", "TERM", *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def docker(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["docker", *words], env=self.environment, capture_output=True, check=False)

    def _wait(self, condition: Callable[[], bool], limit_s: float, what: str) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            ended = [process.args for process in self.processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
                raise EngineFailed(f"gave up waiting for {what}; ended: {ended}; {self.log} says:\n{tail}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Ends what was started, the engine first, and takes away its mounts and namespace."""
        if len(self.processes) > 1 and self.processes[-1].poll() is None:
            self._clear()
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
        for mount in (self.folder / "exec" / "netns" / "default", DOCKER / "data"):
            subprocess.run(["umount", "--quiet", str(mount)], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise EngineFailed(f"`{' '.join(command)}` failed with status {done.returncode}:\n{done.stdout.decode()}")


def main(command: Sequence[str]) -> int:
    """Runs a command in the engine's environment."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with docker_engine() as environment, subprocess.Popen(command, env=environment) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.terminate()
            return child.wait(STOP_TIMEOUT_S)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (EngineFailed, PeersMissing) as error:
        sys.exit(f"docker engine: {error}")
