"""The baseline: programs that are known on this host without having been found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from exporter.catalogue.catalogue import SEEDED, Catalogue
from exporter.catalogue.finding import content_key
from exporter.catalogue.learning import Learning
from exporter.novelty.executed_file import ExecutedFile
from exporter.novelty.file_content import Content, Reader
from exporter.novelty.judge import Policy, gives_rights_away, place_of
from exporter.novelty.programs_at_start import programs_at_start

SEEDED_AT, PACKAGES = "seeded", "packages"


class Baseline:
    """Programs that ran at the start, programs that were executed while learning, and programs of trusted packages.

    All state is in the catalogue, so another process continues with it. One thread at a time.
    """

    def __init__(
        self,
        learning: Learning,
        reader: Reader,
        *,
        trust_packages: bool,
        fold: Callable[[str], str] = str,
        fold_builds: Callable[[str], str] = str,
        at_start: Callable[[], Iterable[ExecutedFile]] = programs_at_start,
    ) -> None:
        self.learning, self._reader, self._trust_packages, self._fold = learning, reader, trust_packages, fold
        self._fold_builds, self._at_start = fold_builds, at_start
        self._packages: frozenset[str] | None = None

    @property
    def policy(self) -> Policy:
        """Settings for every judgement until the next `tick`."""
        return Policy(
            learning=self.learning.active,
            installed=self._packages or frozenset(),
            is_gone=self._reader.is_gone,
            fold=self._fold,
            is_replaced=self._reader.is_replaced,
            fold_builds=self._fold_builds,
        )

    @staticmethod
    def is_seeded(catalogue: Catalogue) -> bool:
        """Return true if the catalogue is not new. Raise sqlite3.Error."""
        return catalogue.get(SEEDED_AT) is not None

    def begin(self, catalogue: Catalogue, now: float) -> None:
        """Continue with a catalogue; add to a new one the programs that are running now. Raise sqlite3.Error."""
        if not self.is_seeded(catalogue):
            contents = [self._reader.look(executed, lambda _: False) for executed in self._at_start()]
            with catalogue.transaction():
                for content in contents:
                    self._add(catalogue, content, now)
                catalogue.set(SEEDED_AT, now)
        self._packages = None
        self.learning.load(catalogue)

    def _add(self, catalogue: Catalogue, content: Content, now: float) -> None:
        """Add a running program, unless its content should be known and is not, or it is setuid and replaceable."""
        if (content.digest is not None or not self._reader.reads) and not gives_rights_away(content):
            executed, key = content.executed, content_key(content.digest, content.size)
            path = place_of(content, self._fold)
            catalogue.remember(path, key, SEEDED, now, size=content.size, scope=executed.scope)

    def tick(self, catalogue: Catalogue) -> None:
        """Advance learning, unless another process ended it; then trust the installed packages. Raise sqlite3.Error."""
        if self.learning.active:
            with catalogue.transaction():
                self.learning.tick(catalogue)
        if not self.learning.active and self._packages is None:
            self._packages = self._trusted(catalogue)

    def _trusted(self, catalogue: Catalogue) -> frozenset[str]:
        """Return the packages that were installed when learning ended."""
        if not self._trust_packages:
            return frozenset()
        packages = catalogue.get(PACKAGES)
        if packages is None:
            packages = json.dumps(sorted(self._reader.packages()))
            with catalogue.transaction():
                catalogue.set(PACKAGES, packages)
        return frozenset(json.loads(packages))
