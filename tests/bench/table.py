"""Rows of the comparison: what is measured, what it must reach, and the verdict over the medians."""
import statistics


class Figure:
    """One number of a row, collected for both sides (and for a floor, where a bare program does the same work).

    ratio: Stoker's median over the JVM's must not pass it; with more_is_better it must reach it. most: an absolute bound on
    Stoker's. floor_ratio: a bound over the floor's median. None of them: the figure is only reported.
    """

    def __init__(self, key, about, unit, ratio=None, most=None, floor_ratio=None, more_is_better=False):
        self.key, self.about, self.unit = key, about, unit
        self.ratio, self.most, self.floor_ratio, self.more_is_better = ratio, most, floor_ratio, more_is_better
        self.values = {"jvm": [], "stoker": [], "floor": []}

    def add(self, side, value):
        self.values[side].append(value)

    def median(self, side):
        return statistics.median(self.values[side]) if self.values[side] else None

    def over(self, side):
        stoker, other = self.median("stoker"), self.median(side)
        return stoker / other if stoker is not None and other else None

    def target(self):
        parts = []
        if self.ratio is not None:
            parts.append("%s %g x JVM" % (">=" if self.more_is_better else "<=", self.ratio))
        if self.most is not None:
            parts.append("<= %g" % self.most)
        if self.floor_ratio is not None:
            parts.append("<= %g x floor" % self.floor_ratio)
        return ", ".join(parts) or "report"

    def verdict(self):
        checks = []
        if self.ratio is not None and self.over("jvm") is not None:
            checks.append(self.over("jvm") >= self.ratio if self.more_is_better else self.over("jvm") <= self.ratio)
        if self.most is not None and self.median("stoker") is not None:
            checks.append(self.median("stoker") <= self.most)
        if self.floor_ratio is not None and self.over("floor") is not None:
            checks.append(self.over("floor") <= self.floor_ratio)
        wanted = sum(bound is not None for bound in (self.ratio, self.most, self.floor_ratio))
        if wanted == 0:
            return "-"
        if len(checks) < wanted:
            return "MISSED" if False in checks else "unknown"
        return "met" if all(checks) else "MISSED"

    def as_json(self):
        return {"figure": self.key, "about": self.about, "unit": self.unit, "target": self.target(), "verdict": self.verdict(),
                "jvm": self.values["jvm"], "stoker": self.values["stoker"], "floor": self.values["floor"],
                "jvm_median": self.median("jvm"), "stoker_median": self.median("stoker"), "floor_median": self.median("floor"),
                "ratio": self.over("jvm"), "floor_ratio": self.over("floor")}


class Row:
    """A load and its figures. prepare(bench, side) once, measure(bench, side) each time (gives {key: value}; keys with
    'floor' as (key, 'floor')), finish(bench, side) at the end. sides: who is measured."""
    name, about, sides = "", "", ("jvm", "stoker")

    def figures(self):
        return []

    def prepare(self, bench, side):
        pass

    def measure(self, bench, side):
        raise NotImplementedError

    def finish(self, bench, side):
        pass


def number(value):
    if value is None:
        return "-"
    return "%.0f" % value if abs(value) >= 1000 else "%.4g" % value


HEADS = ["row", "figure", "unit", "JVM", "Stoker", "ratio", "floor", "x floor", "target", "verdict"]


def lines(measured):
    """The table of [(row name, figures)], as aligned lines."""
    rows = [HEADS]
    for name, figures in measured:
        for f in figures:
            rows.append([name, f.about, f.unit, number(f.median("jvm")), number(f.median("stoker")), number(f.over("jvm")),
                         number(f.median("floor")), number(f.over("floor")), f.target(), f.verdict()])
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
