package id.sinyal.peer.wire;

/** Reads Avro's binary encoding. By hand: generic and specific records make an object for each field that only passes through. */
public final class AvroReader {
    public byte[] bytes = {};
    private int at;

    /** Begins at an offset of {@code bytes}. */
    public AvroReader begin(byte[] bytes, int offset) {
        this.bytes = bytes;
        this.at = offset;
        return this;
    }

    /** Bytes that are left. */
    public int left() {
        return bytes.length - at;
    }

    public long readLong() throws Malformed {
        long value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            byte next = next();
            value |= (next & 0x7fL) << shift;
            if (next >= 0) {
                return value >>> 1 ^ -(value & 1);
            }
        }
        throw tooEarly();
    }

    public int readInt() throws Malformed {
        return (int) readLong();
    }

    public boolean readBoolean() throws Malformed {
        return next() != 0;
    }

    /** Eight bytes, the lowest first. */
    public long readFixed() throws Malformed {
        long bits = 0;
        for (int shift = 0; shift < 64; shift += 8) {
            bits |= (next() & 0xffL) << shift;
        }
        return bits;
    }

    public void skip(int count) throws Malformed {
        if (count > left()) {
            throw tooEarly();
        }
        at += count;
    }

    /** Which branch of {@code ["null", ...]}: false for null. */
    public boolean readPresent() throws Malformed {
        long branch = readLong();
        if (branch != 0 && branch != 1) {
            throw new Malformed(Reason.MALFORMED, "a union has no such branch");
        }
        return branch == 1;
    }

    /** Bytes, or a string that is not looked into. */
    public long readSpan() throws Malformed {
        long length = readLong();
        if (length < 0 || length > left()) {
            throw tooEarly();
        }
        long span = Span.of(at, (int) length);
        at += (int) length;
        return span;
    }

    /** A string, which must be UTF-8. */
    public long readString() throws Malformed {
        long span = readSpan();
        if (!Utf8.isValid(bytes, Span.offset(span), Span.length(span))) {
            throw new Malformed(Reason.INVALID_UTF8, "a string that is not UTF-8");
        }
        return span;
    }

    /** A string or null. */
    public long readOptionalString() throws Malformed {
        return readPresent() ? readString() : Span.NONE;
    }

    /** How many items the next block of an array has; 0 at its end. */
    public long readBlock() throws Malformed {
        long count = readLong();
        if (count >= 0) {
            return count;
        }
        readLong();
        return -count;
    }

    private byte next() throws Malformed {
        if (at >= bytes.length) {
            throw tooEarly();
        }
        return bytes[at++];
    }

    private static Malformed tooEarly() {
        return new Malformed(Reason.MALFORMED, "the bytes end too early or hold other types than the schema says");
    }
}
