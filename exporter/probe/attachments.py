"""Attachments that outlive generations of the probe: dispatchers with their slots, and hooks, all pinned."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from exporter.kernel import bpf_syscall
from exporter.kernel.bpf_map import Map
from exporter.kernel.bpf_syscall import ProgramKind
from exporter.kernel.bpffs import Pins
from exporter.kernel.dispatcher import create_slot, fill, load_dispatcher, program_in
from exporter.probe.hooks import Hook

log = logging.getLogger(__name__)


class Attachments:
    """Pinned attachments. `dispatchers` has the descriptor of each attached dispatcher by the program it calls."""

    def __init__(self, pins: Pins) -> None:
        self._pins = pins
        self.dispatchers: dict[str, int] = {}
        self._held: dict[str, int] = {}

    def attach(self, tracepoint: str, name: str, program: int, kind: ProgramKind) -> None:
        """Attach a program, loaded as `kind`, to a tracepoint in place of the present one. Raise OSError.

        If a program of another kind was attached, there is a gap of some microseconds.
        """
        if {f"link_{name}", f"slot_{name}", f"dispatcher_{name}"} <= {*self._pins.names()}:
            slot = Map.of(self._pins.get(f"slot_{name}"))
            try:
                fill(slot, program)
                self._use(name, self._pins.get(f"dispatcher_{name}"))
                return
            except OSError as error:
                log.debug("%s cannot replace the attached program: %s", name, error)
            finally:
                os.close(slot.fd)
        self.detach(name)
        slot = create_slot()
        try:
            fill(slot, program)
            dispatcher = load_dispatcher(slot, kind, f"call_{name}")
            self._use(name, dispatcher)
            link = bpf_syscall.attach(dispatcher, b"" if kind.btf_id else tracepoint.encode("ascii"))
            try:
                self._pins.pin(f"slot_{name}", slot.fd)
                self._pins.pin(f"dispatcher_{name}", dispatcher)
                self._pins.pin(f"link_{name}", link)
            finally:
                os.close(link)
        finally:
            os.close(slot.fd)

    def detach(self, name: str) -> None:
        """Detach a program. Raise OSError."""
        if f"slot_{name}" in self._pins.names():  # a link without its pin may fire until the kernel frees it
            slot = Map.of(self._pins.get(f"slot_{name}"))
            slot.remove(bytes(4))
            os.close(slot.fd)
        for kind in ("link", "dispatcher", "slot"):
            self._pins.remove(f"{kind}_{name}")
        if name in self.dispatchers:
            os.close(self.dispatchers.pop(name))

    def _use(self, name: str, dispatcher: int) -> None:
        if name in self.dispatchers:
            os.close(self.dispatchers[name])
        self.dispatchers[name] = dispatcher

    def hook(self, purpose: str) -> Hook | None:
        """Return the pinned hook for a purpose, scripts or failures. Raise OSError."""
        names = [name for name in self._pins.names() if name.startswith(f"hook_{purpose}_")]
        if not names:
            return None
        return Hook(names[0].split("_")[2], links=[self._pins.get(name) for name in names])

    def keep_hook(self, purpose: str, hook: Hook) -> None:
        """Pin a hook. Before Linux 5.15 perf events cannot be pinned: these hooks end with the process."""
        try:
            for number, link in enumerate(hook.links):
                self._pins.pin(f"hook_{purpose}_{hook.kind}_{number}", link)
        except OSError as error:
            log.debug("the hook for %s ends with this process: %s", purpose, error.strerror)
            self.drop_hook(purpose)

    def drop_hook(self, purpose: str) -> None:
        """Remove the pins of a hook. Raise OSError."""
        for name in self._pins.names():
            if name.startswith(f"hook_{purpose}_"):
                self._pins.remove(name)

    def hold(self) -> None:
        """Open a descriptor of each pinned object, so that it stays if others remove its pin. Raise OSError."""
        self._release()
        for name in self._pins.objects():
            self._held[name] = self._pins.get(name)

    def restore_pins(self) -> list[str]:
        """Pin objects again whose pins others have removed; return the names. Raise OSError, PinsUnavailable."""
        return self._pins.restore(self._held)

    def restore_slots(self, programs: Mapping[str, int]) -> list[str]:
        """Put programs, descriptors by name, back into their slots; return the slots that had others. Raise OSError."""
        restored = []
        for name in self.dispatchers:
            pin = f"slot_{name}"
            if pin in self._held:
                slot = Map.of(self._held[pin])
                if program_in(slot) != bpf_syscall.object_id(programs[name]):
                    fill(slot, programs[name])
                    restored.append(pin)
        return restored

    def _release(self) -> None:
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held = {}

    def close(self) -> None:
        """Close descriptors; attached programs stay attached."""
        self._release()
        for descriptor in self.dispatchers.values():
            os.close(descriptor)
        self.dispatchers = {}


def cost_of(directory: Path) -> str:
    """Return the mean run time of each attached program, if the kernel counts it, as text. Raise OSError."""
    costs = []
    for path in sorted(directory.glob("dispatcher_*")):
        dispatcher = bpf_syscall.pinned(os.fsencode(path))
        runs, spent = (bpf_syscall.statistic(dispatcher, name) for name in ("run_cnt", "run_time_ns"))
        os.close(dispatcher)
        if runs:
            costs.append(f"{path.name.removeprefix('dispatcher_on_')} {spent / runs:.0f} ns")
    return f"each run takes {', '.join(costs)}" if costs else "its cost is counted while kernel.bpf_stats_enabled=1"
