//! How a command ends: one classifier decides the exit status.

use std::fmt;
use std::process::ExitCode;

use loopline_diagnostic::Diagnostic;

/// How a command that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// All is well.
    Ok,
    /// The thing that was asked for failed: a red run, findings.
    Failed,
    /// It was interrupted.
    Interrupted,
    /// A child's own status (`shell`).
    Child(u8),
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Ok => 0,
            Status::Failed => 1,
            Status::Interrupted => 130,
            Status::Child(code) => code,
        })
    }
}

/// Whose business an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The command line or a file is wrong: status 2.
    Usage,
    /// Something is not allowed: status 4.
    Permission,
    /// The work itself failed: status 1.
    Failed,
    /// A program in a container could not be started: Docker's status for it.
    Child(u8),
    /// We are wrong: status 70.
    Internal,
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct CommandError {
    /// Whose business it is.
    pub(crate) class: Class,
    /// What happened: a sentence, lowercase, without a full stop.
    pub(crate) message: String,
    /// What to do next, one a line.
    pub(crate) hints: Vec<String>,
    /// Findings that say it better, with files and lines.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl CommandError {
    /// Returns an error that the user can mend.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Usage, message)
    }

    /// Returns an error of `class`.
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), hints: Vec::new(), diagnostics: Vec::new() }
    }

    /// Adds a hint.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds findings.
    #[must_use]
    pub(crate) fn with(mut self, diagnostics: Vec<Diagnostic>) -> Self {
        self.diagnostics = diagnostics;
        self
    }

    /// Returns the exit status.
    pub(crate) fn code(&self) -> u8 {
        match self.class {
            Class::Usage => 2,
            Class::Permission => 4,
            Class::Failed => 1,
            Class::Child(code) => code,
            Class::Internal => 70,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        let class = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Class::Permission,
            _ => Class::Failed,
        };
        Self::new(class, error.to_string())
    }
}

impl From<loopline_runner::services::storage::StorageError> for CommandError {
    fn from(error: loopline_runner::services::storage::StorageError) -> Self {
        Self::new(Class::Failed, error.to_string())
    }
}

impl From<loopline_image::store::StoreError> for CommandError {
    fn from(error: loopline_image::store::StoreError) -> Self {
        use loopline_image::store::StoreError;
        let message = chain(&error);
        match error {
            StoreError::Io(error) => error.into(),
            StoreError::NoImage(name) => Self::usage(message)
                .hint(format!("`loopline image pull {name}` fetches it from its registry"))
                .hint("`loopline image load FILE` takes in what `docker save` wrote, `loopline image import FILE NAME` a root file system")
                .hint(format!("`loopline image alias {name} OTHER` lets an image that is here stand in for it")),
            StoreError::Ambiguous(_) => {
                Self::usage(message).hint("`loopline image ls` lists the images; give more digits")
            }
            StoreError::Platform { .. } => {
                Self::usage(message).hint("--platform OS/ARCH chooses another one")
            }
            StoreError::Newer { .. } => Self::usage(message).hint(
                "use the newer Loopline, or another folder: `LOOPLINE_DATA=DIR loopline ...`",
            ),
            StoreError::BadReference(_) | StoreError::AliasLoop(_) => Self::usage(message),
            StoreError::NoBlob(_) => {
                Self::new(Class::Failed, message).hint("pull, load or build the image again")
            }
            _ => Self::new(Class::Failed, message),
        }
    }
}

impl From<loopline_image::archive::ArchiveError> for CommandError {
    fn from(error: loopline_image::archive::ArchiveError) -> Self {
        use loopline_image::archive::ArchiveError;
        let message = chain(&error);
        match error {
            ArchiveError::Store(error) => error.into(),
            ArchiveError::Io(error) => error.into(),
            ArchiveError::NoImage { path } => Self::usage(message).hint(format!(
                "`loopline image import {path} NAME` makes an image of a root file system"
            )),
            _ => Self::usage(message),
        }
    }
}

impl From<loopline_image::registry::client::RegistryError> for CommandError {
    fn from(error: loopline_image::registry::client::RegistryError) -> Self {
        use loopline_image::registry::client::Cause;
        use loopline_image::store::StoreError;
        let message = chain(&error);
        let registry = &error.registry;
        match *error.cause {
            Cause::Unauthorized { .. } => Self::new(Class::Permission, message).hint(format!(
                "`docker login {registry}`, `podman login --authfile ~/.docker/config.json \
                 {registry}` or `skopeo login` keeps a login where it is looked for"
            )),
            Cause::Connect { .. } => Self::new(Class::Failed, message).hint(
                "without a network, `loopline image load FILE` takes in what another machine saved",
            ),
            Cause::Store(StoreError::NoImage(_) | StoreError::Platform { .. }) => {
                Self::usage(message)
            }
            Cause::Address { .. } | Cause::Config(_) => Self::usage(message),
            _ => Self::new(Class::Failed, message),
        }
    }
}

impl From<loopline_image::reference::BadReference> for CommandError {
    fn from(error: loopline_image::reference::BadReference) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<loopline_image::platform::BadPlatform> for CommandError {
    fn from(error: loopline_image::platform::BadPlatform) -> Self {
        Self::usage(error.to_string())
    }
}

/// Returns an error and what caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

impl From<loopline_store::FolderError> for CommandError {
    fn from(error: loopline_store::FolderError) -> Self {
        use loopline_store::FolderError;
        match error {
            FolderError::Io(error) => error.into(),
            FolderError::NoRun(_) => {
                Self::usage(error.to_string()).hint("`loopline runs` lists the runs there are")
            }
            FolderError::Newer { .. } => Self::usage(error.to_string()).hint(
                "use the newer Loopline, or another folder: `LOOPLINE_DATA=DIR loopline ...`",
            ),
            FolderError::BadVersion { .. } => {
                Self::usage(error.to_string()).hint("is LOOPLINE_DATA a folder that Loopline made?")
            }
        }
    }
}
