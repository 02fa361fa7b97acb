"""docker-compose.yml, its Dockerfile and its proxy fit the service and each other. Reads the files; starts nothing."""

import itertools
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from songs import errors
from songs.errors import SongsError
from songs_api.http.kernel import validation as failures
from songs_api.servers import options
from songs_api.settings.service import HttpSettings

VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
PINNED = re.compile(r"^[\w./-]+:\d+\.\d+\.\d+(-[\w.-]+)?$")
IN_PROJECT = "/run/secrets/"
OWN_ID = "10001"
UNITS = {"": 1, "k": 1024, "m": 1024**2}


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads Compose's own tags as the values that follow them."""


_Loader.add_constructor("!override", lambda loader, node: loader.construct_mapping(node, deep=True))


def _read(path: Path) -> dict[str, Any]:
    text = VARIABLE.sub(lambda match: match[3] if match[2] == "-" else "", path.read_text(encoding="utf-8"))
    found: dict[str, Any] = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    return found


@pytest.fixture(scope="session")
def compose(project_root: Path) -> dict[str, Any]:
    """The file as it is understood, with the defaults of its variables."""
    return _read(project_root / "docker-compose.yml")


@pytest.fixture(scope="session")
def dockerfile(project_root: Path) -> str:
    """The text of the Dockerfile."""
    return (project_root / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def proxy(project_root: Path) -> str:
    """The proxy's configuration, without comments."""
    return re.sub(r"(?m)(^|\s)#.*$", "", (project_root / "deploy" / "nginx.conf").read_text(encoding="utf-8"))


@pytest.fixture
def secrets(project_root: Path, tmp_path: Path) -> Path:
    """The folder that deploy/make-secrets makes, in a copy of what it needs of the project."""
    (tmp_path / "deploy").mkdir()
    script = tmp_path / "deploy" / "make-secrets"
    script.write_bytes((project_root / "deploy" / "make-secrets").read_bytes())
    subprocess.run(["sh", str(script)], check=True, capture_output=True, cwd="/")
    return tmp_path / "secrets"


def _sizes(proxy: str, directive: str) -> list[int]:
    return [int(number) * UNITS[unit] for number, unit in re.findall(rf"\b{directive} (?:\d+ )?(\d+)([km]?);", proxy)]


def test_a_read_only_container_has_its_secrets_from_files(project_root: Path) -> None:
    """The engine cannot copy a secret of the environment into a container that is read-only: it would never start."""
    for path in [project_root / "docker-compose.yml", *(project_root / "deploy").glob("*.yml")]:
        found = _read(path)
        copied = {name for name, secret in (found.get("secrets") or {}).items() if "file" not in secret}
        for name, service in found["services"].items():
            assert not (service.get("read_only") and copied & set(service.get("secrets", []))), (path, name)


def test_missing_secrets_are_told_before_anything_is_made(project_root: Path) -> None:
    """The variable that says where they are has no default, and its error names the command that makes them."""
    text = (project_root / "docker-compose.yml").read_text(encoding="utf-8")
    files = re.findall(r"^ +file: (.+)", text, re.MULTILINE)

    assert files
    assert [
        file for file in files if not file.startswith("${SECRETS:?make the secrets first with deploy/make-secrets}/")
    ] == []
    assert os.access(project_root / "deploy" / "make-secrets", os.X_OK)


def test_the_command_makes_all_secrets(compose: dict[str, Any], secrets: Path) -> None:
    """Each file of the compose file is there, readable to other users, in a folder that is not."""
    wanted = {name: Path(secret["file"]).name for name, secret in compose["secrets"].items()}

    assert wanted == {name: name for name in wanted}
    assert {path.name for path in secrets.iterdir()} == set(wanted)
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets.iterdir()} == {0o444}
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert (secrets.parent / ".env").read_text() == "SECRETS=./secrets\n"


def test_the_command_replaces_nothing(secrets: Path) -> None:
    """Run again, it adds what is missing, and keeps secrets and settings that are there."""
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    (secrets / "metrics_token").unlink()
    (secrets.parent / ".env").write_text("SECRETS=./secrets\nPUBLISHED_PORT=80")

    subprocess.run(["sh", str(secrets.parent / "deploy" / "make-secrets")], check=True, capture_output=True)

    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert (secrets.parent / ".env").read_text() == "SECRETS=./secrets\nPUBLISHED_PORT=80"


