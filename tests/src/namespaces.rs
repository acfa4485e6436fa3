//! Network namespaces (Linux, as root): servers with addresses of their own, that can be cut off from all others.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

/// Some namespaces on one bridge, at which the host is, too. Gone when dropped.
#[derive(Debug)]
pub struct Namespaces {
    bridge: String,
    names: Vec<String>,
    net: u8,
}

impl Namespaces {
    /// Makes so many, each with one address.
    ///
    /// # Errors
    /// What `ip` said: it takes root.
    pub fn new(count: usize) -> io::Result<Namespaces> {
        let pid = std::process::id();
        let mut made = Namespaces {
            bridge: format!("dfb{pid}"),
            names: Vec::new(),
            net: (pid % 200) as u8 + 20,
        };
        let (bridge, host) = (made.bridge.clone(), made.host());
        ip(&format!("link add {bridge} type bridge"))?;
        ip(&format!("addr add {host}/24 dev {bridge}"))?;
        ip(&format!("link set {bridge} up"))?;
        for index in 0..count {
            let (name, outer) = (format!("dfn{pid}-{index}"), made.cable(index));
            ip(&format!("netns add {name}"))?;
            made.names.push(name.clone());
            ip(&format!(
                "link add {outer} type veth peer name eth0 netns {name}"
            ))?;
            ip(&format!("link set {outer} master {bridge}"))?;
            ip(&format!("link set {outer} up"))?;
            let inside = made.address(index);
            ip(&format!("-n {name} addr add {inside}/24 dev eth0"))?;
            ip(&format!("-n {name} link set eth0 up"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        Ok(made)
    }

    /// The host's address there.
    pub fn host(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.net, 1)
    }

    /// The address of one.
    pub fn address(&self, index: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.net, 10 + index as u8)
    }

    /// The name of one, for `ip netns exec`.
    pub fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// Cuts one off from everybody, or lets it back.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn cut_off(&self, index: usize, cut: bool) -> io::Result<()> {
        let state = if cut { "down" } else { "up" };
        ip(&format!("link set {} {state}", self.cable(index)))
    }

    /// What `redis-cli` says to commands inside of one.
    ///
    /// # Errors
    /// The system's.
    pub fn redis_cli(
        &self,
        index: usize,
        host: &str,
        port: u16,
        commands: &str,
    ) -> io::Result<String> {
        let mut child = Command::new("ip")
            .args(["netns", "exec", self.name(index), "redis-cli", "-h", host])
            .args(["-p", &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(commands.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn cable(&self, index: usize) -> String {
        format!("dfc{}x{index}", std::process::id())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&format!("netns del {name}"));
        }
        let _ = ip(&format!("link del {}", self.bridge));
    }
}

fn ip(line: &str) -> io::Result<()> {
    let output = Command::new("ip").args(line.split(' ')).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "ip {line}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}
