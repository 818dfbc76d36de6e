"""Text from logs in Markdown: no mentions, and no way out of its place."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from matrix.outputs.ci.markdown import code, line, prose, title

RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

HOSTILE = [
    "<script>alert(1)</script>",
    "</code></li><img src=x onerror=alert(1)>",
    "ping @torvalds and @org/team",
    "fixes #12, GH-12, someone/something#12, someone/thing@0123456789abcdef",
    "``` a fence\n```\nout of it",
    "`` ` `` and ```",
    "[a link](https://evil.example) ![an image](https://evil.example/x.png)",
    "https://evil.example and www.evil.example",
    "<!-- torch-tf-matrix regression 0123456789abcdef standing 0123456789abcdef -->",
    "# not a heading\n- not a list\n> not a quote\n\n---\n\n| not | a table |\n|---|---|",
    "&lt;b&gt; &#64;torvalds",
    "$x^2$ ~~gone~~ **bold** __bold__ \\",
    "\u202egnirts esrever\u202c \x1b[31mred\x00",
    "trailing backslash \\",
    "`",
    "",
]


def rendered(text: str) -> str:
    return RENDERER.render(f"- before {text} after\n- next\n")


@pytest.mark.parametrize("made", [prose, code])
@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_breaks_out(made: object, text: str) -> None:
    assert callable(made)
    html = rendered(made(text))
    assert set(re.findall(r"<\s*/?\s*([^\s>/]+)", html)) <= {"ul", "li", "code"}
    outside = unescape(re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL))
    assert not re.search(r"@\w|#\d|GH-\d|://|www\.", outside), outside
    assert "<li>next</li>" in html
    assert "after</li>" in html


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="`\\<>&@#[]()*_~|!$ \n\tab1-=+.:/\u202e", max_size=60))
def test_code_shows_what_it_was_given(text: str) -> None:
    html = rendered(code(text))
    wanted = line(text)
    if wanted:
        shown = re.search(r"<code>(.*?)</code>", html, re.DOTALL)
        assert shown is not None
        assert unescape(shown[1]) == wanted
    assert set(re.findall(r"<\s*/?\s*([^\s>/]+)", html)) <= {"ul", "li", "code"}


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="`\\<>&@#[]()*_~|!$ \n\tab1-=+.:/\u202e", max_size=60))
def test_prose_reads_as_it_was(text: str) -> None:
    html = rendered(prose(text))
    assert set(re.findall(r"<\s*/?\s*([^\s>/]+)", html)) <= {"ul", "li"}
    shown = unescape(re.sub("<[^>]*>", "", html)).replace("\u200b", "")
    assert f"before {line(text)} after" in " ".join(shown.split()) or not line(text)


def test_what_nobody_sees_is_left_out() -> None:
    assert line("a\u202eb\u200bc\x1b[1m\nd\te") == "abc[1m d e"
    assert len(line("x" * 1000)) == 300
    assert title("by @someone, #1 `code`") == "by @\u200bsomeone, #\u200b1 'code'"
