//! Time and randomness for the machines.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::ids::{EofToken, ID_LEN, ReplId};

/// Milliseconds since it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Milliseconds now.
    pub fn now_ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }

    /// Waits until `deadline_ms`; for ever if there is none.
    pub async fn sleep_until(&self, deadline_ms: Option<u64>) {
        match deadline_ms {
            Some(deadline) => {
                tokio::time::sleep_until(self.0 + Duration::from_millis(deadline)).await
            }
            None => std::future::pending().await,
        }
    }
}

/// Where random numbers come from.
#[derive(Clone)]
pub struct Random(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Random {
    /// Of a source of random numbers: a simulator's, or one made for secrets.
    pub fn new(source: impl Fn() -> u64 + Send + Sync + 'static) -> Random {
        Random(Arc::new(source))
    }

    /// One number.
    pub fn next_u64(&self) -> u64 {
        (self.0)()
    }

    /// A new replication id.
    pub fn replid(&self) -> ReplId {
        ReplId::from_random(self.bytes())
    }

    /// A new EOF token.
    pub fn token(&self) -> EofToken {
        EofToken::from_random(self.bytes())
    }

    fn bytes(&self) -> [u8; ID_LEN / 2] {
        let words = [self.next_u64(), self.next_u64(), self.next_u64()];
        std::array::from_fn(|index| (words[index / 8] >> (index % 8 * 8)) as u8)
    }
}

impl Default for Random {
    /// The operating system's randomness, by way of the standard library's hasher keys. Ids and jitter need no more.
    fn default() -> Random {
        Random::new(|| RandomState::new().hash_one(0_u8))
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}
