//! Prometheus scrapes a primary and two replicas, in a full sync and with one of them stopped: what it says of each phase is
//! compared with what is known here.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use damselfly_tests::http::get;
use damselfly_tests::load::Fill;
use damselfly_tests::metrics::{Metrics, promtool_complaints};
use damselfly_tests::{Process, Server, TempDir, await_synced, free_address, replicaof, within};

use crate::pair::{SYNC_DEADLINE, server};
use crate::{Result, Scale};

/// What is scraped every second is there then.
const DEADLINE: Duration = Duration::from_secs(20);
/// Keys that a full sync has at least, so that it does not fit into what the system buffers.
const MIN_KEYS: u64 = 400_000;
const VALUE_BYTES: usize = 64;
/// Records that a stopped replica misses, one every some milliseconds.
const RECORDS: u64 = 1_000;
const RECORD_BYTES: usize = 1_000;
/// How long one replica is stopped.
const STOPPED: Duration = Duration::from_secs(20);
/// What scraping may be beside the clock here, in seconds.
const SLACK_S: f64 = 0.5;

/// All phases.
pub fn run(scale: &Scale) -> Result {
    let (primary, mut moving, mut stopped) = (server()?, server()?, server()?);
    let keys = (scale.keys / 5).max(MIN_KEYS);
    let fill = Fill {
        keys: 0..keys,
        value_bytes: VALUE_BYTES,
        connections: 2,
    };
    fill.write(primary.address())?;
    let prometheus = Prometheus::start(&[&primary, &moving, &stopped])?;
    check_rules()?;
    full_sync(&prometheus, &primary, &mut moving, keys)?;
    replicaof(&mut stopped.client(), primary.address());
    await_synced(SYNC_DEADLINE, &mut stopped.client())?;
    quiet(&prometheus, "both in stable sync")?;
    lag(&prometheus, &primary, &mut stopped, moving.address().port())?;
    quiet(&prometheus, "after it went on")?;
    for server in [&primary, &moving, &stopped] {
        check_metrics(server)?;
    }
    println!("    promtool: rules, their tests and the metrics of all three are accepted");
    Ok(())
}

/// The replica is stopped in the middle, so that there is time to look.
fn full_sync(prometheus: &Prometheus, primary: &Server, replica: &mut Server, keys: u64) -> Result {
    replicaof(&mut replica.client(), primary.address());
    let begun = within(DEADLINE, || {
        let metrics = scrape(primary).ok()?;
        let mut sent = metrics.all("dragonfly_connected_replica_sync_percent");
        sent.any(|(_, percent)| percent > 0.0).then_some(())
    });
    replica.freeze();
    begun.ok_or("no full sync was seen")?;
    std::thread::sleep(Duration::from_secs(4));
    let percent = prometheus.value("dragonfly_connected_replica_sync_percent")?;
    let sent = prometheus.value("dragonfly_connected_replica_sync_keys{kind=\"sent\"}")?;
    let total = prometheus.value("dragonfly_connected_replica_sync_keys{kind=\"total\"}")?;
    let remaining = prometheus.value("dragonfly_connected_replica_sync_remaining_seconds")?;
    let elapsed = prometheus
        .value("dragonfly_connected_replica_state_seconds{replica_state=\"full_sync\"}")?;
    let by_flow = prometheus.value("sum(dragonfly_replica_flow_sync_keys)")?;
    let waiting = prometheus.value("max(dragonfly_replication_full_sync_bytes)")?;
    println!(
        "    in full sync, the replica stopped: {sent} of {total} keys, {percent} %, {elapsed:.1} s so far, {remaining:.1} s to go, \
         {waiting} bytes wait"
    );
    is("keys of the full sync", total, keys as f64, 0.0)?;
    is("keys by flow", by_flow, keys as f64, 0.0)?;
    is("percent", percent, sent * 100.0 / total, 0.01)?;
    is(
        "estimated end",
        remaining,
        (total - sent) * elapsed / sent,
        0.01 * remaining,
    )?;
    if !(0.0 < percent && percent < 100.0 && elapsed > 2.0) {
        return Err("it was not stopped in the middle".into());
    }
    check_metrics(primary)?;
    replica.thaw();
    Ok(await_synced(SYNC_DEADLINE, &mut replica.client())?)
}

/// Nobody writes: nobody is behind.
fn quiet(prometheus: &Prometheus, what: &str) -> Result {
    let stable = "count(dragonfly_connected_replica_lag_records{replica_state=\"stable_sync\"})";
    let lags = UNITS.map(|unit| format!("max(dragonfly_connected_replica_lag_{unit})"));
    let behind = "max(dragonfly_replication_offset_records * on (instance) (dragonfly_master == 1)) \
        - min(dragonfly_connected_replica_offset_records)";
    let settled = within(DEADLINE, || {
        let is = |query: &str, value| prometheus.value(query).is_ok_and(|found| found == value);
        let all = is(stable, 2.0) && lags.iter().all(|lag| is(lag, 0.0)) && is(behind, 0.0);
        let links = "sum(dragonfly_master_link_status)";
        (all && is(links, 2.0)).then_some(())
    });
    let shown = lags.each_ref().map(|lag| prometheus.value(lag));
    println!(
        "    {what}: lag {shown:?} (records, bytes, milliseconds), both links up, offsets equal"
    );
    settled.ok_or_else(|| format!("{what}: there is a lag left: {shown:?}").into())
}

const UNITS: [&str; 3] = ["records", "bytes", "milliseconds"];

