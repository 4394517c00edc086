"""The report's pictures, as SVG that takes its colours from the page. They show numbers that were computed elsewhere.

Lines and text have placeholder colours that are replaced by CSS (``currentColor``, ``var(--candidate)``), so that one
picture serves light, dark and paper. Text stays text, in the page's font. The same input gives the same bytes.
"""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from contender.sweep.results import ranked
from contender.words import metric_label, score

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from contender.documents.scoreboard import Comparison, Contestant, Verdict
    from contender.documents.sweep import TrialResult
    from contender.judge.contest import Contest

WIDTH = 4.6  # inches, of every picture: a phone shows it at its natural size, a wide page two side by side
MOST_POINTS = 400  # of a curve, a scatter or a sweep, so that the page does not grow with the data
ENOUGH_ROWS = 100  # with fewer rows that are new to the champion, every curve would be noise
_LINES: dict[Contestant, str] = {"candidate": "-", "champion": "--", "baseline": "-.", "trivial": ":"}
_MARKS = {"passed": "o", "failed": "X", "undecided": "D", "not_applicable": "s"}
_TONES = {name: f"#0101{place:02x}" for place, name in enumerate(("ink", "muted", *_LINES, *_MARKS), start=1)}
_CSS = {tone: "currentColor" if name == "ink" else f"var(--{name})" for name, tone in _TONES.items()}
_STYLE = {
    **dict.fromkeys(("axes.edgecolor", "grid.color", "xtick.color", "ytick.color"), _TONES["muted"]),
    **dict.fromkeys(("axes.labelcolor", "text.color", "xtick.labelcolor", "ytick.labelcolor"), _TONES["ink"]),
    **dict.fromkeys(("axes.spines.right", "axes.spines.top", "axes.unicode_minus", "legend.frameon"), False),
    "axes.grid": True,
    "axes.formatter.useoffset": False,  # an offset such as 1e-5+8.659e-1 on an axis is unreadable
    "font.size": 9,
    "grid.alpha": 0.25,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar sign in a name is text, not mathematics
}


class Plot(NamedTuple):
    """A picture for the page. ``svg`` is safe markup; ``title`` and ``caption`` are text."""

    title: str
    svg: str
    caption: str


class GateComparison(NamedTuple):
    """A comparison, and the verdict and the rule of the gate that asked for it."""

    comparison: Comparison
    verdict: Verdict
    rule: str


def forest(asked: Sequence[GateComparison]) -> Plot | None:
    """A forest plot: each difference with its interval, zero, and what the gate asks for; a panel per metric."""
    if not asked:
        return None
    panels: dict[str, list[GateComparison]] = {}
    for one in asked:
        panels.setdefault(one.comparison.metric, []).append(one)

    def paint(figure: Any) -> None:
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[len(b) + 0.6 for b in panels.values()])
        for panel, (metric, shown) in zip(grid.flat, panels.items(), strict=True):
            panel.axvline(0, color=_TONES["ink"], linewidth=1)
            for place, one in enumerate(shown):
                interval, status, required = one.comparison, one.verdict.status, one.verdict.required
                panel.plot([interval.low, interval.high], [place, place], color=_TONES[status], linewidth=2.5)
                panel.plot(interval.difference, place, _MARKS[status], color=_TONES[status], markersize=8)
                if required is not None:
                    panel.plot([required, required], [place - 0.4, place + 0.4], "--", color=_TONES["ink"])
            names = [f"{one.comparison.opponent}\n{one.rule}" for one in shown]
            panel.set(yticks=range(len(shown)), yticklabels=names, ylim=(len(shown) - 0.4, -0.6))
            panel.set_xlabel(f"{metric_label(metric)}\ncandidate minus opponent (right is better)")

    caption = "Mark: the difference. Bar: its interval. Solid line: no difference. Dashed line: what the gate asks for."
    alt = "; ".join(f"{one.verdict.gate}: {one.verdict.reason}, {one.verdict.status}" for one in asked)
    return _plot("Difference and interval", caption, paint, height=0.5 * len(asked) + 0.75 * len(panels), alt=alt)


