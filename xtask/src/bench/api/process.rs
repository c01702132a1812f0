//! Servers as processes of their own: started, asked for their memory and processor time, killed.
#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and reads the clock")]

use std::future::Future;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use fs_err as fs;

use super::load::Rate;
use super::wire::{TOKEN, Wire};

/// How long a server may take to be ready.
const MAX_START: Duration = Duration::from_secs(30);
/// Kernel ticks a second in `/proc`.
const TICKS: f64 = 100.0;

/// A running server; it is killed when it is dropped.
pub(super) struct Process {
    child: Child,
    address: SocketAddr,
    ready: Duration,
}

impl Process {
    /// Starts `loopline api` and waits until it is ready.
    pub(super) async fn start(binary: &Path, data: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        let tokens = data.with_extension("tokens");
        fs::write(&tokens, format!("{TOKEN},bench,bench,system:masters\n"))?;
        fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o600))?;
        command.args(["api", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.arg("--token-auth-file").arg(tokens);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let started = Instant::now();
        let mut child = command.spawn().context("loopline api")?;
        let mut lines = BufReader::new(child.stdout.take().context("a pipe")?);
        let mut line = String::new();
        let address = loop {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                let _ = child.kill();
                bail!("loopline api ended before it served: {}", child.wait()?);
            }
            if let Some((_, address)) = line.trim().split_once("https://") {
                break address.parse()?;
            }
        };
        Self::when_ready(child, address, "/readyz", started).await
    }

    /// Waits until a server that was just started answers.
    pub(super) async fn when_ready(
        child: Child,
        address: SocketAddr,
        path: &str,
        started: Instant,
    ) -> anyhow::Result<Self> {
        let mut process = Self { child, address, ready: Duration::ZERO };
        loop {
            if let Ok(mut wire) = Wire::connect(address).await
                && wire.call("GET", path, b"").await.is_ok_and(|(code, _)| code == 200)
            {
                process.ready = started.elapsed();
                return Ok(process);
            }
            if started.elapsed() > MAX_START {
                bail!("{address} is not ready after {MAX_START:?}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how long the start took.
    pub(super) fn ready_ms(&self) -> f64 {
        self.ready.as_secs_f64() * 1000.0
    }

    /// Returns the resident memory, and the part of it that is not files, in KiB.
    pub(super) fn memory_kib(&self) -> anyhow::Result<(u64, u64)> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
        };
        Ok((field("VmRSS:"), field("RssAnon:")))
    }

    /// Adds to a rate the processor time that the process spent meanwhile.
    pub(super) async fn charge(
        &self,
        measured: impl Future<Output = anyhow::Result<Rate>>,
    ) -> anyhow::Result<Rate> {
        let before = self.cpu_seconds()?;
        let mut rate = measured.await?;
        rate.cpu_micros = Some((self.cpu_seconds()? - before) * 1e6 / rate.count);
        Ok(rate)
    }

    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
        // The 14th and 15th field of the line, which are the 12th and 13th after the name.
        let ticks: f64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|it| it.parse::<f64>().ok())
            .sum();
        Ok(ticks / TICKS)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the machine's load over the last minute.
pub(super) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}
