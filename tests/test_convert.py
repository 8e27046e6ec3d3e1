"""Foreign files of weights: converted bit for bit, in a process that can do nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import warnings
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from neocog import convert_child
from neocog.backbones.weights import load_weights, read_weights
from neocog.cli import main
from neocog.convert import convert_weights, read_foreign, read_own
from neocog.errors import CheckpointError, DiskError, UsageError
from neocog.weights import digest


def bits(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def some_tensors() -> dict[str, Tensor]:
    made = torch.Generator().manual_seed(0)
    base = torch.randn(4, 6, generator=made)
    return {
        "plain": base,
        "shared": base,
        "transposed": base.T,
        "row": base[1],
        "empty": torch.zeros(0, 4),
        "scalar": torch.tensor(3.5),
        "half": torch.randn(3, generator=made).half(),
        "brain": torch.randn(3, generator=made).bfloat16(),
        "double": torch.randn(3, generator=made, dtype=torch.float64),
        "whole": torch.tensor([-(2**62), 7]),
        "bytes": torch.arange(3, dtype=torch.uint8),
        "flags": torch.tensor([True, False]),
        "unsigned": torch.arange(3).to(torch.uint16),
        "eight": torch.ones(3).to(torch.float8_e4m3fn),
        "parameter": nn.Parameter(torch.ones(2)),
        "name with ü\nand more": torch.zeros(1),
    }


def saved(path: Path, content: object, *, old: bool = False) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, path, _use_new_zipfile_serialization=not old)
    return path


@pytest.mark.parametrize("old", [False, True])
def test_tensors_come_back_bit_for_bit(old: bool, tmp_path: Path) -> None:
    tensors = some_tensors()
    if old:
        del tensors["unsigned"], tensors["eight"]  # younger than that format
    state = OrderedDict(tensors)
    state._metadata = OrderedDict(version=1)  # type: ignore[attr-defined]  # as Module.state_dict has it
    done = convert_weights(saved(tmp_path / "some.pth", state, old=old), tmp_path / "new" / "some")
    back = read_own(done.path)
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert back[name].shape == tensor.shape
        assert bits(back[name]) == bits(tensor)


def test_the_command_writes_a_folder_that_weights_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    source = saved(tmp_path / "two.pt", {"epoch": 3, "state_dict": model.state_dict()})
    (tmp_path / "two").mkdir()
    words = ["convert-weights", str(source), str(tmp_path / "two"), "--key", "state_dict", "--json", "-"]
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out)
    data = (tmp_path / "two" / "weights.safetensors").read_bytes()
    assert result["tensors"] == 7
    assert result["sha256"] == digest(data)
    manifest = json.loads((tmp_path / "two" / "MANIFEST.json").read_text())
    assert manifest["files"] == {"weights.safetensors": {"bytes": len(data), "sha256": digest(data)}}
    assert manifest["source"] == {"name": "two.pt", "sha256": digest(source.read_bytes())}
    assert manifest["tensors"]["0.weight"] == ["float32", [4, 3, 3, 3]]
    for given in (tmp_path / "two", tmp_path / "two" / "weights.safetensors"):
        other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        load_weights("two", other, given)
        for name, value in other.state_dict().items():
            assert bits(value) == bits(model.state_dict()[name])


def test_what_cannot_be_converted_is_one_line(tmp_path: Path) -> None:
    source = tmp_path / "some.pth"
    source.write_bytes(b"x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for folder in ("full", "some.pth"):
        with pytest.raises(UsageError, match="exists already"):
            convert_weights(source, tmp_path / folder)
    with pytest.raises(UsageError, match="safetensors already"):
        convert_weights(tmp_path / "a.safetensors", tmp_path / "new")
    with pytest.raises(CheckpointError, match=r"absent\.pth: cannot be read \(No such file"):
        convert_weights(tmp_path / "absent.pth", tmp_path / "new")
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_foreign(tmp_path)
    assert not (tmp_path / "new").exists()


def test_another_key_is_one_line(tmp_path: Path) -> None:
    source = saved(tmp_path / "some.pth", {"model": {"a": torch.ones(1)}})
    with pytest.raises(CheckpointError, match="no state dict under the key 'state_dict'"):
        read_foreign(source, "state_dict")


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], convert_child.FULL)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(DiskError, match="TMPDIR"):
        read_foreign(saved(tmp_path / "some.pth", {}))


def test_a_reader_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object, timeout: float, **__: object) -> None:
        raise subprocess.TimeoutExpired([], timeout)

    monkeypatch.setattr(subprocess, "run", late)
    with pytest.raises(CheckpointError, match="not read within 120 s"):
        read_foreign(saved(tmp_path / "some.pth", {}))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-11, "SIGSEGV"),
        (-24, "took too long"),
        (-9, "SIGKILL"),
        (1, "failed with 1"),
        (77, "hostile"),
        (69, "torch"),
    ],
)
def test_a_reader_that_fails(code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], code)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(CheckpointError, match=words) as caught:
        read_weights(saved(tmp_path / "some.pth", {}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", ["2.9.1", "2.5.0+cpu", "1.13", "unknown"])
def test_a_torch_with_known_holes_reads_nothing(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(CheckpointError, match=r"install 2\.10 or newer"):
        read_foreign(saved(tmp_path / "some.pth", {}))


# The walls of the process that reads

BEHIND_THE_WALLS = """
import importlib.util, os, socket, sys
place = importlib.util.spec_from_file_location("child", sys.argv[1])
child = importlib.util.module_from_spec(place)
place.loader.exec_module(child)
exec("def act():\\n    " + sys.argv[3])
if sys.argv[2] == "limits":
    child._audit = lambda *_: None
