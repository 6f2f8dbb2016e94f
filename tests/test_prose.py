"""What people read: a short README, and sentences that one can say in a breath."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: What is no sentence: code, tables, headings and directives of Sphinx. A formula on a line of its own ends a sentence.
NO_PROSE = re.compile(r"^(`{3,}|~{3,}).*?^\1|\$\$.*?\$\$|^\s*\|.*?$|^#.*?$|^\{.*?$", re.DOTALL | re.MULTILINE)
IN_LINE = [
    (re.compile(r"!\[[^]]*\]\([^)]*\)"), ""),
    (re.compile(r"\[([^]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"`[^`]*`|\$[^$]*\$"), "code"),
    (re.compile(r"\b(e\.g|i\.e|et al|vs|cf|Eq|Fig)\."), r"\1"),
]
#: An item of a list or a definition is a paragraph of its own.
PARAGRAPHS = re.compile(r"\n\s*\n|\n\s*(?=[-*:] |\d+\. )")
END = re.compile(r"(?<=[.!?])[)\"*_]*\s+(?=[\"*_(\[]*[A-Z0-9]|code)")
MOST_WORDS = 40


def sentences(text: str) -> list[str]:
    """Return the sentences of a page in Markdown, without code, formulas, tables and headings."""
    text = NO_PROSE.sub("\n\n", text)
    for pattern, instead in IN_LINE:
        text = pattern.sub(instead, text)
    return [" ".join(s.split()) for block in PARAGRAPHS.split(text) for s in END.split(block) if s.strip()]


def words(sentence: str) -> int:
    """Return the number of words: what holds a letter or a digit."""
    return sum(bool(re.search(r"\w", word)) for word in sentence.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_sentence_is_longer_than_forty_words(page):
    long = [s for s in sentences(page.read_text(encoding="utf-8")) if words(s) > MOST_WORDS]
    assert not long, "\n\n".join(f"{words(s)} words: {s}" for s in long)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One. Two `a.b. C` three.", ["One.", "Two code three."]),
        ("# Title\n\nText, e.g. A or 0.5 km.\n\n| a | b. C |\n", ["Text, e.g A or 0.5 km."]),
        ("Where $$x. Y$$ is. [A link. B](c.md).", ["Where", "is.", "A link.", "B."]),
        ("- one\n- two\n  lines\n\n```python\na. B\n```\n", ["- one", "- two lines"]),
        ("term\n: Its meaning.\n", ["term", ": Its meaning."]),
    ],
)
def test_sentences_are_found(text, found):
    assert sentences(text) == found
