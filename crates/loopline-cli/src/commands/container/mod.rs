//! `loopline container`: containers of this machine, with Docker's words.

pub(crate) mod arguments;
mod attach;
mod options;
mod show;

use std::time::Duration;

use loopline_clock::Clock;
use loopline_image::reference::Reference;
use loopline_image::store::StoreError;
use loopline_node::{Containers, Found, NodeError};
use loopline_sandbox::{Container, ContainerError};

use super::{Context, Outcome, image, open};
use crate::error::{Class, CommandError, Status, chain};
use arguments::{
    ContainerArguments, ContainerCommand, CreateArguments, NamesArguments, RemoveArguments,
};

/// How long a container that is removed by force has to end: it is killed at once.
const AT_ONCE: Duration = Duration::ZERO;

pub(crate) fn run(context: &Context<'_>, arguments: &ContainerArguments) -> Outcome {
    let containers = containers()?;
    match &arguments.command {
        ContainerCommand::Run(arguments) => attach::run(context, &containers, arguments),
        ContainerCommand::Create(arguments) => {
            let found = create(context, &containers, arguments)?;
            tell(context, &found.record.id);
            Ok(Status::Ok)
        }
        ContainerCommand::Start(names) => each(context, &containers, &names.names, |found| {
            let mut detached = found.clone();
            detached.record.supervision.detached = true;
            containers.start(&detached, None).map(|_| ()).map_err(failed)
        }),
        ContainerCommand::Stop(stop) => {
            let patience = stop.time.map(Duration::from_secs);
            each(context, &containers, &stop.names, |found| ended(found, patience))
        }
        ContainerCommand::Restart(stop) => {
            let patience = stop.time.map(Duration::from_secs);
            each(context, &containers, &stop.names, |found| {
                ended(found, patience)?;
                let mut detached = found.clone();
                detached.record.supervision.detached = true;
                containers.start(&detached, None).map(|_| ()).map_err(failed)
            })
        }
        ContainerCommand::Kill(kill) => {
            let signal = options::signal(&kill.signal)?;
            each(context, &containers, &kill.names, |found| Ok(connect(found)?.signal(signal)?))
        }
        ContainerCommand::Pause(names) => freeze(context, &containers, names, true),
        ContainerCommand::Unpause(names) => freeze(context, &containers, names, false),
        ContainerCommand::Rm(remove) => remove_all(context, &containers, remove),
        ContainerCommand::Rename(rename) => {
            let found = containers.find(&rename.old).map_err(failed)?;
            containers.rename(&found, &rename.new).map_err(failed)?;
            Ok(Status::Ok)
        }
        ContainerCommand::Wait(names) => {
            for name in &names.names {
                let found = containers.find(name).map_err(failed)?;
                let code = match Container::connect(&found.folder) {
                    Ok(container) => container.wait()?.code,
                    Err(_) => found.state.ended.map_or(0, |ended| ended.code),
                };
                tell(context, &code.to_string());
            }
            Ok(Status::Ok)
        }
        ContainerCommand::Ps(list) => show::list(context, &containers, list),
        ContainerCommand::Logs(logs) => show::logs(context, &containers, logs),
        ContainerCommand::Exec(exec) => attach::execute(&containers, exec),
        ContainerCommand::Inspect(names) => show::inspect(context, &containers, names),
        ContainerCommand::Stats(stats) => show::stats(context, &containers, stats),
    }
}

/// Opens the containers of the data folder.
fn containers() -> Result<Containers, CommandError> {
    let data = open::data_folder()?;
    Ok(Containers::open(data.root(), image::store()?, Clock::real()))
}

fn create(
    context: &Context<'_>,
    containers: &Containers,
    arguments: &CreateArguments,
) -> Result<Found, CommandError> {
    let options = options::read(arguments)?;
    let image = match containers.store().resolve(&arguments.image) {
        Err(StoreError::NoImage(name)) => {
            let reference: Reference = arguments.image.parse()?;
            let cannot = |error: CommandError| {
                let hint = "`loopline image load` and `import` take files, `alias` lets a name mean \
                            an image that is here";
                let message =
                    format!("image `{name}` is not here, and fetching it failed: {error}");
                CommandError { message, ..error }.hint(hint)
            };
            image::fetch(context, &reference, &arguments.access).map_err(cannot)?;
            reference
        }
        result => result?,
    };
    containers.create(&image, &options).map_err(failed)
}

/// Says which container something happened to.
fn tell(context: &Context<'_>, text: &str) {
    if context.printer.json {
        context.printer.json(&serde_json::json!({"schema": "loopline.container/v1", "id": text}));
    } else {
        context.printer.out(text);
    }
}

/// Does something to each container; the first that fails ends it.
fn each(
    context: &Context<'_>,
    containers: &Containers,
    names: &[String],
    act: impl Fn(&Found) -> Result<(), CommandError>,
) -> Outcome {
    for name in names {
        let found = containers.find(name).map_err(failed)?;
        act(&found)?;
        tell(context, name);
    }
    Ok(Status::Ok)
}

fn connect(found: &Found) -> Result<Container, CommandError> {
    Container::connect(&found.folder).map_err(|_| {
        CommandError::new(Class::Failed, format!("container {} is not running", found.record.name))
            .hint(format!("`loopline container start {}` starts it", found.record.name))
    })
}

/// Stops a container; one that has ended is no error.
fn ended(found: &Found, patience: Option<Duration>) -> Result<(), CommandError> {
    if let Ok(container) = Container::connect(&found.folder) {
        container.stop(patience)?;
    }
    Ok(())
}

fn freeze(
    context: &Context<'_>,
    containers: &Containers,
    names: &NamesArguments,
    frozen: bool,
) -> Outcome {
    each(context, containers, &names.names, |found| Ok(connect(found)?.freeze(frozen)?))
}

fn remove_all(context: &Context<'_>, containers: &Containers, remove: &RemoveArguments) -> Outcome {
    each(context, containers, &remove.names, |found| {
        if remove.force {
            ended(found, Some(AT_ONCE))?;
        }
        containers.remove(found, remove.volumes).map_err(|error| match error {
            NodeError::Running { .. } => {
                failed(error).hint("`loopline container rm --force` kills it first")
            }
            other => failed(other),
        })
    })
}

/// Turns what went wrong into a message with the next step.
fn failed(error: NodeError) -> CommandError {
    match error {
        NodeError::Container(error) => error.into(),
        NodeError::Image(error) => error.into(),
        NodeError::Unknown { .. } => CommandError::usage(error.to_string())
            .hint("`loopline container ps --all` lists all there are"),
        NodeError::Name { .. } | NodeError::Taken { .. } | NodeError::Options(_) => {
            CommandError::usage(error.to_string())
        }
        other => CommandError::new(Class::Failed, other.to_string()),
    }
}

impl From<ContainerError> for CommandError {
    fn from(error: ContainerError) -> Self {
        Self::new(Class::Failed, chain(&error))
    }
}