def test_the_command_joins_no_lines(secrets: Path) -> None:
    """An .env whose last line has no end keeps that line."""
    (secrets.parent / ".env").write_text("PUBLISHED_PORT=80")

    subprocess.run(["sh", str(secrets.parent / "deploy" / "make-secrets")], check=True, capture_output=True)

    assert (secrets.parent / ".env").read_text() == "PUBLISHED_PORT=80\nSECRETS=./secrets\n"


def test_secrets_differ_and_agree(secrets: Path) -> None:
    """Each is random; a URL holds the password of its server; no two commands make the same."""
    texts = {path.name: path.read_text().strip() for path in secrets.iterdir()}
    made = [texts[name] for name in texts if name.endswith(("_key", "password", "jwt_secret"))]

    assert len({*made}) == len(made) == 5
    assert {len(text) for text in made} == {64}
    assert texts["redis_password"] in texts["redis_url"]
    assert texts["mongo_password"] in texts["mongo_url"]


def _environment(compose: dict[str, Any], secrets: Path) -> dict[str, str]:
    settings = compose["services"]["api"]["environment"].items()
    given = {name: str(value).replace(IN_PROJECT, f"{secrets}/") for name, value in settings if value is not None}
    assert all(Path(value).is_file() for name, value in given.items() if name.endswith("_FILE"))
    return given


def test_every_setting_is_one_of_the_service(compose: dict[str, Any], secrets: Path, tmp_path: Path) -> None:
    """The settings of the service's container are accepted in whole, by name and by value, with the secrets as made."""
    (tmp_path / "empty").mkdir()
    result = subprocess.run(
        [sys.executable, "-c", "from songs_api.cli import main; main()", "config"],
        env=_environment(compose, secrets),
        cwd=tmp_path / "empty",
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (result.returncode, result.stderr) == (0, "")


def test_every_setting_reaches_the_container(compose: dict[str, Any], project_root: Path) -> None:
    """What env.sample lists is passed on where it is set, is fixed by the file, or comes as a file, if it is secret."""
    sample = (project_root / "env.sample").read_text(encoding="utf-8")
    listed = set(re.findall(r"^#(SONGS_\w+)=", sample, re.MULTILINE))
    secret = {name for name in listed if f"# {name}_FILE may name" in sample}
    settings = compose["services"]["api"]["environment"]
    others = [_read(path)["services"]["api"]["environment"] for path in (project_root / "deploy").glob("*.yml")]
    mounted = {Path(text).name for text in map(str, settings.values()) if text.startswith(IN_PROJECT)}

    passed = {*settings, *(name for each in others for name in each)}
    assert listed - secret == {name for name in passed if not name.endswith("_FILE")}
    assert {f"{name}_FILE" for name in secret} == {name for name in passed if name.endswith("_FILE")}
    assert mounted == set(compose["services"]["api"]["secrets"])


def test_what_may_be_set_is_a_setting(project_root: Path) -> None:
    """A variable of the file that is the service's goes to the setting of that name."""
    text = (project_root / "docker-compose.yml").read_text(encoding="utf-8")
    set_to = re.findall(r"^ +(SONGS_\w+): \S*\$\{(SONGS_\w+)", text, re.MULTILINE)

    assert len(set_to) > 3
    assert [(name, variable) for name, variable in set_to if name != variable] == []


def test_images_are_pinned(compose: dict[str, Any], dockerfile: str) -> None:
    """Each image has a whole version, and a variable that may name a digest in its place."""
    base = re.findall(r"^ARG PYTHON=(\S+)", dockerfile, re.MULTILINE)
    images = [service["image"] for service in compose["services"].values()]

    assert [image for image in [*base, *images] if not PINNED.match(image)] == []
    assert base == [compose["services"]["api"]["build"]["args"]["PYTHON"]]
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${PYTHON}", "build"}


def test_every_image_may_be_a_digest(project_root: Path) -> None:
    """Images of others are variables."""
    text = (project_root / "docker-compose.yml").read_text(encoding="utf-8")

    assert [image for image in re.findall(r"image: (\S+)", text) if not re.match(r"(songs-api:)?\$\{", image)] == []


def test_every_service_is_waited_for(compose: dict[str, Any], dockerfile: str) -> None:
    """Who needs another waits until it is healthy, so each that is needed tells its health, every 3 s at most."""
    services = compose["services"]
    needed = {
        (name, condition["condition"])
        for service in services.values()
        for name, condition in service.get("depends_on", {}).items()
    }
    checked = {name for name, condition in needed if condition == "service_healthy"}

    assert needed - {("mongo-setup", "service_completed_successfully")} == {
        (name, "service_healthy") for name in checked
    }
    assert {services[name]["healthcheck"]["interval"] for name in checked} == {"3s"}
    assert "HEALTHCHECK --interval=3s" in dockerfile


def test_the_proxy_waits_for_nobody(compose: dict[str, Any]) -> None:
    """One that did would be made again, or not started, because of another container, and is what answers meanwhile."""
    assert "depends_on" not in compose["services"]["proxy"]


def test_no_check_starts_a_shell_of_the_database(compose: dict[str, Any]) -> None:
    """A mongosh for each check costs a second of a core and more memory than the service."""
    for service in compose["services"].values():
        assert "mongosh" not in str(service.get("healthcheck", ""))


def test_containers_are_bounded(compose: dict[str, Any]) -> None:
    """Logs are rotated everywhere; memory and processes are limited where it was measured what is needed."""
    services = compose["services"]

    assert {service["logging"]["options"]["max-file"] for service in services.values()} == {"3"}
    for name in ("proxy", "api", "redis"):
        assert services[name]["mem_limit"]
        assert services[name]["pids_limit"]
        assert services[name]["read_only"]
        assert services[name]["cap_drop"] == ["ALL"]


def test_users_have_fixed_ids(compose: dict[str, Any], dockerfile: str) -> None:
    """Numbers of user and group are part of the interface: files of secrets and volumes belong to them."""
    assert set(re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE)) == {f"{OWN_ID}:{OWN_ID}"}
    assert set(re.findall(r"--[ug]id (\d+)", dockerfile)) == {OWN_ID}
    for service in compose["services"].values():
        assert re.fullmatch(r"(\d+):\1", service.get("user", "0:0"))


