"""What may differ between the two brokers, read from a file. Lines (# begins a remark):

    unserved NAME                   the candidate serves no such API: ApiVersions does not list it, every request for it closes the connection
    CASE: LABEL                     these observations may differ in anything (both are patterns of fnmatch)
    CASE: LABEL => PATH A/B; ...    only at these paths, and only from the reference's A to the candidate's B (JSON; * stands for anything)
"""
import fnmatch
import json

from wire import CLOSED


class Known:
    def __init__(self, schemas, place):
        self.unserved, self.patterns, self.names = set(), [], {}
        self.lines, self.used = [], set()
        for line in open(place).read().splitlines() if place else []:
            line = line.split("#")[0].strip()
            if not line:
                continue
            self.lines.append(line)
            if line.startswith("unserved "):
                name = line.split()[1]
                self.unserved.add(schemas.by_name[name])
                self.names[name] = line
            else:
                label, _, paths = line.partition(" => ")
                self.patterns.append((line, label, [allowed(p) for p in paths.split("; ")] if paths else None))

    def excuses(self, case, label, diffs, got):
        """The line that excuses these differences, or None."""
        line = self.names.get(case.partition("/")[2]) if case.startswith(("every/", "fields/")) else None
        if line and diffs and (got == "(not observed)" or label == "(the case broke off)" or isinstance(got, dict) and got.get("outcome") == CLOSED):
            self.used.add(line)
            return line
        for line, pattern, paths in self.patterns if diffs else []:
            if fnmatch.fnmatchcase("%s: %s" % (case, label), pattern) and (paths is None or all(covers(paths, d) for d in diffs)):
                self.used.add(line)
                return line
        return None

    def unused(self):
        return [line for line in self.lines if line not in self.used]


def allowed(text):
    path, values = text.split(None, 1)
    reference, _, candidate = values.strip().partition("/")
    return path, reference, candidate


def covers(paths, diff):
    at, a, b = diff
    return any(fnmatch.fnmatchcase(at, path) and is_value(a, want) and is_value(b, got) for path, want, got in paths)


def is_value(value, wanted):
    return fnmatch.fnmatchcase(json.dumps(value), wanted)
