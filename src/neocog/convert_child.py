"""One foreign file of weights on standard input, its tensors as a safetensors file on standard output.

Not a module to import: `neocog.convert` runs this file alone, as
`python -I -S -B convert_child.py SECONDS MEMORY OUTPUT KEY FOLDER...` (limits in seconds and bytes, the entry
to take or "", where torch lies), and takes what comes out as hostile.

A file of `torch.save` is a program for Python's unpickler. Two gates stand before it: the standard library
alone looks at the archive and at every opcode, and lets pass only what a state dict of tensors is made of;
then torch's restricted loader reads it, in a process that can open no file and no socket, start nothing,
and use only so much time, memory and output. It fails with a line on standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from io import BytesIO
from typing import Any, BinaryIO, NoReturn

REFUSED, DENIED, FULL, NO_TORCH = 65, 77, 74, 69  # exit codes: the file's fault, a forbidden act, disk, torch

MOST_ENTRIES = 100_000
MOST_PICKLE = 64 << 20  # bytes of names and shapes
GATE_MEMORY = 1 << 30  # bytes, for the first gate

# How torch.save has marked its files since 2017 (a pickled number) and since 1.6 (a zip archive).
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
ZIP = b"PK\x03\x04"

_OPCODES = (
    "PROTO STOP MARK GLOBAL REDUCE BUILD NEWOBJ BINPERSID NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 "
    "BINFLOAT BINUNICODE SHORT_BINSTRING EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS "
    "EMPTY_DICT SETITEM SETITEMS BINGET LONG_BINGET BINPUT LONG_BINPUT"
)
OPCODES = set(_OPCODES.split())
_STORAGES = "Float Double Half BFloat16 Long Int Short Char Byte Bool ComplexFloat ComplexDouble".split()  # noqa: SIM905
_TYPES = "uint16 uint32 uint64 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz".split()  # noqa: SIM905
NAMES = (
    {"collections OrderedDict", "torch Size", "torch.storage UntypedStorage"}
    | {f"torch._utils _rebuild_{name}" for name in ("tensor", "tensor_v2", "tensor_v3", "parameter")}
    | {f"torch {name}Storage" for name in _STORAGES}
    | {f"torch {name}" for name in _TYPES}
)
"""All that a state dict of plain tensors may name."""

FORBIDDEN = (
    *(
        "open",
        "exec",
        "compile",
        "code.__new__",
        "subprocess.",
        "socket.",
        "ctypes.dlopen",
        "pty.",
        "shutil.",
    ),
    *("tempfile.", "urllib.", "ftplib.", "smtplib.", "http.", "winreg.", "os.system", "os.exec", "os.fork"),
    *(
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "os.kill",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.mkdir",
    ),
    *("os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown", "os.putenv"),
)
"""Beginnings of the audit events that end the process once the walls stand."""


def fail(code: int, reason: object) -> NoReturn:
    sys.stderr.write(" ".join(str(reason).split())[:300] + "\n")
    sys.stderr.flush()
    os._exit(code)  # no clean-up that what was loaded could take part in


def refuse(reason: object) -> NoReturn:
    fail(REFUSED, reason)


# The first gate: the standard library alone


def inspect(file: BinaryIO) -> None:
    """Refuse whatever is not made of the opcodes and names of a state dict."""
    head = file.read(len(LEGACY))
    file.seek(0)
    if head.startswith(ZIP):
        check_pickle(BytesIO(_zipped_pickle(file)))
    elif head == LEGACY:
        for _ in range(5):  # the mark, the protocol, the machine, the state dict, the keys of its storages
            check_pickle(file)
    else:
        refuse("not a file that torch.save wrote: damaged, or of another kind")
    file.seek(0)


def _zipped_pickle(file: BinaryIO) -> bytes:
    """The pickle in a zip archive, once the archive is shown to be as torch.save makes it."""
    import zipfile

    size = os.fstat(file.fileno()).st_size
    try:
        archive = zipfile.ZipFile(file)
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if len(names) > MOST_ENTRIES or len(set(names)) != len(names):
            refuse(f"{len(names)} entries in the archive: too many, or one name twice")
        if any(entry.flag_bits & 1 or entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            refuse("the archive is compressed or encrypted, which torch.save never does")
        if sum(entry.file_size for entry in entries) > size:
            refuse("the archive says it holds more than there is")
        if any(name.endswith("/constants.pkl") for name in names):
            refuse("a TorchScript archive, which holds code: save the model's state_dict() instead")
        pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
        if len(pickles) != 1 or pickles[0].filename.count("/") != 1 or pickles[0].file_size > MOST_PICKLE:
            refuse("an archive, but not as torch.save makes it (one data.pkl of at most 64 MiB)")
        return archive.read(pickles[0])
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError) as error:
        refuse(f"damaged, not a whole zip archive ({error})")


def check_pickle(file: BinaryIO | BytesIO) -> None:
    """Read one pickle's opcodes up to its end, without doing what they say."""
    import pickletools

    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name not in OPCODES:
                refuse(f"opcode {opcode.name} is none that torch.save writes: damaged, or not its file")
            if opcode.name == "GLOBAL" and argument not in NAMES:
                name = str(argument).replace(" ", ".")
                refuse(
                    f"names {name!r}, which is no part of a plain tensor: save the model's state_dict() alone"
                )
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        refuse(f"damaged, not a whole pickle ({error})")


