"""Reports: what a filter does to distributions, as figures, plots and one HTML page."""

from smartbkg.report.comparison import Comparison, ObservableComparison, compare

__all__ = ["Comparison", "ObservableComparison", "compare"]
