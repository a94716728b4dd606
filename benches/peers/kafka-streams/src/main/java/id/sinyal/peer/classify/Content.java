package id.sinyal.peer.classify;

import id.sinyal.peer.wire.Span;
import java.nio.charset.StandardCharsets;

/** What an interaction holds; a set of these is a bit for each. */
public enum Content {
    TEXT("text"),
    PHOTO("photo"),
    VIDEO("video"),
    ARTICLE("article"),
    UNKNOWN("unknown");

    public static final Content[] ALL = values();

    /** The name on the wire. */
    public final byte[] wire;

    Content(String text) {
        this.wire = text.getBytes(StandardCharsets.UTF_8);
    }

    public int bit() {
        return 1 << ordinal();
    }

    /** Of a name on the wire; any other is unknown. */
    public static Content of(byte[] bytes, long span) {
        for (Content content : ALL) {
            if (Span.holds(bytes, span, content.wire)) {
                return content;
            }
        }
        return UNKNOWN;
    }
}
