//! The plan of what a sandbox sees: a list of operations on an empty root, made by the owner from
//! the host as it is, and carried out blindly by the helper ([`super::setup`]).

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::protocol::{Decoder, Encoder};
use super::secrets;
use super::spec::SandboxSpec;

/// One step from an empty root to the sandbox's view. Targets are paths inside, sources are real
/// paths of the host, without symbolic links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Creates a folder and its parents.
    Folder(PathBuf),
    /// Creates a symbolic link.
    Link { target: PathBuf, to: PathBuf },
    /// Mounts a folder copy-on-write; read-only where that is impossible.
    Overlay { target: PathBuf, lower: PathBuf, layer: PathBuf },
    /// Makes a folder or file of the host visible.
    Bind { target: PathBuf, source: PathBuf, read_only: bool, required: bool },
    /// Mounts a file system that lives in memory.
    Memory { target: PathBuf, options: String },
    /// Covers a file or folder with an empty one that nobody can read.
    Hide(PathBuf),
    /// Mounts `/proc`, `/sys` and the pseudo terminals.
    Kernel,
}

/// Top-level folders of the host that a job sees copy-on-write, or as the symbolic link they are.
const SYSTEM: &[&str] = &[
    "/usr", "/etc", "/opt", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/gnu",
];
/// The parts of `/var` that tools look up what is installed in.
const INSTALLED: &[&str] = &[
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/lib/rpm",
    "/var/lib/pacman",
    "/var/lib/apk",
    "/var/lib/ghc",
    "/var/lib/gems",
    "/var/lib/texmf",
    "/var/lib/flatpak",
    "/var/lib/python",
];
/// Folders of the real home that hold toolchains and no credentials.
const TOOLCHAINS: &[&str] = &[
    ".asdf",
    ".bun",
    ".cargo/bin",
    ".deno",
    ".dotnet",
    ".ghcup",
    ".jabba",
    ".jenv",
    ".juliaup",
    ".local/bin",
    ".local/pipx",
    ".local/share/fnm",
    ".local/share/mise",
    ".local/share/pnpm",
    ".local/share/rtx",
    ".local/share/uv",
    ".nodenv",
    ".nvm",
    ".opam",
    ".pyenv",
    ".rbenv",
    ".rustup",
    ".rvm",
    ".sdkman",
    ".swiftly",
    ".volta",
    "go/bin",
    "sdk",
];
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// The host, as far as the view depends on it.
pub(super) struct HostFacts {
    pub(super) mount_points: Vec<PathBuf>,
    pub(super) hidden: Vec<PathBuf>,
}

impl HostFacts {
    pub(super) fn read() -> io::Result<Self> {
        Ok(Self { mount_points: mount_points()?, hidden: secrets::hidden() })
    }
}

/// Plans the view and creates the folders of the layers it needs.
pub(super) fn plan(spec: &SandboxSpec, facts: &HostFacts) -> io::Result<Vec<Operation>> {
    let mut plan = Vec::new();
    let layers = spec.state.join("layers");
    for path in SYSTEM.iter().map(Path::new) {
        let Ok(metadata) = fs::symlink_metadata(path) else { continue };
        if metadata.is_symlink() {
            plan.push(Operation::Link { target: path.to_owned(), to: fs::read_link(path)? });
        } else if metadata.is_dir() {
            let name = path.file_name().unwrap_or_default();
            let layer = layers.join(name);
            for part in ["upper", "work"] {
                fs::create_dir_all(layer.join(part))?;
            }
            plan.push(Operation::Folder(path.to_owned()));
            plan.push(Operation::Overlay {
                target: path.to_owned(),
                lower: path.to_owned(),
                layer,
            });
            for below in facts.mount_points.iter().filter(|it| it.starts_with(path) && *it != path)
            {
                plan.push(Operation::Bind {
                    target: below.clone(),
                    source: below.clone(),
                    read_only: true,
                    required: false,
                });
            }
        }
    }
    plan.extend(facts.hidden.iter().cloned().map(Operation::Hide));
    own_folders(spec, &mut plan)?;
    devices(&mut plan);
    plan.push(Operation::Kernel);
    for bind in &spec.binds {
        plan.push(Operation::Bind {
            target: bind.target.clone(),
            source: fs::canonicalize(&bind.source)?,
            read_only: bind.read_only,
            required: true,
        });
    }
    Ok(plan)
}

