package id.sinyal.peer.community;

/** How long the brand took to answer: buckets that grow by 2 %, as in DDSketch, from which a time can be taken back. */
final class Responses {
    private static final double GROWTH = 1.02;

    private Responses() {}

    static int bucket(long delayMs) {
        return delayMs < 1 ? 0 : (int) Math.ceil(Math.log(delayMs) / Math.log(GROWTH)) + 1;
    }

    private static long value(int bucket) {
        return bucket == 0 ? 0 : Math.round(2 * Math.pow(GROWTH, bucket - 1) / (GROWTH + 1));
    }

    /** Writes figures of a tally of buckets. */
    static void figures(Tally all, Pane pane) {
        int size = all.settle();
        long count = 0;
        for (int at = 0; at < size; at++) {
            count += Tally.times(all.entry(at));
        }
        pane.responses = count;
        pane.p50 = count > 0 ? quantile(all, size, (count * 50 + 99) / 100) : -1;
        pane.p90 = count > 0 ? quantile(all, size, (count * 90 + 99) / 100) : -1;
    }

    private static long quantile(Tally all, int size, long rank) {
        long before = 0;
        for (int at = 0; at < size; at++) {
            before += Tally.times(all.entry(at));
            if (before >= rank) {
                return value(Tally.key(all.entry(at)));
            }
        }
        return -1;
    }
}
