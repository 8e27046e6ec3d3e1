"""Weight files: fetched once and verified, checked key by key, and never run."""

from __future__ import annotations

import hashlib
import pickle
import socket
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Thread

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from neocog.backbones import weights
from neocog.backbones.resnet import resnet18
from neocog.backbones.weights import PUBLISHED, PublishedWeights, fetch, load_weights, read_weights
from neocog.errors import CheckpointError, DiskError, NeocogError, UsageError


class Tiny(nn.Module):
    """A backbone with every kind of entry a real one has, head included if `classes`."""

    def __init__(self, classes: int | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.bn1 = nn.BatchNorm2d(4)
        self.fc = None if classes is None else nn.Linear(4, classes)


def randomised(module: nn.Module) -> dict[str, torch.Tensor]:
    state = {
        name: torch.rand_like(value.float()).to(value.dtype) for name, value in module.state_dict().items()
    }
    return {name: value + 7 if name.endswith("tracked") else value for name, value in state.items()}


def same(module: nn.Module, state: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


def complaint(path: Path, module: nn.Module, kind: type[NeocogError] = CheckpointError) -> str:
    """The one line that loading raises; it names the file, and the module is as it was before."""
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(kind) as caught:
        load_weights("tiny", module, path)
    assert same(module, before)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A file of weights with a head of ten classes, and what is in it."""
    state = randomised(Tiny(10))
    torch.save(state, tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth", state


# Published files


def test_published_digests_and_sizes_agree_with_names_and_networks():
    for name, published in PUBLISHED.items():
        assert published.file.endswith(f"-{published.sha256}.pth")
        assert published.url.startswith("https://download.pytorch.org/models/")
        assert name in published.file
    parameters = {"vgg16": 138_357_544, "resnet18": 11_689_512, "resnet101": 44_549_160}
    for name, count in parameters.items():  # four bytes each, and the archive's overhead
        assert 4 * count < PUBLISHED[name].megabytes * 2**20 < 4.02 * count


@pytest.fixture
def served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: tuple[Path, dict[str, torch.Tensor]]
) -> Iterator[tuple[PublishedWeights, list[str], Path]]:
    """The saved file as published by a server on this machine: (its entry, paths asked for, the cache)."""
    requests: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            requests.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    path, _ = saved
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    url = f"http://127.0.0.1:{server.server_port}/{path.name}"
    published = PublishedWeights(url, digest, path.stat().st_size / 2**20)
    cache = tmp_path / "deep" / "cache"
    monkeypatch.setenv("NEOCOG_CACHE", str(cache))
    monkeypatch.setitem(PUBLISHED, "tiny", published)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield published, requests, cache
    server.shutdown()
    server.server_close()


def test_published_weights_are_fetched_once(served, saved):
    _, requests, cache = served
    for _ in range(2):
        model = Tiny(10)
        load_weights("tiny", model, "imagenet")
        assert same(model, saved[1])
    assert len(requests) == 1
    assert [file.name for file in cache.iterdir()] == ["tiny.pth"]


def test_a_damaged_cache_is_fetched_again(served, saved):
    published, requests, cache = served
    cached = fetch(published)
    content = bytearray(cached.read_bytes())
    content[len(content) // 2] ^= 1
    cached.write_bytes(content)
    assert fetch(published).read_bytes() == saved[0].read_bytes()
    assert len(requests) == 2


def test_progress_is_told(served):
    seen = []
    published, _, _ = served
    path = fetch(published, lambda done, total: seen.append((done, total)))
    size = path.stat().st_size
    assert seen[-1] == (size, size)


def test_what_has_another_digest_is_not_kept(served):
    published, _, cache = served
    with pytest.raises(CheckpointError, match=r"not 00000000\.\.\..*put the right file at .*tiny\.pth"):
        fetch(PublishedWeights(published.url, "00000000", published.megabytes))
    assert not list(cache.iterdir())


def test_without_a_server_the_remedy_is_named(served):
    published, _, cache = served
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/tiny.pth"
        for wrong in (url, published.url.replace("tiny", "absent")):
            entry = PublishedWeights(wrong, published.sha256, published.megabytes)
            with pytest.raises(CheckpointError) as caught:
                fetch(entry)
            message = str(caught.value)
            assert "\n" not in message
            assert message.endswith(f"put it at {cache / entry.file}")
    assert not list(cache.iterdir())


def test_a_file_put_into_the_cache_by_hand_needs_no_network(served, saved):
    _, requests, cache = served
    cache.mkdir(parents=True)
    (cache / "tiny.pth").write_bytes(saved[0].read_bytes())
    model = Tiny(10)
    load_weights("tiny", model, "imagenet")
    assert same(model, saved[1])
    assert not requests


def test_a_cache_that_cannot_be_made_is_a_disk_error(served, tmp_path, monkeypatch):
    published, _, _ = served
    (tmp_path / "file").touch()
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DiskError, match="NEOCOG_CACHE"):
        fetch(published)


def test_the_cache_is_in_the_home_unless_told(monkeypatch):
    monkeypatch.delenv("NEOCOG_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/somewhere")
    assert weights.cache_folder() == Path("/somewhere/.cache/neocog")


def test_a_backbone_without_published_weights_is_named():
    with pytest.raises(UsageError, match="'compact': there are for alexnet, vgg16, resnet18"):
        load_weights("compact", Tiny(), "imagenet")


def test_import_touches_no_network(monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    monkeypatch.setattr(socket, "create_connection", None)
    monkeypatch.setattr(socket, "getaddrinfo", None)
    spec = spec_from_file_location("fresh_weights", weights.__file__)
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fresh_weights", module)
    spec.loader.exec_module(module)
    assert module.PUBLISHED.keys() == PUBLISHED.keys()


# Local files


def test_both_formats_load(tmp_path, saved):
    path, state = saved
    save_file(state, tmp_path / "tiny.safetensors")
    for file in (path, str(tmp_path / "tiny.safetensors")):
        model = Tiny(10)
        load_weights("tiny", model, file)
        assert same(model, state)


def test_the_head_is_passed_over_without_classes(tmp_path, saved):
    path, state = tmp_path / "tiny.safetensors", saved[1]
    save_file(state, path)
    model = Tiny()
    load_weights("tiny", model, path)
    assert same(model, state)
    state["fc.weight"][0, 0] = torch.nan  # published SSD files have such heads
    save_file(state, path)
    load_weights("tiny", model, path)


def test_a_real_network_loads(tmp_path):
    state = randomised(resnet18(10))
    torch.save(state, tmp_path / "resnet18.pth")
    model = resnet18()
    load_weights("resnet18", model, tmp_path / "resnet18.pth")
    assert same(model, state)


def test_old_files_without_counters_and_half_precision_load(tmp_path):
    state = {name: value for name, value in randomised(Tiny(10)).items() if not name.endswith("tracked")}
    state["conv1.weight"] = state["conv1.weight"].half()
    torch.save(state, tmp_path / "old.pt")
    model = Tiny(10)
    load_weights("tiny", model, tmp_path / "old.pt")
    assert same(model, state | {"bn1.num_batches_tracked": torch.tensor(0)})
    assert model.conv1.weight.dtype == torch.float32


def test_what_does_not_fit_is_named_with_its_shape(tmp_path, saved):
    state, path = saved[1], tmp_path / "tiny.safetensors"

    def rejected(**changes: torch.Tensor | None) -> str:
        changed = {k: v for k, v in {**state, **changes}.items() if v is not None}
        save_file(changed, path)
        return complaint(path, Tiny(10))

    assert "lacks 'conv1.bias' (4,)" in rejected(**{"conv1.bias": None})
    assert "has 'conv9.bias' (2,)" in rejected(**{"conv9.bias": torch.rand(2)})
    wrong = rejected(**{"conv1.weight": torch.rand(4, 3, 5, 5)})
    assert "'conv1.weight' is (4, 3, 5, 5), Tiny has (4, 3, 3, 3)" in wrong
    assert "'bn1.running_var' holds values that are not finite" in rejected(
        **{"bn1.running_var": torch.tensor([1, 1, torch.inf, 1])}
    )
    assert "'conv1.bias' is torch.int64" in rejected(**{"conv1.bias": torch.arange(4)})
    assert "not finite" in rejected(**{"conv1.bias": torch.full((4,), 1e300, dtype=torch.float64)})


def test_another_number_of_classes_is_reported_with_the_remedy(tmp_path, saved):
    save_file(saved[1], tmp_path / "tiny.safetensors")
    message = complaint(tmp_path / "tiny.safetensors", Tiny(3))
    assert "'fc.weight' is (10, 4), Tiny has (3, 4): build it with as many classes, or none" in message


def test_a_head_that_the_file_lacks_is_reported(tmp_path):
    save_file(randomised(Tiny()), tmp_path / "headless.safetensors")
    assert "lacks 'fc.weight' (10, 4)" in complaint(tmp_path / "headless.safetensors", Tiny(10))


def test_absent_and_unknown_files_are_named(tmp_path):
    assert "no such file" in complaint(tmp_path / "absent.pth", Tiny())
    assert "no such file" in complaint(tmp_path / "absent.safetensors", Tiny())
    (tmp_path / "notes.txt").write_text("weights")
    assert "expected .pth, .pt or .safetensors" in complaint(tmp_path / "notes.txt", Tiny())
    (tmp_path / "folder.pth").mkdir()
    assert "no such file" in complaint(tmp_path / "folder.pth", Tiny())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_cut_files_are_refused(tmp_path, saved, suffix):
    if suffix == ".pth":
        whole = saved[0].read_bytes()
    else:
        save_file(saved[1], tmp_path / "whole.safetensors")
        whole = (tmp_path / "whole.safetensors").read_bytes()
    path = tmp_path / f"cut{suffix}"
    for part in range(20):
        path.write_bytes(whole[: len(whole) * part // 20])
        complaint(path, Tiny(10))


class Canary:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_code_in_a_file_does_not_run(tmp_path):
    canary = tmp_path / "canary"
    torch.save({"conv1.weight": Canary(canary)}, tmp_path / "hostile.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Canary(canary)))
    for name in ("hostile.pth", "plain.pth"):
        message = complaint(tmp_path / name, Tiny())
        assert "weights_only" not in message  # torch's own advice is how to run it after all
    assert not canary.exists()


@pytest.mark.parametrize(
    "content",
    [torch.rand(3), [1, 2], {"state_dict": {"a": torch.rand(1)}}, {"a": 1.0}, {1: torch.rand(1)}],
    ids=["tensor", "list", "nested", "number", "numbered"],
)
def test_only_names_with_tensors_are_weights(tmp_path, content):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"odd\.pth: (holds a|entry)"):
        read_weights(tmp_path / "odd.pth")


def test_sparse_tensors_are_refused(tmp_path):
    torch.save({"a": torch.eye(3).to_sparse()}, tmp_path / "sparse.pth")
    with pytest.raises(CheckpointError, match="_rebuild_sparse_tensor', which is no part of a plain tensor"):
        read_weights(tmp_path / "sparse.pth")
