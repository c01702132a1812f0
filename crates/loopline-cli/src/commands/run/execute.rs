//! Plans the selected workflows and runs them one after the other.

use std::sync::{Arc, Mutex, PoisonError};

use loopline_clock::Clock;
use loopline_runner::actions::builtin::{self, Local};
use loopline_runner::actions::commits::Commits;
use loopline_runner::actions::git::Git;
use loopline_runner::actions::source::remove_stale_fetches;
use loopline_runner::actions::{Builtins, NoBuiltins};
use loopline_runner::host::{self, Host, Keep};
use loopline_runner::log::Masker;
use loopline_runner::services::disk::Disk;
use loopline_runner::services::storage::{Artifacts as _, CacheScope, NewArtifact};
use loopline_runner::{Cancel, JobTokens, RunError};
use loopline_sandbox::Support;
use loopline_store::{Area, DataFolder, Policy, Request as Asked, RunWriter, serve};
use loopline_workflow::github::event::RunFacts;
use loopline_workflow::github::plan::{self, Labels, Plan, Selection, Settings};
use loopline_workflow::github::schedule::{Options, Run};
use loopline_workflow::run::summary::Summary;
use loopline_workflow::run::{Conclusion, Event, JobKey, Place, Recorder, RunStarted, SCHEMA};

use super::approvals::Consent;
use super::facts::Found;
use super::groups::DataGroups;
use super::machines::{OnHost, in_sandbox, known_support};
use super::request::{Request, Secrets};
use super::select::{self, Selected};
use super::signals::Listening;
use crate::commands::{Context, Outcome, open};
use crate::environment;
use crate::error::{Class, CommandError, Status};
use crate::live::Live;
use crate::printer::{Printer, Tone};

/// How long artifacts and logs are kept, in days.
const RETENTION_DAYS: u32 = 90;
/// After how many runs old ones are removed.
const PRUNE_EVERY: u64 = 20;

/// The run that is repeated.
pub(crate) struct Earlier {
    pub(crate) run: u64,
    pub(crate) attempt: u64,
    pub(crate) number: u64,
    pub(crate) summary: Summary,
    pub(crate) only_failed: bool,
}

/// Shows what would run.
pub(crate) fn show_plans(
    context: &Context<'_>,
    found: &Found,
    selected: &[Selected],
    request: &Request,
    secrets: &Secrets,
) -> Outcome {
    let printer = context.printer;
    for one in selected {
        let run = RunFacts { workflow_path: one.path.clone(), ..RunFacts::default() };
        let plan = make_plan(printer, found, one, request, secrets, run)?;
        if printer.json {
            let mut value = serde_json::to_value(&plan)
                .map_err(|error| CommandError::new(Class::Internal, error.to_string()))?;
            if let Some(object) = value.as_object_mut() {
                object.insert("schema".to_owned(), "loopline.plan/v1".into());
            }
            printer.json(&value);
        } else {
            printer.out(plan.to_string().trim_end());
            for note in &found.notes {
                printer.err(&format!("note: {note}"));
            }
            if !plan.warnings.is_empty() {
                printer.findings(&plan.warnings);
            }
        }
    }
    Ok(Status::Ok)
}

/// Runs the selected workflows.
pub(crate) fn all(
    context: &Context<'_>,
    found: &Found,
    selected: &[Selected],
    request: &Request,
    secrets: &Secrets,
    earlier: Option<&Earlier>,
) -> Outcome {
    let data = open::data_folder()?;
    if request.sandbox != Some(false) {
        // Beside the planning; should it fail, the first sandbox will say why.
        std::thread::spawn(loopline_sandbox::warm_up);
    }
    let cancel = Cancel::new()?;
    let listening = Listening::start(&cancel)?;
    let mut status = Status::Ok;
    for one in selected {
        if cancel.is_cancelled() {
            break;
        }
        let setting = Setting {
            printer: *context.printer,
            data: &data,
            found,
            request,
            secrets,
            earlier,
            cancel: &cancel,
        };
        match setting.run(one)? {
            Conclusion::Success | Conclusion::Skipped => {}
            Conclusion::Failure | Conclusion::Cancelled => status = Status::Failed,
        }
    }
    Ok(if listening.heard() { Status::Interrupted } else { status })
}

