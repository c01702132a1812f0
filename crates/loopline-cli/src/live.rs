//! Shows a run while it happens: a live region on a terminal, plain prefixed lines elsewhere,
//! NDJSON with `--json`.
//!
//! On a terminal every finished job scrolls away as one line, with the last lines of the step
//! that failed it; what runs stands in the region below. Elsewhere every log line is printed as
//! it comes, with its job's name before it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loopline_clock::Clock;
use loopline_units::show_duration;
use loopline_workflow::run::{Annotation, Conclusion, Event, JobKey, Level, Recorder};

use crate::markers;
use crate::printer::{Printer, Tone};

/// How many of a failed step's last lines are shown.
const TAIL_LINES: usize = 20;
/// How much of one of those lines is kept, in bytes.
const TAIL_LINE_BYTES: usize = 2000;
/// How many running jobs the live region shows.
const REGION_LINES: usize = 12;
/// How often the region is drawn at most.
const FRAME: Duration = Duration::from_millis(100);

/// A recorder that shows what it is told.
pub(crate) struct Live {
    printer: Printer,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    jobs: HashMap<JobKey, Job>,
    /// Running jobs in the order in which they began.
    running: Vec<JobKey>,
    queued: usize,
    /// Lines of the region on the screen now.
    drawn: usize,
    last_frame: Duration,
}

#[derive(Default)]
struct Job {
    name: Arc<str>,
    started: Duration,
    step: Option<u32>,
    steps: HashMap<u32, Step>,
}

#[derive(Default)]
struct Step {
    name: String,
    tail: VecDeque<Vec<u8>>,
}

