package id.sinyal.peer.wire;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;

/** The headers of single-object encoding: two bytes and the fingerprint of the schema. */
public final class Schemas {
    /** Bytes of a header. */
    public static final int HEADER = 10;
    public static final byte[] POST = header("Post.avsc");
    public static final byte[] COMMENT = header("Comment.avsc");
    /** By the version that Sinyal writes without a registry, as long as no secret is rotated. */
    public static final byte[] CLASSIFIED = header("released/Classified/v2.avsc");
    public static final byte[] QUEUE_ITEM = header("QueueItem.avsc");
    public static final byte[] METRICS = header("CommunityMetrics.avsc");

    private Schemas() {}

    /** Whether a value begins with a header. */
    public static boolean begins(byte[] value, byte[] header) {
        if (value.length < HEADER) {
            return false;
        }
        for (int at = 0; at < HEADER; at++) {
            if (value[at] != header[at]) {
                return false;
            }
        }
        return true;
    }

    private static byte[] header(String file) {
        try (InputStream text = Schemas.class.getResourceAsStream("/schemas/" + file)) {
            long fingerprint = SchemaNormalization.parsingFingerprint64(new Schema.Parser().parse(text));
            byte[] header = new byte[HEADER];
            header[0] = (byte) 0xc3;
            header[1] = 1;
            for (int at = 0; at < 8; at++) {
                header[2 + at] = (byte) (fingerprint >>> 8 * at);
            }
            return header;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
