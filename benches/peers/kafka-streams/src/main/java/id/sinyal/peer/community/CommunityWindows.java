package id.sinyal.peer.community;

import id.sinyal.peer.community.Members.Member;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * The windows of one community, decoded on the heap: the store is their durable copy. Which panes are due, late, revised or closed
 * follows the same rules as in {@code crates/window}, so that rows can be compared one by one.
 */
final class CommunityWindows {
    static final int LATE = -1;
    private static final long NEVER = Long.MIN_VALUE;
    private static final long BEFORE_ALL = Long.MIN_VALUE / 2;

    /** Whether something comes or goes; {@link #RESTATE} is counted anew and comes no later for that. */
    enum Change {
        ADD,
        RESTATE,
        RETRACT
    }

    /** A pane that was emitted, or is due for the first time. */
    private static final class State {
        int revision;
        boolean late;
        /** It does not follow from the slices: it is in the store. */
        boolean stored;
    }

    /** A pane of which the store does not know yet. */
    record PaneKey(int window, long end) {}

    private final WindowSet set;
    private final Slices[] levels = new Slices[WindowSet.COUNT];
    final Members members = new Members();
    /** Panes never emitted, by end and then by window: {@code end * 8 + window}. */
    private final TreeMap<Long, State> pending = new TreeMap<>();
    /** Emitted panes that are not closed, by end. */
    private final List<TreeMap<Long, State>> emitted = new ArrayList<>();
    private final TreeSet<Long> revised = new TreeSet<>();
    private long judgedAt = NEVER;
    private long heldAt = Long.MAX_VALUE;
    final List<Slice> changedSlices = new ArrayList<>();
    final List<Slice> goneSlices = new ArrayList<>();
    final List<PaneKey> changedPanes = new ArrayList<>();

    /** How the change that is at work is judged. */
    private int level;
    private long start;
    private boolean late;
    private long judged;

    CommunityWindows(WindowSet set) {
        this.set = set;
        for (int at = 0; at < WindowSet.COUNT; at++) {
            levels[at] = new Slices();
            emitted.add(new TreeMap<>());
        }
    }

    /** Takes in one interaction, or takes it back. Gives how many panes it missed, or {@link #LATE}. */
    int apply(Entry entry, Change change, long watermark) {
        if (!open(entry.eventTime, watermark)) {
            if (change == Change.RETRACT && entry.author != null) {
                takeAuthor(entry.eventTime, entry.author);
            }
            return LATE;
        }
        long judged = this.judged;
        int missed = late ? missedPanes(entry.eventTime, judged) : 0;
        Slice slice = levels[level].find(start);
        boolean created = slice == null;
        if (created) {
            slice = new Slice(level, start);
            levels[level].add(slice);
        }
        Counts.add(slice.counts, entry, change == Change.RETRACT ? -1 : 1);
        if (change == Change.ADD) {
            slice.counts[Counts.LATE] += late ? 1 : 0;
            slice.counts[Counts.MISSED] += missed;
        }
        mark(slice);
        if (created) {
            schedule(level, start, judged);
        }
        if (late) {
            revise(entry.eventTime, judged);
        }
        if (entry.author != null) {
            slice.fromMembers += change == Change.RETRACT ? -1 : 1;
            if (change == Change.RETRACT) {
                unmeet(slice, entry.author, judged);
            } else {
                meet(slice, entry.author, judged);
            }
        }
        return missed;
    }

    /** The brand's first response to somebody came at event time {@code at}; or it was not the first after all. */
    void respond(long at, long delayMs, int times, long watermark) {
        if (!open(at, watermark)) {
            return;
        }
        Slice slice = levels[level].find(start);
        if (slice == null) {
            return;
        }
        slice.respond(Responses.bucket(delayMs), times);
        mark(slice);
        if (late) {
            revise(at, judged);
        }
    }

