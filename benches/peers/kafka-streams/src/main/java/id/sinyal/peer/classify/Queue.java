package id.sinyal.peer.classify;

import id.sinyal.peer.model.Decision;
import id.sinyal.peer.model.Label;
import java.nio.charset.StandardCharsets;

/** The response queues that Sinyal has by default, what they take and who answers them. */
enum Queue {
    COMPLAINT(Label.COMPLAINT, "customer care"),
    TIP(Label.TIP, "product"),
    EXPERIENCE(Label.EXPERIENCE, "community relations"),
    PRAISE(Label.PRAISE, "community relations"),
    REVIEW(null, "editorial desk");

    final String text;
    final byte[] wire;
    final byte[] department;
    final byte[] reason;

    Queue(Label takes, String department) {
        this.text = takes == null ? "review" : takes.text;
        this.wire = text.getBytes(StandardCharsets.UTF_8);
        this.department = department.getBytes(StandardCharsets.UTF_8);
        String reason = takes == null
            ? "the classifier is not sure of any label; queue review takes what is unsure"
            : "the classifier is sure that this is label " + text + ", which queue " + text + " takes";
        this.reason = reason.getBytes(StandardCharsets.UTF_8);
    }

    /** The name of its sink in the topology. */
    String sink() {
        return "queue-" + text;
    }

    /** The queue that takes it; null for none: the brand's own words and retractions are never queued. */
    static Queue of(RawRecord raw, Decision decision) {
        if (raw.deleted || raw.author.role == Role.BRAND) {
            return null;
        }
        if (decision.abstained) {
            return REVIEW;
        }
        return switch (decision.label) {
            case COMPLAINT -> COMPLAINT;
            case TIP -> TIP;
            case EXPERIENCE -> EXPERIENCE;
            case PRAISE -> PRAISE;
            case OTHER -> null;
        };
    }
}
