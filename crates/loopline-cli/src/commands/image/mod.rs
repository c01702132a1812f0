//! `loopline image`: one file a command, or a few that belong together.

mod access;
mod build;
mod files;
mod import;
mod list;
mod names;
mod transfer;

use loopline_clock::Clock;
use loopline_image::platform::Platform;
use loopline_image::store::Store;

pub(super) use access::client;
pub(super) use transfer::fetch;

use super::{Context, Outcome, open};
use crate::arguments::ImageCommand;
use crate::environment;
use crate::error::CommandError;

/// The store's folder in the data folder.
pub(super) const FOLDER: &str = "images";

pub(crate) fn run(context: &Context<'_>, command: ImageCommand) -> Outcome {
    match command {
        ImageCommand::Build(arguments) => build::run(context, &arguments),
        ImageCommand::Ls(arguments) => list::list(context, &arguments),
        ImageCommand::Inspect(arguments) => list::inspect(context, &arguments),
        ImageCommand::History(arguments) => list::history(context, &arguments),
        ImageCommand::Tag(arguments) => names::tag(context, &arguments),
        ImageCommand::Alias(arguments) => names::alias(context, &arguments),
        ImageCommand::Pull(arguments) => transfer::pull(context, &arguments),
        ImageCommand::Push(arguments) => transfer::push(context, &arguments),
        ImageCommand::Save(arguments) => files::save(context, &arguments),
        ImageCommand::Load(arguments) => files::load(context, &arguments),
        ImageCommand::Import(arguments) => import::run(context, &arguments),
        ImageCommand::Rm(arguments) => names::remove(context, &arguments),
        ImageCommand::Prune(arguments) => names::prune(context, &arguments),
    }
}

/// When images are said to be made, where the user says so.
fn epoch() -> Result<Option<i64>, CommandError> {
    let Some(text) = environment::SOURCE_DATE_EPOCH.get() else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        CommandError::usage(format!("SOURCE_DATE_EPOCH is `{text}`, which is no number of seconds"))
    })
}

/// Opens the image store of the data folder.
pub(super) fn store() -> Result<Store, CommandError> {
    Ok(Store::open(open::data_folder()?.root().join(FOLDER), Clock::real())?)
}

/// Reads the platform of an option.
fn platform(text: Option<&String>) -> Result<Option<Platform>, CommandError> {
    Ok(text.map(|text| text.parse()).transpose()?)
}
