package id.sinyal.peer.wire;

import java.util.Arrays;

/** A stretch of a record's bytes as one number: offset above, length below. What only passes through is never made a string. */
public final class Span {
    /** Of nothing: the field is null. */
    public static final long NONE = -1;

    private Span() {}

    /** Of {@code length} bytes from {@code offset} on. */
    public static long of(int offset, int length) {
        return (long) offset << 32 | length;
    }

    /** Where it begins. */
    public static int offset(long span) {
        return (int) (span >>> 32);
    }

    /** How many bytes it has; 0 for {@link #NONE}. */
    public static int length(long span) {
        return span == NONE ? 0 : (int) span;
    }

    /** Whether it holds exactly these bytes. */
    public static boolean holds(byte[] bytes, long span, byte[] expected) {
        int offset = offset(span);
        return span != NONE && Arrays.equals(bytes, offset, offset + length(span), expected, 0, expected.length);
    }
}
