"""What tests/bench/compare and tests/bench/failover share: options, turns of both sides, the table and the JSON."""
import argparse
import datetime
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time
import traceback

import brokers
import table

ROOT = brokers.HERE.parent.parent


class Bench:
    """What rows work with: the place, the scale, and one long-lived broker of each side."""

    def __init__(self, place, runs, scale, only):
        self.place, self.runs, self.scale, self.only = place, runs, scale, only
        self._shared = {}

    def scaled(self, count):
        return max(1, int(count * self.scale))

    def sides(self, row):
        return [side for side in row.sides if self.only in (None, side)]

    def shared(self, side):
        """The broker of that side that serves all rows which need no other."""
        if side not in self._shared:
            broker = brokers.Home(self.place, side, "shared").start()
            broker.await_leaders(0)
            self._shared[side] = broker
        return self._shared[side]

    def run(self, row):
        figures = row.figures()
        sides = self.sides(row)
        try:
            for side in sides:
                row.prepare(self, side)
            for turn in range(self.runs + 1):
                for side in sides:
                    self._once(row, side, figures, turn)
        finally:
            for side in sides:
                row.finish(self, side)
            brokers.end_all_but(self._shared.values())
        return figures

    def _once(self, row, side, figures, turn):
        started = time.monotonic()
        values = row.measure(self, side)
        say("%s %s %s (%.1f s): %s" % (row.name, side, "run %d" % turn if turn else "warm-up", time.monotonic() - started,
                                       " ".join("%s=%s" % (k, table.number(v)) for k, v in values.items())))
        if turn == 0:
            return
        for figure in figures:
            for name in (side, "floor"):
                key = figure.key if name == side else figure.key + "_floor"
                if key in values:
                    figure.add(name, values[key])


def say(line):
    print(line, file=sys.stderr, flush=True)


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.strip()
    except OSError:
        return ""


def machine(programs):
    cache = pathlib.Path(programs) / ".." / "CMakeCache.txt"
    build = [line.split("=")[1] for line in cache.read_text().splitlines() if line.startswith("CMAKE_BUILD_TYPE:")] if cache.exists() else []
    if build != ["Release"]:
        say("%s is not a Release build: %s" % (programs, build))
    return {"when": datetime.datetime.now().isoformat(timespec="seconds"), "cores": os.cpu_count(), "kernel": platform.release(),
            "commit": output_of("git", "rev-parse", "--short", "HEAD"), "build": build,
            "jvm": output_of("sh", "-c", "java -version 2>&1").splitlines()[:1], "load_average": os.getloadavg()}


def options(about, runs):
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--bin", default=os.environ.get("STOKER_BIN", str(ROOT / "build" / "bin")), help="folder of stokerd and bench_*")
    parser.add_argument("--dir", help="folder for data, on the disk to be measured")
    parser.add_argument("--only", choices=["jvm", "stoker"])
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


def chosen(rows, names):
    known = {row.name: row for row in rows}
    for name in names:
        if name not in known:
            sys.exit("no row named %s (--list names them)" % name)
    return [known[name] for name in names] if names else rows


def main(about, rows, runs=5):
    """about: the program's first paragraphs. Gives the exit status: 1 if a row failed or missed its target."""
    given = options(about, runs)
    if given.list:
        for row in rows:
            print("%-26s %s" % (row.name, row.about))
        return 0
    selected = chosen(rows, given.rows)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # so that brokers and ZooKeeper end too
    facts = machine(given.bin)
    bench = Bench(brokers.Place(given.bin, given.dir), given.runs, given.scale, given.only)
    measured, failed, loads = [], [], {}
    for row in selected:
        say("== %s: %s" % (row.name, row.about))
        loads[row.name] = os.getloadavg()
        try:
            measured.append((row.name, bench.run(row)))
        except Exception as e:
            traceback.print_exc()
            failed.append("%s: %s" % (row.name, e))
    print("\n".join(table.lines(measured)))
    for line in failed:
        print("FAILED " + line)
    if given.json:
        pathlib.Path(given.json).write_text(json.dumps(
            {"machine": facts, "runs": given.runs, "scale": given.scale, "failed": failed, "load_average": loads,
             "rows": {name: [figure.as_json() for figure in figures] for name, figures in measured}}, indent=1) + "\n")
    return 1 if failed or any(f.verdict() == "MISSED" for _, figures in measured for f in figures) else 0
