"""The core runs on the standard library alone."""

import ast
import subprocess
import sys
from pathlib import Path

CORE = Path(__file__).resolve().parents[2] / "core"
MODULES = sorted(CORE.glob("songs/**/*.py"))

IMPORT_EACH = """
import importlib, importlib.util, sys
core, *modules = sys.argv[1:]
assert importlib.util.find_spec("pydantic") is None, "site-packages are on the path: this run proves nothing"
sys.path.insert(0, core)
failed = []
for module in modules:
    try:
        importlib.import_module(module)
    except BaseException as error:
        failed.append(f"{module}: {error!r}")
print("\\n".join(failed))
"""


def _name(file: Path) -> str:
    return ".".join(file.relative_to(CORE).with_suffix("").parts).removesuffix(".__init__")


def test_every_module_imports_with_nothing_but_the_standard_library() -> None:
    """`python -I -S` with core/ on the path imports every module of songs."""
    names = [_name(file) for file in MODULES]
    command = [sys.executable, "-I", "-S", "-c", IMPORT_EACH, str(CORE), *names]

    result = subprocess.run(command, check=False, capture_output=True, text=True)

    assert len(names) > 1
    assert (result.returncode, result.stderr, result.stdout.strip()) == (0, "", "")


def test_no_module_names_a_third_party_library() -> None:
    """Imports in functions, under TYPE_CHECKING and by importlib count as well."""
    foreign = [
        f"{file.relative_to(CORE)}:{line}: {target}"
        for file in MODULES
        for line, target in _imports(ast.parse(file.read_text(encoding="utf-8")))
        if target.partition(".")[0] not in sys.stdlib_module_names | {"songs"}
    ]

    assert foreign == []


def _imports(tree: ast.AST) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [(node.lineno, alias.name) for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                found.append((node.lineno, module))
            case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="__import__" | "import_module")):
                found.append((node.lineno, ast.unparse(node)))
            case _:
                pass
    return found