    /** What rows say as of their ends after {@code after} and up to {@code to} is another thing now. */
    void reviseEnds(long after, long to, long watermark) {
        long judged = judge(watermark == Watermark.NONE ? BEFORE_ALL : watermark);
        to = Math.min(to, judged);
        if (after >= to) {
            return;
        }
        for (int window = 0; window < WindowSet.COUNT; window++) {
            long from = Math.max(after + 1, judged - set.latenessMs[window] + 1);
            if (from > to) {
                continue;
            }
            boolean any = false;
            for (long end : emitted.get(window).subMap(from, true, to, true).keySet()) {
                any |= revised.add(paneKey(window, end));
            }
            if (any) {
                hold(from, set.latenessMs[window]);
            }
        }
    }

    /** Whether there is nothing left to know. */
    boolean isIdle() {
        for (Slices slices : levels) {
            if (!slices.isEmpty()) {
                return false;
            }
        }
        return pending.isEmpty() && revised.isEmpty() && members.size() == 0;
    }

    private boolean open(long at, long watermark) {
        judged = judge(watermark == Watermark.NONE ? BEFORE_ALL : watermark);
        int openLevel = -1;
        for (int window = 0; window < WindowSet.COUNT && openLevel < 0; window++) {
            long slide = WindowSet.floor(at, WindowSet.SLIDE_MS[window]);
            if (slide + WindowSet.LENGTH_MS[window] + set.latenessMs[window] > judged) {
                openLevel = window;
            }
        }
        if (openLevel < 0) {
            return false;
        }
        int finest = openLevel;
        for (int at2 = 0; at2 < openLevel; at2++) {
            long size = WindowSet.SLIDE_MS[at2];
            if (WindowSet.floor(at, size) + size + set.keepMs[at2] > judged) {
                finest = at2;
                break;
            }
        }
        int held = levelOf(at);
        level = held < 0 ? finest : Math.min(held, finest);
        start = WindowSet.floor(at, WindowSet.SLIDE_MS[level]);
        long finestMs = WindowSet.SLIDE_MS[0];
        late = WindowSet.floor(at, finestMs) + finestMs <= judged;
        return true;
    }

    /** The level of the finest slice that holds this time; -1 if none does. */
    private int levelOf(long at) {
        for (int level = 0; level < WindowSet.COUNT; level++) {
            if (levels[level].find(WindowSet.floor(at, WindowSet.SLIDE_MS[level])) != null) {
                return level;
            }
        }
        return -1;
    }

    private Slice sliceOf(long at) {
        int level = levelOf(at);
        return level < 0 ? null : levels[level].find(WindowSet.floor(at, WindowSet.SLIDE_MS[level]));
    }

    private void takeAuthor(long at, MemberKey key) {
        Slice slice = sliceOf(at);
        Member member = members.find(key);
        if (slice != null && member != null) {
            member.counted--;
            slice.members.add(member.id, -1);
        }
    }

    private void meet(Slice slice, MemberKey key, long judged) {
        Member member = members.find(key);
        long before = NEVER;
        if (member == null) {
            member = members.add(key, slice.start);
            members.mark(member);
        } else if (slice.start < member.firstSeen) {
            before = member.firstSeen;
            member.firstSeen = slice.start;
            members.mark(member);
        }
        member.counted++;
        slice.members.add(member.id, 1);
        if (before != NEVER) {
            revise(before, judged);
        }
    }

    private void unmeet(Slice slice, MemberKey key, long judged) {
        Member member = members.find(key);
        if (member == null) {
            return;
        }
        member.counted--;
        slice.members.add(member.id, -1);
        long end = slice.start + WindowSet.SLIDE_MS[slice.level];
        boolean isFirst = slice.start <= member.firstSeen && member.firstSeen < end;
        if (!isFirst || slice.members.holds(member.id)) {
            return;
        }
        long before = member.firstSeen;
        long now = firstOf(member.id);
        members.mark(member);
        if (now == NEVER) {
            members.remove(member);
        } else {
            member.firstSeen = now;
        }
        revise(before, judged);
        if (now != NEVER) {
            revise(now, judged);
        }
    }

