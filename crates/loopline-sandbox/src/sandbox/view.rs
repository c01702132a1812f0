//! The plan of what a sandbox sees: a list of operations on an empty root, made by the owner from
//! the host as it is, and carried out blindly by the helper ([`super::setup`]).

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::interfaces;
use super::layers::Layers;
use super::protocol::{Decoder, Encoder};
use super::secrets;
use super::spec::{Network, SandboxSpec};

/// One step from an empty root to the sandbox's view. Targets are paths inside, sources are real
/// paths of the host, without symbolic links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Creates a folder and its parents.
    Folder(PathBuf),
    /// Creates a symbolic link.
    Link { target: PathBuf, to: PathBuf },
    /// Mounts a folder copy-on-write, with these files above the host's; read-only where that is
    /// impossible.
    Overlay {
        target: PathBuf,
        lower: PathBuf,
        upper: PathBuf,
        work: PathBuf,
        files: Vec<(OsString, OsString)>,
    },
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
/// The devices that every job and container has.
pub(crate) const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
/// The links in `/dev`, and where they lead.
pub(crate) const DEVICE_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

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

/// Plans the view, and the layers it needs.
pub(super) fn plan(spec: &SandboxSpec, facts: &HostFacts) -> io::Result<(Vec<Operation>, Layers)> {
    let mut plan = Vec::new();
    let mut layers = Layers::default();
    for path in SYSTEM.iter().map(Path::new) {
        let Ok(metadata) = fs::symlink_metadata(path) else { continue };
        if metadata.is_symlink() {
            plan.push(Operation::Link { target: path.to_owned(), to: fs::read_link(path)? });
        } else if metadata.is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            plan.push(Operation::Folder(path.to_owned()));
            if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()) {
                own(spec, &name, path, &mut plan, &mut layers);
                continue;
            }
            let (upper, work) = (format!("{name}.upper"), format!("{name}.work"));
            layers.folder(upper.as_ref());
            layers.work_folder(work.as_ref());
            plan.push(Operation::Overlay {
                target: path.to_owned(),
                lower: path.to_owned(),
                upper: spec.state.join(upper),
                work: spec.state.join(work),
                files: if name == "etc" { names(spec) } else { Vec::new() },
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
    own_folders(spec, &mut plan, &mut layers);
    devices(&mut plan);
    plan.push(Operation::Kernel);
    for target in &spec.scaffolds {
        plan.push(Operation::Memory {
            target: target.clone(),
            options: "size=1m,mode=755".to_owned(),
        });
    }
    for bind in &spec.binds {
        plan.push(Operation::Bind {
            target: bind.target.clone(),
            source: fs::canonicalize(&bind.source)?,
            read_only: bind.read_only,
            required: true,
        });
    }
    mount_points_in_layers(spec, &plan, &mut layers);
    Ok((plan, layers))
}

/// Gives the job a folder of its own.
fn own(
    spec: &SandboxSpec,
    name: &str,
    target: &Path,
    plan: &mut Vec<Operation>,
    layers: &mut Layers,
) {
    layers.folder(name.as_ref());
    plan.push(Operation::Bind {
        target: target.to_owned(),
        source: spec.state.join(name),
        read_only: false,
        required: true,
    });
}

/// The files of `/etc` that tell the sandbox's own names.
fn names(spec: &SandboxSpec) -> Vec<(OsString, OsString)> {
    let name = &spec.hostname;
    let resolver = match spec.network {
        Network::User => format!("nameserver {}\n", interfaces::RESOLVER),
        Network::None => String::new(),
    };
    [
        ("resolv.conf", resolver),
        ("hosts", format!("127.0.0.1 localhost {name}\n::1 localhost\n")),
        ("hostname", format!("{name}\n")),
    ]
    .map(|(file, text)| (file.into(), text.into()))
    .into()
}

/// The folders that are the job's alone: temporary files, `/var`, the home.
fn own_folders(spec: &SandboxSpec, plan: &mut Vec<Operation>, layers: &mut Layers) {
    for folder in ["var/tmp", "var/cache", "var/lib", "var/log"] {
        layers.folder(folder.as_ref());
    }
    own(spec, "var", Path::new("/var"), plan, layers);
    own(spec, "tmp", Path::new("/tmp"), plan, layers);
    plan.push(Operation::Memory { target: "/run".into(), options: "size=64m,mode=755".to_owned() });
    for path in INSTALLED.iter().map(PathBuf::from).filter(|path| path.is_dir()) {
        plan.push(Operation::Bind {
            target: path.clone(),
            source: path,
            read_only: true,
            required: false,
        });
    }
    own(spec, "home", &spec.home, plan, layers);
    for path in TOOLCHAINS.iter().map(|name| spec.home.join(name)) {
        let Ok(source) = fs::canonicalize(&path) else { continue };
        if source.is_dir() {
            plan.push(Operation::Bind { target: path, source, read_only: true, required: false });
        }
    }
}

/// Adds the mount points that lie in folders of the job's own, so that they are made once.
fn mount_points_in_layers(spec: &SandboxSpec, plan: &[Operation], layers: &mut Layers) {
    // The innermost folder that something is mounted on decides where a mount point is made.
    let mut mounted: Vec<(&Path, Option<&Path>)> = Vec::new();
    for operation in plan {
        let (target, source) = match operation {
            Operation::Bind { target, source, .. } => (target, Some(source.as_path())),
            Operation::Overlay { target, .. } | Operation::Memory { target, .. } => (target, None),
            _ => continue,
        };
        let below = mounted
            .iter()
            .filter(|(folder, _)| target.starts_with(folder) && target != folder)
            .max_by_key(|(folder, _)| folder.as_os_str().len());
        if let Some((folder, Some(layer))) = below
            && let (Ok(inside), Ok(path)) =
                (layer.strip_prefix(&spec.state), target.strip_prefix(folder))
            && source.is_none_or(Path::is_dir)
        {
            layers.folder(&inside.join(path));
        }
        mounted.push((target, source));
    }
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
    for (name, to) in DEVICE_LINKS {
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
        Operation::Overlay { target, lower, upper, work, files } => message
            .number(2)
            .bytes(target)
            .bytes(lower)
            .bytes(upper)
            .bytes(work)
            .list(files, |message, (name, text)| message.bytes(name).bytes(text)),
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
            upper: message.bytes()?.into(),
            work: message.bytes()?.into(),
            files: message.list(|message| Ok((message.bytes()?, message.bytes()?)))?,
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
