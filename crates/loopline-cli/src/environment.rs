//! Every environment variable that Loopline itself reads, in one place.
//!
//! Variables that jobs get are the runner's business; what is read here steers the command.

use std::ffi::OsString;
use std::path::PathBuf;

/// A variable, and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does, for `loopline doctor` and the reference.
    pub about: &'static str,
}

macro_rules! variables {
    ($($constant:ident = $name:literal: $about:literal;)*) => {
        $(
            #[doc = $about]
            pub const $constant: Variable = Variable { name: $name, about: $about };
        )*
        /// All of them.
        pub const ALL: &[Variable] = &[$($constant),*];
    };
}

variables! {
    DATA = "LOOPLINE_DATA": "The data folder: runs, logs, artifacts, caches, actions.";
    XDG_DATA_HOME = "XDG_DATA_HOME": "Where the data folder lies unless LOOPLINE_DATA says.";
    HOME = "HOME": "The user's home folder.";
    ACTIONS = "LOOPLINE_ACTIONS": "A folder of action repositories (OWNER/NAME) to use first.";
    ACTIONS_URL = "LOOPLINE_ACTIONS_URL": "The server actions are fetched from, instead of https://github.com.";
    KUBECONFIG = "KUBECONFIG": "Where the Kubernetes API is that `apply`, `get`, `delete`, `diff` and `wait` talk to.";
    OFFLINE = "LOOPLINE_OFFLINE": "Never use the network, as --offline does, when set to 1.";
    NO_COLOR = "NO_COLOR": "No colours when set.";
    CLICOLOR_FORCE = "CLICOLOR_FORCE": "Colours also without a terminal, when not 0.";
    ACCESSIBLE = "ACCESSIBLE": "Linear output without a live region, when set to 1.";
    SSH_AUTH_SOCK = "SSH_AUTH_SOCK": "The agent that `loopline image build --ssh` passes on.";
    TERM = "TERM": "The terminal; `dumb` has no colours and no live region.";
    SHELL = "SHELL": "The shell that `loopline shell` opens.";
    PATH = "PATH": "Where steps find programs.";
    DOCKER_CONFIG = "DOCKER_CONFIG": "The folder of Docker's config.json, which has the logins of registries, instead of ~/.docker.";
    SOURCE_DATE_EPOCH = "SOURCE_DATE_EPOCH": "When images are said to be made, in seconds since 1970, instead of now.";
    USER = "USER": "The actor of a run, where git names none.";
}

impl Variable {
    /// Returns the variable's value, if it is set and not empty.
    pub fn get_os(self) -> Option<OsString> {
        #[expect(clippy::disallowed_methods, reason = "this is the registry")]
        std::env::var_os(self.name).filter(|value| !value.is_empty())
    }

    /// Returns the variable's value, if it is set, not empty and UTF-8.
    pub fn get(self) -> Option<String> {
        self.get_os().and_then(|value| value.into_string().ok())
    }

    /// Returns whether the variable is set to anything but `0` and `false`.
    pub fn is_on(self) -> bool {
        self.get().is_some_and(|value| value != "0" && value != "false")
    }
}

/// Returns the data folder's path, if any variable names one.
pub fn data_folder() -> Option<PathBuf> {
    DATA.get_os().map(PathBuf::from).or_else(|| {
        let base = XDG_DATA_HOME
            .get_os()
            .map(PathBuf::from)
            .or_else(|| HOME.get_os().map(|home| PathBuf::from(home).join(".local/share")))?;
        Some(base.join("loopline"))
    })
}

/// Variables of the user's that every job gets: where tools are, how they talk to people, and
/// how they reach the network. Nothing else is handed on, so a token in the user's shell is not
/// a token in a job.
const FOR_JOBS: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TERM",
    "RUSTUP_HOME",
    "CARGO_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUSTUP_AUTO_INSTALL",
    "JAVA_HOME",
    "GOROOT",
    "GOPATH",
    "NVM_DIR",
    "PYENV_ROOT",
    "VOLTA_HOME",
    "SDKMAN_DIR",
    "ASDF_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
];

/// Returns the variables that every job gets, in a fixed order.
pub(crate) fn for_jobs() -> indexmap::IndexMap<String, String> {
    #[expect(clippy::disallowed_methods, reason = "this is the registry")]
    let mut variables: indexmap::IndexMap<String, String> = FOR_JOBS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect();
    variables.extend(std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let value = value.into_string().ok()?;
        name.starts_with("LC_").then_some((name, value))
    }));
    variables
}

/// Returns a variable that an option names, for what is run with it.
pub(crate) fn of_name(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is the registry")]
    std::env::var(name).ok()
}

/// Returns where PATH has `program`.
pub(crate) fn program(program: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = PATH.get_os()?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| {
        fs_err::metadata(path)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}
