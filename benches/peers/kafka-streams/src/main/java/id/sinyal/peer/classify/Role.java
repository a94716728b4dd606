package id.sinyal.peer.classify;

import id.sinyal.peer.wire.Span;
import java.nio.charset.StandardCharsets;

/** Who an author is to the brand. */
public enum Role {
    MEMBER("member"),
    BRAND("brand"),
    MODERATOR("moderator"),
    UNKNOWN("unknown");

    private static final Role[] ALL = values();

    /** The name on the wire. */
    public final byte[] wire;

    Role(String text) {
        this.wire = text.getBytes(StandardCharsets.UTF_8);
    }

    /** Of a name on the wire; any other is unknown. */
    public static Role of(byte[] bytes, long span) {
        for (Role role : ALL) {
            if (Span.holds(bytes, span, role.wire)) {
                return role;
            }
        }
        return UNKNOWN;
    }
}