child.limit_time_and_output(1, 1 << 20)
child.raise_walls(64 << 20)
try:
    act()
except (OSError, MemoryError) as error:
    print(type(error).__name__, file=sys.stderr, flush=True)
    os._exit(1)
os._exit(0)
"""


def behind(kind: str, text: str) -> tuple[int, str]:
    """Exit code and words of a process that raises the walls and then tries something."""
    words = [sys.executable, "-I", "-S", "-c", BEHIND_THE_WALLS, str(convert_child.__file__), kind, text]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stderr.strip()


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (f"open({str(Path(__file__))!r})", "open"),
        ("os.system('true')", "os.system"),
        ("os.fork()", "os.fork"),
        ("os.execv('/bin/true', ['true'])", "os.exec"),
        ("os.posix_spawn('/bin/true', ['true'], {})", "os.posix_spawn"),
        ("socket.socket()", "socket.__new__"),
        ("os.remove('/nowhere/at/all')", "os.remove"),
        ("eval('1')", "compile"),
    ],
)
def test_a_forbidden_act_ends_the_process(text: str, event: str) -> None:
    assert behind("all", text) == (convert_child.DENIED, event)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limits are Linux's")
@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f"open({str(Path(__file__))!r})", "OSError"),
        ("os.pipe()", "OSError"),
        ("socket.socket()", "OSError"),
        ("bytearray(1 << 30)", "MemoryError"),
        ("os.write(1, b'x')", ""),
    ],
)
def test_the_system_enforces_the_walls_too(text: str, error: str) -> None:
    """Without the audit hook."""
    assert behind("limits", text) == (1 if error else 0, error)


def test_processor_time_is_limited() -> None:
    assert behind("all", "while True: pass") == (-signal.SIGXCPU, "")


def test_the_gate_lets_pass_only_plain_tensors(tmp_path: Path) -> None:
    """What torch's own restricted loader would take, and a state dict has no use for, is refused too."""
    for number, value in enumerate((torch.eye(3).to_sparse(), {1, 2}, torch.device("cpu"), 1j)):
        path = saved(tmp_path / f"{number}.pth", {"a": value})
        with pytest.raises(CheckpointError, match="names '"):
            read_foreign(path)