    private long firstOf(int member) {
        long first = Long.MAX_VALUE;
        for (Slices slices : levels) {
            for (int at = slices.begin(); at < slices.end(); at++) {
                if (slices.get(at).members.holds(member)) {
                    first = Math.min(first, slices.get(at).start);
                    break;
                }
            }
        }
        return first == Long.MAX_VALUE ? NEVER : first;
    }

    /** The watermark to judge by: not beyond what is still to be emitted, and never going back. */
    private long judge(long watermark) {
        Long next = pending.higherKey(judgedAt == NEVER ? Long.MIN_VALUE : paneKey(WindowSet.COUNT, judgedAt));
        long nextAt = next == null ? Long.MAX_VALUE : endOf(next) - 1;
        judgedAt = Math.max(judgedAt, Math.min(watermark, Math.min(nextAt, heldAt)));
        return judgedAt;
    }

    private void hold(long end, long latenessMs) {
        heldAt = Math.min(heldAt, end + latenessMs - 1);
    }

    /** A slice came to be: where it enters and where it leaves each window, the window changes. */
    private void schedule(int level, long start, long judged) {
        for (int window = level; window < WindowSet.COUNT; window++) {
            long enters = WindowSet.floor(start, WindowSet.SLIDE_MS[window]) + WindowSet.SLIDE_MS[window];
            change(window, enters, judged);
            change(window, enters + WindowSet.LENGTH_MS[window], judged);
        }
    }

    private void change(int window, long end, long judged) {
        boolean open = end + set.latenessMs[window] > judged;
        if (end > judged || open && !emitted.get(window).containsKey(end)) {
            addPending(window, end, end <= judged, false);
        }
    }

    private void addPending(int window, long end, boolean isLate, boolean stored) {
        pending.computeIfAbsent(paneKey(window, end), key -> {
            State state = new State();
            state.late = isLate;
            state.stored = stored;
            return state;
        });
        if (isLate) {
            hold(end, set.latenessMs[window]);
        }
    }

    /** Marks the emitted panes that hold this time for another emission. */
    private void revise(long at, long judged) {
        for (int window = 0; window < WindowSet.COUNT; window++) {
            long slide = WindowSet.SLIDE_MS[window];
            long first = WindowSet.floor(at, slide) + slide;
            long last = WindowSet.floor(at, slide) + WindowSet.LENGTH_MS[window];
            long firstOpen = WindowSet.floor(judged - set.latenessMs[window], slide) + slide;
            if (firstOpen > first && firstOpen <= last) {
                diverge(window, firstOpen, judged);
            }
            long from = Math.max(first, firstOpen);
            if (from <= Math.min(last, judged)) {
                for (long end : emitted.get(window).subMap(from, true, last, true).keySet()) {
                    revised.add(paneKey(window, end));
                }
                hold(from, set.latenessMs[window]);
            }
        }
    }

    /** The panes before are closed and miss something that this one holds: a row of its own must say so. */
    private void diverge(int window, long end, long judged) {
        if (emitted.get(window).containsKey(end) || pending.containsKey(paneKey(window, end))) {
            return;
        }
        addPending(window, end, end <= judged, true);
        changedPanes.add(new PaneKey(window, end));
    }

    private int missedPanes(long at, long judged) {
        long missed = 0;
        for (int window = 0; window < WindowSet.COUNT; window++) {
            long slide = WindowSet.SLIDE_MS[window];
            long first = WindowSet.floor(at, slide) + slide;
            long closedTo = judged - set.latenessMs[window];
            long panes = WindowSet.LENGTH_MS[window] / slide;
            missed += closedTo < first ? 0 : Math.min((closedTo - first) / slide + 1, panes);
        }
        return (int) missed;
    }

