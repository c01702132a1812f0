//! The options of the commands around the Kubernetes API of this machine.

use std::path::PathBuf;

use clap::Args;

/// Options of `loopline api`.
#[derive(Clone, Debug, Args)]
pub struct ApiArguments {
    /// The address to listen on; port 0 takes a free one. Loopback addresses answer plain HTTP too
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6443")]
    pub listen: std::net::SocketAddr,

    /// Refuse plain HTTP on a loopback address too
    #[arg(long)]
    pub tls_only: bool,

    /// One more name or address that the server's certificate is good for
    #[arg(long, value_name = "NAME")]
    pub tls_san: Vec<String>,

    /// Let in who has a token of FILE: `token,user,uid,"group1,group2"` a line
    #[arg(long, value_name = "FILE")]
    pub token_auth_file: Option<PathBuf>,

    /// Write who asked for what to FILE (by default `audit.log` beside the objects, where others
    /// can reach the server)
    #[arg(long, value_name = "FILE")]
    pub audit_log: Option<PathBuf>,

    /// Load definitions of custom resources: an API group as `loopline crds` has it, `all` of
    /// them, or a file or folder of definitions (may be repeated)
    #[arg(long, value_name = "GROUP|PATH")]
    pub crds: Vec<String>,

    /// Keep objects in DIR instead of the data folder
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Forget everything at the end
    #[arg(long, conflicts_with = "data")]
    pub ephemeral: bool,
}

/// Options of `loopline backup`.
#[derive(Clone, Debug, Args)]
pub struct BackupArguments {
    /// Where the snapshot goes
    pub file: PathBuf,

    /// The folder that `loopline api --data DIR` has, instead of the data folder
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Replace the file if it is there
    #[arg(long)]
    pub force: bool,
}

/// Options of `loopline restore`.
#[derive(Clone, Debug, Args)]
pub struct RestoreArguments {
    /// A snapshot that `loopline backup` made
    pub file: PathBuf,

    /// The folder that `loopline api --data DIR` has, instead of the data folder
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Options of `loopline crds`.
#[derive(Clone, Debug, Args)]
pub struct CrdsArguments {
    /// API groups, such as `argoproj.io`, or `all`; without any, the groups are listed
    pub groups: Vec<String>,
}
