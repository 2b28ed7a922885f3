#!/usr/bin/env bash
# A real Elasticsearch node (the published server jar) on loopback, for tests and trials. Needs a JDK of 21 or later and Maven.
#
#   node.sh start [setting=value ...]   builds what is missing, starts the node, prints its URL; ES_PORT (9200), ES_HEAP (1g)
#   node.sh stop                        ends it; its data stays until the next start
#
# Everything lies under ES_HOME (default: a folder for each user under the temporary directory).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${ES_HOME:-${TMPDIR:-/tmp}/elasticsearch-node-$(id -u)}
port=${ES_PORT:-9200}
version=$(sed -n 's/.*<artifactId>elasticsearch<.*<version>\(.*\)<\/version>.*/\1/p' "$here/pom.xml")

jdk() { # the newest JDK of at least 21
  local best='' best_version=20 candidate found
  for candidate in "${JAVA_HOME:-}" /usr/lib/jvm/* /opt/java/*; do
    [ -x "$candidate/bin/javac" ] || continue
    found=$("$candidate/bin/javac" -version 2>&1 | sed -n 's/javac \([0-9]*\).*/\1/p')
    if [ "${found:-0}" -gt "$best_version" ]; then best=$candidate best_version=$found; fi
  done
  [ -n "$best" ] || { echo 'No JDK of 21 or later found: set JAVA_HOME' >&2; exit 2; }
  echo "$best"
}

build() {
  local classes
  mkdir -p "$home/config" "$home/modules/bridge" "$home/logs"
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$home/lib" -DbuildDirectory="$home/target" >"$home/logs/maven.log" 2>&1 \
    || { tail -5 "$home/logs/maven.log" >&2; exit 2; }
  classes=$(mktemp -d)
  "$java_home/bin/javac" -nowarn -XDsuppressNotes -d "$classes" --module-path "$home/lib" --add-modules ALL-MODULE-PATH "$here"/src/bridge/*.java "$here"/src/node/*.java
  "$java_home/bin/jar" --create --file "$home/modules/bridge/bridge.jar" -C "$classes" bridge
  rm -rf "$home/classes" && mkdir "$home/classes" && cp -r "$classes/node" "$home/classes/" && rm -rf "$classes"
  cat >"$home/modules/bridge/plugin-descriptor.properties" <<P
name=bridge
description=HTTP on the JDK's server
version=$version
elasticsearch.version=$version
java.version=21
classname=bridge.BridgePlugin
P
  : >"$home/config/elasticsearch.yml"
  cat >"$home/config/log4j2.properties" <<P
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d][%-5p][%c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
P
  cat "$here"/pom.xml "$here"/src/*/*.java | sha256sum >"$home/built"
}

start() {
  command -v mvn >/dev/null || { echo 'No Maven found: install it' >&2; exit 2; }
  java_home=$(jdk)
  [ "$(cat "$home/built" 2>/dev/null)" = "$(cat "$here"/pom.xml "$here"/src/*/*.java | sha256sum)" ] || build
  if [ -f "$home/pid" ] && kill -0 "$(cat "$home/pid")" 2>/dev/null; then echo "A node runs already: $0 stop" >&2; exit 2; fi
  setsid "$java_home/bin/java" -Xms"${ES_HEAP:-1g}" -Xmx"${ES_HEAP:-1g}" \
    -Des.path.home="$home" -Des.path.conf="$home/config" -Des.logs.base_path="$home/logs" -Des.logs.cluster_name=tests -Des.distribution.type=tar \
    -Dsun.net.httpserver.nodelay=true -Dsun.net.httpserver.maxIdleConnections=1000 -Dsun.net.httpserver.idleInterval=300 \
    -Djava.locale.providers=CLDR -Dlog4j2.disable.jmx=true \
    --add-modules=jdk.incubator.vector --enable-native-access=ALL-UNNAMED,org.elasticsearch.nativeaccess,org.apache.lucene.core \
    --add-opens=java.base/java.io=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED --add-opens=java.base/java.nio.file=ALL-UNNAMED \
    --module-path "$home/lib" --add-modules ALL-MODULE-PATH -cp "$home/classes" node.RunNode "http.port=$port" "$@" >"$home/logs/node.log" 2>&1 </dev/null &
  echo $! >"$home/pid"
  for _ in $(seq 240); do
    curl -fs -m 2 -o /dev/null "http://127.0.0.1:$port/_cluster/health?wait_for_status=yellow&timeout=1s" && { echo "http://127.0.0.1:$port"; return; }
    kill -0 "$(cat "$home/pid")" 2>/dev/null || break
    sleep 0.5
  done
  tail -20 "$home/logs/node.log" >&2
  exit 1
}

stop() {
  local pid
  pid=$(cat "$home/pid" 2>/dev/null) || return 0
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 15); do kill -0 "$pid" 2>/dev/null || { rm -f "$home/pid"; return 0; }; sleep 0.2; done
  kill -9 "$pid"; rm -f "$home/pid"
}

case ${1:-} in
  start) shift; start "$@" ;;
  stop) stop ;;
  *) sed -n '2,8p' "$0" >&2; exit 2 ;;
esac
