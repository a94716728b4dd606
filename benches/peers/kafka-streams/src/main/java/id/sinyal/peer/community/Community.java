package id.sinyal.peer.community;

import org.apache.kafka.common.utils.Bytes;

/** One community of a partition. */
final class Community implements Comparable<Community> {
    /** As the first part of keys in the stores. */
    final Bytes key;
    /** As on the topics. */
    final byte[] id;
    /** Percent-encoded, as the first part of keys on the topics. */
    final byte[] topicKey;
    final CommunityWindows windows;
    final Complaints complaints = new Complaints();
    /** The least watermark at which there is something to do, as it stands among what is due. */
    long scheduled = Long.MAX_VALUE;

    Community(Bytes key, byte[] id, byte[] topicKey, WindowSet set) {
        this.key = key;
        this.id = id;
        this.topicKey = topicKey;
        this.windows = new CommunityWindows(set);
    }

    @Override
    public int compareTo(Community other) {
        int order = Long.compare(scheduled, other.scheduled);
        return order != 0 ? order : key.compareTo(other.key);
    }
}
