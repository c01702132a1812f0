//! Finds the API: an explicit kubeconfig, `KUBECONFIG`, or the server of the data folder.

use std::path::PathBuf;

use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::Mutex;

use super::Cluster;
use crate::environment;
use crate::error::CommandError;

/// How the API is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// `--kubeconfig`.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub(crate) context: Option<String>,
    /// `--namespace`.
    pub(crate) namespace: Option<String>,
}

impl Cluster {
    /// Reads the kubeconfig; nothing is asked yet.
    ///
    /// # Errors
    /// Where there is no kubeconfig, or it cannot be used.
    pub(crate) async fn connect(access: &Access) -> Result<Self, CommandError> {
        let (files, own) = files(access)?;
        let names = || {
            let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            names.join(", ")
        };
        let unusable = |error: &dyn std::fmt::Display| {
            CommandError::usage(format!("cannot use the kubeconfig {}: {error}", names()))
        };
        let mut merged: Option<Kubeconfig> = None;
        for file in &files {
            let one = Kubeconfig::read_from(file).map_err(|error| unusable(&error))?;
            merged = Some(match merged {
                Some(before) => before.merge(one).map_err(|error| unusable(&error))?,
                None => one,
            });
        }
        let options = KubeConfigOptions { context: access.context.clone(), ..Default::default() };
        let config = kube::Config::from_custom_kubeconfig(merged.unwrap_or_default(), &options)
            .await
            .map_err(|error| unusable(&error))?;
        let server = config.cluster_url.to_string();
        let own_namespace = config.default_namespace.clone();
        let client = kube::Client::try_from(config).map_err(|error| unusable(&error))?;
        Ok(Self {
            client,
            server: server.trim_end_matches('/').to_owned(),
            hint: Some(if own {
                "`loopline api` starts it".to_owned()
            } else {
                format!("the address is from {}", names())
            }),
            namespace: access.namespace.clone().unwrap_or(own_namespace),
            named: access.namespace.is_some(),
            kinds: Mutex::new(None),
        })
    }
}

/// Returns the kubeconfig files, and whether they are those of the data folder's server.
fn files(access: &Access) -> Result<(Vec<PathBuf>, bool), CommandError> {
    if let Some(file) = &access.kubeconfig {
        if !file.exists() {
            let message = format!("there is no kubeconfig {}", file.display());
            return Err(CommandError::usage(message));
        }
        return Ok((vec![file.clone()], false));
    }
    if let Some(paths) = environment::KUBECONFIG.get_os() {
        let all: Vec<PathBuf> =
            std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).collect();
        let there: Vec<PathBuf> = all.iter().filter(|path| path.exists()).cloned().collect();
        if there.is_empty() {
            let message = format!("KUBECONFIG names no file: {}", paths.to_string_lossy());
            return Err(CommandError::usage(message));
        }
        return Ok((there, false));
    }
    let own = environment::data_folder().map(|folder| folder.join("api/kubeconfig"));
    match own {
        Some(file) if file.exists() => Ok((vec![file], true)),
        _ => Err(CommandError::usage("no API is known: there is no KUBECONFIG")
            .hint("`loopline api` starts one; `--kubeconfig FILE` names that of another")),
    }
}
