package id.sinyal.peer.community;

/**
 * The windows, four unless others are given. Time is cut once into slices of the shortest slide, which roll up into those of the next longer one as no open
 * pane needs them finer: each window's slide is a level.
 */
final class WindowSet {
    /** Name, length and slide of each. A property of the JVM, so that they are constants to its compiler. */
    private static final String[] GIVEN = System.getProperty("peer.windows",
        "5m:300000:10000,1h:3600000:60000,24h:86400000:900000,7d:604800000:3600000").split(",");
    static final int COUNT = GIVEN.length;
    static final String[] NAMES = new String[COUNT];
    static final long[] LENGTH_MS = new long[COUNT];
    static final long[] SLIDE_MS = new long[COUNT];

    static {
        for (int at = 0; at < COUNT; at++) {
            String[] parts = GIVEN[at].split(":");
            NAMES[at] = parts[0];
            LENGTH_MS[at] = Long.parseLong(parts[1]);
            SLIDE_MS[at] = Long.parseLong(parts[2]);
        }
    }

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
