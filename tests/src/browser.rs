//! A headless Chromium, driven by its DevTools protocol over a pair of pipes: messages of JSON, each ended by a zero byte.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::eventually::within;
use crate::process::TempDir;

/// How long an answer of the browser may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where browsers are.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser with one tab. Ended when dropped.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: Option<String>,
    next: u64,
    complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts it.
    ///
    /// # Errors
    /// The system's: there is no Chromium, or it does not answer.
    pub fn start() -> io::Result<Browser> {
        let profile = TempDir::new("browser")?;
        let mut child = spawn(profile.path())?;
        let to = child.stdin.take().expect("it was asked for");
        let from = child.stdout.take().expect("it was asked for");
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(from).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).unwrap_or_default();
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Browser {
            child,
            to,
            from: receiver,
            session: None,
            next: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let tab = browser.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": tab["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach)?;
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            browser.call(domain, json!({}))?;
        }
        Ok(browser)
    }

    /// Opens an address.
    ///
    /// # Errors
    /// The browser's.
    pub fn open(&mut self, url: &str) -> io::Result<()> {
        self.call("Page.navigate", json!({"url": url})).map(drop)
    }

    /// Makes the window so wide, as a phone's where it is narrow.
    ///
    /// # Errors
    /// The browser's.
    pub fn resize(&mut self, width: u32, height: u32) -> io::Result<()> {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics)
            .map(drop)
    }

    /// Whether pages see that dark colours are preferred.
    ///
    /// # Errors
    /// The browser's.
    pub fn prefer_dark(&mut self, dark: bool) -> io::Result<()> {
        let value = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.call("Emulation.setEmulatedMedia", media).map(drop)
    }

    /// The value of an expression in the page.
    ///
    /// # Errors
    /// The browser's, and what the expression throws.
    pub fn evaluate(&mut self, expression: &str) -> io::Result<Value> {
        let what = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", what)?;
        match answer.get("exceptionDetails") {
            Some(thrown) => Err(io::Error::other(format!("{expression}: {thrown}"))),
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    /// Waits until an expression in the page gives something but `null`, `false`, `0` or an empty text.
    ///
    /// # Errors
    /// It does not in time; the text has what the page says instead.
    pub fn until(&mut self, deadline: Duration, expression: &str) -> io::Result<Value> {
        let found = within(deadline, || {
            let value = self.evaluate(expression).ok()?;
            let is_nothing = [json!(null), json!(false), json!(0), json!("")].contains(&value);
            (!is_nothing).then_some(value)
        });
        if let Some(found) = found {
            return Ok(found);
        }
        let text = self.evaluate("document.body.innerText")?;
        let text = text.as_str().unwrap_or_default();
        Err(io::Error::other(format!(
            "not within {deadline:?}: {expression}; the page says:\n{text}"
        )))
    }

    /// Writes a picture of the whole page (PNG).
    ///
    /// # Errors
    /// The browser's and the system's.
    pub fn screenshot(&mut self, path: &Path) -> io::Result<()> {
        let size = self.call("Page.getLayoutMetrics", json!({}))?["cssContentSize"].clone();
        let clip = json!({
            "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1,
        });
        let what = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let answer = self.call("Page.captureScreenshot", what)?;
        let picture = BASE64_STANDARD.decode(answer["data"].as_str().unwrap_or_default());
        std::fs::write(path, picture.map_err(io::Error::other)?)
    }

    /// What the browser complained of since this was asked last: exceptions, and breaches of a page's policy.
    pub fn complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }

    fn call(&mut self, method: &str, params: Value) -> io::Result<Value> {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes)?;
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = self.from.recv_timeout(left);
            let mut message =
                message.map_err(|error| io::Error::other(format!("{method}: {error}")))?;
            self.note(&message);
            if message["id"] == json!(self.next) {
                return match message.get("error") {
                    Some(error) => Err(io::Error::other(format!("{method}: {error}"))),
                    None => Ok(message["result"].take()),
                };
            }
        }
    }

    fn note(&mut self, message: &Value) {
        let params = &message["params"];
        let complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => &params["exceptionDetails"],
            // That a server is gone is no fault of the page.
            Some("Log.entryAdded") if params["entry"]["source"] != "network" => &params["entry"],
            _ => return,
        };
        self.complaints.push(complaint.to_string());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The protocol is spoken on descriptors 3 and 4, which a shell makes of its input and output.
fn spawn(profile: &Path) -> io::Result<Child> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut programs = std::env::split_paths(&paths)
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .filter(|path| path.exists());
    let program = programs
        .next()
        .ok_or_else(|| io::Error::other("there is no chromium; apt-get install chromium"))?;
    Command::new("/bin/sh")
        .args(["-c", r#"exec "$@" 3<&0 4>&1 0</dev/null 1>&2"#, "sh"])
        .arg(program)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--remote-debugging-pipe",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("about:blank")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}
