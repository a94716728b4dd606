package id.sinyal.peer.classify;

/** When an answer to a complaint is due: four business hours, of communities that no registry lists (Jakarta, weekdays, 8 to 17). */
final class BusinessHours {
    private static final long HOUR_MS = 3_600_000;
    private static final long DAY_MS = 24 * HOUR_MS;
    /** Jakarta has had no other since 1964. */
    private static final long OFFSET_MS = 7 * HOUR_MS;
    private static final long OPEN_MS = 8 * HOUR_MS;
    private static final long CLOSE_MS = 17 * HOUR_MS;
    static final long SLA_MS = 4 * HOUR_MS;

    private BusinessHours() {}

    /** The first instant by which the service level has passed. */
    static long dueAt(long from) {
        long remaining = SLA_MS;
        long local = from + OFFSET_MS;
        while (true) {
            long day = Math.floorDiv(local, DAY_MS);
            long inDay = Math.floorMod(local, DAY_MS);
            // 1970-01-01 was a Thursday.
            boolean isWeekday = Math.floorMod(day + 3, 7) < 5;
            if (isWeekday && inDay < CLOSE_MS) {
                long begin = Math.max(inDay, OPEN_MS);
                if (CLOSE_MS - begin >= remaining) {
                    return day * DAY_MS + begin + remaining - OFFSET_MS;
                }
                remaining -= CLOSE_MS - begin;
            }
            local = (day + 1) * DAY_MS;
        }
    }
}
