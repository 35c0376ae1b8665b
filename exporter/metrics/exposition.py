"""The exposition for scrapes: collected, rendered and compressed once for all overlapping scrapes."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

from exporter.metrics.family import AnyFamily
from exporter.metrics.render import FORMATS, Format, Renderer
from exporter.metrics.selection import ALL, Selection

GZIP_LEVEL = 1  # takes a tenth of the time of level 9 for a body that is a fifth larger


class Exposition:
    """The rendered result of `families`, which is called with the collectors to run, None for all.

    With `created`, OpenMetrics has created timestamps. Belongs to one event loop. Rendering and compressing run in one
    thread each, so neither blocks other requests.
    """

    def __init__(
        self, families: Callable[[Collection[str] | None], Iterable[AnyFamily]], *, created: bool = True
    ) -> None:
        self._families = families
        self._renderers = {text_format: Renderer(text_format, created=created) for text_format in FORMATS}
        self._running: dict[tuple[Format, bool, Selection], asyncio.Task[bytes]] = {}
        self._render_thread = ThreadPoolExecutor(1, "render")
        self._gzip_thread = ThreadPoolExecutor(1, "gzip")

    def render(self, text_format: Format, selection: Selection = ALL) -> bytes:
        """Collect and render in the calling thread. Not thread-safe: one caller at a time."""
        return self._renderers[text_format].render(self._families(selection.collectors), selection)

    async def body(self, text_format: Format, compressed: bool, selection: Selection = ALL) -> bytes:
        """Return the body that a concurrent request for the same is already waiting for, or a new one."""
        key = text_format, compressed, selection
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._make(*key))
            task.add_done_callback(lambda _: self._running.pop(key))
        return await asyncio.shield(task)

    async def _make(self, text_format: Format, compressed: bool, selection: Selection) -> bytes:
        loop = asyncio.get_running_loop()
        if not compressed:
            return await loop.run_in_executor(self._render_thread, self.render, text_format, selection)
        body = await self.body(text_format, False, selection)
        return await loop.run_in_executor(self._gzip_thread, lambda: gzip.compress(body, GZIP_LEVEL, mtime=0))

    def close(self) -> None:
        """End both threads."""
        self._render_thread.shutdown()
        self._gzip_thread.shutdown()
