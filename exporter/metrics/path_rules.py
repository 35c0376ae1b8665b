"""Rules that rewrite paths before they become labels, and globs that say which paths get series of their own.

Any user can execute a file with any name of up to 4096 bytes, so expressions run in RE2, which does not backtrack: one
search takes time linear in the name, whatever the expression, and all searches of a rule its square at most (tens of
milliseconds). Expressions see the bytes of the name and globs its characters, not how its label escapes them.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any, NamedTuple

from exporter.escape import escape, unescape
from exporter.events.labels import Labels
from exporter.metrics.series import OTHER

MAX_BYTES = 4096  # PATH_MAX
MAX_TEXT = 1024
EXPRESSION_MEMORY = 1 << 20  # bytes; beyond it RE2 is slower, and still linear


class _Replacement(Template):
    """`$1` and `${name}` as in Prometheus' relabelling; `$$` is a dollar sign."""

    idpattern = r"(?a:[0-9]+)"
    braceidpattern = r"(?a:[0-9]+|[A-Za-z_][A-Za-z0-9_]*)"


class Rule(NamedTuple):
    """Each match of `expression` becomes `replacement`. Both hold bytes, the latter as Latin-1."""

    expression: Any
    replacement: _Replacement
    groups: Mapping[str, int]

    def apply(self, name: bytes) -> bytes:
        """The rewritten name, an absolute path again; the same where the result would be longer than a path."""
        rewritten: bytes = self.expression.sub(self._expand, name)
        if not rewritten.startswith(b"/"):
            rewritten = b"/" + rewritten
        return rewritten if len(rewritten) <= MAX_BYTES else name

    def _expand(self, match: Any) -> bytes:
        texts = {name: (match.group(number) or b"").decode("latin-1") for name, number in self.groups.items()}
        return self.replacement.substitute(texts).encode("latin-1")


def rule(expression: str, replacement: str) -> Rule:
    """A rule of its texts. Raises ValueError, which says what is wrong with them."""
    try:
        import re2  # 3 MB, for those alone who have rules
    except ImportError as error:
        raise ValueError("path rules need RE2 for Python, which is not installed: pip install google-re2") from error
    for text in (expression, replacement):
        if len(text) > MAX_TEXT:
            raise ValueError(f"{text[:20]!r}... is longer than {MAX_TEXT} characters")
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.dot_nl = True  # names have newlines too
    options.log_errors = False
    options.max_mem = EXPRESSION_MEMORY
    try:
        compiled = re2.compile(expression.encode("utf-8"), options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if error.args else "unreadable"
        raise ValueError(f"{expression!r} is not an RE2 expression: {reason}") from error
    template = _Replacement(replacement.encode("utf-8").decode("latin-1"))
    if not template.is_valid():
        raise ValueError(f"{replacement!r} has a $ that is no group: give $1 or ${{name}}, or $$ for a dollar sign")
    groups = {str(number): number for number in range(compiled.groups + 1)}
    groups |= {name.decode("utf-8"): number for name, number in compiled.groupindex.items()}
    for group in template.get_identifiers():
        if group not in groups:
            raise ValueError(f"{replacement!r} asks for the group {group}, which {expression!r} does not have")
    return Rule(compiled, template, groups)


class PathRules:
    """All of them, applied to the labels of a series. What they return does not change: the caller keeps it.

    `rules` are applied in their order, each to what the one before has made. What then matches no glob of `include`, if
    there are any, or one of `exclude`, is `other`. What is no absolute path (`[memfd]`, `unknown`, an interpreter that
    a script names relatively) is left alone, and nothing becomes such a value.
    """

    def __init__(self, rules: Sequence[Rule] = (), include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._rules = tuple(rules)
        self._include, self._exclude = _any(include), _any(exclude)

    def __bool__(self) -> bool:
        return bool(self._rules or self._include or self._exclude)

    def apply(self, labels: Labels) -> Labels:
        """The labels under which it is counted."""
        path = self._rewrite(labels.path)
        if path.startswith("/") and self._folds(path):
            return Labels(OTHER, OTHER, labels.stdin_type)
        return Labels(path, self._rewrite(labels.interpreter), labels.stdin_type)

    def _rewrite(self, label: str) -> str:
        if not self._rules or not label.startswith("/"):
            return label
        name = unescape(label)
        for one in self._rules:
            name = one.apply(name)
        return escape(name)

    def _folds(self, path: str) -> bool:
        if not self._include and not self._exclude:
            return False
        name = unescape(path).decode("utf-8", "surrogateescape")
        if self._include and not self._include.match(name):
            return True
        return bool(self._exclude and self._exclude.match(name))


def _any(globs: Sequence[str]) -> re.Pattern[str] | None:
    """One expression for several globs. Those of fnmatch do not backtrack into what a star has matched."""
    return re.compile("|".join(map(fnmatch.translate, globs))) if globs else None
