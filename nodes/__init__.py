"""ComfyUI nodes: schema, validation, host calls. The methods themselves live in the cores."""