    /** The least watermark at which {@link #emit} has something to do. */
    long nextDue() {
        long next = Long.MAX_VALUE;
        if (!pending.isEmpty()) {
            next = endOf(pending.firstKey());
        }
        if (!revised.isEmpty()) {
            next = Math.min(next, endOf(revised.first()));
        }
        for (int level = 0; level < WindowSet.COUNT; level++) {
            Slice first = levels[level].first();
            next = first == null ? next : Math.min(next, leavesAt(first));
        }
        return next;
    }

    private long leavesAt(Slice slice) {
        return slice.start + WindowSet.SLIDE_MS[slice.level] + set.keepMs[slice.level];
    }

    /** Emits every pane that is due, and lets go of what no open pane needs. */
    void emit(long watermark, Pane pane, Pane.Sink sink) {
        while (!pending.isEmpty() && endOf(pending.firstKey()) <= watermark) {
            NavigableMap.Entry<Long, State> due = pending.pollFirstEntry();
            int window = windowOf(due.getKey());
            long end = endOf(due.getKey());
            State state = due.getValue();
            show(window, end, 0, state.late, pane, sink);
            emitted.get(window).put(end, state);
        }
        for (long key : revised) {
            State state = emitted.get(windowOf(key)).get(endOf(key));
            if (state != null) {
                state.revision++;
                state.stored = true;
                changedPanes.add(new PaneKey(windowOf(key), endOf(key)));
                show(windowOf(key), endOf(key), state.revision, true, pane, sink);
            }
        }
        revised.clear();
        judgedAt = Math.max(judgedAt, watermark);
        heldAt = Long.MAX_VALUE;
        close(watermark);
        rollUp(watermark);
    }

    private void show(int window, long end, int revision, boolean isLate, Pane pane, Pane.Sink sink) {
        long length = WindowSet.LENGTH_MS[window];
        long start = end - length;
        pane.window = window;
        pane.start = start;
        pane.end = end;
        pane.revision = revision;
        pane.late = isLate;
        Arrays.fill(pane.counts, 0);
        pane.distinct = 0;
        pane.newMembers = 0;
        pane.byMembers = 0;
        Tally responses = new Tally();
        long[] contacts = pane.contacts;
        int contactCount = 0;
        int number = members.nextPane();
        for (int level = 0; level <= window; level++) {
            Slices slices = levels[level];
            for (int at = slices.from(start); at < slices.end() && slices.get(at).start < end; at++) {
                Slice slice = slices.get(at);
                Counts.add(pane.counts, slice.counts);
                pane.byMembers += slice.fromMembers;
                meetAll(slice.members, number, pane);
                if (slice.responses != null) {
                    responses.merge(slice.responses);
                }
                if (slice.isContact()) {
                    if (contactCount == contacts.length) {
                        contacts = Arrays.copyOf(contacts, contactCount * 2);
                        pane.contacts = contacts;
                    }
                    contacts[contactCount++] = Math.floorDiv(slice.start - start, WindowSet.SLIDE_MS[window]);
                }
            }
        }
        Responses.figures(responses, pane);
        pane.regularity = Regularity.of(contacts, contactCount);
        sink.see(pane);
    }

    private void meetAll(Tally tally, int number, Pane pane) {
        int size = tally.settle();
        for (int at = 0; at < size; at++) {
            Member member = members.byId(Tally.key(tally.entry(at)));
            if (member.metIn != number) {
                member.metIn = number;
                pane.distinct++;
                pane.newMembers += member.firstSeen >= pane.start ? 1 : 0;
            }
        }
    }

    /** Forgets emitted panes whose allowed lateness is over. */
    private void close(long watermark) {
        for (int window = 0; window < WindowSet.COUNT; window++) {
            TreeMap<Long, State> panes = emitted.get(window);
            while (!panes.isEmpty() && panes.firstKey() + set.latenessMs[window] <= watermark) {
                NavigableMap.Entry<Long, State> closed = panes.pollFirstEntry();
                if (closed.getValue().stored) {
                    changedPanes.add(new PaneKey(window, closed.getKey()));
                }
            }
        }
    }

