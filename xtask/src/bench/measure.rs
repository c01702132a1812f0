//! How commands are measured: wall time, processor time and peak memory, several times over.
#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and reads the clock")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use fs_err as fs;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Kernel ticks a second in `/proc`, the same on every Linux that Loopline runs on.
const TICKS: f64 = 100.0;

/// What several runs of one command took.
#[derive(Clone, Copy, Default)]
pub(super) struct Taken {
    /// The median and the least wall time, in milliseconds.
    pub(super) median_ms: f64,
    pub(super) least_ms: f64,
    /// The mean processor time of all processes, in milliseconds.
    pub(super) cpu_ms: f64,
}

/// Runs a command `rounds` times; nothing where it fails.
pub(super) fn measure(rounds: usize, make: impl Fn() -> Command) -> Option<Taken> {
    let mut times = Vec::with_capacity(rounds);
    let before = children_cpu_ms();
    for _ in 0..rounds {
        let mut command = make();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let status = command.status();
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        if !status.is_ok_and(|status| status.success()) {
            return None;
        }
    }
    times.sort_by(f64::total_cmp);
    Some(Taken {
        median_ms: *times.get(times.len() / 2)?,
        least_ms: *times.first()?,
        cpu_ms: (children_cpu_ms() - before) / f64::from(u32::try_from(rounds).ok()?),
    })
}

/// Runs a command once and returns its wall time and the most memory it held, in KiB.
pub(super) fn peak_memory(mut command: Command) -> anyhow::Result<(f64, u64)> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command.spawn()?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("the command whose memory is measured failed: {status}");
            }
            return Ok((started.elapsed().as_secs_f64() * 1000.0, peak));
        }
        let text = fs::read_to_string(&status_file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(now.unwrap_or(0));
        std::thread::sleep(LOOK);
    }
}

/// Runs a command that only prepares something.
pub(super) fn prepare(command: &mut Command) -> anyhow::Result<()> {
    let status = command.stdout(Stdio::null()).status().with_context(|| format!("{command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}

/// Returns the processor time of all children that were waited for, and of theirs.
fn children_cpu_ms() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    // The 16th and 17th field of the line, which are the 14th and 15th after the name.
    let ticks: f64 =
        fields.split_whitespace().skip(13).take(2).filter_map(|it| it.parse::<f64>().ok()).sum();
    ticks / TICKS * 1000.0
}
