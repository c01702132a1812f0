//! Running `uses` steps: built-in, JavaScript and composite actions.
//!
//! Fetching and reading an action's metadata is in [`super::load`]; the steps of a composite
//! action are run by the strand.

use std::ffi::OsString;
use std::sync::Arc;

use indexmap::IndexMap;
use loopline_workflow::github::model::{Action, ActionRuns, StepKind, Text, UsesRef};
use loopline_workflow::github::template::Token;
use loopline_workflow::run::{Annotation, Conclusion, Level};

use super::effects::Effects;
use super::evaluate::object;
use super::load::{Loaded, Source};
use super::post::{Post, PostKind};
use super::script::{Executed, Launch};
use super::strand::{
    ActionIdentity, MAX_COMPOSITE_DEPTH, Outcome, Outputs, Progress, Running, Strand,
};
use crate::actions::{Builtin, Call};
use crate::cancel::Level as CancelLevel;
use crate::leash::{Ended, Leash};

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
        let trail = self.trail(&running);
        if let Some(condition) = builtin.post_condition() {
            self.register_post(Post {
                name: running.name.clone(),
                condition: condition.into(),
                kind: PostKind::Builtin {
                    builtin: Arc::clone(builtin),
                    uses: uses.value.to_string(),
                },
                inputs: inputs.clone(),
                own: Arc::clone(&running.own),
                state: Outputs::new(),
                identity: None,
                trail: trail.clone(),
                steps: Arc::clone(&running.steps),
                index: running.index,
            });
        }
        let executed = self
            .call_builtin(&running, &uses.value, &inputs, &mut state, |call| builtin.main(call));
        self.keep_post_state(&trail, &state);
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
        let stays = running.seen > CancelLevel::None || self.would_stay(running);
        let leash = Leash::new(
            job.host.clock.clone(),
            running.deadline,
            &self.cancel,
            if stays { CancelLevel::Asked } else { running.seen },
            self.background.as_ref().map(|background| &*background.stopped),
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
            leash: &leash,
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
        // What it thinks it did does not count once it had to end.
        let outcome = match (leash.check(), result) {
            (Err(Ended::Cancelled), _) => {
                Outcome { conclusion: Conclusion::Cancelled, ..Outcome::success() }
            }
            (Err(Ended::TimedOut), _) => running.timed_out(None),
            (Ok(()), Ok(())) => Outcome::success(),
            (Ok(()), Err(error)) => Outcome::failure(error.message),
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
        let local = match &running.step().kind {
            StepKind::Uses { uses, .. } => match UsesRef::parse(&uses.value) {
                Some(UsesRef::Local(_)) => Some(uses.value.to_string()),
                _ => None,
            },
            _ => None,
        };
        let is_local = local.is_some();
        if let Some(uses) = local {
            self.warn_of_local_pre(&uses, &action, &identity.root);
        }
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
                let root = identity.root.clone();
                if is_local {
                    let depth = self.scope().map_or(0, |scope| scope.depth) + 1;
                    if let Err(error) = self.job.load_all(steps, Some(&root), depth) {
                        return Progress::Done(running, Outcome::broken(&error));
                    }
                }
                self.register_group(&running);
                let steps = steps.clone().into();
                let inputs =
                    object(inputs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                self.enter(running, action, steps, inputs, identity);
                Progress::Entered
            }
            Some(ActionRuns::Node { main, .. }) => {
                let trail = self.trail(&running);
                let mut state = self.job.take_pre_state(&trail);
                self.register_node_post(&running, loaded, &action, &inputs);
                let script = loaded.folder.join(&*main.value);
                let launch = match self.node(script.into_os_string(), &inputs, &state) {
                    Ok(launch) => launch,
                    Err(error) => return Progress::Done(running, Outcome::failure(error)),
                };
                let executed = self.must_execute_as(&running, launch, Some(identity));
                let (outcome, more) = self.settle(&mut running, executed);
                state.extend(more);
                self.keep_post_state(&trail, &state);
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

    /// Returns the inputs of an action: what the step gives, and the defaults for the rest.
    pub(crate) fn inputs(
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
