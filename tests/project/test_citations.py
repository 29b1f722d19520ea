"""Docstrings and comments cite sections as ``docs/methods/NAME.md, Section; Another section``, in brackets or at a
sentence's end, and code as ``:func:`.module.name```; every citation must lead somewhere."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = sorted((ROOT / "docs" / "methods").glob("*.md"))
TITLE = r"[A-Za-z0-9][\w ,'-]*"
CITATION = re.compile(rf"docs/methods/([a-z]+\.md), ({TITLE}(?:; {TITLE})*)")
BETWEEN_DOCUMENTS = re.compile(rf"\(`([a-z]+\.md)`, ({TITLE})\)")
CODE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):`~?(\.*)([^`]+)`")
OUTSIDE = re.compile(r"\bspec (?:[a-z_]+\.md|\d)|\((?:dwpose|fcvg|gluestick|gmflow|users)\.md")


def headings(document: Path) -> list[str]:
    """Titles of all sections."""
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)


def written_texts(source: str) -> Iterator[str]:
    """Comments and strings of Python source, white space reduced to single blanks."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield " ".join(token.string.split())


def citations(source: str) -> list[tuple[str, str]]:
    """(document, section) of every citation; the section is empty where none is named."""
    found = []
    for text in written_texts(source):
        for part in re.findall(r"docs/methods/[^/]*", text):
            match = CITATION.match(part)
            document, titles = match.groups() if match else (part, "")
            found += [(document, title.strip()) for title in titles.split(";")]
    return found


def names(source: str, module: str) -> Iterator[str]:
    """Dotted names of a module and of all that it defines or imports, however deep inside."""
    yield module
    scopes = [(module, ast.parse(source))]
    while scopes:
        scope, node = scopes.pop()
        for child in ast.iter_child_nodes(node):
            own = scope
            match child:
                case ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
                    own = f"{scope}.{child.name}"
                    yield own
                case ast.Name(ctx=ast.Store()):
                    yield f"{scope}.{child.id}"
                case ast.Attribute(ctx=ast.Store()):  # of self, in a method
                    yield f"{scope.rpartition('.')[0]}.{child.attr}"
                case ast.alias():
                    yield f"{scope}.{(child.asname or child.name).split('.')[-1]}"
            scopes.append((own, child))


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """All Python source by name, except this file's."""
    files = (path for path in ROOT.rglob("*.py") if path != Path(__file__).resolve())
    relative = {path.relative_to(ROOT): path for path in files}
    return {
        name.as_posix(): path.read_text("utf-8")
        for name, path in relative.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def test_citations_are_read_over_line_ends_and_in_lists():
    source = (
        '"""A (see\ndocs/methods/lines.md, Two\nwords; B_C)."""\nx = 1  # docs/methods/svd.md, D\n# docs/methods/\n'
    )
    assert citations(source) == [("lines.md", "Two words"), ("lines.md", "B_C"), ("svd.md", "D"), ("docs/methods/", "")]


def test_every_citation_names_a_section_that_exists(sources):
    known = {document.name: headings(document) for document in DOCUMENTS}
    found = [
        (name, *cited) for name, source in sources.items() if "docs/methods" in source for cited in citations(source)
    ]
    lost = [f"{name}: {document}, {title}" for name, document, title in found if title not in known.get(document, ())]
    assert not lost, "\n".join(lost)
    assert len(found) > 80 and {document for _, document, _ in found} == set(known)  # code leads to every document


def endings(names: Iterable[str]) -> set[str]:
    """The ends of dotted names, from a dot on."""
    return {name[place:] for name in names for place, letter in enumerate(name) if letter == "."}


def test_every_reference_to_code_leads_somewhere(sources):
    """With a leading dot, or with the folder, it is a name anywhere in the tree, else one in the same module."""
    modules = {name: name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources}
    inside = {name: endings(names(source, f".{modules[name]}")) for name, source in sources.items()}
    everywhere = set().union(*inside.values())
    cited = [(name, *match) for name, source in sources.items() if ":`" in source for match in references(source)]
    lost = [
        f"{name}: {start}{reference}"
        for name, start, reference in cited
        if f".{reference}" not in (everywhere if start or "." in reference else inside[name])
    ]
    assert not lost, "\n".join(lost)
    assert len(cited) > 150


def references(source: str) -> list[tuple[str, str]]:
    """(leading dots, name) of everything that is cited as code."""
    return [match for text in written_texts(source) for match in CODE.findall(text)]


def test_nothing_outside_the_repository_is_cited(sources):
    assert [name for name, source in sources.items() if OUTSIDE.search(" ".join(source.split()))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_references_between_sections_hold(document):
    titles, text = headings(document), document.read_text("utf-8")
    assert len(titles) == len(set(titles))
    assert all(re.fullmatch(TITLE, title) for title in titles)  # or they could not be cited
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= {title.lower().replace(" ", "-") for title in titles}
    for name, title in BETWEEN_DOCUMENTS.findall(" ".join(text.split())):
        assert title in headings(document.parent / name)


def test_tests_that_the_table_of_faults_names_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs" / "faults.md").read_text("utf-8"))
    assert len(named) > 40
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text("utf-8") if test else (ROOT / file).is_file(), f"{file} {test}"
