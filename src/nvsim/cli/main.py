"""The ``nvsim`` command: parse, call, print. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from nvsim.errors import NvsimError

if TYPE_CHECKING:
    from nvsim.programs import KnownProgram
    from nvsim.scenario.model import Scenario


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option("0.1.0", prog_name="nvsim")
def cli() -> None:
    """Predict what the NVIDIA Container Toolkit puts into a container, and what exec and dlopen then do there."""


def _scenario_options(command: Any) -> Any:
    options = [
        click.option(
            "--host", "hosts", multiple=True, required=True, metavar="HOST", help="A shipped profile's name or a file."
        ),
        click.option("-e", "--env", multiple=True, metavar="NAME=VALUE", help="Set an environment variable."),
        click.option("--gpus", metavar="REQUEST", help="As docker run --gpus."),
        click.option("--runtime", help="nvidia, or runc for no NVIDIA runtime."),
        click.option("--privileged", is_flag=True),
        click.option("--entrypoint"),
        click.option("-w", "--workdir"),
        click.option("-u", "--user"),
        click.option("--toolkit-version"),
        click.option("--mode", help="legacy, cdi, jit-cdi, csv or auto."),
        click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", envvar="NVSIM_FORMAT"),
        click.argument("image"),
        click.argument("command", nargs=-1),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _load(
    options: dict[str, Any], dlopen: tuple[str, ...] = ()
) -> tuple[tuple[Scenario, ...], tuple[KnownProgram, ...]]:
    """The scenarios (one a host) and the known programs."""
    from nvsim.host.datadir import data_dir
    from nvsim.host.read import load_host
    from nvsim.image.read import load_image
    from nvsim.programs import load_programs
    from nvsim.scenario.model import Scenario, Settings

    data = data_dir()
    names = ("gpus", "runtime", "privileged", "entrypoint", "workdir", "user", "toolkit_version", "mode")
    settings = Settings(
        command=options["command"] or None, env=options["env"], dlopen=dlopen, **{n: options[n] for n in names}
    )
    image = load_image(options["image"], data)
    scenarios = tuple(Scenario(load_host(h, data), image, settings) for h in options["hosts"])
    return scenarios, load_programs(data / "programs")


@cli.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@_scenario_options
def run(**options: Any) -> None:
    """The whole prediction: request, plan, exec, libraries."""
    _predict(options)


@cli.command(name="dlopen")
@_scenario_options
def dlopen_(**options: Any) -> None:
    """Would these libraries load? Give their names after the image."""
    names, options["command"] = options["command"], ()
    _predict(options, names)


def _predict(options: dict[str, Any], dlopen: tuple[str, ...] = ()) -> None:
    from nvsim.diagnosis.explain import diagnose
    from nvsim.simulate import simulate

    scenarios, programs = _load(options, dlopen)
    diagnoses = [diagnose(simulate(s, programs), programs) for s in scenarios]
    if options["form"] == "json":
        from nvsim.report.json import result_json

        found = [result_json(d) for d in diagnoses]
        click.echo(json.dumps(found[0] if len(found) == 1 else found, sort_keys=True, indent=1))
    else:
        from nvsim.report.text import run_text

        click.echo("\n".join(run_text(d) for d in diagnoses), nl=False)
    sys.exit(1 if any(d.result.verdict == "fails" for d in diagnoses) else 0)


@cli.command()
@_scenario_options
def plan(**options: Any) -> None:
    """What is injected, where and why; what is left out and why."""
    from nvsim.diagnosis.model import Diagnosis
    from nvsim.report.json import result_json
    from nvsim.report.text import plan_text
    from nvsim.simulate import simulate

    scenarios, programs = _load(options)
    for scenario in scenarios:
        result = simulate(scenario, programs)
        if options["form"] == "json":
            click.echo(json.dumps(result_json(Diagnosis(result, ()))["plan"], sort_keys=True, indent=1))
        else:
            click.echo(plan_text(result, result.plan), nl=False)


@cli.command()
@_scenario_options
def fix(**options: Any) -> None:
    """The smallest changes that make it work on every host, each set verified by simulating again."""
    from nvsim.diagnosis.fix import find_fix
    from nvsim.report.text import fix_text

    scenarios, programs = _load(options)
    found = find_fix(scenarios, programs)
    if options["form"] == "json":
        changes = [{"change": c.describe(), "how": c.how()} for c in found.changes] if found else None
        click.echo(json.dumps({"changes": changes, "verified": found is not None}, sort_keys=True, indent=1))
    else:
        click.echo(fix_text(found), nl=False)
    sys.exit(0 if found is not None else 1)


@cli.command()
@click.argument("image")
@click.argument("programs", nargs=-1, required=True)
def ldd(image: str, programs: tuple[str, ...]) -> None:
    """The loader alone, no NVIDIA: what a program loads, from where, and what was considered for each miss."""
    from nvsim.host.datadir import data_dir
    from nvsim.image.read import load_image
    from nvsim.loader.outcome import ProcessRequest
    from nvsim.loader.process import run as run_program

    tree = load_image(image, data_dir()).tree
    failed = False
    for program in programs:
        outcome = run_program(tree, ProcessRequest(program, (program,), (("PATH", "/usr/bin:/bin"),)))
        click.echo(f"{program}:")
        if outcome.outcome == "exec-error":
            click.echo(f"  exec fails: {outcome.errno} at {outcome.steps[-1].path}")
        for item in outcome.objects:
            click.echo(f"  {item.name} => {item.path}  ({item.stage})")
        for search in outcome.searches:
            if search.error:
                click.echo(f"  {search.name} => not found: {search.error}")
                for candidate in search.candidates:
                    click.echo(f"      {candidate.path}: {candidate.result}  ({candidate.set_by})")
        failed = failed or not outcome.started
    sys.exit(1 if failed else 0)


@cli.command()
@click.argument("code")
def explain(code: str) -> None:
    """What a finding's code means."""
    from nvsim.diagnosis.catalogue import CATALOGUE, by_slug
    from nvsim.errors import InputError

    found = CATALOGUE.get(code.upper()) or by_slug(code)
    if found is None:
        raise InputError(f"no finding is called {code!r}", hint=f"{min(CATALOGUE)} to {max(CATALOGUE)}")
    click.echo(f"{found.code} {found.slug} ({found.severity})\n{found.title}\n\n{found.explanation}")


