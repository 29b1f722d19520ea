"""The base of the pack's nodes: whatever arrives at a node is checked once, by what its inputs are declared as."""

import functools
import inspect
from collections.abc import Callable, Mapping

from comfy_api.latest import io

from ..common.errors import BetwixtError
from .widget_values import checked_widget
from .wire_values import checked_value, shown

WIDGETS = ("INT", "FLOAT", "BOOLEAN", "STRING", "COMBO")


class CheckedNode(io.ComfyNode):
    """A node whose ``execute`` gets values that are what its inputs say (:mod:`.wire_values`, :mod:`.widget_values`).

    The host checks what is written into a widget; it checks nothing that comes over a wire.

    Attributes:
        number_lists: names of number inputs that take a list as well, e.g. one value per frame; ``execute`` then gets
            a list of floats.
    """

    number_lists: tuple[str, ...] = ()

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        own = vars(cls).get("execute")  # the host copies classes: what is checked already stays as it is
        if isinstance(own, classmethod) and not hasattr(own.__func__, "__wrapped__"):
            cls.execute = classmethod(_checked(own.__func__))


def _checked(execute: Callable) -> Callable:
    parameters = inspect.signature(execute)

    @functools.wraps(execute)
    def run(cls, *values, **inputs):
        given = parameters.bind_partial(cls, *values, **inputs).arguments
        schema = cls.define_schema()
        for entry in schema.inputs:
            if entry.id in given:
                given[entry.id] = _of_input(given[entry.id], entry, cls, schema.is_input_list)
        return execute(**given)

    return run


def _of_input(value: object, entry: io.Input, cls: type[CheckedNode], listed: bool) -> object:
    if value is None and entry.optional:
        return getattr(entry, "default", None)
    if not listed:
        return _of_wire(value, entry, entry.id, cls)
    if not isinstance(value, list) or not value:
        raise BetwixtError(
            f"What arrives at '{entry.id}' is {shown(value)}.",
            "A list with at least one entry is needed.",
            f"Check what is connected to '{entry.id}'.",
        )
    return [_of_wire(one, entry, entry.id, cls) for one in value]


def _of_wire(value: object, entry: io.Input, name: str, cls: type[CheckedNode]) -> object:
    if isinstance(entry, io.DynamicCombo.Input):
        return _of_option(value, entry, cls)
    if isinstance(entry, io.Autogrow.Input):
        return _of_parts(value, entry, cls)
    kind = entry.get_io_type()
    if kind in WIDGETS and value is not None:
        return checked_widget(value, entry, name, entry.id in cls.number_lists)
    return checked_value(value, kind, name)


def _of_option(value: object, entry: io.DynamicCombo.Input, cls: type[CheckedNode]) -> dict:
    """The chosen option and its inputs; those that are left out have their defaults."""
    chosen = value.get(entry.id) if isinstance(value, Mapping) else value
    option = next((option for option in entry.options if option.key == chosen), None)
    if option is None or not isinstance(value, Mapping):
        keys = ", ".join(f"'{option.key}'" for option in entry.options)
        raise BetwixtError(
            f"'{entry.id}' is {shown(chosen)}.", f"One of these is needed: {keys}.", f"Choose another '{entry.id}'."
        )
    result = dict(value)
    for inner in option.inputs:
        given = value.get(inner.id, getattr(inner, "default", None))
        if given is not None or not inner.optional:
            result[inner.id] = _of_wire(given, inner, inner.id, cls)
    return result


def _of_parts(value: object, entry: io.Autogrow.Input, cls: type[CheckedNode]) -> dict:
    if not isinstance(value, Mapping) or not any(part is not None for part in value.values()):
        raise BetwixtError(
            f"What arrives at '{entry.id}' is {shown(value)}.", "At least one part is needed.", "Connect one."
        )
    return {name: _of_wire(part, entry.template.input, name, cls) for name, part in value.items() if part is not None}
