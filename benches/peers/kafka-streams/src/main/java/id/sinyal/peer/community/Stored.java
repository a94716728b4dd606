package id.sinyal.peer.community;

import id.sinyal.peer.community.CommunityWindows.PaneKey;
import id.sinyal.peer.community.Members.Member;
import id.sinyal.peer.wire.AvroReader;
import id.sinyal.peer.wire.AvroWriter;
import id.sinyal.peer.wire.Keys;
import id.sinyal.peer.wire.Malformed;
import id.sinyal.peer.wire.Span;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.state.KeyValueStore;

/** The windows in their store: a community's slices, panes that do not follow from them, and members, each an entry of its own. */
final class Stored {
    /** How far event time has come; no community has an empty id. */
    static final Bytes PROGRESS = Bytes.wrap(new byte[] {0, 0});
    static final byte SLICE = 's';
    static final byte PANE = 'p';
    static final byte MEMBER = 'm';
    private static final byte[] NO_HEADER = {};

    private final KeyValueStore<Bytes, byte[]> store;
    private final AvroWriter out = new AvroWriter();
    private final AvroReader in = new AvroReader();

    Stored(KeyValueStore<Bytes, byte[]> store) {
        this.store = store;
    }

    /** Writes what changed of a community. */
    void write(Community community) {
        CommunityWindows windows = community.windows;
        for (Slice slice : windows.goneSlices) {
            slice.changed = false;
            store.delete(key(community, SLICE, slice.level, slice.start));
        }
        for (Slice slice : windows.changedSlices) {
            if (slice.changed) {
                slice.changed = false;
                store.put(key(community, SLICE, slice.level, slice.start), bytes(slice));
            }
        }
        for (PaneKey pane : windows.changedPanes) {
            int revision = windows.storedRevision(pane);
            Bytes key = key(community, PANE, pane.window(), pane.end());
            store.put(key, revision < 0 ? null : out.begin(NO_HEADER).writeLong(revision).toBytes());
        }
        for (Member member : windows.members.changed) {
            member.changed = false;
            boolean isKnown = windows.members.isKnown(member);
            Bytes key = key(community, MEMBER, member.key.high(), member.key.low());
            store.put(key, isKnown ? out.begin(NO_HEADER).writeLong(member.firstSeen).writeLong(member.lastLeft).toBytes() : null);
        }
        windows.goneSlices.clear();
        windows.changedSlices.clear();
        windows.changedPanes.clear();
        windows.members.changed.clear();
    }

    private byte[] bytes(Slice slice) {
        out.begin(NO_HEADER);
        for (int count : slice.counts) {
            out.writeLong(count);
        }
        out.writeLong(slice.fromMembers);
        int responses = slice.responses == null ? 0 : slice.responses.settle();
        out.writeLong(responses);
        for (int at = 0; at < responses; at++) {
            long entry = slice.responses.entry(at);
            out.writeLong(Tally.key(entry)).writeLong(Tally.times(entry));
        }
        return out.toBytes();
    }

    /** Takes back one entry, whose key is behind its community. */
    void read(Community community, ByteBuffer key, byte[] value) {
        try {
            in.begin(value, 0);
            switch (key.get()) {
                case SLICE -> community.windows.restore(slice((int) key.getLong(), key.getLong()));
                case PANE -> community.windows.restorePane((int) key.getLong(), key.getLong(), in.readInt());
                default -> {
                    Members members = community.windows.members;
                    Member member = members.add(new MemberKey(key.getLong(), key.getLong()), in.readLong());
                    member.lastLeft = in.readLong();
                }
            }
        } catch (Malformed error) {
            throw new IllegalStateException("the store holds what was not written to it", error);
        }
    }

    private Slice slice(int level, long start) throws Malformed {
        Slice slice = new Slice(level, start);
        for (int at = 0; at < Counts.SIZE; at++) {
            slice.counts[at] = in.readInt();
        }
        slice.fromMembers = in.readInt();
        for (long left = in.readLong(); left > 0; left--) {
            slice.respond(in.readInt(), in.readInt());
        }
        return slice;
    }

    private static Bytes key(Community community, byte kind, long first, long second) {
        byte[] prefix = community.key.get();
        ByteBuffer key = ByteBuffer.allocate(prefix.length + 17);
        return Bytes.wrap(key.put(prefix).put(kind).putLong(first).putLong(second).array());
    }

    /** How far event time, and the sweep of identities, have come. */
    void writeProgress(Watermark watermark, long lowMark) {
        out.begin(NO_HEADER).writeLong(lowMark);
        watermark.write(out);
        store.put(PROGRESS, out.toBytes());
    }

    /** Gives the low mark. */
    long readProgress(Watermark watermark, byte[] value) {
        try {
            in.begin(value, 0);
            long lowMark = in.readLong();
            watermark.read(in);
            return lowMark;
        } catch (Malformed error) {
            throw new IllegalStateException("the store holds what was not written to it", error);
        }
    }

    /** The community's part of a key. */
    static Bytes communityOf(Bytes key) {
        byte[] bytes = key.get();
        int length = (bytes[0] & 0xff) << 8 | bytes[1] & 0xff;
        return Bytes.wrap(Arrays.copyOf(bytes, 2 + length));
    }

    static byte[] idOf(Bytes community) {
        return Arrays.copyOfRange(community.get(), 2, community.get().length);
    }

    static byte[] topicKeyOf(byte[] id) {
        return Keys.part(id, Span.of(0, id.length));
    }
}
