"""Help pages in three languages: the same inputs and outputs with the same ranges, headings, pictures and tables."""

import json
import re

import pytest

from support.bootstrap import ROOT
from tools.collect_texts import TRANSLATIONS, locale_file

DOCS = ROOT / "web" / "docs"
PAGES = sorted(page.stem for page in DOCS.glob("*.md"))
HEADINGS = {
    "Inputs": {"ko": "입력", "zh": "输入"},
    "Outputs": {"ko": "출력", "zh": "输出"},
    "Recipe": {"ko": "사용법", "zh": "用法"},
    "Differences from the reference": {"ko": "원본과 다른 점", "zh": "与原版的区别"},
    "Memory": {"ko": "메모리", "zh": "内存"},
    "Time and memory": {"ko": "시간과 메모리", "zh": "时间和内存"},
    "Memory and time": {"ko": "메모리와 시간", "zh": "内存和时间"},
}
NAME = re.compile(r"`(\w+)`|\*\*(\w+)\*\*")
HEAD = re.compile(r"^\|.*\n(?=\|--)", re.MULTILINE)  # of a table
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def text(node: str, language: str | None = None) -> str:
    page = DOCS / f"{node}.md" if language is None else DOCS / node / f"{language}.md"
    return page.read_text("utf-8")


def headings(page: str) -> list[str]:
    return re.findall(r"^## (.+)$", page, re.MULTILINE)


def sections(page: str) -> list[str]:
    """The texts under the headings, in order."""
    return re.split(r"^## .+$", page, flags=re.MULTILINE)[1:]


def items(section: str) -> list[tuple[str, ...]]:
    """The names at the beginning of each list item and table row, in order."""
    section = HEAD.sub("", section)
    lines = [line for line in section.splitlines() if line.startswith(("- ", "| `"))]
    heads = [re.split(r"[:：(（]|(?<!^)\|" if line.startswith("- ") else r"(?<!^)\|", line)[0] for line in lines]
    return [tuple(one or other for one, other in NAME.findall(head)) for head in heads]


def ranges(section: str) -> list[list[str]]:
    """The numbers in the brackets behind the names of list items, and in the second column of table rows."""
    found = []
    section = HEAD.sub("", section)
    for line in section.splitlines():
        if line.startswith("- **"):
            first = re.match(r"- [^:：(（]*[(（](.*?)[)）][:：]", line)
            found.append(sorted(NUMBER.findall(first[1])) if first else [])
        elif line.startswith("| `"):
            found.append(sorted(NUMBER.findall(line.split("|")[2])))
    return found


def test_every_page_is_there_in_every_language():
    for language in TRANSLATIONS:
        assert sorted(page.parent.name for page in DOCS.glob(f"*/{language}.md")) == PAGES


@pytest.mark.parametrize("language", TRANSLATIONS)
@pytest.mark.parametrize("node", PAGES)
def test_a_translation_says_what_the_page_says(node, language):
    page, translated = text(node), text(node, language)
    names = json.loads(locale_file(language).read_text("utf-8"))
    assert translated.startswith(f"# {names[node]['display_name']}\n")
    expected = [HEADINGS.get(heading, {}).get(language) for heading in headings(page)]
    assert [known and other for known, other in zip(expected, headings(translated), strict=True)] == expected
    assert re.findall(r"\]\((pictures/.+?)\)", translated) == re.findall(r"\]\((pictures/.+?)\)", page)
    for heading, section, other in zip(headings(page), sections(page), sections(translated), strict=True):
        assert len(re.findall(r"^\|", other, re.MULTILINE)) == len(re.findall(r"^\|", section, re.MULTILINE)), heading
        if heading in ("Inputs", "Outputs"):
            assert items(other) == items(section), heading
        if heading == "Inputs":
            assert ranges(other) == ranges(section)


@pytest.mark.parametrize("language, start, stop", [("ko", "가", "힣"), ("zh", "一", "鿿")])
def test_a_translation_is_written_in_its_script(language, start, stop):
    for node in PAGES:
        for line in text(node, language).splitlines():
            prose = re.sub(r"`[^`]*`|\([^)]*\)|\*[^*]*\*", "", line)
            words = re.findall(r"[A-Za-z]{3,}", prose)
            assert len(words) < 12 or any(start <= letter <= stop for letter in prose), (node, line)


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_nodes_are_called_as_on_the_graph(language):
    """A page that names another node in English where its name in the interface is another."""
    names = json.loads(locale_file(language).read_text("utf-8"))
    english = {entry["display_name"]: node for node, entry in json.loads(locale_file("en").read_text()).items()}
    for node in PAGES:
        others_left_out = re.sub(r"controlnet_aux *[의的] *\*[^*]+\*", "", text(node, language))
        for name in re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", others_left_out):
            assert name not in english or names[english[name]]["display_name"] == name, (node, name)


def test_a_stale_translation_is_noticed():
    section = "- **a**, **b** (0..5, default 2): text 7\n- **c** (optional): x\n| `d` | 1..9 (3) | y 8 |\n"
    assert items(section) == [("a", "b"), ("c",), ("d",)]
    assert ranges(section) == [["0", "2", "5"], [], ["1", "3", "9"]]
    assert ranges("- **a**、**b**（0..6，默认 2）：文 7\n") == [["0", "2", "6"]]