fn make_plan(
    printer: &Printer,
    found: &Found,
    one: &Selected,
    request: &Request,
    secrets: &Secrets,
    run: RunFacts,
) -> Result<Plan, CommandError> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let settings = Settings {
        labels: Labels::new(architecture, [] as [&str; 0]),
        skip_unsupported: request.skip_unsupported,
        selection: Selection::new(request.jobs.iter().cloned()),
        matrix: request.matrix.clone(),
        has_image_engine: false,
        strict: request.strict.unwrap_or(!printer.live),
    };
    let asked = plan::Request {
        workflow: Arc::clone(&one.workflow),
        event: one.event.clone(),
        facts: found.facts.clone(),
        run,
        inputs: request.inputs.clone(),
        vars: request.vars.clone(),
        secrets: secrets.0.clone(),
        settings,
    };
    plan::plan(asked).map_err(|refused| {
        CommandError::usage(format!("{} cannot run here", one.path)).with(refused.findings)
    })
}

/// Where jobs run, what that is called, and what is otherwise than asked for.
type Executor = (Arc<dyn host::Machines>, &'static str, Vec<String>);

/// What every workflow of one command shares.
struct Setting<'a> {
    printer: Printer,
    data: &'a DataFolder,
    found: &'a Found,
    request: &'a Request,
    secrets: &'a Secrets,
    earlier: Option<&'a Earlier>,
    cancel: &'a Cancel,
}

