package id.sinyal.peer.wire;

/** A record that cannot be used: it becomes a dead letter. Without a stack trace, since bad input may come in masses. */
public final class Malformed extends Exception {
    private static final long serialVersionUID = 1;

    /** From the list in {@code schemas/README.md}. */
    public final Reason reason;

    /** {@code detail} says what would be right, and holds nothing of the record. */
    public Malformed(Reason reason, String detail) {
        super(detail, null, false, false);
        this.reason = reason;
    }
}
