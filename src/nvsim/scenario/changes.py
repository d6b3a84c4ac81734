"""Changes that a user can make to a scenario, as values: what `fix` proposes and verifies. Here those of the image and its variables; those of
the request and of the host are in `nvsim.scenario.changes_host`.

A change says what it does in words (`describe`), how to write it down (`how`) and what it costs (`cost`: smaller is preferred; an
environment variable is cheaper than a file in the image, which is cheaper than touching the host). `apply` gives the changed scenario, or
raises `InputError` when it cannot be made (a link where something is). An image remembers its changed versions, so that what was derived of
those is not derived again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nvsim.errors import InputError
from nvsim.frozen import evolve, frozen
from nvsim.rootfs.node import Origin, Symlink
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import PathError, resolve
from nvsim.rootfs.tree import Tree, join

if TYPE_CHECKING:
    from nvsim.scenario.changes_host import (
        GenerateSpec,
        LimitGpus,
        SetConfig,
        UpgradeToolkit,
        UseDevice,
        UseGpus,
        UseRuntime,
    )
    from nvsim.scenario.model import Scenario

_ORIGIN = Origin("fix")


@frozen
class SetEnv:
    """Set an environment variable of the container (in the image's config, or with ``-e``)."""

    name: str
    value: str
    cost: int = 1

    def describe(self) -> str:
        return f"set {self.name}={self.value}"

    def how(self) -> str:
        return f"ENV {self.name}={self.value}"

    def apply(self, scenario: Scenario) -> Scenario:
        return scenario.with_settings(env=(*scenario.settings.env, f"{self.name}={self.value}"))


@frozen
class UnsetEnv:
    """Remove an environment variable from the image's config."""

    name: str
    cost: int = 2

    def describe(self) -> str:
        return f"unset {self.name}"

    def how(self) -> str:
        return f"remove ENV {self.name} from the image"

    def apply(self, scenario: Scenario) -> Scenario:
        def keep(items: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(e for e in items if not e.startswith(f"{self.name}="))

        image = scenario.image
        config = evolve(image.config, env=keep(image.config.env))
        changed = image.memo.get("changed", self, lambda: evolve(image, config=config))
        return evolve(scenario.with_settings(env=keep(scenario.settings.env)), image=changed)


@frozen
class AddLink:
    """Add a symlink to the image."""

    path: str
    target: str
    cost: int = 2

    def describe(self) -> str:
        return f"add the symlink {self.path} -> {self.target} to the image"

    def how(self) -> str:
        directory = self.path.rpartition("/")[0]
        return f"RUN mkdir -p {directory} && ln -s {self.target} {self.path}"

    def apply(self, scenario: Scenario) -> Scenario:
        return _with_tree(scenario, self, lambda: _with_link(scenario.image.tree, self))


@frozen
class RemoveFile:
    """Remove a file or symlink from the image."""

    path: str
    cost: int = 2

    def describe(self) -> str:
        return f"remove {self.path} from the image"

    def how(self) -> str:
        return f"RUN rm {self.path}"

    def apply(self, scenario: Scenario) -> Scenario:
        return _with_tree(scenario, self, lambda: _without(scenario.image.tree, self.path))


if TYPE_CHECKING:
    Change = (
        SetEnv
        | UnsetEnv
        | UseGpus
        | UseDevice
        | LimitGpus
        | AddLink
        | RemoveFile
        | UseRuntime
        | GenerateSpec
        | SetConfig
        | UpgradeToolkit
    )


def _with_tree(scenario: Scenario, change: Change, make: Callable[[], Tree]) -> Scenario:
    image = scenario.image
    return evolve(scenario, image=image.memo.get("changed", change, lambda: evolve(image, tree=make())))


def _without(tree: Tree, path: str) -> RootFS:
    at = resolve(tree, path, follow=False)
    if isinstance(at, PathError):
        raise InputError(f"{path} is not in the image")
    editor = (tree if isinstance(tree, RootFS) else RootFS(tree)).edit()
    editor.remove(at.path)
    return editor.freeze()


def _with_link(tree: Tree, change: AddLink) -> RootFS:
    at = resolve(tree, change.path, follow=False)
    if not isinstance(at, PathError) or at.errno != "ENOENT":
        raise InputError(f"{change.path} exists already in the image")
    path = at.parent
    for part in at.rest.split("/"):
        path = join(path, part)
    editor = (tree if isinstance(tree, RootFS) else RootFS(tree)).edit()
    editor.put(path, Symlink(change.target, origin=_ORIGIN))
    return editor.freeze()
