"""Clusters of box sizes: known ones are found, and the distance is that of the paper."""

from __future__ import annotations

import numpy as np
import pytest

from neocog.ops.clusters import cluster_sizes, shape_iou


def test_known_clusters_are_found() -> None:
    rng = np.random.default_rng(3)
    centres = np.array([[8.0, 20.0], [30.0, 12.0], [40.0, 90.0], [200.0, 150.0]])
    sizes = np.concatenate([centre * rng.uniform(0.95, 1.05, (50, 2)) for centre in centres])
    found = cluster_sizes(rng.permutation(sizes), 4)
    np.testing.assert_allclose(found, centres, rtol=0.02)


def test_the_same_boxes_give_the_same() -> None:
    sizes = np.random.default_rng(0).uniform(5, 100, (300, 2))
    assert np.array_equal(cluster_sizes(sizes, 5), cluster_sizes(sizes, 5))


def test_each_centre_is_the_mean_of_what_is_nearest_to_it() -> None:
    sizes = np.random.default_rng(1).uniform(5, 100, (200, 2))
    centres = cluster_sizes(sizes, 5)
    nearest = shape_iou(sizes, centres).argmax(axis=1)
    for place, centre in enumerate(centres):
        np.testing.assert_allclose(centre, sizes[nearest == place].mean(axis=0))
    assert (np.diff(centres.prod(axis=1)) > 0).all()


def test_large_boxes_do_not_count_for_more() -> None:
    """Euclidean k-means would spend both centres on the large boxes, whose sizes differ by more pixels."""
    small = [[4.0, 4.0], [4.2, 4.0], [4.0, 4.2]] * 10
    large = [[400.0, 400.0], [480.0, 400.0], [400.0, 480.0]] * 10
    found = cluster_sizes(np.array(small + large), 2)
    assert found[0].max() < 5 and found[1].min() > 400


def test_overlap_of_shapes_in_numbers() -> None:
    """10 x 20 in and across 20 x 20 and 20 x 10."""
    found = shape_iou(np.array([[10.0, 20.0]]), np.array([[20.0, 20.0], [20.0, 10.0], [10.0, 20.0]]))
    np.testing.assert_allclose(found, [[1 / 2, 1 / 3, 1.0]])


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([], "among 0 different"),
        ([[3.0, 3.0]] * 9, "among 1 different"),
        ([[0.0, 3.0], [1.0, 1.0]], "above 0"),
    ],
)
def test_what_cannot_be_clustered_is_said(sizes: list[list[float]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cluster_sizes(np.array(sizes), 2)
