//! Lines of stdin, read by a thread of its own in batches: whatever is there at once comes at once, memory is bounded.

use std::io::{self, BufRead, BufReader, Read};

use tokio::sync::mpsc;

/// The longest line taken.
pub(crate) const MAX_LINE: usize = 64 << 20;
const BATCH_LINES: usize = 1024;
const BATCH_BYTES: usize = 1 << 20;

/// A line without its newline.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Bytes(Vec<u8>),
    TooLong,
}

/// Starts reading. `parse` runs on the reading thread; what it answers `None` to is left out.
pub(crate) fn of_stdin<T, F>(parse: F) -> io::Result<mpsc::Receiver<io::Result<Vec<T>>>>
where
    T: Send + 'static,
    F: FnMut(Line) -> Option<T> + Send + 'static,
{
    // One batch waits while another is worked on and a third is being read.
    let (sender, receiver) = mpsc::channel(1);
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || read(io::stdin(), MAX_LINE, parse, &sender))?;
    Ok(receiver)
}

fn read<T>(
    input: impl Read,
    limit: usize,
    mut parse: impl FnMut(Line) -> Option<T>,
    sender: &mpsc::Sender<io::Result<Vec<T>>>,
) {
    let mut input = BufReader::with_capacity(64 << 10, input);
    let mut batch = Vec::new();
    let mut bytes = 0;
    loop {
        let end = match next_line(&mut input, limit) {
            Ok(Some(line)) => {
                bytes += if let Line::Bytes(line) = &line { line.len() } else { 0 };
                batch.extend(parse(line));
                false
            }
            Ok(None) => true,
            Err(error) => {
                let _ = sender.blocking_send(Ok(std::mem::take(&mut batch)));
                let _ = sender.blocking_send(Err(error));
                return;
            }
        };
        let full = batch.len() >= BATCH_LINES || bytes >= BATCH_BYTES;
        // Without a whole line in the buffer the next read may wait for ever: hand over what there is.
        if end || full || !input.buffer().contains(&b'\n') {
            bytes = 0;
            let batch = std::mem::take(&mut batch);
            if !batch.is_empty() && sender.blocking_send(Ok(batch)).is_err() {
                return;
            }
        }
        if end {
            return;
        }
    }
}

fn next_line(input: &mut impl BufRead, limit: usize) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut any = false;
    let mut fits = true;
    loop {
        let chunk = match input.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let newline = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..newline.unwrap_or(chunk.len())];
        any |= !chunk.is_empty();
        fits &= line.len() + part.len() <= limit;
        if fits {
            line.extend_from_slice(part);
        } else {
            line = Vec::new();
        }
        let end = newline.is_some() || chunk.is_empty();
        let used = part.len() + usize::from(newline.is_some());
        input.consume(used);
        if end {
            let line = if fits { Line::Bytes(line) } else { Line::TooLong };
            return Ok(any.then_some(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8], limit: usize) -> Vec<Line> {
        let (sender, mut receiver) = mpsc::channel(100);
        read(input, limit, Some, &sender);
        drop(sender);
        let mut all = Vec::new();
        while let Ok(batch) = receiver.try_recv() {
            all.extend(batch.unwrap());
        }
        all
    }

    fn bytes(text: &str) -> Line {
        Line::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn splits_at_newlines_and_takes_a_last_line_without_one() {
        assert_eq!(lines(b"", 10), []);
        assert_eq!(lines(b"a\n\nbc", 10), [bytes("a"), bytes(""), bytes("bc")]);
        assert_eq!(lines(b"a\n", 10), [bytes("a")]);
    }

    #[test]
    fn a_line_over_the_limit_is_told_and_the_next_one_is_whole() {
        assert_eq!(lines(b"abcd\nabcde\nx\n", 4), [bytes("abcd"), Line::TooLong, bytes("x")]);
        let long = [vec![b'y'; 200_000], b"\nz".to_vec()].concat();
        assert_eq!(lines(&long, 100_000), [Line::TooLong, bytes("z")]);
    }

    #[test]
    fn many_lines_come_in_bounded_batches() {
        let (sender, mut receiver) = mpsc::channel(100);
        read("x\n".repeat(5000).as_bytes(), 10, Some, &sender);
        let first = receiver.try_recv().unwrap().unwrap();
        assert_eq!(first.len(), BATCH_LINES);
    }
}
