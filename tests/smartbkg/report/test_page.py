"""The report page, opened in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from smartbkg.report.comparison import compare
from smartbkg.report.page import Figure, Report, write_page
from smartbkg.report.plots import observable_plot


def small_report(title: str = "A filter") -> Report:
    rng = np.random.default_rng(1)
    score = rng.uniform(size=2000)
    passed = rng.uniform(size=2000) < score
    keep = rng.uniform(size=2000) <= score
    truth = {"Mbc": rng.normal(5.28, 0.003, 2000), "n_tracks": rng.integers(4, 16, 2000).astype(float)}
    both = passed & keep
    return Report(
        title=title,
        subtitle="2000 events",
        figures=[Figure("AUC", "0.833", "chance that a passing event scores higher")],
        score=score,
        passed=passed,
        roc=(np.array([0.0, 0.2, 1.0]), np.array([0.0, 0.8, 1.0])),
        auc=0.833,
        comparison=compare(
            {n: v[passed] for n, v in truth.items()},
            score[passed],
            {n: v[both] for n, v in truth.items()},
            1 / score[both],
        ),
        provenance={"payload": "GATGAPgen.pth revision 1"},
    )


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


def test_a_browser_shows_figures_and_every_plot(tmp_path: Path) -> None:
    page = write_page(small_report(), tmp_path / "out" / "report.html")
    dom = open_in_browser(page, tmp_path / "profile")
    assert "<td>AUC</td>" in dom
    assert "0.833" in dom
    assert dom.count("<svg ") == 4  # ROC, score, two observables
    assert "GATGAPgen.pth revision 1" in dom


def test_the_page_stands_alone_and_escapes_what_it_shows(tmp_path: Path) -> None:
    html = write_page(small_report("<script>alert(1)</script>"), tmp_path / "report.html").read_text()
    assert "<script" not in html
    assert "src=" not in html
    assert not [line for line in html.splitlines() if "<link" in line]


def test_the_same_report_is_the_same_page(tmp_path: Path) -> None:
    first, second = (write_page(small_report(), tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "b.html"]


@pytest.mark.parametrize("weight", [1.0, 30.0])
def test_an_observable_is_drawn_with_its_name_whatever_the_weights(weight: float) -> None:
    x = np.linspace(5.24, 5.29, 400)
    svg = observable_plot(
        compare({"Mbc": x}, np.full(400, 1 / weight), {"Mbc": x[::30]}, np.full(14, weight)).observables[0]
    )
    assert svg.startswith("<svg")
    assert ">Mbc</text>" in svg
