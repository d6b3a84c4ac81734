"""Two predictions compared: what differs in input, request, plan, root and outcome, and which decision made the difference."""

from __future__ import annotations

from nvsim.diagnosis.model import Diagnosis, Finding
from nvsim.frozen import fields, frozen
from nvsim.inject.plan import InjectionPlan
from nvsim.scenario.model import Settings
from nvsim.simulate import ProcessResult, Result


@frozen
class Change:
    """One difference: `what`, its value on either side (None = not there), and why it is so on either side."""

    what: str
    first: str | None
    second: str | None
    because: tuple[str | None, str | None] = (None, None)


@frozen
class Difference:
    """What differs between two predictions, by stage. `mounts`: what each plan puts into the container and the other does not, by
    path with the driver's version left out. `gone`, `new`: findings of one side alone. `same`: nothing that matters differs."""

    first: Diagnosis
    second: Diagnosis
    inputs: tuple[Change, ...]
    request: tuple[Change, ...]
    plan: tuple[Change, ...]
    outcome: tuple[Change, ...]
    gone: tuple[Finding, ...]
    new: tuple[Finding, ...]
    stay: tuple[Finding, ...]

    @property
    def same(self) -> bool:
        """Whether request, plan, outcome and findings are the same."""
        return not (self.request or self.plan or self.outcome or self.gone or self.new)


def compare(first: Diagnosis, second: Diagnosis) -> Difference:
    """Compare two predictions."""
    left, right = first.result, second.result
    codes = [{(f.code, f.subject) for f in d.findings} for d in (first, second)]
    return Difference(
        first,
        second,
        _inputs(left, right),
        _request(left, right),
        _plan(left, right),
        _outcome(left, right),
        tuple(f for f in first.findings if (f.code, f.subject) not in codes[1]),
        tuple(f for f in second.findings if (f.code, f.subject) not in codes[0]),
        tuple(f for f in second.findings if (f.code, f.subject) in codes[0]),
    )


def _changes(pairs: list[tuple[str, object, object]]) -> tuple[Change, ...]:
    return tuple(Change(what, _text(a), _text(b)) for what, a, b in pairs if a != b)


def _text(value: object) -> str | None:
    if value is None or value == ():
        return None
    if isinstance(value, tuple):
        return " ".join(str(v) for v in value)
    return str(value)


def _inputs(left: Result, right: Result) -> tuple[Change, ...]:
    """Host, image and settings."""
    a, b = left.scenario, right.scenario
    pairs: list[tuple[str, object, object]] = [
        ("host", a.host.name, b.host.name),
        ("image", a.image.name, b.image.name),
    ]
    if a.host is not b.host:
        pairs += [
            ("driver", a.host.driver.version, b.host.driver.version),
            ("kernel module", a.host.driver.kernel_module, b.host.driver.kernel_module),
            ("toolkit", a.host.toolkit.version, b.host.toolkit.version),
            ("default runtime", a.host.toolkit.runtime, b.host.toolkit.runtime),
            ("GPUs", tuple(g.model for g in a.host.gpus), tuple(g.model for g in b.host.gpus)),
        ]
    for name in (f.name for f in fields(Settings)):
        pairs.append((name, getattr(a.settings, name), getattr(b.settings, name)))
    return _changes(pairs)


def _request(left: Result, right: Result) -> tuple[Change, ...]:
    """The toolkit's decisions, each with its reason on both sides."""
    reasons = [{k: f"{b.input}: {b.text}" for k, b in r.request.because} for r in (left, right)]
    a, b = left.request, right.request
    pairs = [
        ("route", "route", a.route, b.route),
        ("mode", "mode", a.mode, b.mode),
        ("devices", "devices", a.devices, b.devices),
        ("capabilities", "driver capabilities", _sorted(a.capabilities), _sorted(b.capabilities)),
        ("requirements", "requirements", a.requirements, b.requirements),
        ("refused", "refused", a.refused and a.refused.stderr.strip(), b.refused and b.refused.stderr.strip()),
    ]
    return tuple(
        Change(title, _text(x), _text(y), (reasons[0].get(key), reasons[1].get(key)))
        for key, title, x, y in pairs
        if x != y
    )


def _sorted(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(sorted(names))


def _plan(left: Result, right: Result) -> tuple[Change, ...]:
    """What one plan puts into the container and the other does not."""
    versions = [r.scenario.host.driver.version for r in (left, right)]
    a, b = (_targets(r.plan, v) for r, v in zip((left, right), versions, strict=True))
    paths = [*a, *(p for p in b if p not in a)]
    return tuple(
        Change(
            p,
            a[p][0] if p in a else None,
            b[p][0] if p in b else None,
            (a.get(p, (None, None))[1], b.get(p, (None, None))[1]),
        )
        for p in paths
        if (p in a) != (p in b)
    )


def _targets(plan: InjectionPlan | None, version: str | None) -> dict[str, tuple[str, str | None]]:
    """Path -> (kind, reason) of everything that a plan puts into the container."""
    out: dict[str, tuple[str, str | None]] = {}
    if plan is None:
        return out

    def generic(path: str) -> str:
        return path.replace(version, "VERSION") if version else path

    for mount in plan.mounts:
        reason = mount.because[0] if mount.because else None
        out.setdefault(generic(mount.dst), (mount.kind, f"{reason.input}: {reason.text}" if reason else None))
    for link in plan.symlinks:
        out.setdefault(generic(link.path), ("link", None))
    for node in plan.device_nodes:
        out.setdefault(node.path, ("device", None))
    return out


def _outcome(left: Result, right: Result) -> tuple[Change, ...]:
    found = [{p.argv[0]: p for p in (r.main, *r.checks)} for r in (left, right)]
    names = [*found[0], *(n for n in found[1] if n not in found[0])]
    return _changes([(name, _said(found[0].get(name)), _said(found[1].get(name))) for name in names])


def _said(process: ProcessResult | None) -> str | None:
    return (
        None
        if process is None
        else process.verdict
        if process.verdict == "ok"
        else f"{process.verdict}: {process.reason}"
    )
