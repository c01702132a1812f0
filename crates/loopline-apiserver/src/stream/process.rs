//! Sessions with a process, whatever the client's protocol: what is asked, how it ended.

use std::future::Future;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::node::{Container, Exit, Node, Process, TerminalSize};
use crate::Server;
use crate::http::Asked;
use crate::status::{Result, Status};

/// The most streams that are open at a time: commands, logs that are followed, forwarded ports.
const MAX_STREAMS: usize = 4096;

/// How many bytes wait between a client and a process, in each direction, before the faster one
/// waits.
pub(super) const PIPE_BYTES: usize = 64 * 1024;

/// How many bytes are moved at a time.
pub(super) const CHUNK_BYTES: usize = 32 * 1024;

/// The places for streams.
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_STREAMS)))
    }
}

impl Places {
    /// Takes a place.
    ///
    /// # Errors
    /// 429 where all are taken.
    pub(super) fn take(&self) -> Result<tokio::sync::OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            Status::too_many_requests(
                format!("{MAX_STREAMS} streams are open, which is the most; close some"),
                1,
            )
        })
    }
}

/// Runs a session beside the request that began it, until it or the server ends.
///
/// # Errors
/// 429 where too many are running.
pub(super) fn spawn(
    server: &Server,
    session: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let place = server.streams().take()?;
    let shutdown = server.shutdown().clone();
    tokio::spawn(async move {
        let _place = place;
        tokio::select! {
            () = session => {}
            () = shutdown.cancelled() => {}
        }
    });
    Ok(())
}

/// What a client asks of a process.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) tty: bool,
    pub(super) task: Task,
}

/// What is done.
#[derive(Clone, Debug)]
pub(super) enum Task {
    Exec(Vec<String>),
    Attach,
}

impl Wish {
    /// Reads the options of `exec` and `attach`.
    ///
    /// # Errors
    /// 400 where no stream is asked for, or no command.
    pub(super) fn parse(asked: &Asked, subresource: &str) -> Result<Self> {
        let query = &asked.query;
        let tty = query.flag("tty")?;
        let wish = Self {
            stdin: query.flag("stdin")?,
            stdout: query.flag("stdout")?,
            // A terminal has one output.
            stderr: query.flag("stderr")? && !tty,
            tty,
            task: if subresource == "exec" {
                Task::Exec(query.all("command").map(ToOwned::to_owned).collect())
            } else {
                Task::Attach
            },
        };
        if matches!(&wish.task, Task::Exec(command) if command.is_empty()) {
            return Err(Status::bad_request("you must specify at least one command argument"));
        }
        if !(wish.stdin || wish.stdout || wish.stderr) {
            return Err(Status::bad_request(
                "you must specify at least 1 of stdin, stdout, stderr",
            ));
        }
        Ok(wish)
    }

    /// Returns the options as the object that admission sees.
    pub(super) fn object(&self, container: &str) -> Value {
        let mut object = json!({
            "kind": "PodAttachOptions", "apiVersion": "v1",
            "stdin": self.stdin, "stdout": self.stdout, "stderr": self.stderr,
            "tty": self.tty, "container": container,
        });
        if let Task::Exec(command) = &self.task {
            object["kind"] = json!("PodExecOptions");
            object["command"] = json!(command);
        }
        object
    }

    /// Has the node do it.
    pub(super) async fn run(
        &self,
        node: &dyn Node,
        container: &Container,
        process: Process,
    ) -> Result<Exit> {
        match &self.task {
            Task::Exec(command) => node.exec(container, command, process).await,
            Task::Attach => node.attach(container, process).await,
        }
    }
}

/// Returns the `Status` that tells a client how a process ended.
pub(super) fn outcome_status(outcome: &Result<Exit>) -> Value {
    match outcome {
        Ok(Exit { code: 0 }) => json!({"metadata": {}, "status": "Success"}),
        Ok(Exit { code }) => json!({
            "metadata": {},
            "status": "Failure",
            "message": exit_message(*code),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(status) => status.to_value(),
    }
}

/// Returns what older protocols are told: a text where it failed.
pub(super) fn outcome_text(outcome: &Result<Exit>) -> Option<String> {
    match outcome {
        Ok(Exit { code: 0 }) => None,
        Ok(Exit { code }) => Some(exit_message(*code)),
        Err(status) => Some(status.message.clone()),
    }
}

fn exit_message(code: i32) -> String {
    format!("command terminated with non-zero exit code: exit status {code}")
}

/// Reads the message of a client whose terminal changed its size.
pub(super) fn terminal_size(message: &[u8]) -> Option<TerminalSize> {
    let value: Value = serde_json::from_slice(message).ok()?;
    let side = |name: &str| {
        let number = value.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?.1;
        u16::try_from(number.as_u64()?).ok()
    };
    Some(TerminalSize { width: side("width")?, height: side("height")? })
}
