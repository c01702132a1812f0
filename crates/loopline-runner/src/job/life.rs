//! A job from its first event to its last.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use fs_err as fs;
use indexmap::IndexMap;
use loopline_workflow::github::expression::Object;
use loopline_workflow::github::model::{ActionRuns, Step, StepKind, UsesRef};
use loopline_workflow::github::schedule::{JobResult, JobStart};
use loopline_workflow::github::template::Token;
use loopline_workflow::run::{Conclusion, Event};

use super::environment::{Layers, Variables};
use super::evaluate::{Fixed, Value};
use super::files::Pool;
use super::load::Source;
use super::record::StepLog;
use super::strand::{Frame, Outcome, Scope, Strand, Trail};
use super::{Job, SetUp, background, chain, folder_name, output};
use crate::cancel::Cancel;
use crate::host::{Folders, Host};
use crate::log;

/// The keys of the `github` context that every process gets as `GITHUB_*`.
const GITHUB_KEYS: [&str; 30] = [
    "actor",
    "actor_id",
    "api_url",
    "base_ref",
    "event_name",
    "event_path",
    "graphql_url",
    "head_ref",
    "job",
    "ref",
    "ref_name",
    "ref_protected",
    "ref_type",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "retention_days",
    "run_attempt",
    "run_id",
    "run_number",
    "server_url",
    "sha",
    "triggering_actor",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "workspace",
    "artifacts",
    "workflow_repository",
];

/// What is left to do once a job's result is known: nobody needs to wait for it.
pub(crate) struct Leftovers {
    folder: Option<std::path::PathBuf>,
    /// A sandbox whose end nobody needs to wait for: its processes share nothing with others.
    sandbox: Option<(Arc<Host>, JobStart, Arc<dyn loopline_sandbox::Machine>)>,
}

impl Leftovers {
    /// Removes what is not kept.
    pub(crate) fn clear(self) {
        if let Some((host, start, machine)) = self.sandbox {
            let ended = tear_down(&host, &start, &*machine);
            if ended && self.folder.is_some() {
                machine.discard();
            }
        }
        if let Some(folder) = self.folder {
            // A step may have taken away the permission to remove its files; the next prune
            // says so, and the job's result does not depend on it.
            let _left = loopline_sandbox::remove_state(&folder);
        }
    }
}

/// Runs a job to its end.
pub(crate) fn run(host: &Arc<Host>, start: &JobStart, cancel: &Cancel) -> (JobResult, Leftovers) {
    let began = host.clock.monotonic();
    let folders = Folders::new(host.folder.join(folder_name(&start.key)), host.tool_cache.clone());
    let made = make_folders(&folders)
        .map_err(|error| chain(&error))
        .and_then(|()| host.machines.machine(&start.key, &folders).map_err(|error| chain(&*error)));
    let executor = made.as_ref().map_or("none", |machine| machine.kind().name());
    host.recorder.event(&Event::JobStarted {
        job: start.key.clone(),
        name: start.name.clone(),
        at: host.clock.now().to_string(),
        executor: executor.to_owned(),
        workspace: Some(folders.workspace.to_string_lossy().into_owned()),
    });
    let mut sandbox = None;
    let mut result = match made {
        Ok(machine) => {
            let job = Arc::new(prepare(host, start, folders.clone(), Arc::clone(&machine), cancel));
            let mut result = work(&job, start, cancel);
            if machine.kind() == loopline_sandbox::Kind::Sandbox {
                sandbox = Some((Arc::clone(host), start.clone(), machine));
            } else if !tear_down(host, start, &*machine) {
                // What is left on the host can get in the way of other jobs.
                result.conclusion = worse(result.conclusion, Conclusion::Failure);
            }
            result
        }
        Err(error) => {
            report_set_up(host, start, 1, Some(&error), &[]);
            JobResult::of(Conclusion::Failure)
        }
    };
    if cancel.is_cancelled() {
        result.conclusion = Conclusion::Cancelled;
    }
    if let Some(reason) = host.recorder.incomplete() {
        // Nobody could tell what it did, and `rerun --failed` must repeat it.
        host.recorder.event(&Event::Warning {
            code: None,
            message: format!("job {}: its record is incomplete: {reason}", start.key),
            place: None,
        });
        result.conclusion = worse(result.conclusion, Conclusion::Failure);
    }
    let duration = host.clock.monotonic().saturating_sub(began);
    host.recorder.event(&Event::JobFinished {
        job: start.key.clone(),
        conclusion: result.conclusion,
        tolerated: start.continue_on_error && result.conclusion == Conclusion::Failure,
        outputs: result.outputs.clone(),
        environment_url: result.environment_url.clone(),
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
    });
    let folder = (!host.keep.keeps(result.conclusion)).then_some(folders.job);
    (result, Leftovers { folder, sandbox })
}

