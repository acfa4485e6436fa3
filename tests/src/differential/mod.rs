//! The differential test: the same commands to two servers, their replies compared.

mod compare;
mod sequence;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use damselfly_resp::{Proto, Reply};

pub use sequence::{Step, protocol_number, sequence};

use crate::client::Client;
use crate::commands::Compare;
use compare::{Answer, same, same_transaction};

/// How long a reply may take; the servers are on this machine and hold little.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);
/// Runs that looking for a shorter sequence may take.
const SHRINK_RUNS: usize = 400;
/// Bytes of a reply that a message shows.
const SHOWN_BYTES: usize = 300;

/// Where two servers answer differently.
#[derive(Debug, Clone)]
pub struct Mismatch {
    /// The commands, the last of which is answered differently.
    pub steps: Vec<Step>,
    /// The reply's bytes of the first server, or what became of its connection.
    pub left: String,
    /// The same of the second server.
    pub right: String,
}

impl Mismatch {
    /// What is wrong, without the particulars: mismatches of one kind have one cause as a rule.
    pub fn kind(&self) -> String {
        // Of an error its words, up to what it quotes; of anything else its type.
        let head = |reply: &str| match reply.starts_with(['-', 'n']) {
            true => reply.split('\'').next().unwrap_or_default().to_lowercase(),
            false => reply.chars().take(1).collect(),
        };
        format!("{} {} {}", self.name(), head(&self.left), head(&self.right))
    }

    fn name(&self) -> String {
        self.steps.last().map(Step::name).unwrap_or_default()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(out, "    {}", step.line())?;
        }
        writeln!(out, "  first:  {}", self.left)?;
        write!(out, "  second: {}", self.right)
    }
}

/// Two servers that are to answer alike.
pub struct Pair<'a> {
    /// Gives the first server's address, after starting it again if it has ended.
    pub left: Box<dyn FnMut() -> SocketAddr + 'a>,
    /// The same for the second.
    pub right: Box<dyn FnMut() -> SocketAddr + 'a>,
    /// The protocol to speak.
    pub proto: Proto,
}

impl Pair<'_> {
    /// Runs a sequence on two empty servers, up to the first mismatch.
    ///
    /// # Errors
    /// A server can't be reached, or made empty.
    pub fn run(&mut self, steps: &[Step]) -> io::Result<Option<Mismatch>> {
        let mut left = fresh((self.left)(), self.proto)?;
        let mut right = fresh((self.right)(), self.proto)?;
        let mut queued = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            // Both work at the same time, which keeps their clocks together.
            let sent = (left.send(&step.args), right.send(&step.args));
            let answers = (
                sent.0.and_then(|()| left.receive_with_bytes()),
                sent.1.and_then(|()| right.receive_with_bytes()),
            );
            if !agree(step, &answers, &mut queued) {
                let steps = steps[..=index].to_vec();
                return Ok(Some(Mismatch {
                    steps,
                    left: show(&answers.0),
                    right: show(&answers.1),
                }));
            }
        }
        Ok(None)
    }

    /// Looks for a shorter sequence that ends in the same kind of mismatch. `None`: the mismatch
    /// does not come again.
    ///
    /// # Errors
    /// A server can't be reached, or made empty.
    pub fn shrink(&mut self, found: &Mismatch) -> io::Result<Option<Mismatch>> {
        let name = found.name();
        let Some(mut best) = self.run(&found.steps)?.filter(|again| again.name() == name) else {
            return Ok(None);
        };
        let mut runs = 0;
        let mut size = best.steps.len() / 2;
        while size > 0 && runs < SHRINK_RUNS {
            let mut start = 0;
            let mut shrunk = false;
            while start + 1 < best.steps.len() && runs < SHRINK_RUNS {
                let end = (start + size).min(best.steps.len() - 1);
                let without = [&best.steps[..start], &best.steps[end..]].concat();
                runs += 1;
                match self.run(&without)?.filter(|again| again.name() == name) {
                    Some(shorter) => (best, shrunk) = (shorter, true),
                    None => start = end,
                }
            }
            size = if shrunk {
                size.min(best.steps.len() / 2)
            } else {
                size / 2
            };
        }
        Ok(Some(best))
    }
}

/// A connection to a server that has just been made empty.
fn fresh(address: SocketAddr, proto: Proto) -> io::Result<Client> {
    let mut client = Client::connect(address)?;
    client.set_timeout(Some(REPLY_TIMEOUT))?;
    let hello = if proto == Proto::Resp3 {
        "HELLO 3"
    } else {
        "PING"
    };
    for line in ["FLUSHALL", "FUNCTION FLUSH", hello] {
        if let Reply::Error(text) = client.try_call(&crate::client::words(line))? {
            return Err(io::Error::other(format!(
                "{line}: {}",
                String::from_utf8_lossy(&text)
            )));
        }
    }
    Ok(client)
}

/// Whether the answers to a step agree; `queued` is how the commands of an open transaction compare.
fn agree(
    step: &Step,
    answers: &(io::Result<Answer>, io::Result<Answer>),
    queued: &mut Vec<Compare>,
) -> bool {
    let (Ok(left), Ok(right)) = answers else {
        return false;
    };
    if left.0 == Reply::Simple(b"QUEUED".to_vec()) {
        queued.push(step.compare);
        return left.1 == right.1;
    }
    match step.name().as_str() {
        // Whatever EXEC answers, no transaction is open after it.
        "EXEC" => same_transaction(&std::mem::take(queued), left, right),
        "MULTI" => {
            if left.0 == Reply::Simple(b"OK".to_vec()) {
                queued.clear();
            }
            same(step.compare, left, right)
        }
        _ => same(step.compare, left, right),
    }
}

fn show(answer: &io::Result<Answer>) -> String {
    match answer {
        Ok((_, bytes)) => {
            let text = bytes.escape_ascii().to_string();
            let shown: String = text.chars().take(SHOWN_BYTES).collect();
            if shown.len() < text.len() {
                format!("{shown}… ({} bytes)", bytes.len())
            } else {
                shown
            }
        }
        Err(error) => format!("no reply: {error}"),
    }
}
