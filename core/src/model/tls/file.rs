//! Reads a file that may be anything: a folder, endless, or a pipe into which nobody writes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

/// No file of certificates or keys is longer: all authorities of a system together take a quarter of a MiB.
const LONGEST: usize = 4 << 20;

/// The file's bytes. A pipe is waited for: `--tls-key <(program)` is the way to a key that is on no disk.
pub(super) fn read(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let kind = std::fs::metadata(file)?;
    let mut opened = open(file)?;
    // All of it at the start: what grows leaves copies behind.
    let length = usize::try_from(kind.len()).unwrap_or(usize::MAX).min(LONGEST);
    let mut text = Zeroizing::new(Vec::with_capacity(length.max(64 << 10) + 1));
    match kind.is_file() {
        true => opened.take(LONGEST as u64 + 1).read_to_end(&mut text).map(drop)?,
        false => waiting::read(&mut opened, &mut text)?,
    }
    match text.len() > LONGEST {
        true => Err(io::Error::other("it is longer than 4 MiB; is it the right file?")),
        false => Ok(text),
    }
}

#[cfg(unix)]
fn open(file: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let not_waiting = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().read(true).custom_flags(not_waiting).open(file)
}

#[cfg(not(unix))]
fn open(file: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(file)
}

/// What is no plain file.
mod waiting {
    use std::time::{Duration, Instant};

    use super::{File, LONGEST, Read, Zeroizing, io};

    /// A pipe's writer may have to ask somebody for a passphrase.
    const PATIENCE: Duration = Duration::from_secs(30);
    /// But there must be one.
    const PATIENCE_FOR_A_WRITER: Duration = Duration::from_secs(2);
    const PAUSE: Duration = Duration::from_millis(5);

    pub(super) fn read(opened: &mut File, text: &mut Zeroizing<Vec<u8>>) -> io::Result<()> {
        let start = Instant::now();
        let mut chunk = Zeroizing::new([0; 4096]);
        while text.len() <= LONGEST {
            match opened.read(&mut *chunk) {
                Ok(0) if text.is_empty() && start.elapsed() > PATIENCE_FOR_A_WRITER => {
                    return Err(io::Error::other("it is a pipe, and nobody writes into it"));
                }
                // So says a pipe before its writer comes.
                Ok(0) if text.is_empty() => {}
                Ok(0) => break,
                Ok(count) => {
                    text.extend_from_slice(&chunk[..count]);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if start.elapsed() > PATIENCE {
                        return Err(io::Error::other("it is a pipe, and its writer does not come to an end"));
                    }
                }
                Err(error) => return Err(error),
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}
