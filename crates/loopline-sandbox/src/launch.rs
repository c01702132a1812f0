//! Starts one process, here and now: finds the program, wires the streams, calls `posix_spawn`.
//! Both the host executor and a sandbox's first process use it. Who owns the process afterwards
//! is their business.
#![expect(unsafe_code, reason = "a new session for a terminal must be opened in the child itself")]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Access, Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::process::{Pid, ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::process::SpawnError;

/// What the kernel is asked to hold of a job's output that was not read yet: large enough that a
/// chatty step seldom waits for the reader. Not getting it is no error.
const PIPE_BYTES: usize = 256 * 1024;

/// The `PATH` of a process whose environment has none, as execvp(3) has it.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A process to start, with its streams already chosen.
pub(crate) struct Launch<'a> {
    pub(crate) program: &'a OsStr,
    pub(crate) args: &'a [OsString],
    pub(crate) env: &'a [(OsString, OsString)],
    pub(crate) cwd: &'a Path,
    pub(crate) streams: Streams,
}

/// The streams of a process to start.
pub(crate) enum Streams {
    /// Standard input and the two outputs.
    Plain { stdin: Stdio, stdout: Stdio, stderr: Stdio },
    /// The child's side of a terminal.
    Terminal(OwnedFd),
}

/// Opens the pipe of [`crate::Output::Piped`]: the reading end, then the writing end.
///
/// # Errors
/// Where the process has too many files open.
pub fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    // An unprivileged user has a limit on pipe memory; the smaller default works as well.
    let _ = fcntl_setpipe_size(&write, PIPE_BYTES);
    Ok((read, write))
}

/// Opens a terminal: Loopline's side, then the child's.
pub(crate) fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
    Ok((ours, theirs))
}

/// Starts the process as the leader of a new process group (of a new session with a terminal).
pub(crate) fn launch(launch: Launch<'_>) -> Result<Pid, SpawnError> {
    let Launch { program, args, env, cwd, streams } = launch;
    let file = find(program, env, cwd)?;
    #[expect(clippy::disallowed_methods, reason = "this is the one place that starts processes")]
    let mut command = Command::new(&file);
    // The absolute program and the absence of a PATH change keep std on its `posix_spawn` path.
    command.arg0(program).args(args).env_clear().current_dir(cwd);
    command.envs(env.iter().map(|(name, value)| (name, value)));
    match streams {
        Streams::Plain { stdin, stdout, stderr } => {
            command.stdin(stdin).stdout(stdout).stderr(stderr).process_group(0);
        }
        Streams::Terminal(theirs) => {
            let system = |source| SpawnError::System { program: file.clone(), source };
            let out = theirs.as_fd().try_clone_to_owned().map_err(system)?;
            let err = theirs.as_fd().try_clone_to_owned().map_err(system)?;
            command.stdin(theirs).stdout(out).stderr(err);
            // SAFETY: the closure runs between fork and exec and makes two system calls through
            // rustix, which neither allocates nor takes locks.
            unsafe {
                command.pre_exec(|| {
                    setsid()?;
                    ioctl_tiocsctty(rustix::stdio::stdin())?;
                    Ok(())
                });
            }
        }
    }
    let child = command.spawn().map_err(|source| explain(source, &file, cwd))?;
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| SpawnError::System {
        program: file,
        source: io::ErrorKind::InvalidData.into(),
    })
}

/// Finds the program as execvp(3) does, in the process's own `PATH` and relative to its folder.
pub(crate) fn find(
    program: &OsStr,
    env: &[(OsString, OsString)],
    cwd: &Path,
) -> Result<PathBuf, SpawnError> {
    if program.as_bytes().contains(&b'/') {
        let file = cwd.join(program);
        return match may_execute(&file) {
            Ok(()) => Ok(file),
            Err(Errno::ACCESS) => Err(SpawnError::Denied { program: file }),
            // A missing folder explains a missing program in it, so it is reported first.
            Err(_) => match enter(cwd) {
                Ok(()) => Err(SpawnError::NotFound {
                    program: program.to_owned(),
                    path: file.parent().unwrap_or(cwd).as_os_str().to_owned(),
                }),
                Err(source) => Err(SpawnError::Directory { cwd: cwd.to_owned(), source }),
            },
        };
    }
    let path = env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map_or_else(|| OsString::from(DEFAULT_PATH), |(_, value)| value.clone());
    let mut denied = None;
    for folder in std::env::split_paths(&path) {
        let file = cwd.join(folder).join(program);
        match may_execute(&file) {
            Ok(()) => return Ok(file),
            Err(Errno::ACCESS) => denied = denied.or(Some(file)),
            Err(_) => {}
        }
    }
    match denied {
        Some(program) => Err(SpawnError::Denied { program }),
        None => Err(SpawnError::NotFound { program: program.to_owned(), path }),
    }
}

/// Says whether `file` is a regular file that this process may execute.
fn may_execute(file: &Path) -> Result<(), Errno> {
    rustix::fs::access(file, Access::EXEC_OK)?;
    let stat = rustix::fs::stat(file)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
        Ok(())
    } else {
        Err(Errno::ACCESS)
    }
}

fn enter(cwd: &Path) -> io::Result<()> {
    // Bare error numbers, because they travel to the sandbox's owner.
    let about = rustix::fs::stat(cwd)?;
    if rustix::fs::FileType::from_raw_mode(about.st_mode) != rustix::fs::FileType::Directory {
        return Err(Errno::NOTDIR.into());
    }
    Ok(rustix::fs::access(cwd, Access::EXEC_OK)?)
}

/// Turns what the system said into what is wrong.
fn explain(source: io::Error, file: &Path, cwd: &Path) -> SpawnError {
    let program = file.to_owned();
    if source.kind() == io::ErrorKind::InvalidInput {
        return SpawnError::ZeroByte { program };
    }
    if let Err(source) = enter(cwd) {
        return SpawnError::Directory { cwd: cwd.to_owned(), source };
    }
    match Errno::from_io_error(&source) {
        Some(Errno::NOENT) => SpawnError::Interpreter { program },
        Some(Errno::ACCESS | Errno::PERM) => SpawnError::Denied { program },
        Some(Errno::NOEXEC) => SpawnError::Format { program },
        Some(Errno::TOOBIG) => SpawnError::TooLarge { program },
        _ => SpawnError::System { program, source },
    }
}
