package id.sinyal.peer.classify;

import id.sinyal.peer.model.Decision;
import id.sinyal.peer.wire.AvroWriter;
import id.sinyal.peer.wire.Schemas;
import id.sinyal.peer.wire.Span;
import id.sinyal.peer.wire.Utf8;
import java.nio.charset.StandardCharsets;

/** Writes what the classify stage says, field for field as {@code schemas/} has it. */
final class Outputs {
    static final byte[] POST = "post".getBytes(StandardCharsets.UTF_8);
    static final byte[] COMMENT = "comment".getBytes(StandardCharsets.UTF_8);
    private static final byte[] NONE = "none".getBytes(StandardCharsets.UTF_8);
    private static final byte[] FAST = "fast".getBytes(StandardCharsets.UTF_8);
    private static final byte[] OPEN = "open".getBytes(StandardCharsets.UTF_8);
    private static final byte[] UNSURE = "unsure".getBytes(StandardCharsets.UTF_8);
    private static final byte[] WAITING = "waiting".getBytes(StandardCharsets.UTF_8);
    private static final byte[] OVERDUE = "overdue".getBytes(StandardCharsets.UTF_8);
    private static final byte[] SMALL = "small".getBytes(StandardCharsets.UTF_8);
    private static final byte[] MEDIUM = "medium".getBytes(StandardCharsets.UTF_8);
    private static final byte[] LARGE = "large".getBytes(StandardCharsets.UTF_8);
    private static final int TEXT_BYTES = 65_536;
    private static final int CLASSIFIED_TEXT_BYTES = 4_096;
    private static final long DAY_MS = 86_400_000;

    private final AvroWriter out = new AvroWriter();
    private final byte[] model;

    Outputs(byte[] model) {
        this.model = model;
    }

    /** Where a raw record was read, and when. */
    static final class Origin {
        byte[] topic;
        int partition;
        long offset;
        long ingestedAt;
        long now;
    }

    /** The classified interaction. */
    byte[] classified(RawRecord raw, Decision decision, Queue queue, Pseudonyms pseudonyms, Origin origin) {
        byte[] bytes = raw.bytes;
        long text = textOf(raw);
        out.begin(Schemas.CLASSIFIED).writeLong(0);
        out.writeString(bytes, raw.community).writeString(raw.isComment ? COMMENT : POST).writeString(bytes, raw.id);
        writeAuthor(pseudonyms.of(bytes, raw.author), raw.author.role);
        writeAuthor(pseudonyms.of(bytes, raw.postAuthor), raw.postAuthor.role);
        writeAuthor(pseudonyms.of(bytes, raw.parentAuthor), raw.parentAuthor.role);
        out.writeString(Direction.of(raw).wire).writeString(reach(raw.author.followers));
        out.writeOptionalString(bytes, threadOf(raw));
        out.writeOptionalString(bytes, raw.parentId).writeOptionalString(bytes, raw.url);
        out.writeLong(raw.createdAt).writeLong(raw.observedAt);
        if (raw.isEdited) {
            out.writeLong(1).writeLong(raw.editedAt);
        } else {
            out.writeNull();
        }
        out.writeLong(origin.ingestedAt).writeLong(origin.now).writeBoolean(raw.deleted);
        out.writeString(pseudonyms.digest(raw)).writeString(decision.label.wire);
        for (float probability : decision.probabilities) {
            out.writeFloat(probability);
        }
        out.writeFloat(decision.confidence).writeBoolean(decision.abstained);
        out.writeString(decision.language.wire).writeBoolean(decision.mixed);
        boolean isBlank = raw.deleted || Utf8.isBlank(bytes, raw.text);
        out.writeString(isBlank ? NONE : FAST).writeString(model);
        out.writeOptionalString(queue == null ? null : queue.wire);
        writeContent(contentOf(raw));
        if (decision.hasFingerprint) {
            out.writeLong(1).writeLong(decision.fingerprint);
        } else {
            out.writeNull();
        }
        out.writeOptionalString(bytes, text);
        boolean isCut = text != Span.NONE && Span.length(text) < Span.length(raw.text);
        out.writeBoolean(isCut || Span.length(raw.text) > CLASSIFIED_TEXT_BYTES);
        return out.writeString(origin.topic).writeLong(origin.partition).writeLong(origin.offset).toBytes();
    }

