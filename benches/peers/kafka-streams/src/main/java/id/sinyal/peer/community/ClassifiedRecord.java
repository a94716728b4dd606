package id.sinyal.peer.community;

import id.sinyal.peer.classify.Content;
import id.sinyal.peer.classify.Direction;
import id.sinyal.peer.classify.Role;
import id.sinyal.peer.model.Label;
import id.sinyal.peer.wire.AvroReader;
import id.sinyal.peer.wire.Malformed;
import id.sinyal.peer.wire.Reason;
import id.sinyal.peer.wire.Schemas;
import id.sinyal.peer.wire.Span;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.utils.Bytes;

/** A value of the classified topic, of which only what this side needs is looked at. Kept and filled anew. */
final class ClassifiedRecord {
    private static final byte POST = 'p';
    private static final byte COMMENT = 'c';
    private static final byte[] COMMENT_NAME = "comment".getBytes(StandardCharsets.UTF_8);

    final AvroReader reader = new AvroReader();
    byte[] bytes;
    boolean isMarker;
    long community;
    private boolean isComment;
    private long id;
    private long thread;
    private long parent;
    private boolean isEdited;
    long originTopic;
    int originPartition;
    long originOffset;

    /** Reads a value. Of a marker the reader is left behind the branch; of an interaction its entry is filled. */
    Entry read(byte[] value) throws Malformed {
        if (value == null || !Schemas.begins(value, Schemas.CLASSIFIED)) {
            throw new Malformed(Reason.UNKNOWN_SCHEMA, "no classified record of the version that is known");
        }
        bytes = value;
        reader.begin(value, Schemas.HEADER);
        isMarker = reader.readLong() == 1;
        return isMarker ? null : readEntry();
    }

    private Entry readEntry() throws Malformed {
        Entry entry = new Entry();
        community = reader.readSpan();
        isComment = Span.holds(bytes, reader.readSpan(), COMMENT_NAME);
        id = reader.readSpan();
        long author = readOptional();
        entry.brand = Role.of(bytes, reader.readSpan()) == Role.BRAND;
        readOptional();
        reader.readSpan();
        readOptional();
        reader.readSpan();
        entry.direction = Direction.of(bytes, reader.readSpan()).ordinal();
        reader.readSpan();
        thread = readOptional();
        parent = readOptional();
        readOptional();
        entry.eventTime = reader.readLong();
        entry.observedAt = reader.readLong();
        isEdited = reader.readPresent();
        entry.changedAt = isEdited ? reader.readLong() : 0;
        reader.readLong();
        reader.readLong();
        entry.deleted = reader.readBoolean();
        if (!isEdited) {
            entry.changedAt = entry.deleted ? entry.observedAt : entry.eventTime;
        }
        long digest = reader.readSpan();
        entry.digestHigh = hex(Span.offset(digest), 16);
        entry.digestLow = hex(Span.offset(digest) + 16, 16);
        entry.label = label(reader.readSpan());
        reader.skip(6 * Float.BYTES);
        entry.abstained = reader.readBoolean();
        reader.readSpan();
        reader.readBoolean();
        reader.readSpan();
        reader.readSpan();
        readOptional();
        for (long left = reader.readBlock(); left > 0; left = reader.readBlock()) {
            for (; left > 0; left--) {
                entry.content |= Content.of(bytes, reader.readSpan()).bit();
            }
        }
        if (reader.readPresent()) {
            reader.readLong();
        }
        readOptional();
        reader.readBoolean();
        originTopic = reader.readSpan();
        originPartition = reader.readInt();
        originOffset = reader.readLong();
        entry.isComment = isComment;
        entry.author = entry.brand || author == Span.NONE ? null : member(author);
        entry.answers = entry.brand && isComment ? answers() : null;
        return entry;
    }

    /** The key of its identity in the store: community, kind and id. */
    Bytes identity() {
        return identity(isComment ? COMMENT : POST, id);
    }

    /** The community, as the first part of such a key. */
    Bytes communityKey() {
        int length = Span.length(community);
        byte[] key = new byte[2 + length];
        writeCommunity(key);
        return Bytes.wrap(key);
    }

    /** The identity of what a comment answers: its parent, else its post; null if it names neither. */
    private Bytes answers() {
        if (parent != Span.NONE) {
            return identity(COMMENT, parent);
        }
        return thread == Span.NONE ? null : identity(POST, thread);
    }

    private Bytes identity(byte kind, long id) {
        int length = Span.length(community);
        byte[] key = new byte[3 + length + Span.length(id)];
        writeCommunity(key);
        key[2 + length] = kind;
        System.arraycopy(bytes, Span.offset(id), key, 3 + length, Span.length(id));
        return Bytes.wrap(key);
    }

    private void writeCommunity(byte[] key) {
        int length = Span.length(community);
        key[0] = (byte) (length >> 8);
        key[1] = (byte) length;
        System.arraycopy(bytes, Span.offset(community), key, 2, length);
    }

    private long readOptional() throws Malformed {
        return reader.readPresent() ? reader.readSpan() : Span.NONE;
    }

    private int label(long span) throws Malformed {
        for (Label label : Label.ALL) {
            if (Span.holds(bytes, span, label.wire)) {
                return label.ordinal();
            }
        }
        throw new Malformed(Reason.MALFORMED, "no label that is known");
    }

    /** {@code v<version>:} and 32 digits; nobody else writes this topic. */
    private MemberKey member(long span) throws Malformed {
        if (Span.length(span) < 32) {
            throw new Malformed(Reason.MALFORMED, "no author key");
        }
        int end = Span.offset(span) + Span.length(span);
        return new MemberKey(hex(end - 32, 16), hex(end - 16, 16));
    }

    private long hex(int from, int digits) {
        long value = 0;
        for (int at = from; at < from + digits && at < bytes.length; at++) {
            value = value << 4 | Character.digit(bytes[at], 16) & 15;
        }
        return value;
    }
}
