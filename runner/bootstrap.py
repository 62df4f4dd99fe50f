"""Bring `.venv` to what the requirement files say: `bootstrap.py requirements.txt …`.

Standard library only: it runs before anything is installed. A marker in `.venv` holds the hash
of each file that was installed completely, so a second start costs a few milliseconds.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
MARKER = VENV / "linden-installed"
NEWEST_TRIED = (3, 13)


def main(names: list[str]) -> int:
    # Two starts at once (`make run` beside `make test`) must not install into each other.
    checkout = os.open(CHECKOUT, os.O_RDONLY)
    fcntl.flock(checkout, fcntl.LOCK_EX)
    wanted = {name: hashlib.sha256((CHECKOUT / name).read_bytes()).hexdigest() for name in names}
    installed = _installed()
    if wanted.items() <= installed.items():
        return 0
    if sys.version_info[:2] > NEWEST_TRIED:
        print(f"Python {sys.version.split()[0]} is newer than any that Linden was tried with.")
    if Path(sys.executable) != PYTHON:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        installed = {}
    print("Installing what Linden needs (this takes a while the first time) …", flush=True)
    # In one call, so that pip sees every pin; built packages only, so that no compiler is needed.
    argv = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    # Compiling on first use halves the time to the first start.
    argv += ["--no-input", "--no-compile", "--require-hashes", "--only-binary", ":all:"]
    for name in names:
        argv += ["--requirement", str(CHECKOUT / name)]
    if subprocess.run(argv, check=False, cwd=CHECKOUT).returncode != 0:
        print("The installation failed; the lines above say why.", file=sys.stderr)
        return 1
    lines = (f"{digest} {name}\n" for name, digest in {**installed, **wanted}.items())
    MARKER.write_text("".join(lines))
    return 0


def _installed() -> dict[str, str]:
    if not MARKER.exists():
        return {}
    pairs = (line.split(" ", 1) for line in MARKER.read_text().splitlines())
    return {name: digest for digest, name in pairs}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