    /** The item of a response queue. */
    byte[] queueItem(RawRecord raw, Decision decision, Queue queue, Origin origin) {
        byte[] bytes = raw.bytes;
        boolean hasLevel = queue == Queue.COMPLAINT;
        long dueAt = hasLevel ? BusinessHours.dueAt(raw.createdAt) : 0;
        out.begin(Schemas.QUEUE_ITEM);
        out.writeString(bytes, raw.community).writeString(raw.isComment ? COMMENT : POST).writeString(bytes, raw.id);
        out.writeString(queue.wire).writeString(queue.department).writeString(decision.label.wire);
        out.writeFloat(decision.confidence).writeString(queue.reason);
        writePriority(raw, decision, hasLevel, dueAt, origin.now);
        if (hasLevel) {
            out.writeLong(1).writeLong(dueAt);
        } else {
            out.writeNull();
        }
        out.writeString(OPEN).writeNull().writeNull().writeNull();
        out.writeOptionalString(bytes, textOf(raw));
        out.writeString(decision.language.wire).writeBoolean(decision.mixed);
        out.writeOptionalString(bytes, raw.url).writeOptionalString(bytes, threadOf(raw));
        out.writeLong(raw.createdAt).writeLong(origin.now);
        out.writeString(origin.topic).writeLong(origin.partition).writeLong(origin.offset);
        // Acknowledged by and at, breached at, reopened, waiting since.
        return out.writeNull().writeNull().writeNull().writeLong(0).writeNull().toBytes();
    }

    /** A progress marker: how far a raw partition has come. */
    byte[] progress(long now, byte[][] topics, int partition, long[] positions, long[] largest, boolean[] caughtUp) {
        out.begin(Schemas.CLASSIFIED).writeLong(1).writeLong(now).writeLong(topics.length);
        for (int at = 0; at < topics.length; at++) {
            out.writeString(topics[at]).writeLong(partition).writeLong(positions[at]);
            if (largest[at] == Long.MIN_VALUE) {
                out.writeNull();
            } else {
                out.writeLong(1).writeLong(largest[at]);
            }
            out.writeBoolean(caughtUp[at]).writeNull();
        }
        return out.writeLong(0).toBytes();
    }

    private void writeAuthor(byte[] key, Role role) {
        out.writeOptionalString(key).writeString(role.wire);
    }

    private void writeContent(int content) {
        if (content != 0) {
            out.writeLong(Integer.bitCount(content));
            for (Content kind : Content.ALL) {
                if ((content & kind.bit()) != 0) {
                    out.writeString(kind.wire);
                }
            }
        }
        out.writeLong(0);
    }

    /** As {@code crates/rules/src/priority.rs} reckons it, of an item of which nothing else is known yet. */
    private void writePriority(RawRecord raw, Decision decision, boolean hasLevel, long dueAt, long now) {
        int severity = decision.abstained ? 40 : switch (decision.label) {
            case COMPLAINT -> 60;
            case TIP -> 30;
            case EXPERIENCE, PRAISE -> 20;
            case OTHER -> 0;
        };
        long waited = Math.max(0, now - raw.createdAt);
        long level = Math.max(1, hasLevel ? dueAt - raw.createdAt : DAY_MS);
        long beyond = hasLevel ? Math.min(Math.max(waited - level, 0), level) : 0;
        long points = (15 * Math.min(waited, level) + 10 * beyond) / level;
        byte[] wait = hasLevel && now >= dueAt ? OVERDUE : waited * 2 > level ? WAITING : null;
        out.writeLong(Math.min(100, severity + points)).writeLong(wait == null ? 1 : 2);
        out.writeString(decision.abstained ? UNSURE : decision.label.wire);
        if (wait != null) {
            out.writeString(wait);
        }
        out.writeLong(0);
    }

    private static long threadOf(RawRecord raw) {
        return raw.isComment ? raw.postId : raw.id;
    }

    private static long textOf(RawRecord raw) {
        int length = Span.length(raw.text);
        if (raw.deleted || length == 0) {
            return Span.NONE;
        }
        if (length <= TEXT_BYTES) {
            return raw.text;
        }
        int offset = Span.offset(raw.text);
        return Span.of(offset, Utf8.boundary(raw.bytes, offset, offset + TEXT_BYTES) - offset);
    }

    private static int contentOf(RawRecord raw) {
        int content = Utf8.isBlank(raw.bytes, raw.text) ? 0 : Content.TEXT.bit();
        for (int at = 0; at < raw.mediaCount; at++) {
            content |= raw.mediaKinds[at] == Content.TEXT ? 0 : raw.mediaKinds[at].bit();
        }
        return content;
    }

    private static byte[] reach(long followers) {
        return followers < 0 ? Role.UNKNOWN.wire : followers < 1_000 ? SMALL : followers < 100_000 ? MEDIUM : LARGE;
    }
}
