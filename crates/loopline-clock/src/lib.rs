//! Time, identifiers and randomness: real, or scripted by a test.
//!
//! Everything that reads the time, waits for it or makes up an identifier takes a [`Clock`].
//! Waiting itself is the async runtime's business; the clock says how long.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use jiff::Timestamp;

/// A source of time and randomness; cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Source>);

/// What a clock is made of.
trait Source: Send + Sync {
    fn now(&self) -> Timestamp;
    fn monotonic(&self) -> Duration;
    fn fill(&self, bytes: &mut [u8]);
}

impl Clock {
    /// Returns the machine's clock and randomness.
    pub fn real() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this crate is where time comes from")]
        Self(Arc::new(Real { started: Instant::now() }))
    }

    /// Returns a clock that stands at `start` until it is told otherwise, and whose randomness
    /// is a fixed sequence.
    pub fn scripted(start: Timestamp) -> (Self, Script) {
        let script =
            Script(Arc::new(Mutex::new(Scripted { start, passed: Duration::ZERO, seed: 0 })));
        (Self(Arc::new(script.clone())), script)
    }

    /// Returns the time of day.
    pub fn now(&self) -> Timestamp {
        self.0.now()
    }

    /// Returns the time since some fixed moment; it never goes back.
    pub fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    /// Fills `bytes` with randomness fit for secrets (a real clock) or with the script's.
    pub fn fill_random(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    /// Returns `count` random bytes as lowercase hexadecimal digits.
    pub fn random_hex(&self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.fill_random(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns a random version 4 UUID.
    pub fn uuid(&self) -> String {
        let mut bytes = [0; 16];
        self.fill_random(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

struct Real {
    started: Instant,
}

impl Source for Real {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this crate is where time comes from")]
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn fill(&self, bytes: &mut [u8]) {
        // The kernel's generator fails only before it is seeded at boot; there is no sane
        // way to go on without it.
        #[expect(clippy::expect_used, reason = "no safe way to go on without randomness")]
        getrandom::fill(bytes).expect("the operating system has no randomness");
    }
}

/// The hand on a scripted clock.
#[derive(Clone)]
pub struct Script(Arc<Mutex<Scripted>>);

struct Scripted {
    start: Timestamp,
    passed: Duration,
    seed: u64,
}

impl Script {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.lock().passed += by;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Scripted> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Source for Script {
    fn now(&self) -> Timestamp {
        let script = self.lock();
        script.start.checked_add(script.passed).unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.lock().passed
    }

    fn fill(&self, bytes: &mut [u8]) {
        let mut script = self.lock();
        for byte in bytes {
            // SplitMix64: short, and good enough to look random.
            script.seed = script.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = script.seed;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed ^ (mixed >> 31)) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scripted_clock_moves_only_when_told() {
        let (clock, script) = Clock::scripted(Timestamp::UNIX_EPOCH);
        let before = clock.uuid();
        assert_eq!(clock.now().to_string(), "1970-01-01T00:00:00Z");
        script.advance(Duration::from_secs(90));
        assert_eq!(clock.now().to_string(), "1970-01-01T00:01:30Z");
        assert_eq!(clock.monotonic(), Duration::from_secs(90));
        assert_ne!(clock.uuid(), before);
        assert_eq!(Clock::scripted(Timestamp::UNIX_EPOCH).0.uuid(), before);
    }
}
