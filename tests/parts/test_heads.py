"""Region heads: truncation is the truncated SVD, and saves what the paper says."""

from __future__ import annotations

import numpy as np
import torch

from neocog.parts.heads import MeanHead, TwoLayerHead


def test_truncation_is_the_singular_value_decomposition() -> None:
    torch.manual_seed(0)
    head = TwoLayerHead(8, 3, 20, 4).eval()
    weights = [layer.weight.detach().double().numpy() for layer in (head.fc6, head.fc7)]
    biases = [layer.bias.detach().clone() for layer in (head.fc6, head.fc7)]
    head.truncate((5, 3))
    for layer, weight, bias, rank in zip((head.fc6, head.fc7), weights, biases, (5, 3), strict=True):
        u, s, v = np.linalg.svd(weight, full_matrices=False)
        wanted = (u[:, :rank] * s[:rank]) @ v[:rank]
        product = (layer[1].weight @ layer[0].weight).detach().numpy()
        np.testing.assert_allclose(product, wanted, atol=1e-5)
        assert layer[0].bias is None
        assert torch.equal(layer[1].bias, bias)


def test_full_rank_and_zero_change_nothing() -> None:
    torch.manual_seed(0)
    head = TwoLayerHead(4, 2, 10, 3).eval()
    pooled = torch.randn(6, 4, 2, 2)
    before = head(pooled)
    head.truncate((0, 500))
    for old, new in zip(before, head(pooled), strict=True):
        assert torch.equal(old, new)


def test_norm_is_folded_before_truncation() -> None:
    torch.manual_seed(0)
    head = TwoLayerHead(8, 2, 16, 3, norm=True).eval()
    folded = TwoLayerHead(8, 2, 16, 3).eval()
    for name in ("fc6", "fc7"):
        setattr(head, name, torch.nn.Sequential(getattr(folded, name), torch.nn.Identity()))
    head.logits, head.deltas = folded.logits, folded.deltas
    head.truncate((4, 4))
    assert head(torch.randn(2, 8, 2, 2))[0].shape == (2, 4)


def test_mean_head_reads_the_mean() -> None:
    torch.manual_seed(0)
    head = MeanHead(5, 2)
    pooled = torch.randn(3, 5, 4, 4)
    logits, deltas = head(pooled)
    assert logits.shape == (3, 3)
    assert deltas.shape == (3, 8)
    torch.testing.assert_close(logits, head.outputs(pooled.flatten(2).mean(2))[0])


def test_ranks_of_the_paper_save_what_it_says() -> None:
    """VGG-16's fc6 at rank 1,024: 102.8M weights become 29.9M; fc7 at 256: 16.8M become 2.1M (here / 64)."""
    head = TwoLayerHead(64, 7, 512, 20).eval()
    before = head.fc6.weight.numel(), head.fc7.weight.numel()
    assert before == (25088 * 4096 // 64, 4096 * 4096 // 64)
    head.truncate((128, 32))
    after = [sum(part.weight.numel() for part in layer) for layer in (head.fc6, head.fc7)]
    assert after == [128 * (3136 + 512), 32 * (512 + 512)]


def test_starts_from_the_dense_layers_of_vgg() -> None:
    """The same features as torchvision's order of layers computes: flattened with channels outermost."""
    torch.manual_seed(0)
    dense = {
        "classifier.0.weight": torch.randn(32, 6 * 3 * 3),
        "classifier.0.bias": torch.randn(32),
        "classifier.3.weight": torch.randn(32, 32),
        "classifier.3.bias": torch.randn(32),
        "classifier.6.weight": torch.randn(10, 32),
    }
    head = TwoLayerHead(6, 3, 32, 4, dropout=0.5).eval()
    assert head.start_from(dense)
    pooled = torch.randn(5, 6, 3, 3)
    hidden = torch.relu(pooled.flatten(1) @ dense["classifier.0.weight"].T + dense["classifier.0.bias"])
    wanted = torch.relu(hidden @ dense["classifier.3.weight"].T + dense["classifier.3.bias"])
    torch.testing.assert_close(head.features(pooled), wanted, rtol=1e-4, atol=1e-4)


def test_keeps_its_own_layers_where_those_of_vgg_do_not_fit() -> None:
    head = TwoLayerHead(6, 3, 32, 4)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    assert not head.start_from({})
    wrong = {"classifier.0.weight": torch.zeros(3, 3), "classifier.0.bias": torch.zeros(3)}
    assert not head.start_from(wrong)
    assert not TwoLayerHead(6, 3, 32, 4, norm=True).start_from(wrong)
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
