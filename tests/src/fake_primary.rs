//! A primary that says what a test wants it to say: recorded bytes of a real one, or bytes that no
//! primary should send.
//!
//! It answers the greeting, opens flows, and sends each flow's full sync after `DFLY SYNC` and its
//! records after `DFLY STARTSTABLE`, cut into pieces. It understands nothing of what it sends.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use damselfly_resp::{ArgVec, RequestDecoder, RequestLimits};

use crate::client::Args;
use crate::rng::Rng;

/// Between two looks at whether the primary has ended.
const LOOK: Duration = Duration::from_millis(50);
/// A replica that reads nothing for so long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest random piece.
const LARGEST_PIECE: u64 = 9_000;

/// How bytes are cut before they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pieces {
    /// Not at all.
    Whole,
    /// All of this size.
    Of(usize),
    /// Small and large ones, out of this seed.
    Random(u64),
}

/// What the primary says in one attempt of a link.
#[derive(Debug, Clone)]
pub struct FakeLink {
    /// Its answer to `REPLCONF capa dragonfly`.
    pub greeting: Vec<u8>,
    /// Its answer to `DFLY SYNC`.
    pub sync: Vec<u8>,
    /// Its answer to `DFLY STARTSTABLE`.
    pub start_stable: Vec<u8>,
    /// What it says on each flow.
    pub flows: Vec<FakeFlow>,
    /// How flows are cut.
    pub pieces: Pieces,
}

/// What the primary says on one flow.
#[derive(Debug, Clone, Default)]
pub struct FakeFlow {
    /// The answer to `DFLY FLOW`.
    pub answer: Vec<u8>,
    /// Sent after `DFLY SYNC`.
    pub full: Vec<u8>,
    /// Sent after `DFLY STARTSTABLE`.
    pub stable: Vec<u8>,
    /// Where the connection is closed, if it is.
    pub ends: Option<FakeEnd>,
}

/// Behind what a fake primary closes a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FakeEnd {
    /// The answer to `DFLY FLOW`.
    Answer,
    /// The full sync.
    Full,
    /// The records.
    Stable,
}

impl FakeLink {
    /// A primary with these flows that has nothing special: a greeting of its shape, `+OK` to all else.
    pub fn new(replid: &str, sync: u64, level: Option<u8>, flows: Vec<FakeFlow>) -> FakeLink {
        let level = level
            .map(|level| format!(":{level}\r\n"))
            .unwrap_or_default();
        let parts = if level.is_empty() { 5 } else { 6 };
        let count = flows.len();
        let greeting = format!(
            "*{parts}\r\n+{replid}\r\n+SYNC{sync}\r\n:{count}\r\n:4\r\n+{replid}\r\n{level}"
        );
        let ok = || b"+OK\r\n".to_vec();
        FakeLink {
            greeting: greeting.into_bytes(),
            sync: ok(),
            start_stable: ok(),
            flows,
            pieces: Pieces::Whole,
        }
    }

    /// The same, cut in another way.
    pub fn cut(self, pieces: Pieces) -> FakeLink {
        FakeLink { pieces, ..self }
    }
}

impl FakeFlow {
    /// A flow that is granted a full sync with this token.
    pub fn granted(grant: &str, token: &str) -> FakeFlow {
        FakeFlow {
            answer: format!("*2\r\n+{grant}\r\n+{token}\r\n").into_bytes(),
            ..FakeFlow::default()
        }
    }
}

/// A fake primary on a free port of 127.0.0.1. Dropped, it closes all its connections.
#[derive(Debug)]
pub struct FakePrimary {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// Gives what is said in an attempt, the first of which is number 0.
type Script = Box<dyn Fn(usize) -> FakeLink + Send + Sync>;

struct Shared {
    script: Script,
    board: Mutex<Board>,
    changed: Condvar,
    ended: AtomicBool,
}

#[derive(Default)]
struct Board {
    attempts: usize,
    link: Option<Arc<FakeLink>>,
    synced: bool,
    stable: bool,
    /// The requests of every connection, in the order of connecting.
    requests: Vec<Vec<Args>>,
    /// Every byte of the present link's flows was sent.
    sent: usize,
    open: Vec<TcpStream>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("attempts", &self.board().attempts)
            .finish_non_exhaustive()
    }
}

impl FakePrimary {
    /// A primary that says the same in every attempt.
    ///
    /// # Panics
    /// When there is no port.
    #[track_caller]
    pub fn new(link: FakeLink) -> FakePrimary {
        FakePrimary::scripted(move |_| link.clone())
    }

