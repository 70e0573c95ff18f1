"""Failure-driven sampling against its formulas in numpy, the published values, and toys in which one bin fails."""

from __future__ import annotations

import csv
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import DT, assert_identical, synthetic_clip

from mimicjax.config.settings import SamplingSettings
from mimicjax.motion import library, sampling, sampling_table
from mimicjax.motion.sampling import Record
from mimicjax.types import CLAMP, FAILED, RUNNING, SUCCEEDED, TIME_UP, WRAP, Clip

SETTINGS = SamplingSettings(by="failures")
# at 30 a second: 3 bins that loop, 5 that do not, 1
SET = (synthetic_clip(2, WRAP, 75), synthetic_clip(2, CLAMP, 121), synthetic_clip(2, CLAMP, 12))
CUTS = sampling.cut(SET)
WEIGHT = np.array([1.0, 2.0, 1.0], np.float32)


def of_rate(rate: list[float], success: tuple[float, float, float] = (0.5, 0.5, 0.5)) -> Record:
    """A record of 99 s in every bin, which with the second of doubt are 100, and 10 episodes of every clip."""
    return Record(100.0 * jnp.asarray(rate), jnp.full(9, 99.0 / DT), jnp.full(3, 10.0), 10.0 * jnp.asarray(success))


def known(clips, record: Record, settings: SamplingSettings = SETTINGS):
    """The clips of the set, drawn by the record."""
    bare = clips._replace(
        duration=jnp.asarray([clip.duration for clip in SET], jnp.float32),
        frames=jnp.asarray([len(clip.root_pos) for clip in SET]),
        loop=jnp.asarray([clip.loop for clip in SET]),
    )
    return sampling.make(settings, CUTS, DT).weigh(library.weighted(bare, jnp.asarray(WEIGHT)), record)


@pytest.mark.parametrize(("frames", "bins"), [(500, 11), (990, 20), (1000, 21)])
def test_bins_are_beyondmimics(frames, bins):
    clip = Clip("c", "", (), 50.0, CLAMP, np.zeros((frames, 3)), np.zeros((frames, 4)), np.zeros((frames, 1)))
    assert sampling.cut([clip]).count.tolist() == [bins] and sampling.cut([clip], whole=True).count.tolist() == [1]


def test_clips_are_cut_end_to_end():
    assert CUTS.count.tolist() == [3, 5, 1] and CUTS.first.tolist() == [0, 3, 8]
    assert CUTS.clip.tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 2]


def test_factors_of_clips_are_videomimics():
    """Success (1, 0): a = (0.952, 20), their mean 10.476, quotients (0.0909, 1.909), clamped (1/3, 1.909)."""
    record = Record(jnp.zeros(9), jnp.zeros(9), jnp.asarray([7.0, 7.0, 0.0]), jnp.asarray([7.0, 0.0, 0.0]))
    got = sampling.clip_factors(SETTINGS, jnp.asarray(WEIGHT), record)
    np.testing.assert_allclose(got, [1 / 3, 20 / ((20 + 1 / 1.05) / 2), 1.0], rtol=1e-6)
    np.testing.assert_allclose(got, [0.3333, 1.909, 1.0], atol=5e-4)


@pytest.mark.parametrize("ahead", [1, 3])
def test_shares_by_hand(ahead):
    rate = [0.0, 0.2, 0.0, 0.4, 0.0, 0.0, 0.0, 0.1, 0.0]
    settings = SamplingSettings(by="failures", floor=0.1, rare=0.01, ahead=ahead, fade=0.8, most=3.0)
    kernel = [1.0] if ahead == 1 else [0.40984, 0.32787, 0.26230]  # 1, 0.8, 0.64 over their sum
    need = np.array([1 / 0.55, 1 / 1.05, 1 / 0.25])
    of_clip = WEIGHT * np.clip(need / need.mean(), 1 / 3, 3)
    of_clip /= of_clip.sum()
    want = []
    for clip, bins in enumerate([[0, 1, 2], [3, 4, 5, 6, 7], [8]]):
        score = []
        for place in range(len(bins)):
            after = [(place + j) % 3 if clip == 0 else min(place + j, len(bins) - 1) for j in range(ahead)]
            score.append(0.01 + sum(k * rate[bins[i]] for k, i in zip(kernel, after, strict=True)))
        inside = 0.9 * np.array(score) / sum(score) + 0.1 / len(bins)
        want += (of_clip[clip] * inside).tolist()
    got = sampling.shares(settings, CUTS, DT, jnp.asarray(WEIGHT), of_rate(rate, (0.5, 1.0, 0.2)))
    np.testing.assert_allclose(got, want, rtol=1e-4)
    np.testing.assert_allclose(np.sum(got), 1.0, rtol=1e-6)


