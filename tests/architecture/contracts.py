"""Two kinds of import-linter contract that it does not bring itself.

Both see every import statement: at module level, in functions and under TYPE_CHECKING.
"""

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class _ImportContract(Contract):
    """A contract on single import statements; a subclass says which are illegal."""

    def _is_illegal(self, importer: str, imported: str) -> bool:
        raise NotImplementedError

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Returns: kept, or broken with one line for each illegal import."""
        output.verbose_print(verbose, f"Looking for imports against: {self.name}")
        illegal = [
            f"{detail['importer']} -> {imported} (l.{detail['line_number']})"
            for importer in sorted(graph.modules)
            if not graph.is_module_squashed(importer)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if self._is_illegal(_top(importer), _top(imported))
            for detail in graph.get_import_details(importer=importer, imported=imported)
        ]
        return ContractCheck(kept=not illegal, metadata={"illegal": illegal})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Prints one line for each illegal import."""
        for line in check.metadata["illegal"]:
            output.print_error(f"- {line}", bold=False)


class StdlibOnly(_ImportContract):
    """`package` imports itself and the standard library, nothing else."""

    type_name = "stdlib_only"
    package: str = fields.StringField()  # type: ignore[assignment]  # import-linter replaces it by the value

    def _is_illegal(self, importer: str, imported: str) -> bool:
        return importer == self.package and imported not in sys.stdlib_module_names | {self.package}


class Confined(_ImportContract):
    """`libraries` are imported by `package` only. Neither has to be there yet."""

    type_name = "confined"
    libraries: list[str] = fields.ListField(subfield=fields.StringField())  # type: ignore[assignment]
    package: str = fields.StringField()  # type: ignore[assignment]

    def _is_illegal(self, importer: str, imported: str) -> bool:
        return imported in self.libraries and importer != self.package


def _top(module: str) -> str:
    return module.partition(".")[0]
