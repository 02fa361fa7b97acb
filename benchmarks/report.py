"""From samples to a table, a plot and a file of figures."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

import pygal
from load import CONNECTIONS, Sample
from targets import Target, targets


@dataclass(slots=True)
class Results:
    """All that was measured."""

    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    growth: list[dict[str, object]] = field(default_factory=list)
    other: dict[str, float] = field(default_factory=dict)
    conditions: dict[str, object] = field(default_factory=dict)

    def cpu(self, subject: str, operation: str) -> float:
        """Return the median CPU microseconds of a request."""
        return statistics.median(sample.cpu_us for sample in self.samples[subject, operation])

    def grown(self, storage: str, count: int, operation: str) -> float:
        """Return the CPU microseconds of an operation below HTTP."""
        for one in self.growth:
            figures = one["cpu_us"]
            if (one["storage"], one["count"]) == (storage, count) and isinstance(figures, dict):
                return float(figures[operation])
        raise KeyError(storage, count, operation)

    def targets(self) -> tuple[list[Target], list[str]]:
        """Return the targets with their figures, and the names of those that were not measured."""
        return targets(self.cpu, self.grown, self.other)


def markdown(results: Results) -> str:
    """Return the tables."""
    lines = ["| " + " | ".join(f"{name}: {value}" for name, value in results.conditions.items()) + " |", ""]
    lines += [
        "| service | operation | requests/s (spread) | CPU us | p50 ms | p99 ms | errors |",
        "|---|---|---|---|---|---|---|",
    ]
    for (subject, operation), samples in results.samples.items():
        rate = [sample.per_second for sample in samples]
        median = statistics.median
        lines.append(
            f"| {subject} | {operation} | {median(rate):,.0f} ({min(rate):,.0f} to {max(rate):,.0f}) "
            f"| {results.cpu(subject, operation):.1f} | {median(one.p50_ms for one in samples):.2f} "
            f"| {median(one.p99_ms for one in samples):.2f} | {sum(one.errors for one in samples)} |"
        )
    lines += ["", *_growth(results.growth), "", "| figure | |", "|---|---|"]
    lines += [f"| {name} | {value:,.2f} |" for name, value in results.other.items()]
    met, missing = results.targets()
    lines += ["", "| target | figure | bound | |", "|---|---|---|---|"]
    for one in met:
        sign = "≥" if one.at_least else "≤"
        lines.append(f"| {one.name} | {one.figure:,.2f} | {sign} {one.bound:,.2f} | {'met' if one.met else 'MISSED'} |")
    lines += [f"| {name} | | | not measured |" for name in missing]
    return "\n".join(lines) + "\n"


def _growth(growth: Sequence[Mapping[str, object]]) -> list[str]:
    if not growth:
        return []
    names = list(growth[0]["cpu_us"])  # type: ignore[call-overload]  # a dict, from JSON
    lines = [f"| storage, songs | {' | '.join(names)} | bytes a song | import us, first and last tenth |"]
    lines.append("|---" * (len(names) + 3) + "|")
    for one in growth:
        figures = " | ".join(f"{one['cpu_us'][name]:.1f}" for name in names)  # type: ignore[index]
        tenths = one["import_us_by_tenth"]
        ends = f"{tenths[0]:.0f}, {tenths[-1]:.0f}"  # type: ignore[index]
        lines.append(f"| {one['storage']}, {one['count']:,} | {figures} | {one['bytes_per_song']:.0f} | {ends} |")
    return lines


def write(results: Results, folder: Path) -> None:
    """Write table, figures and plots to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text(markdown(results), encoding="utf-8")
    figures = {
        "conditions": results.conditions,
        "samples": [
            {"subject": subject, "operation": operation, "rounds": [asdict(one) for one in samples]}
            for (subject, operation), samples in results.samples.items()
        ],
        "growth": results.growth,
        "other": results.other,
    }
    (folder / "results.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    for operation in ("stats", "list", "rate", "search"):
        title = f"{operation}: CPU µs a request"
        # Without the script that pygal would load from elsewhere, and without its configuration.
        chart = pygal.HorizontalBar(js=[], title=title, legend_at_bottom=True, print_values=True)
        chart.add_xml_filter(_without_scripts)
        for subject, name in results.samples:
            if name == operation:
                chart.add(subject, round(results.cpu(subject, operation), 1))
        chart.render_to_file(str(folder / f"{operation}.svg"))


def _without_scripts(root: Element) -> Element:
    for parent in list(root.iter()):
        for script in parent.findall("script"):
            parent.remove(script)
    return root


def conditions(songs: int, rounds: int, duration_s: float) -> dict[str, object]:
    """Return what the figures depend on."""
    return {
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "songs": songs,
        "rounds": rounds,
        "seconds each": duration_s,
        "connections": CONNECTIONS,
        "load average at the start": round(os.getloadavg()[0], 1),
    }
