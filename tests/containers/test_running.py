"""The stack on a real engine: nothing lost or doubled, and every error a problem, whatever happens to containers."""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.containers.stack import PASSWORD, PREFIX, Stack, ask, docker
from tests.containers.traffic import Traffic

pytestmark = [pytest.mark.thorough, pytest.mark.server, pytest.mark.timeout(1800)]

SONG = {"artist": "Queen", "title": "Bohemian Rhapsody", "difficulty": 14.6, "level": 13, "released": "1975-10-31"}
KILLS = 3
# With which the proxy says that no container answered; the service is too slow with others.
PROXY_CODES = Counter({"unavailable": 1, "outcome_unknown": 1})


@pytest.fixture
def song_id(stack: Stack) -> str:
    """A song, imported as an operator would, with a terminal's redirection."""
    stack.songs("import", "-", given=json.dumps(SONG) + "\n")
    answer = stack.sign_in("ada").ask("GET", f"{PREFIX}/songs")
    found: str = answer.json["data"][0]["id"]
    return found


def test_without_secrets_nothing_is_made(new_stack: Callable[..., Stack]) -> None:
    """Compose says which command is missing, and makes no container, network or volume."""
    stack = new_stack()

    said = stack.compose("up", "--detach", check=False)

    assert "make the secrets first with deploy/make-secrets" in said
    for kind in (["ps", "--all"], ["network", "ls"], ["volume", "ls"]):
        assert docker(*kind, "--quiet", "--filter", f"label=com.docker.compose.project={stack.name}") == ""


def test_the_project_is_whole(stack: Stack) -> None:
    """Compose takes the file with MongoDB too."""
    docker("compose", "--file", "docker-compose.yml", "config", "--quiet", folder=stack.folder)


@pytest.mark.parametrize("killed", ["api", "redis", "proxy"])
def test_what_is_killed_costs_no_rating(stack: Stack, song_id: str, killed: str) -> None:
    """Each acknowledged rating is counted once, each other at most once, and all errors are problems."""
    traffic = Traffic(stack, song_id)
    with traffic.flowing():
        for _ in range(KILLS):
            traffic.wait(2)
            traffic.proxy_may_be_gone = killed == "proxy"
            container = stack.ids(killed)[0]
            docker("kill", container)
            time.sleep(1)
            docker("start", container)
            stack.wait()
            traffic.wait(1)
            traffic.proxy_may_be_gone = False

    traffic.report(killed)
    assert traffic.faults == []


def test_a_service_that_dies_comes_back(stack: Stack, song_id: str) -> None:
    """Every process in the container is killed: the engine starts it again, and requests go on."""
    traffic = Traffic(stack, song_id)
    with traffic.flowing():
        for _ in range(KILLS):
            traffic.wait(1)
            docker("exec", stack.ids("api")[0], "sh", "-c", "kill -9 -1", check=False)
            traffic.wait(3)

    traffic.report("died")
    assert traffic.faults == []


def test_a_service_that_hangs_is_told(stack: Stack, song_id: str) -> None:
    """A container that is frozen is 503 within the proxy's patience, and serves when it goes on."""
    client = stack.sign_in("ada")
    container = stack.ids("api")[0]
    docker("pause", container)
    try:
        answers = [
            client.ask("GET", f"{PREFIX}/songs/{song_id}"),
            client.ask("DELETE", f"{PREFIX}/songs/{song_id}", If_Match="nothing"),
        ]
    finally:
        docker("unpause", container)
    stack.wait()

    assert [(answer.status, answer.fault()) for answer in answers] == [(503, "")] * 2
    assert [answer.json["code"] for answer in answers] == ["unavailable", "outcome_unknown"]


def test_scaling_costs_no_rating(stack: Stack, song_id: str) -> None:
    """From one container to three and back: the proxy finds the new ones, and leaves those that are gone."""
    traffic = Traffic(stack, song_id)
    with traffic.flowing():
        traffic.wait(1)
        stack.compose("up", "--detach", "--no-recreate", "--scale", "api=3")
        traffic.wait(5)
        stack.compose("up", "--detach", "--no-recreate", "--scale", "api=1")
        traffic.wait(3)

    traffic.report("scaled")
    assert traffic.faults == []
    assert len(stack.ids("api")) == 1


