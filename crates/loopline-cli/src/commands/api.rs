//! `loopline api`: the Kubernetes API on this machine, until it is interrupted.

use std::path::PathBuf;
use std::sync::Arc;

use loopline_apiserver::http::{Listener, serve};
use loopline_apiserver::{Options, Server};
use loopline_store::object::{Durability, SqliteOptions, SqliteStore};
use serde_json::json;

use super::{Context, Outcome, open};
use crate::arguments::ApiArguments;
use crate::error::{Class, CommandError, Status};

pub(crate) fn run(context: &Context<'_>, arguments: &ApiArguments) -> Outcome {
    if !arguments.listen.ip().is_loopback() {
        return Err(CommandError::new(
            Class::Permission,
            format!("{} can be reached by others, and needs TLS and RBAC", arguments.listen),
        )
        .hint("--listen 127.0.0.1:6443 serves this machine only"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve_until_interrupted(context, arguments))
}

async fn serve_until_interrupted(context: &Context<'_>, arguments: &ApiArguments) -> Outcome {
    let mut options = Options::ephemeral().map_err(failed)?;
    if !arguments.ephemeral {
        let folder = folder(arguments)?;
        let store = SqliteStore::open(&SqliteOptions {
            folder,
            durability: Durability::Full,
            owner: format!("loopline api (process {})", std::process::id()),
        });
        options.store = Arc::new(store.map_err(failed)?);
    }
    let server = Server::new(options);
    server.prepare().await.map_err(failed)?;
    let listener = Listener::bind(arguments.listen).await.map_err(failed)?;
    let url = format!("http://{}", listener.address());
    if context.printer.json {
        context.printer.json(&json!({"schema": "loopline.api/v1", "url": url}));
    } else {
        context.printer.out(&format!("serving {url}"));
        context.printer.err(&format!("next: kubectl --server {url} get namespaces"));
    }
    let shutdown = server.shutdown().clone();
    let controllers = loopline_workloads::Options {
        client: server.client(),
        clock: server.clock().clone(),
        authority: String::new(),
    };
    let controlling = tokio::spawn(loopline_workloads::run(controllers, shutdown.clone()));
    let serving = tokio::spawn(serve(server, listener));
    let _interrupted = tokio::signal::ctrl_c().await;
    shutdown.cancel();
    // The last requests are answered before the store closes.
    let _ended = tokio::join!(serving, controlling);
    Ok(Status::Interrupted)
}

/// Returns the folder of the objects.
fn folder(arguments: &ApiArguments) -> Result<PathBuf, CommandError> {
    match &arguments.data {
        Some(folder) => Ok(folder.join("api")),
        None => Ok(open::data_folder()?.root().join("api")),
    }
}

fn failed(error: impl std::error::Error) -> CommandError {
    let mut message = error.to_string();
    if let Some(source) = error.source() {
        message.push_str(&format!(": {source}"));
    }
    CommandError::new(Class::Failed, message)
}
