package id.sinyal.peer.wire;

import java.nio.charset.StandardCharsets;

/** Keys of topics: parts joined by {@code |}, each percent-encoded but for RFC 3986's unreserved characters. */
public final class Keys {
    private static final byte[] DIGITS = "0123456789ABCDEF".getBytes(StandardCharsets.US_ASCII);

    private Keys() {}

    /** One part. */
    public static byte[] part(byte[] bytes, long span) {
        byte[] key = new byte[encodedLength(bytes, span)];
        encode(bytes, span, key, 0);
        return key;
    }

    /** Community, kind and id. */
    public static byte[] identity(byte[] bytes, long community, byte[] kind, long id) {
        byte[] key = new byte[encodedLength(bytes, community) + kind.length + encodedLength(bytes, id) + 2];
        int at = encode(bytes, community, key, 0);
        key[at++] = '|';
        System.arraycopy(kind, 0, key, at, kind.length);
        at += kind.length;
        key[at++] = '|';
        encode(bytes, id, key, at);
        return key;
    }

    private static int encodedLength(byte[] bytes, long span) {
        int end = Span.offset(span) + Span.length(span);
        int length = Span.length(span);
        for (int at = Span.offset(span); at < end; at++) {
            length += isPlain(bytes[at]) ? 0 : 2;
        }
        return length;
    }

    private static int encode(byte[] bytes, long span, byte[] out, int to) {
        int end = Span.offset(span) + Span.length(span);
        for (int at = Span.offset(span); at < end; at++) {
            byte next = bytes[at];
            if (isPlain(next)) {
                out[to++] = next;
            } else {
                out[to++] = '%';
                out[to++] = DIGITS[next >> 4 & 15];
                out[to++] = DIGITS[next & 15];
            }
        }
        return to;
    }

    private static boolean isPlain(byte next) {
        return next >= 'a' && next <= 'z' || next >= 'A' && next <= 'Z' || next >= '0' && next <= '9' || next == '-'
            || next == '.' || next == '_' || next == '~';
    }
}