/// The folders that are the job's alone: temporary files, `/var`, the home.
fn own_folders(spec: &SandboxSpec, plan: &mut Vec<Operation>) -> io::Result<()> {
    let own = |name: &str, target: &Path, plan: &mut Vec<Operation>| -> io::Result<()> {
        let source = spec.state.join(name);
        fs::create_dir_all(&source)?;
        plan.push(Operation::Bind {
            target: target.to_owned(),
            source: fs::canonicalize(source)?,
            read_only: false,
            required: true,
        });
        Ok(())
    };
    for folder in ["var/tmp", "var/cache", "var/lib", "var/log"] {
        fs::create_dir_all(spec.state.join(folder))?;
    }
    own("var", Path::new("/var"), plan)?;
    own("tmp", Path::new("/tmp"), plan)?;
    plan.push(Operation::Memory { target: "/run".into(), options: "size=64m,mode=755".to_owned() });
    for path in INSTALLED.iter().map(PathBuf::from).filter(|path| path.is_dir()) {
        plan.push(Operation::Bind {
            target: path.clone(),
            source: path,
            read_only: true,
            required: false,
        });
    }
    own("home", &spec.home, plan)?;
    for path in TOOLCHAINS.iter().map(|name| spec.home.join(name)) {
        let Ok(source) = fs::canonicalize(&path) else { continue };
        if source.is_dir() {
            plan.push(Operation::Bind { target: path, source, read_only: true, required: false });
        }
    }
    Ok(())
}

fn devices(plan: &mut Vec<Operation>) {
    plan.push(Operation::Memory { target: "/dev".into(), options: "size=1m,mode=755".to_owned() });
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        plan.push(Operation::Bind {
            target: path.clone(),
            source: path,
            read_only: false,
            required: true,
        });
    }
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ];
    for (name, to) in links {
        plan.push(Operation::Link { target: Path::new("/dev").join(name), to: to.into() });
    }
    plan.push(Operation::Memory {
        target: "/dev/shm".into(),
        options: "size=1g,mode=1777".to_owned(),
    });
}

/// Reads where the host has mounted something.
fn mount_points() -> io::Result<Vec<PathBuf>> {
    use std::os::unix::ffi::OsStringExt as _;
    let text = fs::read("/proc/self/mountinfo")?;
    let mut found = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        // The fifth field; spaces, tabs, newlines and backslashes are written in octal.
        let Some(field) = line.split(|byte| *byte == b' ').nth(4) else { continue };
        let mut path = Vec::with_capacity(field.len());
        let mut rest = field;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            let octal =
                |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok();
            match (byte, rest.get(..3).and_then(octal)) {
                (b'\\', Some(code)) => {
                    path.push(code);
                    rest = &rest[3..];
                }
                _ => path.push(byte),
            }
        }
        found.push(PathBuf::from(OsString::from_vec(path)));
    }
    Ok(found)
}

/// Writes an operation into a message.
pub(super) fn encode(message: Encoder, operation: &Operation) -> Encoder {
    match operation {
        Operation::Folder(path) => message.number(0).bytes(path),
        Operation::Link { target, to } => message.number(1).bytes(target).bytes(to),
        Operation::Overlay { target, lower, layer } => {
            message.number(2).bytes(target).bytes(lower).bytes(layer)
        }
        Operation::Bind { target, source, read_only, required } => message
            .number(3)
            .bytes(target)
            .bytes(source)
            .number(u32::from(*read_only))
            .number(u32::from(*required)),
        Operation::Memory { target, options } => message.number(4).bytes(target).bytes(options),
        Operation::Hide(path) => message.number(5).bytes(path),
        Operation::Kernel => message.number(6),
    }
}

/// Reads an operation out of a message.
pub(super) fn decode(message: &mut Decoder<'_>) -> io::Result<Operation> {
    Ok(match message.number()? {
        0 => Operation::Folder(message.bytes()?.into()),
        1 => Operation::Link { target: message.bytes()?.into(), to: message.bytes()?.into() },
        2 => Operation::Overlay {
            target: message.bytes()?.into(),
            lower: message.bytes()?.into(),
            layer: message.bytes()?.into(),
        },
        3 => Operation::Bind {
            target: message.bytes()?.into(),
            source: message.bytes()?.into(),
            read_only: message.number()? == 1,
            required: message.number()? == 1,
        },
        4 => Operation::Memory {
            target: message.bytes()?.into(),
            options: message.bytes()?.to_string_lossy().into_owned(),
        },
        5 => Operation::Hide(message.bytes()?.into()),
        6 => Operation::Kernel,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    })
}