impl Live {
    /// Returns a view that writes to `printer`.
    pub(crate) fn new(printer: Printer, clock: Clock) -> Self {
        Self { printer, clock, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints `lines` above the region.
    fn scroll(&self, state: &mut State, lines: &[String]) {
        let mut text = erase(state);
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.printer.err_raw(text.as_bytes());
        self.draw(state, true);
    }

    fn draw(&self, state: &mut State, always: bool) {
        if !self.printer.live {
            return;
        }
        let now = self.clock.monotonic();
        if !always && now.saturating_sub(state.last_frame) < FRAME {
            return;
        }
        state.last_frame = now;
        let width = rustix::termios::tcgetwinsize(std::io::stderr())
            .map_or(80, |size| usize::from(size.ws_col).max(20));
        let mut text = erase(state);
        let mut lines = 0;
        for key in state.running.iter().take(REGION_LINES) {
            let Some(job) = state.jobs.get(key) else { continue };
            let step = job.step.and_then(|number| job.steps.get(&number));
            let last = step.and_then(|step| step.tail.back());
            let mut line = format!(
                "  running {}  {}  {}",
                show_duration(now.saturating_sub(job.started)),
                job.name,
                step.map_or("", |step| &step.name),
            );
            if let Some(last) = last {
                line.push_str("  | ");
                line.push_str(&plain(&String::from_utf8_lossy(last)));
            }
            text.push_str(&cut(&line, width - 1));
            text.push('\n');
            lines += 1;
        }
        let more = state.running.len().saturating_sub(REGION_LINES);
        if more + state.queued > 0 && !state.running.is_empty() {
            text.push_str(&format!("  and {more} more running, {} waiting\n", state.queued));
            lines += 1;
        }
        state.drawn = lines;
        self.printer.err_raw(text.as_bytes());
    }

    fn annotation(&self, name: &str, annotation: &Annotation) -> Option<String> {
        let (tone, word) = match annotation.level {
            Level::Debug => return None,
            Level::Notice => (Tone::Strong, "notice"),
            Level::Warning => (Tone::Care, "warning"),
            Level::Error => (Tone::Bad, "error"),
        };
        let place = annotation.place.as_ref().map_or(String::new(), |place| {
            if place.column > 0 {
                format!("{}:{}:{}: ", place.file, place.line, place.column)
            } else {
                format!("{}:{}: ", place.file, place.line)
            }
        });
        let word = self.printer.tone(tone, word);
        Some(format!("{name}: {word}: {place}{}", annotation.message))
    }

    fn event_text(&self, event: &Event) {
        let mut state = self.lock();
        let state = &mut *state;
        let printer = &self.printer;
        match event {
            Event::RunStarted(started) => {
                let lines = [
                    format!(
                        "{} {}  {}",
                        printer.tone(Tone::Strong, &started.name),
                        started.title,
                        printer.tone(Tone::Quiet, &format!("(run {})", started.run)),
                    ),
                    printer.tone(
                        Tone::Quiet,
                        &format!(
                            "{} · {} on {} at {} · {}",
                            started.workflow,
                            started.trigger,
                            started.git_ref,
                            started.sha.get(..7).unwrap_or(&started.sha),
                            started.executor,
                        ),
                    ),
                ];
                self.scroll(state, &lines);
            }
            Event::Warning { message, place, .. } => {
                let place = place
                    .as_ref()
                    .map_or(String::new(), |place| format!("{}:{}: ", place.file, place.line));
                let line = format!("{} {place}{message}", printer.tone(Tone::Care, "warning:"));
                self.scroll(state, &[line]);
            }
            Event::RunWaiting { group, reason } => {
                self.scroll(state, &[format!("waiting for concurrency group {group}: {reason}")]);
            }
            Event::JobQueued { .. } => state.queued += 1,
            Event::JobStarted { job, name, .. } => {
                state.queued = state.queued.saturating_sub(1);
                state.running.push(job.clone());
                let started = self.clock.monotonic();
                state.jobs.insert(
                    job.clone(),
                    Job { name: name.as_str().into(), started, ..Job::default() },
                );
                self.draw(state, false);
            }
            Event::JobSkipped { name, skip, .. } => {
                state.queued = state.queued.saturating_sub(1);
                let word = printer.tone(Tone::Quiet, "skipped");
                self.scroll(state, &[format!("{word}   {name}: {}", skip.reason)]);
            }
            Event::StepStarted { job, step, name, .. } => {
                // A job that fails before it starts has a step that says why.
                let found = state
                    .jobs
                    .entry(job.clone())
                    .or_insert_with(|| Job { name: job.as_str().into(), ..Job::default() });
                found.step = Some(*step);
                found.steps.insert(*step, Step { name: name.clone(), tail: VecDeque::new() });
                let title = format!("{} | -- {name}", found.name);
                if printer.live {
                    self.draw(state, false);
                } else {
                    self.scroll(state, &[title]);
                }
            }
            Event::StepSkipped { job, name, skip, .. } => {
                if !printer.live
                    && let Some(found) = state.jobs.get(job)
                {
                    let line = format!("{} | -- {name} skipped: {}", found.name, skip.reason);
                    self.scroll(state, &[line]);
                }
            }
            Event::Annotation { job, annotation, .. } => {
                let name = state.jobs.get(job).map(|job| Arc::clone(&job.name));
                let name = name.as_deref().unwrap_or(job.as_str());
                if let Some(line) = self.annotation(name, annotation) {
                    self.scroll(state, &[line]);
                }
            }
            Event::StepSummary { .. } => {}
            Event::StepFinished { job, step, outcome, .. } => {
                self.step_finished(state, job, *step, *outcome);
            }
            Event::ApprovalRequested { job, environment } => {
                let line = format!("{job} waits for consent to use environment {environment}");
                self.scroll(state, &[line]);
            }
            Event::ApprovalDecided { job, environment, approved, by } => {
                let word = if *approved { "approved" } else { "denied" };
                self.scroll(state, &[format!("{job}: environment {environment} {word} by {by}")]);
            }
            Event::ArtifactStored { job, name, size_bytes, .. } => {
                let size = loopline_units::show_bytes(*size_bytes);
                self.scroll(state, &[format!("artifact  {name} ({size}) from {job}")]);
            }
            Event::JobFinished { job, conclusion, tolerated, duration_ms, .. } => {
                state.running.retain(|running| running != job);
                let found = state.jobs.remove(job).unwrap_or_default();
                let name = if found.name.is_empty() { job.as_str() } else { &found.name };
                let took = show_duration(Duration::from_millis(*duration_ms));
                let note = if *tolerated && *conclusion == Conclusion::Failure {
                    "  (tolerated: continue-on-error)"
                } else {
                    ""
                };
                let line = format!("{}  {name}  {took}{note}", self.word(*conclusion));
                self.scroll(state, &[line]);
            }
            Event::RunFinished { conclusion, error, duration_ms, .. } => {
                let took = show_duration(Duration::from_millis(*duration_ms));
                let mut lines = vec![format!("{}  in {took}", self.word(*conclusion))];
                lines.extend(
                    error
                        .iter()
                        .map(|error| format!("{} {error}", printer.tone(Tone::Bad, "error:"))),
                );
                self.scroll(state, &lines);
            }
        }
    }

    /// Shows how a failing step went; why it failed is the last line of its log.
    fn step_finished(&self, state: &mut State, job: &JobKey, number: u32, outcome: Conclusion) {
        let Some(found) = state.jobs.get_mut(job) else { return };
        let Some(step) = found.steps.remove(&number) else { return };
        let name = Arc::clone(&found.name);
        if outcome != Conclusion::Failure {
            return;
        }
        let mut lines = Vec::new();
        if self.printer.live {
            lines.push(format!("{}   {name} | {}", self.word(outcome), step.name));
            for line in &step.tail {
                let shown = markers::shown(line, |tone, word| self.printer.tone(tone, word));
                lines.extend(shown.map(|line| format!("  {}", String::from_utf8_lossy(&line))));
            }
        }
        self.scroll(state, &lines);
    }

    fn word(&self, conclusion: Conclusion) -> String {
        let tone = match conclusion {
            Conclusion::Success => Tone::Good,
            Conclusion::Failure => Tone::Bad,
            Conclusion::Cancelled => Tone::Care,
            Conclusion::Skipped => Tone::Quiet,
        };
        self.printer.tone(tone, conclusion.as_str())
    }

    fn log_text(&self, job: &JobKey, step: u32, lines: &[u8]) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(found) = state.jobs.get_mut(job) else { return };
        if let Some(step) = found.steps.get_mut(&step) {
            keep_tail(&mut step.tail, lines);
        }
        if self.printer.live {
            self.draw(state, false);
            return;
        }
        let mut text = Vec::with_capacity(lines.len() + lines.len() / 4);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let shown = markers::shown(line, |tone, word| self.printer.tone_out(tone, word));
            if let Some(line) = shown {
                text.extend_from_slice(found.name.as_bytes());
                text.extend_from_slice(b" | ");
                text.extend_from_slice(&line);
            }
        }
        self.printer.out_raw(&text);
    }
}

