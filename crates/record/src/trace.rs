//! W3C trace context (<https://www.w3.org/TR/trace-context/>): which trace a record belongs to, as its header says.

/// The name of the header, of records and of HTTP requests.
pub const TRACEPARENT: &str = "traceparent";

/// Which trace something belongs to, and what in it caused it.
///
/// ```
/// use record::TraceContext;
/// let header = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context = TraceContext::parse(header).unwrap();
/// assert!(context.sampled);
/// assert_eq!(&context.header(), header);
/// assert_eq!(TraceContext::parse(b"of another kind"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace, not all zeros.
    pub trace_id: [u8; 16],
    /// The span that caused it, not all zeros.
    pub span_id: [u8; 8],
    /// Whether spans of this trace are recorded.
    pub sampled: bool,
}

/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const HEADER_BYTES: usize = 55;

impl TraceContext {
    /// Reads a header's value; `None` of what is no context, which then has to be ignored. Of a later version than 00 what is known of
    /// it is read, as the recommendation wants.
    pub fn parse(header: &[u8]) -> Option<TraceContext> {
        let known = header.get(..HEADER_BYTES)?;
        let [version] = bytes(&known[..2])?;
        let more = match header.get(HEADER_BYTES) {
            None => true,
            Some(b'-') => version > 0,
            Some(_) => false,
        };
        if !more || version == 0xff || known[2] != b'-' || known[35] != b'-' || known[52] != b'-' {
            return None;
        }
        let [flags] = bytes(&known[53..])?;
        let context =
            TraceContext { trace_id: bytes(&known[3..35])?, span_id: bytes(&known[36..52])?, sampled: flags & 1 == 1 };
        (context.trace_id != [0; 16] && context.span_id != [0; 8]).then_some(context)
    }

    /// The header's value, of version 00.
    pub fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write(&self.trace_id, &mut header[3..35]);
        write(&self.span_id, &mut header[36..52]);
        header[54] = b'0' + u8::from(self.sampled);
        header
    }
}

/// Lower-case hexadecimal digits, two a byte, as the recommendation wants them.
fn bytes<const COUNT: usize>(digits: &[u8]) -> Option<[u8; COUNT]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; COUNT];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn write(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the recommendation says of each, section 3.2.
    #[test]
    fn what_is_no_context_is_ignored() {
        let check = |header: &str, expected: bool| {
            assert_eq!(TraceContext::parse(header.as_bytes()).is_some(), expected, "{header}");
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        check(&format!("00-{trace}-00f067aa0ba902b7-00"), true);
        check(&format!("00-{trace}-00f067aa0ba902b7-ff"), true);
        check(&format!("00-{trace}-00f067aa0ba902b7-01-more"), false);
        check(&format!("cc-{trace}-00f067aa0ba902b7-01-more"), true);
        check(&format!("cc-{trace}-00f067aa0ba902b7-01.more"), false);
        check(&format!("ff-{trace}-00f067aa0ba902b7-01"), false);
        check(&format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()), false);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
        check(&format!("00-{trace}-0000000000000000-01"), false);
        check(&format!("00-{trace}-00f067aa0ba902b7-0"), false);
        check(&format!("00-{trace}_00f067aa0ba902b7-01"), false);
        check("", false);
    }

    #[test]
    fn what_is_written_can_be_read() {
        for sampled in [false, true] {
            let context = TraceContext { trace_id: [0xa5; 16], span_id: [1; 8], sampled };
            assert_eq!(TraceContext::parse(&context.header()), Some(context));
        }
    }
}
