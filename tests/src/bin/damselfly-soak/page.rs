//! The status page in Chromium: what it says in each phase of a link, and pictures of it, as wide as a screen and as a phone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use damselfly_tests::browser::Browser;
use damselfly_tests::load::{Fill, LoadPlan};
use damselfly_tests::{FaultProxy, Server, await_synced};

use crate::pair::{SYNC_DEADLINE, follow, mixed_load, server};
use crate::{Result, Scale};

/// What the replica that comes late has to load.
const FILL: Fill = Fill {
    keys: 0..300_000,
    value_bytes: 64,
    connections: 2,
};
/// How long the network holds back each 64 KiB meanwhile.
const SLOWNESS: Duration = Duration::from_millis(60);
const WRITES: LoadPlan = LoadPlan {
    connections: 1,
    pipeline: 8,
    rate: Some(800),
    timeout: Duration::from_secs(120),
};
/// How long the page may take to show something, which it asks for once a second.
const DEADLINE: Duration = Duration::from_secs(60);
/// Widths and heights of the windows.
const WINDOWS: [(u32, u32); 2] = [(1280, 900), (390, 844)];
/// Where the pictures go, unless it says so here.
const FOLDER_VARIABLE: &str = "DAMSELFLY_PICTURES";

/// A browser, and where its pictures go.
struct Camera {
    browser: Browser,
    folder: PathBuf,
}

/// Runs it.
pub fn run(scale: &Scale) -> Result {
    let folder = std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join("damselfly-page"));
    std::fs::create_dir_all(&folder)?;
    println!("    pictures: {}", folder.display());
    let browser = Browser::start()?;
    let mut camera = Camera { browser, folder };
    let (mut primary, mut near, far) = (server()?, server()?, server()?);
    camera.alone(&primary)?;
    FILL.write(primary.address())?;
    follow(&mut near.client(), primary.address())?;
    await_synced(SYNC_DEADLINE, &mut near.client())?;
    let load = mixed_load(&primary, WRITES, scale.seed);
    let network = FaultProxy::new(primary.address());
    network.delay(SLOWNESS);
    follow(&mut far.client(), network.address())?;
    camera.full_sync(&primary, &far)?;
    network.delay(Duration::ZERO);
    await_synced(SYNC_DEADLINE, &mut far.client())?;
    camera.stable(&primary, &far)?;
    camera.lagging(&primary, &mut near)?;
    drop(load);
    camera.seldom_acks(&primary)?;
    camera.broken(&mut primary, &far, network)?;
    match camera.browser.complaints().as_slice() {
        [] => Ok(()),
        complaints => Err(format!("the browser complains: {}", complaints.join("\n")).into()),
    }
}

impl Camera {
    fn alone(&mut self, primary: &Server) -> Result {
        self.open(primary)?;
        self.says("#headline", "Primary, without replicas.")?;
        self.says("#server [data-f=keys]", "0")?;
        self.shoot("alone")
    }

    fn full_sync(&mut self, primary: &Server, far: &Server) -> Result {
        self.open(primary)?;
        self.says("#headline", "1 in stable sync, 1 in full sync")?;
        self.progresses("#replicas")?;
        self.shoot("full-sync-primary")?;
        self.open(far)?;
        self.says("#headline", ": full sync.")?;
        self.progresses("#link")?;
        self.shoot("full-sync-replica")
    }