def test_nothing_known_is_weights_and_evenly_over_a_clip():
    share = sampling.shares(SETTINGS, CUTS, DT, jnp.asarray(WEIGHT), sampling.make(SETTINGS, CUTS, DT).init())
    np.testing.assert_allclose(share, [1 / 12] * 3 + [1 / 10] * 5 + [1 / 4], rtol=1e-6)
    assert float(sampling.entropy(jnp.full(7, 1 / 7))) == pytest.approx(1.0)
    assert float(sampling.entropy(jnp.asarray([0.5, 0.5, 0.0, 0.0]))) == pytest.approx(1.0)
    assert float(sampling.entropy(jnp.asarray([0.9, 0.1]))) == pytest.approx(0.468996, rel=1e-5)  # bits of a bent coin
    assert float(sampling.entropy(jnp.ones(1))) == 1.0


@pytest.mark.parametrize("floor", [0.0, 0.1, 0.5, 1.0])
def test_a_bin_that_alone_fails_has_what_the_floor_leaves(floor, clips):
    """And it is drawn as often, evenly over its length; the clips keep their weights, as all succeed alike."""
    settings = SamplingSettings(by="failures", floor=floor, rare=1e-9)
    drawn = known(clips, of_rate([0.0] * 4 + [5.0] + [0.0] * 4), settings)
    rest = 0.5 * floor / 5
    want = np.array([1 / 12] * 3 + [rest, 0.5 * (1 - floor) + rest, rest, rest, rest] + [1 / 4])
    np.testing.assert_allclose(drawn.bins.share, want, rtol=1e-4, atol=1e-7)
    assert (np.asarray(drawn.bins.share)[3:8] >= rest - 1e-7).all()  # the floor
    clip, time = jax.jit(jax.vmap(library.sample, in_axes=(None, 0)))(
        drawn, jax.random.split(jax.random.key(0), 20_000)
    )
    duration = np.asarray(drawn.duration)[np.asarray(clip)]
    assert (time >= 0).all() and (time < duration).all()
    part = np.asarray(time) / duration * CUTS.count[np.asarray(clip)]
    place = CUTS.first[np.asarray(clip)] + part.astype(int)
    np.testing.assert_allclose(np.bincount(place, minlength=9) / 20_000, want, atol=0.015)
    inside = (part % 1.0)[place == 4]
    assert len(inside) < 100 or abs(inside.mean() - 0.5) < 0.03
    got = jax.jit(sampling.make(settings, CUTS, DT).place)(drawn, clip, time)
    np.testing.assert_array_equal(got, place)


def test_a_clip_of_weight_zero_is_never_drawn():
    weight = jnp.asarray([1.0, 0.0, 1.0])
    share = sampling.shares(SETTINGS, CUTS, DT, weight, of_rate([9.0] * 9, (1.0, 0.0, 1.0)))
    assert (np.asarray(share)[3:8] == 0).all() and np.sum(share) == pytest.approx(1.0)
    np.testing.assert_allclose(
        np.asarray(share)[[0, 8]], [1 / 6, 1 / 2], rtol=1e-5
    )  # nor counts its failure for others


def test_places_of_times(clips):
    """In a loop time starts again; behind the end of another clip is its last bin."""
    drawn, place = known(clips, of_rate([0.0] * 9)), sampling.make(SETTINGS, CUTS, DT).place
    clip = jnp.asarray([0, 0, 0, 1, 1, 1, 2])
    time = jnp.asarray([0.0, 0.9, 74 / 30 + 0.9, 0.0, 3.99, 4.01, 0.2], jnp.float32)
    assert np.asarray(place(drawn, clip, time)).tolist() == [0, 1, 1, 3, 7, 7, 8]


