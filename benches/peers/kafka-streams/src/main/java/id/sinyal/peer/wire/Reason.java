package id.sinyal.peer.wire;

/** Why a record is a dead letter, and what is to be done with it. */
public enum Reason {
    MALFORMED("malformed", "inspect"),
    WRONG_FRAMING("wrong_framing", "inspect"),
    UNKNOWN_SCHEMA("unknown_schema", "redrive"),
    TOO_LARGE("too_large", "fix"),
    INVALID_UTF8("invalid_utf8", "inspect"),
    MISSING_FIELD("missing_field", "inspect"),
    LIMIT_EXCEEDED("limit_exceeded", "inspect"),
    IMPOSSIBLE_TIME("impossible_time", "inspect"),
    FUTURE_TIME("future_time", "redrive"),
    NULL_VALUE("null_value", "redrive");

    public final String wire;
    public final String disposition;

    Reason(String wire, String disposition) {
        this.wire = wire;
        this.disposition = disposition;
    }
}