def test_names_agree(compose: dict[str, Any], secrets: Path, proxy: str) -> None:
    """Hosts, ports, volumes, networks and secrets that one part names, another one has."""
    services = compose["services"]
    settings = services["api"]["environment"]
    urls = (secrets / "mongo_url").read_text() + (secrets / "redis_url").read_text()
    used = {name for service in services.values() for name in service.get("secrets", [])}
    named = {name.split(":")[0] for service in services.values() for name in service.get("volumes", [])}

    assert set(re.findall(r"server (\S+) resolve", proxy)) == {f"api:{settings['SONGS_PORT']}"}
    assert services["proxy"]["ports"][0].endswith(":" + re.findall(r"listen (\d+)", proxy)[0])
    assert re.findall(r"@(\w+):", urls) == ["mongo", "redis"]
    assert {network for service in services.values() for network in service["networks"]} == set(compose["networks"])
    assert used == set(compose["secrets"])
    assert {name for name in named if "/" not in name} == set(compose["volumes"])


def test_the_service_trusts_the_proxy_alone(compose: dict[str, Any]) -> None:
    """By its own fixed address, which no other container is given; others are trusted when they are named."""
    front = compose["networks"]["front"]["ipam"]["config"][0]
    address = compose["services"]["proxy"]["networks"]["front"]["ipv4_address"]

    trusted = HttpSettings.model_validate(
        {"trusted_proxies": compose["services"]["api"]["environment"]["SONGS_TRUSTED_PROXIES"]}
    ).trusted_proxies

    assert [str(network) for network in trusted] == [f"{address}/32"]
    assert front["ip_range"] == "172.30.77.128/25"
    assert address.removeprefix("172.30.77.") in {str(number) for number in range(2, 128)}


