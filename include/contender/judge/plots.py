"""The report's pictures, as SVG that takes its colours from the page. Draws only; decides and judges nothing.

Everything is drawn in placeholder colours that become CSS (``currentColor``, ``var(--candidate)``), so that one picture
serves light, dark and paper. Text stays text, in the page's font. Same input, same bytes.
"""

from __future__ import annotations

import html
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from contender.documents import TrialResult
    from contender.judge.contest import Contest
    from contender.judge.scorecard import Comparison, Contestant, Verdict

WIDTH = 5.2  # inches, of every picture: a phone shows it at its natural size, a wide page two side by side
MOST_POINTS = 400  # of a curve, a scatter or a sweep, so that the page does not grow with the data
ENOUGH_ROWS = 100  # with fewer rows that the champion may be judged on, everybody's curve would be noise
_NAMES = ("ink", "muted", "candidate", "champion", "baseline", "trivial", "passed", "failed", "undecided")
_TONES = {name: f"#0101{place:02x}" for place, name in enumerate(_NAMES, start=1)}
_CSS = {tone: "currentColor" if name == "ink" else f"var(--{name})" for name, tone in _TONES.items()}
_LINES = {"candidate": "-", "champion": "--", "baseline": "-.", "trivial": ":"}
_MARKS = {"passed": "o", "failed": "X", "undecided": "D"}
_STYLE = {
    "axes.edgecolor": _TONES["muted"],
    "axes.grid": True,
    "axes.labelcolor": _TONES["ink"],
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": False,
    "font.size": 9,
    "grid.alpha": 0.25,
    "grid.color": _TONES["muted"],
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": _TONES["ink"],
    "text.parse_math": False,  # a dollar sign in somebody's parameter is a dollar sign
    "xtick.color": _TONES["muted"],
    "xtick.labelcolor": _TONES["ink"],
    "ytick.color": _TONES["muted"],
    "ytick.labelcolor": _TONES["ink"],
}


@dataclass(frozen=True)
class Plot:
    """A picture for the page. ``svg`` is safe markup; ``title`` and ``caption`` are text."""

    title: str
    svg: str
    caption: str


@dataclass(frozen=True)
class Bout:
    """A comparison and the gate that asked for it."""

    comparison: Comparison
    verdict: Verdict
    policy: str


def forest(bouts: Sequence[Bout]) -> Plot | None:
    """Every difference with its interval, the zero line and what the gate asks for; a panel for each metric."""
    if not bouts:
        return None
    panels = {bout.comparison.metric: [b for b in bouts if b.comparison.metric == bout.comparison.metric] for bout in bouts}

    def paint(figure: Any) -> None:
        heights = [len(shown) + 0.6 for shown in panels.values()]
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
        for panel, (metric, shown) in zip(grid.flat, panels.items(), strict=True):
            panel.axvline(0, color=_TONES["ink"], linewidth=1)
            for place, bout in enumerate(shown):
                one, verdict = bout.comparison, bout.verdict
                tone = _TONES.get(verdict.status, _TONES["muted"])
                panel.plot([one.low, one.high], [place, place], color=tone, linewidth=2.5)
                panel.plot(one.difference, place, _MARKS.get(verdict.status, "o"), color=tone, markersize=8)
                if verdict.required is not None:
                    panel.plot([verdict.required] * 2, [place - 0.4, place + 0.4], "--", color=_TONES["ink"])
            names = [f"{bout.comparison.opponent}\n{bout.policy}" for bout in shown]
            panel.set(yticks=range(len(shown)), yticklabels=names, ylim=(len(shown) - 0.4, -0.6))
            panel.set_xlabel(f"{metric}: candidate minus opponent (right is better)")

    told = [
        f"{one.metric} against {one.opponent} {one.difference:+.4g} [{one.low:+.4g}, {one.high:+.4g}] {b.verdict.status}"
        for b in bouts
        for one in [b.comparison]
    ]
    share = f"{bouts[0].comparison.confidence:.0%}"
    caption = f"Mark: the observed difference. Bar: its {share} interval. Solid line: no difference. Dashed: the gate's margin."
    height = 0.5 * len(bouts) + 0.65 * len(panels)
    return _plot("How much better, and how sure", caption, paint, height=height, alt="; ".join(told))


