"""From an introduction to the executed files: the program or script, and its interpreter."""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace

from exporter.escape import escape, is_shortened, shortened, unescape
from exporter.events.decode import ExecKey, File, Identity, Introduction, KernelPath
from exporter.events.labels import Labels, path_label
from exporter.host.procfs import NOBODY, Process

MEMFD, DELETED = "[memfd]", "[deleted]"
NOWHERE = Identity(0, (0, 0), 0, 0, 0)


@dataclass(frozen=True)
class FileFacts:
    """Expected stat(2) of an unchanged file. `ctime` is in ns since the epoch, `size` in bytes, None if unknown."""

    dev: tuple[int, int]
    inode: int
    ctime: int
    size: int | None
    mode: int
    generation: int | None = None


@dataclass(frozen=True)
class ExecutedFile:
    """An executed file.

    `path` and `interpreter` are label values, which are shortened; `name` is the path in its mount namespace, None if
    it has none. `scope` is a number for the root directory of that: 0 for the host's, None if unknown. If it `runs`, it
    is /proc/<pid>/exe. A script is `invoked` by the name that its interpreter was given. `interpreter_file` is name and
    facts of a script's interpreter: a script without facts, known only as invoked, was where this interpreter is.
    `origin` is the file from which this one was copied up, with its path from the root of its filesystem: with the same
    content, no layer above was written to. `user` is the uid of the process that executed a program or script.
    """

    path: str
    interpreter: str
    name: bytes | None
    identity: Identity
    facts: FileFacts | None
    process: Process
    runs: bool = False
    script: bool = False
    invoked: bytes = b""
    memfd: bool = False
    deleted: bool = False
    upper_layer: bool = False
    interpreter_file: tuple[bytes, FileFacts] | None = None
    scope: int | None = 0
    origin: tuple[bytes, FileFacts] | None = None
    user: int | None = None

    def __post_init__(self) -> None:
        for name in ("path", "interpreter"):
            object.__setattr__(self, name, shortened(getattr(self, name)))

    @property
    def setuid(self) -> bool:
        """True if the file runs with the rights of its owner or group."""
        return bool(self.facts and self.facts.mode & (stat.S_ISUID | stat.S_ISGID))


def executed_files(
    key: ExecKey, introduction: Introduction | None, identities: tuple[Identity, Identity], labels: Labels
) -> tuple[ExecutedFile, ...]:
    """Return the program and its interpreter as far as the kernel showed their files, the program first.

    Without an introduction, labels and key show the program at most.
    """
    if introduction is None:
        return _executed_files_of_key(key, identities, labels)
    process = Process(introduction.pid, introduction.start_time, introduction.time, introduction.ppid)
    image, loader = introduction.pathname, introduction.interpreter_pathname
    if image is None:
        return ()
    if not key.has("script"):
        program = _executed(labels.path, labels.interpreter, image, introduction.program, identities[0], process)
        origin = _origin(introduction, introduction.program)
        program = replace(program, user=introduction.uid, upper_layer=key.has("upper_layer"), origin=origin)
        found = [replace(program, runs=True)]
        if loader and introduction.interpreter:
            found.append(_executed(path_label(loader), "", loader, introduction.interpreter, identities[1], process))
        return tuple(found)
    if key.has("as_invoked"):
        name = introduction.cmdpath if labels.path.startswith("[descriptor]") else _name_of(labels.path)
        script = ExecutedFile(*(labels.path, labels.interpreter, name, identities[0], None, process), scope=image.scope)
    else:
        path = introduction.script_path or KernelPath(b"")
        script = _executed(labels.path, labels.interpreter, path, introduction.script, identities[0], process)
    interpreter = path_label(loader) if loader else ""
    below = _executed(path_label(image), interpreter, image, introduction.program, identities[1], process)
    script = replace(script, script=True, invoked=introduction.cmdpath or b"", upper_layer=key.has("upper_layer"))
    interpreter_file = (image.name, _facts(introduction.program)) if introduction.program else None
    script = replace(script, user=introduction.uid, interpreter_file=interpreter_file)
    script = replace(script, origin=_origin(introduction, introduction.script))
    return script, replace(below, runs=True)


def _executed_files_of_key(
    key: ExecKey, identities: tuple[Identity, Identity], labels: Labels
) -> tuple[ExecutedFile, ...]:
    identity, below = identities
    interpreter = None if is_shortened(labels.interpreter) else unescape(labels.interpreter)
    as_invoked = key.has("as_invoked")
    if not labels.path.startswith(("/", "[")) or not (identity.inode or as_invoked):
        return ()
    program = ExecutedFile(
        path=labels.path,
        interpreter=labels.interpreter,
        name=_name_of(labels.path),
        identity=identity,
        facts=None if as_invoked else _facts_of_key(identity),
        process=NOBODY,
        script=key.has("script"),
        memfd=key.has("memfd"),
        deleted=key.has("deleted"),
        upper_layer=key.has("upper_layer"),
        interpreter_file=(interpreter, _facts_of_key(below)) if key.has("script") and interpreter else None,
        scope=None,
    )
    return (program,)


def _name_of(label: str) -> bytes | None:
    """Return the name of a file by its label; None if the label has none, or only a part of it."""
    return unescape(label) if label.startswith("/") and not is_shortened(label) else None


def _executed(
    label: str, interpreter: str, path: KernelPath, file: File | None, identity: Identity, process: Process
) -> ExecutedFile:
    return ExecutedFile(
        path=label,
        interpreter=interpreter,
        name=path.name if path.name.startswith(b"/") and not path.cut else None,
        identity=identity,
        facts=_facts(file) if file else None,
        process=process,
        memfd=label == MEMFD,
        deleted=path.deleted and not path.orphan,
        scope=path.scope,
    )


def _origin(introduction: Introduction, file: File | None) -> tuple[bytes, FileFacts] | None:
    if file is None or file.origin is None or introduction.origin_path is None:
        return None
    below = file.origin
    return introduction.origin_path, FileFacts(below.dev, below.inode, below.ctime, file.size, 0, below.generation)


def _facts_of_key(identity: Identity) -> FileFacts:
    return FileFacts(identity.dev, identity.inode, identity.ctime, None, 0, identity.generation)


def _facts(file: File) -> FileFacts:
    return FileFacts(file.dev, file.inode, file.ctime, file.size, file.mode, file.generation)


def renamed(executed: ExecutedFile, name: bytes, identity: Identity, size: int, mode: int) -> ExecutedFile:
    """Return the script with its own path and identity in place of those of its invocation."""
    orphan = name.startswith(b"/memfd:")
    facts = FileFacts(identity.dev, identity.inode, identity.ctime, size, mode)
    path = MEMFD if orphan else escape(name)
    return replace(executed, path=path, name=name, identity=identity, facts=facts, memfd=orphan)


def nested(script: ExecutedFile, name: bytes) -> ExecutedFile:
    """Return the interpreter of a script that is a script itself, known only by its name there."""
    return replace(
        script,
        path=escape(name),
        name=name,
        identity=NOWHERE,
        facts=None,
        invoked=b"",
        memfd=False,
        deleted=False,
        upper_layer=False,
        origin=None,
    )
