//! A TCP proxy on loopback that breaks connections on command: at a byte, all at once, by silence
//! or by slowness.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes moved in one go.
const CHUNK_BYTES: usize = 64 * 1024;
/// How long connecting to the target may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A direction without a byte at which to cut.
const NEVER: u64 = u64::MAX;

/// Which way bytes flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From who connected to the target.
    ToTarget,
    /// From the target to who connected.
    FromTarget,
}

/// A proxy between two servers. Dropped, it closes everything that goes through it.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    faults: Mutex<Faults>,
    changed: Condvar,
    ended: AtomicBool,
    accepted: AtomicU64,
    cuts: AtomicU64,
    /// Bytes moved, and the count at which everything is cut: to the target, from the target.
    moved: [AtomicU64; 2],
    cut_at: [AtomicU64; 2],
}

#[derive(Debug)]
struct Faults {
    target: SocketAddr,
    refusing: bool,
    stalled: bool,
    delay: Duration,
    /// Both sockets of each connection, by the connection's number.
    open: Vec<(u64, [TcpStream; 2])>,
}

impl FaultProxy {
    /// A proxy to this address, on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When the system has no port.
    #[track_caller]
    pub fn new(target: SocketAddr) -> FaultProxy {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            faults: Mutex::new(Faults {
                target,
                refusing: false,
                stalled: false,
                delay: Duration::ZERO,
                open: Vec::new(),
            }),
            changed: Condvar::new(),
            ended: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            moved: Default::default(),
            cut_at: [AtomicU64::new(NEVER), AtomicU64::new(NEVER)],
        });
        let accepting = shared.clone();
        let acceptor = std::thread::spawn(move || accept(&listener, &accepting));
        FaultProxy {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// Where to connect instead of to the target.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends connections from now on to another target.
    pub fn set_target(&self, target: SocketAddr) {
        self.shared.change(|faults| faults.target = target);
    }

    /// Cuts all connections now, with a reset. Returns how many there were.
    pub fn cut_all(&self) -> usize {
        self.shared.cut_all()
    }

    /// Cuts all connections when this many more bytes have gone in this direction, over all of them.
    /// The bytes before the cut still arrive; the cut is a reset.
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        let at = self.moved(direction).saturating_add(bytes);
        self.shared.cut_at[direction as usize].store(at, Ordering::SeqCst);
    }

    /// Takes back [`cut_after`](FaultProxy::cut_after).
    pub fn cut_never(&self) {
        self.shared
            .cut_at
            .iter()
            .for_each(|at| at.store(NEVER, Ordering::SeqCst));
    }

    /// Whether no byte moves any more, while connections stay open and new ones are taken.
    pub fn stall(&self, stalled: bool) {
        self.shared.change(|faults| faults.stalled = stalled);
    }

    /// Whether new connections are closed at once.
    pub fn refuse(&self, refusing: bool) {
        self.shared.change(|faults| faults.refusing = refusing);
    }

    /// How long each piece of data, 64 KiB at most, is held back.
    pub fn delay(&self, delay: Duration) {
        self.shared.change(|faults| faults.delay = delay);
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// Connections taken since the start.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How often connections were cut since the start, by either kind of cut.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// Bytes that went in this direction since the start.
    pub fn moved(&self, direction: Direction) -> u64 {
        self.shared.moved[direction as usize].load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.stall(false);
        // Wakes the acceptor, which then sees that it is to end.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.shared.cut_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn cut_all(&self) -> usize {
        let open = std::mem::take(&mut self.lock().open);
        for stream in open.iter().flat_map(|(_, streams)| streams) {
            reset(stream);
        }
        if !open.is_empty() {
            self.cuts.fetch_add(1, Ordering::SeqCst);
        }
        self.changed.notify_all();
        open.len()
    }

    /// Waits while stalled; then says how long to hold data back.
    fn hold(&self) -> Duration {
        let stalled = |faults: &mut Faults| faults.stalled && !self.ended.load(Ordering::SeqCst);
        let faults = self.changed.wait_while(self.lock(), stalled);
        faults.unwrap_or_else(PoisonError::into_inner).delay
    }

    /// Counts bytes that are about to move; says how many may, and whether the cut comes after them.
    fn count(&self, direction: Direction, bytes: usize) -> (usize, bool) {
        let index = direction as usize;
        let before = self.moved[index].fetch_add(bytes as u64, Ordering::SeqCst);
        let left = self.cut_at[index]
            .load(Ordering::SeqCst)
            .saturating_sub(before);
        match usize::try_from(left) {
            Ok(left) if left <= bytes => (left, true),
            _ => (bytes, false),
        }
    }
}

/// Ends a connection with a reset where the system allows.
fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    let _ = stream.shutdown(Shutdown::Both);
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in (0..).zip(listener.incoming()) {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        let shared = shared.clone();
        // Connecting to the target may take its time; others must not wait for it.
        std::thread::spawn(move || {
            if connect(number, stream, &shared).is_err() {
                shared.lock().open.retain(|(open, _)| *open != number);
            }
        });
    }
}

