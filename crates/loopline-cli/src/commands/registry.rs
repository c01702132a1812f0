//! `loopline registry`: a registry of images, until it is interrupted.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use loopline_clock::Clock;
use loopline_image::registry::server::{
    AccessError, Listener, Options, ROUNDS, Registry, Users, serve,
};
use loopline_image::store::Store;
use loopline_tls::{Authority, rustls, server_config, server_config_of_files};
use serde_json::json;

use super::{Context, Outcome, image, open};
use crate::arguments::RegistryArguments;
use crate::error::{Class, CommandError, Status, chain};
use crate::printer::{Printer, Tone};

/// The file of users, beside the images.
const USERS: &str = "registry-users";
/// The folder of the certificates that are made where none is given.
const CERTIFICATES: &str = "registry-tls";
/// The longest password that is read.
const MAX_PASSWORD: u64 = 1024;

pub(crate) fn run(context: &Context<'_>, arguments: &RegistryArguments) -> Outcome {
    let folder = folder(arguments)?;
    let users = folder.join(USERS);
    if let Some(name) = &arguments.add_user {
        return add_user(context, &users, name);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve_until_interrupted(context, arguments, &folder, &users))
}

fn folder(arguments: &RegistryArguments) -> Result<PathBuf, CommandError> {
    match &arguments.data {
        Some(folder) => Ok(folder.clone()),
        None => Ok(open::data_folder()?.root().to_owned()),
    }
}

/// Reads a password, which is in no argument because those are everybody's to see.
fn add_user(context: &Context<'_>, path: &Path, name: &str) -> Outcome {
    let mut password = String::new();
    std::io::stdin().take(MAX_PASSWORD).read_to_string(&mut password)?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(CommandError::usage("standard input has no password")
            .hint(format!("loopline registry --add-user {name} < FILE")));
    }
    Users::add(path, name, password, ROUNDS, &Clock::real()).map_err(refused)?;
    if context.printer.json {
        let added = json!({ "schema": "loopline.registry-user/v1", "name": name, "file": path });
        context.printer.json(&added);
    } else {
        context.printer.out(&format!("{name} is a user of the registry ({})", path.display()));
    }
    Ok(Status::Ok)
}

async fn serve_until_interrupted(
    context: &Context<'_>,
    arguments: &RegistryArguments,
    folder: &Path,
    path: &Path,
) -> Outcome {
    let users = Users::read(path).map_err(refused)?;
    let is_local = arguments.listen.ip().is_loopback();
    if users.is_empty() && !is_local && !arguments.anonymous_pull {
        return Err(CommandError::new(
            Class::Permission,
            format!("{} is reached by others, and the registry has no users", arguments.listen),
        )
        .hint("`loopline registry --add-user NAME < FILE` adds one with the password in FILE")
        .hint("--anonymous-pull lets everybody pull, and nobody push"));
    }
    let tls = tls(arguments, folder, is_local)?;
    let store = Store::open(folder.join("images"), Clock::real())?;
    let upstream = match &arguments.upstream {
        Some(registry) => {
            Some((image::client(&arguments.access, context.printer)?, registry.clone()))
        }
        None => None,
    };
    let registry = Registry::new(Options {
        store,
        // On this machine, without users, everybody may do everything.
        users: (!users.is_empty() || !is_local).then_some(users),
        anonymous_pull: arguments.anonymous_pull,
        upstream,
    })?;
    let encrypted = tls.is_some();
    let listener = Listener::bind(arguments.listen, tls)
        .await
        .map_err(|error| CommandError::new(Class::Failed, chain(&error)))?;
    let scheme = if encrypted { "https" } else { "http" };
    let address = listener.address();
    let url = format!("{scheme}://{address}");
    if context.printer.json {
        context.printer.json(&json!({ "schema": "loopline.registry/v1", "url": url }));
    } else {
        context.printer.out(&format!("serving {url}"));
        let next = format!("next: loopline image push IMAGE {address}/NAME:TAG");
        context.printer.err(&next);
        if encrypted && arguments.tls_certificate.is_none() {
            let authority = folder.join(CERTIFICATES).join("ca.crt");
            context.printer.err(&format!("clients need the authority {}", authority.display()));
        }
    }
    let shutdown = registry.shutdown().clone();
    let every = Duration::from_secs(arguments.collect_every.saturating_mul(60));
    let collecting = tokio::spawn(collect(registry.clone(), every, *context.printer));
    let serving = tokio::spawn(serve(registry, listener));
    let _interrupted = tokio::signal::ctrl_c().await;
    shutdown.cancel();
    // The last requests are answered.
    let _ended = tokio::join!(serving, collecting);
    Ok(Status::Interrupted)
}

/// Returns how connections are encrypted: not at all on this machine, unless a certificate is
/// given.
fn tls(
    arguments: &RegistryArguments,
    folder: &Path,
    is_local: bool,
) -> Result<Option<Arc<rustls::ServerConfig>>, CommandError> {
    if let (Some(certificate), Some(key)) = (&arguments.tls_certificate, &arguments.tls_key) {
        return Ok(Some(server_config_of_files(certificate, key).map_err(refused)?));
    }
    if is_local {
        return Ok(None);
    }
    let authority = Authority::open(&folder.join(CERTIFICATES), &Clock::real()).map_err(refused)?;
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), machine];
    if !arguments.listen.ip().is_unspecified() {
        names.push(arguments.listen.ip().to_string());
    }
    let identity = authority.issue_server("loopline-registry", &names).map_err(refused)?;
    Ok(Some(server_config(&authority, &identity).map_err(refused)?))
}

/// Removes what nothing leads to, again and again.
async fn collect(registry: Registry, every: Duration, printer: Printer) {
    let shutdown = registry.shutdown().clone();
    if every.is_zero() {
        return shutdown.cancelled().await;
    }
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let collecting = registry.clone();
        let collected = tokio::task::spawn_blocking(move || collecting.collect()).await;
        // The registry serves on; the next collection may find what was wrong mended.
        if let Ok(Err(error)) = collected {
            printer.err(&format!("{} {}", printer.tone(Tone::Care, "collect:"), chain(&error)));
        }
    }
}

fn refused(error: impl Into<Refused>) -> CommandError {
    CommandError::usage(error.into().0)
}

/// What is wrong with users or certificates, which the user can mend.
struct Refused(String);

impl From<AccessError> for Refused {
    fn from(error: AccessError) -> Self {
        Self(chain(&error))
    }
}

impl From<loopline_tls::AuthorityError> for Refused {
    fn from(error: loopline_tls::AuthorityError) -> Self {
        Self(chain(&error))
    }
}
