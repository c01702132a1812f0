//! The last thing of Loopline's that runs in a container before its program does.
//!
//! Whoever says `execve` is, for a moment, what `/proc/self/exe` names. An image whose program is
//! `/proc/self/exe`, or a script that names it as its interpreter, would so get hold of Loopline's
//! own binary on the host and, as root, overwrite it (as CVE-2019-5736 did with runc's). Therefore
//! the program is run by these few instructions, which live in a sealed file in memory: there is
//! nothing behind them to get hold of.
#![expect(unsafe_code, reason = "execveat(2) on a descriptor has no safe interface")]

use std::ffi::{CString, OsString};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// `execve(argv[0], &argv[1], environ)`, and `exit(127)` where that is not found, else `exit(126)`.
#[cfg(target_arch = "x86_64")]
const CODE: &[u8] = &[
    0x48, 0x8b, 0x7c, 0x24, 0x08, // mov rdi, [rsp+8]
    0x48, 0x8d, 0x74, 0x24, 0x10, // lea rsi, [rsp+16]
    0x48, 0x8b, 0x0c, 0x24, // mov rcx, [rsp]
    0x48, 0x8d, 0x54, 0xcc, 0x10, // lea rdx, [rsp+rcx*8+16]
    0xb8, 0x3b, 0x00, 0x00, 0x00, // mov eax, 59 (execve)
    0x0f, 0x05, // syscall
    0x83, 0xf8, 0xfe, // cmp eax, -2 (ENOENT)
    0xbf, 0x7e, 0x00, 0x00, 0x00, // mov edi, 126
    0x75, 0x05, // jne over the next
    0xbf, 0x7f, 0x00, 0x00, 0x00, // mov edi, 127
    0xb8, 0x3c, 0x00, 0x00, 0x00, // mov eax, 60 (exit)
    0x0f, 0x05, // syscall
];
#[cfg(target_arch = "x86_64")]
pub(super) const MACHINE: u16 = 62;

#[cfg(target_arch = "aarch64")]
const CODE: &[u8] = &[
    0xe0, 0x07, 0x40, 0xf9, // ldr x0, [sp, #8]
    0xe1, 0x43, 0x00, 0x91, // add x1, sp, #16
    0xe3, 0x03, 0x40, 0xf9, // ldr x3, [sp]
    0xe2, 0x6f, 0x23, 0x8b, // add x2, sp, x3, uxtx #3
    0x42, 0x40, 0x00, 0x91, // add x2, x2, #16
    0xa8, 0x1b, 0x80, 0xd2, // mov x8, #221 (execve)
    0x01, 0x00, 0x00, 0xd4, // svc #0
    0x1f, 0x08, 0x00, 0xb1, // cmn x0, #2 (ENOENT)
    0xc0, 0x0f, 0x80, 0xd2, // mov x0, #126
    0xe1, 0x0f, 0x80, 0xd2, // mov x1, #127
    0x20, 0x00, 0x80, 0x9a, // csel x0, x1, x0, eq
    0xa8, 0x0b, 0x80, 0xd2, // mov x8, #93 (exit)
    0x01, 0x00, 0x00, 0xd4, // svc #0
];
#[cfg(target_arch = "aarch64")]
pub(super) const MACHINE: u16 = 183;

/// Where the instructions are mapped.
const BASE: u64 = 0x40_0000;
/// The sizes of the two headers before them.
const HEADER_BYTES: u16 = 64;
const SEGMENT_BYTES: u16 = 56;

/// Makes the file: an ELF program of one segment.
pub(super) fn make() -> io::Result<OwnedFd> {
    let start = u64::from(HEADER_BYTES + SEGMENT_BYTES);
    let size = start + CODE.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(2_u16.to_le_bytes()); // an executable
    file.extend(MACHINE.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    for address in [BASE + start, u64::from(HEADER_BYTES), 0] {
        file.extend(address.to_le_bytes()); // the entry; the segments; no sections
    }
    file.extend(0_u32.to_le_bytes());
    for number in [HEADER_BYTES, SEGMENT_BYTES, 1, 0, 0, 0] {
        file.extend(number.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes()); // a loaded segment
    file.extend(5_u32.to_le_bytes()); // readable, executable
    for number in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(number.to_le_bytes());
    }
    file.extend(CODE);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels from 6.3 on ask whether it is to be run.
    let memory = memfd_create("loopline", flags | MemfdFlags::EXEC)
        .or_else(|_| memfd_create("loopline", flags))?;
    let mut memory = fs_err::File::from_parts(memory.into(), "trampoline");
    memory.write_all(&file)?;
    let memory: std::fs::File = memory.into_parts().0;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&memory, seals)?;
    Ok(memory.into())
}

/// Becomes `program`. Returns only where the trampoline itself cannot be run.
pub(super) fn execute(
    trampoline: &OwnedFd,
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
) -> io::Error {
    let text = |value: OsString| CString::new(value.into_vec());
    let args: Result<Vec<_>, _> = std::iter::once(program).chain(args).map(text).collect();
    let env: Result<Vec<_>, _> = env
        .into_iter()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            text(name)
        })
        .collect();
    let (Ok(args), Ok(env)) = (args, env) else { return io::ErrorKind::InvalidInput.into() };
    let pointers = |list: &[CString]| {
        let mut all: Vec<_> = list.iter().map(|it| it.as_ptr()).collect();
        all.push(std::ptr::null());
        all
    };
    let (argv, envp) = (pointers(&args), pointers(&env));
    // SAFETY: both lists end with a null pointer, and what they point to lives until the call
    // returns, if it does.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            trampoline.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    io::Error::last_os_error()
}
