"use strict";
// Draws /status.json once a second. Whatever comes from the network reaches the page as text only.
(() => {
  const PERIOD_MS = 1000, LONGEST_PAUSE_MS = 10000, PATIENCE_MS = 4000;
  // From here on a link is worth a look. Our primaries write once a second, others every ten seconds. Replicas ack in an interval that
  // ours tell: so much beyond it is too late.
  const SILENT_MS = 4000, SILENT_OTHER_MS = 15000;
  const ACK_INTERVAL_MS = 1000, LAGGING_BEYOND_MS = 2000, SILENT_BEYOND_MS = 3000;

  const byId = (id) => document.getElementById(id);
  const setText = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const counted = new Intl.NumberFormat("en-GB");
  const number = (n) => counted.format(n);
  const plural = (n, one, many) => `${number(n)} ${n === 1 ? one : many}`;
  const NONE = "\u2013", SPACE = "\u00a0";

  function bytes(n) {
    if (n < 1024) return `${number(n)}${SPACE}B`;
    const units = ["KiB", "MiB", "GiB", "TiB"];
    let value = n / 1024, unit = 0;
    while (value >= 1023.95 && unit < units.length - 1) { value /= 1024; unit += 1; }
    return `${value.toFixed(1)}${SPACE}${units[unit]}`;
  }

  function duration(ms) {
    if (ms < 1000) return `${Math.round(ms)}${SPACE}ms`;
    if (ms < 59950) return `${(ms / 1000).toFixed(1)}${SPACE}s`;
    const s = Math.round(ms / 1000), parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
    const first = parts.findIndex(([size]) => s >= size);
    return parts.slice(first, first + 2)
      .map(([size, unit], at) => `${Math.floor(at === 0 ? s / size : s % parts[first][0] / size)}${SPACE}${unit}`).join(" ");
  }

  const ago = (ms) => ms === null ? NONE : `${duration(ms)} ago`;
  const rate = (n) => `${number(n < 10 ? Math.round(n * 10) / 10 : Math.round(n))}${SPACE}/s`;

  // What a state is called, and how it looks: [words, class].
  const STATES = {
    connecting: ["connecting", "idle"], handshake: ["handshake", "busy"], full_sync: ["full sync", "busy"],
    stable_sync: ["stable sync", "ok"], broken: ["broken", "bad"], failed: ["given up", "bad"],
  };
  const named = (phase) => STATES[phase] || [phase, "idle"];

  function linkState(link) {
    const patience = link.dialect === "damselfly" ? SILENT_MS : SILENT_OTHER_MS;
    if (link.phase === "stable_sync" && link.last_io_ms >= patience) return ["silent", "warn"];
    return named(link.phase);
  }

  const ackInterval = (replica) => replica.ack_interval_ms === null ? ACK_INTERVAL_MS : replica.ack_interval_ms;
  const isSilent = (replica) => replica.ack_age_ms >= ackInterval(replica) + SILENT_BEYOND_MS;

  function replicaState(replica) {
    if (replica.phase === "stable_sync") {
      if (replica.lag.ms >= ackInterval(replica) + LAGGING_BEYOND_MS) return ["lagging", "warn"];
      if (isSilent(replica)) return ["silent", "warn"];
    }
    return named(replica.phase);
  }

  function behind(lag) {
    if (lag.records === 0) return "nothing behind";
    return `${plural(lag.records, "record", "records")} behind, ${duration(lag.ms)}`;
  }

  function progressText(sync) {
    if (sync.keys_total === null) return `${plural(sync.keys_done, "key", "keys")} so far, the whole number is not known`;
    const left = sync.remaining_ms === null ? "" : sync.remaining_ms === 0 ? ", completing" : `, about ${duration(sync.remaining_ms)} left`;
    return `${Math.floor(sync.percent)}${SPACE}%: ${number(sync.keys_done)} of ${plural(sync.keys_total, "key", "keys")}${left}`;
  }
  const percentText = (sync) => sync.percent === null ? `${number(sync.keys_done)} keys` : `${Math.floor(sync.percent)}${SPACE}%` +
    (sync.remaining_ms ? `, ${duration(sync.remaining_ms)} left` : "");

  // Elements made from templates, kept from one answer to the next: what is open stays open.
  const make = (template) => byId(template).content.firstElementChild.cloneNode(true);

  function fill(root, fields) {
    for (const element of root.querySelectorAll("[data-f]")) {
      const value = fields[element.dataset.f];
      if (value !== undefined) setText(element, value);
    }
  }

  function showState(root, [words, kind]) {
    fill(root, { state: words });
    for (const name of ["ok", "busy", "warn", "bad", "idle"]) root.classList.toggle(name, name === kind);
    root.querySelector("use").setAttribute("href", `#shape-${kind}`);
  }

  function keyed(parent, items, key, create, update) {
    const present = new Map(Array.from(parent.children, (child) => [child.dataset.key, child]));
    items.forEach((item, at) => {
      const name = String(key(item, at));
      let child = present.get(name);
      if (child) present.delete(name);
      else { child = create(item); child.dataset.key = name; }
      if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] || null);
      update(child, item, at);
    });
    present.forEach((child) => child.remove());
  }

  function rows(table, items, cells) {
    keyed(table.tBodies[0], items, (_, at) => at, () => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      row.append(head);
      return row;
    }, (row, item, at) => {
      const texts = [String(at), ...cells(item)];
      while (row.children.length < texts.length) row.append(document.createElement("td"));
      texts.forEach((text, column) => setText(row.children[column], text));
    });
  }

  function showProgress(slot, sync) {
    if (!sync) { slot.replaceChildren(); return; }
    if (!slot.firstElementChild) slot.append(make("t-progress"));
    fill(slot, { progress: progressText(sync) });
    const bar = slot.querySelector("progress");
    if (sync.percent === null) bar.removeAttribute("value");
    else bar.value = sync.percent;
  }

  const hostPort = (peer) => peer.host.includes(":") ? `[${peer.host}]:${peer.port}` : `${peer.host}:${peer.port}`;

  // ---- topology ----

  function showNode(node, kind, address, detail, names) {
    fill(node, { kind, address, detail });
    node.className = `node ${names}`;
  }

  function linkDetail(link) {
    switch (link.phase) {
      case "full_sync": return percentText(link.full_sync);
      case "stable_sync": return `heard ${ago(link.last_io_ms)}`;
      case "broken": return `for ${duration(link.down_ms || 0)}`;
      case "failed": return "not tried again";
      default: return `for ${duration(link.phase_ms)}`;
    }
  }

  function replicaDetail(replica) {
    switch (replica.phase) {
      case "full_sync": return percentText(replica.full_sync);
      case "stable_sync": return replica.lag.records === 0 && isSilent(replica)
        ? `last ack ${ago(replica.ack_age_ms)}` : behind(replica.lag);
      default: return `for ${duration(replica.phase_ms)}`;
    }
  }

  function showTopology(status) {
    const parts = [];
    if (status.primary) parts.push("primary", "link");
    parts.push("self");
    if (status.replicas.length > 0) parts.push("replicas");
    keyed(byId("topology"), parts, (part) => part, (part) => {
      if (part === "link") return make("t-edge");
      if (part !== "replicas") return make("t-node");
      const list = document.createElement("ul");
      list.className = "branches";
      return list;
    }, (element, part) => {
      if (part === "primary") {
        const away = ["connecting", "broken", "failed"].includes(status.primary.phase);
        showNode(element, "Primary", hostPort(status.primary), "", away ? "away" : "");
      } else if (part === "link") {
        showState(element, linkState(status.primary));
        fill(element, { detail: linkDetail(status.primary) });
      } else if (part === "self") {
        const role = status.server.role === "replica" ? "Replica" : "Primary";
        showNode(element, `This server, ${role.toLowerCase()}`, status.server.name, plural(status.server.keys, "key", "keys"), "self");
      } else showBranches(element, status.replicas);
    });
  }

  function showBranches(list, replicas) {
    list.classList.toggle("many", replicas.length > 1);
    keyed(list, replicas, (replica) => replica.id, () => {
      const item = document.createElement("li");
      item.append(make("t-edge"), make("t-node"));
      return item;
    }, (item, replica) => {
      showState(item.children[0], replicaState(replica));
      fill(item.children[0], { detail: replicaDetail(replica) });
      showNode(item.children[1], "Replica", hostPort(replica), "", replica.phase === "broken" ? "away" : "");
    });
  }

  // ---- sections ----

  const DIALECTS = { damselfly: "Damselfly, shard flows", dragonfly: "Dragonfly, shard flows", redis: "Redis, PSYNC" };
  const dialect = (peer) => peer.dialect === null ? NONE : DIALECTS[peer.dialect] || peer.dialect;
  const opened = (article, flows) => {
    article.querySelector("details").hidden = flows.length === 0;
    return plural(flows.length, "flow", "flows").replace(/ .*/, "");
  };

  function showLink(link) {
    byId("link").hidden = !link;
    const body = byId("link-body");
    keyed(body, link ? [link] : [], () => "link", () => make("t-link"), (article) => {
      showState(article, linkState(link));
      showProgress(article.querySelector("[data-slot=progress]"), link.full_sync);
      article.querySelector("[data-row=error]").hidden = link.last_error === null;
      const records = link.flows.map((flow) => flow.next_lsn);
      const executed = records.length === 0 || records.includes(null) ? NONE
        : number(records.reduce((sum, lsn) => sum + lsn - 1, 0));
      fill(article, {
        address: hostPort(link),
        "error-name": ["broken", "failed"].includes(link.phase) ? "Why:" : "Last error:",
        error: link.last_error || "",
        "phase-for": duration(link.phase_ms),
        heard: ago(link.last_io_ms),
        executed: link.dialect === "redis" ? NONE : executed,
        received: bytes(link.flows.reduce((sum, flow) => sum + flow.received_bytes, 0)),
        "full-syncs": number(link.full_syncs),
        "partial-syncs": link.partial_sync_attempts === 0 ? "0"
          : `${number(link.partial_syncs)} of ${number(link.partial_sync_attempts)} tried`,
        reconnects: number(link.reconnects),
        dialect: dialect(link),
        "flow-count": opened(article, link.flows),
      });
      rows(article.querySelector("table"), link.flows, (flow) => [
        flow.next_lsn === null ? NONE : number(flow.next_lsn), ago(flow.last_io_ms), bytes(flow.received_bytes),
        flow.keys_expected === null ? number(flow.keys_loaded) : `${number(flow.keys_loaded)} of ${number(flow.keys_expected)}`,
      ]);
    });
  }

  function showReplicas(replicas) {
    byId("no-replicas").hidden = replicas.length > 0;
    keyed(byId("replicas"), replicas, (replica) => replica.id, () => make("t-replica"), (article, replica) => {
      const stable = replica.phase === "stable_sync", lag = replica.lag;
      showState(article, replicaState(replica));
      showProgress(article.querySelector("[data-slot=progress]"), replica.full_sync);
      fill(article, {
        address: hostPort(replica),
        name: replica.name === null ? "" : replica.name,
        "lag-records": stable ? number(lag.records) : NONE,
        "lag-bytes": stable ? bytes(lag.bytes) : NONE,
        "lag-ms": stable ? duration(lag.ms) : NONE,
        ack: ago(replica.ack_age_ms),
        unsent: bytes(replica.unsent_bytes),
        sent: bytes(replica.sent_full_sync_bytes + replica.sent_record_bytes),
        "phase-for": duration(replica.phase_ms),
        dialect: dialect(replica),
        "flow-count": opened(article, replica.flows),
      });
      rows(article.querySelector("table"), replica.flows, (flow) => [
        number(flow.lag.records), bytes(flow.lag.bytes), duration(flow.lag.ms), ago(flow.ack_age_ms), bytes(flow.unsent_bytes),
        flow.keys_total === 0 ? NONE : `${number(flow.keys_sent)} of ${number(flow.keys_total)}`,
      ]);
    });
  }

  function showServer(server) {
    const root = byId("server");
    root.querySelector("[data-row=history]").hidden = server.history === server.lineage;
    fill(document.querySelector(".top"), { name: server.name, version: server.version });
    document.title = `${server.name}, Damselfly`;
    fill(root, {
      role: server.role === "replica" ? "Replica" : "Primary",
      uptime: duration(server.uptime_s * 1000),
      keys: number(server.keys),
      memory: bytes(server.memory_bytes) + (server.max_memory_bytes > 0 ? ` of ${bytes(server.max_memory_bytes)}` : ""),
      writes: rate(server.writes_per_second),
      commands: rate(server.commands_per_second),
      clients: number(server.clients),
      shards: number(server.shards),
      lineage: server.lineage,
      history: server.history,
    });
  }

  // ---- the sentence on top ----

  function replicasInWords(replicas) {
    const counts = new Map();
    for (const replica of replicas) {
      const words = replicaState(replica)[0];
      counts.set(words, (counts.get(words) || 0) + 1);
    }
    const list = Array.from(counts, ([words, count]) => counts.size === 1 ? words : `${number(count)} in ${words}`.replace(/in (lagging|silent|broken)/, "$1"));
    return list.join(", ");
  }

  function headline(status) {
    const own = status.replicas.length;
    const theirs = own === 0 ? "" : `${plural(own, "replica", "replicas")}: ${replicasInWords(status.replicas)}.`;
    if (!status.primary) return own === 0 ? "Primary, without replicas." : `Primary of ${theirs}`;
    const link = `Replica of ${hostPort(status.primary)}: ${linkState(status.primary)[0]}.`;
    return own === 0 ? link : `${link} Passes on to ${theirs}`;
  }

  // ---- asking ----

  let answered = null, pause = PERIOD_MS, timer = 0, asking = false;
  const clock = (date) => date.toLocaleTimeString("en-GB");

  function show(status) {
    answered = new Date();
    pause = PERIOD_MS;
    document.documentElement.classList.remove("stale");
    byId("notice").hidden = true;
    byId("main").hidden = false;
    showServer(status.server);
    showTopology(status);
    showLink(status.primary);
    showReplicas(status.replicas);
    setText(byId("headline"), headline(status));
    setText(byId("freshness"), `Live, ${clock(answered)}`);
    document.documentElement.dataset.answers = String(Number(document.documentElement.dataset.answers || 0) + 1);
  }

  function showNoAnswer(why) {
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    document.documentElement.classList.add("stale");
    const since = answered ? `No answer since ${clock(answered)}` : "No answer";
    const old = answered ? " What is shown below was true then." : "";
    byId("notice").hidden = false;
    setText(byId("notice"), `${since}: ${why}.${old}`);
    if (answered) setText(byId("headline"), "State unknown: the server does not answer.");
    setText(byId("freshness"), answered ? `Not live. As of ${clock(answered)}` : "Not live");
  }

  async function ask() {
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    try {
      const response = await fetch("/status.json", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
      if (!response.ok) throw new Error(`the server says ${response.status}`);
      show(await response.json());
    } catch (error) {
      const late = error.name === "TimeoutError" || error.name === "AbortError";
      showNoAnswer(late ? `nothing within ${duration(PATIENCE_MS)}` : error instanceof TypeError ? "it can't be reached" : error.message);
    }
    asking = false;
    if (!document.hidden) timer = setTimeout(ask, pause);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else ask();
  });
  ask();
})();
