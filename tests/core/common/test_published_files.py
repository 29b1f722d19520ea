"""The list of published model files: complete for the workflows, and of one form."""

import re

import pytest
from betwixt.common.files.published_files import PUBLISHED_FILES, files_named_in

from support.workflow_files import NAMES, api_graph

MODEL_SUFFIX = re.compile(r"\.(safetensors|sft|ckpt|pth|pt|bin|tar|onnx|gguf)$")


@pytest.mark.parametrize("name", NAMES)
def test_every_model_file_that_a_workflow_names_is_published(name):
    graph = api_graph(name)
    values = {value for node in graph.values() for value in node["inputs"].values() if isinstance(value, str)}
    assert {value for value in values if MODEL_SUFFIX.search(value)} == {file.name for file in files_named_in(graph)}


def test_files_are_told_in_one_form():
    assert len({file.name for file in PUBLISHED_FILES}) == len(PUBLISHED_FILES)
    for file in PUBLISHED_FILES:
        assert all((file.folder, file.licence, file.source, file.purpose)), file.name
        assert re.fullmatch(r"(\d+(\.\d+)? or )?\d+(\.\d+)? (MB|GB)( of weights)?", file.size), file.name
        assert re.fullmatch(r"(https://(huggingface\.co|github\.com)/\S+)?", file.url), file.name
