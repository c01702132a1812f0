//! The options of the commands that work on objects of a Kubernetes API, named as kubectl's.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cluster::{DryRun, Validation};

/// Which API, and where in it.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArguments {
    /// A kubeconfig [default: KUBECONFIG, or that of `loopline api`]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// A context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// The namespace of what names none
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
}

/// Documents.
#[derive(Clone, Debug, Default, Args)]
pub struct FileArguments {
    /// A file or folder of documents, or `-` (may be repeated)
    #[arg(short, long = "filename", value_name = "FILE")]
    pub filename: Vec<String>,

    /// Look into folders in folders, too
    #[arg(short = 'R', long)]
    pub recursive: bool,
}

/// What is applied, and how it is merged with what is there.
#[derive(Clone, Debug, Default, Args)]
pub struct MergeArguments {
    /// Which API
    #[command(flatten)]
    pub cluster: ClusterArguments,

    /// Which documents
    #[command(flatten)]
    pub files: FileArguments,

    /// Let the server merge, and keep who owns which field
    #[arg(long)]
    pub server_side: bool,

    /// Take fields over from others
    #[arg(long, requires = "server_side")]
    pub force_conflicts: bool,

    /// Who owns the fields [default: kubectl's names]
    #[arg(long, value_name = "NAME")]
    pub field_manager: Option<String>,

    /// Only documents with these labels
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        default_value = "",
        hide_default_value = true
    )]
    pub selector: String,
}

/// Options of `loopline apply`.
#[derive(Clone, Debug, Args)]
pub struct ApplyArguments {
    /// What is applied
    #[command(flatten)]
    pub merge: MergeArguments,

    /// Write nothing
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    pub(crate) dry_run: DryRun,

    /// What happens to unknown fields
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub(crate) validate: Validation,

    /// How results are printed: json, yaml, name, jsonpath=TEMPLATE
    #[arg(short, long, value_name = "FORM")]
    pub output: Option<String>,

    #[arg(long, hide = true)]
    pub(crate) prune: bool,
}

/// Options of `loopline get`.
#[derive(Clone, Debug, Args)]
pub struct GetArguments {
    /// Which API
    #[command(flatten)]
    pub cluster: ClusterArguments,

    /// Which documents
    #[command(flatten)]
    pub files: FileArguments,

    /// KIND, KIND NAME..., or KIND/NAME...
    #[arg(value_name = "OBJECT")]
    pub objects: Vec<String>,

    /// How objects are printed: wide, name, json, yaml, jsonpath=TEMPLATE
    #[arg(short, long, value_name = "FORM")]
    pub output: Option<String>,

    /// Only objects with these labels
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        default_value = "",
        hide_default_value = true
    )]
    pub selector: String,

    /// Only objects with these fields
    #[arg(long, value_name = "SELECTOR", default_value = "", hide_default_value = true)]
    pub field_selector: String,

    /// Objects of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,

    /// What is not there is no error
    #[arg(long)]
    pub ignore_not_found: bool,

    /// A column with the labels
    #[arg(long)]
    pub show_labels: bool,

    /// No line of headings
    #[arg(long)]
    pub no_headers: bool,

    /// Who owns which field, in JSON and YAML
    #[arg(long)]
    pub show_managed_fields: bool,
}

/// What happens to the objects that belong to a deleted one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Cascade {
    /// They are deleted afterwards
    #[default]
    Background,
    /// They are deleted before
    Foreground,
    /// They stay
    Orphan,
}

/// Objects that a command does something to.
#[derive(Clone, Debug, Args)]
pub struct TargetArguments {
    /// Which API
    #[command(flatten)]
    pub cluster: ClusterArguments,

    /// Which documents
    #[command(flatten)]
    pub files: FileArguments,

    /// KIND NAME..., KIND/NAME..., or KIND with `-l` or `--all`
    #[arg(value_name = "OBJECT")]
    pub objects: Vec<String>,

    /// Only objects with these labels
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        default_value = "",
        hide_default_value = true
    )]
    pub selector: String,

    /// All objects of the kind in the namespace
    #[arg(long)]
    pub all: bool,

    /// Objects of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

/// Options of `loopline delete`.
#[derive(Clone, Debug, Args)]
pub struct DeleteArguments {
    /// Which objects
    #[command(flatten)]
    pub target: TargetArguments,

    /// What is not there is no error
    #[arg(long)]
    pub ignore_not_found: bool,

    /// Wait until the objects are gone
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    pub wait: bool,

    /// How long to wait, such as `30s`; 0s waits without an end
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub timeout: String,

    /// What happens to the objects that belong to it
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub cascade: Cascade,

    /// How many seconds it is given to end
    #[arg(long, value_name = "SECONDS")]
    pub grace_period: Option<u32>,

    /// Delete nothing
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    pub(crate) dry_run: DryRun,

    /// How results are printed: name
    #[arg(short, long, value_name = "FORM")]
    pub output: Option<String>,
}

/// Options of `loopline diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffArguments {
    /// What would be applied
    #[command(flatten)]
    pub merge: MergeArguments,
}

/// Options of `loopline wait`.
#[derive(Clone, Debug, Args)]
pub struct WaitArguments {
    /// Which objects
    #[command(flatten)]
    pub target: TargetArguments,

    /// What for: create, delete, condition=NAME[=VALUE], jsonpath='{PATH}'[=VALUE]
    #[arg(long = "for", value_name = "WHAT")]
    pub wanted: String,

    /// How long, such as `90s`; 0s looks once, less waits for a week
    #[arg(long, value_name = "DURATION", default_value = "30s", allow_hyphen_values = true)]
    pub timeout: String,
}
