//! Which references have a built-in equivalent.

use super::context::{Context, Failure};
use super::{artifact, cache, checkout, node, toolchain};

/// What an equivalent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `actions/checkout`
    Checkout,
    /// `actions/cache`
    Cache,
    /// `actions/cache/restore`
    CacheRestore,
    /// `actions/cache/save`
    CacheSave,
    /// `actions/upload-artifact`
    UploadArtifact,
    /// `actions/download-artifact`
    DownloadArtifact,
    /// `actions/setup-node`
    SetupNode,
    /// `actions/setup-python`
    SetupPython,
    /// `actions/setup-java`
    SetupJava,
    /// `actions/setup-go`
    SetupGo,
}

/// Each action: its name, what it is, and the oldest and newest major version it stands for.
const KNOWN: &[(&str, Kind, u64, u64)] = &[
    ("checkout", Kind::Checkout, 1, 6),
    ("cache", Kind::Cache, 1, 5),
    ("cache/restore", Kind::CacheRestore, 3, 5),
    ("cache/save", Kind::CacheSave, 3, 5),
    ("upload-artifact", Kind::UploadArtifact, 4, 7),
    ("download-artifact", Kind::DownloadArtifact, 4, 8),
    ("setup-node", Kind::SetupNode, 1, 6),
    ("setup-python", Kind::SetupPython, 1, 6),
    ("setup-java", Kind::SetupJava, 1, 5),
    ("setup-go", Kind::SetupGo, 1, 6),
];

/// What stands for one reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equivalent {
    kind: Kind,
    name: &'static str,
    major: u64,
    /// Whether the reference says the version, or a commit or branch hides it.
    certain: bool,
}

/// Returns what stands for `owner/repository[/path]@reference`, if anything does. A commit or a
/// branch is taken for the newest version, which the title says.
pub fn find(owner: &str, repository: &str, path: &str, reference: &str) -> Option<Equivalent> {
    if !owner.eq_ignore_ascii_case("actions") {
        return None;
    }
    let path = path.trim_matches('/');
    let full = if path.is_empty() { repository.to_owned() } else { format!("{repository}/{path}") };
    let (name, kind, oldest, newest) =
        KNOWN.iter().find(|(name, ..)| name.eq_ignore_ascii_case(&full))?;
    let digits = reference.strip_prefix('v').unwrap_or(reference);
    let is_version =
        digits.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let major = match digits.split('.').next().and_then(|major| major.parse::<u64>().ok()) {
        Some(major) if is_version && digits.len() < 20 => Some(major),
        _ => None,
    };
    match major {
        Some(major) if !(*oldest..=*newest).contains(&major) => None,
        Some(major) => Some(Equivalent { kind: *kind, name, major, certain: true }),
        None => Some(Equivalent { kind: *kind, name, major: *newest, certain: false }),
    }
}

impl Equivalent {
    /// Returns what it does.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the line the log shows.
    pub fn title(&self) -> String {
        let Self { name, major, .. } = self;
        if self.certain {
            format!("Loopline's built-in equivalent of actions/{name}, version {major}")
        } else {
            format!(
                "Loopline's built-in equivalent of actions/{name}, version {major} (assumed: \
                 the reference names no version)"
            )
        }
    }

    /// Does the work.
    ///
    /// # Errors
    /// [`Failure`]; the step then fails.
    pub fn main(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self.kind {
            Kind::Checkout => checkout::main(context),
            Kind::Cache => cache::main(context),
            Kind::CacheRestore => cache::restore(context).map(|_| ()),
            Kind::CacheSave => cache::save_now(context),
            Kind::UploadArtifact => artifact::upload(context),
            Kind::DownloadArtifact => artifact::download(context, self.major),
            Kind::SetupNode => node::main(context),
            Kind::SetupPython => toolchain::python(context),
            Kind::SetupJava => toolchain::java(context),
            Kind::SetupGo => toolchain::go(context),
        }
    }

    /// Returns the condition of its post step, if it has one.
    pub fn post_condition(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Cache | Kind::SetupNode | Kind::SetupPython | Kind::SetupJava | Kind::SetupGo => {
                Some("success()")
            }
            _ => None,
        }
    }

    /// Does what is left at the end of the job.
    ///
    /// # Errors
    /// [`Failure`]; the post step then fails.
    pub fn post(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self.kind {
            Kind::Cache | Kind::SetupNode | Kind::SetupPython | Kind::SetupJava | Kind::SetupGo => {
                cache::post(context)
            }
            _ => Ok(()),
        }
    }
}
