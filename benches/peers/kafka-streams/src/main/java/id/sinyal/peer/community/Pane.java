package id.sinyal.peer.community;

/** One emission of a pane {@code [start, end)}. Kept and filled anew. */
final class Pane {
    int window;
    long start;
    long end;
    int revision;
    boolean late;
    final int[] counts = new int[Counts.SIZE];
    long distinct;
    long newMembers;
    long byMembers;
    long responses;
    /** Half, and nine of ten, of the first responses took no longer; -1 where there are none. */
    long p50;
    long p90;
    /** How regular the brand's own contact was; NaN where that is not to be told. */
    double regularity;
    /** Room to work in: the slides with contact. */
    long[] contacts = new long[256];

    /** What is done with a pane that is due. */
    interface Sink {
        void see(Pane pane);
    }
}
