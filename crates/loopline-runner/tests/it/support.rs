//! Runs workflows from text and writes down what the recorder was told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use fs_err as fs;
use loopline_clock::Clock;
use loopline_runner::actions::{Builtin, BuiltinError, Builtins, Call};
use loopline_runner::host::{
    Actions, Approvals, Claim, Decision, FetchError, FetchedAction, Folders, GroupRefusal, Groups,
    Host, HostError, Keep, Machines, NoServices,
};
use loopline_runner::log::Masker;
use loopline_runner::{Cancel, run};
use loopline_sandbox::Machine;
use loopline_source::SourceFile;
use loopline_workflow::github::event::{Event as Event_, Facts, RunFacts};
use loopline_workflow::github::{parse, plan, schedule};
use loopline_workflow::run::{Conclusion, Event, JobKey, Recorder};
use tempfile::TempDir;

/// Hears log text.
type Listener = Box<dyn FnMut(&str) + Send>;

/// What a run told its recorder.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) logs: Mutex<BTreeMap<(JobKey, u32), String>>,
    /// Called with every piece of log.
    pub(crate) on_log: Mutex<Option<Listener>>,
}

impl Recorder for Record {
    fn event(&self, event: &Event) {
        self.events.lock().unwrap().push(event.clone());
    }

    fn log(&self, job: &JobKey, step: u32, lines: &[u8]) {
        assert_eq!(lines.last(), Some(&b'\n'), "only whole lines are recorded");
        let text = String::from_utf8_lossy(lines);
        self.logs.lock().unwrap().entry((job.clone(), step)).or_default().push_str(&text);
        if let Some(on_log) = &mut *self.on_log.lock().unwrap() {
            on_log(&text);
        }
    }
}

struct HostMachines;

impl Machines for HostMachines {
    fn machine(&self, job: &JobKey, _: &Folders) -> Result<Arc<dyn Machine>, HostError> {
        Ok(Arc::new(loopline_sandbox::Host::new(job.as_str())))
    }
}

/// Remote actions as folders below a root: `OWNER/REPOSITORY`.
struct Mirror(PathBuf);

impl Actions for Mirror {
    fn fetch(&self, owner: &str, name: &str, reference: &str) -> Result<FetchedAction, FetchError> {
        let root = self.0.join(owner).join(name);
        if !root.is_dir() {
            return Err(format!("the mirror has no {owner}/{name}").into());
        }
        let commit = format!("{reference}-commit");
        Ok(FetchedAction { root, commit, origin: "mirror".to_owned() })
    }
}

/// `builtin/endless`: works until it must end.
#[derive(Clone, Copy)]
struct Endless;

impl Builtins for Endless {
    fn find(&self, owner: &str, name: &str, _: &str, _: &str) -> Option<Arc<dyn Builtin>> {
        (owner == "builtin" && name == "endless").then(|| Arc::new(*self) as _)
    }
}

impl Builtin for Endless {
    fn title(&self) -> String {
        "ready".to_owned()
    }

    fn main(&self, call: &mut Call<'_>) -> Result<(), BuiltinError> {
        let copied = std::io::copy(&mut call.leash.hold(std::io::repeat(0)), &mut std::io::sink());
        Err(BuiltinError::new(copied.unwrap_err().to_string()))
    }
}

struct FreeGroups;

impl Groups for FreeGroups {
    fn take(
        &self,
        _: &Claim,
        _: &Cancel,
        _: &mut dyn FnMut(&str),
    ) -> Result<Box<dyn Send>, GroupRefusal> {
        Ok(Box::new(()))
    }
}

/// Protects `production` and decides by its name.
struct Gatekeeper;

impl Approvals for Gatekeeper {
    fn is_protected(&self, environment: &str) -> bool {
        environment.starts_with("production")
    }

    fn decide(&self, _: &JobKey, environment: &str, _: &Cancel) -> Option<Decision> {
        Some(Decision { approved: environment.ends_with("yes"), by: "a test".to_owned() })
    }
}

/// One run to be.
pub(crate) struct Case {
    pub(crate) folder: TempDir,
    workflow: String,
    pub(crate) secrets: Vec<(&'static str, &'static str)>,
    pub(crate) record: Arc<Record>,
    pub(crate) cancel: Cancel,
}

