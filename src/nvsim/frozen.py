"""`frozen` and `define`: classes of values as attrs makes them, for a tenth of the time that making one takes.

A start of nvsim makes some hundreds of classes and uses instances of a few. attrs compiles an initialiser, a comparison, a hash and a text
for each of them, which was a third of the time of a whole command. Here comparison, hash and text are shared functions over the class's
fields, and an initialiser is compiled when the first instance is made. What attrs knows of its classes it knows of these too
(`attrs.fields`, `attrs.evolve`, `attrs.asdict`); type checkers see dataclasses. There are no converters, validators or inheritance, and a
method cannot say ``super()`` without arguments, because the class with slots replaces the one that was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    from dataclasses import replace as evolve

__all__ = ["Field", "define", "evolve", "field", "fields", "frozen"]

T = TypeVar("T")
_NOTHING: Any = type("_Nothing", (), {"__repr__": lambda self: "NOTHING", "__slots__": ()})()
_OBJECT_SET = object.__setattr__


class Field:
    """One field of a class: its name, where its value comes from when the caller gives none, and what it takes part in."""

    __slots__ = ("default", "eq", "factory", "hash", "init", "kw_only", "metadata", "name", "repr")

    def __init__(
        self,
        default: Any = _NOTHING,
        factory: Callable[[], Any] | None = None,
        init: bool = True,
        eq: bool = True,
        hash: bool | None = None,
        repr: bool = True,
        kw_only: bool = False,
        metadata: Mapping[Any, Any] | None = None,
        name: str = "",
    ):
        self.default, self.factory, self.init, self.kw_only = default, factory, init, kw_only
        self.eq, self.hash, self.repr = eq, eq if hash is None else hash, repr
        self.metadata: Mapping[Any, Any] = metadata or {}
        self.name = name


@overload
def field(
    *,
    default: T,
    init: bool = ...,
    eq: bool = ...,
    hash: bool | None = ...,
    repr: bool = ...,
    kw_only: bool = ...,
    metadata: Mapping[Any, Any] | None = ...,
) -> T: ...
@overload
def field(
    *,
    factory: Callable[[], T],
    init: bool = ...,
    eq: bool = ...,
    hash: bool | None = ...,
    repr: bool = ...,
    kw_only: bool = ...,
    metadata: Mapping[Any, Any] | None = ...,
) -> T: ...
@overload
def field(
    *,
    init: bool = ...,
    eq: bool = ...,
    hash: bool | None = ...,
    repr: bool = ...,
    kw_only: bool = ...,
    metadata: Mapping[Any, Any] | None = ...,
) -> Any: ...
def field(**options: Any) -> Any:
    """What is special about a field, with the meaning that `attrs.field` gives to these arguments."""
    return Field(**options)


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T], /) -> type[T]: ...
@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(*, eq: bool = ..., cache_hash: bool = ...) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T] | None = None, /, *, eq: bool = True, cache_hash: bool = False) -> Any:
    """A class of immutable values with slots. `eq` False: an instance is equal only to itself; `cache_hash`: its hash is computed once."""
    methods: dict[str, Any] = {"__setattr__": _refuse, "__delattr__": _refuse}
    if eq:
        methods |= {"__eq__": _equal, "__hash__": _kept_hash if cache_hash else _hash}
    extra = ("_kept_hash",) if cache_hash else ()
    return _with_slots(cls, methods, extra) if cls is not None else lambda made: _with_slots(made, methods, extra)


@overload
@dataclass_transform(field_specifiers=(field,))
def define(cls: type[T], /) -> type[T]: ...
@overload
@dataclass_transform(field_specifiers=(field,))
def define(*, eq: bool = ...) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(field_specifiers=(field,))
def define(cls: type[T] | None = None, /, *, eq: bool = True) -> Any:
    """A class of state with slots: its instances can be changed, and are in no set unless `eq` is False."""
    methods: dict[str, Any] = {"__eq__": _equal, "__hash__": None} if eq else {}
    return _with_slots(cls, methods, ()) if cls is not None else lambda made: _with_slots(made, methods, ())


def fields(cls: type) -> tuple[Field, ...]:
    """The fields of a class, as they were written; none for another class."""
    found: tuple[Field, ...] = getattr(cls, "_fields_", ())
    return found


if not TYPE_CHECKING:

    def evolve(value, /, **changes):
        """A copy of a value with some fields changed. TypeError for a field that there is not."""
        for one in value._fields_:
            if one.init and one.name not in changes:
                changes[one.name] = getattr(value, one.name)
        return value.__class__(**changes)


class _AttrsView:
    """What attrs reads off a class of its own, made when it is asked for first."""

    def __get__(self, instance: object, cls: type) -> Any:
        import attrs

        made = {}
        for one in fields(cls):
            default = attrs.Factory(one.factory) if one.factory is not None else one.default
            made[one.name] = attrs.field(
                default=attrs.NOTHING if default is _NOTHING else default,
                init=one.init,
                eq=one.eq,
                hash=one.hash,
                repr=one.repr,
                kw_only=one.kw_only,
                metadata=one.metadata,
                alias=one.name,
                type=cls.__annotations__.get(one.name),
            )
        found = attrs.fields(attrs.make_class(cls.__name__, made))
        setattr(cls, "__attrs_attrs__", found)  # noqa: B010
        return found


_ATTRS_VIEW = _AttrsView()


def _with_slots(cls: type, methods: Mapping[str, Any], extra: tuple[str, ...]) -> type:
    """The class again, with slots for its annotated names and the shared methods that it does not have itself."""
    body = dict(cls.__dict__)
    found = []
    for name, kind in body.get("__annotations__", {}).items():
        if not kind.startswith(("ClassVar", "typing.ClassVar")):
            given = body.pop(name, _NOTHING)
            one = given if isinstance(given, Field) else Field(given)
            one.name = name
            found.append(one)
    body.pop("__dict__", None)
    body.pop("__weakref__", None)
    for name, method in methods.items():
        if name not in body or (name == "__hash__" and body[name] is None):
            body[name] = method
    body.setdefault("__init__", _first_init)
    body.setdefault("__repr__", _text)
    body["__getstate__"], body["__setstate__"] = _state, _set_state
    body["__slots__"] = (*(one.name for one in found), *extra)
    body["__match_args__"] = tuple(one.name for one in found if one.init and not one.kw_only)
    body["_fields_"], body["__attrs_attrs__"] = tuple(found), _ATTRS_VIEW
    body["_compared_"], body["_hashed_"] = (_getter([one.name for one in found if one.eq]),) * 2
    if any(one.eq != one.hash for one in found):
        body["_hashed_"] = _getter([one.name for one in found if one.hash])
    return type(cls)(cls.__name__, cls.__bases__, body)


def _getter(names: list[str]) -> Callable[[Any], Any]:
    """The values of these attributes, in a tuple where there are several."""
    return attrgetter(*names) if names else attrgetter("__class__")


def _first_init(self: Any, *args: Any, **kwargs: Any) -> None:
    cls = self.__class__
    cls.__init__ = _initialiser(cls)
    cls.__init__(self, *args, **kwargs)


def _initialiser(cls: type) -> Callable[..., None]:
    """``__init__``, compiled. A slot is written through its descriptor, which is quicker than by name and passes `_refuse` by."""
    names: dict[str, Any] = {"_NOTHING": _NOTHING}
    plain: list[str] = []
    by_keyword: list[str] = []
    body = []
    for one in fields(cls):
        name = one.name
        names[f"_set_{name}"] = cls.__dict__[name].__set__
        value = name
        if one.factory is not None:
            names[f"_new_{name}"] = one.factory
            value = f"_new_{name}() if {name} is _NOTHING else {name}" if one.init else f"_new_{name}()"
            parameter = f"{name}=_NOTHING"
        elif one.default is not _NOTHING:
            names[f"_default_{name}"] = one.default
            parameter = f"{name}=_default_{name}"
            value = name if one.init else f"_default_{name}"
        else:
            parameter = name
        if one.init:
            (by_keyword if one.kw_only else plain).append(parameter)
        body.append(f"    _set_{name}(self, {value})")
    parameters = ", ".join(["self", *plain, *(["*", *by_keyword] if by_keyword else [])])
    source = f"def __init__({parameters}):\n" + "\n".join(body or ["    pass"])
    exec(compile(source, f"<{cls.__module__}.{cls.__qualname__}>", "exec"), names)
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _refuse(self: Any, name: str, value: Any = None) -> None:
    raise AttributeError(f"{self.__class__.__name__} is immutable: {name}")


def _equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    compared = self._compared_
    return compared(self) == compared(other)


def _hash(self: Any) -> int:
    return hash(self._hashed_(self))


def _kept_hash(self: Any) -> int:
    try:
        known: int = self._kept_hash
    except AttributeError:
        known = hash(self._hashed_(self))
        _OBJECT_SET(self, "_kept_hash", known)
    return known


def _text(self: Any) -> str:
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in self._fields_ if one.repr)
    return f"{self.__class__.__qualname__.rpartition('>.')[2]}({shown})"


def _state(self: Any) -> dict[str, Any]:
    return {one.name: getattr(self, one.name) for one in self._fields_}


def _set_state(self: Any, state: dict[str, Any]) -> None:
    for name, value in state.items():
        _OBJECT_SET(self, name, value)
