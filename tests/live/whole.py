"""Is a partition's directory whole? Read by `stoker dump-log` and, where there is a JDK, by Kafka's own DumpLogSegments too."""
import re
import shutil
import subprocess
import zipfile

import harness

WRONG = re.compile(r"(?i)mismatch|corrupt|invalid|non-secutive|isvalid: false|error|exception")


def assert_whole(folder, jvm=False):
    """Every segment and its indexes are sound; returns the number of records in them. The broker must have been stopped."""
    commands = [[harness.binary("stoker"), "dump-log"]]
    if jvm and shutil.which("java"):
        commands.append(harness.jvm_command(dump_class(), "-Xmx256m"))
    counts = []
    segments = sorted(folder.glob("*.log"))
    assert segments, "no segment in %s" % folder
    for command in commands:
        records = 0
        for options in (["--deep-iteration"], ["--index-sanity-check"], ["--verify-index-only"]):
            files = [f for s in segments for f in (s, s.with_suffix(".index"), s.with_suffix(".timeindex")) if f.exists()]
            if options == ["--deep-iteration"]:
                files = segments
            done = subprocess.run(command + ["--files", ",".join(map(str, files))] + options, capture_output=True, text=True)
            text = done.stdout + done.stderr
            found = WRONG.search(text)
            assert done.returncode == 0 and not found, "%s %s: status %d, '%s':\n%s" % (
                command[0], options, done.returncode, found and found.group(), text[-3000:])
            if options == ["--deep-iteration"]:
                records = len(re.findall(r"\| offset: \d+", text))
        counts.append(records)
    assert len(set(counts)) == 1, "the two tools count different records: %s" % counts
    return counts[0]


def dump_class():
    in_scala = any("kafka/tools/DumpLogSegments.class" in zipfile.ZipFile(jar).namelist() for jar in harness.jars().glob("kafka_*.jar"))
    return "kafka.tools.DumpLogSegments" if in_scala else "org.apache.kafka.tools.DumpLogSegments"