impl Recorder for Live {
    fn event(&self, event: &Event) {
        if self.printer.json {
            self.printer.json(event);
            return;
        }
        self.event_text(event);
    }

    fn log(&self, job: &JobKey, step: u32, lines: &[u8]) {
        if !self.printer.json {
            self.log_text(job, step, lines);
            return;
        }
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.printer.json(&serde_json::json!({
                "event": "log",
                "job": job,
                "step": step,
                "line": String::from_utf8_lossy(line),
            }));
        }
    }
}

/// Keeps the last lines of a step, whatever it prints.
fn keep_tail(tail: &mut VecDeque<Vec<u8>>, lines: &[u8]) {
    // Only the end of a large chunk can matter.
    let from = lines.len().saturating_sub(TAIL_LINES * TAIL_LINE_BYTES);
    for line in lines[from..].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let mut kept =
            if tail.len() >= TAIL_LINES { tail.pop_front() } else { None }.unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(&line[..line.len().min(TAIL_LINE_BYTES)]);
        tail.push_back(kept);
    }
}

/// Returns what moves the cursor to the first line of the region and clears it.
fn erase(state: &mut State) -> String {
    match std::mem::take(&mut state.drawn) {
        0 => String::new(),
        lines => format!("\x1b[{lines}A\r\x1b[J"),
    }
}

/// Leaves control characters out, so that a log line cannot move the region's cursor.
fn plain(text: &str) -> String {
    let mut escape = false;
    text.chars()
        .filter(|character| {
            if escape {
                escape = !character.is_ascii_alphabetic();
                return false;
            }
            escape = *character == '\x1b';
            !escape && !character.is_control()
        })
        .collect()
}

fn cut(line: &str, width: usize) -> String {
    line.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded() {
        let mut tail = VecDeque::new();
        keep_tail(&mut tail, &b"x\n".repeat(100_000));
        keep_tail(&mut tail, b"last\n");
        assert_eq!((tail.len(), tail.back().map(Vec::as_slice)), (TAIL_LINES, Some(&b"last"[..])));
    }

    #[test]
    fn a_log_line_cannot_move_the_cursor() {
        assert_eq!(plain("a\x1b[2Jb\rc\x1b[31md"), "abcd");
    }
}
