//! Takes a step's output in chunks, and gives whole masked lines and what they ask for.
//!
//! Chunks without commands, matches and secrets pass through untouched. A line is held back
//! until its end comes, so a secret split across writes is seen whole; a line longer than
//! [`MAX_LINE_BYTES`] is given in pieces, and a secret across a cut is hidden in both.

use std::io;
use std::path::{Path, PathBuf};

use loopline_workflow::run::{Annotation, Level};
use memchr::{memchr, memchr2, memmem, memrchr, memrchr2};

use super::commands::{self, Command};
use super::issue;
use super::masker::{self, Masker, Snapshot};
use super::matchers::{Matchers, Running};

/// How long a line may be before it is cut, in bytes.
pub(super) const MAX_LINE_BYTES: usize = 64 * 1024;
/// How long a workflow command may be, in bytes.
pub(super) const MAX_COMMAND_BYTES: usize = 2 * 1024 * 1024;
/// Stands where a line was cut, at the end of one piece and at the start of the next.
const CUT: &[u8] = b"[...]";
/// How many annotations of one level a step makes; further ones are only in its log (GitHub).
const MAX_ANNOTATIONS: u32 = 10;
/// Variables that are never set by a command, because they take over programs.
const BLOCKED_VARIABLES: [&str; 1] = ["NODE_OPTIONS"];
/// Tokens shorter than this are not hidden in the log (GitHub).
const MIN_HIDDEN_TOKEN_CHARS: usize = 7;
const DEPRECATED: &str = "is deprecated, use the environment files \
    (https://github.blog/changelog/2022-10-11-github-actions-deprecating-save-state-and-set-output-commands/)";
const DISABLED: &str = "command is disabled. Please upgrade to using Environment Files or opt \
    into unsecure command execution by setting the `ACTIONS_ALLOW_UNSECURE_COMMANDS` environment \
    variable to `true`";

/// What a line asked for that is not text; values are as written, not masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// `::set-output name=N::V`
    SetOutput {
        /// The output.
        name: String,
        /// Its value.
        value: String,
    },
    /// `::save-state name=N::V`
    SaveState {
        /// The state.
        name: String,
        /// Its value.
        value: String,
    },
    /// `::set-env name=N::V`, where the step allows it.
    SetEnv {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
    },
    /// `::add-path::P`, where the step allows it.
    AddPath {
        /// The folder.
        path: String,
    },
    /// A command could not be carried out: the step fails, whatever its exit status.
    Fail {
        /// Why, masked.
        reason: String,
    },
}

/// Where a step's output goes, and who does what the log cannot.
pub trait Sink {
    /// Takes whole lines, masked, each ended by `\n`.
    fn lines(&mut self, lines: &[u8]);

    /// Takes an annotation, masked.
    fn annotation(&mut self, annotation: Annotation);

    /// Does what a command asked for.
    fn effect(&mut self, effect: Effect);

    /// Reads a problem matcher's definition from a full path.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn read_matcher(&mut self, path: &Path) -> io::Result<Vec<u8>>;

    /// Returns whether a file that a problem matcher found exists.
    fn file_exists(&mut self, path: &Path) -> bool;
}

/// How one step's output is understood.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The step's `GITHUB_WORKSPACE`, which relative paths start from.
    pub workspace: PathBuf,
    /// Whether `::debug::` is shown and commands are echoed (`ACTIONS_STEP_DEBUG`).
    pub debug: bool,
    /// `ACTIONS_ALLOW_UNSECURE_COMMANDS`
    pub allow_unsecure_commands: bool,
    /// `ACTIONS_ALLOW_UNSECURE_STOPCOMMAND_TOKENS`
    pub allow_unsecure_stop_tokens: bool,
}

/// The output of one step.
pub struct Pipeline {
    /// What is left of the last chunk: no line end but perhaps a last `\r`.
    carry: Vec<u8>,
    cut: Cut,
    scratch: Scratch,
    state: State,
}

/// Buffers kept between chunks.
#[derive(Default)]
struct Scratch {
    normal: Vec<u8>,
}

/// Whether the line in hand was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// It begins in `carry`.
    No,
    /// Pieces of it were given.
    Given,
    /// It was a command too long to be one; the rest is dropped.
    Dropped,
}

