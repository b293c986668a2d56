"""The report page, opened in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smartbkg.evaluation.figures import Judged, figures_of
from smartbkg.report.comparison import Comparison, compare
from smartbkg.report.page import plots_of_each, worst_first, write_page
from smartbkg.report.plots import observable_plot
from smartbkg.training.metrics import REFERENCE_TIMES

Report = tuple[dict[str, Any], dict[str, Comparison]]


def small_report(*skims: str, observables: int = 2, source: str = "GATGAPgen.pth@1") -> Report:
    """An evaluation of toy events; each skim is another draw of the labels."""
    figures: dict[str, Any] = {}
    comparisons = {}
    for seed, skim in enumerate(skims or ("A",)):
        rng = np.random.default_rng(seed)
        logit = rng.normal(size=4000)
        p = np.clip(np.exp(0.5 * (logit - 1)), 0.01, 1)
        passed = rng.uniform(size=4000) < p**2
        keep = (rng.uniform(size=4000) < p)[passed]
        truth = {f"x{i}": rng.normal(size=passed.sum()) for i in range(observables)}
        figures[skim] = figures_of(Judged(logit, p, passed), {"reference": REFERENCE_TIMES})
        comparisons[skim] = compare(truth, p[passed], {n: v[keep] for n, v in truth.items()}, 1 / p[passed][keep])
        figures[skim]["comparison"] = comparisons[skim].to_json()
    about = {"kind": "gatgap", "source": source, "skims": list(figures), "sha256": {"weights": "12" * 32}}
    return {
        "filter": about,
        "n_events": 4000,
        "event_types": {"mixed": 4000},
        "mixture": None,
        "smartbkg": "0",
        "files": {"events": ["mixed.parquet"]},
        "sampling": {"seed": 1},
        "skims": figures,
    }, comparisons


def open_in_browser(page: Path, profile: Path) -> str:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser, "no browser here: apt-get install chromium (tools/check does it)"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    done = subprocess.run(
        [browser, *flags, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def test_a_browser_shows_figures_and_every_plot_of_one_skim(tmp_path: Path) -> None:
    figures, comparisons = small_report("feiHadronic")
    page = write_page(figures, comparisons, tmp_path / "out" / "report.html")
    dom = open_in_browser(page, tmp_path / "profile")
    assert "Filter for feiHadronic" in dom
    assert "<td>AUC</td>" in dom
    assert f"{figures['skims']['feiHadronic']['auc']:.4f}" in dom
    assert dom.count("<svg ") == 3  # scores, two observables
    assert f">AUC {figures['skims']['feiHadronic']['auc']:.3f}</text>" in dom
    assert "GATGAPgen.pth@1" in dom
    assert 'id="skims"' not in dom


def test_many_skims_have_a_table_with_links_and_a_section_each(tmp_path: Path) -> None:
    figures, comparisons = small_report("A", "B", "C")
    figures["skims"]["C"] = {"n_events": 4000, "n_passing": 0, "problem": "no event passes among 4000"}
    del comparisons["C"]
    dom = open_in_browser(write_page(figures, comparisons, tmp_path / "report.html"), tmp_path / "profile")
    assert dom.count("<section ") == 3
    for skim in "ABC":
        assert f'href="#skim-{skim}"' in dom
        assert f'id="skim-{skim}"' in dom
    assert "no event passes among 4000" in dom
    assert dom.count("<svg ") == 6


def test_event_types_have_a_table_of_their_own(tmp_path: Path) -> None:
    figures, comparisons = small_report("A")
    types = {
        "charged": {name: figures["skims"]["A"][name] for name in ("n_events", "retention", "kept_fraction", "auc")},
        "taupair": {
            "n_events": 7,
            "n_passing": 0,
            "retention": 0.0,
            "kept_fraction": 0.5,
            "problem": "no event passes",
        },
    }
    types["charged"] |= {"effective_fraction": 0.4, "reference": {"speed_up": 1.25, "speed_up_uncertainty": 0.01}}
    figures["skims"]["A"]["event_types"], figures["mixture"] = types, {"charged": 0.4, "taupair": 0.6}
    html = write_page(figures, comparisons, tmp_path / "report.html").read_text()
    assert "<td>taupair</td>" in html
    assert "1.25" in html
    assert "natural mixture" in html


def test_the_page_of_forty_skims_is_below_ten_megabytes(tmp_path: Path) -> None:
    """Sections are alike: four of them tell how large forty are."""
    figures, comparisons = small_report(*(f"skim{i}" for i in range(4)), observables=31)
    page = write_page(figures, comparisons, tmp_path / "report.html", plots_of_each(40))
    assert 10 * page.stat().st_size < 10e6
    assert page.read_text().count("<svg ") == 4 * (1 + 3)


def test_the_page_stands_alone_and_escapes_what_it_shows(tmp_path: Path) -> None:
    html = write_page(*small_report(source="<script>alert(1)</script>"), tmp_path / "report.html").read_text()
    assert "&lt;script&gt;alert(1)" in html
    assert "<script" not in html
    assert "src=" not in html
    assert not [line for line in html.splitlines() if "<link" in line]


def test_the_same_report_is_the_same_page(tmp_path: Path) -> None:
    first, second = (write_page(*small_report(), tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_the_most_suspicious_observables_come_first() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=5000)
    p = np.full(5000, 0.5)
    keep = rng.uniform(size=5000) < np.where(x > 0, 0.4, 0.6)  # not with the probability that it says
    fair = rng.normal(size=5000)
    nothing = np.full(5000, np.nan)
    truth = {"none": nothing, "fair": fair, "biased": x}
    done = compare(truth, p, {name: v[keep] for name, v in truth.items()}, 1 / p[keep])
    assert [o.name for o in worst_first(done)] == ["biased", "fair", "none"]


@pytest.mark.parametrize("weight", [1.0, 30.0])
def test_an_observable_is_drawn_with_its_name_whatever_the_weights(weight: float) -> None:
    x = np.linspace(5.24, 5.29, 400)
    svg = observable_plot(
        compare({"Mbc": x}, np.full(400, 1 / weight), {"Mbc": x[::30]}, np.full(14, weight)).observables[0]
    )
    assert svg.startswith("<svg")
    assert ">Mbc</text>" in svg
