//! Lines of a file or of standard input, none longer than a limit.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A line, with what ends it.
    Line,
    /// One beyond the limit, which was passed over to its end; what begins it was read.
    TooLong,
    /// There is no more.
    End,
}

/// Reads the next line into `line`: what it says may have `bytes_max` bytes.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read_line(lines: &mut impl BufRead, bytes_max: u64, line: &mut Vec<u8>) -> std::io::Result<Found> {
    line.clear();
    let read = lines.by_ref().take(bytes_max + 1).read_until(b'\n', line)?;
    match line.last() {
        None => Ok(Found::End),
        Some(b'\n') => Ok(Found::Line),
        Some(_) if read as u64 <= bytes_max => Ok(Found::Line),
        Some(_) => {
            skip_line(lines)?;
            Ok(Found::TooLong)
        }
    }
}

/// Reads to the end of a line that is too long to be kept.
fn skip_line(lines: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = lines.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let (length, over) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), false),
        };
        lines.consume(length);
        if over {
            return Ok(());
        }
    }
}

/// The lines of a file or of standard input, and how many bytes they are, if that is known.
///
/// # Errors
/// If there is no such file, or it is none that can be read.
pub(super) fn open(file: &Path) -> Result<(Box<dyn BufRead>, Option<u64>)> {
    if file.as_os_str() == "-" {
        return Ok((Box::new(BufReader::new(std::io::stdin())), None));
    }
    let opened = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let about = opened.metadata().with_context(|| format!("{} cannot be read", file.display()))?;
    ensure!(!about.is_dir(), "{} is a directory; a file, or - for standard input, is right", file.display());
    Ok((Box::new(BufReader::with_capacity(1 << 16, opened)), Some(about.len())))
}

/// Where the lines come from, for people.
pub(crate) fn source(file: &Path) -> String {
    if file.as_os_str() == "-" { "standard input".to_owned() } else { file.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_limit_is_one_and_a_longer_one_takes_no_other_with_it() {
        let mut input = &b"12345\n123456\nnext\n\nlast1"[..];
        let mut line = Vec::new();
        let mut found = Vec::new();
        loop {
            let what = read_line(&mut input, 5, &mut line).unwrap();
            if what == Found::End {
                break;
            }
            found.push((what, String::from_utf8(line.clone()).unwrap()));
        }
        let expected = [
            (Found::Line, "12345\n"),
            (Found::TooLong, "123456"),
            (Found::Line, "next\n"),
            (Found::Line, "\n"),
            (Found::Line, "last1"),
        ];
        assert_eq!(found, expected.map(|(what, line)| (what, line.to_owned())));
    }

    #[test]
    fn a_directory_is_no_input() {
        let error = open(Path::new("/")).err().unwrap().to_string();
        assert_eq!(error, "/ is a directory; a file, or - for standard input, is right");
    }
}