fn connect(number: u64, near: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    shared.hold();
    let (refusing, target) = {
        let faults = shared.lock();
        (faults.refusing, faults.target)
    };
    if refusing || shared.ended.load(Ordering::SeqCst) {
        reset(&near);
        return Ok(());
    }
    let far = TcpStream::connect_timeout(&target, CONNECT_TIMEOUT)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    shared
        .lock()
        .open
        .push((number, [near.try_clone()?, far.try_clone()?]));
    let (near_reader, far_writer, returning) =
        (near.try_clone()?, far.try_clone()?, shared.clone());
    let back = std::thread::spawn(move || pump(far, near, Direction::FromTarget, &returning));
    pump(near_reader, far_writer, Direction::ToTarget, shared);
    let _ = back.join();
    shared.lock().open.retain(|(open, _)| *open != number);
    Ok(())
}

/// Moves bytes until one end closes; then passes the end on.
fn pump(mut from: TcpStream, mut to: TcpStream, direction: Direction, shared: &Shared) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        shared.hold();
        let length = match from.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(length) => length,
        };
        let delay = shared.hold();
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        let (allowed, cut) = shared.count(direction, length);
        let written = to.write_all(&chunk[..allowed]);
        if cut {
            shared.cut_at[direction as usize].store(NEVER, Ordering::SeqCst);
            let _ = to.shutdown(Shutdown::Both);
            shared.cut_all();
            return;
        }
        if written.is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Read);
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually::eventually;

    const DEADLINE: Duration = Duration::from_secs(10);

    /// Sends back what it gets.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut writer = stream.try_clone().unwrap();
                    let _ = io::copy(&mut &stream, &mut writer);
                    // The proxy keeps its side open until it sees the end.
                    let _ = writer.shutdown(Shutdown::Write);
                });
            }
        });
        address
    }

    fn connect(proxy: &FaultProxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    fn round_trip(stream: &mut TcpStream, text: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(text)?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).map(|()| answer)
    }

    #[test]
    fn it_passes_bytes_and_counts_them() {
        let proxy = FaultProxy::new(echo());
        let mut stream = connect(&proxy);
        assert_eq!(round_trip(&mut stream, b"hello").unwrap(), b"hello");
        assert_eq!(
            (
                proxy.moved(Direction::ToTarget),
                proxy.moved(Direction::FromTarget)
            ),
            (5, 5)
        );
        assert_eq!((proxy.connections(), proxy.accepted()), (1, 1));
        drop(stream);
        eventually(DEADLINE, "connection closed", || proxy.connections() == 0);
    }

    #[test]
    fn it_cuts_all_at_once() {
        let proxy = FaultProxy::new(echo());
        let mut streams = [connect(&proxy), connect(&proxy)];
        streams
            .iter_mut()
            .for_each(|stream| drop(round_trip(stream, b"x").unwrap()));
        assert_eq!(proxy.cut_all(), 2);
        streams
            .iter_mut()
            .for_each(|stream| assert!(round_trip(stream, b"x").is_err()));
        assert_eq!(
            round_trip(&mut connect(&proxy), b"again").unwrap(),
            b"again"
        );
        assert_eq!(proxy.cuts(), 1);
    }

    #[test]
    fn it_cuts_at_a_byte() {
        let proxy = FaultProxy::new(echo());
        let mut stream = connect(&proxy);
        proxy.cut_after(Direction::FromTarget, 3);
        stream.write_all(b"hello").unwrap();
        let mut got = Vec::new();
        let end = stream.read_to_end(&mut got);
        assert!(
            got.len() <= 3 && b"hello".starts_with(&got),
            "{got:?} {end:?}"
        );
        eventually(DEADLINE, "the cut", || proxy.cuts() == 1);
        assert_eq!(
            round_trip(&mut connect(&proxy), b"again").unwrap(),
            b"again"
        );
    }

    #[test]
    fn it_stalls_and_goes_on() {
        let proxy = FaultProxy::new(echo());
        let mut stream = connect(&proxy);
        proxy.stall(true);
        stream.write_all(b"hello").unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let mut answer = [0; 5];
        assert!(stream.read_exact(&mut answer).is_err());
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        proxy.stall(false);
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hello");
    }

    #[test]
    fn it_delays_and_refuses_and_turns_elsewhere() {
        let proxy = FaultProxy::new(echo());
        let mut stream = connect(&proxy);
        proxy.delay(Duration::from_millis(30));
        let start = std::time::Instant::now();
        round_trip(&mut stream, b"x").unwrap();
        assert!(start.elapsed() >= Duration::from_millis(60));
        proxy.delay(Duration::ZERO);
        proxy.refuse(true);
        assert!(round_trip(&mut connect(&proxy), b"x").is_err());
        proxy.refuse(false);
        proxy.set_target(echo());
        assert_eq!(round_trip(&mut connect(&proxy), b"x").unwrap(), b"x");
    }
}