    /// Waits until there is a percentage that is neither end, with an estimate of the other end.
    fn progresses(&mut self, section: &str) -> Result {
        let shown = format!(
            r"(() => {{
                const text = document.querySelector('{section} .progress span')?.textContent ?? '';
                return /^[1-9][0-9]?\s%: [0-9,]+ of 30[0-9],[0-9]+ keys, about .* left$/.test(text) && text;
            }})()"
        );
        let text = self.browser.until(DEADLINE, &shown)?;
        let bar = format!("document.querySelector('{section} progress').value");
        let bar = self.browser.evaluate(&bar)?.as_f64().unwrap_or(0.0);
        println!("    full sync, {section}: {text}, bar at {bar:.1}");
        ((1.0..100.0).contains(&bar))
            .then_some(())
            .ok_or_else(|| format!("the bar is at {bar}").into())
    }

    fn stable(&mut self, primary: &Server, far: &Server) -> Result {
        self.open(far)?;
        self.says("#headline", ": stable sync.")?;
        self.says("#link .state", "stable sync")?;
        self.says("#link [data-f=dialect]", "Damselfly, shard flows")?;
        self.shoot("stable-replica")?;
        self.open(primary)?;
        self.says("#headline", "Primary of 2 replicas: stable sync.")?;
        self.wants("Number(document.querySelector('#server [data-f=writes]').textContent.replace(/[^0-9.]/g, '')) > 100")?;
        self.shoot("stable-primary")?;
        self.browser.prefer_dark(true)?;
        self.shoot("stable-primary-dark")?;
        self.browser.prefer_dark(false)?;
        Ok(())
    }

    fn lagging(&mut self, primary: &Server, near: &mut Server) -> Result {
        self.open(primary)?;
        near.freeze();
        self.says("#headline", "1 lagging")?;
        let figures = r"(() => {
            const article = [...document.querySelectorAll('#replicas .peer')]
                .find((peer) => peer.querySelector('.state').textContent.includes('lagging'));
            const field = (name) => article.querySelector(`[data-f=${name}]`).textContent;
            const [records, bytes, time] = [field('lag-records'), field('lag-bytes'), field('lag-ms')];
            return /^[1-9]/.test(records) && /^[1-9].*B$/.test(bytes) && /^[1-9].*s$/.test(time)
                && `${records} records, ${bytes}, ${time}`;
        })()";
        let figures = self.browser.until(DEADLINE, figures)?;
        println!("    lagging: {figures}");
        self.browser.evaluate(
            "document.querySelectorAll('details').forEach((flows) => flows.open = true)",
        )?;
        self.shoot("lagging")?;
        near.thaw();
        self.says("#headline", "Primary of 2 replicas: stable sync.")
    }

    /// Who says that it acks seldom is neither silent nor lagging when it does.
    fn seldom_acks(&mut self, primary: &Server) -> Result {
        let seldom = Server::try_start(&["--replication_acks_interval=20000"])?;
        follow(&mut seldom.client(), primary.address())?;
        await_synced(SYNC_DEADLINE, &mut seldom.client())?;
        primary.client().ok("SET seldom acked");
        self.open(primary)?;
        let acked = r"[...document.querySelectorAll('#replicas .peer')]
            .map((peer) => peer.querySelector('[data-f=ack]').textContent)
            .find((text) => /^(5|6|7|8|9|1[0-9])\..*s ago$/.test(text))";
        let acked = self.browser.until(DEADLINE, acked)?;
        println!("    seldom acks: {acked}");
        self.says("#headline", "Primary of 3 replicas: stable sync.")
    }

    fn broken(&mut self, primary: &mut Server, far: &Server, network: FaultProxy) -> Result {
        self.open(primary)?;
        self.says("#freshness", "Live")?;
        primary.kill();
        drop(network);
        self.says("#notice", "No answer since ")?;
        self.says("#headline", "State unknown")?;
        self.shoot("no-answer")?;
        self.open(far)?;
        self.says("#headline", ": broken.")?;
        self.says("#link .error", "Why: ")?;
        let why = "document.querySelector('#link .error').textContent.trim()";
        println!("    broken: {}", self.browser.evaluate(why)?);
        self.shoot("broken")
    }

    fn open(&mut self, server: &Server) -> Result {
        let url = format!("http://{}/", server.address());
        self.browser.open(&url)?;
        self.wants("document.documentElement.dataset.answers > 0")
    }

    /// Waits until the elements that a selector names say this.
    fn says(&mut self, selector: &str, words: &str) -> Result {
        let (selector, words) = (format!("{selector:?}"), format!("{words:?}"));
        self.wants(&format!(
            "[...document.querySelectorAll({selector})].some((it) => !it.hidden && it.textContent.includes({words}))"
        ))
    }

    fn wants(&mut self, expression: &str) -> Result {
        Ok(self.browser.until(DEADLINE, expression).map(drop)?)
    }

    /// Pictures of the page in both widths, which it must fit into.
    fn shoot(&mut self, name: &str) -> Result {
        for (width, height) in WINDOWS {
            self.browser.resize(width, height)?;
            let wide = "document.documentElement.scrollWidth > innerWidth && document.documentElement.scrollWidth";
            let wide = self.browser.evaluate(wide)?;
            if wide != false {
                return Err(format!("{name} is {wide} pixels wide in a window of {width}").into());
            }
            let path = self.folder.join(format!("{name}-{width}.png"));
            self.browser.screenshot(&path)?;
            println!("    {}", shown(&path));
        }
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    format!("{} ({} KiB)", path.display(), bytes / 1024)
}
