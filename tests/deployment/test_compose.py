"""The production-like set-up, read as data: no engine is needed to hold it to its promises."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.plan import Ports, linden

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (ROOT / "docker" / "example.env").read_text()


def test_every_process_of_the_portal_is_there() -> None:
    assert set(SERVICES) == {
        "postgres", "redis", "migrate", "web", "worker", "beat", "mllp", "proxy", "mail",
    }  # fmt: skip
    assert SERVICES["web"]["deploy"]["replicas"] == 2


def test_only_the_proxy_publishes_ports() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_runs_unprivileged_on_a_read_only_disk(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    # The unprivileged nginx image carries its user; every other service names one.
    assert name == "proxy" or str(service["user"]).split(":")[0] not in ("", "0", "root")


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"migrate"}))
def test_a_lasting_service_is_watched(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"proxy", "mllp"}))
def test_the_inside_is_not_reachable_from_outside(name: str) -> None:
    assert SERVICES[name]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_secrets_come_from_the_environment_and_have_no_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in re.findall(
        r"\$\{([A-Z0-9_]*(?:PASSWORD|KEY|KEYS|SECRET)[A-Z0-9_]*)([^}]*)\}", text
    ):
        variable, rest = name
        assert rest == ":?" or variable == "EMAIL_HOST_PASSWORD", variable


def test_the_example_names_every_required_variable_and_gives_no_value() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    required = set(re.findall(r"\$\{([A-Z0-9_]+):\?\}", text))
    lines = [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")]
    assert {line.partition("=")[0] for line in lines} == required
    assert all(line.endswith("=") for line in lines)


def test_the_application_is_not_given_the_owner() -> None:
    for name in ("web", "worker", "beat", "mllp", "mail"):
        environment = SERVICES[name]["environment"]
        assert "DATABASE_OWNER_URL" not in environment
        assert "DATABASE_ADMIN_URL" not in environment
    assert "linden_owner" in SERVICES["migrate"]["environment"]["DATABASE_OWNER_URL"]


def test_the_broker_needs_a_password_and_keeps_what_it_has() -> None:
    start = " ".join(SERVICES["redis"]["command"])
    assert "requirepass" in start
    assert "appendonly yes" in start
    assert "noeviction" in start


def test_the_proxy_overwrites_forwarded_headers_and_hides_metrics() -> None:
    nginx = (ROOT / "docker" / "nginx.conf").read_text()
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in nginx
    assert "location = /metrics { return 404; }" in nginx
    log_format = re.search(r"log_format neutral '([^']*)'", nginx)
    assert log_format is not None
    assert "$request_uri" not in log_format[1]
    assert "$args" not in log_format[1]


def test_the_image_runs_as_nobody_in_particular() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER 10001$", dockerfile, re.MULTILINE)
    assert "--require-hashes" in dockerfile
    assert not re.search(r"^(ENV|ARG) .*(SECRET|PASSWORD)", dockerfile, re.MULTILINE)


def test_the_image_serves_as_make_run_does() -> None:
    """A worker that was killed comes back in both; only address and programs differ."""
    command = re.search(r"^CMD (\[.*\])$", _unfolded(ROOT / "Dockerfile"), re.MULTILINE)
    assert command is not None
    served = json.loads(command[1])[1:]
    plan = linden(Ports(web=8000, mllp=0, smtp=0, mail=0), Path("var"))
    web = next(program for program in plan.programs if program.name == "web")
    ours = list(web.argv[web.argv.index("granian") + 1 :])
    assert sorted(ours) == sorted("127.0.0.1" if word == "0.0.0.0" else word for word in served)


def _unfolded(file: Path) -> str:
    return re.sub(r"\\\n\s*", "", file.read_text())
