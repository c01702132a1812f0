//! `loopline container run` and `exec`: a container's streams joined to those of the command.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use loopline_node::{Containers, Found, NodeError};
use loopline_sandbox::{Container, ContainerError, Event};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{isatty, tcgetwinsize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::Signals;

use super::arguments::{CreateArguments, ExecArguments};
use super::{Context, Outcome, connect, create, failed, options, tell};
use crate::error::{Class, CommandError, Status};
use crate::terminal::{Raw, relay, write_all};

/// How much is passed on at once, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;

pub(super) fn run(
    context: &Context<'_>,
    containers: &Containers,
    arguments: &CreateArguments,
) -> Outcome {
    if arguments.tty && arguments.interactive && !isatty(io::stdin()) {
        return Err(CommandError::usage("--tty --interactive: the input is no terminal")
            .hint("leave --tty away where a program types"));
    }
    if arguments.detach && arguments.rm {
        return Err(CommandError::usage("--detach with --rm: nobody would be there to remove it")
            .hint("`loopline container rm NAME` removes it afterwards"));
    }
    let found = create(context, containers, arguments)?;
    let result = start(context, containers, arguments, &found);
    if arguments.rm {
        let removed = containers.remove(&found, true).map_err(failed);
        // What went wrong first is what is told.
        return result.and_then(|status| removed.map(|()| status));
    }
    result
}

fn start(
    context: &Context<'_>,
    containers: &Containers,
    arguments: &CreateArguments,
    found: &Found,
) -> Outcome {
    if arguments.detach {
        containers.start(found, None).map_err(failed)?;
        tell(context, &found.record.id);
        return Ok(Status::Ok);
    }
    // What nobody can ask for later need not be kept: the container then has our own streams.
    let direct = arguments.rm && !arguments.tty;
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let null: OwnedFd;
    let streams = direct.then(|| -> io::Result<_> {
        let file = fs_err::File::open("/dev/null")?;
        Ok(file.into_parts().0.into())
    });
    let streams = match streams.transpose()? {
        Some(file) => {
            null = file;
            let input = if arguments.interactive { stdin.as_fd() } else { null.as_fd() };
            Some([input, stdout.as_fd(), stderr.as_fd()])
        }
        None => None,
    };
    let container = match containers.start(found, streams) {
        Ok(container) => container,
        // Docker's codes for a program that is not there or cannot be run.
        Err(NodeError::Container(ContainerError::Refused { code, message })) => {
            return Err(CommandError::new(Class::Child(code), message));
        }
        Err(other) => return Err(failed(other)),
    };
    for note in container.state().map(|state| state.notes).unwrap_or_default() {
        context.printer.err(&format!("note: {note}"));
    }
    let _signals = pass_signals(&found.folder)?;
    if direct {
        return Ok(Status::Child(container.wait()?.code));
    }
    container.follow(true)?;
    let _raw = (arguments.tty && isatty(&stdin)).then(Raw::new).transpose()?;
    let mut input = arguments.interactive;
    if !input {
        container.input(&[])?;
    }
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let wanted = if input { PollFlags::IN } else { PollFlags::empty() };
        let mut polled = [
            PollFd::from_borrowed_fd(container.descriptor(), PollFlags::IN),
            PollFd::from_borrowed_fd(stdin.as_fd(), wanted),
        ];
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let [said, typed] = polled.map(|one| one.revents());
        if !said.is_empty() {
            match container.next()? {
                Event::Output(false, text) => write_all(&stdout, &text)?,
                Event::Output(true, text) => write_all(&stderr, &text)?,
                Event::Ended(ended) => return Ok(Status::Child(ended.code)),
                _ => {}
            }
        }
        if input && !typed.is_empty() {
            match rustix::io::read(&stdin, &mut buffer) {
                Ok(0) | Err(Errno::IO) => {
                    input = false;
                    container.input(&[])?;
                }
                Ok(count) => container.input(&buffer[..count])?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }
}

/// Passes the signals of this command on to the container, and the size of its terminal.
fn pass_signals(folder: &Path) -> io::Result<signal_hook::iterator::Handle> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH])?;
    let handle = signals.handle();
    let folder = folder.to_owned();
    let size = |container: &Container| {
        if let Ok(size) = tcgetwinsize(io::stdout()) {
            // A container that has ended has no terminal.
            let _ = container.resize(size.ws_row, size.ws_col);
        }
    };
    if let Ok(container) = Container::connect(&folder) {
        size(&container);
    }
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in &mut signals {
            // Where it is gone there is nobody to signal.
            let Ok(container) = Container::connect(&folder) else { return };
            if signal == SIGWINCH {
                size(&container);
            } else {
                let _ = container.signal(signal);
            }
        }
    })?;
    Ok(handle)
}

pub(super) fn execute(containers: &Containers, arguments: &ExecArguments) -> Outcome {
    let found = containers.find(&arguments.name).map_err(failed)?;
    let container = connect(&found)?;
    let mut process = found.record.spec.process.clone();
    process.args = arguments.command.clone();
    process.env.extend(options::variables(&arguments.env, &[])?);
    if arguments.tty {
        process.env.push("TERM=xterm".to_owned());
    }
    if let Some(folder) = &arguments.workdir {
        process.cwd.clone_from(folder);
    }
    if let Some(user) = &arguments.user {
        process.user.clone_from(user);
    }
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let null = fs_err::File::open("/dev/null")?;
    let input = if arguments.interactive { stdin.as_fd() } else { null.as_fd() };
    let streams = (!arguments.tty).then(|| [input, stdout.as_fd(), stderr.as_fd()]);
    let terminal = match container.execute(&process, streams) {
        Err(ContainerError::Refused { code, message }) => {
            return Err(CommandError::new(Class::Child(code), message));
        }
        result => result?,
    };
    if let Some(terminal) = terminal {
        if isatty(&stdin) {
            relay(container.descriptor(), &terminal)?;
        } else {
            carry(&container, &terminal)?;
        }
    }
    loop {
        if let Event::Ended(ended) = container.next()? {
            return Ok(Status::Child(ended.code));
        }
    }
}

/// Carries a terminal's output where ours is none.
fn carry(container: &Container, terminal: &OwnedFd) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let mut polled = [
            PollFd::from_borrowed_fd(terminal.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(container.descriptor(), PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [printed, ended] = polled.map(|one| one.revents());
        if !printed.is_empty() {
            match rustix::io::read(terminal, &mut buffer) {
                Ok(count) if count > 0 => write_all(io::stdout(), &buffer[..count])?,
                Ok(_) | Err(Errno::IO) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        } else if !ended.is_empty() {
            return Ok(());
        }
    }
}
