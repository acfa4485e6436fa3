#!/bin/sh
# Moves the data of a running Redis (6.2 or newer) or Valkey to a Damselfly while clients write. No acknowledged write is lost.
#
#   OLD="redis-cli -h old -p 6379" NEW="redis-cli -h new -p 6379" \
#       move-from-redis.sh old 6379 ["command that sends clients to the new server"]
#
# The two arguments are where the new server reaches the old one. Passwords: in OLD and NEW (`--user`, `--pass`), and in the new
# server's --masterauth for the link. The command is whatever moves your clients: a DNS entry, a proxy's target, a Kubernetes service.
#
# Writes wait (reads do not) from step 2 until the command has done its work; then clients that still write to the old server
# get errors (NOREPLICAS) instead of losing data there. Whatever fails before step 4 leaves the old server as it was.
set -eu

old_host=${1:?host of the old server}
old_port=${2:?port of the old server}
switch=${3:-true}
OLD=${OLD:-redis-cli -h $old_host -p $old_port}
NEW=${NEW:?how to reach the new server: NEW=\"redis-cli -h host -p port\"}
# How long writes may wait at most, and how long the first copy may take.
PAUSE_MS=${PAUSE_MS:-10000}
SYNC_SECONDS=${SYNC_SECONDS:-3600}
# So near to the end of the stream that the rest takes no time.
NEAR_BYTES=1000000

say() { printf '%s %s\n' "$(date +%T)" "$*"; }
fail() { say "FAILED: $*"; exit 1; }
now_ms() { date +%s%3N; }
# field CLI NAME: a value of INFO replication.
field() { $1 INFO replication | tr -d '\r' | sed -n "s/^$2://p"; }
# order CLI WORDS…: a command that has to be answered with OK.
order() {
    cli=$1; shift
    answer=$($cli "$@") || fail "$*: no answer"
    [ "$answer" = OK ] || fail "$*: $answer"
}
let_old_go_on() {
    $OLD CONFIG SET min-replicas-to-write "$least" >/dev/null || true
    $OLD CLIENT UNPAUSE >/dev/null || true
}

# 1. The new server follows the old one; what it held itself goes.
[ "$(field "$OLD" role)" = master ] || fail "the old server is no primary"
least=$($OLD CONFIG GET min-replicas-to-write | tail -n 1)
order "$NEW" REPLICAOF "$old_host" "$old_port"
say "the new server copies the data"
give_up=$(($(now_ms) + SYNC_SECONDS * 1000))
while :; do
    error=$(field "$NEW" master_link_error)
    [ -z "$error" ] || fail "the link: $error"
    if [ "$(field "$NEW" master_link_status)" = up ]; then
        behind=$(($(field "$OLD" master_repl_offset) - $(field "$NEW" slave_repl_offset)))
        [ "$behind" -gt "$NEAR_BYTES" ] || break
    fi
    [ "$(now_ms)" -lt "$give_up" ] || fail "not in sync after $SYNC_SECONDS s; the new server is a replica still"
    sleep 0.2
done
say "it follows"

# 2. Writes wait.
paused=$(now_ms)
order "$OLD" CLIENT PAUSE "$PAUSE_MS" WRITE
trap let_old_go_on EXIT

# 3. What was acknowledged before stands in front of this place in the stream.
end=$(field "$OLD" master_repl_offset)
while [ "$(field "$NEW" slave_repl_offset)" -lt "$end" ]; do
    [ $(($(now_ms) - paused)) -lt $((PAUSE_MS / 2)) ] || fail "the new server is too far behind; writes go on at the old one"
    sleep 0.01
done

# 4. From here on the old server takes no writes, whoever asks, and the new one does.
order "$OLD" CONFIG SET min-replicas-to-write 1000
order "$NEW" REPLICAOF NO ONE
trap - EXIT
[ $(($(now_ms) - paused)) -lt "$PAUSE_MS" ] || fail "the pause was over too early: writes may have been lost; PAUSE_MS=$PAUSE_MS is too short"
taken=$(now_ms)
say "the new server takes writes, $((taken - paused)) ms after they stopped at the old one"

# 5. Clients move; those that wait at the old server are told to.
sh -c "$switch" || say "the command for the clients failed: do by hand what it should have done"
$OLD CLIENT UNPAUSE >/dev/null || true
say "done after $(($(now_ms) - paused)) ms; end the old server when nobody reads from it"
