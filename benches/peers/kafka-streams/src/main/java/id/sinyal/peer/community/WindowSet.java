package id.sinyal.peer.community;

/**
 * The four windows. Time is cut once into slices of the shortest slide, which roll up into those of the next longer one as no open
 * pane needs them finer: each window's slide is a level.
 */
final class WindowSet {
    static final String[] NAMES = {"5m", "1h", "24h", "7d"};
    static final int COUNT = NAMES.length;
    private static final long MINUTE_MS = 60_000;
    private static final long HOUR_MS = 60 * MINUTE_MS;
    static final long[] LENGTH_MS = {5 * MINUTE_MS, HOUR_MS, 24 * HOUR_MS, 168 * HOUR_MS};
    static final long[] SLIDE_MS = {10_000, MINUTE_MS, 15 * MINUTE_MS, HOUR_MS};

    final long[] latenessMs;
    /** A slice leaves its level when the watermark is this far behind its end. */
    final long[] keepMs = new long[COUNT];
    final long latenessMaxMs;

    WindowSet(long[] latenessMs) {
        if (latenessMs.length != COUNT) {
            throw new IllegalArgumentException("lateness.ms: " + COUNT + " numbers are right");
        }
        this.latenessMs = latenessMs;
        long keep = 0;
        long lateness = 0;
        for (int at = 0; at < COUNT; at++) {
            keep = Math.max(keep, LENGTH_MS[at] + latenessMs[at]);
            keepMs[at] = keep;
            lateness = Math.max(lateness, latenessMs[at]);
        }
        latenessMaxMs = lateness;
    }

    /** How far behind the watermark an interaction may still count. */
    long horizonMs() {
        return keepMs[COUNT - 1] + SLIDE_MS[COUNT - 1];
    }

    static long floor(long time, long size) {
        return time - Math.floorMod(time, size);
    }
}
