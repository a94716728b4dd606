package id.sinyal.peer.community;

/** What fell into one stretch of time. */
final class Slice {
    final int level;
    final long start;
    final int[] counts = new int[Counts.SIZE];
    /** Those of the interactions that are from members. */
    int fromMembers;
    /** Interactions by member. Not in the store: it follows from the identities. */
    final Tally members = new Tally();
    /** First responses by the bucket of how long they took; null where there is none. */
    Tally responses;
    boolean changed;

    Slice(int level, long start) {
        this.level = level;
        this.start = start;
    }

    void respond(int bucket, int times) {
        if (responses == null) {
            responses = new Tally();
        }
        responses.add(bucket, times);
    }

    boolean isContact() {
        return counts[Counts.DIRECTION + 1] + counts[Counts.DIRECTION + 3] > 0;
    }
}
