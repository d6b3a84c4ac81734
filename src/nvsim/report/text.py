"""A prediction as text for people: the verdict first, what is shown, then every cause with what helps, then what was assumed.

Every line is read off the result. Tables of several hosts are `nvsim.report.table`, plans `nvsim.report.plan`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nvsim.diagnosis.find import find
from nvsim.diagnosis.find_driver import uses_cuda
from nvsim.report.style import PLAIN, Style, columns, short, wrapped
from nvsim.scenario.cuda import ERRORS

if TYPE_CHECKING:
    from nvsim.diagnosis.fix import Fix
    from nvsim.diagnosis.model import Diagnosis, Finding, Proposal
    from nvsim.simulate import ProcessResult, Result

_LOADER_SAYS = ("ERROR: ld.so: ", "warning: debug option ")
_SHOWN_LINES = 12


def run_text(diagnosis: Diagnosis, style: Style = PLAIN, *, trace: bool = False) -> str:
    """The answer of ``nvsim run`` for one host."""
    result = diagnosis.result
    lines = [_headline(result, style)]
    lines += columns(_process_row(result, p, style) for p in (result.main, *result.checks))
    lines += _cuda(result, style)
    lines += _dlopens(result.main, style)
    lines += _shown(result.main, style)
    causes = [f for f in diagnosis.findings if f.severity == "error" or f.code.startswith("NVS9")]
    notes = [f for f in diagnosis.findings if f not in causes]
    if causes:
        lines += ["", style.paint("Why" if len(causes) == 1 else f"Why ({len(causes)} causes)", "bold")]
    for number, finding in enumerate(causes, 1):
        lines += _finding(finding, f"{number}.", style, causes[: number - 1])
    if notes:
        lines += ["", style.paint("Also", "bold")]
        for finding in notes:
            lines += _finding(finding, "-", style, [])
    if trace:
        lines += _trace(result, style)
    if result.assumptions:
        lines += ["", style.paint("Assumed", "bold")]
        for sentence in result.assumptions:
            lines += wrapped(short(sentence), "    ", "  - ")
    return "\n".join(lines) + "\n"


def _headline(result: Result, style: Style) -> str:
    verdict = result.verdict
    if verdict == "ok" and any(c.verdict != "ok" for c in result.checks):
        failed = ", ".join(base(c.argv[0]) for c in result.checks if c.verdict != "ok")
        return f"{style.verdict('ok')}  {_where(result)}, but {failed} does not"
    return f"{style.verdict(verdict)}  {_where(result)}"


def _where(result: Result) -> str:
    host = result.scenario.host
    driver = f"driver {host.driver.version}" if host.driver.version else "no driver"
    toolkit = result.scenario.settings.toolkit_version or host.toolkit.version
    release = f", toolkit {toolkit}" if toolkit else ""
    mode = f", mode {result.request.mode}" if result.request.route != "none" else ""
    return f"{result.scenario.image.name} on {host.name} ({driver}{release}{mode})"


def base(path: str) -> str:
    """The last component of a path."""
    return path.rpartition("/")[2] or path


def title_of(process: ProcessResult) -> str:
    """What to call a process: its program, and what it is known to be."""
    known = [r.program.title for r in process.runs if r.program is not None]
    name = base(process.argv[0])
    return f"{name} ({', '.join(known)})" if known and name.lower() not in known[0].lower() else name


def _process_row(result: Result, process: ProcessResult, style: Style) -> list[str]:
    return [f"  {style.mark(process.verdict)} {title_of(process)}", short(reason_of(result, process))]


def reason_of(result: Result, process: ProcessResult) -> str:
    """Why a process has its verdict; where the container does not start, in the words of the program that said so."""
    failure = result.injected.failure if result.injected is not None else None
    refused = result.request.refused.stderr if result.request.refused is not None else None
    said = (failure or refused or "").strip()
    return f"does not start: {said.splitlines()[-1]}" if said and process is result.main else process.reason


def _cuda(result: Result, style: Style) -> list[str]:
    """What CUDA would say to a program that uses it."""
    answer = result.cuda
    if answer is None or not uses_cuda(result.main) or answer.libcuda is None:
        return []
    code = answer.runtime_code if answer.code == 0 else answer.code
    if code is None:
        return [f"  {style.mark('unknown')} CUDA: {answer.unknown}"] if answer.unknown else []
    name, text = ERRORS[code]
    said = f"error {code}, {text} ({name})" if code else "cuInit succeeds"
    version = f" of driver {answer.version}" if answer.version else ""
    return [f"  {style.mark('fails' if code else 'ok')} CUDA: {said}, with {short(answer.libcuda)}{version}"]


def _dlopens(process: ProcessResult, style: Style) -> list[str]:
    """The dlopens that the user asked for."""
    rows = []
    for call in process.dlopen:
        verdict = "unknown" if call.ok is None else "ok" if call.ok else "fails"
        origin = call.new_objects[0].origin if call.new_objects else None
        where = f"{call.path}{f' ({origin})' if origin else ''}" if call.ok else call.error or "not made"
        rows.append([f"    {style.mark(verdict)} dlopen {call.call.name}", short(where)])
    return columns(rows)


def _shown(process: ProcessResult, style: Style) -> list[str]:
    """The text that a user meets; of a process that works only what its loader could not do."""
    shown = process.message.strip().splitlines()
    if process.verdict == "ok":
        shown = [line for line in shown if line.startswith(_LOADER_SAYS)]
    if not shown:
        return []
    by = f" by {process.told_by}" if process.told_by else ""
    lines = ["", style.paint(f"What is shown{by}", "bold")]
    lines += [f"  | {line}" for line in shown[:_SHOWN_LINES]]
    if len(shown) > _SHOWN_LINES:
        lines.append(f"  | ... {len(shown) - _SHOWN_LINES} more lines (--format json has them)")
    if process.exit_code is not None and process.verdict != "ok":
        lines.append(f"  exit status {process.exit_code}")
    return lines


def _finding(finding: Finding, number: str, style: Style, before: Iterable[Finding]) -> list[str]:
    """One cause: what, the facts it rests on, what helps."""
    code = style.paint(f"[{finding.code} {finding.slug}]", "dim")
    lines = [*wrapped(short(finding.message), "     ", f"  {number} "), f"     {code}{_after(finding, before)}"]
    twin = _twin(finding, before)
    if twin is not None:
        return [*lines, f"     mended as {twin} is"]
    for fact in finding.evidence:
        lines += wrapped(short(fact), "         ", "       - ")
    for proposal in finding.fixes:
        lines += _proposal(proposal, style)
    if finding.advice:
        lines += wrapped(finding.advice, "       ")
    return lines


def _twin(finding: Finding, before: Iterable[Finding]) -> int | None:
    """The number of an earlier cause of the same kind that the same change mends."""
    if not finding.fixes:
        return None
    pairs = enumerate(before, 1)
    return next((n for n, f in pairs if f.code == finding.code and f.fixes[:1] == finding.fixes[:1]), None)


def _after(finding: Finding, before: Iterable[Finding]) -> str:
    """Which causes hide this one."""
    numbers = [str(n) for n, f in enumerate(before, 1) if f.fixes and f.fixes[0].change in finding.after]
    return f" shows once {' and '.join(numbers)} {'is' if len(numbers) == 1 else 'are'} mended" if numbers else ""


def _proposal(proposal: Proposal, style: Style) -> list[str]:
    if proposal.verified:
        mark, word = style.paint("✓", "green"), "fix, verified:"
    else:
        mark, word = style.paint("✗", "red"), "does not help:"
    return [
        f"     {mark} {word} {style.paint(proposal.change.how(), 'bold')}",
        *wrapped(short(proposal.result), "         ", "       "),
    ]


def _trace(result: Result, style: Style) -> list[str]:
    """Every search of every process, candidate by candidate."""
    lines = ["", style.paint("Search", "bold")]
    for process in (result.main, *result.checks):
        outcome = process.outcome
        if outcome is None:
            continue
        lines.append(f"  {title_of(process)}")
        attempts = (a for r in process.runs for s in r.steps for a in s.attempts)
        searches = [*outcome.searches, *(s for a in (*attempts, *process.dlopen) for s in a.searches)]
        for search in searches:
            lines.append(f"    {search.name} for {search.requester}: {search.result} {search.path or ''}".rstrip())
            lines += [f"      {c.path}: {c.result} ({c.set_by})" for c in search.candidates]
    return lines


def fix_text(fix: Fix | None, style: Style = PLAIN) -> str:
    """The answer of ``nvsim fix``."""
    if fix is None:
        return f"{style.paint('NO FIX', 'bold', 'red')}  no set of changes that nvsim can make and verify was found\n"
    if not fix.changes:
        return f"{style.verdict('ok')}  nothing to fix: everything works\n"
    many = "1 change makes" if len(fix.changes) == 1 else f"{len(fix.changes)} changes make"
    lines = [f"{style.paint('FIX', 'bold', 'green')}  {many} everything work ({fix.tried} combinations simulated)"]
    lines += [f"  {style.paint(c.how(), 'bold')}" for c in fix.changes]
    hosts: dict[str, list[str]] = {}
    for result in fix.results:
        names = ", ".join(title_of(p) for p in (result.main, *result.checks))
        hosts.setdefault(f"{names} {_works(result)}", []).append(result.scenario.host.name)
    for words, where in hosts.items():
        lines.append(f"{style.mark('ok')} verified by simulating again: {words} on {', '.join(where)}")
    notes = [(r, f) for r in fix.results for f in find(r) if f.severity == "warning"]
    if notes:
        lines.append("Beyond loading:")
    for result, finding in notes:
        lines += wrapped(f"{result.scenario.host.name}: {finding.message} [{finding.code}]", "    ", "  - ")
    return "\n".join(lines) + "\n"


def _works(result: Result) -> str:
    return "work" if result.checks else "works"
