package id.sinyal.peer.model;

import java.nio.charset.StandardCharsets;

/** What the author is mainly doing. */
public enum Label {
    COMPLAINT("complaint"),
    TIP("tip"),
    EXPERIENCE("experience"),
    PRAISE("praise"),
    OTHER("other");

    public static final Label[] ALL = values();

    /** The name on the wire. */
    public final byte[] wire;
    public final String text;

    Label(String text) {
        this.text = text;
        this.wire = text.getBytes(StandardCharsets.UTF_8);
    }
}
