"""A disk that can lose power: an ext4 file system in a file, and the call that stops it without writing anything more.

What was made durable is there when it is mounted again; of the rest, what the kernel happened to have written. Needs
root and loop devices.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

DISK_BYTES = 160 << 20
GONE_WITHIN_S = 20.0
POLL_S = 0.02
_SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32)."""
_NO_LOG_FLUSH = 2
"""Not even the file system's own journal is written out: as when the power fails."""


class NoPowerLoss(Exception):
    """This machine cannot do it; the message says why."""


def cut_power(mount: Path) -> None:
    """Stops the file system: whatever is asked of it from now on fails, and nothing more reaches its disk.

    Raises:
        OSError: it is not ext4, or the caller is not root.
    """
    fd = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    finally:
        os.close(fd)


class PowerDisk:
    """A file system of its own, mounted at a folder. Everybody who uses it must have ended before it is restored."""

    def __init__(self, mount: Path, image: Path, size_bytes: int = DISK_BYTES) -> None:
        """Makes the disk, or takes one that is there."""
        self.mount, self.image = mount, image
        mount.mkdir(parents=True, exist_ok=True)
        if not image.exists():
            with image.open("wb") as file:
                file.truncate(size_bytes)
            _run("mkfs.ext4", "-q", "-F", str(image))
        self._mount()

    def cut(self) -> None:
        cut_power(self.mount)

    def restore(self) -> None:
        """Power is back: the file system is mounted again and recovers by itself."""
        self.close()
        self._wait_until_gone()
        self._mount()

    def close(self) -> None:
        if os.path.ismount(self.mount):
            _run("umount", str(self.mount))

    def _wait_until_gone(self) -> None:
        """A mount namespace that was made meanwhile, as for a container, may keep a copy of the mount for a moment.

        Raises:
            TimeoutError: it keeps it; what would be mounted now is the file system without power.
        """
        deadline = time.monotonic() + GONE_WITHIN_S
        while _run("losetup", "--associated", str(self.image)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.image} is still mounted in another mount namespace")
            time.sleep(POLL_S)

    def _mount(self) -> None:
        _run("mount", "-t", "ext4", "-o", "loop", str(self.image), str(self.mount))
        with contextlib.suppress(OSError):
            (self.mount / "lost+found").rmdir()


@contextlib.contextmanager
def disks(folder: Path, mounts: dict[str, Path]) -> Iterator[dict[str, PowerDisk]]:
    """A disk a name, its image below `folder`; all are unmounted at the end, whatever happens."""
    made: dict[str, PowerDisk] = {}
    try:
        for name, mount in mounts.items():
            made[name] = PowerDisk(mount, folder / f"{name}.ext4")
        yield made
    finally:
        for disk in made.values():
            with contextlib.suppress(subprocess.CalledProcessError):
                disk.close()


def require() -> None:
    """Loses the power of a small disk, to see that it works here.

    Raises:
        NoPowerLoss: it does not; the message says why.
    """
    if os.geteuid() != 0:
        raise NoPowerLoss("power cuts need root, to mount file systems")
    if missing := [tool for tool in ("mkfs.ext4", "mount", "umount", "losetup") if shutil.which(tool) is None]:
        raise NoPowerLoss(f"power cuts need {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            disk = PowerDisk(Path(folder) / "mount", Path(folder) / "image", 8 << 20)
        except (subprocess.CalledProcessError, OSError) as error:
            raise NoPowerLoss(f"no loop device can be mounted: {error}") from error
        try:
            _try(disk)
        finally:
            disk.close()


def _try(disk: PowerDisk) -> None:
    for name, durable in (("kept", True), ("lost", False)):
        with (disk.mount / name).open("wb") as file:
            file.write(b"x" * 5000)
            file.flush()
            if durable:
                os.fsync(file.fileno())
    try:
        disk.cut()
    except OSError as error:
        raise NoPowerLoss(f"this kernel does not stop an ext4 file system: {error}") from error
    disk.restore()
    found = {path.name: path.stat().st_size for path in disk.mount.iterdir()}
    if found.get("kept") != 5000 or found.get("lost"):
        raise NoPowerLoss(f"a power cut should keep what was synced and lose the rest, but left {found}")


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
