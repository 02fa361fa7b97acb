"""docker-compose.yml, its Dockerfile and its proxy fit the service. No Docker runs here: nothing is started."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
PINNED = re.compile(r"^[\w./-]+:\d+\.\d+\.\d+(-[\w.-]+)?$")


@pytest.fixture(scope="session")
def compose(project_root: Path) -> dict[str, Any]:
    """The file as it is understood, with the defaults of its variables."""
    text = (project_root / "docker-compose.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(VARIABLE.sub(lambda match: match[2] or "", text))
    return found


def test_every_setting_is_one_of_the_service(compose: dict[str, Any], tmp_path: Path) -> None:
    """The settings of the service's container are accepted in whole, by name and by value."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret" * 8)
    environment = compose["services"]["api"]["environment"] | {"SONGS_JWT_SECRET_FILE": str(secret)}

    result = subprocess.run(
        [sys.executable, "-c", "from songs_api.cli import main; main()", "config"],
        env={name: str(value) for name, value in environment.items()},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (result.returncode, result.stderr) == (0, "")


def test_what_may_be_set_is_a_setting(project_root: Path) -> None:
    """A variable of the file that is the service's goes to the setting of that name."""
    text = (project_root / "docker-compose.yml").read_text(encoding="utf-8")
    set_to = dict(re.findall(r"^ +(SONGS_\w+): \$\{(SONGS_\w+)", text, re.MULTILINE))

    assert len(set_to) > 3
    assert {name: name for name in set_to} == set_to


def test_images_are_pinned(compose: dict[str, Any], project_root: Path) -> None:
    """Each image has a whole version: what was pulled today is what is pulled tomorrow."""
    bases = re.findall(r"^FROM (\S+)", (project_root / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    images = [service["image"] for service in compose["services"].values()]

    assert [image for image in [*bases, *images] if not PINNED.match(image)] == []


def test_every_service_is_waited_for(compose: dict[str, Any], project_root: Path) -> None:
    """Who needs another waits until it is healthy, so each that is needed tells its health."""
    needed = {
        name: condition
        for service in compose["services"].values()
        for name, condition in service.get("depends_on", {}).items()
    }

    assert set(needed) == {"api", "mongo", "redis"}
    assert set(map(str, needed.values())) == {"{'condition': 'service_healthy'}"}
    assert all("healthcheck" in compose["services"][name] for name in needed if name != "api")
    assert "HEALTHCHECK" in (project_root / "Dockerfile").read_text(encoding="utf-8")


def test_names_agree(compose: dict[str, Any], project_root: Path) -> None:
    """Hosts, ports, volumes, networks and secrets that one part names, another one has."""
    services = compose["services"]
    settings = services["api"]["environment"]
    proxy = (project_root / "deploy" / "nginx.conf").read_text(encoding="utf-8")

    assert f"http://api:{settings['SONGS_PORT']};" in proxy
    assert services["proxy"]["ports"][0].endswith(re.findall(r"listen (\d+);", proxy)[0])
    assert re.findall(r"//(\w+):", settings["SONGS_MONGO_URL"] + settings["SONGS_REDIS_URL"]) == ["mongo", "redis"]
    assert settings["SONGS_TRUSTED_PROXIES"] == compose["networks"]["front"]["ipam"]["config"][0]["subnet"]
    assert {network for service in services.values() for network in service["networks"]} == set(compose["networks"])
    assert set(services["api"]["secrets"]) == set(compose["secrets"])


def test_the_image_holds_what_it_is_built_from(project_root: Path) -> None:
    """What the Dockerfile copies is there, and .dockerignore lets it through."""
    copied = re.findall(
        r"^COPY (?!--)(.+) \S+$", (project_root / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    let_through = {
        line.removeprefix("!")
        for line in (project_root / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }

    assert {name for names in copied for name in names.split()} == let_through
    assert [name for name in let_through if not (project_root / name).exists()] == []
