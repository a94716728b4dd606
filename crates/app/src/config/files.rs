//! Files of the configuration, of which no more is read than there is room for.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most bytes of a secret, which may be a key with its chain.
pub(crate) const SECRET_BYTES_MAX: u64 = 1_048_576;

/// What a file holds.
///
/// # Errors
/// If it cannot be read, or there are more bytes: also of what tells no size before, such as a device.
pub(crate) fn read_up_to(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

/// The same of a text.
///
/// # Errors
/// Also if it is no UTF-8.
pub(crate) fn read_text_up_to(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read_up_to(path, most)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_there_is_room_for() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "12345").unwrap();
        assert_eq!(read_up_to(file.path(), 5).unwrap(), b"12345");
        assert_eq!(read_up_to(file.path(), 4).unwrap_err().to_string(), "it has more than 4 bytes");
        assert!(read_up_to(Path::new("/dev/zero"), 100).is_err(), "it has no end");
        std::fs::write(file.path(), b"\xff").unwrap();
        assert_eq!(read_text_up_to(file.path(), 5).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