def test_what_is_counted_and_what_fades():
    sampler = sampling.make(SamplingSettings(by="failures", memory=2.0), CUTS, DT)
    place = jnp.asarray([[0, 3, 8], [1, 3, 8], [1, 7, 8]])
    done = jnp.asarray([[RUNNING, FAILED, TIME_UP], [FAILED, RUNNING, SUCCEEDED], [FAILED, FAILED, RUNNING]], jnp.int8)
    counts = sampler.count(place, done)
    assert np.asarray(counts.failures).tolist() == [0, 2, 0, 1, 0, 0, 0, 1, 0]
    assert np.asarray(counts.steps).tolist() == [1, 2, 0, 2, 0, 0, 0, 1, 3]
    assert np.asarray(counts.ended).tolist() == [2, 2, 2] and np.asarray(counts.succeeded).tolist() == [0, 0, 2]
    halves = [sampler.count(place[:, part], done[:, part]) for part in (slice(0, 1), slice(1, 3))]
    assert_identical(jax.tree.map(jnp.add, *halves), counts)
    after = sampler.update(counts, counts, 270)  # 9 s among 9 bins that remember 2 s each: half of an e-fold
    np.testing.assert_allclose(after.steps, np.asarray(counts.steps) * (1 + np.exp(-0.5)), rtol=1e-6)


def test_a_bin_draws_starts_while_it_fails_and_no_longer(clips):
    """A toy: whoever comes to bin 5 fails at once, until it is learned; starts are drawn, played and recorded."""
    sampler = sampling.make(SamplingSettings(by="failures", memory=20.0, most=1.0), CUTS, DT)
    motion = known(clips, sampler.init())

    @jax.jit
    def iterate(record, key, learned):
        drawn = sampler.weigh(motion, record)
        clip, start = jax.vmap(library.sample, in_axes=(None, 0))(drawn, jax.random.split(key, 256))
        times = start + DT * jnp.arange(1, 31)[:, None]
        place = sampler.place(drawn, jnp.broadcast_to(clip, times.shape), times)
        fails = (place == 5) & ~learned
        dead = jnp.cumsum(fails, axis=0) - fails > 0  # after a failure the episode is played no more: as if in bin 0
        done = jnp.where(fails & ~dead, FAILED, RUNNING).at[-1].max(jnp.where(dead[-1] | fails[-1], RUNNING, TIME_UP))
        return sampler.update(record, sampler.count(jnp.where(dead, 0, place), done), done.size), drawn.bins.share

    record, share = sampler.init(), jnp.zeros(9)
    for number in range(30):
        record, share = iterate(record, jax.random.key(number), False)
    assert float(share[5]) > 0.85 * 0.5  # of its clip's half; the floor and the start keep the others
    assert float(share[3]) >= 0.5 * 0.1 / 5
    for number in range(30, 90):
        record, share = iterate(record, jax.random.key(number), True)
    assert float(share[5]) < 0.25 * 0.5  # 0.2 were even


def test_the_table_of_clips():
    """Success, time and failures of each clip, and the bin that most episodes begin in, in seconds of the clip."""
    rate = [0.0] * 4 + [0.5] + [0.0] * 4
    record = of_rate(rate, (1.0, 0.0, 0.5))._replace(ended=jnp.asarray([10.0, 10.0, 0.0]))
    clips = [clip_of(name, clip) for name, clip in zip("abc", SET, strict=True)]
    rows = sampling_table.rows(SETTINGS, CUTS, clips, DT, record)
    assert [row["clip"] for row in rows] == ["a", "b", "c"] and [row["success"] for row in rows] == [1.0, 0.0, None]
    b = rows[1]
    np.testing.assert_allclose(sum(row["share"] for row in rows), 1.0, rtol=1e-5)
    np.testing.assert_allclose([b["top_bin_from"], b["top_bin_to"]], [0.8, 1.6], rtol=1e-6)  # of 4 s
    np.testing.assert_allclose([b["seconds"], b["failures_per_second"]], [5 * 99, 50 / (5 * 99)], rtol=1e-5)
    columns = sampling_table.columns(rows)
    assert columns["Success_a"] == 1.0 and np.isnan(columns["Success_c"])
    assert sampling_table.columns(rows * 7) == {}  # 21 clips
    table = list(csv.DictReader(io.StringIO(sampling_table.csv_of(rows))))
    assert [row["success"] for row in table] == ["1", "0", ""] and table[1]["episodes"] == "10"


def clip_of(name: str, clip: Clip) -> Clip:
    return Clip(name, "", (), clip.fps, clip.loop, clip.root_pos, clip.root_quat, clip.dof_pos)
