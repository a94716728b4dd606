package id.sinyal.peer.community;

import id.sinyal.peer.model.Label;
import id.sinyal.peer.wire.AvroWriter;
import id.sinyal.peer.wire.Schemas;
import java.nio.charset.StandardCharsets;

/** A pane as a row of the metrics topic, field for field as {@code CommunityMetrics.avsc} has it. */
final class Rows {
    private static final byte[] ON_TIME = "on_time".getBytes(StandardCharsets.UTF_8);
    private static final byte[] LATE = "late".getBytes(StandardCharsets.UTF_8);
    private static final byte[][] WINDOWS = new byte[WindowSet.COUNT][];
    /** The directions in the order of the row. */
    private static final int[] DIRECTIONS = {0, 1, 2, 3, 4, 5};
    private static final double LOG_3 = Math.log(3);

    static {
        for (int at = 0; at < WindowSet.COUNT; at++) {
            WINDOWS[at] = WindowSet.NAMES[at].getBytes(StandardCharsets.UTF_8);
        }
    }

    private final AvroWriter out = new AvroWriter();

    /** Community, window and end. */
    static byte[] key(Community community, Pane pane) {
        byte[] rest = ("|" + WindowSet.NAMES[pane.window] + "|" + pane.end).getBytes(StandardCharsets.UTF_8);
        byte[] key = java.util.Arrays.copyOf(community.topicKey, community.topicKey.length + rest.length);
        System.arraycopy(rest, 0, key, community.topicKey.length, rest.length);
        return key;
    }

    byte[] row(Community community, Pane pane, long watermark, long now, long lowMark, double completeness) {
        int[] counts = pane.counts;
        out.begin(Schemas.METRICS).writeString(community.id).writeString(WINDOWS[pane.window]);
        out.writeLong(pane.start).writeLong(pane.end).writeLong(pane.revision).writeString(pane.late ? LATE : ON_TIME);
        out.writeLong(counts[Counts.INTERACTIONS]);
        for (int label = 0; label < Label.ALL.length; label++) {
            out.writeLong(counts[Counts.LABEL + label]);
        }
        out.writeLong(counts[Counts.ABSTAINED]);
        for (int direction : DIRECTIONS) {
            out.writeLong(counts[Counts.DIRECTION + direction]);
        }
        out.writeLong(counts[Counts.KIND]).writeLong(counts[Counts.KIND + 1]);
        for (int content = 0; content < 5; content++) {
            out.writeLong(counts[Counts.CONTENT + content]);
        }
        out.writeLong(counts[Counts.LATE]).writeLong(counts[Counts.MISSED]).writeLong(watermark).writeLong(now);
        long distinct = pane.distinct;
        optional(distinct).optional(pane.newMembers).optional(distinct - pane.newMembers);
        out.writeLong(1).writeBoolean(pane.start < lowMark);
        optional(distinct > 0 ? (double) pane.byMembers / distinct : Double.NaN);
        optional(pane.responses).optional(pane.p50).optional(pane.p90);
        long waiting = community.complaints.openAsOf(pane.start, pane.end);
        long reach = WindowSet.LENGTH_MS[WindowSet.COUNT - 1];
        long open = community.complaints.openAsOf(pane.end - reach, pane.end);
        optional(open).optional(open > 0 ? pane.end - community.complaints.oldest : -1);
        optional(pane.regularity).optional(harmony(counts, pane.responses, waiting));
        out.writeNull().writeNull();
        return optional(completeness).out.toBytes();
    }

    /** The weighted geometric mean of mood, care and exchange ({@code crates/window/src/harmony.rs}); NaN where nothing was said. */
    private static double harmony(int[] counts, long responses, long waiting) {
        if (counts[Counts.INTERACTIONS] <= 0) {
            return Double.NaN;
        }
        double goodwill = counts[Counts.LABEL + Label.PRAISE.ordinal()] + (double) counts[Counts.LABEL + Label.TIP.ordinal()];
        double mood = (goodwill + 1) / (goodwill + counts[Counts.LABEL + Label.COMPLAINT.ordinal()] + 2);
        double care = (responses + 1.0) / (responses + waiting + 1.0);
        double all = 3;
        for (int direction = 0; direction < 3; direction++) {
            all += counts[Counts.DIRECTION + direction];
        }
        double entropy = 0;
        for (int direction = 0; direction < 3; direction++) {
            double share = (counts[Counts.DIRECTION + direction] + 1) / all;
            entropy -= share * Math.log(share);
        }
        return Math.pow(mood, 0.5) * Math.pow(care, 0.3) * Math.pow(entropy / LOG_3, 0.2);
    }

    private Rows optional(long value) {
        if (value < 0) {
            out.writeNull();
        } else {
            out.writeLong(1).writeLong(value);
        }
        return this;
    }

    private Rows optional(double value) {
        if (Double.isNaN(value)) {
            out.writeNull();
        } else {
            out.writeLong(1).writeDouble(value);
        }
        return this;
    }
}
