"""Plays the StatefulSet's three pods on one machine, as the manifests have them: names in /etc/hosts, an address of 127/8 for each, the
scripts and flags of the ConfigMap, the probe of the readiness. To be run in a mount namespace: pods.py MANIFESTS BINARY DIRECTORY"""

import os
import pathlib
import subprocess
import sys
import time

import yaml

manifests, binary, work = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
configuration = yaml.safe_load((manifests / "configmap.yaml").read_text())["data"]
domain = "damselfly-nodes.default.svc.cluster.local"
password = "change-me"


class Pod:
    def __init__(self, number):
        self.name, self.address = f"damselfly-{number}", f"127.77.0.{number + 1}"
        self.host = f"{self.name}.{domain}"
        self.data = work / self.name
        self.data.mkdir()
        self.processes = []
        self.flags = [f"--flagfile={self.data}/damselfly.conf", f"--dir={self.data}", f"--bind={self.address}", "--proactor_threads=1"]
        self.environment = dict(os.environ, DFLY_requirepass=password, DFLY_masterauth=password)

    def start(self):
        """The init container, then both others."""
        of_pod = dict(POD=self.name, DOMAIN=domain, PODS="3", PASSWORD=password, DATA=str(self.data), CONFIGURATION=f"{work}/damselfly.conf")
        environment = dict(os.environ, PATH=f"{work}/bin:{os.environ['PATH']}", **of_pod)
        said = subprocess.run(["sh", work / "configure.sh"], env=environment, check=True, capture_output=True, text=True)
        print("   ", said.stdout.strip())
        sentinel = self.data / "sentinel.conf"
        if "bind " not in sentinel.read_text():
            sentinel.write_text(f"bind {self.address}\n{sentinel.read_text()}")
        self.processes = [self.run(binary, *self.flags), self.run("redis-sentinel", str(sentinel))]

    def run(self, *line):
        log = open(self.data / "log", "a")
        return subprocess.Popen(line, env=self.environment, stdout=log, stderr=log)

    def crash(self):
        """The server's container alone: the kubelet starts it again at once, and without the init container."""
        self.processes[0].kill()
        self.processes[0].wait()
        self.processes[0] = self.run(binary, *self.flags)

    def kill(self):
        for process in self.processes:
            process.kill()
            process.wait()

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            assert process.wait() == 0, process.args

    def probe(self):
        probe = subprocess.run([binary, "--healthcheck=ready", *self.flags], env=self.environment, capture_output=True, text=True)
        return probe.returncode == 0, probe.stdout.strip()

    def ask(self, *words):
        line = ["redis-cli", "-h", self.address, "--no-auth-warning", "-a", password, *words]
        return subprocess.run(line, capture_output=True, text=True).stdout.strip()

    def sentinel(self, *words):
        line = ["redis-cli", "-h", self.address, "-p", "26379", *words]
        return subprocess.run(line, capture_output=True, text=True).stdout.strip()

    def primary(self):
        return self.sentinel("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "damselfly").partition("\n")[0]


def eventually(what, holds):
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > 60:
            raise SystemExit(f"never: {what}")
        time.sleep(0.1)
    print(f"    {what}: {time.monotonic() - start:.1f} s")


def prepare():
    lines = ["127.0.0.1 localhost"] + [f"127.77.0.{number + 1} damselfly-{number}.{domain}" for number in range(3)]
    (work / "hosts").write_text("\n".join(lines) + "\n")
    subprocess.run(["mount", "--bind", work / "hosts", "/etc/hosts"], check=True)
    (work / "bin").mkdir()
    (work / "bin/valkey-cli").symlink_to("/usr/bin/redis-cli")
    for name, text in configuration.items():
        (work / name).write_text(text)


def play(pods):
    for pod in pods:
        pod.start()
    eventually("all are ready", lambda: all(pod.probe()[0] for pod in pods))
    eventually("sentinels know all", lambda: all("slaves=2,sentinels=3" in pod.sentinel("INFO", "sentinel") for pod in pods))
    first, second, third = pods
    eventually("a write", lambda: first.ask("SET", "before", "1") == "OK")
    eventually("the others have it", lambda: second.ask("GET", "before") == third.ask("GET", "before") == "1")
    print("    the first pod, the primary, is killed")
    first.kill()
    eventually("failover", lambda: second.primary() == third.primary() and second.primary() in (second.host, third.host))
    primary = next(pod for pod in pods if pod.host == second.primary())
    eventually("a write to the new primary", lambda: primary.ask("GET", "before") == "1" and primary.ask("SET", "after", "2") == "OK")
    print("    it comes back")
    first.start()
    eventually("it is a replica in sync", lambda: first.probe() == (True, f"ready: replica, in sync with {primary.host}:6379"))
    eventually("its sentinel knows the primary", lambda: first.primary() == primary.host)
    assert first.ask("GET", "after") == "2"
    print("    all end, and start again")
    for pod in pods:
        pod.stop()
    for pod in pods:
        pod.start()
    eventually("all are ready", lambda: all(pod.probe()[0] for pod in pods))
    assert primary.probe()[1] == "ready: primary", primary.probe()
    assert all(pod.ask("GET", "after") == "2" for pod in pods)
    crash(primary, *(pod for pod in pods if pod is not primary))


def crash(primary, heir, other):
    """A crash that the sentinels do not notice, and what docs/operations.md says of it."""
    print(f"    the server of {primary.name}, the primary, crashes and is back at once")
    eventually("a write", lambda: primary.ask("SET", "later", "3") == "OK")
    eventually("the others have it", lambda: heir.ask("GET", "later") == other.ask("GET", "later") == "3")
    primary.crash()
    eventually("it runs", lambda: primary.probe() == (True, "ready: primary"))
    eventually("its replicas stay away", lambda: "master_link_error" in heir.ask("INFO", "replication") and not other.probe()[0])
    assert heir.ask("GET", "later") == other.ask("GET", "later") == "3"
    assert "NOREPLICAS" in primary.ask("SET", "x", "1"), "it takes writes"
    assert heir.ask("REPLICAOF", "NO", "ONE") == "OK"
    assert all(pod.ask("REPLICAOF", heir.host, "6379") == "OK" for pod in (primary, other))
    pods = (primary, heir, other)
    agreed = lambda: len({pod.primary() for pod in pods}) == 1 and heir.primary() != primary.host
    eventually("the sentinels agree on another", agreed)
    eventually("all are ready", lambda: all(pod.probe()[0] for pod in pods))
    assert all(pod.ask("GET", "later") == "3" for pod in pods)


prepare()
everyone = [Pod(number) for number in range(3)]
try:
    play(everyone)
finally:
    for each in everyone:
        each.kill()
