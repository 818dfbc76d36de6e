"""JUnit XML for CI systems. A cell fails if it contradicts matrix.yml or, if that states nothing, does not match."""

from __future__ import annotations

from xml.etree import ElementTree

from matrix.core.text import for_xml
from matrix.history.report import RunReport
from matrix.judging.cells import CellResult
from matrix.outputs.wording import words


def junit(report: RunReport, stated: frozenset[str]) -> str:
    """Return the report as XML; `stated` are the cells for which the table has an expectation."""
    failures = skipped = 0
    # Failures that time did not cause: the cells of then report them.
    as_ever = {side.now.record.cell for side in report.sides if side.standing == "never worked"}
    suite = ElementTree.Element("testsuite", name=f"matrix {report.tier}")
    for result in report.results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"{result.record.model}.{result.record.converter}",
            name=result.record.cell_id.asked,
        )
        finding = result.finding
        complaints = report.complaints.get(result.record.cell, ())
        if finding.indeterminate:
            skipped += 1
            ElementTree.SubElement(case, "skipped", message=for_xml(f"{finding.verdict}: {finding.title}"))
        elif complaints:
            failures += 1
            _problem(case, "failure", "unexpected", "; ".join(complaints), result)
        elif finding.verdict != "match" and result.record.cell not in stated | as_ever:
            failures += 1
            _problem(case, "failure", finding.verdict, finding.reason or "", result)
    suite.attrib |= {
        "tests": str(len(report.results)),
        "failures": str(failures),
        "errors": "0",
        "skipped": str(skipped),
    }
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _problem(case: ElementTree.Element, kind: str, name: str, message: str, result: CellResult) -> None:
    problem = ElementTree.SubElement(case, kind, type=name, message=for_xml(message))
    found = f"\nmatches with: {words.changes(result.remedied)}" if result.remedied else ""
    remedies = found + "".join(f"\n- {remedy.text}" for remedy in result.judgement.remedies)
    apart = f"\nartifacts: {differing}" if (differing := words.artifacts(result)) else ""
    problem.text = for_xml(f"{words.where(result)}: {result.finding.title}{apart}{remedies}")