/// One replica is stopped, and misses what is known.
fn lag(
    prometheus: &Prometheus,
    primary: &Server,
    stopped: &mut Server,
    moving_port: u16,
) -> Result {
    let port = stopped.address().port();
    stopped.freeze();
    let since = Instant::now();
    let mut client = primary.client();
    let value = "v".repeat(RECORD_BYTES);
    let first_at = unix_s();
    for number in 0..RECORDS {
        client.try_call(&["SET", &format!("missed:{number}"), &value])?;
    }
    for seconds in [5, 10, 15] {
        std::thread::sleep(Duration::from_secs(seconds).saturating_sub(since.elapsed()));
        let of = |figure: &str| format!("{figure}{{replica_port=\"{port}\"}}");
        let records = prometheus.value(&format!(
            "sum({})",
            of("dragonfly_replica_flow_lag_records")
        ))?;
        let most = prometheus.value(&of("dragonfly_connected_replica_lag_records"))?;
        let most_of_flows = prometheus.value(&format!(
            "max({})",
            of("dragonfly_replica_flow_lag_records")
        ))?;
        let bytes = prometheus.value(&of("dragonfly_connected_replica_lag_bytes"))?;
        // When it was scraped, and what it said then.
        let query = of("dragonfly_connected_replica_lag_milliseconds");
        let age = prometheus.value(&format!("timestamp({query}) - {query} / 1000"))?;
        let ms = prometheus.value(&query)?;
        println!(
            "    stopped for {seconds} s: {records} records in all, {most} on one flow, {bytes} bytes, {ms} ms; the oldest was written {:+.2} s \
             from where it was",
            age - first_at
        );
        is("records", records, RECORDS as f64, 0.0)?;
        is("records of the worst flow", most, most_of_flows, 0.0)?;
        let payload = (RECORDS as usize * RECORD_BYTES) as f64;
        is("bytes", bytes, payload * 1.025, payload * 0.025)?;
        is("milliseconds", age, first_at, SLACK_S)?;
        let other = format!(
            "dragonfly_connected_replica_lag_milliseconds{{replica_port=\"{moving_port}\"}}"
        );
        is(
            "the other replica's lag",
            prometheus.value(&other)?,
            0.0,
            0.0,
        )?;
    }
    std::thread::sleep(STOPPED.saturating_sub(since.elapsed()));
    check_metrics(primary)?;
    stopped.thaw();
    Ok(())
}

fn is(what: &str, found: f64, expected: f64, within: f64) -> Result {
    match (found - expected).abs() <= within {
        true => Ok(()),
        false => Err(format!("{what}: {found}, and not {expected} (give or take {within})").into()),
    }
}

fn unix_s() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

fn scrape(server: &Server) -> std::result::Result<Metrics, String> {
    Metrics::parse(&get(server.address(), "/metrics", &[]).body)
}

fn check_metrics(server: &Server) -> Result {
    let text = get(server.address(), "/metrics", &[]).body;
    Metrics::parse(&text)?;
    match promtool_complaints(&text)?.as_slice() {
        [] => Ok(()),
        complaints => Err(format!("promtool check metrics: {complaints:?}").into()),
    }
}

fn monitoring() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring")
}

fn check_rules() -> Result {
    for (what, file) in [("check", "alerts.yml"), ("test", "alerts_test.yml")] {
        let mut promtool = Command::new("promtool");
        let output = promtool
            .args([what, "rules", file])
            .current_dir(monitoring())
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("promtool {what} rules {file}: {said}").into());
        }
    }
    Ok(())
}

/// Debian's Prometheus, which scrapes every second.
struct Prometheus {
    address: std::net::SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it, and waits until it has scraped all servers.
    fn start(servers: &[&Server]) -> Result<Prometheus> {
        let folder = TempDir::new("prometheus")?;
        let targets: Vec<_> = servers
            .iter()
            .map(|server| format!("\"{}\"", server.address()))
            .collect();
        let rules = monitoring().join("alerts.yml").canonicalize()?;
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [\"{}\"]\nscrape_configs:\n  - job_name: damselfly\n    \
             static_configs: [{{targets: [{}]}}]\n",
            rules.display(),
            targets.join(", ")
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config)?;
        let address = free_address()?;
        let flags = [
            format!("--config.file={}", file.display()),
            format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ),
            format!("--web.listen-address={address}"),
            "--log.level=warn".to_owned(),
        ];
        let process = Process::start(Path::new("/usr/bin/prometheus"), &flags, &[])?;
        let prometheus = Prometheus {
            address,
            process,
            _folder: folder,
        };
        let count = servers.len() as f64;
        let is_up = within(DEADLINE, || {
            let answers = std::net::TcpStream::connect(address).is_ok();
            (answers && prometheus.value("sum(up)").is_ok_and(|up| up == count)).then_some(())
        });
        is_up.ok_or_else(|| {
            format!(
                "Prometheus has not scraped all servers; it printed:\n{}",
                prometheus.process.log()
            )
        })?;
        Ok(prometheus)
    }

    /// The value of a query that has one.
    fn value(&self, query: &str) -> Result<f64> {
        let path = format!("/api/v1/query?query={}", encoded(query));
        let body = get(self.address, &path, &[]).body;
        let values: Vec<_> = body.split("\"value\":[").skip(1).collect();
        let [value] = values.as_slice() else {
            return Err(format!("{query} has {} values: {body}", values.len()).into());
        };
        let value = value.split('"').nth(1).ok_or("no value")?;
        Ok(value.parse()?)
    }
}

/// As it stands in a URL.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