def contest_plots(contest: Contest) -> tuple[Plot, ...]:
    """Curves of the contestants, all on the same gate rows; without the champion when too few rows are new to it."""
    names, judged = [name for name in _LINES if name in contest.predictions], contest.fresh
    # With the champion all are drawn on the rows that are new to it, so that no curve has an easier part of the rows.
    if "champion" not in names or judged.sum() < ENOUGH_ROWS or len(np.unique(contest.target[judged])) < 2:
        names = [name for name in names if name != "champion"]
        judged = np.ones(len(contest.target), dtype=bool)
    target = contest.target[judged]
    answers = {name: contest.predictions[name].values[judged] for name in names}
    words = f"{len(target):,} gate rows" + (" that are new to the champion too" if not judged.all() else "")
    if answers["candidate"].ndim == 1:
        return _predicted_against_true(target, answers, words), _residuals(target, answers, words)
    if len(np.unique(target)) < 2:  # no curve without both classes
        return ()
    answers = {name: values[:, 1] for name, values in answers.items()}
    return _roc(target, answers, words), _precision_recall(target, answers, words), _calibration(target, answers, words)


def sweep_plot(results: Sequence[TrialResult], winner: str, metric: str) -> Plot | None:
    """Mean score of each complete trial, a strip per estimator, the best strip first. ``winner`` is a trial's key."""
    complete, drawn = _thinned_trials(results, winner)
    if not complete:
        return None
    best: dict[str, TrialResult] = {}
    for result in complete:
        best.setdefault(result.trial.estimator, result)
    means = np.array([result.mean for result in drawn])
    low, high = np.quantile(means, [0.25, 1])
    floor = low - 4 * (high - low) if high > low else means.min()  # a hopeless trial would squeeze all the others
    worse = np.flatnonzero(means < floor)
    spread = (np.arange(len(drawn)) * 0.618 % 1 - 0.5) * 0.5  # the golden ratio keeps neighbours apart without chance
    heights = spread + [list(best).index(result.trial.estimator) for result in drawn]

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        _points(panel, np.maximum(means, floor), heights, drawn, winner)
        panel.plot(np.full(len(worse), floor), heights[worse], "<", color=_TONES["ink"])
        names = [one.trial.label + ("\n(baseline)" if one.trial.baseline else "") for one in best.values()]
        panel.set(yticks=range(len(best)), yticklabels=names, ylim=(len(best) - 0.4, -0.6))
        panel.set_xlabel(f"mean {metric}\nover the folds (right is better)")

    caption = "Each point is a trial; the star became the candidate."
    caption += f" {len(drawn)} of {len(complete):,} trials are drawn." if len(drawn) < len(complete) else ""
    caption += " An arrow: worse than the axis shows." if len(worse) else ""
    alt = _alt("best mean score", {one.trial.label: one.mean or 0.0 for one in best.values()})
    return _plot("Trials by estimator", caption, paint, height=0.9 + 0.62 * len(best), alt=alt)


def parameter_plot(results: Sequence[TrialResult], estimator: str, winner: str, metric: str) -> Plot | None:
    """Mean score of one estimator's trials against each parameter that varied, at most six."""
    _, drawn = _thinned_trials([result for result in results if result.trial.estimator == estimator], winner)
    names = sorted({name for result in drawn for name in result.trial.params})
    values = {name: [result.trial.params.get(name) for result in drawn] for name in names}
    varied = [name for name in names if len(set(map(repr, values[name]))) > 1][:6]
    lines = (len(varied) + 1) // 2
    if not varied:
        return None

    def paint(figure: Any) -> None:
        panels = figure.subplots(lines, 2, sharey=True, squeeze=False).flat
        for panel, name in zip(panels, varied, strict=False):
            _points(panel, _x_values(panel, values[name]), np.array([result.mean for result in drawn]), drawn, winner)
            panel.set_xlabel(name[:40])
        for panel in list(figure.axes)[len(varied) :]:
            panel.set_visible(False)
        figure.supylabel("mean score", fontsize=9)

    caption = f"Mean {metric} of a trial; the star is the candidate. A star at an edge suggests a wider range."
    alt = f"mean {metric} against {', '.join(varied)}"
    return _plot("Score against each parameter", caption, paint, height=1.75 * lines + 0.1, alt=alt)


