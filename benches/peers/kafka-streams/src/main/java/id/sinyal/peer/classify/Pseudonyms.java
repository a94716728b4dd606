package id.sinyal.peer.classify;

import id.sinyal.peer.wire.Span;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.nio.charset.StandardCharsets;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Author keys and content digests: HMAC-SHA-256 and SHA-256 of the JDK, which has them as machine instructions. */
final class Pseudonyms {
    private static final byte[] DIGITS = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] PREFIX = {'v', '1', ':'};

    private final Mac mac;
    private final MessageDigest sha;
    private final byte[] length = new byte[8];

    Pseudonyms(byte[] secret) {
        try {
            mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(secret, "HmacSHA256"));
            sha = MessageDigest.getInstance("SHA-256");
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }

    /** The key of an author; null of none. */
    byte[] of(byte[] bytes, RawRecord.Author author) {
        if (!author.isPresent) {
            return null;
        }
        mac.update(bytes, Span.offset(author.id), Span.length(author.id));
        byte[] digest = mac.doFinal();
        byte[] key = new byte[PREFIX.length + 32];
        System.arraycopy(PREFIX, 0, key, 0, PREFIX.length);
        hex(digest, 16, key, PREFIX.length);
        return key;
    }

    /** SHA-256 of text, media, parents and roles, in hex. Each part is preceded by its length. */
    byte[] digest(RawRecord raw) {
        part(raw.bytes, raw.text);
        length(8);
        length(raw.mediaCount);
        for (int at = 0; at < raw.mediaCount; at++) {
            part(raw.mediaKinds[at].wire);
            part(raw.bytes, raw.mediaUrls[at]);
        }
        part(raw.bytes, raw.postId);
        part(raw.bytes, raw.parentId);
        part(raw.author.role.wire);
        part(raw.postAuthor.role.wire);
        part(raw.parentAuthor.role.wire);
        byte[] hex = new byte[64];
        hex(sha.digest(), 32, hex, 0);
        return hex;
    }

    private void part(byte[] bytes, long span) {
        length(Span.length(span));
        if (span != Span.NONE) {
            sha.update(bytes, Span.offset(span), Span.length(span));
        }
    }

    private void part(byte[] bytes) {
        length(bytes.length);
        sha.update(bytes);
    }

    private void length(long count) {
        for (int at = 0; at < 8; at++) {
            length[at] = (byte) (count >>> 8 * at);
        }
        sha.update(length);
    }

    private static void hex(byte[] from, int count, byte[] into, int to) {
        for (int at = 0; at < count; at++) {
            into[to + 2 * at] = DIGITS[from[at] >> 4 & 15];
            into[to + 2 * at + 1] = DIGITS[from[at] & 15];
        }
    }
}