struct State {
    options: Options,
    masker: Masker,
    snapshot: Snapshot,
    matchers: Matchers,
    running: Running,
    /// The token that ends a pause of commands.
    token: Option<String>,
    echo: bool,
    counts: [u32; 3],
    masked: Vec<u8>,
    /// How much of a cut line's next piece belongs to a secret that the last piece hid.
    hidden_start: usize,
    new_mark: memmem::Finder<'static>,
    old_mark: memmem::Finder<'static>,
}

impl Pipeline {
    /// Returns the pipeline of a step that begins.
    pub fn new(options: Options, masker: Masker, matchers: Matchers) -> Self {
        let snapshot = masker.snapshot();
        let mut running = Running::default();
        matchers.refresh(&mut running);
        Self {
            carry: Vec::new(),
            cut: Cut::No,
            scratch: Scratch::default(),
            state: State {
                echo: options.debug,
                options,
                masker,
                snapshot,
                matchers,
                running,
                token: None,
                counts: [0; 3],
                masked: Vec::new(),
                hidden_start: 0,
                new_mark: memmem::Finder::new(commands::MARK),
                old_mark: memmem::Finder::new(commands::OLD_MARK),
            },
        }
    }

    /// Says which commands that GitHub calls unsecure have effect from here on.
    pub fn allow(&mut self, unsecure_commands: bool, unsecure_stop_tokens: bool) {
        self.state.options.allow_unsecure_commands = unsecure_commands;
        self.state.options.allow_unsecure_stop_tokens = unsecure_stop_tokens;
    }

    /// Takes the next chunk of output.
    pub fn push(&mut self, chunk: &[u8], sink: &mut dyn Sink) {
        self.state.refresh();
        let mut rest = chunk;
        if !self.carry.is_empty() || self.cut != Cut::No {
            let Some(taken) = self.complete(rest) else {
                self.carry.extend_from_slice(rest);
                self.shorten(sink);
                return;
            };
            self.carry.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            self.shorten(sink);
            let line = std::mem::take(&mut self.carry);
            self.end_line(&line, sink);
            self.carry = line;
            self.carry.clear();
        }
        let whole = last_end(rest);
        if whole > 0 {
            self.state.region(&rest[..whole], &mut self.scratch, sink);
        }
        self.carry.extend_from_slice(&rest[whole..]);
        self.shorten(sink);
    }

    /// Gives what is left: the last line may lack its end.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        self.state.refresh();
        self.shorten(sink);
        let mut line = std::mem::take(&mut self.carry);
        if line.is_empty() && self.cut != Cut::Given {
            return;
        }
        if line.last() != Some(&b'\r') {
            line.push(b'\n');
        }
        self.end_line(&line, sink);
    }

    /// Returns how much of `chunk` ends the line in `carry`.
    fn complete(&self, chunk: &[u8]) -> Option<usize> {
        if self.carry.last() == Some(&b'\r') {
            return chunk.first().map(|first| usize::from(*first == b'\n'));
        }
        let end = memchr2(b'\n', b'\r', chunk)?;
        if chunk[end] == b'\n' {
            return Some(end + 1);
        }
        chunk.get(end + 1).map(|next| end + 1 + usize::from(*next == b'\n'))
    }

    /// Gives the line, with its end, that was gathered in `carry`.
    fn end_line(&mut self, line: &[u8], sink: &mut dyn Sink) {
        match std::mem::replace(&mut self.cut, Cut::No) {
            Cut::No => self.state.region(line, &mut self.scratch, sink),
            Cut::Given => {
                let line = line.trim_end_of_line();
                self.state.piece(line, line.len(), true, true, sink);
                self.state.hidden_start = 0;
            }
            Cut::Dropped => {}
        }
    }

    /// Gives pieces of a line that has become too long.
    fn shorten(&mut self, sink: &mut dyn Sink) {
        while self.carry.len() > MAX_LINE_BYTES + self.state.snapshot.longest {
            match self.cut {
                Cut::Dropped => {
                    let ended = self.carry.ends_with(b"\r");
                    self.carry.clear();
                    if ended {
                        self.carry.push(b'\r');
                    }
                    return;
                }
                Cut::No if self.state.is_command_start(&self.carry) => {
                    if self.carry.len() <= MAX_COMMAND_BYTES {
                        return;
                    }
                    let limit = MAX_COMMAND_BYTES >> 20;
                    self.state
                        .fail(&format!("a workflow command is longer than {limit} MiB"), sink);
                    self.cut = Cut::Dropped;
                }
                Cut::No | Cut::Given => {
                    let at = self.state.cut_at(&self.carry);
                    self.state.piece(&self.carry, at, self.cut == Cut::Given, false, sink);
                    self.carry.drain(..at);
                    self.cut = Cut::Given;
                }
            }
        }
    }
}

