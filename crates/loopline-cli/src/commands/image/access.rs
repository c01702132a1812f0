//! How registries are reached: whom to believe, who the user is, and what to say meanwhile.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use fs_err as fs;
use loopline_image::registry::client::{Client, DockerConfig, Event, Options, Progress, RunHelper};
use loopline_sandbox::{Host, Machine as _, Output, ProcessSpec, Stdin, Waited};
use loopline_tls::{Trust, client_config};
use loopline_units::show_bytes;

use crate::arguments::RegistryAccess;
use crate::environment;
use crate::error::CommandError;
use crate::printer::{Printer, Tone};

/// The most that a credential helper may print, in bytes.
const MAX_PRINTED: u64 = 1024 * 1024;

/// Returns a client that reaches registries as the user says.
pub(in crate::commands) fn client(
    access: &RegistryAccess,
    printer: &Printer,
) -> Result<Client, CommandError> {
    let mut mirrors = Vec::new();
    for mirror in &access.mirror {
        let (registry, url) = mirror.split_once('=').ok_or_else(|| {
            CommandError::usage(format!("`--mirror {mirror}` is not REGISTRY=URL"))
                .hint("--mirror docker.io=https://mirror.example")
        })?;
        mirrors.push((registry.to_owned(), url.to_owned()));
    }
    let pem = access.ca.as_deref().map(fs::read).transpose()?;
    let trust = pem.as_deref().map_or(Trust::Machine, Trust::Also);
    let tls = client_config(trust).map_err(|error| CommandError::usage(error.to_string()))?;
    let credentials = match config_path() {
        Some(path) => {
            let helpers: Arc<dyn RunHelper> = Arc::new(Helpers);
            DockerConfig::read(&path, Some(helpers))
                .map_err(|error| CommandError::usage(error.to_string()))?
        }
        None => DockerConfig::none(),
    };
    Ok(Client::new(Options {
        tls: Arc::new(tls),
        credentials: Arc::new(credentials),
        mirrors,
        insecure: access.insecure_registry.clone(),
        progress: progress(*printer),
    }))
}

fn config_path() -> Option<PathBuf> {
    let folder = environment::DOCKER_CONFIG.get_os().map(PathBuf::from);
    let home = || Some(PathBuf::from(environment::HOME.get_os()?).join(".docker"));
    Some(folder.or_else(home)?.join("config.json"))
}

/// Says what happens, a line each.
fn progress(printer: Printer) -> Progress {
    Arc::new(move |event| {
        if printer.json {
            return;
        }
        match event {
            Event::Done { digest, size } => {
                printer.err(&format!("{} {:>9}", digest.short(), show_bytes(size)));
            }
            Event::Begun { digest, resumed, .. } if resumed > 0 => {
                let came = show_bytes(resumed);
                printer.err(&format!("{} goes on after {came}", digest.short()));
            }
            Event::Retried { why } => {
                printer.err(&format!("{} {why}", printer.tone(Tone::Care, "again:")));
            }
            Event::Begun { .. } | Event::Known { .. } => {}
        }
    })
}

/// Starts credential helpers as Docker does, with what the user's own shell has in its PATH.
struct Helpers;

impl RunHelper for Helpers {
    fn run(&self, program: &str, argument: &str, input: &[u8]) -> io::Result<(bool, Vec<u8>)> {
        let host = Host::new("credentials");
        let (read, write) = io::pipe()?;
        // What is asked for is a registry's name, which fits the pipe.
        let mut write = write;
        write.write_all(input)?;
        drop(write);
        let mut process = host
            .spawn(&ProcessSpec {
                program: program.into(),
                args: vec![argument.into()],
                env: std::env::vars_os().collect::<Vec<(OsString, OsString)>>(),
                cwd: std::env::current_dir()?,
                stdin: Stdin::Fd(OwnedFd::from(read)),
                output: Output::Piped,
            })
            .map_err(|error| io::Error::other(crate::error::chain(&error)))?;
        let mut printed = Vec::new();
        if let Some(output) = process.take_output() {
            let output = std::fs::File::from(output);
            output.take(MAX_PRINTED).read_to_end(&mut printed)?;
        }
        let ended = process
            .wait_blocking(None, None)
            .map_err(|error| io::Error::other(error.to_string()))?;
        Ok((matches!(ended, Waited::Ended(status) if status.success()), printed))
    }
}
