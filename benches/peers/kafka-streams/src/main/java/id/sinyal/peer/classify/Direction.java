package id.sinyal.peer.classify;

import id.sinyal.peer.wire.Span;
import java.nio.charset.StandardCharsets;

/** From whom to whom an interaction goes. */
public enum Direction {
    MEMBER_TO_BRAND("member_to_brand"),
    BRAND_TO_MEMBER("brand_to_member"),
    MEMBER_TO_MEMBER("member_to_member"),
    BRAND_TO_ALL("brand_to_all"),
    MEMBER_TO_ALL("member_to_all"),
    UNKNOWN("unknown");

    public static final Direction[] ALL = values();

    /** The name on the wire. */
    public final byte[] wire;

    Direction(String text) {
        this.wire = text.getBytes(StandardCharsets.UTF_8);
    }

    /** A post goes to all; a comment to the author of its parent, or of its post where it has none. */
    static Direction of(RawRecord raw) {
        Role from = raw.author.role;
        if (from == Role.UNKNOWN) {
            return UNKNOWN;
        }
        boolean byBrand = from == Role.BRAND;
        if (!raw.isComment) {
            return byBrand ? BRAND_TO_ALL : MEMBER_TO_ALL;
        }
        Role to = raw.parentId != Span.NONE ? raw.parentAuthor.role : raw.postAuthor.role;
        if (to == Role.UNKNOWN) {
            return UNKNOWN;
        }
        if (to == Role.BRAND) {
            return byBrand ? BRAND_TO_ALL : MEMBER_TO_BRAND;
        }
        return byBrand ? BRAND_TO_MEMBER : MEMBER_TO_MEMBER;
    }

    /** Of a name on the wire; any other is unknown. */
    public static Direction of(byte[] bytes, long span) {
        for (Direction direction : ALL) {
            if (Span.holds(bytes, span, direction.wire)) {
                return direction;
            }
        }
        return UNKNOWN;
    }
}
