//! What the tests share: a runtime, specs and a reader of outputs.

use std::ffi::OsString;
use std::future::Future;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use loopline_sandbox::{Output, ProcessSpec, Stdin};

pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn bash(script: &str, cwd: &Path) -> ProcessSpec {
    ProcessSpec {
        program: "bash".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), PATH.into()), ("HOME".into(), OsString::from("/root"))],
        cwd: cwd.to_owned(),
        stdin: Stdin::Null,
        output: Output::Piped,
    }
}

/// Reads a pipe until every writer is gone.
pub(crate) fn read_all(output: Option<OwnedFd>) -> String {
    let mut text = Vec::new();
    let mut file = std::fs::File::from(output.unwrap());
    // A terminal ends with an error where a pipe ends with nothing.
    let _ = file.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads one line of a pipe.
pub(crate) fn read_line(output: &mut std::fs::File) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while output.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

pub(crate) fn is_alive(pid: &str) -> bool {
    match fs_err::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit_once(')').unwrap().1.trim_start().starts_with(['Z', 'X']),
        Err(_) => false,
    }
}
