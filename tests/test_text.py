"""Text from elsewhere, made fit for a message."""

from __future__ import annotations

import re

import pytest

from rembg_sessions.core.text import (
    LIMIT,
    quotable,
    short,
    visible,
    without_login,
    without_passwords,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:secret@host:80/x@1?y=a@b", "http://***@host:80/x@1?y=a@b"),
        ("socks5://me:se@cret@host", "socks5://***@host"),
        ("https://secret@host", "https://***@host"),
        ("me:secret@host:3128", "***@host:3128"),
        ("Failed (me:secret@host)", "Failed (***@host)"),
        ("from http://a:b@c or https://d:e@f/g", "from http://***@c or https://***@f/g"),
        ("https://host:443/model@main", "https://host:443/model@main"),
        ("https://host/a:b", "https://host/a:b"),
        (r"C:\Users\me@corp\x.onnx", r"C:\Users\me@corp\x.onnx"),
        (r"'c:\\Users\\me@corp'", r"'c:\\Users\\me@corp'"),
        (r"model_path=C:\me@corp is not", r"model_path=C:\me@corp is not"),
        (r"\\server\me@corp\x.onnx", r"\\server\me@corp\x.onnx"),
        (r"CORP\me:secret@host:3128", "***@host:3128"),
        (r"me:\secret@host", "***@host"),
        (r"c:secret@host", "***@host"),
        (r"C:\x@1 by me:secret@host", r"C:\x@1 by ***@host"),
        ("http://user:pa/ss@host", "http://***@host"),
        ("http://user:pa?ss@host:80/x", "http://***@host:80/x"),
        ("see http://u:p/a/s#s@host, or me@x", "see http://***@host, or me@x"),
        ("http://host:80/x@1", "http://host:80/x@1"),
        ("http://host:/x@1 or x", "http://host:/x@1 or x"),
    ],
)
def test_passwords_in_addresses(text, shown):
    assert without_passwords(text) == shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://user:pa/ss@127.0.0.1:1", "http://***@127.0.0.1:1"),
        ("http://user:12/ss@host", "http://***@host"),
        ("http://u:p@a/ss@host/x", "http://***@host/x"),
        ("user:p//a@host:3128", "***@host:3128"),
        ("socks5h://u@host", "socks5h://***@host"),
        ("https://host:443/x", "https://host:443/x"),
        ("", ""),
    ],
)
def test_logins_of_addresses(address, shown):
    assert without_login(address) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("Not Found", "Not Found"),
        ("größer 猫 ©", "größer 猫 ©"),
        ("\x1b[31mred\x1b[0m\r\n\tnext\x00", "[31mred [0m next"),
        ("exe.\u202egnp", "exe. gnp"),
        ("\ud800 half", "half"),
        ("at http://me:secret@host", "at http://***@host"),
        ("x" * LIMIT, "x" * LIMIT),
        ("x" * 10**6, "x" * (LIMIT - 1) + "…"),
    ],
)
def test_quotable(text, shown):
    assert quotable(text) == shown


class Unshowable:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 10_000, "'x+...x+'"),
        (list(range(100)), r"\[0, 1, .*\.\.\.\]"),
        (10**5000, "a value of type int"),
        (Unshowable(), "<Unshowable instance at .*>"),
        (None, "None"),
    ],
    ids=["long", "list", "digits", "unshowable", "none"],
)
def test_values_are_shown_short(value, shown):
    assert re.fullmatch(shown, short(value)) and len(short(value)) < 100


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("a b é 字 🌵 'x' \\", "a b é 字 🌵 'x' \\"),
        ("9\u202fPM\xa0\u3000", "9\u202fPM\xa0\u3000"),  # spaces
        ("a\n\r\t\x1b[2J\x7f\x85\0", r"a\n\r\t\x1b[2J\x7f\x85\x00"),
        ("\u202egnp\u200b\u2028\udcff", r"\u202egnp\u200b\u2028\udcff"),
    ],
)
def test_names_are_shown_whole_and_steer_nothing(text, shown):
    assert visible(text) == shown


def test_long_names_are_cut_inside():
    shown = visible("a" * 600 + "b" * 600)
    assert len(shown) == 1000 and shown == f"{'a' * 499}…{'b' * 500}"
    assert visible("a" * 1000) == "a" * 1000