def _roc(target: np.ndarray, answers: Mapping[Contestant, np.ndarray], words: str) -> Plot:
    areas = {name: float(roc_auc_score(target, answer)) for name, answer in answers.items()}

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        for name, answer in answers.items():
            wrong, right, _ = roc_curve(target, answer)
            panel.plot(*_thinned_curve(wrong, right), **_line(name, score(areas[name])))
        panel.set(xlabel="false positive rate", ylabel="true positive rate")
        panel.legend(loc="lower right", title="area under the curve")

    return _plot("ROC curve", f"Up and left is better. {words}.", paint, height=4, alt=_alt("area", areas))


def _precision_recall(target: np.ndarray, answers: Mapping[Contestant, np.ndarray], words: str) -> Plot:
    areas = {name: float(average_precision_score(target, answer)) for name, answer in answers.items()}

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        for name, answer in answers.items():
            precision, recall, _ = precision_recall_curve(target, answer)
            if name == "trivial":  # one threshold: a line through its two end points would promise too much
                precision, recall = np.full(2, target.mean()), np.array([1.0, 0.0])
            panel.plot(*_thinned_curve(recall, precision), drawstyle="steps-post", **_line(name, score(areas[name])))
        panel.set(xlabel="recall", ylabel="precision", ylim=(-0.03, 1.03))
        panel.legend(loc="best", title="average precision")

    caption = f"Up and right is better. {words}, {target.mean():.1%} of them positive."
    return _plot("Precision and recall", caption, paint, height=4, alt=_alt("average precision", areas))


def _calibration(target: np.ndarray, answers: Mapping[Contestant, np.ndarray], words: str) -> Plot:
    shown = {name: answer for name, answer in answers.items() if name != "trivial"}

    def paint(figure: Any) -> None:
        curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        curve.plot([0, 1], [0, 1], color=_TONES["muted"], linewidth=1)
        for name, answer in shown.items():
            tenths = np.array_split(answer.argsort(kind="stable"), min(10, len(answer)))
            said, happened = [answer[part].mean() for part in tenths], [target[part].mean() for part in tenths]
            curve.plot(said, happened, marker="o", markersize=4, **_line(name))
            counts.hist(answer, bins=np.linspace(0, 1, 26), histtype="step", **_line(name))
        curve.set(ylabel="share that was positive")
        curve.legend(loc="upper left")
        counts.set(xlabel="predicted probability", ylabel="rows")

    caption = f"On the diagonal a probability means what it says; a point is a tenth of {words}. Below: how many rows."
    gaps = {name: float(answer.mean() - target.mean()) for name, answer in shown.items()}
    return _plot("Calibration", caption, paint, height=4, alt=_alt("mean probability minus share of positives", gaps))


def _predicted_against_true(target: np.ndarray, answers: Mapping[Contestant, np.ndarray], words: str) -> Plot:
    shown = {name: answer for name, answer in answers.items() if name in ("candidate", "champion")}
    drawn = np.linspace(0, len(target) - 1, min(len(target), MOST_POINTS)).astype(int)

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        for name, answer in shown.items():
            mark = "x" if name == "champion" else "o"
            panel.plot(target[drawn], answer[drawn], mark, color=_TONES[name], markersize=4, alpha=0.7, label=name)
        panel.axline((float(target.mean()),) * 2, slope=1, color=_TONES["muted"], linewidth=1)
        panel.set(xlabel="true", ylabel="predicted")
        panel.legend(loc="upper left")

    alt = _alt("mean absolute error", {name: np.abs(answer - target).mean() for name, answer in shown.items()})
    return _plot("Predicted against true", f"On the line is right. {len(drawn)} of {words}.", paint, height=4, alt=alt)


