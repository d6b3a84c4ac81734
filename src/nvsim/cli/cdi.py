"""``nvsim cdi``: what nvidia-ctk would generate on a host, whether a spec is valid, and what a spec does to a container."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nvsim.cli.output import Output, output_options, write_atomically
from nvsim.cli.sources import complete_host, open_sources
from nvsim.errors import InputError

if TYPE_CHECKING:
    from nvsim.inject.cdi.registry import Registry

_PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": ["-h", "--help"]}


@click.group(name="cdi")
def command() -> None:
    """CDI specifications: generate one for a host, validate a file, inject one into an image."""


@command.command(context_settings=_PASSED_ON)
@click.option("--host", "name", required=True, metavar="HOST", help="Whose spec.", shell_complete=complete_host)
@click.option(
    "--toolkit-version", metavar="VERSION", help="The release of the program. Default: that of HOST, else the newest."
)
@click.option("-v", "--verbose", is_flag=True, help="Show what the program logs at the level info too.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF nvidia-ctk cdi generate]")
def generate(name: str, toolkit_version: str | None, verbose: bool, arguments: tuple[str, ...]) -> None:
    """What ``nvidia-ctk cdi generate`` would write on HOST.

    \b
    Its options are passed on as they are (older releases have fewer of them):
      --format yaml|json           --output FILE (or stdout)
      --mode auto|nvml|wsl|csv|management|gds|mofed|gdrcopy|nvswitch|imex
      --device-name-strategy index|uuid|type-index    --device-id ID
      --driver-root DIR            --dev-root DIR
      --library-search-path DIR    --config-search-path DIR
      --nvidia-cdi-hook-path FILE  --ldconfig-path FILE
      --vendor NAME  --class NAME  --no-all-device
      --disable-hook NAME          --enable-hook NAME      --feature-flag NAME
      --csv.file FILE              --csv.ignore-pattern P  --csv.compat-container-root DIR

    Exit status 1 when the program would fail on that host, 2 when it refuses its options; its own words are on stderr.
    """
    from nvsim.inject.generate.command import run_generate
    from nvsim.inject.generate.host import host_of_profile
    from nvsim.toolkit.generation import generation_rules
    from nvsim.toolkit.releases import NEWEST, release_of

    host = open_sources().host(name)
    version = toolkit_version or host.toolkit.version or NEWEST
    rules = generation_rules(release_of(version))
    if not rules.generates:
        raise InputError(f"toolkit {version} has no 'nvidia-ctk cdi generate'", hint="it came with 1.12.0")
    root = host.driver.root if host.driver.root != "/" else ""
    result = run_generate(host_of_profile(host), arguments, root, rules)
    for level, text in result.log:
        if level != "info" or verbose:
            click.echo(f"{level}: {text}", err=True)
    for text, file in zip(result.texts, result.files, strict=True):
        if file:
            write_atomically(Path(file), text)
        else:
            sys.stdout.write(text if text.endswith("\n") else text + "\n")
    click.get_current_context().exit(2 if result.usage else result.rc)


@command.command()
@output_options()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
def validate(output: Output, files: tuple[str, ...]) -> None:
    """Check CDI specs as the CDI library does when it loads them. Exit status 2 when one is invalid."""
    rows: list[dict[str, Any]] = []
    for name in files:
        registry, _, errors = _loaded(name)
        row: dict[str, Any] = {"file": name, "valid": not errors}
        if errors:
            row["errors"] = list(errors)
        else:
            spec = registry.specs[0].spec
            row |= {"kind": spec.kind, "cdiVersion": spec.version, "devices": [d.name for d in spec.devices]}
        rows.append(row)
    if output.form == "json":
        output.json(rows)
    else:
        output.text(
            "".join(
                f"{r['file']}: valid, {r['kind']} of CDI {r['cdiVersion']}, devices {', '.join(r['devices'])}\n"
                for r in rows
                if r["valid"]
            )
        )
        for row in rows:
            for error in row.get("errors", ()):
                click.echo(f"nvsim: {row['file']}: {error}", err=True)
    click.get_current_context().exit(0 if all(r["valid"] for r in rows) else 2)


@command.command()
@click.option(
    "--device", "devices", multiple=True, metavar="NAME", help="A device: 0, or nvidia.com/gpu=0. Default all."
)
@click.option("--host", "name", metavar="HOST", help="Take the files from this host, and run the hooks.")
@output_options()
@click.argument("spec", metavar="SPEC", type=click.Path())
@click.argument("image", metavar="IMAGE")
def inject(output: Output, spec: str, image: str, devices: tuple[str, ...], name: str | None) -> None:
    """What the devices of SPEC add to a container of IMAGE.

    Without --host this is the OCI config that the edits give; with it, the files of the host are mounted and the hooks are run.
    """
    registry, path, errors = _loaded(spec)
    if errors:
        raise InputError(errors[0], source=spec)
    wanted = _qualified(registry, devices)
    unresolved = registry.edits_for(wanted)[1]
    if unresolved:
        known = ", ".join(sorted(registry.devices))
        raise InputError(f"unresolvable CDI devices {', '.join(unresolved)}", source=spec, hint=f"it has {known}")
    if name is None:
        _edited(output, registry, wanted, image)
    else:
        _on_host(output, (path, Path(spec).read_text()), wanted, image, name)


def _loaded(name: str) -> tuple[Registry, str, tuple[str, ...]]:
    """The registry that holds nothing but the file, the path that the file has there, and the library's errors, which name the file as
    the user does. Raises `InputError`."""
    from nvsim.inject.cdi.registry import DEFAULT_DIRS, load_registry
    from nvsim.toolkit.cdi_name import NamePanic
    from nvsim.toolkit.go_text import go_quote

    file = Path(name)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as e:
        raise InputError(f"cannot be read: {e.strerror or e}", source=name) from None
    except UnicodeDecodeError:
        raise InputError("is no text file", source=name) from None
    path = f"{DEFAULT_DIRS[0]}/{file.stem}{file.suffix if file.suffix in ('.json', '.yaml') else '.yaml'}"
    try:
        registry = load_registry({path: text}, DEFAULT_DIRS[:1])
    except NamePanic as e:
        raise InputError(f"the CDI library crashes on a name in it: {e}", source=name) from None
    return registry, path, tuple(e.replace(go_quote(path), go_quote(name)) for e in registry.errors.get(path, ()))


def _qualified(registry: Registry, devices: tuple[str, ...]) -> tuple[str, ...]:
    kind = registry.specs[0].spec.kind
    names = devices or ("all",)
    if not devices and f"{kind}=all" not in registry.devices:
        names = tuple(d.name for d in registry.specs[0].spec.devices)
    return tuple(n if "=" in n else f"{kind}={n}" for n in names)


def _edited(output: Output, registry: Registry, devices: tuple[str, ...], image: str) -> None:
    """Show the OCI config after the edits, on a host that has what the spec names."""
    import json

    from nvsim.inject.cdi.inject import inject_devices
    from nvsim.inject.log import ToolFailure
    from nvsim.rootfs.node import Special
    from nvsim.rootfs.resolve import Resolver
    from nvsim.rootfs.tree import MemoryTree

    config = open_sources().image(image).config
    nodes = registry.edits_for(devices)[0].nodes
    tree = MemoryTree("host", {n.host_path or n.path: Special("char", (n.major, n.minor), 0o666) for n in nodes})
    before = {
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": list(config.entrypoint + config.cmd),
            "env": list(config.env),
        },
        "root": {"path": "rootfs"},
    }
    try:
        after = inject_devices(before, registry, devices, Resolver(tree))
    except ToolFailure as e:
        raise InputError(e.text) from None
    output.text(json.dumps(after, indent=1, sort_keys=True, ensure_ascii=False))


def _on_host(output: Output, spec: tuple[str, str], devices: tuple[str, ...], image: str, name: str) -> None:
    """Show what an engine's injection of these devices does on a host."""
    from nvsim.diagnosis.model import Diagnosis
    from nvsim.report.json import result_json
    from nvsim.report.plan import plan_text
    from nvsim.scenario.model import Scenario, Settings
    from nvsim.simulate import simulate

    sources = open_sources()
    settings = Settings(command=("true",), devices=devices, cdi_specs=(spec,), runtime="runc", engine="docker-28.5")
    result = simulate(Scenario(sources.host(name), sources.image(image), settings), sources.programs)
    failed = result.plan is None or (result.injected is not None and result.injected.failure is not None)
    if output.form == "json":
        whole = result_json(Diagnosis(result, ()))
        output.json({k: whole[k] for k in ("host", "image", "plan", "effects")})
    else:
        output.text(plan_text(result, output.style))
    if failed:
        click.echo(f"nvsim: {' '.join(result.main.message.split())}", err=True)
    click.get_current_context().exit(1 if failed else 0)
