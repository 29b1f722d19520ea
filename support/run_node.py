"""Nodes run in this process, fed as the host feeds them."""


def run(node, **inputs):
    """Execute a node on the inputs of an API graph ("timing.easing"); widgets left out have their defaults."""
    from comfy_api.latest import _io, io

    def defaults(entries, prefix=""):
        for entry in entries:
            name = prefix + entry.id
            if isinstance(entry, io.DynamicCombo.Input):
                key = inputs.setdefault(name, entry.options[0].key)
                defaults(next(option.inputs for option in entry.options if option.key == key), f"{name}.")
            elif getattr(entry, "default", None) is not None:
                inputs.setdefault(name, entry.default)

    defaults(node.GET_SCHEMA().inputs)
    _, _, dynamic = _io.get_finalized_class_inputs(node.INPUT_TYPES(), inputs)
    return node.PREPARE_CLASS_CLONE(None).execute(**_io.build_nested_inputs(inputs, dynamic)).result