@cli.group()
def host() -> None:
    """Host profiles."""


@host.command(name="list")
def host_list() -> None:
    """The shipped host profiles."""
    from nvsim.host.datadir import data_dir
    from nvsim.host.read import list_hosts

    for name in list_hosts(data_dir()):
        click.echo(name)


@host.command(name="show")
@click.argument("name")
@click.option("--expanded", is_flag=True, help="With every file.")
def host_show(name: str, expanded: bool) -> None:
    """One host profile as JSON."""
    from nvsim.host.datadir import data_dir
    from nvsim.host.read import host_to_json, load_host

    click.echo(json.dumps(host_to_json(load_host(name, data_dir()), expanded), sort_keys=True, indent=1))


@cli.command()
def batch() -> None:
    """JSON-lines queries on stdin, answers on stdout."""
    from nvsim.batch import answers

    for line in answers(sys.stdin):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


@cli.command()
def demo() -> None:
    """Three failures that nobody could see: a store-only image on two Amazon Linux 2 hosts, why, and the verified fix."""
    base = {
        **dict.fromkeys(("gpus", "runtime", "entrypoint", "workdir", "user", "toolkit_version", "mode")),
        "privileged": False,
        "env": ("NVIDIA_VISIBLE_DEVICES=all",),
        "image": "example:nix-torch",
        "command": (),
    }
    from nvsim.diagnosis.explain import diagnose
    from nvsim.diagnosis.find import find
    from nvsim.diagnosis.fix import find_fix
    from nvsim.report.text import fix_text, run_text
    from nvsim.scenario.changes import AddLink, apply_change
    from nvsim.simulate import simulate

    scenarios, programs = _load({**base, "hosts": ("eks-al2-2021", "eks-al2-535")})
    results = [simulate(s, programs) for s in scenarios]
    for number, result in enumerate(results, 1):
        command = f"nvsim run --host {result.scenario.host.name} -e NVIDIA_VISIBLE_DEVICES=all example:nix-torch"
        click.echo(f"({number}) $ {command}\n{run_text(diagnose(result, programs))}")
    click.echo("(3) $ nvsim fix --host eks-al2-2021 --host eks-al2-535 -e NVIDIA_VISIBLE_DEVICES=all example:nix-torch")
    click.echo(fix_text(find_fix(scenarios, programs)))
    links = [p.change for f in find(results[1]) for p in f.fixes if isinstance(p.change, AddLink)]
    for link in links:
        after = simulate(apply_change(scenarios[1], link), programs)
        click.echo(f"(4) with nothing but the linker's symlink ({link.path}), on {after.scenario.host.name}:")
        for process in (*after.checks, after.main):
            click.echo(f"  {process.verdict:5} {process.argv[0]}: {process.reason}")


def main() -> None:
    """Run the command; bad input gives one line on stderr and status 2."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as e:
        click.echo(f"nvsim: {e.format_message()}", err=True)
        sys.exit(2)
    except click.exceptions.Exit as e:
        sys.exit(e.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except NvsimError as e:
        click.echo(f"nvsim: {e}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
