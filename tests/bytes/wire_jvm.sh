#!/usr/bin/env bash
# Every message in every version, byte for byte beside the JVM's own classes, both ways:
#   the JVM makes random values, we decode them and encode the same bytes; then we make, and it reads.
# usage: JARS=folder-of-jars tests/bytes/wire_jvm.sh path/to/wire_roundtrip [COUNT [SEED]]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
roundtrip=${1:?path of wire_roundtrip} count=${2:-20} seed=${3:-$RANDOM$RANDOM}
: "${JARS:?the folder with the jars of kafka-clients, kafka-group-coordinator and kafka-transaction-coordinator}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "wire_jvm: seed $seed, $count values a version"

"$roundtrip" list >"$work/messages"
javac -encoding UTF-8 -cp "$JARS/*" -d "$work" "$here/jvm/WireJvm.java"
jvm() { java -Xmx512m -XX:+UseSerialGC -cp "$work:$JARS/*" WireJvm "$@"; }

jvm make "$work/messages" "$seed" "$count" >"$work/from-jvm"
echo -n "from the JVM to us: "
"$roundtrip" check <"$work/from-jvm"
"$roundtrip" make "$seed" "$count" >"$work/from-us"
echo -n "from us to the JVM: "
jvm check <"$work/from-us"
