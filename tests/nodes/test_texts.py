"""Interface texts: the English file is what the schemas say, the translations have the same keys."""

import json

import pytest

from tools.collect_texts import TRANSLATIONS, differences, english, keys, locale_file


@pytest.fixture(scope="module")
def texts(pack_nodes):
    return english()


def test_the_english_texts_are_those_of_the_schemas(texts):
    assert json.loads(locale_file("en").read_text(encoding="utf-8")) == texts


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_a_translation_has_every_text_and_no_other(texts, language):
    assert differences(language, texts) == []


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_a_translation_is_written_in_its_script(texts, language):
    start, stop = {"ko": ("가", "힣"), "zh": ("一", "鿿")}[language]
    translated = json.loads(locale_file(language).read_text(encoding="utf-8"))
    prose = [entry["description"] for entry in translated.values()]
    prose += [text["tooltip"] for entry in translated.values() for text in entry["inputs"].values()]
    assert [text for text in prose if not any(start <= character <= stop for character in text)] == []


def test_empty_texts_do_not_count_as_keys():
    assert list(keys({"A": {"description": "x", "inputs": {"b": {"tooltip": ""}}}})) == ["A/description"]