impl Setting<'_> {
    fn run(&self, one: &Selected) -> Result<Conclusion, CommandError> {
        // What cannot run is refused before it gets a number.
        let facts = RunFacts { workflow_path: one.path.clone(), ..RunFacts::default() };
        let request = self.request;
        make_plan(&self.printer, self.found, one, request, self.secrets, facts)?;
        let writer = Arc::new(RunWriter::create(self.data).map_err(write_error)?);
        let number = match self.earlier {
            Some(earlier) => earlier.number,
            None => self.data.next_run_number(&self.found.root, &one.path)?,
        };
        let run = RunFacts {
            id: writer.number().to_string(),
            number,
            attempt: self.earlier.map_or(1, |earlier| earlier.attempt + 1),
            workflow_path: one.path.clone(),
            retention_days: RETENTION_DAYS,
        };
        let plan = make_plan(&self.printer, self.found, one, request, self.secrets, run.clone())?;
        let clock = Clock::real();
        let masker = Masker::new();
        for secret in self.secrets.0.values() {
            masker.add(secret).map_err(|error| CommandError::usage(error.to_string()))?;
        }
        let (machines, executor, notes) = self.machines()?;
        let recorder = Arc::new(Tee {
            writer: Arc::clone(&writer),
            live: Live::new(self.printer, clock.clone()),
            clock: clock.clone(),
            summary: Mutex::default(),
        });
        recorder.event(&Event::RunStarted(Box::new(RunStarted {
            schema: SCHEMA.to_owned(),
            run: run.id.clone(),
            number,
            attempt: run.attempt,
            rerun_of: self.earlier.map(|earlier| earlier.run.to_string()),
            workflow: plan.workflow.clone(),
            name: plan.name.clone(),
            title: masker.mask_text(&plan.title).into_owned(),
            trigger: plan.event.clone(),
            git_ref: plan.git_ref.clone(),
            sha: plan.sha.clone(),
            root: self.found.root.display().to_string(),
            repository: self.found.facts.repository.clone(),
            executor: executor.to_owned(),
            at: clock.now().to_string(),
            request: serde_json::to_value(request)
                .map_err(|error| CommandError::new(Class::Internal, error.to_string()))?,
        })));
        self.warn(&*recorder, one, &plan, &notes);
        let cancel = self.cancel.child()?;
        let asked = cancel.clone();
        let tokens = JobTokens::default();
        let jobs = tokens.clone();
        let _control = serve(writer.folder(), move |request| answer(&asked, &jobs, request))?;
        let host =
            self.host(&writer, Arc::clone(&recorder), &plan.git_ref, masker, machines, tokens)?;
        let mut options = Options { limit: request.job_limit, ..Options::default() };
        options.limit = options.limit.or_else(|| Some(host::default_job_limit()));
        if let Some(earlier) = self.earlier.filter(|earlier| earlier.only_failed) {
            options = options.resume(&earlier.summary);
        }
        let result = loopline_runner::run(Run::new(&plan, options), Arc::new(host), &cancel);
        let conclusion = self.conclude(&recorder, &clock, result);
        if let Err(error) = writer.finish() {
            return Err(CommandError::new(
                Class::Failed,
                format!("run {} ran, but its record is incomplete: {error}", writer.number()),
            ));
        }
        if writer.number().is_multiple_of(PRUNE_EVERY) {
            remove_stale_fetches(&self.data.area(Area::Actions))?;
            for area in Area::ALL {
                self.data.prune(area, Policy::default_of(area), &clock)?;
            }
            let (artifacts, caches) =
                (self.data.area(Area::Artifacts), self.data.area(Area::Caches));
            Disk::new(artifacts, caches, clock.clone()).prune_expired(true)?;
        }
        conclusion
    }

    fn conclude(
        &self,
        recorder: &Tee,
        clock: &Clock,
        result: Result<Conclusion, RunError>,
    ) -> Result<Conclusion, CommandError> {
        let conclusion = match result {
            Ok(conclusion) => conclusion,
            Err(error) => {
                recorder.event(&Event::RunFinished {
                    conclusion: Conclusion::Failure,
                    error: Some(error.to_string()),
                    at: clock.now().to_string(),
                    duration_ms: 0,
                });
                return Err(CommandError::new(Class::Failed, error.to_string()));
            }
        };
        let summary = recorder.summary.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.printer.json {
            epilogue(&self.printer, &summary, conclusion, recorder.writer.number());
        }
        Ok(conclusion)
    }

    /// Tells what was inferred, and what is otherwise than asked for.
    fn warn(&self, recorder: &dyn Recorder, one: &Selected, plan: &Plan, notes: &[String]) {
        for note in self.found.notes.iter().chain(notes) {
            recorder.event(&Event::Warning { code: None, message: note.clone(), place: None });
        }
        if !plan.trigger.triggers {
            let message = format!("`{}` would not start this workflow: {}", plan.event, one.reason);
            let place = plan.trigger.place.clone();
            recorder.event(&Event::Warning { code: None, message, place });
        }
        for warning in &plan.warnings {
            let file = &warning.primary.file;
            let position = file.position(warning.primary.span.start);
            recorder.event(&Event::Warning {
                code: Some(warning.rule.code.to_owned()),
                message: warning.message.clone(),
                place: Some(Place {
                    file: file.name().to_owned(),
                    line: position.line,
                    column: position.column,
                }),
            });
        }
    }

    /// Chooses the executor and says what is otherwise than asked for.
    fn machines(&self) -> Result<Executor, CommandError> {
        let on_host = || Arc::new(OnHost) as Arc<dyn host::Machines>;
        let request = self.request;
        if self.request.sandbox == Some(false) {
            return Ok((on_host(), "host", Vec::new()));
        }
        match known_support(self.data)? {
            Support::Full { notes } => {
                let network = !self.request.offline;
                let notes = if network { notes } else { Vec::new() };
                let sandbox = in_sandbox(self.data, &self.found.root, request, network);
                Ok((Arc::new(sandbox), "sandbox", notes))
            }
            Support::None { error, hint } => {
                let hint = hint.unwrap_or("`loopline doctor` says more");
                if self.request.sandbox == Some(true) {
                    return Err(CommandError::usage(format!("no sandbox here: {error}"))
                        .hint(hint)
                        .hint("`--executor host` runs jobs as processes of this machine"));
                }
                let note = format!("no sandbox here, so jobs run on the host: {error} ({hint})");
                Ok((on_host(), "host", vec![note]))
            }
        }
    }

    /// Gives the artifacts of jobs that are not repeated to this run.
    fn carry_artifacts(&self, disk: &Disk, writer: &RunWriter) -> Result<(), CommandError> {
        let Some(earlier) = self.earlier.filter(|earlier| earlier.only_failed) else {
            return Ok(());
        };
        let failed = |error: &dyn std::fmt::Display| {
            let run = earlier.run;
            CommandError::new(
                Class::Failed,
                format!("cannot take over run {run}'s artifacts: {error}"),
            )
        };
        let run = writer.number().to_string();
        for artifact in disk.list(&earlier.run.to_string()).map_err(|error| failed(&error))? {
            let staged = disk
                .staging()
                .map_err(|error| failed(&error))?
                .join(format!("carry-{run}-{}", artifact.id));
            fs_err::copy(disk.file(&artifact), &staged)?;
            let new = NewArtifact {
                run: &run,
                job: &artifact.job,
                name: &artifact.name,
                mime_type: &artifact.mime_type,
                expires: artifact.expires.as_deref(),
                overwrite: true,
            };
            disk.put(new, &staged).map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    /// Returns which caches jobs see: those of the ref, then those of the default branch.
    fn cache_scope(&self, git_ref: &str) -> CacheScope {
        let default = format!("refs/heads/{}", self.found.facts.default_branch);
        let mut read = vec![git_ref.to_owned()];
        if default != git_ref {
            read.push(default);
        }
        let repository = self.found.facts.repository.clone();
        CacheScope { repository, write: git_ref.to_owned(), read }
    }

    fn host(
        &self,
        writer: &RunWriter,
        recorder: Arc<Tee>,
        git_ref: &str,
        masker: Masker,
        machines: Arc<dyn host::Machines>,
        jobs: JobTokens,
    ) -> Result<Host, CommandError> {
        let request = self.request;
        let clock = recorder.clock.clone();
        let tool_cache = self.data.area(Area::Tools);
        fs_err::create_dir_all(&tool_cache)?;
        fs_err::create_dir_all(self.data.area(Area::Actions))?;
        let mut variables = environment::for_jobs();
        variables.extend(request.env.clone());
        let disk = Arc::new(Disk::new(
            self.data.area(Area::Artifacts),
            self.data.area(Area::Caches),
            clock.clone(),
        ));
        self.carry_artifacts(&disk, writer)?;
        let source = select::action_source(self.data, request)?;
        let local = Local::new(builtin::Settings {
            run: writer.number().to_string(),
            scope: self.cache_scope(git_ref),
            artifacts: Arc::clone(&disk) as _,
            caches: disk,
            sources: Arc::new(Commits {
                repository: self.found.root.clone(),
                slug: self.found.facts.repository.clone(),
                server: source.server.clone(),
                offline: request.offline,
                git: Git::new(Arc::new(environment::for_jobs())),
            }),
            recorder: Arc::clone(&recorder) as _,
            clock: clock.clone(),
            lenient_tools: request.lenient_tools,
        });
        let builtins: Arc<dyn Builtins> =
            if request.real_actions { Arc::new(NoBuiltins) } else { Arc::new(local.clone()) };
        Ok(Host {
            recorder,
            clock,
            machines,
            actions: Arc::new(source),
            builtins,
            services: Arc::new(local),
            approvals: Arc::new(Consent {
                printer: self.printer,
                protected: request.protect.clone(),
                yes: request.yes,
                asking: Mutex::default(),
            }),
            groups: Arc::new(DataGroups { data: self.data.clone(), run: writer.number() }),
            masker,
            environment: Arc::new(variables),
            repository: self.found.root.clone(),
            folder: writer.folder().join("jobs"),
            tool_cache,
            node: environment::program("node"),
            runner_name: "loopline".to_owned(),
            debug: request.vars.get("ACTIONS_STEP_DEBUG").is_some_and(|debug| debug == "true")
                || self.secrets.0.get("ACTIONS_STEP_DEBUG").is_some_and(|debug| debug == "true"),
            keep: if request.keep { Keep::Everything } else { Keep::Failed },
            jobs,
        })
    }
}

/// Does what another process asks of this run.
fn answer(cancel: &Cancel, jobs: &JobTokens, request: Asked) -> Result<(), String> {
    match request {
        Asked::Cancel { job: None, reason, force } => {
            if force {
                cancel.force(&reason);
            } else {
                cancel.ask(&reason);
            }
            Ok(())
        }
        Asked::Cancel { job: Some(job), reason, force } => {
            if jobs.ask(&job, &reason, force) {
                Ok(())
            } else {
                Err(format!("job {job} neither runs nor waits"))
            }
        }
        Asked::Approve { job, .. } => Err(format!("job {job} does not wait for consent")),
    }
}

fn write_error(error: loopline_store::WriteError) -> CommandError {
    match error {
        loopline_store::WriteError::Folder(error) => error.into(),
        loopline_store::WriteError::Io(error) => error.into(),
    }
}

/// Tells the store, the screen and the summary.
struct Tee {
    writer: Arc<RunWriter>,
    live: Live,
    clock: Clock,
    summary: Mutex<Summary>,
}

impl Recorder for Tee {
    fn event(&self, event: &Event) {
        self.writer.event(event);
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).apply(event);
        self.live.event(event);
    }

    fn log(&self, job: &JobKey, step: u32, lines: &[u8]) {
        self.writer.log(job, step, lines);
        self.live.log(job, step, lines);
    }

    fn incomplete(&self) -> Option<String> {
        self.writer.incomplete()
    }
}

/// Says what failed and what to do next.
fn epilogue(printer: &Printer, summary: &Summary, conclusion: Conclusion, number: u64) {
    if conclusion == Conclusion::Success {
        return;
    }
    let mut failed = None;
    for job in &summary.jobs {
        for step in &job.steps {
            if step.outcome != Some(Conclusion::Failure) || job.tolerated {
                continue;
            }
            let exit = step.exit_code.map_or(String::new(), |code| format!(", exit status {code}"));
            let word = printer.tone(Tone::Bad, "failed:");
            printer.err(&format!("{word} {} | {}{exit}", job.name, step.name));
            failed.get_or_insert(&job.key);
        }
    }
    let hint = printer.tone(Tone::Strong, "hint:");
    if let Some(job) = failed {
        printer.err(&format!("{hint} `loopline logs {number} {job}` shows the whole log"));
        printer
            .err(&format!("{hint} `loopline shell {number} {job}` opens a shell where it failed"));
    }
    printer.err(&format!("{hint} `loopline rerun {number} --failed` repeats what did not succeed"));
}
