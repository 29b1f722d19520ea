"""Graphs of the host's own nodes."""

PICTURES = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 3, "color": 255}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    "4": {"class_type": "ImageFromBatch", "inputs": {"image": ["1", 0], "batch_index": 1, "length": 1}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "launcher"}},
}


def long_graph(seed: int = 0, nodes: int = 150) -> dict:
    """A chain of slow nodes, minutes of work in all; the host can be interrupted between two of them."""
    graph = {"0": {"class_type": "EmptyImage", "inputs": {"width": 768, "height": 768, "batch_size": 1, "color": seed}}}
    for number in range(1, nodes + 1):
        blur = {"image": [str(number - 1), 0], "blur_radius": 25, "sigma": 1.0 + number / 100}
        graph[str(number)] = {"class_type": "ImageBlur", "inputs": blur}
    graph["last"] = {"class_type": "PreviewImage", "inputs": {"images": [str(nodes), 0]}}
    return graph
