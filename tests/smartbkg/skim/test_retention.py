"""The retention table."""

from __future__ import annotations

import math

import numpy as np
import pytest

from smartbkg.detector import RecoWriter
from smartbkg.errors import BadEvent, ColumnsMissing
from smartbkg.events import EventWriter
from smartbkg.framework import create_path, process
from smartbkg.skim import CallableSkim, get_skim
from smartbkg.skim.job import skim_file
from smartbkg.skim.retention import RetentionTable, count_passing
from support.generated import generated, reconstructed

NONE = CallableSkim("none", lambda reco: reco.event < 0)


@pytest.fixture
def files(tmp_path):
    """Reconstructed events: 600 B pairs, and 200 pairs of taus."""
    for kind, n in (("mixed", 600), ("taupair", 200)):
        with RecoWriter(tmp_path / f"{kind}.parquet") as writer:
            writer.write(reconstructed(kind, n))
    return [tmp_path / "taupair.parquet", tmp_path / "mixed.parquet"]


def events_of(kind, folder):
    with EventWriter(folder / "events.parquet") as writer:
        writer.write(generated(kind, 200))
    return folder / "events.parquet"


def test_events_are_counted_by_type_with_binomial_errors(files):
    table = count_passing(files, ["TauGeneric", NONE])
    assert table.events == {"taupair": 200, "mixed": 600}
    assert table.types == ["mixed", "taupair"]
    count = table.counts["TauGeneric"]["taupair"]
    passed = get_skim("TauGeneric").apply(reconstructed("taupair", 200)).passed
    assert (count.passed, count.events) == (passed.sum(), 200)
    assert count.retention == passed.mean()
    assert count.error == pytest.approx(math.sqrt(passed.mean() * (1 - passed.mean()) / 200))


def test_none_of_n_gives_a_limit_that_is_right_in_two_thirds_of_the_cases(files):
    count = count_passing(files, [NONE]).counts["none"]["mixed"]
    assert count.passed == 0
    # With a true fraction of the limit, this part of all samples shows at least one event.
    assert 1 - (1 - count.error) ** 600 == pytest.approx(0.6827, abs=1e-3)


def test_skimmed_files_give_the_same_table(files, tmp_path):
    skims = ["TauGeneric", "feiHadronic"]
    skimmed = [tmp_path / f"{file.stem}.skim.parquet" for file in files]
    for file, output in zip(files, skimmed, strict=True):
        skim_file(skims, file, output)
    assert count_passing(skimmed).to_json() == count_passing(files, skims).to_json()
    only = count_passing(skimmed, ["feiHadronic"], only=True)
    assert list(only.counts) == ["feiHadronic"]
    with pytest.raises(ColumnsMissing, match="lacks BtoXll"):
        count_passing(skimmed, ["BtoXll"], only=True)


def test_workers_count_the_same(files):
    skims = ["TauGeneric", "feiHadronic"]
    seen = []
    assert (
        count_passing(files, skims, workers=2, progress=seen.append).to_json() == count_passing(files, skims).to_json()
    )
    assert seen == [200, 800]


def test_rows_come_by_code_and_columns_b_pairs_first(files):
    table = count_passing(files, [NONE, "TauGeneric", "feiHadronic"])
    lines = table.to_markdown().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["skim", "code", "mixed", "taupair"]
    assert cells[2] == ["events", "", "600", "200"]
    assert [row[:2] for row in cells[3:]] == [["feiHadronic", "11180500"], ["TauGeneric", "18570600"], ["none", ""]]
    assert cells[-1][2:] == ["< 0.19", "< 0.57"]
    assert len({len(line) for line in lines}) == 1


def test_a_skim_that_only_some_files_have_is_marked(files, tmp_path):
    skim_file(["TauGeneric"], files[0], tmp_path / "a.parquet")
    skim_file(["TauGeneric", "feiHadronic"], files[1], tmp_path / "b.parquet")
    table = count_passing([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    row = next(line for line in table.to_markdown().splitlines() if "feiHadronic" in line)
    assert row.split("|")[4].strip() == "–"
    assert list(table.to_json()["skims"][0]["types"]) == ["mixed"]


def test_events_without_a_type_have_a_column_of_their_own():
    table = RetentionTable()
    table.add(np.array([-1, 3, -1], np.int8), {"s": np.array([True, True, False])})
    assert table.types == ["mixed", "unknown"]
    assert table.counts["s"]["unknown"].retention == 0.5


def test_a_file_without_events_gives_a_table_without_types(tmp_path):
    with RecoWriter(tmp_path / "none.parquet"):
        pass
    table = count_passing([tmp_path / "none.parquet"], [NONE])
    assert table.to_json() == {"events": {}, "skims": []}
    assert table.to_markdown().splitlines()[0].split() == ["|", "skim", "|", "code", "|"]


def test_generated_events_are_no_reconstructed_ones(tmp_path):
    events_of("mixed", tmp_path)
    with pytest.raises(ColumnsMissing, match=r"events.parquet lacks clusters, k_shorts, pi0s, tracks"):
        count_passing([tmp_path / "events.parquet"], [NONE])


def test_a_file_of_passing_events_only_is_refused(tmp_path):
    path = create_path()
    path.add_module("EventInput", input_files=events_of("taupair", tmp_path))
    path.add_module("FastSimulation")
    get_skim("TauGeneric")(path, output_file=tmp_path / "passing.parquet")
    process(path, seed=1)
    with pytest.raises(BadEvent, match=r"passing.parquet was written in an event loop"):
        count_passing([tmp_path / "passing.parquet"])


def test_a_file_given_twice_is_refused(files):
    with pytest.raises(BadEvent, match="more than once"):
        count_passing([files[0], files[0].parent / "." / files[0].name], [NONE])


def test_filtered_events_are_refused(tmp_path):
    with RecoWriter(tmp_path / "kept.parquet") as writer:
        writer.write(reconstructed("mixed", 600).with_extra(weight_TauGeneric=np.ones(600)))
    with pytest.raises(BadEvent, match=r"kept.parquet holds events that a filter has kept"):
        count_passing([tmp_path / "kept.parquet"], ["TauGeneric"])


@pytest.mark.parametrize("n_kept", [600, 20])
def test_events_that_a_filter_has_only_scored_are_counted(n_kept, tmp_path):
    step = {"step": "filter", "n_events": 600, "n_kept": n_kept}
    with RecoWriter(tmp_path / "scored.parquet", {"provenance": [step]}) as writer:
        writer.write(reconstructed("mixed", 600))
    if n_kept == 600:
        assert count_passing([tmp_path / "scored.parquet"], ["feiHadronic"]).events == {"mixed": 600}
    else:
        with pytest.raises(BadEvent, match="holds events that a filter has kept"):
            count_passing([tmp_path / "scored.parquet"], ["feiHadronic"])