def contest_plots(contest: Contest) -> tuple[Plot, ...]:
    """How the contestants answer on gate rows, all on the same ones; the champion is in when it has enough of them."""
    judged, names = np.ones(len(contest.target), dtype=bool), ["candidate", "baseline", "trivial"]
    fresh = contest.fresh
    if "champion" in contest.predictions and fresh.sum() >= min(ENOUGH_ROWS, len(judged)):
        judged, names = fresh, ["candidate", "champion", "baseline", "trivial"]
    target = contest.target[judged]
    answers: dict[Contestant, np.ndarray] = {n: p.values[judged] for n, p in contest.predictions.items() if n in names}
    answers = {name: answers[name] for name in names if name in answers}  # type: ignore[index]
    words = f"{len(target):,} gate rows" + (" that are new to the champion too" if not judged.all() else "")
    if answers["candidate"].ndim == 1:
        return _predicted(target, answers, words), _errors(target, answers, words)
    if len(np.unique(target)) < 2:  # noqa: PLR2004 - no curve without both classes
        return ()
    answers = {name: values[:, 1] for name, values in answers.items()}
    return _roc(target, answers, words), _recall(target, answers, words), _calibration(target, answers, words)


def sweep_plot(results: Sequence[TrialResult], winner: str, metric: str) -> Plot | None:
    """Every complete trial's mean score, a strip for each estimator, the best first. ``winner`` is a trial's key."""
    ranked, drawn = _ranked(results)
    if not ranked:
        return None
    kinds = {result.trial.estimator: result for result in reversed(ranked)}
    order = sorted(kinds, key=lambda kind: ranked.index(kinds[kind]))
    means = np.array([result.mean for result in drawn])
    quarter = float(np.quantile(means, 0.25))
    floor = quarter - 4 * (means.max() - quarter)  # one hopeless trial would squeeze all the others into a line
    spread = (np.arange(len(drawn)) * 0.618 % 1 - 0.5) * 0.5
    spread[[result.trial.key == winner for result in drawn]] = 0
    heights = spread + [order.index(result.trial.estimator) for result in drawn]

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        _points(panel, np.maximum(means, floor), heights, drawn, winner)
        panel.plot(means[means < floor] * 0 + floor, heights[means < floor], "<", color=_TONES["ink"])
        names = [kinds[kind].trial.label + ("\n(baseline)" if kinds[kind].trial.baseline else "") for kind in order]
        panel.set(yticks=range(len(order)), yticklabels=names, ylim=(len(order) - 0.4, -0.6))
        panel.set_xlabel(f"mean {metric} over the folds (right is better)")

    caption = "Each point is a trial; the star became the candidate."
    caption += f" {len(drawn)} of {len(ranked):,} trials are drawn." if len(drawn) < len(ranked) else ""
    caption += " An arrow: worse than the axis shows." if (means < floor).any() else ""
    alt = "; ".join(f"{kinds[kind].trial.label} reaches {kinds[kind].mean:.4g}" for kind in order)
    return _plot("Trials by estimator", caption, paint, height=0.8 + 0.62 * len(order), alt=alt)


def parameter_plot(results: Sequence[TrialResult], estimator: str, winner: str, metric: str) -> Plot | None:
    """Mean score of one estimator's trials against each parameter that varied, at most six."""
    _, drawn = _ranked([result for result in results if result.trial.estimator == estimator])
    names = sorted({name for result in drawn for name in result.trial.params})
    values = {name: [result.trial.params.get(name) for result in drawn] for name in names}
    varied = [name for name in names if len({repr(value) for value in values[name]}) > 1][:6]
    if not varied:
        return None
    lines = (len(varied) + 1) // 2

    def paint(figure: Any) -> None:
        panels = figure.subplots(lines, 2, sharey=True, squeeze=False).flat
        for panel, name in zip(panels, varied, strict=False):
            _points(panel, _places(panel, values[name]), np.array([result.mean for result in drawn]), drawn, winner)
            panel.set_xlabel(name[:40])
        for panel in list(figure.axes)[len(varied) :]:
            panel.set_visible(False)
        figure.supylabel(f"mean {metric}", fontsize=9)

    caption = "Each point is a trial, the star is the candidate. A star at the edge of its range suggests a wider one."
    title = f"{estimator.rpartition('.')[2]}: score against each parameter"
    return _plot(title, caption, paint, height=1.75 * lines + 0.1, alt=f"mean {metric} against {', '.join(varied)}")


