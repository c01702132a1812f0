//! What the commands on objects have in common: one line for each object, and going on after one
//! that failed.

use std::future::Future;

use loopline_units::selector::Selector;
use serde_json::{Value, json};

use crate::arguments::{ClusterArguments, FileArguments};
use crate::cluster::{Access, Cluster, Target};
use crate::commands::{Context, Outcome};
use crate::error::{CommandError, Status};
use crate::manifests::{Document, Sources, read};
use crate::printer::Tone;

/// Runs a command's work on a runtime of its own, until it ends or is interrupted.
pub(super) fn block_on(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            outcome = work => outcome,
            _ = tokio::signal::ctrl_c() => Ok(Status::Interrupted),
        }
    })
}

/// Reaches the API that the options name.
pub(super) async fn connect(arguments: &ClusterArguments) -> Result<Cluster, CommandError> {
    let access = Access {
        kubeconfig: arguments.kubeconfig.clone(),
        context: arguments.context.clone(),
        namespace: arguments.namespace.clone(),
    };
    Cluster::connect(&access).await
}

/// Reads the documents that the options name, and keeps those with the labels.
pub(super) fn documents(
    files: &FileArguments,
    selector: &str,
) -> Result<Vec<Document>, CommandError> {
    if files.filename.is_empty() {
        return Err(CommandError::usage("must specify one of -f and KIND/NAME"));
    }
    let selector = Selector::parse(selector)
        .map_err(|error| CommandError::usage(format!("the selector {selector:?}: {error}")))?;
    let sources = Sources { files: files.filename.clone(), recursive: files.recursive };
    let mut documents = read(&sources)?;
    documents.retain(|document| {
        selector.matches(|label| document.object["metadata"]["labels"][label].as_str())
    });
    Ok(documents)
}

/// Prints what happens to each object, and remembers whether anything failed.
pub(super) struct Report<'a> {
    context: &'a Context<'a>,
    schema: &'static str,
    failed: Option<CommandError>,
}

impl<'a> Report<'a> {
    pub(super) fn new(context: &'a Context<'a>, schema: &'static str) -> Self {
        Self { context, schema, failed: None }
    }

    /// Prints what was done to an object.
    pub(super) fn done(&self, target: &Target, operation: &str, line: &str) {
        if self.context.printer.json {
            let mut row = json!({"schema": self.schema, "operation": operation});
            for (name, value) in target.fields() {
                row[name] = value;
            }
            self.context.printer.json(&row);
        } else {
            self.context.printer.out(line);
        }
    }

    /// Prints what the server warns of.
    pub(super) fn warn(&self, warnings: &[String]) {
        for warning in warnings {
            let word = self.context.printer.tone(Tone::Care, "Warning:");
            self.context.printer.err(&format!("{word} {warning}"));
        }
    }

    /// Prints why an object failed; the others are still tried.
    pub(super) fn failed(&mut self, place: &str, error: impl Into<CommandError>) {
        let mut error = error.into();
        if !place.is_empty() {
            error.message = format!("{place}: {}", error.message);
        }
        let _code = self.context.printer.failure(&error);
        // The first failure says how the command ends.
        self.failed.get_or_insert(error);
    }

    /// Returns whether anything failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Returns how the command ends.
    pub(super) fn end(self) -> Status {
        self.failed.map_or(Status::Ok, |error| Status::Child(error.code()))
    }
}

/// Returns a list of objects as kubectl makes one.
pub(super) fn list(items: Vec<Value>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "List",
        "metadata": {"resourceVersion": ""},
        "items": items,
    })
}