def test_rolling_fails_no_request(stack: Stack, song_id: str) -> None:
    """deploy/roll replaces all containers while clients go on: not one request of them is refused or lost."""
    stack.compose("up", "--detach", "--no-recreate", "--scale", "api=2")
    traffic = Traffic(stack, song_id)
    before = set(stack.ids("api"))
    with traffic.flowing():
        for _ in range(KILLS):
            stack.run("deploy/roll")
            traffic.wait(1)

    after = set(stack.ids("api"))
    stack.compose("up", "--detach")
    traffic.report("rolled")
    assert traffic.faults == []
    assert (traffic.unknown, traffic.codes & PROXY_CODES, traffic.statuses[0]) == (0, Counter(), 0)
    assert (len(after), after & before) == (2, set())
    assert set(stack.ids("api")) < after, "what was rolled is made again by `up`"


def test_a_roll_to_what_does_not_start_changes_nothing(stack: Stack, song_id: str) -> None:
    """New containers that never become healthy are removed, and the old ones go on serving."""
    before = stack.ids("api")
    env = stack.folder / ".env"
    settings = env.read_text()
    env.write_text(settings + "SONGS_DEADLINE_S=nonsense\n")
    traffic = Traffic(stack, song_id)
    try:
        with traffic.flowing():
            done = subprocess.run(
                ["deploy/roll", "8"], cwd=stack.folder, capture_output=True, text=True, check=False, timeout=300
            )
    finally:
        env.write_text(settings)

    assert (done.returncode, stack.ids("api")) == (1, before)
    assert "the old containers go on" in done.stderr
    assert (traffic.unknown, traffic.codes & PROXY_CODES, traffic.statuses[0]) == (0, Counter(), 0)
    assert traffic.faults == []


def test_a_restart_in_place_is_short_and_all_problems(stack: Stack, song_id: str) -> None:
    """`up` with other settings replaces the API alone: the proxy stays, and answers meanwhile."""
    proxy = stack.ids("proxy")
    env = stack.folder / ".env"
    settings = env.read_text()
    env.write_text(settings + "SONGS_CACHE_TTL_S=17\n")
    traffic = Traffic(stack, song_id)
    with traffic.flowing():
        stack.compose("up", "--detach")
        traffic.wait(2)
    env.write_text(settings)

    traffic.report("restarted")
    assert traffic.faults == []
    assert stack.ids("proxy") == proxy
    assert "SONGS_CACHE_TTL_S=17" in docker("inspect", "--format", "{{.Config.Env}}", stack.ids("api")[0])


def test_secrets_are_in_files_alone(stack: Stack) -> None:
    """No secret is in a container's settings or in a list of processes."""
    secrets = {path.name: path.read_text().strip() for path in (stack.folder / "secrets").iterdir()}
    containers = [container for service in ("api", "redis", "proxy") for container in stack.ids(service)]
    shown = docker("inspect", *containers) + "".join(docker("top", container) for container in containers)
    shown += stack.compose("config") + stack.compose("logs")

    assert [name for name, secret in secrets.items() if secret and secret in shown] == []


def test_the_image_has_what_serves_and_no_more(stack: Stack) -> None:
    """No kit and no templates; the commands that need them say what is missing; fixed numbers; nothing to write to."""
    container = stack.ids("api")[0]
    listing = docker("exec", container, "ls", "/opt/songs/bin/../lib", check=False)
    found = docker("exec", container, "sh", "-c", "ls -d /opt/songs/lib/python3*/site-packages/songs*")
    said = docker("exec", container, "songs", "contract", "memory", check=False)
    new = docker("exec", container, "songs", "adapters", "new", "acme", check=False)

    assert listing
    assert "songs_contract" not in found
    assert "the contract kit needs" in said
    assert "has no templates" in new
    assert docker("exec", container, "id").split()[:2] == ["uid=10001(songs)", "gid=10001(songs)"]
    assert docker("image", "history", "--no-trunc", "songs-api:test").count("pip ") == 0