def _roc(target: np.ndarray, answers: Mapping[Contestant, np.ndarray], words: str) -> Plot:
    from sklearn.metrics import roc_auc_score, roc_curve

    areas = {name: float(roc_auc_score(target, answer)) for name, answer in answers.items()}

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        for name, answer in answers.items():
            wrong, right, _ = roc_curve(target, answer)
            panel.plot(*_thinned(wrong, right), **_line(name, f"{areas[name]:.4f}"))
        panel.set(xlabel="false positive rate", ylabel="true positive rate")
        panel.legend(loc="lower right", title="area under the curve")

    return _plot("ROC curve", f"Up and left is better. {words}.", paint, height=4, alt=_told("area", areas))


def _recall(target: np.ndarray, answers: Mapping[Contestant, np.ndarray], words: str) -> Plot:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    areas = {name: float(average_precision_score(target, answer)) for name, answer in answers.items()}

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        for name, answer in answers.items():
            precision, recall, _ = precision_recall_curve(target, answer)
            if name == "trivial":  # one threshold: a line through its two end points would promise too much
                precision, recall = np.full(2, target.mean()), np.array([1.0, 0.0])
            panel.plot(*_thinned(recall, precision), drawstyle="steps-post", **_line(name, f"{areas[name]:.4f}"))
        panel.set(xlabel="recall", ylabel="precision", ylim=(-0.03, 1.03))
        panel.legend(loc="best", title="average precision")

    caption = f"Up and right is better. {words}, {target.mean():.1%} of them positive."
    return _plot("Precision and recall", caption, paint, height=4, alt=_told("average precision", areas))


def _calibration(target: np.ndarray, answers: Mapping[Contestant, np.ndarray], words: str) -> Plot:
    from sklearn.calibration import calibration_curve

    shown = {name: answer for name, answer in answers.items() if name != "trivial"}

    def paint(figure: Any) -> None:
        curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        curve.plot([0, 1], [0, 1], color=_TONES["muted"], linewidth=1)
        for name, answer in shown.items():
            happened, said = calibration_curve(target, answer, n_bins=10, strategy="quantile")
            curve.plot(said, happened, marker="o", markersize=4, **_line(name))
            counts.hist(answer, bins=np.linspace(0, 1, 26), histtype="step", **_line(name))
        curve.set(ylabel="share that was positive")
        curve.legend(loc="upper left")
        counts.set(xlabel="predicted probability", ylabel="rows")

    caption = f"On the diagonal a probability means what it says; a point is a tenth of {words}. Below: how many rows."
    gaps = {name: float(answer.mean() - target.mean()) for name, answer in shown.items()}
    return _plot("Calibration", caption, paint, height=4, alt=_told("mean probability minus share of positives", gaps))


def _predicted(target: np.ndarray, answers: Mapping[Contestant, np.ndarray], words: str) -> Plot:
    shown = {name: answers[name] for name in ("champion", "candidate") if name in answers}
    some = np.linspace(0, len(target) - 1, min(len(target), MOST_POINTS)).astype(int)

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        for name, answer in shown.items():
            face = "none" if name == "champion" else _TONES[name]
            look = {"color": _TONES[name], "markerfacecolor": face, "markersize": 4, "alpha": 0.7, "label": name}
            panel.plot(target[some], answer[some], "o", **look)
        panel.axline((float(target.mean()),) * 2, slope=1, color=_TONES["muted"], linewidth=1)
        panel.set(xlabel="true", ylabel="predicted")
        panel.legend(loc="upper left")

    caption = f"On the line is right. {len(some)} of {words}."
    errors = {name: float(np.abs(answer - target).mean()) for name, answer in shown.items()}
    return _plot("Predicted against true", caption, paint, height=4, alt=_told("mean absolute error", errors))