impl Case {
    pub(crate) fn new(workflow: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("repository")).unwrap();
        fs::create_dir_all(folder.path().join("mirror")).unwrap();
        Self {
            folder,
            workflow: workflow.to_owned(),
            secrets: Vec::new(),
            record: Arc::default(),
            cancel: Cancel::new().unwrap(),
        }
    }

    /// A job whose steps are `steps`, indented as YAML wants.
    pub(crate) fn steps(steps: &str) -> Self {
        let mut text =
            "on: push\njobs:\n  job:\n    runs-on: ubuntu-latest\n    steps:\n".to_owned();
        for line in steps.trim_matches('\n').lines() {
            writeln!(text, "      {line}").unwrap();
        }
        Self::new(&text)
    }

    /// Adds a file to the mirror of remote actions.
    pub(crate) fn mirror(self, path: &str, text: &str) -> Self {
        let path = self.folder.path().join("mirror").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Adds a file to the repository the run is of.
    pub(crate) fn repository(self, path: &str, text: &str) -> Self {
        let path = self.folder.path().join("repository").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn secret(mut self, name: &'static str, value: &'static str) -> Self {
        self.secrets.push((name, value));
        self
    }

    /// Whether JavaScript actions can run here.
    pub(crate) fn has_node(&self) -> bool {
        node().is_some()
    }

    fn host(&self) -> Host {
        let root = self.folder.path();
        Host {
            recorder: self.record.clone(),
            clock: Clock::real(),
            machines: Arc::new(HostMachines),
            actions: Arc::new(Mirror(root.join("mirror"))),
            builtins: Arc::new(Endless),
            services: Arc::new(NoServices),
            approvals: Arc::new(Gatekeeper),
            groups: Arc::new(FreeGroups),
            masker: Masker::new(),
            environment: Arc::new(
                [("PATH".to_owned(), path()), ("HOME".to_owned(), "/tmp".to_owned())].into(),
            ),
            repository: root.join("repository"),
            folder: root.join("run"),
            tool_cache: root.join("tools"),
            node: node(),
            runner_name: "test".to_owned(),
            debug: false,
            keep: Keep::Nothing,
            jobs: loopline_runner::JobTokens::default(),
        }
    }

    /// Runs it; an error says why there is no plan.
    pub(crate) fn try_run(&self) -> Result<Conclusion, String> {
        let file = SourceFile::new(".github/workflows/test.yml", self.workflow.clone());
        let (workflow, errors) =
            parse::workflow(&file, &parse::Options::default(), &mut |_: &str, _: &SourceFile| None);
        if let Some(error) = errors.first() {
            return Err(error.kind.to_string());
        }
        let facts = Facts::default();
        let planned = plan::plan(plan::Request {
            workflow: Arc::new(workflow),
            event: Event_::synthesize("push", &facts, &BTreeMap::new(), None).unwrap(),
            facts,
            run: RunFacts::default(),
            inputs: BTreeMap::new(),
            vars: [("COLOUR".to_owned(), "green".to_owned())].into(),
            secrets: self
                .secrets
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            settings: plan::Settings { strict: true, ..plan::Settings::default() },
        })
        .map_err(|refused| {
            refused.findings.iter().map(|it| it.message.clone()).collect::<Vec<_>>().join("; ")
        })?;
        let schedule = schedule::Run::new(&planned, schedule::Options::default());
        Ok(run(schedule, Arc::new(self.host()), &self.cancel).unwrap())
    }

    /// Runs what must have a plan.
    pub(crate) fn run(&self) -> Conclusion {
        self.try_run().unwrap()
    }

    /// Runs it and writes down what happened.
    pub(crate) fn story(&self) -> String {
        let conclusion = match self.try_run() {
            Ok(conclusion) => conclusion,
            Err(reason) => return format!("refused: {reason}\n"),
        };
        let mut story = String::new();
        let logs = self.record.logs.lock().unwrap();
        let mut names = BTreeMap::new();
        // Steps side by side end in any order; they are told in the order of their numbers.
        let mut steps: BTreeMap<(JobKey, u32), String> = BTreeMap::new();
        for event in self.record.events.lock().unwrap().iter() {
            match event {
                Event::StepStarted { job, step, name, .. } => {
                    names.insert((job.clone(), *step), name.clone());
                }
                Event::JobSkipped { job, .. } => writeln!(story, "{job}: skipped").unwrap(),
                Event::JobFinished { job, conclusion, outputs, .. } => {
                    steps.retain(|(of, _), text| {
                        if of == job {
                            story.push_str(text);
                        }
                        of != job
                    });
                    write!(story, "{job}: {}", conclusion.as_str()).unwrap();
                    for (name, value) in outputs {
                        write!(story, " {name}={value:?}").unwrap();
                    }
                    story.push('\n');
                }
                Event::StepSkipped { job, step, name, .. } => {
                    let story = steps.entry((job.clone(), *step)).or_default();
                    writeln!(story, "{step} {name}: skipped").unwrap();
                }
                Event::StepFinished { job, step, outcome, conclusion, .. } => {
                    let name = &names[&(job.clone(), *step)];
                    let story = steps.entry((job.clone(), *step)).or_default();
                    write!(story, "{step} {name}: {}", outcome.as_str()).unwrap();
                    if outcome != conclusion {
                        write!(story, " ({})", conclusion.as_str()).unwrap();
                    }
                    story.push('\n');
                    for line in logs.get(&(job.clone(), *step)).map_or("", |log| log).lines() {
                        writeln!(story, "  {}", self.shorten(line)).unwrap();
                    }
                }
                Event::StepSummary { job, step, markdown } => {
                    let story = steps.entry((job.clone(), *step)).or_default();
                    writeln!(story, "{step} summary {markdown:?}").unwrap();
                }
                Event::Warning { message, .. } => writeln!(story, "warning: {message}").unwrap(),
                _ => {}
            }
        }
        writeln!(story, "run: {}", conclusion.as_str()).unwrap();
        story
    }

    fn shorten(&self, line: &str) -> String {
        line.replace(self.folder.path().to_str().unwrap(), "$ROOT")
    }
}

fn path() -> String {
    #[expect(clippy::disallowed_methods, reason = "tests run with the developer's PATH")]
    std::env::var("PATH").unwrap()
}

fn node() -> Option<PathBuf> {
    std::env::split_paths(&path()).map(|one| one.join("node")).find(|one| one.is_file())
}
