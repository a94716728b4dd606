package id.sinyal.peer.community;

import id.sinyal.peer.wire.AvroReader;
import id.sinyal.peer.wire.AvroWriter;
import id.sinyal.peer.wire.Malformed;
import id.sinyal.peer.wire.Span;
import java.util.Arrays;
import org.apache.kafka.common.utils.Bytes;

/** What is known of one interaction, under its identity. */
final class Entry {
    private static final byte[] NO_HEADER = {};

    long changedAt;
    long observedAt;
    long eventTime;
    /** The first half of the content digest. */
    long digestHigh;
    long digestLow;
    int label;
    int direction;
    int content;
    boolean abstained;
    boolean isComment;
    boolean brand;
    MemberKey author;
    /** The identity of what it answers, if it is a comment of the brand. */
    Bytes answers;
    boolean deleted;
    boolean counted;

    boolean isCounted() {
        return counted && !deleted;
    }

    /** What it answers, as long as it counts. */
    Bytes replyTo() {
        return isCounted() && brand ? answers : null;
    }

    /** Whether this version is the newer one. */
    int compareVersion(Entry other) {
        int order = Long.compare(changedAt, other.changedAt);
        return order != 0 ? order : Long.compare(observedAt, other.observedAt);
    }

    /** Whether it says and counts for the same. */
    boolean isSame(Entry other) {
        return eventTime == other.eventTime && digestHigh == other.digestHigh && digestLow == other.digestLow
            && label == other.label && direction == other.direction && content == other.content
            && abstained == other.abstained && brand == other.brand && deleted == other.deleted
            && counted == other.counted && java.util.Objects.equals(author, other.author)
            && java.util.Objects.equals(answers, other.answers);
    }

    byte[] toBytes(AvroWriter out) {
        int flags = (abstained ? 1 : 0) | (isComment ? 2 : 0) | (brand ? 4 : 0) | (deleted ? 8 : 0) | (counted ? 16 : 0)
            | (author != null ? 32 : 0) | (answers != null ? 64 : 0);
        out.begin(NO_HEADER).writeLong(flags).writeLong(changedAt).writeLong(observedAt).writeLong(eventTime);
        out.writeLong(label).writeLong(direction).writeLong(content);
        out.writeFixed(digestHigh).writeFixed(digestLow);
        if (author != null) {
            out.writeFixed(author.high()).writeFixed(author.low());
        }
        if (answers != null) {
            out.writeString(answers.get());
        }
        return out.toBytes();
    }

    static Entry of(byte[] bytes, AvroReader in) {
        try {
            in.begin(bytes, 0);
            Entry entry = new Entry();
            int flags = in.readInt();
            entry.abstained = (flags & 1) != 0;
            entry.isComment = (flags & 2) != 0;
            entry.brand = (flags & 4) != 0;
            entry.deleted = (flags & 8) != 0;
            entry.counted = (flags & 16) != 0;
            entry.changedAt = in.readLong();
            entry.observedAt = in.readLong();
            entry.eventTime = in.readLong();
            entry.label = in.readInt();
            entry.direction = in.readInt();
            entry.content = in.readInt();
            entry.digestHigh = in.readFixed();
            entry.digestLow = in.readFixed();
            entry.author = (flags & 32) == 0 ? null : new MemberKey(in.readFixed(), in.readFixed());
            if ((flags & 64) != 0) {
                long span = in.readSpan();
                int offset = Span.offset(span);
                entry.answers = Bytes.wrap(Arrays.copyOfRange(bytes, offset, offset + Span.length(span)));
            }
            return entry;
        } catch (Malformed error) {
            throw new IllegalStateException("the store holds what was not written to it", error);
        }
    }
}
