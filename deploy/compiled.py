"""python -m deploy.compiled [FOLDER]: a wheel for this Python, with the busiest modules of a namenode as machine code.

The same sources, and the same package without it: mypyc compiles what pyproject.toml names. Needs a C compiler and
Python's headers. Without FOLDER the wheel is unpacked, once for each state of the sources, and the place printed:
`PYTHONSAFEPATH=1 PYTHONPATH=place` then goes before the sources.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = ("seamlessfs", "pyproject.toml", "setup.py", "README.md", "LICENSE")
UNPACKED = ROOT / ".cache" / "compiled"


def build_wheel(folder: Path) -> Path:
    """Builds the wheel from a copy of the sources; takes a minute or two.

    Raises:
        CalledProcessError: the compiler is missing or refuses; it has said why.
    """
    with tempfile.TemporaryDirectory() as scratch:
        for name in SOURCES:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, Path(scratch, name), ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, scratch)
        made = Path(scratch, "wheel")
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps"]
        environment = {**os.environ, "SEAMLESSFS_COMPILE": "1"}
        subprocess.run([*command, "--wheel-dir", str(made), scratch], check=True, env=environment, cwd=scratch)
        (wheel,) = made.glob("*.whl")
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(wheel, folder / wheel.name))


def unpacked() -> Path:
    """Where the package of the present sources is, compiled; builds it where it is not there yet."""
    digest = hashlib.sha256(str(sysconfig.get_config_var("EXT_SUFFIX")).encode())
    for path in sorted(path for name in SOURCES[:3] for path in ((ROOT / name), *(ROOT / name).rglob("*.py"))):
        if path.is_file():
            digest.update(path.read_bytes())
    place = UNPACKED / digest.hexdigest()[:16]
    if not place.exists():
        shutil.rmtree(UNPACKED, ignore_errors=True)
        UNPACKED.mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=UNPACKED) as scratch:
            with zipfile.ZipFile(build_wheel(Path(scratch))) as wheel:
                wheel.extractall(Path(scratch, "package"))
            Path(scratch, "package").rename(place)
    return place


if __name__ == "__main__":
    print(build_wheel(Path(sys.argv[1])) if len(sys.argv) > 1 else unpacked())
