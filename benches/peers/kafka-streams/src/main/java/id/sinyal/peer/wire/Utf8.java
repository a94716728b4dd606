package id.sinyal.peer.wire;

/** UTF-8 by hand: most of what is read is never made a string. */
public final class Utf8 {
    private Utf8() {}

    /** Whether these bytes are UTF-8. */
    public static boolean isValid(byte[] bytes, int offset, int length) {
        int end = offset + length;
        int at = offset;
        while (at < end && bytes[at] >= 0) {
            at++;
        }
        while (at < end) {
            int lead = bytes[at] & 0xff;
            if (lead < 0x80) {
                at++;
                continue;
            }
            int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
            if (lead < 0xc2 || lead > 0xf4 || at + more >= end) {
                return false;
            }
            for (int next = 1; next <= more; next++) {
                if ((bytes[at + next] & 0xc0) != 0x80) {
                    return false;
                }
            }
            int code = decode(bytes, at);
            boolean isOverlong = code < (more == 3 ? 0x10000 : more == 2 ? 0x800 : 0x80);
            if (isOverlong || code > 0x10ffff || code >= 0xd800 && code < 0xe000) {
                return false;
            }
            at += more + 1;
        }
        return true;
    }

    /** The character that begins here. */
    public static int decode(byte[] bytes, int at) {
        int lead = bytes[at];
        if (lead >= 0) {
            return lead;
        }
        lead &= 0xff;
        if (lead < 0xe0) {
            return (lead & 0x1f) << 6 | bytes[at + 1] & 0x3f;
        }
        if (lead < 0xf0) {
            return (lead & 0x0f) << 12 | (bytes[at + 1] & 0x3f) << 6 | bytes[at + 2] & 0x3f;
        }
        return (lead & 0x07) << 18 | (bytes[at + 1] & 0x3f) << 12 | (bytes[at + 2] & 0x3f) << 6 | bytes[at + 3] & 0x3f;
    }

    /** How many bytes a character has. */
    public static int length(int code) {
        return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    }

    /** The last place up to {@code at} at which a character begins. */
    public static int boundary(byte[] bytes, int from, int at) {
        while (at > from && (bytes[at] & 0xc0) == 0x80) {
            at--;
        }
        return at;
    }

    /** Whether Unicode calls it white space; Java's own notions are others. */
    public static boolean isWhitespace(int code) {
        if (code < 0x80) {
            return code == ' ' || code >= 9 && code <= 13;
        }
        return code == 0x85 || code == 0xa0 || code == 0x1680 || code >= 0x2000 && code <= 0x200a || code == 0x2028
            || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
    }

    /** Whether there is nothing but white space. */
    public static boolean isBlank(byte[] bytes, long span) {
        int at = Span.offset(span);
        int end = at + Span.length(span);
        while (at < end) {
            int code = decode(bytes, at);
            if (!isWhitespace(code)) {
                return false;
            }
            at += length(code);
        }
        return true;
    }
}
