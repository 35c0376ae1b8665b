"""Rules that rewrite paths before they become labels, and globs that select the paths with series of their own.

Any user can execute a file with an arbitrary name of up to 4096 bytes. Expressions therefore run in RE2, which does not
backtrack: one search is linear in the length of the name, all searches of a rule at most quadratic (tens of
milliseconds). Expressions match the bytes of the name and globs its characters, both before escaping.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from functools import cache
from string import Template
from typing import Any, NamedTuple

from exporter.escape import escape, is_shortened, unescape
from exporter.events.labels import Labels
from exporter.metrics.path_presets import PRESETS
from exporter.metrics.series import OTHER

MAX_BYTES = 4096  # PATH_MAX
MAX_TEXT = 1024
EXPRESSION_MEMORY = 1 << 20  # bytes; RE2 is slower above this limit, but still linear


class _Replacement(Template):
    """`$1` and `${name}` as in Prometheus relabelling; `$$` is a dollar sign."""

    idpattern = r"(?a:[0-9]+)"
    braceidpattern = r"(?a:[0-9]+|[A-Za-z_][A-Za-z0-9_]*)"


class Rule(NamedTuple):
    """Replaces each match of `expression` with `replacement`. Both hold bytes, the latter decoded as Latin-1."""

    expression: Any
    replacement: _Replacement
    groups: Mapping[str, int]

    def apply(self, name: bytes) -> bytes:
        """Return the rewritten absolute path, or `name` unchanged if the result would exceed MAX_BYTES."""
        rewritten: bytes = self.expression.sub(self._expand, name)
        if not rewritten.startswith(b"/"):
            rewritten = b"/" + rewritten
        return rewritten if len(rewritten) <= MAX_BYTES else name

    def _expand(self, match: Any) -> bytes:
        texts = {name: (match.group(number) or b"").decode("latin-1") for name, number in self.groups.items()}
        return self.replacement.substitute(texts).encode("latin-1")


def rule(expression: str, replacement: str) -> Rule:
    """Compile a rule. Raise ValueError if the expression or the replacement is invalid."""
    try:
        import re2  # 3 MB of memory, needed only if there are rules
    except ImportError as error:
        raise ValueError("path rules need RE2 for Python, which is not installed: pip install google-re2") from error
    for text in (expression, replacement):
        if len(text) > MAX_TEXT:
            raise ValueError(f"{text[:20]!r}... is longer than {MAX_TEXT} characters")
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.dot_nl = True  # names can contain newlines
    options.log_errors = False
    options.max_mem = EXPRESSION_MEMORY
    try:
        compiled = re2.compile(expression.encode("utf-8"), options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if error.args else "unreadable"
        raise ValueError(f"{expression!r} is not an RE2 expression: {reason}") from error
    template = _Replacement(replacement.encode("utf-8").decode("latin-1"))
    if not template.is_valid():
        raise ValueError(
            f"{replacement!r} contains a $ that is not a group: write $1 or ${{name}}, or $$ for a dollar sign"
        )
    groups = {str(number): number for number in range(compiled.groups + 1)}
    groups |= {name.decode("utf-8"): number for name, number in compiled.groupindex.items()}
    for group in template.get_identifiers():
        if group not in groups:
            raise ValueError(f"{replacement!r} refers to the group {group}, which {expression!r} does not define")
    return Rule(compiled, template, groups)


class PathRules:
    """The configured path rules. Immutable, so callers may cache results.

    `rules` apply in order, each to the result of the one before. A resulting path that matches no glob of `include`
    (if there are any) or matches one of `exclude` becomes `other`. Labels that are not absolute paths (`[memfd]`,
    `unknown`, a relative interpreter of a script) are not rewritten, and no rule can produce such a label.
    """

    def __init__(self, rules: Sequence[Rule] = (), include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._rules = tuple(rules)
        self._include, self._exclude = _any(include), _any(exclude)

    def __bool__(self) -> bool:
        return bool(self._rules or self._include or self._exclude)

    def apply(self, labels: Labels) -> Labels:
        """Return the labels under which an execution is counted."""
        path = self.fold(labels.path)
        if path.startswith("/") and self._folds(path):
            return Labels(OTHER, OTHER, labels.stdin_type)
        return Labels(path, self.fold(labels.interpreter), labels.stdin_type)

    def fold(self, label: str) -> str:
        """Return a path or interpreter as the rules rewrite it; `include` and `exclude` do not matter."""
        if not self._rules or not label.startswith("/") or is_shortened(label):
            return label
        name = unescape(label)
        for each in self._rules:
            name = each.apply(name)
        return escape(name)

    def _folds(self, path: str) -> bool:
        if (not self._include and not self._exclude) or is_shortened(path):
            return False
        name = unescape(path).decode("utf-8", "surrogateescape")
        if self._include and not self._include.match(name):
            return True
        return bool(self._exclude and self._exclude.match(name))


@cache
def _builds() -> PathRules:
    try:
        return PathRules([rule(*texts) for texts in PRESETS["build"]])
    except ValueError:  # no RE2
        return PathRules()


def fold_builds(label: str) -> str:
    """Return a path with a star for each name that a build or test made up, as the preset `build` rewrites it."""
    return _builds().fold(label)


def _any(globs: Sequence[str]) -> re.Pattern[str] | None:
    """Return one expression for all globs. Those of fnmatch do not backtrack into the match of a star."""
    return re.compile("|".join(map(fnmatch.translate, globs))) if globs else None