def test_the_image_holds_what_it_is_built_from(project_root: Path, dockerfile: str) -> None:
    """What the Dockerfile copies is there, and .dockerignore lets it through."""
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE)
    let_through = {
        line.removeprefix("!")
        for line in (project_root / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }

    assert {name for names in copied for name in names.split()} == let_through
    assert [name for name in let_through if not (project_root / name).exists()] == []


def test_nothing_is_installed_without_a_hash(dockerfile: str) -> None:
    """Neither a library nor what builds the wheel; the wheel itself is built from the files that were copied."""
    installs = re.findall(r"pip (?:--python \S+ )?(?:install|wheel) (.*?)(?: \\\n|\n)", dockerfile)

    assert len(installs) == 5
    for arguments in installs:
        by_hash = "--require-hashes --requirement" in arguments
        local = "--no-deps" in arguments and ("--no-build-isolation" in arguments or "--no-index" in arguments)
        assert by_hash or local, arguments


def test_developers_tools_stay_out_of_the_image(dockerfile: str) -> None:
    """The kit and the templates are removed before the layer that is copied; a target of its own has the kit."""
    assert "rm -r songs_contract songs_plugins/templates" in dockerfile
    assert re.findall(r"^COPY --from=(\w+)", dockerfile, re.MULTILINE) == ["service"]
    assert re.search(r"^FROM build AS contract$", dockerfile, re.MULTILINE)


def test_the_proxy_logs_no_request(proxy: str) -> None:
    """Neither address, path nor query: nginx's error log names them on every level but the last."""
    lines = " ".join(re.findall(r"log_format[^;]+;", proxy))

    assert re.findall(r"error_log (.+);", proxy) == ["stderr emerg"]
    assert set(re.findall(r"access_log (\S+) (\S+)", proxy)) == {("/dev/stdout", "made_here")}
    assert set(re.findall(r"\$(\w+)", lines)) == {
        "id", "method", "request_time", "status", "time_iso8601", "upstream_status",
    }  # fmt: skip


def test_the_proxy_speaks_of_problems_as_the_service_does(proxy: str) -> None:
    """Each code that it sends is the service's, with the same title, and no status is left as nginx makes it."""
    kinds = itertools.chain(vars(errors).values(), vars(failures).values())
    titles = {kind.code: kind.summary for kind in kinds if isinstance(kind, type) and issubclass(kind, SongsError)}
    mapped = re.findall(r"map \$code \$title \{(.+?)\}", proxy, re.DOTALL)[0]
    said = dict(re.findall(r'^ +(\w+) "(.+)";', mapped, re.MULTILINE))
    problem = json.loads(re.sub(r"\$status\b", "400", re.findall(r"default '(\{.+\})';", proxy)[0]))
    statuses = {int(code) for line in re.findall(r"error_page ([\d ]+)", proxy) for code in line.split()}

    assert said.items() <= titles.items()
    assert set(problem) == {"type", "title", "status", "detail", "code", "instance", "error"}
    assert statuses == {400, 404, 405, 413, 414, 418, 419, 420, 431, 494, 500, 501, 502, 504, 505}


def test_the_proxy_takes_what_the_service_takes(proxy: str) -> None:
    """A body, a target, a header and a head that the service takes are not refused on the way, nor passed on beyond."""
    head = re.findall(r"large_client_header_buffers (\d+) (\d+)k;", proxy)[0]

    assert min(_sizes(proxy, "client_max_body_size")) >= HttpSettings.model_validate({}).max_body_bytes
    assert int(head[1]) * 1024 >= options.REQUEST_LINE_BYTES
    assert int(head[1]) * 1024 >= options.HEADER_BYTES
    assert int(head[0]) * int(head[1]) * 1024 + 4096 < options.CONNECTION_BUFFER_BYTES
    assert min(_sizes(proxy, "proxy_buffer_size")) == 64 * 1024


def test_the_proxy_waits_as_the_service_does(proxy: str) -> None:
    """Longer for an answer than the service takes, and shorter with an idle connection than the service keeps it."""
    read_s = int(re.findall(r"proxy_read_timeout (\d+)s", proxy)[0])
    idle_s = int(re.findall(r"keepalive 16;\s+keepalive_timeout (\d+)s", proxy)[0])

    assert read_s > HttpSettings.model_validate({}).deadline_s * 3
    assert idle_s < min(options.KEEP_ALIVE_S, options.HEADER_TIMEOUT_S)