/// Ends everything of a job and says where that fails; returns whether nothing is left.
fn tear_down(host: &Host, start: &JobStart, machine: &dyn loopline_sandbox::Machine) -> bool {
    let Err(error) = machine.teardown() else { return true };
    host.recorder.event(&Event::Warning {
        code: None,
        message: format!("job {}: {}", start.key, chain(&error)),
        place: None,
    });
    false
}

fn make_folders(folders: &Folders) -> std::io::Result<()> {
    fs::create_dir_all(&folders.workspace)?;
    fs::create_dir_all(&folders.temp)
}

fn worse(one: Conclusion, other: Conclusion) -> Conclusion {
    match (one, other) {
        (Conclusion::Cancelled, _) | (_, Conclusion::Cancelled) => Conclusion::Cancelled,
        (Conclusion::Failure, _) | (_, Conclusion::Failure) => Conclusion::Failure,
        _ => one,
    }
}

/// Gathers what everything in the job shares.
fn prepare(
    host: &Arc<Host>,
    start: &JobStart,
    folders: Folders,
    machine: Arc<dyn loopline_sandbox::Machine>,
    _cancel: &Cancel,
) -> Job {
    let masker = host.masker.clone();
    let mut github = match &start.contexts.github {
        Value::Object(object) => (**object).clone(),
        _ => Object::new(),
    };
    let event_path = folders.temp.join("event.json");
    github.insert("job", &*start.job.job().id.value);
    github.insert("workspace", folders.workspace.to_string_lossy().into_owned());
    github.insert("event_path", event_path.to_string_lossy().into_owned());
    if let Some(token) = start.contexts.secrets.get("GITHUB_TOKEN") {
        github.insert("token", token.clone());
    }
    let mut runner = Object::new();
    runner.insert("name", host.runner_name.as_str());
    runner.insert("os", "Linux");
    runner.insert("arch", architecture());
    runner.insert("environment", "self-hosted");
    runner.insert("temp", folders.temp.to_string_lossy().into_owned());
    runner.insert("tool_cache", folders.tool_cache.to_string_lossy().into_owned());
    runner.insert("workspace", folders.job.to_string_lossy().into_owned());
    if host.debug {
        runner.insert("debug", "1");
    }
    let mut variables = Vec::with_capacity(GITHUB_KEYS.len() + 8);
    for key in GITHUB_KEYS {
        if let Some(value) = github.get(key)
            && !matches!(value, Value::Null | Value::Array(_) | Value::Object(_))
        {
            variables
                .push((format!("GITHUB_{}", key.to_uppercase()), value.to_text().into_owned()));
        }
    }
    for (key, value) in runner.iter() {
        variables.push((format!("RUNNER_{}", key.to_uppercase()), value.to_text().into_owned()));
    }
    let mut job = Object::new();
    job.insert("container", Object::new());
    job.insert("services", Object::new());
    let scope = Scope {
        inputs: start.contexts.inputs.clone(),
        steps: IndexMap::new(),
        status: Conclusion::Success,
        outer: Arc::new(Variables::new()),
        trail: Trail::default(),
        action: None,
        file: start.workflow().file.clone(),
        depth: 0,
        deadline: None,
    };
    Job {
        host: Arc::clone(host),
        key: start.key.clone(),
        machine,
        folders,
        masker,
        matchers: log::Matchers::new(),
        contexts: Fixed {
            github: Arc::new(github),
            runner: Value::from(runner),
            vars: start.contexts.vars.clone(),
            secrets: start.contexts.secrets.clone(),
            needs: start.contexts.needs.clone(),
            strategy: start.contexts.strategy.clone(),
            matrix: start.contexts.matrix.clone(),
            job: Arc::new(job),
        },
        variables,
        service_variables: std::sync::OnceLock::new(),
        defaults: std::sync::OnceLock::new(),
        debug: host.debug,
        source: start.source.clone(),
        empty_scope: scope,
        scripts: AtomicU32::new(0),
        background: AtomicU32::new(0),
        gate: background::Gate::default(),
        numbers: AtomicU32::new(0),
        set_up: std::sync::Mutex::new(SetUp::default()),
    }
}

