//! The checks of a container's health.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions, pidfd_send_signal, waitpid};

use super::control::{Health, HealthStatus, Status};
use super::init::{Streams, exit_code};
use super::join::{self, Joined};
use super::spec::ProcessConfig;
use super::supervisor::{Supervisor, not_blocking};

/// How much of what a check prints is kept, in bytes; as much as Docker keeps.
const OUTPUT_BYTES: usize = 4096;
/// How often is read before others have their turn.
const READS: usize = 16;

/// The checks of one container.
pub(super) struct Checks {
    health: Health,
    began: Duration,
    next: Option<Duration>,
    running: Option<Running>,
    failures: u32,
}

struct Running {
    process: Joined,
    output: OwnedFd,
    text: Vec<u8>,
    limit: Duration,
    is_late: bool,
}

impl Checks {
    pub(super) fn new(health: Health) -> Self {
        Self { health, began: Duration::ZERO, next: None, running: None, failures: 0 }
    }

    /// The container has started.
    pub(super) fn begin(&mut self, now: Duration) {
        self.began = now;
        self.failures = 0;
        self.next = Some(now + self.interval(now));
    }

    /// The container has ended, and with it every process inside.
    pub(super) fn end(&mut self) {
        self.next = None;
        if let Some(running) = self.running.take() {
            // It has ended with the container, and is reaped.
            let _ = waitpid(Some(running.process.pid), WaitOptions::empty());
        }
    }

    fn interval(&self, now: Duration) -> Duration {
        if now < self.began + self.health.start_period {
            self.health.start_interval
        } else {
            self.health.interval
        }
    }

    pub(super) fn watch<'a>(&'a self, watched: &mut Vec<PollFd<'a>>) {
        if let Some(running) = &self.running {
            watched.push(PollFd::new(&running.process.end, PollFlags::IN));
            watched.push(PollFd::new(&running.output, PollFlags::IN));
        }
    }

    /// Returns when there is something to do although nothing happens.
    pub(super) fn next(&self) -> Option<Duration> {
        match &self.running {
            Some(running) if !running.is_late => Some(running.limit),
            Some(_) => None,
            None => self.next,
        }
    }

    /// Starts a check that is due, ends one that is late, and judges one that has ended.
    pub(super) fn turn(&mut self, supervisor: &mut Supervisor, now: Duration) {
        if let Some(running) = &mut self.running {
            running.read();
            if now >= running.limit && !running.is_late {
                running.is_late = true;
                let _ = pidfd_send_signal(&running.process.end, Signal::KILL);
            }
            let Ok(Some((_, status))) = waitpid(Some(running.process.pid), WaitOptions::NOHANG)
            else {
                return;
            };
            running.read();
            let text = String::from_utf8_lossy(&running.text).into_owned();
            let (code, text) = if running.is_late {
                (1, format!("Health check exceeded timeout ({:?})", self.health.timeout))
            } else {
                (exit_code(status.as_raw()), text)
            };
            self.running = None;
            self.judge(supervisor, code, text, now);
        } else if self.next.is_some_and(|at| at <= now)
            && supervisor.state.status == Status::Running
        {
            self.next = None;
            if let Err(message) = self.check(supervisor, now) {
                self.judge(supervisor, 126, message, now);
            }
        }
    }

    fn check(&mut self, supervisor: &mut Supervisor, now: Duration) -> Result<(), String> {
        let Some(init) = &supervisor.init else { return Ok(()) };
        let system = |error: std::io::Error| error.to_string();
        let (ours, theirs) = crate::launch::output_pipe().map_err(system)?;
        not_blocking(&ours).map_err(system)?;
        let null = fs_err::File::open("/dev/null").map_err(system)?.into_parts().0.into();
        let streams = [null, theirs.try_clone().map_err(system)?, theirs];
        let config = ProcessConfig {
            args: self.health.test.clone(),
            ..supervisor.start.spec.process.clone()
        };
        let process = join::start(
            &supervisor.start.spec,
            &init.end,
            &mut supervisor.group,
            &config,
            Streams::Plain(streams),
        )
        .map_err(|error| error.message)?;
        let limit = now + self.health.timeout;
        self.running =
            Some(Running { process, output: ours, text: Vec::new(), limit, is_late: false });
        Ok(())
    }

    fn judge(&mut self, supervisor: &mut Supervisor, code: u8, text: String, now: Duration) {
        self.next = Some(now + self.interval(now));
        let state = &mut supervisor.state;
        if code == 0 {
            self.failures = 0;
            state.health = Some(HealthStatus::Healthy);
        } else if now >= self.began + self.health.start_period
            || state.health != Some(HealthStatus::Starting)
        {
            self.failures += 1;
            if self.failures >= self.health.retries {
                state.health = Some(HealthStatus::Unhealthy);
            }
        }
        state.health_output = Some(text);
    }
}

impl Running {
    fn read(&mut self) {
        let mut buffer = [0; OUTPUT_BYTES];
        for _ in 0..READS {
            match rustix::io::read(&self.output, &mut buffer) {
                // It may print more than is kept.
                Ok(count) if count > 0 => {
                    let room = OUTPUT_BYTES - self.text.len();
                    self.text.extend(&buffer[..count.min(room)]);
                }
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}