def _residuals(target: np.ndarray, answers: Mapping[Contestant, np.ndarray], words: str) -> Plot:
    errors = {name: answer - target for name, answer in answers.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(errors.values())), bins=30)

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        panel.axvline(0, color=_TONES["muted"], linewidth=1)
        for name, error in errors.items():
            panel.hist(error, bins=edges, histtype="step", **_line(name))
        panel.set(xlabel="predicted minus true", ylabel="rows")
        panel.legend(loc="best")

    alt = _alt("mean error", {name: float(error.mean()) for name, error in errors.items()})
    return _plot("Residuals", f"Narrow and centred on zero is better. {words}.", paint, height=4, alt=alt)


def _thinned_trials(results: Sequence[TrialResult], winner: str) -> tuple[list[TrialResult], list[TrialResult]]:
    """The complete trials, best first, and those of them that are drawn: evenly chosen, and the winner."""
    complete = ranked(results)
    chosen = set(np.linspace(0, len(complete) - 1, min(len(complete), MOST_POINTS)).astype(int).tolist())
    return complete, [one for place, one in enumerate(complete) if place in chosen or one.trial.key == winner]


def _points(panel: Any, across: np.ndarray, up: np.ndarray, drawn: Sequence[TrialResult], winner: str) -> None:
    won = np.array([result.trial.key == winner for result in drawn])
    panel.plot(across[~won], up[~won], "o", color=_TONES["muted"], markersize=5, alpha=0.75)
    panel.plot(across[won], up[won], "*", color=_TONES["candidate"], markersize=13)
    panel.margins(0.12)  # room for a star at the edge


def _x_values(panel: Any, values: Sequence[Any]) -> np.ndarray:
    """Positions of values on a panel's x axis: numbers by size (logarithmic if they span much), others by name."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        if min(values) > 0 and max(values) / min(values) > 30:
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        return np.array(values, dtype=float)
    names = sorted({str(value)[:20] for value in values})
    panel.set(xticks=range(len(names)), xticklabels=names, xlim=(-0.6, len(names) - 0.4))
    return np.array([names.index(str(value)[:20]) for value in values])


def _thinned_curve(across: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most ``MOST_POINTS`` points of a curve, evenly along its length, with both ends."""
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(across)) + np.abs(np.diff(up)))])
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], MOST_POINTS)).clip(max=len(along) - 1))
    return across[kept], up[kept]


def _line(name: Contestant, value: str = "") -> dict[str, Any]:
    return {"color": _TONES[name], "linestyle": _LINES[name], "linewidth": 1.8, "label": f"{name} {value}".strip()}


def _alt(what: str, values: Mapping[Any, float]) -> str:
    return f"{what}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def _plot(title: str, caption: str, paint: Callable[[Any], None], *, height: float, alt: str) -> Plot:
    """Draw with this module's style, whatever the matplotlibrc says, and make the SVG file a part of a page."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({**_STYLE, "svg.hashsalt": title})
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        paint(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True)
    _, _, body = file.getvalue().partition("</metadata>")  # cuts the head, which has the time and matplotlib's version
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)  # a style element applies to the whole page
    body = re.sub(r'<g id="[^"]*">', "<g>", body)  # unused, and not unique on a page with several pictures
    for tone, colour in _CSS.items():
        body = body.replace(tone, colour)
    start = f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 {WIDTH * 72:g} {height * 72:g}">'
    return Plot(title, start + body, caption)
