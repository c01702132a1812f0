//! Running `uses` steps: built-in, JavaScript and composite actions.
//!
//! Fetching and reading an action's metadata is in [`super::load`]; the steps of a composite
//! action are run by the strand.

use std::ffi::OsString;
use std::sync::Arc;

use indexmap::IndexMap;
use loopline_workflow::github::model::{Action, ActionRuns, Step, StepKind, Text, UsesRef};
use loopline_workflow::github::template::Token;
use loopline_workflow::run::{Annotation, Conclusion, Event, Level};

use super::effects::Effects;
use super::evaluate::object;
use super::load::{Loaded, Source};
use super::post::{Post, PostKind};
use super::record::StepLog;
use super::script::{Executed, Launch};
use super::strand::{
    ActionIdentity, MAX_COMPOSITE_DEPTH, Outcome, Outputs, Progress, Running, Strand,
};
use crate::actions::{Builtin, Call};

impl Strand {
    /// Runs a `uses` step up to its end, or into its composite action.
    pub(crate) fn action(
        &mut self,
        running: Running,
        uses: &Text,
        with: Option<&Token>,
    ) -> Progress {
        let root =
            self.scope().and_then(|scope| scope.action.as_ref()).map(|action| action.root.clone());
        let loaded = match self.job.load(&uses.value, root.as_deref()) {
            Ok(loaded) => loaded,
            Err(error) => return Progress::Done(running, Outcome::broken(&error)),
        };
        let given = match with {
            Some(token) => match self.sight(&running.env, running.step()).mapping(token) {
                Ok(given) => given,
                Err(error) => return Progress::Done(running, Outcome::failure(error.to_string())),
            },
            None => IndexMap::new(),
        };
        match &loaded.source {
            Source::Builtin(builtin) => self.builtin(running, uses, &given, builtin),
            Source::Metadata(action) => {
                self.described(running, &loaded, Arc::clone(action), &given)
            }
        }
    }

    fn builtin(
        &mut self,
        mut running: Running,
        uses: &Text,
        given: &Outputs,
        builtin: &Arc<dyn Builtin>,
    ) -> Progress {
        if let Some(log) = &mut self.log {
            log.line(&builtin.title());
        }
        let inputs: Outputs =
            given.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
        let mut state = Outputs::new();
        if let Some(condition) = builtin.post_condition() {
            self.posts.push(Post {
                name: running.name.clone(),
                condition: condition.into(),
                kind: PostKind::Builtin {
                    builtin: Arc::clone(builtin),
                    uses: uses.value.to_string(),
                },
                inputs: inputs.clone(),
                env: Arc::clone(&running.env),
                state: Outputs::new(),
                identity: None,
                steps: Arc::clone(&running.steps),
                index: running.index,
            });
        }
        let executed = self
            .call_builtin(&running, &uses.value, &inputs, &mut state, |call| builtin.main(call));
        if builtin.post_condition().is_some()
            && let Some(post) = self.posts.last_mut()
        {
            post.state = state;
        }
        let (outcome, _) = self.settle(&mut running, executed);
        Progress::Done(running, outcome)
    }

