"""What is said of shipped payloads: where they come from, and a row for each skim."""

from __future__ import annotations

from smartbkg.defaults.figures import COLUMNS, skim_rows, story

METADATA = {
    "recipe": "tools/defaults --seed 1",
    "provenance": {
        "training": {
            "n_events": 30,
            "event_types": {"mixed": {"n_events": 20}, "uubar": {"n_events": 10}},
            "config": {"device": "cuda", "epochs": 3},
            "seconds": 12.5,
        }
    },
    "evaluation": {
        "n_events": 10,
        "event_types": {"mixed": 10},
        "skims": {
            "feiHadronic": {
                "retention": 0.0364,
                "auc": 0.90123,
                "speed_up_reference": 1.937,
                "effective_fraction": 0.5,
                "largest_paired_pull": -2.345,
                "largest_kl": 0.000123,
            },
            "TauLFV": {"retention": 0.0, "problem": "no event passes"},
        },
    },
}


def test_a_payload_tells_how_it_was_made() -> None:
    assert dict(story(METADATA)) == {
        "made by": "tools/defaults --seed 1",
        "trained on": "30 events (mixed 20, uubar 10)",
        "training": "device cuda, epochs 3, seconds 12.5",
        "evaluated on": "10 unseen events (mixed 10)",
    }
    assert list(story({})) == []


def test_each_skim_has_a_row_and_what_is_unknown_is_a_dash() -> None:
    first, second = skim_rows(METADATA)
    assert first == ["feiHadronic", "3.64%", "0.9012", "1.94", "50.00%", "-2.35", "0.00012"]
    assert second == ["TauLFV", "0.00%", "-", "-", "-", "-", "-"]
    assert len(first) == len(COLUMNS)
    assert skim_rows({}) == []
