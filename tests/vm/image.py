"""BTF of a kernel and of its modules, from their files: the same types as /sys/kernel/btf has once the kernel runs."""

import lzma
import struct
import subprocess
import zlib

BTF_HEADER = b"\x9f\xeb\x01\x00\x18\x00\x00\x00"  # magic, version, flags, size of the header
HEADER = struct.Struct("<8xIIII")
VMLINUX_TYPES_LEAST = 1 << 20
COMMANDS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4", b"\x04\x22\x4d\x18": "lz4"}


class ImageError(ValueError):
    """The file has an unexpected format."""


def vmlinux_btf(image):
    """Return the BTF in a vmlinuz: a bzImage, or an arm64 Image, plain or compressed with gzip."""
    kernel = decompress(_payload(image) if image[0x202:0x206] == b"HdrS" else image)
    at = -1
    while (at := kernel.find(BTF_HEADER, at + 1)) >= 0:
        types_at, types_size, strings_at, strings_size = HEADER.unpack_from(kernel, at)
        if types_at == 0 and strings_at == types_size > VMLINUX_TYPES_LEAST:
            return kernel[at : at + 24 + strings_at + strings_size]
    raise ImageError("no BTF in the kernel image")


def _payload(image):
    """Return the compressed kernel in a bzImage (Documentation/arch/x86/boot.rst)."""
    sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * 512 + offset
    payload = image[start : start + length]
    # the build appends the size to the compressed kernel, which zstd and lz4 would read as more data
    return payload[:-4] if payload[:4] in COMMANDS else payload


def module_btf(data):
    """Return the BTF of a module, or None if it has none."""
    module = decompress(data)
    if module[:6] != b"\x7fELF\2\1":
        raise ImageError("a module that is no 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", module, 40)
    size, count, names = struct.unpack_from("<HHH", module, 58)
    sections = [struct.unpack_from("<IIQQQQ", module, table + size * index) for index in range(count)]
    names_at = sections[names][4]
    for name, _, _, _, offset, length in sections:
        start = names_at + name
        if module[start : module.index(0, start)] == b".BTF":
            return module[offset : offset + length]
    return None


def decompress(data):
    """Decompress a kernel or a module, whichever compression it has."""
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(data)
    if data[:2] == b"\x1f\x8b":
        return zlib.decompressobj(31).decompress(data)
    command = COMMANDS.get(data[:4])
    if command:
        return subprocess.run([command, "-dcq"], input=data, capture_output=True, check=True).stdout
    return data