const fn architecture() -> &'static str {
    match std::env::consts::ARCH.as_bytes() {
        b"aarch64" => "ARM64",
        b"x86" => "X86",
        b"arm" => "ARM",
        _ => "X64",
    }
}

/// Runs set-up, steps and post steps.
fn work(job: &Arc<Job>, start: &JobStart, cancel: &Cancel) -> JobResult {
    let ordinary = start.ordinary();
    let steps: Arc<[Step]> = ordinary.steps.clone().into();
    let shared = match set_up(job, start, &steps) {
        Ok(shared) => shared,
        Err(error) => {
            let lines = std::mem::take(&mut job.set_up().lines);
            let number = job.next_number();
            report_set_up(&job.host, start, number, Some(&job.mask(&error)), &lines);
            return JobResult::of(Conclusion::Failure);
        }
    };
    let lines = std::mem::take(&mut job.set_up().lines);
    if !lines.is_empty() {
        let number = job.next_number();
        report_set_up(&job.host, start, number, None, &lines);
    }
    let mut strand = Strand {
        job: Arc::clone(job),
        layers: Layers { machine: Arc::clone(&job.host.environment), shared, path: Vec::new() },
        cancel: cancel.clone(),
        background: None,
        frames: vec![Frame {
            steps: Arc::clone(&steps),
            next: 0,
            scope: job.empty_scope.clone(),
            background: Vec::new(),
            late_failure: false,
            caller: None,
        }],
        changes: None,
        posts: Vec::new(),
        lingering: Vec::new(),
        buffer: Vec::new(),
        pool: Pool::new(job.folders.temp.join("_runner_file_commands")),
        log: None,
    };
    strand.run_pres(&steps);
    let Some(mut scope) = strand.run() else { return JobResult::of(Conclusion::Failure) };
    strand.run_posts(&mut scope);
    let mut result = JobResult::of(scope.status);
    if cancel.is_cancelled() {
        result.conclusion = Conclusion::Cancelled;
        scope.status = Conclusion::Cancelled;
    }
    if let Err(error) = finish(&strand, start, &scope, &mut result) {
        let number = job.next_number();
        report(&job.host, start, "Complete job", number, Some(&job.mask(&error)), &[]);
        result.conclusion = worse(result.conclusion, Conclusion::Failure);
    }
    // What is left of the processes goes before what they wrote is read for the last time.
    let _ended = job.machine.kill_all(loopline_sandbox::Signal::Kill);
    output::finish(&mut strand.lingering);
    result
}

/// Evaluates what the job is made of and gets its actions; returns its variables.
fn set_up(job: &Arc<Job>, start: &JobStart, steps: &Arc<[Step]>) -> Result<Variables, String> {
    mask_secrets(job, &job.contexts.secrets)?;
    let event = job.contexts.github.get("event").cloned().unwrap_or_default();
    let event_path = job.folders.temp.join("event.json");
    fs::write(event_path, event.to_json().to_string()).map_err(|error| chain(&error))?;
    let workflow = start.workflow();
    let ordinary = start.ordinary();
    let mut shared = Variables::new();
    for token in [&workflow.env, &ordinary.env].into_iter().flatten() {
        let sight = job.sight(&shared);
        let own = sight.mapping(token).map_err(|error| format!("env: {error}"))?;
        shared.extend(own);
    }
    let mut defaults = super::Defaults::default();
    for token in [&workflow.defaults, &ordinary.defaults].into_iter().flatten() {
        let value =
            job.sight(&shared).value(token).map_err(|error| format!("defaults: {error}"))?;
        let Some(run) = value.get("run") else { continue };
        let text = |key: &str| {
            run.get(key)
                .filter(|value| !matches!(value, Value::Null))
                .map(|value| value.to_text().into_owned())
        };
        defaults.shell = text("shell").or(defaults.shell);
        defaults.folder = text("working-directory").or(defaults.folder);
    }
    let _first = job.defaults.set(defaults);
    job.load_all(steps, None, 0).map_err(|error| chain(&error))?;
    job.look_ahead(steps).map_err(|error| chain(&error))?;
    if needs_services(job, steps) {
        let services = job
            .host
            .services
            .start(&job.key, &job.machine, &job.folders)
            .map_err(|error| chain(&*error))?;
        for secret in &services.secrets {
            job.masker.add(secret).map_err(|error| chain(&error))?;
        }
        let _first = job.service_variables.set(services.variables);
        job.set_up().guard = services.guard;
    }
    Ok(shared)
}

