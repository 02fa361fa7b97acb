"""Clients that others' tools generate from our OpenAPI document: their types are right, and one calls the service.

The tools are those of requirements/clients.lock, in an environment of their own: some want other versions of what the
service is made of.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest
from tests.clients.conftest import run
from tests.running import Running, free_port

from songs_api.http.app import openapi_document

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1_200)]

ROOT: Final = Path(__file__).resolve().parents[2]
CALLS: Final = Path(__file__).with_name("calls.py")
PROGRAM: Final = ROOT / "tests" / "hostile" / "program.py"
PASSWORD: Final = "correct horse battery staple"
IMPORT_ALL: Final = """
import importlib, pkgutil, songs_api_client
for module in pkgutil.walk_packages(songs_api_client.__path__, "songs_api_client."):
    importlib.import_module(module.name)
"""
NPM: Final = ("openapi-typescript@7.13.0", "typescript@5.9.3")


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document, alone in a folder for what is made of it."""
    path = tmp_path_factory.mktemp("clients") / "openapi.json"
    path.write_bytes(openapi_document())
    return path


@pytest.fixture(scope="module")
def client(tools: Path, document: Path) -> Path:
    """The folder of a client made by openapi-python-client."""
    folder = document.with_name("python-client")
    run(tools / "openapi-python-client", "generate", "--path", document, "--output-path", folder, folder=tools)
    return folder


def test_a_client_of_openapi_python_client(tools: Path, client: Path) -> None:
    """All of its modules can be imported, and mypy, as strict as it gets, has nothing to say."""
    run(tools / "python", "-c", IMPORT_ALL, folder=client)
    shutil.copy(CALLS, client)

    assert "Success" in run(tools / "mypy", "--strict", "songs_api_client", "calls.py", folder=client)


def test_models_of_datamodel_code_generator(tools: Path, document: Path) -> None:
    """They pass mypy, and take every example of the document."""
    options = ("--input-file-type", "openapi", "--output-model-type", "pydantic_v2.BaseModel", "--use-annotated")
    folder = document.parent
    run(
        *(
            tools / "datamodel-codegen",
            "--input",
            document,
            "--output",
            "models.py",
            "--formatters",
            "builtin",
            *options,
        ),
        folder=folder,
    )
    schemas = json.loads(document.read_text())["components"]["schemas"]
    samples = {name: schema["examples"][0] for name, schema in schemas.items() if "examples" in schema}
    (folder / "samples.json").write_text(json.dumps(samples))
    script = (
        "import json, models\nfor name, sample in json.load(open('samples.json')).items():"
        " getattr(models, name).model_validate_json(json.dumps(sample))"
    )

    assert "Success" in run(tools / "mypy", "--strict", "models.py", folder=folder)
    assert samples
    run(tools / "python", "-c", script, folder=folder)


def test_types_of_openapi_typescript(document: Path) -> None:
    """They pass TypeScript's own check."""
    if not shutil.which("npm"):
        pytest.skip("npm is not there, which installs openapi-typescript")
    folder = document.with_name("typescript")
    folder.mkdir()
    run("npm", "install", "--silent", "--no-save", "--no-audit", "--no-fund", *NPM, folder=folder)
    programs = folder / "node_modules" / ".bin"
    run(programs / "openapi-typescript", document, "--output", "schema.ts", folder=folder)

    run(programs / "tsc", "--noEmit", "--strict", "schema.ts", folder=folder)


@pytest.mark.server
@pytest.mark.parametrize("server", ["granian", "gunicorn"])
def test_a_generated_client_calls_the_service(tools: Path, client: Path, tmp_path: Path, server: str) -> None:
    """Good answers and problems come back as what the document says that they are."""
    shutil.copy(CALLS, client)
    command = [sys.executable, str(PROGRAM), PASSWORD]
    running = Running.start(command, tmp_path, free_port(), {"SONGS_SERVER": server})
    try:
        running.wait_until_it_answers()
        address = f"http://127.0.0.1:{running.port}"
        came_back = json.loads(run(tools / "python", "calls.py", address, PASSWORD, folder=client))
    finally:
        running.stop()

    assert came_back == {
        "ready": "ready",
        "registered": "grace",
        "refused": ["/password", "/username"],
        "released": "1580-09-03",
        "level": 3,
        "replayed": "true",
        "ratings": [1, 4.0],
        "songs": 1,
        "average": None,
        "removed": 204,
        "gone": "song_not_found",
    }
