"""Why a deployment cannot be used: what is said of it, and what of its URL is not."""

import logging
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from songs.errors import StorageUnavailable
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope
from songs_contract.models import samples
from songs_mongo import MongoSettings, MongoStorage

Open = Callable[[str], str]


@pytest.fixture
def refused(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a storage, which fails; returns what the error says."""
    monkeypatch.setattr("songs_mongo.storage.PATIENCE_S", 1.5)

    def start(url: str) -> str:
        with pytest.raises(StorageUnavailable) as caught:
            MongoStorage(MongoSettings(url=SecretStr(url)), clock, connections=1).open()
        return str(caught.value)

    return start


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for another host, signed by itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("certificates are made by the program openssl")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    name = ["-subj", "/CN=other.example", "-addext", "subjectAltName=DNS:other.example"]
    subprocess.run([*made, *name], check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def with_tls(scripted: Any, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a server that has this certificate, with room for options."""
    server = scripted()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    plain = server.get_request

    def get_request() -> Any:
        connection, address = plain()
        connection.settimeout(5)
        return context.wrap_socket(connection, server_side=True), address

    monkeypatch.setattr(server, "get_request", get_request)
    return f"mongodb://me:s3cret@127.0.0.1:{server.server_address[1]}/?tls=true"


def test_a_certificate_that_nobody_signed(with_tls: str, refused: Open) -> None:
    """It is said that the certificate does not verify, and why."""
    told = refused(with_tls)
    assert "certificate does not verify: self-signed certificate" in told
    assert "s3cret" not in told


def test_a_certificate_of_another_host(with_tls: str, certificate: tuple[str, str], refused: Open) -> None:
    """It is said too, without a host's name."""
    told = refused(f"{with_tls}&tlsCAFile={certificate[0]}")
    assert "certificate does not verify: IP address mismatch" in told
    assert "127.0.0.1" not in told


def test_a_set_of_another_name(scripted: Any, refused: Open) -> None:
    """It is said that no server is of the set that the URL names."""
    assert "of the set that it names" in refused(f"{scripted().url}&replicaSet=other")


def test_nobody_listens(refused: Open) -> None:
    """It is said that connections are refused, or that the host is not known."""
    assert "connections are refused" in refused("mongodb://127.0.0.1:1/")
    assert "host name is not known" in refused("mongodb://nobody.invalid:1/")


def test_tls_with_a_server_without(scripted: Any, refused: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said that no TLS connection can be made."""
    monkeypatch.setattr("songs_mongo.client.CONNECT_S", 0.3)
    assert "no TLS connection" in refused(f"{scripted().url}&tls=true")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"hosts": ["nobody.invalid:1"], "me": "nobody.invalid:1"}, "members that its replica set names"),
        ({"maxWireVersion": 4}, "too old or too new"),
    ],
)
def test_servers_that_cannot_be_used(
    said: dict[str, Any], reason: str, scripted: Any, refused: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set that is known by other names than ours, and a version that the driver does not know, are said to be so."""
    server = scripted()
    hello = server.hello()
    monkeypatch.setattr(server, "hello", lambda: hello | said)
    assert reason in refused(f"{server.url}&replicaSet=rs")


def test_a_server_that_answers_nothing(
    scripted: Any, refused: Open, hang_up: type[Exception], silence: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it breaks connections off or leaves them open is said."""
    monkeypatch.setattr("songs_mongo.client.CONNECT_S", 0.3)
    for failure, reason in ((hang_up, "breaks connections off"), (silence, "does not answer")):
        server = scripted()

        def fail(failure: type[Exception] = failure) -> dict[str, Any]:
            raise failure

        monkeypatch.setattr(server, "hello", fail)
        assert reason in refused(server.url)


@pytest.mark.parametrize("option", ["tlsCAFile", "tlsCertificateKeyFile"])
def test_a_file_that_is_missing(option: str, tmp_path: Path) -> None:
    """Settings that name it are refused, with the reason and without the URL."""
    with pytest.raises(ValidationError) as caught:
        MongoSettings(url=SecretStr(f"mongodb://me:s3cret@h/?tls=true&{option}={tmp_path / 'nobody.pem'}"))
    (problem,) = caught.value.errors(include_input=False, include_context=False)
    assert "No such file" in problem["msg"]
    assert "tlsCAFile" in problem["msg"]
    assert "s3cret" not in problem["msg"]


@pytest.mark.parametrize("option", ["tlsCAFile", "tlsCertificateKeyFile"])
def test_a_file_that_holds_something_else(option: str, tmp_path: Path, refused: Open) -> None:
    """Opening says that the file cannot be used."""
    (tmp_path / "ca.pem").write_text("no certificate")
    assert "file" in refused(f"mongodb://h/?tls=true&{option}={tmp_path / 'ca.pem'}")


def test_a_file_that_went_away(tmp_path: Path, clock: Clock) -> None:
    """Opening says so, where it was there when the settings were read."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    settings = MongoSettings(url=SecretStr(f"mongodb://h/?tls=true&tlsCAFile={file}"))
    file.unlink()
    with pytest.raises(StorageUnavailable, match="No such file"):
        MongoStorage(settings, clock, connections=1).open()


@pytest.mark.parametrize(
    "url",
    [
        "mongodb+srv://me:s3cret?s3cret=1@host.example.org/",
        "mongodb+srv://me:s3cret/x?s3cret=1@host.example.org/",
        "mongodb+srv://me:s3cret@x@host.example.org/",
        "mongodb://me:s3cret?s3cret=1@host/",
        "mongodb://host/?datetime_conversion=s3cret",
    ],
)
def test_a_password_that_is_taken_for_options(url: str, recwarn: pytest.WarningsRecorder) -> None:
    """It is refused like any URL of a wrong form, and no warning prints a part of it."""
    with pytest.raises(ValidationError) as caught:
        MongoSettings(url=SecretStr(url))
    assert "s3cret" not in str([str(each.message) for each in recwarn])
    assert "s3cret" not in str(caught.value.errors(include_input=False, include_context=False))


def test_options_of_srv_alone() -> None:
    """They may stand in such a URL."""
    MongoSettings(url=SecretStr("mongodb+srv://me:x@host.example.org/?srvMaxHosts=2&srvServiceName=mongo"))


@pytest.mark.parametrize("option", ["compressors=s3cret", "appName=s3cret&appName=b"])
def test_warnings_of_the_driver(
    option: str, scripted: Any, clock: Clock, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    """One line without a part of the URL stands for all of them."""
    storage = MongoStorage(MongoSettings(url=SecretStr(f"{scripted().url}&{option}")), clock, connections=1)
    with caplog.at_level(logging.WARNING, "songs_mongo"):
        storage.open()
    storage.close()
    assert "SONGS_MONGO_URL" in caplog.text
    assert "s3cret" not in caplog.text + str([str(each.message) for each in recwarn])


def test_the_log_of_the_driver(storage: MongoStorage, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """It holds whole commands: none is in a log of the service, whatever its level."""
    user = samples.user(password_hash="s3cret")
    with (
        caplog.at_level(logging.DEBUG),
        storage.unit_of_work(Scope.WRITE_ONE, deadline=Deadline.after(clock, 10)) as unit,
    ):
        unit.users.add(user)
    assert not [record for record in caplog.records if record.name.startswith("pymongo")]