    /** Moves slices that no open pane needs so fine to the next level, and drops them behind the last. */
    private void rollUp(long watermark) {
        for (int level = 0; level < WindowSet.COUNT; level++) {
            Slices slices = levels[level];
            while (!slices.isEmpty() && leavesAt(slices.first()) <= watermark) {
                Slice slice = slices.removeFirst();
                goneSlices.add(slice);
                if (level + 1 == WindowSet.COUNT) {
                    members.age(slice.members, slice.start + WindowSet.SLIDE_MS[level]);
                } else {
                    takeIn(level + 1, slice);
                }
            }
        }
    }

    private void takeIn(int level, Slice finer) {
        long start = WindowSet.floor(finer.start, WindowSet.SLIDE_MS[level]);
        Slice slice = levels[level].find(start);
        if (slice == null) {
            slice = new Slice(level, start);
            levels[level].add(slice);
        }
        Counts.add(slice.counts, finer.counts);
        slice.fromMembers += finer.fromMembers;
        slice.members.merge(finer.members);
        if (finer.responses != null) {
            if (slice.responses == null) {
                slice.responses = new Tally();
            }
            slice.responses.merge(finer.responses);
        }
        mark(slice);
    }

    private void mark(Slice slice) {
        if (!slice.changed) {
            slice.changed = true;
            changedSlices.add(slice);
        }
    }

    /** What the store is to hold of a pane: its revision, or -1 for nothing. */
    int storedRevision(PaneKey key) {
        State state = emitted.get(key.window()).get(key.end());
        if (state != null) {
            return state.revision;
        }
        return pending.containsKey(paneKey(key.window(), key.end())) ? 0 : -1;
    }

    /** Back from the store. */
    void restore(Slice slice) {
        levels[slice.level].add(slice);
    }

    void restorePane(int window, long end, int revision) {
        State state = new State();
        state.revision = revision;
        state.stored = true;
        emitted.get(window).put(end, state);
    }

    /** All is back: what is due follows from the slices and the watermark. */
    void restored(long watermark) {
        judgedAt = watermark == Watermark.NONE ? NEVER : watermark;
        long judged = watermark == Watermark.NONE ? BEFORE_ALL : watermark;
        for (int window = 0; window < WindowSet.COUNT; window++) {
            NavigableMap<Long, State> toCome = emitted.get(window).tailMap(judged, false);
            for (NavigableMap.Entry<Long, State> entry : toCome.entrySet()) {
                pending.put(paneKey(window, entry.getKey()), entry.getValue());
            }
            toCome.clear();
        }
        for (Slices slices : levels) {
            for (int at = slices.begin(); at < slices.end(); at++) {
                recallPanes(slices.get(at), judged);
            }
        }
        close(judged);
    }

    private void recallPanes(Slice slice, long judged) {
        for (int window = slice.level; window < WindowSet.COUNT; window++) {
            long slide = WindowSet.SLIDE_MS[window];
            long enters = WindowSet.floor(slice.start, slide) + slide;
            for (long end : new long[] {enters, enters + WindowSet.LENGTH_MS[window]}) {
                if (end > judged) {
                    pending.computeIfAbsent(paneKey(window, end), key -> new State());
                } else {
                    emitted.get(window).computeIfAbsent(end, key -> new State());
                }
            }
        }
    }

    /** After {@link #restored}: an interaction that is in its slice already is from this member. */
    void recall(Entry entry) {
        Slice slice = sliceOf(entry.eventTime);
        if (entry.author == null || slice == null) {
            return;
        }
        Member member = members.find(entry.author);
        if (member == null) {
            member = members.add(entry.author, slice.start);
        }
        member.counted++;
        slice.members.add(member.id, 1);
    }

    private static long paneKey(int window, long end) {
        long bounded = Math.max(Math.min(end, Long.MAX_VALUE / 32), Long.MIN_VALUE / 32);
        return bounded * 8 + window;
    }

    private static long endOf(long key) {
        return key >> 3;
    }

    private static int windowOf(long key) {
        return (int) (key & 7);
    }
}