/// Returns whether an action may want to reach the job's services. What an action in the
/// workspace is becomes known only once its step is reached.
fn needs_services(job: &Job, steps: &[Step]) -> bool {
    steps.iter().any(|step| match &step.kind {
        StepKind::Uses { uses, .. } => match UsesRef::parse(&uses.value) {
            Some(UsesRef::Local(_) | UsesRef::Own(_)) => true,
            _ => job.load(&uses.value, None).is_ok_and(|loaded| match &loaded.source {
                Source::Builtin(_) => true,
                Source::Metadata(action) => !matches!(action.runs, Some(ActionRuns::Docker { .. })),
            }),
        },
        StepKind::Parallel(children) => needs_services(job, children),
        StepKind::Run { .. } | StepKind::Wait(_) | StepKind::WaitAll | StepKind::Cancel(_) => false,
    })
}

fn mask_secrets(job: &Job, secrets: &Value) -> Result<(), String> {
    let Value::Object(secrets) = secrets else { return Ok(()) };
    for value in secrets.values() {
        let text = value.to_text();
        if !text.is_empty() {
            job.masker.add(&text).map_err(|error| chain(&error))?;
        }
    }
    Ok(())
}

/// Evaluates the job's outputs and its environment's address.
fn finish(
    strand: &Strand,
    start: &JobStart,
    scope: &Scope,
    result: &mut JobResult,
) -> Result<(), String> {
    let job = &strand.job;
    let env = &strand.layers.shared;
    let sight = strand.sight_in(scope, env, None);
    let outputs = start.ordinary().outputs.as_ref().map(Token::as_mapping);
    for pair in outputs.flatten().unwrap_or_default() {
        let name = sight.string(&pair.key).map_err(|error| format!("outputs: {error}"))?;
        let value =
            sight.string(&pair.value).map_err(|error| format!("output `{name}`: {error}"))?;
        if job.masker.contains_secret(&value) {
            job.event(&Event::Warning {
                code: None,
                message: format!(
                    "job {}: output `{name}` was left out: it may hold a secret",
                    job.key
                ),
                place: None,
            });
        } else if !value.is_empty() {
            result.outputs.insert(name, value);
        }
    }
    if let Some(url) = start.environment.as_ref().and_then(|environment| environment.url.as_ref()) {
        let url = sight.string(url).map_err(|error| format!("environment url: {error}"))?;
        result.environment_url = Some(job.mask(&url)).filter(|url| !url.is_empty());
    }
    Ok(())
}

fn report_set_up(
    host: &Host,
    start: &JobStart,
    number: u32,
    error: Option<&str>,
    lines: &[String],
) {
    report(host, start, "Set up job", number, error, lines);
}

/// Records a step of the runner's own.
fn report(
    host: &Host,
    start: &JobStart,
    name: &str,
    number: u32,
    error: Option<&str>,
    lines: &[String],
) {
    let at = host.clock.now().to_string();
    host.recorder.event(&Event::StepStarted {
        job: start.key.clone(),
        step: number,
        id: None,
        name: name.to_owned(),
        at,
        place: None,
    });
    for line in lines {
        host.recorder.log(
            &start.key,
            number,
            format!("{}\n", host.masker.mask_text(line)).as_bytes(),
        );
    }
    let outcome = match error {
        Some(error) => Outcome::failure(error),
        None => Outcome::success(),
    };
    if let Some(error) = &outcome.error {
        host.recorder.log(&start.key, number, format!("##[error]{error}\n").as_bytes());
    }
    host.recorder.event(&Event::StepFinished {
        job: start.key.clone(),
        step: number,
        outcome: outcome.conclusion,
        conclusion: outcome.conclusion,
        exit_code: None,
        error: outcome.error,
        duration_ms: 0,
    });
}

impl Strand {
    /// Records the end of a step that is in no frame.
    pub(crate) fn finish_event(
        &mut self,
        number: u32,
        started: std::time::Duration,
        conclusion: Conclusion,
        mut outcome: Outcome,
    ) {
        let mut log = self.log.take();
        if let Some(error) = &mut outcome.error {
            *error = self.job.mask(error);
            if let Some(log) = &mut log {
                log.error(error);
            }
        }
        if let Some(log) = log {
            StepLog::close(log);
        }
        let duration = self.job.host.clock.monotonic().saturating_sub(started);
        self.job.event(&Event::StepFinished {
            job: self.job.key.clone(),
            step: number,
            outcome: outcome.conclusion,
            conclusion,
            exit_code: outcome.exit_code,
            error: outcome.error,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        });
    }
}
