//! `loopline api`: the Kubernetes API on this machine, until it is interrupted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use loopline_apiserver::allocate::API_ADDRESS;
use loopline_apiserver::auth::folder::{KEYS, SECRETS_KEY};
use loopline_apiserver::auth::vault::Sealed;
use loopline_apiserver::auth::{Access, AuditLog, Rbac};
use loopline_apiserver::http::{Listener, serve};
use loopline_apiserver::{Options, Server};
use loopline_store::object::{Durability, SqliteOptions, SqliteStore, StoreError, newest_snapshot};
use loopline_tls::{Authority, server_config};
use serde_json::json;

use super::{Context, Outcome, crds, open};
use crate::arguments::ApiArguments;
use crate::error::{Class, CommandError, Status};

/// The names under which a cluster's programs know its API.
const NAMES: &[&str] = &[
    "localhost",
    "127.0.0.1",
    "::1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

pub(crate) fn run(context: &Context<'_>, arguments: &ApiArguments) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve_until_interrupted(context, arguments))
}

async fn serve_until_interrupted(context: &Context<'_>, arguments: &ApiArguments) -> Outcome {
    let definitions = crds::chosen(&arguments.crds)?;
    // Keeps the keys and the kubeconfig of a server that is forgotten.
    let scratch = if arguments.ephemeral { Some(tempfile::tempdir()?) } else { None };
    let folder = match &scratch {
        Some(folder) => folder.path().to_owned(),
        None => open::api_folder(arguments.data.as_deref())?,
    };
    let mut options = if arguments.ephemeral {
        Options::ephemeral().map_err(failed)?
    } else {
        let store = SqliteStore::open(&SqliteOptions {
            folder: folder.clone(),
            durability: Durability::Full,
            owner: format!("loopline api (process {})", std::process::id()),
        });
        let store = store.map_err(|error| unusable(&error, &folder, arguments))?;
        Options::over(Arc::new(store))
    };
    if !arguments.ephemeral {
        let key = folder.join(KEYS).join(SECRETS_KEY);
        let vault = Sealed::open(&key, &*options.store, &options.clock).await;
        options.vault = Box::new(vault.map_err(failed)?);
    }
    let mut access = Access::open(&folder, &options.clock).map_err(failed)?;
    if let Some(path) = &arguments.token_auth_file {
        access = access.with_token_file(path).map_err(failed)?;
    }
    options.authentication = access.authentication.clone();
    options.authorizer = Arc::new(Rbac::new(Arc::clone(&options.store)));
    let local = arguments.listen.ip().is_loopback();
    let log = match &arguments.audit_log {
        Some(path) => Some(path.clone()),
        None => (!local).then(|| folder.join("audit.log")),
    };
    options.audit = log.as_deref().map(AuditLog::open).transpose()?;
    let clock = options.clock.clone();
    let server = Server::new(options);
    server.prepare().await.map_err(failed)?;
    crds::load(&server.client(), &definitions).await?;
    let authority = Authority::open(&folder.join(KEYS), &clock).map_err(failed)?;
    let identity = authority.issue_server("loopline-api", &names(arguments)).map_err(failed)?;
    let tls = server_config(&authority, &identity).map_err(failed)?;
    let listener = Listener::bind(arguments.listen)
        .await
        .map_err(failed)?
        .with_tls(tls, local && !arguments.tls_only);
    let url = format!("https://{}", reached_at(listener.address()));
    let kubeconfig =
        access.write_kubeconfig(&url, Some(authority.certificate_pem())).map_err(failed)?;
    if context.printer.json {
        context.printer.json(&json!({
            "schema": "loopline.api/v1",
            "url": url,
            "kubeconfig": kubeconfig,
            "auditLog": log,
        }));
    } else {
        context.printer.out(&format!("serving {url}"));
        context.printer.out(&format!("kubeconfig {}", kubeconfig.display()));
        let next = format!("next: kubectl --kubeconfig {} get namespaces", kubeconfig.display());
        context.printer.err(&next);
    }
    let shutdown = server.shutdown().clone();
    let controllers = loopline_workloads::Options {
        client: server.client(),
        clock: server.clock().clone(),
        authority: Arc::new(authority),
    };
    let controlling = tokio::spawn(loopline_workloads::run(controllers, shutdown.clone()));
    let serving = tokio::spawn(serve(server, listener));
    let _interrupted = tokio::signal::ctrl_c().await;
    shutdown.cancel();
    // The last requests are answered before the store closes.
    let _ended = tokio::join!(serving, controlling);
    Ok(Status::Interrupted)
}

/// Returns the names and addresses that the server's certificate is good for.
fn names(arguments: &ApiArguments) -> Vec<String> {
    let mut names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let mut add = |name: String| {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    };
    add(reached_at(arguments.listen).ip().to_string());
    add(API_ADDRESS.to_string());
    let machine = rustix::system::uname();
    add(machine.nodename().to_string_lossy().into_owned());
    arguments.tls_san.iter().cloned().for_each(add);
    names
}

/// Returns at which address a server that listens is reached: an address of this machine where it
/// listens on all.
fn reached_at(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let (any, far): (IpAddr, IpAddr) = match address.ip() {
            IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
            IpAddr::V6(_) => (
                Ipv6Addr::UNSPECIFIED.into(),
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
            ),
        };
        // Connecting a datagram socket sends nothing; it only picks the address that would.
        let own = UdpSocket::bind((any, 0))
            .and_then(|socket| socket.connect((far, 9)).and_then(|()| socket.local_addr()));
        address.set_ip(match own {
            Ok(own) => own.ip(),
            Err(_) if address.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
            Err(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Says what to do about a database that cannot be opened.
fn unusable(error: &StoreError, folder: &Path, arguments: &ApiArguments) -> CommandError {
    let said = CommandError::new(Class::Failed, error.to_string());
    match error {
        StoreError::Corrupt { .. } => match newest_snapshot(folder) {
            Ok(Some(snapshot)) => {
                let data = arguments.data.as_ref();
                let data = data.map(|data| format!(" --data {}", data.display()));
                said.hint(format!(
                    "`loopline restore {}{}` goes back to the newest snapshot and keeps the \
                     damaged file",
                    snapshot.display(),
                    data.unwrap_or_default(),
                ))
            }
            Ok(None) => said.hint(format!(
                "no snapshot was taken with `loopline backup`; `mv {0}/objects.db {0}/objects.db.\
                 damaged` puts the file aside, and the API begins empty",
                folder.display()
            )),
            Err(error) => said.hint(format!("the list of snapshots cannot be read: {error}")),
        },
        StoreError::InUse { .. } => {
            said.hint("another folder takes a second server: `loopline api --data DIR`")
        }
        _ => said,
    }
}

pub(super) fn failed(error: impl std::error::Error) -> CommandError {
    let mut message = error.to_string();
    if let Some(source) = error.source() {
        message.push_str(&format!(": {source}"));
    }
    CommandError::new(Class::Failed, message)
}
