package id.sinyal.peer.wire;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Writes Avro's binary encoding into a buffer that is kept from record to record. */
public final class AvroWriter {
    private byte[] bytes = new byte[1024];
    private int length;

    /** Begins a new value behind these bytes. */
    public AvroWriter begin(byte[] header) {
        length = 0;
        return writeRaw(header, 0, header.length);
    }

    /** A copy of what was written. */
    public byte[] toBytes() {
        return Arrays.copyOf(bytes, length);
    }

    public AvroWriter writeLong(long value) {
        ensure(10);
        long zigzag = value << 1 ^ value >> 63;
        while ((zigzag & ~0x7fL) != 0) {
            bytes[length++] = (byte) (zigzag | 0x80);
            zigzag >>>= 7;
        }
        bytes[length++] = (byte) zigzag;
        return this;
    }

    public AvroWriter writeBoolean(boolean value) {
        ensure(1);
        bytes[length++] = (byte) (value ? 1 : 0);
        return this;
    }

    public AvroWriter writeFloat(float value) {
        ensure(4);
        int bits = Float.floatToRawIntBits(value);
        for (int shift = 0; shift < 32; shift += 8) {
            bytes[length++] = (byte) (bits >>> shift);
        }
        return this;
    }

    public AvroWriter writeDouble(double value) {
        return writeFixed(Double.doubleToRawLongBits(value));
    }

    /** Eight bytes, the lowest first. */
    public AvroWriter writeFixed(long bits) {
        ensure(8);
        for (int shift = 0; shift < 64; shift += 8) {
            bytes[length++] = (byte) (bits >>> shift);
        }
        return this;
    }

    /** A string that is these bytes. */
    public AvroWriter writeString(byte[] value) {
        return writeString(value, 0, value.length);
    }

    public AvroWriter writeString(byte[] value, int offset, int count) {
        writeLong(count);
        return writeRaw(value, offset, count);
    }

    public AvroWriter writeString(String value) {
        return writeString(value.getBytes(StandardCharsets.UTF_8));
    }

    /** A string that is a stretch of {@code from}. */
    public AvroWriter writeString(byte[] from, long span) {
        return writeString(from, Span.offset(span), Span.length(span));
    }

    /** The same in {@code ["null", "string"]}. */
    public AvroWriter writeOptionalString(byte[] from, long span) {
        if (span == Span.NONE) {
            return writeNull();
        }
        return writeLong(1).writeString(from, span);
    }

    /** Bytes in {@code ["null", "string"]}; null is null. */
    public AvroWriter writeOptionalString(byte[] value) {
        return value == null ? writeNull() : writeLong(1).writeString(value);
    }

    /** The first branch of a union. */
    public AvroWriter writeNull() {
        return writeLong(0);
    }

    public AvroWriter writeRaw(byte[] value, int offset, int count) {
        ensure(count);
        System.arraycopy(value, offset, bytes, length, count);
        length += count;
        return this;
    }

    private void ensure(int more) {
        if (length + more > bytes.length) {
            bytes = Arrays.copyOf(bytes, Math.max(bytes.length * 2, length + more));
        }
    }
}
