package id.sinyal.peer.classify;

import id.sinyal.peer.wire.AvroReader;
import id.sinyal.peer.wire.Malformed;
import id.sinyal.peer.wire.Reason;
import id.sinyal.peer.wire.Schemas;
import id.sinyal.peer.wire.Span;

/** A post or comment as it is read. Kept and filled anew; its strings are stretches of {@link #bytes}. */
final class RawRecord {
    static final int ID_BYTES = 256;
    private static final int URL_BYTES = 2048;
    private static final int MEDIA_MAX = 32;
    private static final int MENTIONS_MAX = 64;
    private static final int RECORD_BYTES = 1 << 20;
    /** 2000-01-01: social media did not exist in the form that is served. */
    private static final long EARLIEST_MS = 946_684_800_000L;

    /** Somebody who wrote something. */
    static final class Author {
        boolean isPresent;
        long id;
        Role role;
        long followers;
    }

    byte[] bytes;
    boolean isComment;
    long id;
    long community;
    final Author author = new Author();
    long createdAt;
    long observedAt;
    boolean isEdited;
    long editedAt;
    boolean deleted;
    long text;
    int mediaCount;
    final Content[] mediaKinds = new Content[MEDIA_MAX];
    final long[] mediaUrls = new long[MEDIA_MAX];
    long url;
    long postId;
    long parentId;
    final Author postAuthor = new Author();
    final Author parentAuthor = new Author();

    private final AvroReader reader = new AvroReader();

    /** Reads a value and checks it. {@code latest} is the latest time that may be believed. */
    void read(byte[] value, boolean comment, long latest) throws Malformed {
        if (value == null) {
            throw new Malformed(Reason.NULL_VALUE, "null value");
        }
        if (value.length > RECORD_BYTES) {
            throw new Malformed(Reason.TOO_LARGE, value.length + " bytes; at most " + RECORD_BYTES + " are right");
        }
        if (value.length < Schemas.HEADER || value[0] != (byte) 0xc3 || value[1] != 1) {
            throw new Malformed(Reason.WRONG_FRAMING, "no single-object header");
        }
        if (!Schemas.begins(value, comment ? Schemas.COMMENT : Schemas.POST)) {
            throw new Malformed(Reason.UNKNOWN_SCHEMA, "a fingerprint of no known version");
        }
        bytes = value;
        isComment = comment;
        decode();
        check(latest);
    }

    private void decode() throws Malformed {
        reader.begin(bytes, Schemas.HEADER);
        id = reader.readString();
        community = reader.readString();
        readAuthor(author);
        createdAt = reader.readLong();
        observedAt = reader.readLong();
        isEdited = reader.readPresent();
        editedAt = isEdited ? reader.readLong() : 0;
        deleted = reader.readBoolean();
        text = reader.readString();
        readMedia();
        url = reader.readOptionalString();
        reader.readOptionalString();
        postId = Span.NONE;
        parentId = Span.NONE;
        forget(postAuthor);
        forget(parentAuthor);
        if (isComment) {
            postId = reader.readOptionalString();
            parentId = reader.readOptionalString();
            readAuthor(postAuthor);
            readAuthor(parentAuthor);
            readMentions();
        }
        if (reader.left() > 0) {
            throw new Malformed(Reason.MALFORMED, reader.left() + " bytes follow its end");
        }
    }

    private void readAuthor(Author into) throws Malformed {
        forget(into);
        if (!reader.readPresent()) {
            return;
        }
        into.isPresent = true;
        into.id = reader.readString();
        reader.readOptionalString();
        into.role = Role.of(bytes, reader.readString());
        into.followers = reader.readPresent() ? reader.readLong() : -1;
        if (reader.readPresent()) {
            reader.readBoolean();
        }
    }

    private static void forget(Author author) {
        author.isPresent = false;
        author.role = Role.UNKNOWN;
        author.followers = -1;
        author.id = Span.NONE;
    }

    private void readMedia() throws Malformed {
        mediaCount = 0;
        for (long left = reader.readBlock(); left > 0; left = reader.readBlock()) {
            for (; left > 0; left--) {
                if (mediaCount == MEDIA_MAX) {
                    throw new Malformed(Reason.LIMIT_EXCEEDED, "at most " + MEDIA_MAX + " media are right");
                }
                mediaKinds[mediaCount] = Content.of(bytes, reader.readString());
                mediaUrls[mediaCount++] = reader.readOptionalString();
            }
        }
    }

    private void readMentions() throws Malformed {
        int mentions = 0;
        for (long left = reader.readBlock(); left > 0; left = reader.readBlock()) {
            for (; left > 0; left--) {
                if (++mentions > MENTIONS_MAX) {
                    throw new Malformed(Reason.LIMIT_EXCEEDED, "at most " + MENTIONS_MAX + " mentions are right");
                }
                atMost("mentions", reader.readString(), ID_BYTES);
            }
        }
    }

    private void check(long latest) throws Malformed {
        id("id", id);
        id("community_id", community);
        if (author.isPresent) {
            id("author.id", author.id);
        } else if (!deleted) {
            throw new Malformed(Reason.MISSING_FIELD, "author is missing; only a retraction may leave it out");
        }
        if (isComment && !deleted) {
            if (postId == Span.NONE) {
                throw new Malformed(Reason.MISSING_FIELD, "post_id is missing; a comment names its post");
            }
            id("post_id", postId);
        }
        if (parentId != Span.NONE) {
            id("parent_id", parentId);
        }
        if (postAuthor.isPresent) {
            id("post_author.id", postAuthor.id);
        }
        if (parentAuthor.isPresent) {
            id("parent_author.id", parentAuthor.id);
        }
        atMost("url", url, URL_BYTES);
        for (int at = 0; at < mediaCount; at++) {
            atMost("media.url", mediaUrls[at], URL_BYTES);
        }
        time("created_at", createdAt, latest);
        time("observed_at", observedAt, latest);
        if (isEdited) {
            time("edited_at", editedAt, latest);
        }
    }

    private static void id(String field, long value) throws Malformed {
        if (Span.length(value) == 0) {
            throw new Malformed(Reason.MISSING_FIELD, field + " is empty");
        }
        atMost(field, value, ID_BYTES);
    }

    private static void atMost(String field, long value, int limit) throws Malformed {
        if (Span.length(value) > limit) {
            String detail = field + " has " + Span.length(value) + " bytes; at most " + limit + " are right";
            throw new Malformed(Reason.LIMIT_EXCEEDED, detail);
        }
    }

    private static void time(String field, long value, long latest) throws Malformed {
        if (value < EARLIEST_MS) {
            throw new Malformed(Reason.IMPOSSIBLE_TIME, field + " is " + value + ", before the year 2000");
        }
        if (value > latest) {
            throw new Malformed(Reason.FUTURE_TIME, field + " is " + value + ", after " + latest);
        }
    }
}