    /// A primary whose links differ.
    ///
    /// # Panics
    /// When there is no port.
    #[track_caller]
    pub fn scripted(script: impl Fn(usize) -> FakeLink + Send + Sync + 'static) -> FakePrimary {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            board: Mutex::default(),
            changed: Condvar::new(),
            ended: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        let acceptor = std::thread::spawn(move || accept(&listener, &accepting));
        FakePrimary {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many links have been greeted.
    pub fn attempts(&self) -> usize {
        self.shared.board().attempts
    }

    /// The requests of every connection so far, acks among them.
    pub fn requests(&self) -> Vec<Vec<Args>> {
        self.shared.board().requests.clone()
    }

    /// The last LSN acked on each flow of the last link: `(flow, LSN)`.
    pub fn last_acks(&self) -> Vec<(usize, u64)> {
        let board = self.shared.board();
        let flows = board.link.as_ref().map_or(0, |link| link.flows.len());
        let of_flow = |flow: usize| {
            let mut connections = board.requests.iter().rev();
            let requests = connections.find(|requests| flow_of(requests.first()) == Some(flow))?;
            let ack = requests
                .iter()
                .rev()
                .find(|request| word(request, 1) == Some("ACK"))?;
            word(ack, 2)?.parse().ok().map(|lsn| (flow, lsn))
        };
        (0..flows).filter_map(of_flow).collect()
    }

    /// Whether every byte of the present link's flows was sent.
    pub fn has_sent_all(&self) -> bool {
        let board = self.shared.board();
        board
            .link
            .as_ref()
            .is_some_and(|link| board.sent == link.flows.len())
    }

    /// Closes every connection that is open; new ones are taken.
    pub fn cut_all(&self) {
        let open = std::mem::take(&mut self.shared.board().open);
        open.iter()
            .for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
}

impl Drop for FakePrimary {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
        drop(TcpStream::connect(self.address));
        self.cut_all();
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Waits until something of `link` holds; `false` if it is not the present link any more.
    fn wait(&self, link: &Arc<FakeLink>, holds: impl Fn(&Board) -> bool) -> bool {
        let mut board = self.board();
        loop {
            let present = board
                .link
                .as_ref()
                .is_some_and(|present| Arc::ptr_eq(present, link));
            if !present || self.has_ended() {
                return false;
            }
            if holds(&board) {
                return true;
            }
            let waited = self.changed.wait_timeout(board, LOOK);
            board = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.has_ended() {
            return;
        }
        let Ok(stream) = stream else { continue };
        let index = {
            let mut board = shared.board();
            board.requests.push(Vec::new());
            board.open.extend(stream.try_clone());
            board.requests.len() - 1
        };
        let shared = shared.clone();
        std::thread::spawn(move || {
            let mut connection = Connection {
                stream,
                shared,
                index,
                input: Vec::new(),
                decoder: RequestDecoder::new(RequestLimits::default()),
            };
            // A replica that goes away in the middle is part of the game.
            drop(connection.serve());
            drop(connection.stream.shutdown(Shutdown::Both));
        });
    }
}

struct Connection {
    stream: TcpStream,
    shared: Arc<Shared>,
    index: usize,
    input: Vec<u8>,
    decoder: RequestDecoder,
}

impl Connection {
    fn serve(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let mut own: Option<Arc<FakeLink>> = None;
        while let Some(request) = self.request()? {
            match [word(&request, 0), word(&request, 1), word(&request, 2)] {
                [Some("PING"), ..] => self.stream.write_all(b"+PONG\r\n")?,
                [Some("REPLCONF"), Some("ACK"), _] => {}
                [Some("REPLCONF"), Some("capa"), Some("dragonfly")] => {
                    let link = self.greet();
                    self.stream.write_all(&link.greeting)?;
                    own = Some(link);
                }
                [Some("DFLY"), Some("FLOW"), _] => return self.flow(flow_of(Some(&request))),
                [Some("DFLY"), Some("SYNC"), _] => {
                    self.go_on(own.as_ref(), |link| &link.sync, |board| board.synced = true)?
                }
                [Some("DFLY"), Some("STARTSTABLE"), _] => self.go_on(
                    own.as_ref(),
                    |link| &link.start_stable,
                    |board| board.stable = true,
                )?,
                _ => self.stream.write_all(b"+OK\r\n")?,
            }
        }
        Ok(())
    }

    fn greet(&self) -> Arc<FakeLink> {
        let mut board = self.shared.board();
        let link = Arc::new((self.shared.script)(board.attempts));
        board.attempts += 1;
        (board.synced, board.stable, board.sent) = (false, false, 0);
        board.link = Some(link.clone());
        self.shared.changed.notify_all();
        link
    }

    fn go_on(
        &mut self,
        link: Option<&Arc<FakeLink>>,
        answer: fn(&FakeLink) -> &Vec<u8>,
        note: fn(&mut Board),
    ) -> io::Result<()> {
        let Some(link) = link else {
            return self.stream.write_all(b"-ERR syncid not found\r\n");
        };
        self.stream.write_all(answer(link))?;
        note(&mut self.shared.board());
        self.shared.changed.notify_all();
        Ok(())
    }

    fn flow(&mut self, flow: Option<usize>) -> io::Result<()> {
        let link = self.shared.board().link.clone();
        let Some(link) = link else {
            return self.stream.write_all(b"-ERR syncid not found\r\n");
        };
        let Some(script) = flow.and_then(|flow| link.flows.get(flow)) else {
            return self
                .stream
                .write_all(b"-ERR value is not an integer or out of range\r\n");
        };
        self.stream.write_all(&script.answer)?;
        if script.ends == Some(FakeEnd::Answer) {
            return Ok(());
        }
        if !script.full.is_empty() && self.shared.wait(&link, |board| board.synced) {
            self.send(&script.full, link.pieces)?;
        }
        if script.ends == Some(FakeEnd::Full) {
            return Ok(());
        }
        if self.shared.wait(&link, |board| board.stable) {
            self.send(&script.stable, link.pieces)?;
            self.shared.board().sent += 1;
        }
        if script.ends == Some(FakeEnd::Stable) {
            return Ok(());
        }
        while self.request()?.is_some() {}
        Ok(())
    }

    fn send(&mut self, bytes: &[u8], pieces: Pieces) -> io::Result<()> {
        cut(bytes, pieces)
            .into_iter()
            .try_for_each(|piece| self.stream.write_all(piece))
    }

    /// The next request; `None` at the end of the connection.
    fn request(&mut self) -> io::Result<Option<Args>> {
        loop {
            if let Some(request) = self.decoded()? {
                if !request.is_empty() {
                    self.shared.board().requests[self.index].push(request.clone());
                    return Ok(Some(request));
                }
                continue;
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk)? {
                0 => return Ok(None),
                length => self.input.extend_from_slice(&chunk[..length]),
            }
        }
    }

    /// A request that is here already; an empty one is a blank line.
    fn decoded(&mut self) -> io::Result<Option<Args>> {
        let mut args = ArgVec::new();
        let decoded = self.decoder.decode(&self.input, &mut args);
        let used = decoded.map_err(|error| io::Error::other(error.to_string()))?;
        let request = args.iter().map(|arg| arg.to_vec()).collect();
        drop(args);
        let Some(used) = used else { return Ok(None) };
        self.input.drain(..used);
        Ok(Some(request))
    }
}

/// Cuts bytes into pieces.
pub fn cut(bytes: &[u8], pieces: Pieces) -> Vec<&[u8]> {
    match pieces {
        Pieces::Whole => vec![bytes],
        Pieces::Of(size) => bytes.chunks(size.max(1)).collect(),
        Pieces::Random(seed) => {
            let (mut rng, mut rest, mut out) = (Rng::new(seed), bytes, Vec::new());
            while !rest.is_empty() {
                let most = *rng.pick(&[7, 300, LARGEST_PIECE]);
                let (piece, behind) = rest.split_at(rest.len().min(1 + rng.index(most as usize)));
                out.push(piece);
                rest = behind;
            }
            out
        }
    }
}

fn word(request: &Args, index: usize) -> Option<&str> {
    request
        .get(index)
        .and_then(|word| std::str::from_utf8(word).ok())
}

/// The flow that a `DFLY FLOW` asks for.
fn flow_of(request: Option<&Args>) -> Option<usize> {
    let request = request.filter(|request| word(request, 1) == Some("FLOW"))?;
    word(request, 4)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Client, words};

    #[test]
    fn pieces_make_up_the_whole() {
        let bytes: Vec<u8> = (0..50_000u32).map(|number| number as u8).collect();
        for pieces in [
            Pieces::Whole,
            Pieces::Of(1),
            Pieces::Of(7),
            Pieces::Random(1),
            Pieces::Random(2),
        ] {
            assert_eq!(cut(&bytes, pieces).concat(), bytes);
        }
        assert!(cut(&bytes, Pieces::Random(1)).len() > 10);
    }

    #[test]
    fn it_speaks_when_it_is_asked() {
        let flow = FakeFlow {
            full: b"full".to_vec(),
            stable: b"stable".to_vec(),
            ends: Some(FakeEnd::Stable),
            ..FakeFlow::granted("FULL", &"t".repeat(40))
        };
        let primary = FakePrimary::new(
            FakeLink::new(&"a".repeat(40), 3, None, vec![flow]).cut(Pieces::Of(1)),
        );
        let mut control = Client::connect(primary.address()).unwrap();
        assert_eq!(control.call("PING").as_text(), Some(&b"PONG"[..]));
        let greeting = control.call("REPLCONF capa dragonfly");
        assert_eq!(greeting.as_items().unwrap()[2].as_integer(), Some(1));
        let mut stream = TcpStream::connect(primary.address()).unwrap();
        stream
            .write_all(format!("DFLY FLOW {} SYNC3 0\r\n", "a".repeat(40)).as_bytes())
            .unwrap();
        control.ok("DFLY SYNC SYNC3");
        control.ok("DFLY STARTSTABLE SYNC3");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(
            all,
            format!("*2\r\n+FULL\r\n+{}\r\nfullstable", "t".repeat(40)).into_bytes()
        );
        assert_eq!((primary.attempts(), primary.has_sent_all()), (1, true));
        assert_eq!(primary.requests()[0][3], words("DFLY STARTSTABLE SYNC3"));
    }
}
