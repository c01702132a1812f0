//! The messages between a sandbox's owner and its first process: bytes and descriptors over a
//! sequenced-packet socket. Both ends are the same binary, so there is no version.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice, IoSliceMut, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use fs_err as fs;
use rustix::cmsg_space;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The most descriptors one message carries.
const DESCRIPTORS: usize = 8;
/// Messages up to this size travel in the packet, larger ones in an anonymous file.
const INLINE_BYTES: usize = 32 * 1024;
/// The largest message either end takes: more than the kernel's limit for the arguments and
/// environment of one process.
const MESSAGE_BYTES: u64 = 16 * 1024 * 1024;

/// A message under construction.
#[derive(Default)]
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    pub(crate) fn number(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn signed(self, value: i32) -> Self {
        self.number(value.cast_unsigned())
    }

    pub(crate) fn bytes(self, value: impl AsRef<OsStr>) -> Self {
        let value = value.as_ref().as_bytes();
        let mut this = self.number(u32::try_from(value.len()).unwrap_or(u32::MAX));
        this.0.extend(value);
        this
    }

    pub(crate) fn list<T>(self, items: &[T], each: impl Fn(Self, &T) -> Self) -> Self {
        let this = self.number(u32::try_from(items.len()).unwrap_or(u32::MAX));
        items.iter().fold(this, each)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// A message being read. Malformed ones are an error, since the other end is ourselves.
pub(crate) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn number(&mut self) -> io::Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes(bytes.try_into().map_err(io::Error::other)?))
    }

    pub(crate) fn signed(&mut self) -> io::Result<i32> {
        self.number().map(u32::cast_signed)
    }

    pub(crate) fn bytes(&mut self) -> io::Result<OsString> {
        let count = usize::try_from(self.number()?).map_err(io::Error::other)?;
        Ok(OsString::from_vec(self.take(count)?.to_vec()))
    }

    pub(crate) fn list<T>(
        &mut self,
        each: impl Fn(&mut Self) -> io::Result<T>,
    ) -> io::Result<Vec<T>> {
        let count = self.number()?;
        (0..count).map(|_| each(self)).collect()
    }
}

/// Sends one message.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    message: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let mut all = descriptors.to_vec();
    let file;
    let (kind, body) = if message.len() <= INLINE_BYTES {
        (0, message)
    } else {
        let mut spill =
            fs::File::from_parts(memfd_create("loopline", MemfdFlags::CLOEXEC)?.into(), "message");
        spill.write_all(message)?;
        spill.rewind()?;
        file = spill;
        all.push(std::os::fd::AsFd::as_fd(&file));
        (1, &[][..])
    };
    if all.len() > DESCRIPTORS
        || !(all.is_empty() || control.push(SendAncillaryMessage::ScmRights(&all)))
    {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let parts = [IoSlice::new(std::slice::from_ref(&kind)), IoSlice::new(body)];
    loop {
        match sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives one message, or nothing when the other end is gone.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut kind = [0];
    let mut body = vec![0; INLINE_BYTES];
    let count = loop {
        let mut parts = [IoSliceMut::new(&mut kind), IoSliceMut::new(&mut body)];
        match recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) => break message.bytes,
            // The other end closed without having read everything, which is told once and before
            // what it had sent.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(error) => return Err(error.into()),
        }
    };
    if count == 0 {
        return Ok(None);
    }
    body.truncate(count - 1);
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if kind == [1] {
        let file = descriptors.pop().ok_or(io::ErrorKind::UnexpectedEof)?;
        body.clear();
        std::fs::File::from(file).take(MESSAGE_BYTES).read_to_end(&mut body)?;
    }
    Ok(Some((body, descriptors)))
}