/// What was found ahead in the lines in hand, so that nothing is searched for twice.
#[derive(Default)]
struct Ahead {
    old_mark: Option<usize>,
    new_mark: Option<usize>,
    colour: Option<usize>,
    candidate: Option<usize>,
}

impl Ahead {
    /// Returns the first place at or after `from` that `search` finds, the text's end if none.
    fn find(
        known: &mut Option<usize>,
        text: &[u8],
        from: usize,
        search: impl Fn(&[u8]) -> Option<usize>,
    ) -> usize {
        match *known {
            Some(place) if place >= from => place,
            _ => *known.insert(search(&text[from..]).map_or(text.len(), |at| from + at)),
        }
    }
}

/// Returns where the line begins that `place` is in, no earlier than `from`; the text's end has
/// no line.
fn line_start(text: &[u8], from: usize, place: usize) -> usize {
    if place >= text.len() {
        return text.len();
    }
    memrchr(b'\n', &text[from..place]).map_or(from, |end| from + end + 1)
}

/// Taking a line's end off.
trait LineEnd {
    fn trim_end_of_line(&self) -> &[u8];
}

impl LineEnd for [u8] {
    fn trim_end_of_line(&self) -> &[u8] {
        let line = self.strip_suffix(b"\n").unwrap_or(self);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

/// Returns where the last whole line of `chunk` ends. A last `\r` may be half of a line end.
fn last_end(chunk: &[u8]) -> usize {
    match memrchr2(b'\n', b'\r', chunk) {
        Some(last) if chunk[last] == b'\r' && last + 1 == chunk.len() => {
            memrchr2(b'\n', b'\r', &chunk[..last]).map_or(0, |end| end + 1)
        }
        Some(last) => last + 1,
        None => 0,
    }
}

impl State {
    fn refresh(&mut self) {
        if self.snapshot.version != self.masker.version() {
            self.snapshot = self.masker.snapshot();
        }
        if self.running.version != self.matchers.version() {
            self.matchers.refresh(&mut self.running);
        }
    }

    /// Takes whole lines.
    fn region(&mut self, region: &[u8], scratch: &mut Scratch, sink: &mut dyn Sink) {
        if memchr(b'\r', region).is_none() && std::str::from_utf8(region).is_ok() {
            return self.text(region, sink);
        }
        let mut normal = std::mem::take(&mut scratch.normal);
        normal.clear();
        let text = String::from_utf8_lossy(region);
        let mut rest = text.as_bytes();
        while let Some(at) = memchr(b'\r', rest) {
            normal.extend_from_slice(&rest[..at]);
            normal.push(b'\n');
            rest = &rest[at + 1..];
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        normal.extend_from_slice(rest);
        self.text(&normal, sink);
        scratch.normal = normal;
    }

    /// Takes whole lines of UTF-8 with `\n` alone as their end.
    fn text(&mut self, text: &[u8], sink: &mut dyn Sink) {
        let mut shown = 0;
        let mut at = 0;
        let mut ahead = Ahead::default();
        while at < text.len() {
            let command = self.next_command(text, at, &mut ahead);
            let start = command.min(self.next_match(text, at, &mut ahead));
            if start >= text.len() {
                break;
            }
            let end = memchr(b'\n', &text[start..]).map_or(text.len(), |length| start + length);
            let line = &text[start..end];
            let parsed = (command == start)
                .then(|| std::str::from_utf8(line).ok())
                .flatten()
                .and_then(|line| commands::parse(line, self.token.as_deref()));
            if let Some(command) = parsed {
                self.lines(&text[shown..start], sink);
                self.command(&command, &text[start..(end + 1).min(text.len())], sink);
                shown = end + 1;
                // The command may have changed what is looked for.
                ahead.candidate = None;
            } else if let Some((level, stripped, annotation)) = self.matched(line, sink) {
                self.lines(&text[shown..start], sink);
                self.issue_line(level, &stripped, sink);
                self.annotate(annotation, sink);
                shown = end + 1;
            }
            at = end + 1;
        }
        if shown < text.len() {
            self.lines(&text[shown..], sink);
        }
    }

    /// Returns where the next line begins that may be a command.
    fn next_command(&self, text: &[u8], from: usize, ahead: &mut Ahead) -> usize {
        let old = Ahead::find(&mut ahead.old_mark, text, from, |rest| self.old_mark.find(rest));
        let mut at = from;
        while at < old {
            let mark = Ahead::find(&mut ahead.new_mark, text, at, |rest| self.new_mark.find(rest));
            if mark >= old {
                break;
            }
            let start = line_start(text, at, mark);
            let before = &text[start..mark];
            if before.is_empty() || String::from_utf8_lossy(before).trim().is_empty() {
                return start;
            }
            at = memchr(b'\n', &text[mark..]).map_or(text.len(), |length| mark + length + 1);
        }
        line_start(text, from, old)
    }

    /// Returns where the next line begins that matchers must see.
    fn next_match(&self, text: &[u8], from: usize, ahead: &mut Ahead) -> usize {
        const ESCAPE: u8 = 0x1b;
        if self.running.is_empty() {
            return text.len();
        }
        if self.running.is_midway() {
            return from;
        }
        let coloured = Ahead::find(&mut ahead.colour, text, from, |rest| memchr(ESCAPE, rest));
        if ahead.candidate.is_none_or(|found| found < from) {
            ahead.candidate = Some(self.running.next_candidate(text, from).unwrap_or(text.len()));
        }
        line_start(text, from, ahead.candidate.unwrap_or(text.len()).min(coloured))
    }

    /// Shows a line to the matchers.
    fn matched(
        &mut self,
        line: &[u8],
        sink: &mut dyn Sink,
    ) -> Option<(Level, Vec<u8>, Annotation)> {
        if self.running.is_empty() {
            return None;
        }
        let stripped = without_colours(line);
        let workspace = &self.options.workspace;
        let annotation = self.running.line(&stripped, |found| {
            issue::from_match(found, workspace, &mut |path| sink.file_exists(path))
        })?;
        Some((annotation.level, stripped.into_owned(), annotation))
    }

    /// Gives lines, masked.
    fn lines(&mut self, lines: &[u8], sink: &mut dyn Sink) {
        if lines.is_empty() {
            return;
        }
        self.masked.clear();
        if self.snapshot.mask(lines, &mut self.masked) {
            sink.lines(&self.masked);
        } else {
            sink.lines(lines);
        }
    }

    /// Gives a line of the runner's own, in the form GitHub's logs have; further lines follow
    /// as they are.
    fn marked(&mut self, mark: &str, text: &[u8], sink: &mut dyn Sink) {
        let mut line = Vec::with_capacity(text.len() + mark.len() + 4);
        line.extend_from_slice(b"##[");
        line.extend_from_slice(mark.as_bytes());
        line.push(b']');
        line.extend(text.iter().filter(|byte| **byte != b'\r'));
        line.push(b'\n');
        self.lines(&line, sink);
    }

    fn issue_line(&mut self, level: Level, text: &[u8], sink: &mut dyn Sink) {
        let mark = match level {
            Level::Debug => "debug",
            Level::Notice => "notice",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        self.marked(mark, text, sink);
    }

    fn annotate(&mut self, mut annotation: Annotation, sink: &mut dyn Sink) {
        let count = match annotation.level {
            Level::Debug => return,
            Level::Notice => &mut self.counts[0],
            Level::Warning => &mut self.counts[1],
            Level::Error => &mut self.counts[2],
        };
        *count += 1;
        if *count > MAX_ANNOTATIONS {
            return;
        }
        annotation.message = self.masker.mask_text(&annotation.message).into_owned();
        annotation.title = annotation.title.map(|title| self.masker.mask_text(&title).into_owned());
        if let Some(place) = &mut annotation.place {
            place.file = self.masker.mask_text(&place.file).into_owned();
        }
        sink.annotation(annotation);
    }

    fn issue(&mut self, level: Level, text: &str, sink: &mut dyn Sink) {
        self.issue_line(level, text.as_bytes(), sink);
        let annotation = Annotation {
            level,
            message: issue::message(text),
            title: None,
            place: None,
            end_line: None,
            end_column: None,
        };
        self.annotate(annotation, sink);
    }

    /// Says why the step fails.
    fn fail(&mut self, reason: &str, sink: &mut dyn Sink) {
        self.issue(Level::Error, reason, sink);
        sink.effect(Effect::Fail { reason: self.masker.mask_text(reason).into_owned() });
    }

    fn debug(&mut self, text: &str, sink: &mut dyn Sink) {
        if self.options.debug {
            self.issue_line(Level::Debug, text.as_bytes(), sink);
        }
    }

    /// Does what a command asks for; `line` is the command as written, with its end.
    fn command(&mut self, command: &Command, line: &[u8], sink: &mut dyn Sink) {
        if self.token.is_some() {
            self.lines(line, sink);
            self.token = None;
            return self.debug("Resume processing commands", sink);
        }
        let silent = ["add-mask", "debug", "error", "notice", "warning", commands::STOP]
            .contains(&command.name.as_str());
        if self.echo && !silent {
            self.lines(line, sink);
        }
        let data = command.data.as_str();
        match command.name.as_str() {
            commands::STOP => {
                if !commands::is_safe_token(data) && !self.options.allow_unsecure_stop_tokens {
                    return self.fail(
                        "You cannot use a endToken that is an empty string, the string \
                         'pause-logging', or another workflow command. To opt into insecure \
                         command execution, set `ACTIONS_ALLOW_UNSECURE_STOPCOMMAND_TOKENS` to \
                         `true`",
                        sink,
                    );
                }
                if data.chars().count() >= MIN_HIDDEN_TOKEN_CHARS {
                    self.add_mask(data, sink);
                }
                self.token = Some(data.to_owned());
                self.lines(line, sink);
                self.debug("Paused processing commands until the token is received", sink);
            }
            "add-mask" => {
                if data.trim().is_empty() {
                    let text = "Can't add secret mask for empty string in ##[add-mask] command.";
                    return self.issue(Level::Warning, text, sink);
                }
                if self.echo {
                    self.lines(b"::add-mask::***\n", sink);
                }
                self.add_mask(data, sink);
            }
            "error" => self.point_out(Level::Error, command, sink),
            "warning" => self.point_out(Level::Warning, command, sink),
            "notice" => self.point_out(Level::Notice, command, sink),
            "debug" => self.debug(data, sink),
            "group" => self.marked("group", data.as_bytes(), sink),
            "endgroup" => self.marked("endgroup", b"", sink),
            "echo" => match data.trim().to_ascii_lowercase().as_str() {
                "on" => self.echo = true,
                "off" => self.echo = false,
                _ => {
                    let reason = format!(
                        "Invalid echo command value. Possible values can be: 'on', 'off'. \
                         Current value is: '{data}'."
                    );
                    self.refuse(line, &reason, sink);
                }
            },
            "add-matcher" => self.add_matcher(data, line, sink),
            "remove-matcher" => self.remove_matcher(command, line, sink),
            "set-output" | "save-state" | "set-env" | "add-path" => {
                self.set(command, line, sink);
            }
            other => self.refuse(line, &format!("There is no command '{other}'"), sink),
        }
    }

    fn add_mask(&mut self, value: &str, sink: &mut dyn Sink) {
        if let Err(error) = self.masker.add(value) {
            self.fail(&error.to_string(), sink);
        }
        self.refresh();
    }

    /// Reports that a command could not be carried out, which fails the step.
    fn refuse(&mut self, line: &[u8], reason: &str, sink: &mut dyn Sink) {
        let command = String::from_utf8_lossy(line);
        let text = format!("Unable to process command '{}' successfully.", command.trim());
        self.issue(Level::Error, &text, sink);
        self.fail(reason, sink);
    }

    fn point_out(&mut self, level: Level, command: &Command, sink: &mut dyn Sink) {
        let annotation = issue::from_command(level, command, &self.options.workspace);
        self.issue_line(level, command.data.as_bytes(), sink);
        self.annotate(annotation, sink);
    }

    fn set(&mut self, command: &Command, line: &[u8], sink: &mut dyn Sink) {
        let kind = command.name.as_str();
        let unsecure = matches!(kind, "set-env" | "add-path");
        if unsecure && !self.options.allow_unsecure_commands {
            return self.refuse(line, &format!("The `{kind}` {DISABLED}"), sink);
        }
        let value = command.data.clone();
        if kind == "add-path" {
            if value.is_empty() {
                return self.refuse(line, "The path must not be empty", sink);
            }
            return sink.effect(Effect::AddPath { path: value });
        }
        let Some(name) = command.property("name").map(str::to_owned) else {
            let reason = format!("Required field 'name' is missing in ##[{kind}] command.");
            return self.refuse(line, &reason, sink);
        };
        if kind == "set-env" {
            if BLOCKED_VARIABLES.iter().any(|blocked| blocked.eq_ignore_ascii_case(&name)) {
                let text =
                    format!("Can't update {name} environment variable using ::set-env:: command.");
                return self.issue(Level::Error, &text, sink);
            }
            return sink.effect(Effect::SetEnv { name, value });
        }
        self.issue(Level::Warning, &format!("The `{kind}` command {DEPRECATED}"), sink);
        sink.effect(match kind {
            "set-output" => Effect::SetOutput { name, value },
            _ => Effect::SaveState { name, value },
        });
    }

    fn add_matcher(&mut self, path: &str, line: &[u8], sink: &mut dyn Sink) {
        if path.is_empty() {
            return self.issue(Level::Warning, "File path must be specified.", sink);
        }
        let full = self.options.workspace.join(path);
        let added = match sink.read_matcher(&full) {
            Ok(json) => self.matchers.add(&json).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = added {
            return self.refuse(line, &format!("problem matcher {path}: {reason}"), sink);
        }
        self.refresh();
    }

    fn remove_matcher(&mut self, command: &Command, line: &[u8], sink: &mut dyn Sink) {
        match (command.property("owner"), command.data.as_str()) {
            (Some(_), path) if !path.is_empty() => {
                let text = "Either specify an owner name or a file path in ##[remove-matcher] \
                            command. Both values cannot be set.";
                self.issue(Level::Warning, text, sink);
            }
            (Some(owner), _) => self.matchers.remove(owner),
            (None, "") => {
                let text = "Either an owner name or a file path must be specified in \
                            ##[remove-matcher] command.";
                self.issue(Level::Warning, text, sink);
            }
            (None, path) => {
                let full = self.options.workspace.join(path);
                let removed = match sink.read_matcher(&full) {
                    Ok(json) => self.matchers.remove_file(&json).map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                if let Err(reason) = removed {
                    self.refuse(line, &format!("problem matcher {path}: {reason}"), sink);
                }
            }
        }
        self.refresh();
    }

    /// Returns whether an unfinished line may become a command, which must be read whole.
    fn is_command_start(&self, line: &[u8]) -> bool {
        let head = String::from_utf8_lossy(&line[..line.len().min(1024)]);
        let rest = head.trim_start();
        let Some(head) = rest.strip_prefix(commands::MARK) else { return false };
        let Some((head, _)) = head.split_once(commands::MARK) else { return false };
        commands::parse(&format!("::{head}::x"), self.token.as_deref()).is_some()
    }

    /// Returns where to cut a line that is too long: not within a character, and so far from
    /// its end that every secret which begins before the cut is seen whole.
    fn cut_at(&self, line: &[u8]) -> usize {
        // The last character may not be whole yet.
        let kept = self.snapshot.longest.max(4);
        let at = line.len().saturating_sub(kept).clamp(1, line.len());
        let character = (at.saturating_sub(3)..=at)
            .rev()
            .find(|index| line.get(*index).is_none_or(|byte| byte & 0xc0 != 0x80));
        character.filter(|index| *index > 0).unwrap_or(at)
    }

    /// Gives the first `end` bytes of a line that was cut.
    fn piece(&mut self, line: &[u8], end: usize, continued: bool, last: bool, sink: &mut dyn Sink) {
        let mut hidden = Vec::new();
        self.snapshot.hidden(line, &mut hidden);
        if self.hidden_start > 0 {
            hidden.push((0, self.hidden_start));
        }
        masker::join(&mut hidden);
        let mut text = Vec::with_capacity(end + 2 * CUT.len() + 1);
        if continued {
            text.extend_from_slice(CUT);
        }
        let mut shown = 0;
        self.hidden_start = 0;
        for (from, to) in hidden {
            if from >= end {
                break;
            }
            text.extend_from_slice(String::from_utf8_lossy(&line[shown..from]).as_bytes());
            text.extend_from_slice(masker::MASK.as_bytes());
            shown = to.min(end);
            self.hidden_start = to.saturating_sub(end);
        }
        text.extend_from_slice(String::from_utf8_lossy(&line[shown..end]).as_bytes());
        if !last {
            text.extend_from_slice(CUT);
        }
        text.push(b'\n');
        sink.lines(&text);
    }
}

/// Takes terminal colours out of a line; matchers look at what a person reads.
fn without_colours(line: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    const START: &[u8] = b"\x1b[";
    if memmem::find(line, START).is_none() {
        return line.into();
    }
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memmem::find(rest, START) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + START.len()..];
        let codes = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
        rest = &rest[codes..];
        rest = rest.strip_prefix(b"m").unwrap_or(rest);
    }
    out.extend_from_slice(rest);
    out.into()
}
