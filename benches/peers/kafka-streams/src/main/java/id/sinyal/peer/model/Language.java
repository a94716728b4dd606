package id.sinyal.peer.model;

import java.nio.charset.StandardCharsets;

/** The language of a text. The first four are told apart by the model's scores, in this order. */
public enum Language {
    INDONESIAN("id"),
    ENGLISH("en"),
    JAVANESE("jv"),
    SUNDANESE("su"),
    OTHER("other"),
    UNDETERMINED("und");

    public static final Language[] ALL = values();

    /** The name on the wire. */
    public final byte[] wire;

    Language(String text) {
        this.wire = text.getBytes(StandardCharsets.UTF_8);
    }
}