def _errors(target: np.ndarray, answers: Mapping[Contestant, np.ndarray], words: str) -> Plot:
    errors = {name: answer - target for name, answer in answers.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(errors.values())), bins=30)

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        panel.axvline(0, color=_TONES["muted"], linewidth=1)
        for name, error in errors.items():
            panel.hist(error, bins=edges, histtype="step", **_line(name))
        panel.set(xlabel="predicted minus true", ylabel="rows")
        panel.legend(loc="best")

    means = {name: float(error.mean()) for name, error in errors.items()}
    caption = f"Narrow and centred on zero is better. {words}."
    return _plot("Residuals", caption, paint, height=4, alt=_told("mean error", means))


def _ranked(results: Sequence[TrialResult]) -> tuple[list[TrialResult], list[TrialResult]]:
    """The complete trials, best first, and those of them that are drawn: the best, and an even choice of the others."""
    ranked = sorted((r for r in results if r.mean is not None), key=lambda r: (-(r.mean or 0.0), r.trial.key))
    places = np.linspace(0, len(ranked) - 1, min(len(ranked), MOST_POINTS)).astype(int)
    return ranked, [ranked[place] for place in places]


def _points(panel: Any, across: np.ndarray, up: np.ndarray, drawn: Sequence[TrialResult], winner: str) -> None:
    won = np.array([result.trial.key == winner for result in drawn])
    panel.plot(across[~won], up[~won], "o", color=_TONES["muted"], markersize=5, alpha=0.75)
    panel.plot(across[won], up[won], "*", color=_TONES["candidate"], markersize=13)


def _places(panel: Any, values: Sequence[Any]) -> np.ndarray:
    """Where values go on a panel's x axis: numbers by size (by logarithm if they span a lot), others by name."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        if min(values) > 0 and max(values) / min(values) > 30:  # noqa: PLR2004 - one and a half decades
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        return np.array(values, dtype=float)
    names = sorted({str(value)[:20] for value in values})
    panel.set(xticks=range(len(names)), xticklabels=names)
    return np.array([names.index(str(value)[:20]) for value in values])


def _thinned(across: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve with at most ``MOST_POINTS`` points, evenly along its length; both ends stay."""
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(across)) + np.abs(np.diff(up)))])
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], MOST_POINTS)).clip(max=len(along) - 1))
    return across[kept], up[kept]


def _line(name: Contestant, value: str = "") -> dict[str, Any]:
    return {"color": _TONES[name], "linestyle": _LINES[name], "linewidth": 1.8, "label": f"{name} {value}".strip()}


def _told(what: str, values: Mapping[Contestant, float]) -> str:
    return f"{what}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def _plot(title: str, caption: str, paint: Callable[[Any], None], *, height: float, alt: str) -> Plot:
    """Draw with our style only, whatever the machine's matplotlibrc says, and turn the file into part of a page."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({**_STYLE, "svg.hashsalt": title})
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        paint(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    picture = file.getvalue()
    box = re.search(r'viewBox="[^"]*"', picture)
    assert box is not None  # matplotlib always writes one
    body = picture[picture.index("</metadata>") + len("</metadata>") :]
    body = re.sub(r"<style .*?</style>", "", body, flags=re.DOTALL)  # it would apply to the whole page
    body = re.sub(r"#0101[0-9a-f]{2}", lambda tone: _CSS.get(tone[0], tone[0]), body)
    place = re.sub(r"\W+", "-", title.lower())
    body = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{place}-", body)  # ids are unique on a page, not in a picture
    return Plot(title, f'<svg role="img" aria-label="{html.escape(alt)}" {box[0]}>{body}', caption)