# The walls


def limit_memory(extra: int | None, *, for_good: bool = False) -> None:
    """Let the process use so many bytes more than now (where /proc tells how many that is); None: any."""
    try:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if extra is None:
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
            return
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            most = int(file.read().split()[0]) * resource.getpagesize() + extra
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most if for_good else hard))
    except (ImportError, OSError, ValueError):
        return  # not Linux: the parent's clock and the other limits remain


def limit_time_and_output(seconds: int, output: int) -> None:
    """From the start: processor time, the size of what is written, and no core file."""
    try:
        import resource
    except ImportError:
        return
    for what, most in (("RLIMIT_CPU", seconds), ("RLIMIT_FSIZE", output), ("RLIMIT_CORE", 0)):
        number = getattr(resource, what)
        hard = resource.getrlimit(number)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # One second more to the hard limit: at that the system kills without saying why.
        resource.setrlimit(number, (most, most + 1 if most + 1 <= hard or hard < 0 else hard))


def raise_walls(memory: int) -> None:
    """From now on: no new file, socket, process or thread, and no more memory than given."""
    limit_memory(memory, for_good=True)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))  # standard input, output and error stay
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))  # does not bind the superuser
    except (ImportError, ValueError, OSError, AttributeError):
        pass
    sys.addaudithook(_audit)


def _audit(event: str, _: object, forbidden: tuple[str, ...] = FORBIDDEN, fail: Any = fail) -> None:
    if event.startswith(forbidden):
        fail(DENIED, event)


# The second gate: torch's restricted loader


def load(file: BinaryIO, memory: int, key: str) -> dict[str, Any]:
    """The state dict in the file, or in the entry `key` of what the file holds."""
    try:
        import torch

        torch.set_num_threads(1)
        for zipped in (True, False):  # imports what loading needs, while that is allowed
            buffer = BytesIO()
            torch.save({"a": torch.zeros(1)}, buffer, _use_new_zipfile_serialization=zipped)
            buffer.seek(0)
            torch.load(buffer, weights_only=True, map_location="cpu")
    except Exception as error:
        fail(NO_TORCH, error)
    raise_walls(memory)
    try:
        content = torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:  # a damaged file can fail in any way the loader knows
        refuse(f"cannot be read as weights ({type(error).__name__}): damaged, or more than tensors")
    if key:
        if not isinstance(content, Mapping) or not isinstance(content.get(key), Mapping):
            refuse(f"has no state dict under the key '{key}'")
        content = content[key]
    return _plain(content, torch)


def _plain(content: object, torch: Any) -> dict[str, Any]:
    """Names and plain tensors on the CPU, or a refusal."""
    if not isinstance(content, Mapping):
        refuse(f"holds a {type(content).__name__}, not a state dict (names and tensors)")
    for name, value in content.items():
        if isinstance(value, Mapping):
            refuse(f"entry '{name}' is a dictionary, not a tensor: convert that entry alone (--key {name})")
        plain = isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_quantized
        if not isinstance(name, str) or name == "__metadata__" or not plain or value.device.type != "cpu":
            refuse(f"entry '{name}' is not a plain tensor: save the model's state_dict() alone")
    return {name: value.detach() for name, value in content.items()}


def write(tensors: Mapping[str, Any], most: int, out: BinaryIO) -> None:
    """The tensors in the safetensors format, one copied at a time."""
    import torch

    codes = {
        getattr(torch, name): code
        for name, code in (
            *(("float64", "F64"), ("float32", "F32"), ("float16", "F16"), ("bfloat16", "BF16")),
            *(("int64", "I64"), ("int32", "I32"), ("int16", "I16"), ("int8", "I8"), ("bool", "BOOL")),
            *(("uint64", "U64"), ("uint32", "U32"), ("uint16", "U16"), ("uint8", "U8"), ("complex64", "C64")),
            *(("float8_e4m3fn", "F8_E4M3"), ("float8_e5m2", "F8_E5M2")),
        )
    }
    header: dict[str, Any] = {}
    end = 0
    for name, tensor in tensors.items():
        if tensor.dtype not in codes:
            refuse(f"entry '{name}' is {str(tensor.dtype).removeprefix('torch.')}, which cannot be stored")
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": codes[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    if 8 + len(text) + end > most:
        refuse(f"{end} bytes of tensors from a file that does not hold so many: its tensors overlap")
    out.write(len(text).to_bytes(8, "little") + text)
    for tensor in tensors.values():
        flat = tensor.resolve_conj().resolve_neg().contiguous().reshape(-1)
        out.write(memoryview(flat.view(torch.uint8).numpy()))
    out.flush()


def main() -> None:
    seconds, memory, output = map(int, sys.argv[1:4])
    key, *folders = sys.argv[4:]
    limit_time_and_output(seconds, output)
    file, out = sys.stdin.buffer, sys.stdout.buffer
    try:
        limit_memory(GATE_MEMORY)
        inspect(file)
        limit_memory(None)  # torch itself maps much, which is not the file's doing
        sys.path += [folder for folder in folders if folder not in sys.path]
        write(load(file, memory, key), output, out)
    except (MemoryError, RuntimeError):  # what torch raises when it gets no memory
        refuse("needs more memory than a file of its size should")
    except OSError as error:
        fail(FULL, error.strerror)
    os._exit(0)


if __name__ == "__main__":
    main()