    /// Calls a built-in action with everything it may ask for.
    pub(crate) fn call_builtin(
        &mut self,
        running: &Running,
        uses: &str,
        inputs: &Outputs,
        state: &mut Outputs,
        work: impl FnOnce(&mut Call<'_>) -> Result<(), crate::actions::BuiltinError>,
    ) -> Executed {
        let job = Arc::clone(&self.job);
        let env = self.layers.process(
            &running.env,
            job.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let mut effects = Effects::default();
        let (mut variables, mut paths) = (Vec::new(), Vec::new());
        let mut log = self.log.take();
        let result = work(&mut Call {
            job: &job.key,
            uses,
            inputs,
            env: &env,
            folders: &job.folders,
            machine: &*job.machine,
            cancel: &self.cancel,
            log: &mut |line| {
                if let Some(log) = &mut log {
                    log.write(line.as_bytes());
                    log.write(b"\n");
                }
            },
            outputs: &mut effects.outputs,
            state,
            variables: &mut variables,
            paths: &mut paths,
        });
        if let Some(log) = &mut log {
            log.take_effects(&mut effects);
        }
        self.log = log;
        effects.set_variables(variables);
        effects.lasting.extend(paths.into_iter().map(super::effects::Effect::Path));
        let outcome = match result {
            Ok(()) => Outcome::success(),
            Err(_) if self.cancel.is_cancelled() => {
                Outcome { conclusion: Conclusion::Cancelled, ..Outcome::success() }
            }
            Err(error) => Outcome::failure(error.message),
        };
        Executed { outcome, effects }
    }

    fn described(
        &mut self,
        mut running: Running,
        loaded: &Loaded,
        action: Arc<Action>,
        given: &Outputs,
    ) -> Progress {
        let inputs = match self.inputs(&running, &action, given) {
            Ok(inputs) => inputs,
            Err(error) => return Progress::Done(running, Outcome::failure(error)),
        };
        let identity = loaded.identity.clone();
        match &action.runs {
            Some(ActionRuns::Composite { steps }) => {
                if self.scope().is_some_and(|scope| scope.depth >= MAX_COMPOSITE_DEPTH) {
                    return Progress::Done(
                        running,
                        Outcome::failure(format!(
                            "composite actions nest deeper than {MAX_COMPOSITE_DEPTH} levels"
                        )),
                    );
                }
                let steps = steps.clone().into();
                let inputs =
                    object(inputs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                self.enter(running, action, steps, inputs, identity);
                Progress::Entered
            }
            Some(ActionRuns::Node { main, post, post_if, .. }) => {
                let mut state = self.job.take_pre_state(&running.step().id.value);
                if post.is_some() {
                    self.posts.push(Post {
                        name: running.name.clone(),
                        condition: post_if
                            .as_ref()
                            .map_or("always()".into(), |text| text.value.to_string()),
                        kind: PostKind::Node {
                            script: loaded
                                .folder
                                .join(post.as_ref().map_or("", |post| &*post.value)),
                        },
                        inputs: inputs.clone(),
                        env: Arc::clone(&running.env),
                        state: state.clone(),
                        identity: Some(identity.clone()),
                        steps: Arc::clone(&running.steps),
                        index: running.index,
                    });
                }
                let script = loaded.folder.join(&*main.value);
                let launch = match self.node(script.into_os_string(), &inputs, &state) {
                    Ok(launch) => launch,
                    Err(error) => return Progress::Done(running, Outcome::failure(error)),
                };
                let executed = self.must_execute_as(&running, launch, Some(identity));
                let (outcome, more) = self.settle(&mut running, executed);
                state.extend(more);
                if post.is_some()
                    && let Some(last) = self.posts.last_mut()
                {
                    last.state = state;
                }
                Progress::Done(running, outcome)
            }
            Some(ActionRuns::Docker { .. }) => Progress::Done(
                running,
                Outcome::failure(
                    "a Docker action needs the image engine, which Loopline does not have yet",
                ),
            ),
            None => Progress::Done(
                running,
                Outcome::failure(format!("`{}` does not say how it runs", action.file.name())),
            ),
        }
    }

    /// Runs the `pre` scripts of the job's own actions, in the order of their steps.
    pub(crate) fn run_pres(&mut self, steps: &Arc<[Step]>) {
        for (index, step) in steps.iter().enumerate() {
            let StepKind::Uses { uses, with } = &step.kind else { continue };
            if matches!(UsesRef::parse(&uses.value), Some(UsesRef::Local(_)) | None) {
                continue;
            }
            // What cannot be loaded has stopped the set-up before this.
            let Ok(loaded) = self.job.load(&uses.value, None) else { continue };
            let Source::Metadata(action) = &loaded.source else { continue };
            let Some(ActionRuns::Node { pre: Some(pre), pre_if, .. }) = &action.runs else {
                continue;
            };
            let condition = pre_if.as_ref().map_or("always()", |text| &*text.value);
            self.run_pre(steps, index, &loaded, action, &pre.value, condition, with.as_ref());
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call, and each argument is a different thing"
    )]
    fn run_pre(
        &mut self,
        steps: &Arc<[Step]>,
        index: usize,
        loaded: &Loaded,
        action: &Arc<Action>,
        pre: &str,
        condition: &str,
        with: Option<&Token>,
    ) {
        let mut running = self.running_now(steps, index);
        running.name = format!("Pre {}", running.name);
        let verdict = self.sight(&running.env, &steps[index]).condition_text(condition);
        if verdict.as_ref().is_ok_and(|verdict| !verdict.holds) {
            return;
        }
        let number = self.job.next_number();
        self.job.event(&Event::StepStarted {
            job: self.job.key.clone(),
            step: number,
            id: None,
            name: running.name.clone(),
            at: self.job.host.clock.now().to_string(),
            place: None,
        });
        self.log = Some(StepLog::open(&self.job, number));
        let prepared = verdict.map_err(|error| error.to_string()).and_then(|_| {
            let given = match with {
                Some(token) => self
                    .sight(&running.env, &steps[index])
                    .mapping(token)
                    .map_err(|error| error.to_string())?,
                None => Outputs::new(),
            };
            let inputs = self.inputs(&running, action, &given)?;
            self.node(loaded.folder.join(pre).into_os_string(), &inputs, &Outputs::new())
        });
        let outcome = match prepared {
            Ok(launch) => {
                let executed =
                    self.must_execute_as(&running, launch, Some(loaded.identity.clone()));
                let (outcome, state) = self.settle(&mut running, executed);
                self.job.keep_pre_state(&steps[index].id.value, state);
                outcome
            }
            Err(error) => Outcome::failure(error),
        };
        if outcome.conclusion == Conclusion::Failure
            && let Some(scope) = self.scope_mut()
        {
            scope.status = Conclusion::Failure;
        }
        self.finish_event(number, running.started, outcome.conclusion, outcome);
    }

    /// Returns the inputs of an action: what the step gives, and the defaults for the rest.
    fn inputs(
        &mut self,
        running: &Running,
        action: &Action,
        given: &Outputs,
    ) -> Result<Outputs, String> {
        let mut inputs = Outputs::new();
        let mut unknown = Vec::new();
        for (name, value) in given {
            let known =
                action.inputs.iter().any(|input| input.name.value.eq_ignore_ascii_case(name));
            if !known {
                unknown.push(name.as_str());
            }
            inputs.insert(name.to_lowercase(), value.clone());
        }
        let mut warnings = Vec::new();
        if !unknown.is_empty() {
            let known: Vec<&str> = action.inputs.iter().map(|input| &*input.name.value).collect();
            warnings.push(format!(
                "unexpected input(s) '{}', valid inputs are ['{}']",
                unknown.join("', '"),
                known.join("', '")
            ));
        }
        for input in &action.inputs {
            let key = input.name.value.to_lowercase();
            let given = inputs.contains_key(&key);
            if given && let Some(message) = &input.deprecation_message {
                warnings.push(format!(
                    "input '{}' has been deprecated with message: {}",
                    input.name.value, message.value
                ));
            }
            if !given && let Some(default) = &input.default {
                let value = self
                    .sight(&running.env, running.step())
                    .string(default)
                    .map_err(|error| error.to_string())?;
                inputs.insert(key.clone(), value);
            }
            if input.required && inputs.get(&key).is_none_or(String::is_empty) {
                warnings
                    .push(format!("input '{}' is required and was not supplied", input.name.value));
            }
        }
        if let Some(log) = &mut self.log {
            for message in warnings {
                log.annotate(Annotation {
                    level: Level::Warning,
                    message,
                    title: None,
                    place: None,
                    end_line: None,
                    end_column: None,
                });
            }
        }
        Ok(inputs)
    }

    /// Returns how Node runs `script`.
    pub(crate) fn node(
        &self,
        script: OsString,
        inputs: &Outputs,
        state: &Outputs,
    ) -> Result<Launch, String> {
        let program = self.job.host.node.clone().ok_or_else(|| {
            "JavaScript actions need Node.js, which was not found on this machine".to_owned()
        })?;
        let mut extra: Vec<(String, String)> = inputs
            .iter()
            .map(|(name, value)| {
                (format!("INPUT_{}", name.to_uppercase().replace(' ', "_")), value.clone())
            })
            .collect();
        extra.extend(state.iter().map(|(name, value)| (format!("STATE_{name}"), value.clone())));
        extra.extend(self.job.service_variables.get().into_iter().flatten().cloned());
        Ok(Launch {
            program: program.into_os_string(),
            args: vec![script],
            cwd: self.job.folders.workspace.clone(),
            extra,
        })
    }

    /// Runs a process as part of `identity` rather than of the scope's action.
    pub(crate) fn must_execute_as(
        &mut self,
        running: &Running,
        mut launch: Launch,
        identity: Option<ActionIdentity>,
    ) -> Executed {
        if let Some(identity) = identity {
            launch.extra.push(("GITHUB_ACTION_PATH".to_owned(), identity.path));
            launch.extra.push(("GITHUB_ACTION_REF".to_owned(), identity.reference));
            launch.extra.push(("GITHUB_ACTION_REPOSITORY".to_owned(), identity.repository));
        }
        self.must_execute(running, launch)
    }
}