def test_redis_wants_a_password(stack: Stack) -> None:
    """Who reaches Redis without one is refused."""
    said = docker("exec", stack.ids("redis")[0], "redis-cli", "ping", check=False)

    assert "NOAUTH" in said


def test_clients_behind_a_proxy_of_the_host_have_limits_of_their_own(new_stack: Callable[..., Stack]) -> None:
    """Where the operator names the gateway, and only there: a claim of a client that reaches us directly counts not."""
    stack = new_stack(SONGS_LIMITER_DEFAULT="5/hour")
    stack.start()
    first, second = (f"{number}.0.0.1" for number in (198, 203))

    def status(*forwarded: str) -> int:
        token = {"refresh_token": "nonsense"}
        return ask(stack.port, "POST", f"{PREFIX}/auth/refresh", token, X_Forwarded_For=", ".join(forwarded)).status

    def until_refused(*addresses: str) -> set[int]:
        """Ask as these clients in turn until one is refused; more than the limit where the limiter was too slow."""
        return next(({number} for number in range(30) if status(addresses[number % len(addresses)]) == 429), set())

    shared = until_refused(first, second), status(first), status(second)
    with (stack.folder / ".env").open("a") as env:
        env.write(f"SONGS_TRUSTED_PROXIES={stack.front}.1\n")
    stack.compose("up", "--detach")
    stack.wait()
    apart = until_refused(first), status(second), until_refused(second)
    lied = [status(f"192.0.2.{number}", second) for number in range(3)]

    assert shared[0]
    assert shared[1:] == (429, 429)
    assert apart[0]
    assert apart[1] in {401, 422}
    assert apart[2]
    assert lied == [429] * 3


def test_the_image_serves_alone(stack: Stack, tmp_path: Path) -> None:
    """`docker run` with nothing but a port serves; with a volume it forgets nothing when the container is replaced."""
    volume = f"{stack.name}-alone"
    account = {"username": "bob", "password": PASSWORD}

    def serve(*options: str) -> tuple[str, int]:
        container = docker("run", "--detach", "--publish", "127.0.0.1::8000", *options, "songs-api:test").strip()
        port = int(docker("port", container, "8000").strip().rpartition(":")[2])
        ends_s = time.monotonic() + 60
        while docker("inspect", "--format", "{{.State.Health.Status}}", container).strip() != "healthy":
            assert time.monotonic() < ends_s, docker("logs", container)
            time.sleep(0.2)
        return container, port

    plain, port = serve()
    registered = ask(port, "POST", f"{PREFIX}/auth/register", account).status
    docker("rm", "--force", plain)
    try:
        for number in range(2):
            container, port = serve("--volume", f"{volume}:/data", "--read-only", "--tmpfs", "/tmp")
            if number == 0:
                assert ask(port, "POST", f"{PREFIX}/auth/register", account).status == 201
            signed_in = ask(port, "POST", f"{PREFIX}/auth/login", account).status
            docker("stop", container)
            ended = docker("inspect", "--format", "{{.State.ExitCode}}", container).strip()
            docker("rm", container)
            assert (signed_in, ended) == (200, "0")
    finally:
        docker("volume", "rm", "--force", volume)
    assert registered == 201


def test_the_kit_has_an_image_of_its_own(stack: Stack) -> None:
    """The target `contract` holds an adapter to its contract; MongoDB's too, given a deployment."""
    image = f"{stack.name}:contract"
    docker("build", "--network", "host", "--target", "contract", "--tag", image, ".", folder=stack.folder)
    try:
        report = docker("run", "--rm", image, "contract", "none")
        without = docker(
            "run",
            "--rm",
            "--env",
            "SONGS_TEST_MONGO_URL=mongodb://127.0.0.1:1",
            image,
            "contract",
            "mongo",
            check=False,
        )
    finally:
        docker("rmi", image)

    assert "pass" in report
    assert "Traceback" not in without
    assert "127.0.0.1:1" in without or "mongo" in without
